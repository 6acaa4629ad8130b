"""Mutated event recordings of every format: an error of ours, or valid events."""

from __future__ import annotations

import io
import struct
import tempfile
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from spikeprep.data import EVENT
from spikeprep.errors import printable
from spikeprep.eventfiles import scan
from spikeprep.sources.events import EventFolder

from ..eventfiles.test_formats import FORMS, Form, recording
from ..sources.event_folders import aertb_file, torchneuromorphic_file
from .fuzzing import Target, both_lengths, check


def _valid(*forms: Form):
    def seeds() -> list[bytes]:
        with tempfile.TemporaryDirectory() as folder:
            return [
                form.put(Path(folder), recording(form, n, n)).read_bytes()
                for form in forms
                for n in (3, 40, 300)
            ]

    return seeds


def _read(form: Form):
    def read(data: bytes, folder: Path) -> object:
        path = folder / f"recording{form.suffix}"
        path.write_bytes(data)
        invalid = ("fail", "drop", "clip")[len(data) % 3]
        result = scan(path, **form.settings(invalid=invalid))
        events, (width, height) = result.read(), result.outline.size
        array = events.array
        assert array.dtype == EVENT
        assert len(array) == result.events
        assert (np.diff(array["t"], prepend=0) >= 0).all()
        assert (array["x"] < width).all()
        assert (array["y"] < height).all()
        assert (array["p"] < 2).all()
        assert events.length() == result.outline.duration
        return len(array)

    return read


def _zip_of(arrays: bytes, folder: Path) -> object:
    """Read an archive whose members are mutated, so that its own checksums hold."""
    names, size = "xytp", len(arrays) // 4
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for n, name in enumerate(names):
            archive.writestr(f"{name}.npy", arrays[n * size : (n + 1) * size])
    return _read(FORMS["npz"])(packed.getvalue(), folder)


def _members() -> list[bytes]:
    seeds = []
    for count in (3, 200):
        events = recording(FORMS["npz"], count)
        members = []
        for name in "xytp":
            stream = io.BytesIO()
            np.save(stream, events[name].astype(np.int64))
            members.append(stream.getvalue())
        seeds.append(b"".join(members))
    return seeds


def _packed_variables(variables: bytes, folder: Path) -> object:
    """Read a MATLAB file whose variables are mutated, and compressed then: zlib's checksum would hide the mutations."""
    data = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM"
    while variables:
        size = 8 + int.from_bytes(variables[4:8], "little")
        packed = zlib.compress(variables[:size], 1)
        data += struct.pack("<II", 15, len(packed)) + packed
        variables = variables[size:]
    return _read(FORMS["mat"])(data, folder)


def _variables() -> list[bytes]:
    return [data[128:] for data in _valid(FORMS["mat"])()]


def _in_several_files(arrays: bytes, folder: Path) -> object:
    """Read EVIMO2's files, each a third of the bytes."""
    size = len(arrays) // 3
    for n, name in enumerate(("t", "xy", "p")):
        (folder / f"recording_{name}.npy").write_bytes(arrays[n * size : (n + 1) * size])
    return _read(replace(FORMS["npy"], suffix="_t.npy"))(arrays[:size], folder)


def _several_files() -> list[bytes]:
    seeds = []
    for count in (3, 200):
        events = recording(FORMS["npy"], count)
        columns = [
            events["t"],
            np.stack([events["x"], events["y"]], 1).astype("<u4"),
            events["p"].astype("<i8"),
        ]
        parts = []
        for column in columns:
            stream = io.BytesIO()
            np.save(stream, column)
            parts.append(stream.getvalue())
        seeds.append(b"".join(parts))
    return seeds


def _collections() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.h5")
        first = torchneuromorphic_file(path, range(4), 3).read_bytes()
        return [first, aertb_file(path, each=2).read_bytes()]


def _collection(data: bytes, folder: Path) -> object:
    """Read all recordings of an HDF5 file."""
    (folder / "a.h5").write_bytes(data)
    source = EventFolder(path=str(folder / "a.h5"), size=(34, 34), skip_bad=len(data) % 2 == 0)
    for split, count in source.splits().items():
        for n in range(count):
            sample = source.read(split, n)
            assert printable(sample.id) == sample.id
            array = sample.signal.array
            assert (np.diff(array["t"], prepend=0) >= 0).all()
            assert (array["x"] < 34).all()
            assert (array["y"] < 34).all()
    return source.classes


def _targets() -> list[Target]:
    """One for each format and ending; inputs of all its variants."""
    readers: dict[tuple[str, str], list[Form]] = {}
    for form in FORMS.values():
        readers.setdefault((form.name, form.suffix), []).append(form)
    return [
        Target(f"{name} {suffix}", _valid(*forms), _read(forms[0]))
        for (name, suffix), forms in readers.items()
    ]


TARGETS = _targets()
TARGETS.append(Target("members of npz", _members, _zip_of))
TARGETS.append(Target("variables of mat", _variables, _packed_variables))
TARGETS.append(Target("npy in several files", _several_files, _in_several_files))
TARGETS.append(Target("HDF5 of many recordings", _collections, _collection, 40))


@both_lengths(TARGETS)
def test_mutated_recordings(target, count):
    check(target, count)
