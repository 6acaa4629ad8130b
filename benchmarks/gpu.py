"""Everything that is timed on a GPU, in one command that leaves a report: bench.json, and bench.md to paste.

    python -m benchmarks.gpu [--store mnist.zarr] [--out gpu-report] [--sections check,kernels] [--check]

check: a step of each task beside the CPU backend. ceilings: copies and matrix products at their best. kernels: each
launch of a step beside its floor (benchmarks.roofline). epochs: MNIST and N-MNIST, 60 000 samples. density: events
against matrix products. tiers: a store's epoch by every tier, with the share of time that the device waited. bptt: the
same network in PyTorch. Without a store, spikes are drawn at the task's density; tiers then needs zarr to make one.

A section that fails says so in the report, and the others go on; the exit code is 1 then.
"""

from __future__ import annotations

import argparse
import importlib
import json
import shutil
import subprocess
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.gpu_sections import SECTIONS, TASKS, Bench
from benchmarks.roofline import Card
from spikeprep.cuda.gpu import CupyRuntime
from spikeprep.cuda.runtime import Runtime
from spikeprep.errors import CapabilityError


def main() -> int:
    """Measure, write the report, and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", help="a store of MNIST for the tiers; default one of random spikes")
    parser.add_argument("--out", type=Path, default=Path("gpu-report"))
    parser.add_argument("--sections", default=",".join(SECTIONS), help="comma-separated; default all")
    parser.add_argument("--check", action="store_true", help="the section check alone")
    parser.add_argument("--gpu", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=30, help="of what is timed in single steps")
    parser.add_argument("--distinct", type=int, default=2048, help="samples that an epoch goes round")
    parser.add_argument(
        "--emulated", action="store_true", help="try the benchmark itself, tiny and without a GPU"
    )
    args = parser.parse_args()
    chosen = ["check"] if args.check else args.sections.split(",")
    if unknown := set(chosen) - set(SECTIONS):
        parser.error(f"no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    try:
        bench = emulated(args.store) if args.emulated else on_gpu(args)
    except CapabilityError as error:
        print(error, file=sys.stderr)
        return 2
    report: dict[str, Any] = {"device": bench.runtime.facts() | driver(args.gpu), "sections": {}}
    for name in chosen:
        began = time.perf_counter()
        try:
            found = SECTIONS[name](bench)
        except ImportError as error:
            found = {"skipped": f"{error.name or error} is not installed"}
        except Exception:
            found = {"error": traceback.format_exc()}
        report["sections"][name] = found | {"took": round(time.perf_counter() - began, 2)}
        print(f"{name}: {found.get('error') or found.get('skipped') or 'done'}", flush=True)
        write(args.out, report)  # what is there is kept, whatever becomes of the rest
    print((args.out / "bench.md").read_text())
    return int(any("error" in found for found in report["sections"].values()))


def on_gpu(args: argparse.Namespace) -> Bench:
    """Return a bench at full size."""
    return Bench(
        CupyRuntime(args.gpu), dict(TASKS), args.distinct, args.stored, args.repeats, args.store, Card()
    )


def emulated(store: str | None) -> Bench:
    """Return a bench so small that the tests' emulated GPU gets through it."""
    runtime: Runtime = importlib.import_module("tests.cuda.emulator").EmulatedRuntime(twice=False)
    small = {
        name: replace(
            task, sizes=(24, 40, 4), steps=48, spikes=(90, 40), active=(10, 20), samples=12, batch=6
        )
        for name, task in TASKS.items()
    }
    return Bench(runtime, small, 12, 12, 2, store, Card(), (0.02, 0.5))


def driver(gpu: int) -> dict[str, Any]:
    """Return the driver's version, clocks and power limit, as nvidia-smi tells them."""
    if shutil.which("nvidia-smi") is None:
        return {}
    fields = "driver_version,clocks.max.sm,clocks.max.mem,power.limit"
    command = ["nvidia-smi", f"--id={gpu}", f"--query-gpu={fields}", "--format=csv,noheader"]
    answer = subprocess.run(command, capture_output=True, text=True).stdout.strip().split(", ")
    return dict(zip(fields.split(","), answer, strict=False))


def write(out: Path, report: dict[str, Any]) -> None:
    """Write both files of the report."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "bench.json").write_text(json.dumps(report, indent=1) + "\n")
    (out / "bench.md").write_text("\n".join(markdown(report)) + "\n")


# ---------------------------------------------------------------- Markdown


def markdown(report: dict[str, Any]) -> list[str]:
    """Return the lines to paste into benchmarks/RESULTS.md."""
    device, sections = report["device"], report["sections"]
    facts = ", ".join(f"{k} {v}" for k, v in device.items() if k != "device")
    lines = [f"## {device['device']}", "", "    python -m benchmarks.gpu", "", facts, ""]
    for name, found in sections.items():
        if "error" in found or "skipped" in found:
            why = found.get("skipped") or found["error"].strip().splitlines()[-1]
            lines += [f"{name}: {'not run' if 'skipped' in found else 'failed'}: {why}", ""]
        else:
            lines += [*WRITERS[name]({k: v for k, v in found.items() if k != "took"}), ""]
    return lines


def _table(heads: list[str], rows: list[list[Any]]) -> list[str]:
    cells = [[str(c) for c in row] for row in [heads, ["---"] * len(heads), *rows]]
    return [f"| {' | '.join(row)} |" for row in cells]


def _check(found: dict[str, Any]) -> list[str]:
    rows = [[k, v["spikes_equal"], f"{v['gradient_off']:.1e}", v["output_spikes"]] for k, v in found.items()]
    return _table(
        ["beside the CPU", "spikes equal", "gradients off by, of the largest", "output spikes"], rows
    )


def _ceilings(found: dict[str, Any]) -> list[str]:
    rows = [["copy, read and written", f"{found['copy_bytes_a_second'] / 1e12:.2f} TB/s"]]
    if half := found.get("half_operations_a_second"):
        rows.append(["half-precision product", f"{half / 1e12:.0f} TFLOP/s"])
    if clock := found.get("sm_clock_under_load_hz"):
        rows.append(["clock under load", f"{clock / 1e6:.0f} MHz"])
    return _table(["ceiling", "measured"], rows)


def _kernels(found: dict[str, Any]) -> list[str]:
    lines = []
    for name, task in found.items():
        rows = []
        for row in task["kernels"]:
            floor = (
                [_us(row["floor"]), row["bound"], f"{100 * row['share']:.0f} %"]
                if "floor" in row
                else ["", "", ""]
            )
            rows.append([f"{row['kernel']}", _us(row["seconds"]), *floor])
        share = task["floor_seconds"] / max(task["kernels_seconds"], 1e-12)
        whole = [_us(task["kernels_seconds"]), _us(task["floor_seconds"]), "", f"{100 * share:.0f} %"]
        rows.append(["all kernels", *whole])
        rows.append(["a step, by the device's clock", _us(task["step_seconds_timed"]), "", "", ""])
        rows.append(["a step, by the host's", _us(task["host_seconds_timed"]), "", "", ""])
        lines += [f"**{name}**, a batch of {task['task']['batch']}:", ""]
        lines += [*_table(["launch", "µs", "floor, µs", "bound by", "share"], rows), ""]
    return lines[:-1]


def _epochs(found: dict[str, Any]) -> list[str]:
    rows = [
        [k, v["batch"], f"{v['seconds']:.3f} s", f"{1e6 * v['seconds'] / v['batches']:.0f}"]
        for k, v in found.items()
    ]
    return _table(["epoch of 60 000", "batch", "seconds", "µs a batch"], rows)


def _density(found: dict[str, Any]) -> list[str]:
    rows = [[f"{100 * r['density']:g} %", _us(r["events"]), _us(r["matrix"])] for r in found["rows"]]
    said = f"Equal at {100 * found['crossover']:.1f} %." if found["crossover"] else "The two did not cross."
    return [*_table(["density", "events, µs", "products, µs"], rows), "", said]


def _tiers(found: dict[str, Any]) -> list[str]:
    rows = [
        [
            name, v["samples"], f"{v['seconds']:.3f} s", f"{100 * v['stall_fraction']:.2f} %",
            f"{v['tier']['device_bytes'] / 1e6:.0f} MB", f"{v['taken_bytes'] / 1e6:.0f} MB",
            f"{v['tier']['host_bytes'] / 1e6:.0f} MB",
        ]
        for name, v in found.items()
    ]  # fmt: skip
    return _table(
        ["tier", "samples", "epoch", "waited for data", "device memory, said", "taken", "host memory"], rows
    )


def _bptt(found: dict[str, Any]) -> list[str]:
    rows = []
    for name, task in found.items():
        for peer, ratio in task["ratios"].items():
            seconds = task["peers"][peer]
            rows.append([name, peer, f"{1e3 * seconds:.2f}", f"{1e3 * task['ours']:.2f}", f"{ratio:.1f} ×"])
    return _table(["task", "PyTorch BPTT", "ms a batch", "ours, ms", "ratio"], rows)


WRITERS = {
    "check": _check,
    "ceilings": _ceilings,
    "kernels": _kernels,
    "epochs": _epochs,
    "density": _density,
    "tiers": _tiers,
    "bptt": _bptt,
}


def _us(seconds: float) -> str:
    return f"{1e6 * seconds:.1f}"


if __name__ == "__main__":
    sys.exit(main())
