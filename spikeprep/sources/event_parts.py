"""Recordings in several NumPy files, as EVIMO2 has them: one sample each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..eventfiles.numpy_columns import part_files
from ..text import listed
from .labelled_files import Entry

_SHOWN = 3  # files in one finding


def joined(entries: Sequence[Entry]) -> tuple[list[Entry], list[str]]:
    """Return the files without those that ``…_t.npy`` stands for, and what deserves attention.

    In a folder of such a recording, other files of NumPy are no recordings: frames, depth, masks, poses.
    """
    firsts = [entry for entry in entries if entry.file.name.lower().endswith("_t.npy")]
    parts: dict[Path, set[Path]] = {}  # folder → the files of its recordings
    for entry in firsts:
        if others := part_files(entry.file):
            parts.setdefault(entry.file.parent, set()).update(others.values())
    if not parts:
        return list(entries), []
    kept: list[Entry] = []
    beside: list[str] = []
    for entry in entries:
        of_recordings = parts.get(entry.file.parent)
        if (
            of_recordings is None
            or entry.file.suffix.lower() not in (".npy", ".npz")
            or part_files(entry.file)
        ):
            kept.append(entry)
        elif entry.file not in of_recordings:
            beside.append(entry.id)
    findings = [f"left out, beside recordings in several files: {listed(beside, _SHOWN)}"] if beside else []
    return kept, findings
