"""Files with labels, from a folder per class or a table, and their split where the data have none."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

from ..errors import DataError
from ..system import cores
from .base import file_sha256

SPLITS = ("train", "test")
_SHOWN = 5  # files in one message


@dataclass(frozen=True)
class Recording:
    """A file of a source: its split, its label, and its path inside the source."""

    split: str
    file: Path
    label: int
    id: str


@dataclass(eq=False)
class BadFile(Exception):
    """A file that cannot be used: its path inside the source, what is wrong, and the fix."""

    file: str
    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.file} {self.what}"


class Entry(NamedTuple):
    """A file as a folder or a table lists it; `split` is empty where neither states it."""

    split: str
    file: Path
    label: str
    id: str


@dataclass(frozen=True)
class LabelledFiles:
    """Files with labels, from a folder or a table.

    Attributes
    ----------
    entries
        The files.
    classes
        Names of the classes, sorted.
    bad
        Lines of the table that cannot be used.
    """

    entries: Sequence[Entry]
    classes: tuple[str, ...]
    bad: Sequence[BadFile] = ()

    def recordings(self, test_share: float, seed: int) -> list[Recording]:
        """Return the files, shuffled; of those without a split, a share of each class is test.

        A seeded hash of the id decides, so that the choice is the same on every machine.
        """
        recordings = []
        for label, name in enumerate(self.classes):
            members = [entry for entry in self.entries if entry.label == name]
            unassigned = sorted(
                (e.id for e in members if not e.split), key=lambda i: id_hash(seed, "split", i)
            )
            test = {*unassigned[: round(test_share * len(unassigned))]}
            recordings += [
                Recording(e.split or ("test" if e.id in test else "train"), e.file, label, e.id)
                for e in members
            ]
        return shuffled(recordings, seed)


def find_labelled_files(path: str, what: str, suffixes: Sequence[str]) -> LabelledFiles:
    """List the files of a folder per class, or of a table.

    The folder holds ``CLASS/…``, or ``train/CLASS/…`` and ``test/CLASS/…``; folders and files whose names begin with
    ``_`` or ``.`` are ignored. A CSV file has the columns ``path`` (or ``file``; relative to its own folder), ``label``
    and, where the data have a split, ``split`` (train or test).

    Parameters
    ----------
    path
        The folder or the table.
    what
        Plural noun for the files in messages, e.g. ``"images"``.
    suffixes
        Endings of their names; empty: any.

    Raises
    ------
    DataError
        There is no such folder, or it has no classes, or a class without files; or the table has other columns.
    """
    name = f"{what.upper().rstrip('S')}{suffixes[0] if suffixes else ''}"
    layout = f"CLASS/{name}, train/CLASS/{name} and test/CLASS/{name}, or a CSV file of path,label[,split]"
    ending = f"files ending in {' '.join(suffixes)}" if suffixes else "at least one file"
    root = Path(path)
    bad: list[BadFile] = []
    if path and root.is_file():
        entries, bad = _table(root)
    elif not path or not root.is_dir():
        raise DataError(f"no folder {path!r}", layout, f"Give the folder of the {what} as source=FOLDER.")
    else:
        entries = _class_folders(root, what, suffixes, ending)
    classes = tuple(sorted({entry.label for entry in entries}))
    if not classes and not bad:
        raise DataError(
            f"{path} has no class folders", f"{layout}; {ending}", f"Put each class's {what} in a folder."
        )
    return LabelledFiles(entries, classes, bad)


def _class_folders(root: Path, what: str, suffixes: Sequence[str], ending: str) -> list[Entry]:
    split_folders = {split: root / split for split in SPLITS if (root / split).is_dir()}
    entries = []
    for split, top in (split_folders if "train" in split_folders else {"": root}).items():
        for folder in sorted(top.iterdir()):
            if folder.is_dir() and not folder.name.startswith(("_", ".")):
                files = files_under(folder, suffixes)
                if not files and split != "test":
                    fix = f"Put the {what} of the class there, or remove the folder."
                    raise DataError(f"{folder} has no {what}", ending, fix)
                entries += [Entry(split, f, folder.name, f.relative_to(root).as_posix()) for f in files]
    return entries


def _table(table: Path) -> tuple[list[Entry], list[BadFile]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as lines:
            rows = list(csv.DictReader(lines))
    except (UnicodeDecodeError, csv.Error) as error:
        fix = "Give the folder of the recordings, or a table of them."
        raise DataError(f"{table} is not a CSV file ({error})", "lines of path,label[,split]", fix) from error
    columns = set(rows[0]) if rows else set()
    path = "path" if "path" in columns else "file"
    if not {path, "label"} <= columns:
        raise DataError(
            f"{table} has {f'the columns {sorted(map(str, columns))}' if rows else 'no rows'}",
            "a first line path,label or path,label,split, and a line per file",
            "Add the first line.",
        )
    entries: dict[Path, Entry] = {}
    bad = []
    for line, row in enumerate(rows, 2):
        id_, label, split = (row.get(key) or "" for key in (path, "label", "split"))
        file = table.parent / id_
        if not id_ or not label or ("split" in columns and split not in SPLITS):
            fix = "name path, label, and train or test"
            bad.append(BadFile(f"{table.name} line {line}", f"has {row}", fix))
        elif file in entries:
            bad.append(BadFile(f"{table.name} line {line}", f"names {id_} again", "keep one of the lines"))
        else:
            entries[file] = Entry(split, file, label, id_)
    return list(entries.values()), bad


R = TypeVar("R", bound=Recording)


def by_split(recordings: Iterable[R], limit: int | None = None) -> dict[str, list[R]]:
    """Return split → its recordings in their order, the first `limit`: train, then test, without empty splits."""
    splits: dict[str, list[R]] = {}
    for recording in recordings:
        splits.setdefault(recording.split, []).append(recording)
    return {split: splits[split][:limit] for split in SPLITS if split in splits}


def bad_files_error(path: str, bad: Sequence[BadFile], hint: str = "") -> DataError:
    """Return one error for all files that cannot be used; `hint` is added to their fixes."""
    shown = "; ".join(str(file) for file in bad[:_SHOWN])
    more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    fixes = "; ".join({file.fix: None for file in bad[:_SHOWN]})
    number = f"{len(bad)} of the files" if len(bad) > 1 else "one file"
    return DataError(f"{path}: {number} cannot be used: {shown}{more}", "", f"Fix: {fixes}. {hint}".strip())


def bad_files_note(bad: Sequence[BadFile]) -> str:
    """Return a note of the files that are left out; empty where there are none."""
    more = f", and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    return f"left out: {', '.join(map(str, bad[:_SHOWN]))}{more}" if bad else ""


def files_under(root: Path, suffixes: Sequence[str]) -> list[Path]:
    """Return the files below a folder whose names end in one of `suffixes` (empty: any), sorted.

    Hidden files and folders are ignored.
    """
    files = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files += [
            Path(folder, name)
            for name in names
            if not name.startswith(".") and (not suffixes or name.lower().endswith(tuple(suffixes)))
        ]
    return sorted(files)


def shuffled(recordings: Iterable[Recording], seed: int = 0) -> list[Recording]:
    """Return recordings in the order of a seeded hash of their ids, so that any range of them mixes the classes."""
    return sorted(recordings, key=lambda r: (id_hash(seed, "order", r.id), r.id))


def id_hash(seed: int, purpose: str, name: str) -> bytes:
    """Return a hash that chooses or orders files, the same on every machine."""
    return hashlib.blake2b(f"{seed}/{purpose}/{name}".encode(), digest_size=16).digest()


def files_digest(recordings: Iterable[Recording]) -> str:
    """Return one sha256 over the sha256 and id of every file; files are read in parallel."""
    with ThreadPoolExecutor(cores()) as pool:
        lines = pool.map(lambda r: f"{file_sha256(r.file)}  {r.id}\n", recordings, chunksize=64)
        return lines_digest(lines)


def lines_digest(lines: Iterable[str]) -> str:
    """Return one sha256 over lines in any order."""
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
