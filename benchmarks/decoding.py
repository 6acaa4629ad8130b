"""How fast recordings are decoded on one core, compared with memory bandwidth and with other libraries.

python -m benchmarks.decoding [--events N] [--repeats N] [--peers]

Recordings are synthetic: events all over the sensor, two per microsecond, so that row, stamp and address rarely repeat;
``evt3 vectors`` has the runs along rows of a camera that sees edges. Three figures each, in the processor's seconds,
which depend less on other load than wall-clock time:

- ``kernel``: from bytes in the cache into a buffer of 32 768 events that is used again and again;
- ``walk``: a file in the page cache, read, decoded and checked, into such a buffer (`outline` does this);
- ``read``: the same into a new array for all events; much of it is the allocation of fresh pages.

The floor is the data that has to be moved: an event's bytes in the file, and the 16 bytes that are written. ``kernel``
is compared with copying as much within the cache, ``walk`` with copying it from memory into the cache, ``read`` with
writing zeros to as much fresh memory.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeprep.data import EVENT
from spikeprep.eventfiles import outline, read
from spikeprep.eventfiles.base import CHUNK, ByteDecoder, as_words
from spikeprep.registry import EVENT_FORMATS
from tests.eventfiles import writing

TILE = 1 << 15


def best(call: Callable[[], object], repeats: int) -> float:
    """Return the processor seconds of the fastest of some calls."""
    times = []
    for _ in range(repeats):
        began = time.thread_time()
        call()
        times.append(time.thread_time() - began)
    return min(times)


def scattered(count: int, size: tuple[int, int], per_us: float = 2.0) -> NDArray[Any]:
    """Return `count` random events all over a sensor."""
    rng = np.random.default_rng(0)
    t = np.arange(count) / per_us
    return writing.events_of(
        rng.integers(0, size[0], count), rng.integers(0, size[1], count), t, rng.integers(0, 2, count)
    )


def edges(words: int) -> bytes:
    """Return an EVT3 recording of runs along rows, 32 pixels each, a third of them events."""
    rng = np.random.default_rng(0)
    rows = words // 6
    bits = [(rng.random((rows, n)) < 0.3) @ (1 << np.arange(n)) for n in (12, 12, 8)]
    row = np.arange(rows)
    group = np.stack(
        [
            6 << 12 | row // 2 % 4096,
            rng.integers(0, 720, rows),
            3 << 12 | rng.integers(0, 2, rows) << 11 | rng.integers(0, 1248, rows),
            4 << 12 | bits[0],
            4 << 12 | bits[1],
            5 << 12 | bits[2],
        ],
        axis=1,
    ).astype("<u2")
    cuts = np.arange(0, rows, 8192)  # 4096 µs
    parts = [
        np.concatenate([np.array([8 << 12 | n & 0xFFF], "<u2"), group[c : c + 8192].ravel()])
        for n, c in enumerate(cuts)
    ]
    return writing.EVT3_HEADER.encode() + np.concatenate(parts).tobytes()


def recordings(count: int) -> dict[str, tuple[str, bytes]]:
    """Return name → extension and bytes."""
    small, davis, large = ((34, 34), (240, 180), (1280, 720))
    return {
        "nmnist": (".bin", writing.nmnist_bytes(scattered(count, small))),
        "aedat2": (".aedat", writing.aedat2_bytes(scattered(count, davis))),
        "dat": (".dat", writing.dat_bytes(scattered(count, davis))),
        "evt2": (".raw", writing.evt2_bytes(scattered(count, (640, 480)))),
        "evt3": (".raw", writing.evt3_bytes(scattered(count, large))),
        "evt3 vectors": (".raw", edges(count)),
        "es": (".es", writing.es_bytes(scattered(min(count, 1_000_000), davis))),
    }


def kernel(path: Path, name: str, repeats: int) -> tuple[float, int]:
    """Return seconds and events of decoding a buffer of the file, again and again."""
    with EVENT_FORMATS.get(name)().open(path) as decoder:
        assert isinstance(decoder, ByteDecoder)
        tile = np.empty(TILE, EVENT)
        decoder.fill(tile[:100])  # past the beginning, where the state is incomplete
        raw, state = decoder._buffer[decoder._low : decoder._high].copy(), decoder.state.copy()
        no_indices = np.empty(0, np.int64)
        counts: list[int] = []

        def decode() -> None:
            decoder.state[:], used, count = state, 0, 0
            while used < len(raw):
                records, events = decoder.decode(raw[used:], as_words(tile), no_indices, decoder.state)
                used, count = used + records * decoder.record, count + events
                if not records:
                    break
            counts.append(count)

        seconds = min(best(decode, 20) for _ in range(repeats))
        return seconds, counts[0]


def floors(repeats: int) -> dict[str, float]:
    """Return the bytes per second of the three copies that the figures are compared with."""
    inner, outer = np.ones(CHUNK, np.uint8), np.ones(1 << 27, np.uint8)
    target = np.ones(CHUNK, np.uint8)

    def copy_all() -> None:
        for start in range(0, outer.size, CHUNK):
            target[:] = outer[start : start + CHUNK]

    def allocate() -> None:
        np.empty(1 << 27, np.uint8)[:] = 0

    return {
        "kernel": 2 * CHUNK / best(lambda: np.copyto(target, inner), 100),
        "walk": 2 * outer.size / best(copy_all, repeats),
        "read": outer.size / best(allocate, repeats),
    }


def peers(path: Path, name: str) -> dict[str, Callable[[], int]]:
    """Return the other libraries that read a format: name → a call that returns the number of events."""
    calls: dict[str, Callable[[], int]] = {}
    if name in ("dat", "evt2", "evt3"):
        from expelliarmus import Wizard

        wizard = Wizard(encoding=name)
        calls["expelliarmus"] = lambda: len(wizard.read(str(path)))
    elif name in ("nmnist", "aedat2"):
        from tonic import io

        if name == "nmnist":
            calls["tonic"] = lambda: len(io.read_mnist_file(str(path), io.events_struct))
    return calls


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=4_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peers", action="store_true", help="time expelliarmus and tonic too")
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    limits = floors(options.repeats)
    figures["floor, GB/s"] = {name: round(rate / 1e9, 2) for name, rate in limits.items()}
    with tempfile.TemporaryDirectory() as folder:
        for label, (extension, data) in recordings(options.events).items():
            name = label.split()[0]
            path = Path(folder) / f"recording{extension}"
            path.write_bytes(data)
            count = len(read(path).array)
            moved = len(data) / count + EVENT.itemsize
            seconds, decoded = kernel(path, name, options.repeats)
            rates = {
                "kernel": decoded / seconds,
                "walk": count / best(lambda p=path: outline(p), options.repeats),  # type: ignore[misc]
                "read": count / best(lambda p=path: read(p), options.repeats),  # type: ignore[misc]
            }
            figures[label] = {"bytes per event": round(len(data) / count, 2)}
            for kind, rate in rates.items():
                least = limits[kind] / (EVENT.itemsize if kind == "read" else moved)
                figures[label][kind] = {
                    "M events/s": round(rate / 1e6, 1),
                    "times the floor": round(least / rate, 2),
                }
            for peer, call in peers(path, name).items() if options.peers else ():
                figures[label][peer] = {"M events/s": round(count / best(call, 2) / 1e6, 1)}
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
