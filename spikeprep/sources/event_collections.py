"""Which recordings of HDF5 files of many are samples: their classes, splits and groups."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import DataError, printable
from ..eventfiles.hdf5_collections import Hdf5Recordings, Member
from ..text import listed
from .collections import split_files
from .interval_folders import labels_of
from .labelled_files import Entry, files_in, has_ending, is_hidden
from .split_names import split_named

ENDINGS = (".h5", ".hdf5", ".hdf")
"""Endings of the names of files that may have many recordings."""

_LOOSE = "root"  # aertb's group for files that are in no folder of a class
_SHOWN = 3


def find_collections(path: str) -> dict[Path, str]:
    """Return file → its split, empty where its name does not say one; none where a path means other layouts.

    A path is one file, or a folder without folders that has one, or one for each split: ``TRAIN.h5``, ``TEST.h5``.
    """
    root = Path(path)
    if path and root.is_file():
        return {root: ""} if has_ending(root.name, ENDINGS) else {}
    if not path or not root.is_dir() or labels_of(root):
        return {}
    visible = [file for file in files_in(root) if not is_hidden(file.name) and not file.name.startswith("_")]
    files = [file for file in visible if has_ending(file.name, ENDINGS) and file.is_file()]
    if any(file.is_dir() for file in visible):
        return {}
    if len(files) > 1 and not all(split_named(file.stem) for file in files):
        return {}  # a recording each: a table lists them
    return split_files(root, files) if files else {}


def entries_of(
    file: Path, split: str, id_: str, recordings: Hdf5Recordings, base: str
) -> tuple[list[Entry], list[str]]:
    """Return the samples of a file, and what deserves attention.

    Parameters
    ----------
    file, split, id_
        The file, its split by its name, which may be empty, and its path inside the source.
    recordings
        The recordings in it.
    base
        The group that all of them are in.

    Raises
    ------
    DataError
        There are none; or classes or splits of some of them are not clear.
    """
    members = recordings.members
    if not members:
        raise DataError(
            f"{file} has no recordings of events{_there(recordings.others)}",
            "groups of recordings, such as CLASS/NAME, each with x, y, t and p",
            "Name the columns as source.options.x=…, y=…, t=… and p=…, or their order as "
            "source.options.columns=xytp.",
        )
    places = [_place(member, base) for member in members]
    loose = [n for n, (_, label) in enumerate(places) if label == _LOOSE and not members[n].label]
    findings = []
    if loose and len(loose) < len(members):
        findings.append(f"left out: {len(loose):,} recordings in {_LOOSE} of {file.name}, of no class")
    kept = [n for n in range(len(members)) if n not in set(loose) or len(loose) == len(members)]
    if recordings.others:
        findings.append(f"left out, as they are no events{_there(recordings.others)} of {file.name}")
    entries = []
    for n in kept:
        member, (above, label) = members[n], places[n]
        if not label or (len(loose) == len(members)):
            raise DataError(
                f"{file} has the recording {member.name} without a class, of {len(members):,}",
                "CLASS/NAME, SPLIT/CLASS/NAME, or a label of each recording",
                "Put the recordings of each class into a group, or add an attribute label; a single recording is a "
                "file in a folder of its class, or in a CSV file of path,label.",
            )
        stated = _split(file, member, member.split or above)
        if split and stated and split != stated:
            got = f"{file} has recordings of the split {stated}, and is of {split} by its name"
            raise DataError(got, "one split", "Rename the file.")
        id_of = f"{id_}@{printable(member.name)}"
        entries.append(Entry(split or stated, file, label, id_of, member.group, member=member.name))
    unsplit = [entry.member for entry in entries if not entry.split]
    if unsplit and len(unsplit) < len(entries):
        raise DataError(
            f"{file} has splits of some recordings only: {len(unsplit):,} have none, such as {unsplit[0]}",
            "of all or none",
            "Add them to the list of keys of a split, or remove them.",
        )
    return entries, findings


def _place(member: Member, base: str) -> tuple[str, str]:
    """Return the split and the label of a recording, by the groups around it and what it states; empty: none."""
    above = list(member.above[len(base.strip("/").split("/")) if base.strip("/") else 0 :])
    if member.label:
        return (above[0] if above and split_named(above[0]) else ""), member.label
    if len(above) == 1:
        return "", printable(above[0])
    if len(above) == 2 and split_named(above[0]):
        return above[0], printable(above[1])
    return "", ""


def _split(file: Path, member: Member, name: str) -> str:
    if not name:
        return ""
    split = split_named(name)
    if split is None:
        got = f"{file} has the recording {member.name} of the split {name!r}"
        raise DataError(got, "train, validation or test", "Rename it.")
    return split


def _there(others: Sequence[str]) -> str:
    return f": the data sets {listed(list(others), _SHOWN)}" if others else ""
