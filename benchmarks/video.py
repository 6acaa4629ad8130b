"""Videos into events: the kernel against the same model in NumPy, frame by frame, and MNIST as a camera sees it.

    python -m benchmarks.video --source MNIST

The NumPy model is the update that v2e publishes (Hu, Liu & Delbruck 2021): of each frame the change from the memorised
logarithm, floor of it over the threshold, and an array of events per level, here with times that are interpolated, and
sorted as spikeprep's are. Both run in one thread, in turns; the figures are seconds of the thread's processor, best and
median, so that other programs on the machine count less. Where eventify-dvs is installed it runs too. It compares each
frame with the one before, and so forgets what is left below a threshold, spaces events evenly, and does not sort: its
time with a sort of each pair's events by t is given as well.
"""

from __future__ import annotations

import argparse
import gzip
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeprep.data import EVENT, Video
from spikeprep.random import SampleKey
from spikeprep.transforms import Saccades, VideoToEvents

KEY = SampleKey(0, "train", 0)


def scene(rows: int, columns: int, frames: int, speed: float = 1.3) -> NDArray[np.uint8]:
    """A photo-like texture that moves by `speed` pixels a frame, under a disc that moves the other way by 3."""
    rng = np.random.default_rng(0)
    size = (rows + 2 * frames, columns + 2 * frames)
    texture = np.zeros(size)
    for octave in (4, 8, 16, 32, 64):
        coarse = rng.normal(size=(size[0] // octave + 2, size[1] // octave + 2))
        texture += octave * np.kron(coarse, np.ones((octave, octave)))[: size[0], : size[1]]
    texture = np.clip(120 + 40 * texture / texture.std(), 0, 255)
    y, x = np.mgrid[:rows, :columns]
    video = np.empty((frames, rows, columns), np.uint8)
    for n in range(frames):
        at = int(speed * n)
        video[n] = texture[at : at + rows, at : at + columns]
        video[n][(y - rows / 2) ** 2 + (x - columns + 3 * n) ** 2 < (rows / 5) ** 2] = 230
    return video


def numpy_events(video: Video, on: NDArray[np.float64], off: NDArray[np.float64]) -> NDArray[np.void]:
    """Return the events of the model without noise and refractory time, computed with whole frames."""
    table = np.array([v * np.log(20) / 20 if v <= 20 else np.log(v) for v in range(256)])
    frames, times = video.array, video.times
    before = table[frames[0]]
    memory, parts = before.copy(), []
    for n in range(1, len(frames)):
        after = table[frames[n]]
        change = after - memory
        counts = np.where(change > 0, np.floor(change / on), -np.floor(-change / off)).astype(np.int64)
        found = []
        for level in range(1, int(np.abs(counts).max(initial=0)) + 1):
            y, x = np.nonzero(np.abs(counts) >= level)
            up = counts[y, x] > 0
            crossed = memory[y, x] + level * np.where(up, on[y, x], -off[y, x])
            share = (crossed - before[y, x]) / (after[y, x] - before[y, x])
            events = np.empty(len(y), EVENT)
            events["x"], events["y"], events["p"] = x, y, up
            events["t"] = np.rint(times[n - 1] + share * (times[n] - times[n - 1]))
            found.append(events)
        memory += np.where(counts > 0, counts * on, counts * off)
        if found:
            joined = np.concatenate(found)
            parts.append(joined[np.lexsort((joined["x"], joined["y"], joined["t"]))])
        before = after
    return np.concatenate(parts)


def eventify_events(video: Video, by_time: bool) -> Callable[[], Any] | None:
    """Return a call of eventify-dvs on each pair of frames, sorted by t if asked; None where it is not installed."""
    try:
        from eventify.dvs import frame_to_event_tuples
    except ImportError:
        return None
    frames, times = video.array, video.times.tolist()

    def call() -> Any:
        pairs = zip(frames, frames[1:], times, times[1:], strict=False)
        found = [frame_to_event_tuples(a, b, start, stop, 0.2) for a, b, start, stop in pairs]
        return [events[np.argsort(events["t"], kind="stable")] for events in found] if by_time else found

    return call


def timed(calls: dict[str, Callable[[], Any]], repeat: int) -> dict[str, list[float]]:
    """Return the seconds of processor of each call, in turns, after a first one."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for n in range(repeat + 1):
        for name, call in calls.items():
            start = time.thread_time()
            call()
            if n:
                seconds[name].append(time.thread_time() - start)
    return seconds


def compare(rows: int, columns: int, count: int, speed: float, repeat: int) -> None:
    """Print the figures of one scene."""
    frames = scene(rows, columns, count, speed)
    video, still = Video.of(frames, 30), Video.of(frames[:1].repeat(len(frames), 0), 30)
    plain = VideoToEvents(refractory_us=0)
    noisy = VideoToEvents(cutoff_hz=300, leak_hz=0.1, noise_hz=1)
    on, off = plain.thresholds(columns, rows)
    events = plain(video).array
    reference = numpy_events(video, on, off)
    print(
        f"{columns} × {rows}, {'camera moves' if speed else 'camera at rest'}, {len(frames)} frames, "
        f"{len(events):,} events; NumPy {len(reference):,}"
    )
    calls: dict[str, Callable[[], Any]] = {
        "spikeprep": partial(plain, video),
        "spikeprep, dead time of 500 µs": partial(VideoToEvents(), video),
        "NumPy": partial(numpy_events, video, on, off),
        "spikeprep, filter, leak and noise": partial(noisy, video, rng=KEY),
        "spikeprep, nothing moves": partial(plain, still),
    }
    peers = {"NumPy"}
    for name, by_time in (("eventify-dvs", False), ("eventify-dvs, sorted", True)):
        if peer := eventify_events(video, by_time):
            calls[name] = peer
            peers.add(name)
    if len(peers) > 1:
        print(f"  eventify-dvs: {sum(map(len, calls['eventify-dvs']())):,} events")
    seconds = timed(calls, repeat)
    for name, of_call in seconds.items():
        best, median = min(of_call), statistics.median(of_call)
        per_frame = [1e3 * s / len(frames) for s in (best, median)]
        print(
            f"  {name:34s} {per_frame[0]:8.3f} ms per frame ({per_frame[1]:.3f} median), "
            f"{1e9 * best / frames.size:.2f} ns per pixel, {1e9 * best / max(len(events), 1):.0f} ns per event"
        )
    for name in sorted(peers):
        print(f"  {name} / spikeprep: {min(seconds[name]) / min(seconds['spikeprep']):.1f} ×")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", type=Path, help="folder of MNIST's files")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()

    for rows, columns, speed in ((260, 346, 1.3), (260, 346, 0.0), (720, 1280, 1.3), (720, 1280, 0.0)):
        compare(rows, columns, options.frames if rows < 500 else options.frames // 4, speed, options.repeat)
    if options.source:
        (file,) = options.source.rglob("t10k-images*.gz")
        pixels = np.frombuffer(bytearray(gzip.decompress(file.read_bytes())), np.uint8, offset=16)
        images = pixels.reshape(-1, 28, 28)[:200]
        move, model = Saccades(), VideoToEvents(on=1.1, off=1.1)
        videos = [move(image) for image in images]
        seconds = timed(
            {"saccades": lambda: [move(i) for i in images], "events": lambda: [model(v) for v in videos]},
            options.repeat,
        )
        for name, of_call in seconds.items():
            print(f"MNIST, {name}: {1e3 * min(of_call) / len(images):.3f} ms per image")


if __name__ == "__main__":
    main()
