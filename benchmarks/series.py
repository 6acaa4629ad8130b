"""The recipes of time series: test accuracy by seed; the encoders of series; and reading text beside others.

The settings of the encoders are chosen on the training split alone: `--select` trains each candidate on three quarters
of it, and prints its accuracy on the others. aeon's wheel has the data:

pip download aeon==1.6.0 --no-deps && unzip aeon-1.6.0-py3-none-any.whl 'aeon/datasets/data/*'
pip install aeon==1.6.0   # for the comparison, which --no-peer leaves out; it brings pandas
python -m benchmarks.series aeon
python -m benchmarks.series aeon --seeds 0 --no-peer --encoders all            # test accuracy of the chosen settings
python -m benchmarks.series aeon --seeds 0 --no-peer --encoders lif --select   # how they were chosen
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import spikeprep
from spikeprep.recipes import load_recipe
from spikeprep.sources.series_text import TextColumns
from spikeprep.sources.series_ts import read_ts

RECIPES = ("japanese-vowels", "basic-motions")
_COPIES, _REPEATS = 20, 5
_EPOCHS, _HELD_OUT, _SELECTION_SEEDS, _TEST_SEEDS = 60, 0.25, 2, 3
_FRAMES = 156.25  # Hz

Step = dict[str, Any]


def _interpolated(factor: int) -> Step:
    """Return the transform to so many steps per frame."""
    return {"name": "resample", "rate": _FRAMES * factor}


def _candidates() -> dict[str, list[list[Step]]]:
    """Return encoder → chains behind `standardise`, of which the first has the chosen settings."""
    rectify: Step = {"name": "rectify"}
    limits: Step = {"low": 0.0, "high": 2.0, "clip": True}
    signed: Step = {"low": -2.0, "high": 2.0, "clip": True}

    def each(name: str, settings: list[Step], *ahead: Step) -> list[list[Step]]:
        return [[*ahead, {"name": name, **one}] for one in settings]

    def stretched(name: str, settings: list[tuple[int, Step]], *ahead: Step) -> list[list[Step]]:
        return [[*ahead, _interpolated(factor), {"name": name, **one}] for factor, one in settings]

    thresholds = [(30, 0.1), (40, 0.1), (30, 0.2), (20, 0.1), (20, 0.2)]
    return {
        "bsa": each("bsa", [{"preset": "hm2bp", "scale": s, "hold": 30} for s in (0.5, 0.3)], rectify),
        "hsa": stretched("hsa", [(30, {"scale": 0.5}), (30, {"scale": 0.3}), (20, {"scale": 0.5})], rectify),
        "step_forward": stretched("step_forward", [(k, {"threshold": t, "start": 0.0}) for k, t in thresholds]),
        "sigma_delta": stretched(
            "sigma_delta", [(k, {"threshold": t, "clip": True}) for k, t in ((30, 3.0), (30, 2.0), (40, 2.0))]
        ),
        "lif": stretched("lif", [(k, {"tau": 10.0, "threshold": t}) for k, t in ((30, 0.5), (30, 0.2), (20, 0.5))]),
        "zero_crossing_step_forward": stretched(
            "zero_crossing_step_forward", [(30, {"threshold": t}) for t in (0.1, 0.25, 0.5, 1.0)]
        ),
        "pulse_width": [
            *stretched("pulse_width", [(30, {"period": 30, **limits, "high": h}) for h in (1.0, 2.0)], rectify),
            *stretched("pulse_width", [(30, {"period": 30, **signed})]),
        ],
        "gaussian_receptive_fields": each(
            "gaussian_receptive_fields",
            [{"fields": n, "steps": k, **signed} for n, k in ((8, 30), (12, 20), (12, 30), (8, 20))],
        ),
        "latency": each(
            "latency", [{"steps": k, **limits, "high": h} for k, h in ((30, 3.0), (20, 2.0), (30, 2.0))], rectify
        ),
        "rank_order": [
            *each("rank_order", [{"steps": 30}], rectify),
            *each("rank_order", [{"steps": k} for k in (40, 30, 20)]),
        ],
        "phase": each("phase", [{"periods": n, **limits} for n in (3, 2)], rectify),
        "burst": each("burst", [{"steps": 31, **limits}], rectify),
        "moving_window": stretched(
            "moving_window", [(20, {"window": 200, "threshold": 0.3}), (30, {"window": 900, "threshold": 0.3})]
        ),
        "delta": stretched("delta", [(k, {"threshold": t, "start": 0.0}) for k, t in ((30, 0.01), (20, 0.02))]),
    }  # fmt: skip


def train_chain(
    chain: list[Step], source: Path, folder: Path, seed: int, held_out: float = 0.0
) -> tuple[float | None, float | None]:
    """Encode JapaneseVowels with a chain and train 100-100; return the validation and the test accuracy.

    With samples held out, only the training file is read.
    """
    recipe = load_recipe("japanese-vowels")
    settings = {"name": "series", "rate": _FRAMES, "problem": "JapaneseVowels"}
    if held_out:
        (source,) = source.rglob("JapaneseVowels_TRAIN.ts")
        settings = {"name": "series", "rate": _FRAMES, "test_share": 0.0}
    recipe = dataclasses.replace(
        recipe, source=settings, chain=[{"name": "standardise"}, *chain], download={}
    )
    with tempfile.TemporaryDirectory(dir=folder) as name:
        store = Path(name) / "vowels.zarr"
        spikeprep.encode(recipe, store, source=source, progress=False)
        result = spikeprep.train(
            store,
            seed=seed,
            epochs=_EPOCHS,
            run=Path(name) / "run",
            settings={"validation": held_out, "test_every": 0},
            progress=False,
        )
    return result.validation_accuracy, result.test_accuracy


def encoders(names: list[str], source: Path, folder: Path, select: bool) -> None:
    """Print the accuracy of encoders: of all candidates on held out samples, or of the first on the test split."""
    candidates = _candidates()
    for name in candidates if names == ["all"] else names:
        for chain in candidates[name] if select else candidates[name][:1]:
            pairs = [
                train_chain(chain, source, folder, seed, _HELD_OUT if select else 0.0)
                for seed in range(_SELECTION_SEEDS if select else _TEST_SEEDS)
            ]
            found = [pair[0 if select else 1] or 0.0 for pair in pairs]
            steps = "; ".join(", ".join(f"{k}={v}" for k, v in step.items()) for step in chain)
            what = "validation" if select else "test"
            print(
                f"{name}: {what} accuracy {', '.join(f'{100 * a:.2f} %' for a in found)} ({steps})",
                flush=True,
            )


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


def numbers(folder: Path) -> None:
    """Print the times to read 2.6 million numbers in text, beside NumPy's and pandas'; the values are equal."""
    import pandas as pd

    values = np.random.default_rng(0).normal(size=(20_000, 128))
    path = folder / "numbers.txt"
    for form, separator in (("%.7f", "\t"), ("%.4f", ","), ("% .7e", " ")):
        np.savetxt(path, values, fmt=form, delimiter=separator)
        spaces = separator == " "
        calls: dict[str, Callable[[], Any]] = {
            "spikeprep": lambda: TextColumns.of(path, path.read_bytes()).read(range(128), ())[0],
            "numpy": partial(np.loadtxt, path, delimiter=None if spaces else separator),
            "pandas": partial(pd.read_csv, path, header=None, sep=r"\s+" if spaces else separator),
        }
        times: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(_REPEATS):
            results = []
            for name, call in calls.items():
                start = time.perf_counter()
                results.append(call())
                times[name].append(time.perf_counter() - start)
            np.testing.assert_array_equal(results[0], results[1])
        median = {name: statistics.median(of_name) for name, of_name in times.items()}
        print(f"{form}: {', '.join(f'{name} {seconds:.2f} s' for name, seconds in median.items())}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="the folder aeon of the unpacked wheel")
    parser.add_argument("--seeds", type=int, default=3, help="of training; 0: none")
    parser.add_argument("--no-peer", action="store_true", help="leave the comparison with aeon out")
    parser.add_argument(
        "--encoders", nargs="+", default=[], choices=["all", *_candidates()], help="of series"
    )
    parser.add_argument("--select", action="store_true", help="compare settings on held out training samples")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not options.no_peer:
            (file,) = options.source.rglob("JapaneseVowels_TEST.ts")
            reading(file, folder)
            numbers(folder)
        for recipe in RECIPES if options.seeds else ():
            found = accuracies(recipe, options.source, options.seeds, folder)
            print(f"{recipe}: test accuracy {', '.join(f'{100 * a:.2f} %' for a in found)}")
        encoders(options.encoders, options.source, folder, options.select)


if __name__ == "__main__":
    main()
