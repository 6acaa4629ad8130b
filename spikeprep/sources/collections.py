"""Files of many recordings each: one, or one for each split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from ..errors import DataError, UsageError
from .class_names import check_classes, check_spellings, sorted_classes
from .group_splits import with_groups
from .labelled_files import Entry, LabelledFiles, Recording
from .labelled_source import LabelledSource
from .split_names import split_named

_NOT_WITH_MANY = ("test_list", "validation_list", "columns")  # settings that name files


def split_files(root: Path, files: Sequence[Path], fix: str = "Move one of them away.") -> dict[Path, str]:
    """Return file → its split, as its name says; one file alone may have any name, and then none.

    Raises `DataError` where a name says no split, or two files are of one; `fix` says what to do then.
    """
    if len(files) == 1:
        return {files[0]: ""}
    splits: dict[str, Path] = {}
    for file in files:
        split = split_named(file.stem)
        if split is None:
            got = f"{root} has {file.name} among {len(files)} files, whose name says no split"
            rename = f"Rename it, such as train{file.suffix}; or give one file as source=FILE."
            raise DataError(got, "train, valid or test in each name", rename)
        if split in splits:
            got = f"{root} has two files of the split {split}: {splits[split].name} and {file.name}"
            raise DataError(got, "one", fix)
        splits[split] = file
    return {file: split for split, file in splits.items()}


def labelled_entries(
    source: LabelledSource,
    collections: Mapping[Path, str],
    entries: Sequence[Entry],
    classes: Sequence[str] = (),
    findings: Sequence[str] = (),
) -> LabelledFiles:
    """Return the recordings of files of many, with their groups and classes.

    Parameters
    ----------
    source
        The source, whose settings choose among them.
    collections
        File → its split, empty where its name does not say one.
    entries
        The recordings.
    classes
        Names of the classes in their order, where the files state them.
    findings
        What deserves attention.

    Raises
    ------
    UsageError
        A setting names files.
    DataError
        A label is not among the names of classes that are given.
    """
    for setting in _NOT_WITH_MANY:
        if getattr(source, setting):
            got = f"got source.{setting}, and {source.path} has many recordings in a file"
            raise UsageError(got, "a folder or a table of files", "Leave it empty.")
    root = Path(source.path)
    entries = with_groups(entries, source.group_pattern) if source.group_pattern else list(entries)
    notes = []
    if list(collections.values()) == [""] and not any(e.split for e in entries) and source.test_share:
        grouped = any(e.group for e in entries)
        share = f"{source.test_share:.0%} of {'its groups' if grouped else 'each class'}"
        notes.append(f"{next(iter(collections)).name} is the only file: {share} are the test split")
    present = {entry.label for entry in entries}
    given = source.named_classes(root.parent if root.is_file() else root)
    if given:
        check_classes(present, given, source.path)
    else:
        findings = [*findings, *check_spellings(present, source.path)]
    return LabelledFiles(
        entries, given or tuple(classes) or sorted_classes(present), findings=findings, notes=notes
    )


def in_file_order(recordings: Sequence[Recording]) -> Sequence[Recording]:
    """Return recordings in the order of their files, where that mixes the classes: reading is then faster.

    Files that have their classes one after the other stay as they are.
    """
    in_order = sorted(recordings, key=lambda r: (r.file, r.interval or (), natural(r.member)))
    changes = sum(a.label != b.label for a, b in pairwise(in_order))
    return in_order if 2 * changes >= len(in_order) else recordings


def natural(name: str) -> tuple[int, str]:
    """Return what sorts names of numbers as numbers."""
    last = name.rpartition("/")[2]
    return (int(last), name) if last.isdecimal() and len(last) < 19 else (0, name)
