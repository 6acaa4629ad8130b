"""How fast event recordings in text are read on one core, compared with pandas' and NumPy's readers of CSV.

python -m benchmarks.event_text [--events N] [--repeats N]

Recordings are synthetic, two events per microsecond all over a sensor of 240 × 180, in the layouts of the Event Camera
Dataset (``t x y p``, t in s with six or nine digits) and of Metavision (``x,y,p,t`` in µs). Figures are events per
second of the process's processor time, the best of some runs, files in the page cache: ``walk`` reads, parses and
checks all events piece by piece, as encoding does; ``read`` puts them into one array.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from spikeprep.eventfiles import open_events, read

SIZE = (240, 180)


def best(call: Callable[[], object], repeats: int) -> float:
    """Return the processor seconds, all threads of the process together, of the fastest of some calls."""
    seconds = []
    for _ in range(repeats):
        began = time.process_time()
        call()
        seconds.append(time.process_time() - began)
    return min(seconds)


def texts(count: int) -> dict[str, bytes]:
    """Return layout → the file's content."""
    rng = np.random.default_rng(0)
    t = np.arange(count) // 2
    x, y, p = (rng.integers(0, most, count) for most in (*SIZE, 2))
    rows = list(zip(t.tolist(), x.tolist(), y.tolist(), p.tolist(), strict=True))
    return {
        "x,y,p,t in µs": "".join(f"{x},{y},{p},{t}\n" for t, x, y, p in rows).encode(),
        "t x y p in s, 6 digits": "".join(f"{t / 1e6:.6f} {x} {y} {p}\n" for t, x, y, p in rows).encode(),
        "t x y p in s, 9 digits": "".join(f"{t / 1e6:.9f} {x} {y} {p}\n" for t, x, y, p in rows).encode(),
    }


def walk(path: Path) -> int:
    """Return the number of events, after they were read, parsed and checked."""
    return sum(map(len, open_events(path, size=SIZE, piece_events=1 << 15, format="text").pieces))


def main() -> None:
    """Print a line per layout and reader."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for layout, content in texts(given.events).items():
            plain, packed = Path(folder, "events.csv"), Path(folder, "events.csv.gz")
            plain.write_bytes(content)
            packed.write_bytes(gzip.compress(content, 1))
            separator = "," if layout.startswith("x,y") else " "

            readers: dict[str, Callable[[], object]] = {
                "walk": partial(walk, plain),
                "read": partial(read, plain, size=SIZE, format="text"),
                "walk, gzipped": partial(walk, packed),
            }
            with contextlib.suppress(ImportError):
                import pandas

                readers["pandas.read_csv"] = partial(pandas.read_csv, plain, sep=separator, header=None)
            least = given.events // 10
            readers["numpy.loadtxt"] = partial(
                np.loadtxt, plain, delimiter=separator.strip() or None, max_rows=least
            )
            assert len(read(plain, size=SIZE, format="text").array) == given.events
            for name, call in readers.items():
                events = least if name == "numpy.loadtxt" else given.events
                print(f"{layout:24} {name:16} {events / best(call, given.repeats) / 1e6:7.1f} M events/s")


if __name__ == "__main__":
    main()
