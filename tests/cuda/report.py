"""Run all tests on a GPU and write a report: `python -m tests.cuda.report [--out DIR] [--emulated]`.

Runs the backend's tests on the device, then compute-sanitizer, if installed, on a short pass through every kernel.
Writes to DIR test.txt, the output, and test.json: the device, counts of tests, failed tests, reasons of skips, and the
result of each tool. The exit code is 0 if nothing failed.
"""

from __future__ import annotations

import argparse
import importlib.metadata as metadata
import json
import os
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any, TextIO

TOOLS = ("memcheck", "racecheck", "initcheck", "synccheck")
ERRORS = 86  # exit code of compute-sanitizer if it reports errors


def main() -> int:
    """Run, write, and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("gpu-report"))
    parser.add_argument("--gpu", default=os.environ.get("SPIKEPREP_TEST_GPU") or "0")
    parser.add_argument("--emulated", action="store_true", help="test the report itself, without a GPU")
    parser.add_argument("--tools", default=",".join(TOOLS), help="of compute-sanitizer, comma-separated")
    parser.add_argument(
        "--seconds", type=float, default=300, help="time limit of each tool of compute-sanitizer"
    )
    parser.add_argument("tests", nargs="*", default=["tests/cuda", "tests/backends"])
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "SPIKEPREP_TEST_GPU": "" if args.emulated else args.gpu}
    report: dict[str, Any] = {"device": facts(args.emulated, args.gpu)}
    with (args.out / "test.txt").open("w") as log:
        report["tests"] = tests(args.tests, args.out / "junit.xml", env, log)
        report["sanitizer"] = sanitizer(args.emulated, args.tools.split(","), args.seconds, env, log)
    (args.out / "test.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))
    failed = report["tests"]["exit"] or any(tool["exit"] for tool in report["sanitizer"].values())
    return int(bool(failed))


def facts(emulated: bool, number: str) -> dict[str, Any]:
    """Return the device's facts, with the driver's from nvidia-smi."""
    if emulated:
        return {"device": "emulated"}
    from spikeprep.cuda.gpu import CupyRuntime

    report = CupyRuntime(int(number)).facts()
    if shutil.which("nvidia-smi"):
        fields = "name,driver_version,clocks.max.sm,clocks.max.mem,power.limit"
        command = ["nvidia-smi", f"--id={number}", f"--query-gpu={fields}", "--format=csv,noheader"]
        answer = subprocess.run(command, capture_output=True, text=True).stdout.strip()
        report |= dict(zip(fields.split(","), answer.split(", "), strict=False))
    return report


def tests(names: list[str], junit: Path, env: dict[str, str], log: TextIO) -> dict[str, Any]:
    """Run pytest and return counts, failed tests, and reasons of skips."""
    # a machine without a library of the store, or with other warnings, still runs the rest
    lenient = ["--continue-on-collection-errors", "-W", "default"]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-rsfE",
        "--durations=15",
        *lenient,
        f"--junitxml={junit}",
        *names,
    ]
    began = time.perf_counter()
    code = _run(command, env, log, None)
    suite = ElementTree.parse(junit).getroot().find("testsuite") if junit.exists() else None
    numbers = (
        {k: int(suite.get(k, 0)) for k in ("tests", "failures", "errors", "skipped")}
        if suite is not None
        else {}
    )
    failed = (
        []
        if suite is None
        else [
            f"{case.get('classname')}::{case.get('name')}"
            for case in suite.iter("testcase")
            if case.find("failure") is not None or case.find("error") is not None
        ]
    )
    reasons = sorted({str(s.get("message")) for s in suite.iter("skipped")}) if suite is not None else []
    return {
        "exit": code,
        "seconds": round(time.perf_counter() - began, 1),
        **numbers,
        "failed": failed,
        "skips": reasons,
    }


def sanitizer(
    emulated: bool, tools: list[str], seconds: float, env: dict[str, str], log: TextIO
) -> dict[str, Any]:
    """Run the walk under each tool of compute-sanitizer, or alone if it is not installed; emulated: do nothing."""
    if emulated:
        return {}
    walk = [sys.executable, "-m", "tests.cuda.walk"]
    tool_path = sanitizer_path()
    if tool_path is None:
        return {
            "walk": {"exit": _run(walk, env, log, seconds), "reason": "compute-sanitizer is not installed"}
        }
    verdicts = {}
    for tool in tools:
        command = [
            tool_path,
            "--tool",
            tool,
            "--error-exitcode",
            str(ERRORS),
            "--target-processes",
            "all",
            *walk,
        ]
        began = time.perf_counter()
        code = _run(command, env, log, seconds)
        verdict = {0: "no errors", ERRORS: "errors"}.get(code, "did not finish")
        verdicts[tool] = {"exit": code, "verdict": verdict, "seconds": round(time.perf_counter() - began, 1)}
    return verdicts


def sanitizer_path() -> str | None:
    """Return compute-sanitizer: in the PATH, of CUDA's toolkit, or of the wheel nvidia-cuda-sanitizer-api."""
    name = "compute-sanitizer"
    if installed := shutil.which(name) or shutil.which(name, path="/usr/local/cuda/bin"):
        return installed
    try:
        files = metadata.files("nvidia-cuda-sanitizer-api") or []
    except metadata.PackageNotFoundError:
        return None
    return next((str(file.locate()) for file in files if file.name == name), None)


def _run(command: list[str], env: dict[str, str], log: TextIO, seconds: float | None) -> int:
    """Run a command, print and log its output; return its exit code, 124 after the time limit."""
    log.write(f"$ {' '.join(command)}\n")
    log.flush()
    try:
        done = subprocess.run(
            command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds
        )
        output, code = done.stdout, done.returncode
    except subprocess.TimeoutExpired as timeout:
        output, code = (timeout.stdout or b"").decode(errors="replace"), 124
    log.write(output + "\n")
    print(output[-4000:], flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
