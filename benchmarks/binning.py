"""Speed of binning events, compared with tonic's ToFrame and numpy.histogramdd, on one core, in one run.

python -m benchmarks.binning [--source FOLDER_OF_NMNIST] [--events N] [--json]

Each starts with the recording in memory, an array of (x, y, t, p). `DVS` returns packed bits, ready to be stored,
ToFrame int16 frames, histogramdd float64 counts.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from spikeprep.data import EVENT, Events
from spikeprep.encoders import DVS
from spikeprep.eventfiles import read
from spikeprep.packing import pack

ROUNDS = 7
_LARGEST = 1 << 30  # bytes of a dense array that is computed


def best(calls: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Return the processor seconds of the fastest call of each, called in turn; slow ones are repeated less often."""
    fastest = dict.fromkeys(calls, float("inf"))
    spent = dict.fromkeys(calls, 0.0)
    for n in range(rounds):
        for name, call in calls.items():
            if n > 1 and spent[name] > 4:
                continue
            began = time.thread_time()
            call()
            took = time.thread_time() - began
            fastest[name], spent[name] = min(fastest[name], took), spent[name] + took
    return fastest


def each(call: Callable[[Events], object], recordings: list[Events]) -> None:
    """Call with each recording, without keeping the results."""
    for events in recordings:
        call(events)


def synthetic(count: int, width: int, height: int, duration: int) -> Events:
    """Return events of uniformly random pixels and polarities: no place is cached better than another."""
    rng = np.random.default_rng(0)
    events = np.zeros(count, EVENT)
    events["x"], events["y"] = rng.integers(0, width, count), rng.integers(0, height, count)
    events["t"], events["p"] = np.sort(rng.integers(0, duration, count)), rng.integers(0, 2, count)
    return Events((events,), (width, height), duration=duration)


def floor(events: Events, encoder: DVS) -> Callable[[], object]:
    """Return the minimum of work: read each event's 16 bytes, and write each byte of the bits."""
    words = events.array.view(np.int64)
    size = events.size[0] * events.size[1] * events.polarities * -(-encoder.describe(events).steps // 8)

    def touch() -> None:
        words.sum()
        np.zeros(size, np.uint8).fill(1)

    return touch


def compare(what: str, recordings: list[Events], bin_us: int, figures: dict[str, float]) -> None:
    """Bin recordings in each way, and add the times to `figures`."""
    encoder, first = DVS(bin_us=bin_us), recordings[0]
    steps = encoder.describe(first).steps
    units = first.size[0] * first.size[1] * 2
    floors = [floor(events, encoder) for events in recordings]
    calls: dict[str, Callable[[], object]] = {
        "dvs": lambda: each(encoder.encode, recordings),
        "floor": lambda: [touch() for touch in floors],
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from tonic.transforms import ToFrame
    except ImportError as error:
        print(f"tonic cannot be imported ({error}): no comparison with it")
    else:
        frames = ToFrame(sensor_size=(*first.size, 2), time_window=bin_us, include_incomplete=True)
        if 2 * steps * units <= _LARGEST:
            calls["tonic"] = lambda: each(lambda events: frames(events.array), recordings)
    if 8 * steps * units <= _LARGEST:
        calls["histogramdd"] = lambda: each(lambda events: histogram(events, encoder), recordings)
    bits = encoder.encode(first).bits  # compiled before it is timed
    if "histogramdd" in calls:
        assert (bits == pack((histogram(first, encoder) > 0).reshape(steps, units))).all()
    seconds, number = best(calls), sum(len(events.array) for events in recordings)
    for name, spent in seconds.items():
        figures[f"{what}_{name}_million_events_per_second"] = number / spent / 1e6
    for name in ("tonic", "histogramdd"):
        if name in seconds:
            figures[f"{what}_times_as_fast_as_{name}"] = seconds[name] / seconds["dvs"]
    figures[f"{what}_ratio_to_floor"] = seconds["dvs"] / seconds["floor"]


def histogram(events: Events, encoder: DVS) -> np.ndarray:
    """Count with numpy.histogramdd: float64 (time, polarity, row, column)."""
    steps, (width, height) = encoder.describe(events).steps, events.size
    sample = [events.array[axis] for axis in "tpyx"]
    stamps = encoder.binning(events).stamps(np.arange(steps + 1))
    edges = [stamps, *(np.arange(size + 1) for size in (2, height, width))]
    return np.histogramdd(sample, edges)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", help="folder of N-MNIST, with Train/")
    parser.add_argument("--events", type=int, default=10_000_000, help="of the synthetic recording")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    figures: dict[str, float] = {}
    if options.source:
        files = sorted(Path(options.source).glob("**/*.bin"))[:20]
        compare("nmnist_600us", [read(file) for file in files], 600, figures)
    for bins in (10_000, 1000):
        compare(f"640x480_{bins}us", [synthetic(options.events, 640, 480, 1_000_000)], bins, figures)
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        goal = "must ≥ 10, aim ≥ 50" if "as_tonic" in name else "aim ≥ 200" if "_dvs_" in name else ""
        print(f"{name:44} {value:10.4g}   {goal}")


if __name__ == "__main__":
    main()
