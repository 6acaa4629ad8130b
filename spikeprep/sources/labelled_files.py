"""Files with labels, a folder per class or a table of them; and which are test where the data does not say."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

from ..errors import DataError, UsageError
from ..system import cores
from .base import file_sha256

SPLITS = ("train", "test")
_SHOWN = 5  # faults in one message


@dataclass(frozen=True)
class Recording:
    """A file that a source found: where it belongs, its class, and its name inside the source."""

    split: str
    file: Path
    label: int
    id: str


@dataclass(eq=False)
class Fault(Exception):
    """What is wrong with a file, and the hint."""

    file: str
    what: str
    hint: str

    def __str__(self) -> str:
        return f"{self.file} {self.what}"


class Entry(NamedTuple):
    """A file as a folder or a table has it; `split` is empty where neither says."""

    split: str
    file: Path
    label: str
    id: str


@dataclass(frozen=True)
class Found:
    """Files with labels, below a folder or in a table, and what is wrong with the table's lines.

    Attributes
    ----------
    entries, faults
        What was found.
    classes
        Names of the classes, sorted.
    """

    entries: Sequence[Entry]
    classes: tuple[str, ...]
    faults: Sequence[Fault] = ()

    def divided(self, test_share: float, seed: int) -> list[Recording]:
        """Return the files, mixed; of those that belong to no split a share of each class is test.

        A seeded hash of the id chooses, so that the choice is the same on every machine.
        """
        found = []
        for label, name in enumerate(self.classes):
            members = [entry for entry in self.entries if entry.label == name]
            loose = sorted((e.id for e in members if not e.split), key=lambda i: hashed(seed, "split", i))
            test = {*loose[: round(test_share * len(loose))]}
            found += [
                Recording(e.split or ("test" if e.id in test else "train"), e.file, label, e.id)
                for e in members
            ]
        return mixed(found, seed)


def find(path: str, what: str, suffixes: Sequence[str]) -> Found:
    """Find the files of a folder per class, or of a table.

    The folder holds ``CLASS/…``, or ``train/CLASS/…`` and ``test/CLASS/…``; folders and files whose names begin with
    ``_`` or ``.`` are passed over. A CSV file has the columns ``path`` (or ``file``; from its own folder on), ``label``
    and, where the data has its own split, ``split`` (train or test).

    Parameters
    ----------
    path
        The folder or the table.
    what
        What the files are called, e.g. ``"images"``.
    suffixes
        What their names end in; empty: anything.

    Raises
    ------
    DataError
        There is no such folder, or it has no classes, or a class without files; or the table has other columns.
    """
    name = f"{what.upper().rstrip('S')}{suffixes[0] if suffixes else ''}"
    layout = f"CLASS/{name}, train/CLASS/{name} and test/CLASS/{name}, or a CSV file of path,label[,split]"
    ending = f"files ending in {' '.join(suffixes)}" if suffixes else "at least one file"
    root = Path(path)
    faults: list[Fault] = []
    if path and root.is_file():
        entries, faults = _table(root)
    elif not path or not root.is_dir():
        raise DataError(f"no folder {path!r}", layout, f"Give the folder of the {what} as --source.")
    else:
        entries = _class_folders(root, what, suffixes, ending)
    classes = tuple(sorted({entry.label for entry in entries}))
    if not classes and not faults:
        raise DataError(
            f"{path} has no class folders", f"{layout}; {ending}", f"Put each class's {what} in a folder."
        )
    return Found(entries, classes, faults)


def _class_folders(root: Path, what: str, suffixes: Sequence[str], ending: str) -> list[Entry]:
    own = {split: root / split for split in SPLITS if (root / split).is_dir()}
    entries = []
    for split, top in (own if "train" in own else {"": root}).items():
        for folder in sorted(top.iterdir()):
            if folder.is_dir() and not folder.name.startswith(("_", ".")):
                files = files_under(folder, suffixes)
                if not files and split != "test":
                    hint = f"Put the {what} of the class there, or remove the folder."
                    raise DataError(f"{folder} has no {what}", ending, hint)
                entries += [Entry(split, f, folder.name, f.relative_to(root).as_posix()) for f in files]
    return entries


def _table(table: Path) -> tuple[list[Entry], list[Fault]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as lines:
            rows = list(csv.DictReader(lines))
    except (UnicodeDecodeError, csv.Error) as error:
        hint = "Give the folder of the recordings, or a table of them."
        raise DataError(f"{table} is no CSV file ({error})", "lines of path,label[,split]", hint) from error
    columns = set(rows[0]) if rows else set()
    path = "path" if "path" in columns else "file"
    if not {path, "label"} <= columns:
        raise DataError(
            f"{table} has {f'the columns {sorted(map(str, columns))}' if rows else 'no rows'}",
            "a first line path,label or path,label,split, and a line a file",
            "Add the first line.",
        )
    entries: dict[Path, Entry] = {}
    faults = []
    for line, row in enumerate(rows, 2):
        where, label, split = (row.get(key) or "" for key in (path, "label", "split"))
        file = table.parent / where
        if not where or not label or ("split" in columns and split not in SPLITS):
            faults.append(
                Fault(f"{table.name} line {line}", f"says {row}", "name path, label, and train or test")
            )
        elif file in entries:
            faults.append(Fault(f"{table.name} line {line}", f"names {where} again", "keep one of the lines"))
        else:
            entries[file] = Entry(split, file, label, where)
    return list(entries.values()), faults


R = TypeVar("R", bound=Recording)


def by_split(recordings: Iterable[R]) -> dict[str, list[R]]:
    """Return split → its recordings in their order: train, then test, and none that is empty."""
    found: dict[str, list[R]] = {}
    for recording in recordings:
        found.setdefault(recording.split, []).append(recording)
    return {split: found[split] for split in SPLITS if split in found}


def refusal(path: str, faults: Sequence[Fault], hint: str = "") -> DataError:
    """Return one error for all faults; `hint` is added to theirs."""
    shown = "; ".join(str(fault) for fault in faults[:_SHOWN])
    more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
    mends = "; ".join({fault.hint: None for fault in faults[:_SHOWN]})
    number = f"{len(faults)} of the files" if len(faults) > 1 else "one file"
    return DataError(f"{path}: {number} cannot be used: {shown}{more}", "", f"Mend: {mends}. {hint}".strip())


def left_out(faults: Sequence[Fault]) -> str:
    """Return a note of files that are left out; empty where there are none."""
    more = f", and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
    return f"left out: {', '.join(map(str, faults[:_SHOWN]))}{more}" if faults else ""


def files_under(root: Path, suffixes: Sequence[str]) -> list[Path]:
    """Return the files below a folder whose names end in one of `suffixes` (empty: any), sorted.

    Hidden files and folders are passed over.
    """
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            Path(folder, name)
            for name in names
            if not name.startswith(".") and (not suffixes or name.lower().endswith(tuple(suffixes)))
        ]
    return sorted(found)


def mixed(recordings: Iterable[Recording], seed: int = 0) -> list[Recording]:
    """Return recordings in the order of a seeded hash of their ids: any run of them mixes the classes."""
    return sorted(recordings, key=lambda r: (hashed(seed, "order", r.id), r.id))


def hashed(seed: int, purpose: str, name: str) -> bytes:
    """Return a hash by which to choose or order files, the same on every machine."""
    return hashlib.blake2b(f"{seed}/{purpose}/{name}".encode(), digest_size=16).digest()


def check_share(owner: str, test_share: float) -> None:
    """Raise `UsageError` unless `test_share` is one."""
    if not (isinstance(test_share, (int, float)) and 0 <= test_share < 1):
        raise UsageError(f"{owner}: got test_share {test_share!r}", "a share in [0, 1)")


def digest(recordings: Iterable[Recording]) -> str:
    """Return one sha256 over the sha256 and id of every file; files are read in parallel."""
    with ThreadPoolExecutor(cores()) as pool:
        lines = pool.map(lambda r: f"{file_sha256(r.file)}  {r.id}\n", recordings, chunksize=64)
        return digest_of(lines)


def digest_of(lines: Iterable[str]) -> str:
    """Return one sha256 over lines in any order."""
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
