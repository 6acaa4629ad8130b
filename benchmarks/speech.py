"""Speed of encoding speech: Lyon's ear compared with the package `lyon`, BSA, and a whole store.

python -m benchmarks.speech --source FOLDER_OF_FSDD [--files N] [--workers N]

Lyon and the package run on one core, in turn, so that other load slows both.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from spikeprep.data import Audio, Frames
from spikeprep.encoders import BSA
from spikeprep.encoding.run import encode
from spikeprep.recipes import load_recipe
from spikeprep.transforms import Lyon

ROUNDS = 5


def best(calls: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Return the seconds of the fastest of some calls of each, called in turn."""
    fastest = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            fastest[name] = min(fastest[name], time.perf_counter() - began)
    return fastest


def one_core() -> Callable[[], object]:
    """Keep this process on one core; return a function that releases it."""
    if not hasattr(os, "sched_setaffinity"):
        return lambda: None
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    return lambda: os.sched_setaffinity(0, cores)


def compare_lyon(sounds: list[Audio], figures: dict[str, float]) -> list[Frames]:
    """Compare Lyon's ear with the package on the same files, both on one core."""
    seconds_of_sound = sum(sound.samples.size / sound.rate for sound in sounds)
    transforms = {
        precision: Lyon(decimation=200, precision=precision) for precision in ("float64", "float32")
    }
    calls: dict[str, Callable[[], object]] = {
        name: lambda lyon=lyon: [lyon(sound) for sound in sounds]  # type: ignore[misc]
        for name, lyon in transforms.items()
    }
    values = {name: [lyon(sound).values for sound in sounds] for name, lyon in transforms.items()}  # compiles
    try:
        from lyon.calc import LyonCalc

        package = LyonCalc()
        calls["package"] = lambda: [package.lyon_passive_ear(s.samples, 12500, 200) for s in sounds]
        values["package"] = [package.lyon_passive_ear(s.samples, 12500, 200) for s in sounds]
    except (ImportError, OSError) as error:
        print(f"the package lyon does not run here ({error}): no comparison")
    release = one_core()
    seconds = best(calls)
    release()
    for name, spent in seconds.items():
        figures[f"lyon_{name}_times_real_time"] = seconds_of_sound / spent
    if "package" in values:
        for name in transforms:
            figures[f"lyon_{name}_speedup"] = seconds["package"] / seconds[name]
            figures[f"lyon_{name}_error"] = max(
                float(np.abs(a - b).max() / np.abs(b).max())
                for a, b in zip(values[name], values["package"], strict=True)
            )
    return [transforms["float64"](sound) for sound in sounds]


def bsa(cochleagrams: list[Frames], figures: dict[str, float]) -> None:
    """Time BSA on 1 s: 100 frames, held 10 steps each, of real speech."""
    frames = np.concatenate([cochleagram.values for cochleagram in cochleagrams])[:100]
    encoder = BSA()
    encoder.encode(frames)
    release = one_core()
    figures["bsa_milliseconds_per_1000_steps"] = 1e3 * best({"": lambda: encoder.encode(frames)}, 300)[""]
    release()
    figures["bsa_density"] = float(encoder(frames).mean())


GOALS = {
    "lyon_float64_speedup": ("≥ 3", "≥ 8"),
    "lyon_float32_speedup": ("", "≥ 15"),
    "bsa_milliseconds_per_1000_steps": ("≤ 1", "≤ 0.2"),
    "encode_seconds": ("≤ 20", "≤ 5"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True, help="folder of FSDD")
    parser.add_argument("--files", type=int, default=60, help="how many to compare with the package")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures: dict[str, float] = {}
    recipe = load_recipe("fsdd")
    source = recipe.build_source(options.source)
    number = min(options.files, source.splits()["train"])
    bsa(compare_lyon([source.read("train", n).signal for n in range(number)], figures), figures)
    with tempfile.TemporaryDirectory() as folder:
        summary = encode(
            recipe, Path(folder) / "fsdd.zarr", source_path=options.source, workers=options.workers
        )
        figures["encode_files"] = summary.encoded
        figures["encode_seconds"] = summary.seconds
        figures["store_bytes_per_sample"] = summary.bytes_per_sample
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        must, aim = GOALS.get(name, ("", ""))
        goal = ", ".join(f"{word} {goal}" for word, goal in (("must", must), ("aim", aim)) if goal)
        print(f"{name:36} {value:10.4g}   {goal}")


if __name__ == "__main__":
    main()
