"""The recipes of time series: test accuracy by seed; and reading `.ts` beside aeon, whose wheel has the data.

pip download aeon==1.6.0 --no-deps && unzip aeon-1.6.0-py3-none-any.whl 'aeon/datasets/data/*'
pip install aeon==1.6.0   # for the comparison, which --no-peer leaves out
python -m benchmarks.series aeon
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import spikeprep
from spikeprep.sources.series_ts import read_ts

RECIPES = ("japanese-vowels", "basic-motions")
_COPIES, _REPEATS = 20, 5


def accuracies(recipe: str, source: Path, seeds: int, folder: Path) -> list[float]:
    """Encode a recipe, train it with each seed, and return the test accuracies after the last epoch."""
    store = folder / f"{recipe}.zarr"
    spikeprep.encode(recipe, store, source=source, progress=False)
    return [
        spikeprep.train(store, seed=seed, run=folder / f"{recipe}-{seed}", progress=False).test_accuracy
        or 0.0
        for seed in range(seeds)
    ]


def reading(file: Path, folder: Path) -> None:
    """Compare values with aeon's, and print the times to read a file `_COPIES` times as long."""
    from aeon.datasets import load_from_ts_file

    head, data, lines = file.read_text().partition("@data\n")
    long = folder / "long.ts"
    long.write_text(head + data + lines * _COPIES)
    ours = read_ts(long, long.read_bytes())
    values, labels = load_from_ts_file(str(long))
    assert [one.label for one in ours.series] == list(labels)
    for one, other in zip(ours.series, values, strict=True):
        np.testing.assert_array_equal(one.values.T, other)
    times: dict[str, list[float]] = {"spikeprep": [], "aeon": []}
    calls: dict[str, Callable[[], Any]] = {
        "spikeprep": lambda: read_ts(long, long.read_bytes()),
        "aeon": lambda: load_from_ts_file(str(long)),
    }
    for _ in range(_REPEATS):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    megabytes = long.stat().st_size / 1e6
    median = {name: statistics.median(of_name) for name, of_name in times.items()}
    for name, seconds in median.items():
        print(f"read {file.name} × {_COPIES}, {megabytes:.1f} MB: {name} {seconds:.3f} s")
    print(f"ratio {median['aeon'] / median['spikeprep']:.2f}; equal values and labels")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="the folder aeon of the unpacked wheel")
    parser.add_argument("--seeds", type=int, default=3, help="of training; 0: none")
    parser.add_argument("--no-peer", action="store_true", help="leave the comparison with aeon out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not options.no_peer:
            (file,) = options.source.rglob("JapaneseVowels_TEST.ts")
            reading(file, folder)
        for recipe in RECIPES if options.seeds else ():
            found = accuracies(recipe, options.source, options.seeds, folder)
            print(f"{recipe}: test accuracy {', '.join(f'{100 * a:.2f} %' for a in found)}")


if __name__ == "__main__":
    main()
