"""All measurements on a GPU in one command, with a report: bench.json, and bench.md for benchmarks/RESULTS.md.

    python -m benchmarks.gpu [--store mnist.zarr] [--out gpu-report] [--sections check,kernels] [--check]

check: each task compared with the CPU backend. ceilings: best rates of copies and matrix products. kernels: each launch
of a step and its floor (benchmarks.roofline). epochs: MNIST and N-MNIST, 60 000 samples. cnn: MNIST's convolutional
network. density: events against products. tiers: a store's epoch by every tier, with the share of time in which the
device waited. bptt: the same network in PyTorch.

check, kernels, epochs and density measure sums over events and products of active units. Without --store, spikes are
random, of the task's density; `tiers` then needs zarr to write a store.

After a section that fails the others still run; its error is in the report and the exit code is 1.
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

from benchmarks import gpu_cnn
from benchmarks.gpu_sections import SECTIONS, TASKS, Bench
from benchmarks.roofline import Card
from spikeprep.cuda.gpu import CupyRuntime
from spikeprep.cuda.runtime import Runtime
from spikeprep.errors import CapabilityError


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the parsed arguments, by default those of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", help="a store of MNIST for the tiers; default: one of random spikes")
    parser.add_argument("--out", type=Path, default=Path("gpu-report"))
    parser.add_argument("--sections", default=",".join(SECTIONS), help="comma-separated; default: all")
    parser.add_argument("--check", action="store_true", help="only the section check")
    parser.add_argument("--gpu", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=30, help="of each timed step")
    parser.add_argument(
        "--distinct", type=int, default=2048, help="different samples, repeated over an epoch"
    )
    parser.add_argument(
        "--store-samples", type=int, default=10_000, help="of the store that is written without --store"
    )
    parser.add_argument(
        "--emulated", action="store_true", help="test the benchmark itself, at tiny size and without a GPU"
    )
    args = parser.parse_args(arguments)
    args.sections = ["check"] if args.check else args.sections.split(",")
    if unknown := set(args.sections) - set(SECTIONS):
        parser.error(f"no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    return args


def main() -> int:
    """Measure, write the report, and return the exit code."""
    args = options()
    try:
        bench = emulated(args.store) if args.emulated else on_gpu(args)
    except CapabilityError as error:
        print(error, file=sys.stderr)
        return 2
    report: dict[str, Any] = {"device": bench.runtime.facts() | driver(args.gpu), "sections": {}}
    for name in args.sections:
        began = time.perf_counter()
        try:
            results = SECTIONS[name](bench)
        except ImportError as error:
            results = {"skipped": f"{error.name or error} is not installed"}
        except Exception:
            results = {"error": traceback.format_exc()}
        report["sections"][name] = results | {"seconds": round(time.perf_counter() - began, 2)}
        print(f"{name}: {results.get('error') or results.get('skipped') or 'done'}", flush=True)
        write(args.out, report)  # after each section, so that a crash loses only the rest
    print((args.out / "bench.md").read_text())
    return int(any("error" in results for results in report["sections"].values()))


def on_gpu(args: argparse.Namespace) -> Bench:
    """Return a bench at full size."""
    return Bench(
        CupyRuntime(args.gpu),
        dict(TASKS),
        args.distinct,
        args.store_samples,
        args.repeats,
        args.store,
        Card(),
    )


def emulated(store: str | None) -> Bench:
    """Return a bench small enough for the emulated GPU of the tests."""
    runtime: Runtime = importlib.import_module("tests.cuda.emulator").EmulatedRuntime(twice=False)
    small = {
        name: replace(
            task, sizes=(24, 40, 4), steps=48, spikes=(90, 40), active=(10, 20), samples=12, batch=6
        )
        for name, task in TASKS.items()
    }
    return Bench(runtime, small, 12, 12, 2, store, Card(), (0.02, 0.5))


def driver(gpu: int) -> dict[str, Any]:
    """Return the driver's version, clocks and power limit, from nvidia-smi."""
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
    for name, results in sections.items():
        if "error" in results or "skipped" in results:
            reason = results.get("skipped") or results["error"].strip().splitlines()[-1]
            lines += [f"{name}: {'not run' if 'skipped' in results else 'failed'}: {reason}", ""]
        else:
            lines += [*WRITERS[name]({k: v for k, v in results.items() if k != "seconds"}), ""]
    return lines


def _table(heads: list[str], rows: list[list[Any]]) -> list[str]:
    cells = [[str(c) for c in row] for row in [heads, ["---"] * len(heads), *rows]]
    return [f"| {' | '.join(row)} |" for row in cells]


def _check(results: dict[str, Any]) -> list[str]:
    rows = [
        [k, v["spikes_equal"], f"{v['gradient_off']:.1e}", v["output_spikes"]] for k, v in results.items()
    ]
    return _table(
        ["compared with the CPU", "spikes equal", "largest gradient error, relative", "output spikes"], rows
    )


def _ceilings(results: dict[str, Any]) -> list[str]:
    rows = [["copy, read and written", f"{results['copy_bytes_per_second'] / 1e12:.2f} TB/s"]]
    if half := results.get("half_operations_per_second"):
        rows.append(["half-precision product", f"{half / 1e12:.0f} TFLOP/s"])
    if clock := results.get("sm_clock_under_load_hz"):
        rows.append(["clock under load", f"{clock / 1e6:.0f} MHz"])
    return _table(["ceiling", "measured"], rows)


def _kernels(results: dict[str, Any]) -> list[str]:
    lines = []
    for name, task in results.items():
        rows = []
        for row in task["kernels"]:
            floor = (
                [_us(row["floor"]), row["bound"], f"{100 * row['share']:.0f} %"]
                if "floor" in row
                else ["", "", ""]
            )
            rows.append([f"{row['kernel']}", _us(row["seconds"]), *floor])
        share = task["floor_seconds"] / max(task["kernels_seconds"], 1e-12)
        total = [_us(task["kernels_seconds"]), _us(task["floor_seconds"]), "", f"{100 * share:.0f} %"]
        rows.append(["all kernels", *total])
        rows.append(["a step, on the device", _us(task["step_seconds_timed"]), "", "", ""])
        rows.append(["a step, until it is in the queue", _us(task["host_seconds_timed"]), "", "", ""])
        lines += [f"**{name}**, a batch of {task['task']['batch']}:", ""]
        lines += [*_table(["launch", "µs", "floor, µs", "bound by", "share"], rows), ""]
    return lines[:-1]


def _epochs(results: dict[str, Any]) -> list[str]:
    rows = [
        [k, v["batch"], f"{v['seconds']:.3f} s", f"{1e6 * v['seconds'] / v['batches']:.0f}"]
        for k, v in results.items()
    ]
    return _table(["epoch of 60 000", "batch", "seconds", "µs per batch"], rows)


def _density(results: dict[str, Any]) -> list[str]:
    kinds = [kind for kind in results["rows"][0] if kind != "density"]
    rows = [[f"{100 * r['density']:g} %", *(_us(r[kind]) for kind in kinds)] for r in results["rows"]]
    crossover = (
        f"Events and matrix equal at {100 * results['crossover']:.1f} %."
        if results["crossover"]
        else "No crossover."
    )
    return [*_table(["density", *(f"{kind}, µs" for kind in kinds)], rows), "", crossover]


def _tiers(results: dict[str, Any]) -> list[str]:
    rows = [
        [
            name, v["samples"], f"{v['seconds']:.3f} s", f"{100 * v['stall_fraction']:.2f} %",
            f"{v['tier']['device_bytes'] / 1e6:.0f} MB", f"{v['allocated_bytes'] / 1e6:.0f} MB",
            f"{v['tier']['host_bytes'] / 1e6:.0f} MB",
        ]
        for name, v in results.items()
    ]  # fmt: skip
    return _table(
        ["tier", "samples", "epoch", "waited for data", "device memory, bound", "allocated", "host memory"],
        rows,
    )


def _bptt(results: dict[str, Any]) -> list[str]:
    rows = []
    for name, task in results.items():
        for peer, ratio in task["ratios"].items():
            seconds = task["peers"][peer]
            rows.append([name, peer, f"{1e3 * seconds:.2f}", f"{1e3 * task['ours']:.2f}", f"{ratio:.1f} ×"])
    return _table(["task", "PyTorch BPTT", "ms per batch", "ours, ms", "ratio"], rows)


WRITERS = {
    "check": _check,
    "ceilings": _ceilings,
    "kernels": _kernels,
    "epochs": _epochs,
    "cnn": gpu_cnn.markdown,
    "density": _density,
    "tiers": _tiers,
    "bptt": _bptt,
}


def _us(seconds: float) -> str:
    return f"{1e6 * seconds:.1f}"


if __name__ == "__main__":
    sys.exit(main())
