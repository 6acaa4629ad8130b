"""Files with labels, from a folder per class or a table, and their split where the data have none."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn, TypeVar

from ..errors import DataError, printable
from ..input_files import LIMITS, Limits, changed, read_input
from ..store.outputs import is_store
from ..system import cores
from .base import file_sha256

SPLITS = ("train", "test")
_SHOWN = 5  # files in one message
_TABLE_EXPANDS = 16  # times its bytes in memory: a mapping and a path for each line


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

    @classmethod
    def of(cls, recording: Recording, error: DataError) -> BadFile:
        """Return what an error says of a file, which names the file's path."""
        what = error.got.removeprefix(printable(str(recording.file))).lstrip(": ")
        expected = f" (expected {error.expected})" if error.expected else ""
        return cls(recording.id, what + expected, error.hint.rstrip("."))


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


def find_labelled_files(
    path: str, what: str, suffixes: Sequence[str], outside: bool = False, limits: Limits = LIMITS
) -> LabelledFiles:
    """List the files of a folder per class, or of a table.

    The folder holds ``CLASS/…``, or ``train/CLASS/…`` and ``test/CLASS/…``; folders and files whose names begin with
    ``_`` or ``.`` are ignored, and so are spike stores: one may be written beside the classes. A CSV file has the
    columns ``path`` (or ``file``; relative to its own folder), ``label`` and, where the data have a split, ``split``
    (train or test).

    Parameters
    ----------
    path
        The folder or the table.
    what
        Plural noun for the files in messages, e.g. ``"images"``.
    suffixes
        Endings of their names; empty: any.
    outside
        Whether a table may name files that are not below its own folder.
    limits
        What reading the table may take.

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
        entries, bad = _table(root, outside, limits)
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
        for folder in files_in(top):
            if folder.is_dir() and not folder.name.startswith(("_", ".")) and not is_store(folder):
                files = files_under(folder, suffixes)
                if not files and split != "test":
                    fix = f"Put the {what} of the class there, or remove the folder."
                    raise DataError(f"{folder} has no {what}", ending, fix)
                entries += [Entry(split, f, printable(folder.name), file_id(f, root)) for f in files]
    return entries


def _table(table: Path, outside: bool, limits: Limits) -> tuple[list[Entry], list[BadFile]]:
    content = read_input(table, limits).data
    limits.check_bytes(f"the table {table}", _TABLE_EXPANDS * len(content))
    try:
        rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))
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
    inside = _Inside(table.parent)
    for line, row in enumerate(rows, 2):
        id_, label, split = (row.get(key) or "" for key in (path, "label", "split"))
        file = table.parent / id_
        id_, label = printable(id_), printable(label)
        if not id_ or not label or ("split" in columns and split not in SPLITS):
            fix = "name path, label, and train or test"
            bad.append(BadFile(f"{table.name} line {line}", f"has {row}", fix))
        elif "\0" in str(file):
            bad.append(
                BadFile(f"{table.name} line {line}", f"names {id_}, which no file can have", "correct it")
            )
        elif file in entries:
            bad.append(BadFile(f"{table.name} line {line}", f"names {id_} again", "keep one of the lines"))
        elif not outside and not inside(file):
            fix = "list files below the table's folder, or allow others: use source.outside=true"
            bad.append(
                BadFile(f"{table.name} line {line}", f"names {id_}, which is not below {table.parent}", fix)
            )
        else:
            entries[file] = Entry(split, file, label, id_)
    return list(entries.values()), bad


class _Inside:
    """Tells whether files are below a folder, links resolved; folders are resolved once."""

    def __init__(self, folder: Path) -> None:
        self._top, self._folders = os.path.realpath(folder), dict[str, bool]()

    def __call__(self, file: Path) -> bool:
        try:
            if file.name == ".." or file.is_symlink():
                return self._holds(os.path.realpath(file))
            folder = os.path.dirname(file)
            if folder not in self._folders:
                self._folders[folder] = self._holds(os.path.realpath(folder))
            return self._folders[folder]
        except (OSError, ValueError):  # a name with a NUL, or one that is too long: reading it reports that
            return True

    def _holds(self, path: str) -> bool:
        return os.path.commonpath([self._top, path]) == self._top


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


def bad_files_findings(bad: Sequence[BadFile]) -> list[str]:
    """Return one text on the files that are left out; none where there are none."""
    more = f", and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    return [f"left out: {', '.join(map(str, bad[:_SHOWN]))}{more}"] if bad else []


def files_under(root: Path, suffixes: Sequence[str]) -> list[Path]:
    """Return the files below a folder whose names end in one of `suffixes` (empty: any), sorted.

    Hidden files and folders are ignored, and so are spike stores; raises `DataError` where a folder cannot be read.
    """
    files = []
    for folder, folders, names in os.walk(root, onerror=_unreadable_folder):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and not is_store(Path(folder, name))
        )
        files += [
            Path(folder, name)
            for name in names
            if not name.startswith(".") and (not suffixes or name.lower().endswith(tuple(suffixes)))
        ]
    return sorted(files)


def files_in(folder: Path) -> list[Path]:
    """Return the files and folders in a folder, sorted; raises `DataError` where it cannot be read."""
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        _unreadable_folder(error)


def _unreadable_folder(error: OSError) -> NoReturn:
    raise DataError(
        f"cannot read the folder {os.fsdecode(error.filename)} ({error.strerror})",
        "folders that can be read: what is in this one would be missing",
        "Change its permissions, or give another folder as source=FOLDER.",
    ) from error


def file_id(file: Path, root: Path) -> str:
    """Return a file's path inside a source, as a text that can be stored and shown."""
    return printable(file.relative_to(root).as_posix())


class SeenFiles:
    """The sha256 of each file as it was first read, by id: a file that has another one later is an error."""

    def __init__(self) -> None:
        self._sha256, self._lock = dict[str, str](), threading.Lock()

    def check(self, recording: Recording, sha256: str) -> None:
        """Record a digest, or compare it with the recorded one; raises `DataError` where they differ."""
        with self._lock:
            first = self._sha256.setdefault(recording.id, sha256)
        if first != sha256:
            raise changed(recording.file)

    def get(self, recording: Recording) -> str:
        """Return the digest; empty where the file was not read."""
        return self._sha256.get(recording.id, "")


def shuffled(recordings: Iterable[Recording], seed: int = 0) -> list[Recording]:
    """Return recordings in the order of a seeded hash of their ids, so that any range of them mixes the classes."""
    return sorted(recordings, key=lambda r: (id_hash(seed, "order", r.id), r.id))


def id_hash(seed: int, purpose: str, name: str) -> bytes:
    """Return a hash that chooses or orders files, the same on every machine."""
    return hashlib.blake2b(f"{seed}/{purpose}/{name}".encode(), digest_size=16).digest()


def files_digest(recordings: Iterable[Recording], seen: SeenFiles) -> str:
    """Return one sha256 over the sha256 and id of every file, and record them; files are read in parallel."""

    def line(recording: Recording) -> str:
        sha256 = file_sha256(recording.file)
        seen.check(recording, sha256)
        return f"{sha256}  {recording.id}\n"

    with ThreadPoolExecutor(cores()) as pool:
        return lines_digest(pool.map(line, recordings, chunksize=64))


def lines_digest(lines: Iterable[str]) -> str:
    """Return one sha256 over lines in any order."""
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
