"""Mutated event recordings of every format: an error of ours, or valid events."""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from spikeprep.data import EVENT
from spikeprep.eventfiles import scan

from ..eventfiles.test_formats import FORMS, Form, recording
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


@both_lengths(TARGETS)
def test_mutated_recordings(target, count):
    check(target, count)
