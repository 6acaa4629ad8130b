"""Mutated files of spikes: HDF5 in SHD's layout and NWB, NumPy's .npz and CSV; and mutated text of events."""

from __future__ import annotations

import gzip
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from spikeprep.data import Events
from spikeprep.eventfiles import read
from spikeprep.sources.spikes import Spikes

from ..sources.spike_files import indexed, nwb_file, shd_file
from .fuzzing import Target, both_lengths, check


def _written(write) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.npz")
        write(path)
        return path.read_bytes()


def _hdf5() -> list[bytes]:
    return [_written(lambda path: shd_file(path, 5)), _written(lambda path: nwb_file(path, 4))]


def _others() -> list[bytes]:
    csv = "unit,time\n" + "".join(f"{n % 9},{n / 100}\n" for n in range(40))
    arrays = [
        _written(lambda path, save=save: save(path, **indexed(5))) for save in (np.savez, np.savez_compressed)
    ]
    return [*arrays, csv.encode()]


def _recordings(data: bytes, folder: Path) -> object:
    source = Spikes(
        path=str(folder), units=20, label_array="stimulus" if b"stimulus" in data else "", test_share=0
    )
    if data.startswith((b"unit", b"1", b"0")):  # a file per recording
        folder = folder / "class"
        folder.mkdir()
    (folder / "a.npz").write_bytes(data)
    for split, count in source.splits().items():
        for n in range(count):
            _check(source.read(split, n).signal)
    return source.classes


def _check(signal: Events) -> None:
    t = signal.array["t"]
    assert (np.diff(t) >= 0).all()
    assert (signal.array["x"] < signal.size[0]).all()
    assert not len(t) or 0 <= t[0] <= t[-1] < signal.duration


def _texts() -> list[bytes]:
    lines = "".join(f"{n / 7:.6f} {n % 9} {n % 5} {n % 2}\n" for n in range(50))
    return [lines.encode(), gzip.compress(lines.encode(), mtime=0), lines.replace(" ", " , ").encode()]


def _events(data: bytes, folder: Path) -> object:
    (folder / "a.txt").write_bytes(data)
    events = read(folder / "a.txt", size=(9, 9), format="text", unit="s")
    _check(replace(events, duration=events.length()))
    return len(events.array)


TARGETS = [
    Target("spikes, HDF5", _hdf5, _recordings, 40),
    Target("spikes, NumPy and CSV", _others, _recordings),
    Target("events, text", _texts, _events),
]


@both_lengths(TARGETS)
def test_no_input_breaks_a_reader(target, count):
    check(target, count)
