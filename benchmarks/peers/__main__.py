"""Measure the peers that are installed: a table, JSON lines, or the page that compares them with spikeprep."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from . import MODULES, Task, Timing, available, importable, installed, measure, version, works
from .page import SHAPES, page, task_of
from .served import serve

INSTALL = "pip install torch spikingjelly snntorch norse spyx"


def as_json(result: Timing, task: Task) -> str:
    """Return a line of JSON."""
    best = {"train_ms": result.train_ms, "infer_ms": result.infer_ms}
    given = {"batch": task.batch, "steps": task.steps, "density": task.density}
    return json.dumps(asdict(result) | best | given)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--page", action="store_true", help="compare with spikeprep, on three tasks")
    parser.add_argument("--rounds", type=int, default=2, help="of the page")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES), help="of the page")
    parser.add_argument("--batch", type=int, default=Task.batch, help="samples a batch, without --page")
    parser.add_argument("--batches", type=int, default=Task.batches, help="timed, after those that warm up")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument(
        "--serve", choices=["spikeprep", *MODULES], help="measure one library, on --shape, when asked"
    )
    parser.add_argument("--shape", choices=SHAPES, default="mnist", help="of --serve")
    parser.add_argument("--recurrent", action="store_true", help="--serve with a recurrent hidden layer")
    options = parser.parse_args()
    if min(options.rounds, options.batch, options.batches) < 1:
        parser.error("--rounds, --batch and --batches: at least 1")
    if options.serve:
        if options.serve != "spikeprep" and not importable(options.serve):
            raise SystemExit(f"{options.serve} cannot be imported: {INSTALL}")
        task = task_of(options.shape, options.recurrent)
        serve(works(options.serve, task), version(options.serve), task)
        return
    names = [name for name in MODULES if installed(name)] if options.page else available()
    if not names:
        raise SystemExit(f"no peer is installed: {INSTALL}")
    if options.page:
        for part in page(names, options.shapes, options.rounds, options.batches):
            print(part, end="\n\n", flush=True)
        return
    task = Task(batch=options.batch, batches=options.batches)
    if not options.json:
        print(f"{'peer':<24}{'train ms/sample':>16}{'infer ms/sample':>16}")
    for name in names:
        result = measure(name, task)
        if options.json:
            print(as_json(result, task))
        else:
            print(f"{name + ' ' + result.version:<24}{result.train_ms:>16.2f}{result.infer_ms:>16.2f}")


if __name__ == "__main__":
    main()
