"""How fast recordings are written and converted on one core, compared with other libraries.

python -m benchmarks.writing [--events N] [--repeats N] [--peers]

Recordings are synthetic, two events per microsecond: ``scattered`` all over a sensor of 1280 × 720, and ``edges``, in
which neighbours along a row have one time, as a camera that sees edges has them. Figures are million events per second
of the process's processor time, the best of some runs: ``write`` checks and encodes events in memory and writes them to
a file; ``convert`` reads the file of scattered events in AEDAT 4 and writes another. Peers write the same events,
unchecked, each from arrays in its own form; what dv-processing needs, an event at a time, is not counted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.decoding import scattered
from benchmarks.event_text import best
from spikeprep.data import Events
from spikeprep.eventfiles import open_events, write
from spikeprep.eventfiles.writing import writable_formats
from tests.eventfiles.writing import events_of

SIZE = (1280, 720)
FEW = 500_000
"""Events that dv-processing and pandas write."""


def edges(count: int) -> NDArray[Any]:
    """Return events in runs of 8 neighbours along a row, a third of the pixels between them."""
    rng = np.random.default_rng(0)
    runs = -(-count // 8)
    x = rng.integers(0, SIZE[0] - 32, runs)[:, None] + np.sort(
        rng.permuted(np.tile(np.arange(24), (runs, 1)), axis=1)[:, :8]
    )
    y, p = (np.repeat(rng.integers(0, most, runs), 8) for most in (SIZE[1], 2))
    return events_of(x.ravel()[:count], y[:count], np.repeat(4 * np.arange(runs), 8)[:count], p[:count])


def peers(name: str, events: NDArray[Any], path: Path) -> dict[str, tuple[int, Callable[[], object]]]:
    """Return other libraries that write a format: name → how many of the events, and a call that writes them."""
    calls: dict[str, tuple[int, Callable[[], object]]] = {}
    with contextlib.suppress(ImportError):
        if name in ("dat", "evt2", "evt3"):
            from expelliarmus import Wizard

            wizard, table = (
                Wizard(encoding=name),
                np.empty(len(events), [("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "u1")]),
            )
            for field in "txyp":
                table[field] = events[field]
            calls["expelliarmus"] = len(events), lambda: wizard.save(str(path), table)
    with contextlib.suppress(ImportError):
        if name in ("dat", "evt2", "evt3", "aedat4", "text"):
            import faery

            rows = np.empty(len(events), faery.EVENTS_DTYPE)
            for ours, theirs in zip("txyp", ("t", "x", "y", "on"), strict=True):
                rows[theirs] = events[ours]
            stream = faery.events_stream_from_array(rows, SIZE)
            version = {"dat": "dat2", "evt2": "evt2", "evt3": "evt3"}.get(name)
            calls["faery"] = len(events), lambda: stream.to_file(path, version=version)
    with contextlib.suppress(ImportError):
        if name == "aedat4":
            import dv_processing as dv

            store = dv.EventStore()
            for x, y, t, p in events[:FEW].tolist():
                store.push_back(t, x, y, bool(p))

            def save() -> None:
                config = dv.io.MonoCameraWriter.EventOnlyConfig("camera", SIZE, dv.CompressionType.LZ4)
                writer = dv.io.MonoCameraWriter(str(path), config)
                writer.writeEvents(store)
                del writer  # writes the table

            calls["dv-processing"] = len(events[:FEW]), save
    with contextlib.suppress(ImportError):
        if name == "text":
            import pandas

            frame = pandas.DataFrame({field: events[field][:FEW] for field in "xypt"})
            calls["pandas"] = len(frame), lambda: frame.to_csv(path, header=False, index=False)
    with contextlib.suppress(ImportError):
        if name == "hdf5":
            import h5py

            columns = {field: np.ascontiguousarray(events[field]) for field in "xytp"}

            def save_columns() -> None:
                with h5py.File(path, "w") as file:
                    for field, values in columns.items():
                        file.create_dataset(
                            f"events/{field}",
                            data=values,
                            chunks=(1 << 16,),
                            compression="gzip",
                            compression_opts=1,
                            shuffle=True,
                        )

            calls["h5py, the same columns"] = len(events), save_columns
    return calls


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=4_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--peers", action="store_true", help="time the other libraries that are installed too"
    )
    options = parser.parse_args()
    recordings = {"scattered": scattered(options.events, SIZE), "edges": edges(options.events)}
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source.aedat4"
        write(source, Events.of(recordings["scattered"], SIZE))
        for name, writer in writable_formats().items():
            path = Path(folder) / f"a{writer.extensions[0]}"
            for kind, events in recordings.items():
                recording = Events.of(events, SIZE)
                written = write(path, recording, format=name, overwrite=True)

                def again(path: Path = path, recording: Events = recording, name: str = name) -> None:
                    write(path, recording, format=name, overwrite=True)

                rate = len(events) / best(again, options.repeats) / 1e6
                row = {
                    "bytes per event": round(written.bytes / len(events), 2),
                    "write": round(rate, 1),
                    "MB/s": round(rate * written.bytes / len(events)),
                }
                if kind == "scattered":

                    def converted(path: Path = path, name: str = name) -> None:
                        write(path, open_events(source), format=name, overwrite=True)

                    seconds = best(converted, 2)
                    row["convert"] = round(len(events) / seconds / 1e6, 1)
                for peer, (count, call) in peers(name, events, path).items() if options.peers else ():
                    row[peer] = round(count / best(call, 2) / 1e6, 1)
                figures[f"{name} {kind}"] = row
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
