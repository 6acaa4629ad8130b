"""Files with labels, their split where the data have none, and files that cannot be used."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn, TypeVar

from ..errors import DataError, printable
from ..input_files import changed
from ..store.outputs import is_store
from ..system import cores
from ..text import listed
from .base import file_sha256
from .split_names import SPLITS

_SHOWN = 5  # files in one message
_OF_SYSTEMS = ("thumbs.db", "ehthumbs.db", "desktop.ini")  # in lower case, as Windows leaves them in folders


@dataclass(frozen=True)
class Recording:
    """A sample in a file of a source.

    Attributes
    ----------
    split, file, label
        The split, the file and the number of the class.
    id
        The file's path inside the source; of an interval with its start and end: ``user01.aedat@8000-9000``, of one of
        many recordings in a file with its number: ``shd_train.h5@17``.
    group
        What no split cuts through, such as a speaker or a subject; empty where there is none.
    interval
        Start and end of the sample in µs of the file's own clock, half open; None: the whole file. Of one of many
        recordings in a file, its number and the next one.
    where
        The line of the table that lists it; empty where none does.
    member
        Name of the recording in its file, of many that a file has by name: the id ends in it, ``train.h5@cars/17``.
    """

    split: str
    file: Path
    label: int
    id: str
    group: str = ""
    interval: tuple[int, int] | None = None
    where: str = ""
    member: str = ""

    @property
    def file_id(self) -> str:
        """The file's path inside the source."""
        return _file_id(self)


@dataclass(eq=False)
class BadFile(Exception):
    """A file that cannot be used: its path inside the source, what is wrong, and the fix."""

    file: str
    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.file} {self.what}"

    @classmethod
    def of(cls, recording: Recording, error: DataError, path: str = "") -> BadFile:
        """Return what an error says of a file, which it names by the file's path, or by `path`."""
        what = error.got.removeprefix(path or printable(str(recording.file))).lstrip(": ")
        expected = f" (expected {error.expected})" if error.expected else ""
        return cls(recording.file_id, what + expected, error.hint.rstrip("."))


class Entry(NamedTuple):
    """A sample as a folder or a table lists it, see `Recording`; `split` is empty where neither states it."""

    split: str
    file: Path
    label: str
    id: str
    group: str = ""
    interval: tuple[int, int] | None = None
    where: str = ""
    member: str = ""

    @property
    def file_id(self) -> str:
        """The file's path inside the source."""
        return _file_id(self)


@dataclass(frozen=True)
class LabelledFiles:
    """Files with labels, from a folder or a table.

    Attributes
    ----------
    entries
        The files.
    classes
        Names of the classes, in label order.
    bad
        Lines of the table that cannot be used.
    findings
        What deserves the user's attention, one text each.
    notes
        What was decided from the data, one text each.
    """

    entries: Sequence[Entry]
    classes: tuple[str, ...]
    bad: Sequence[BadFile] = ()
    findings: Sequence[str] = ()
    notes: Sequence[str] = ()

    def recordings(self, test_share: float, seed: int) -> list[Recording]:
        """Return the files, shuffled; of those without a split, a share of each class is test.

        A seeded hash of the id decides, so that the choice is the same on every machine. Where there are groups, whole
        groups are chosen by theirs: a share of the groups of each class where every group is of one class, else a
        share of all groups, at least one.
        """
        unassigned = [entry for entry in self.entries if not entry.split]
        units: dict[Unit, str] = {}  # → its class
        least = mixed = 0
        for entry in unassigned:
            mixed |= units.setdefault(_unit(entry), entry.label) != entry.label
        if mixed:
            least = int(test_share > 0 and len(units) > 1)
            units = dict.fromkeys(units, "")
        drawn_from: dict[str, list[Unit]] = {}
        for unit in sorted(units, key=lambda unit: (id_hash(seed, "split", unit[0]), unit)):
            drawn_from.setdefault(units[unit], []).append(unit)
        test = {
            u for drawn in drawn_from.values() for u in drawn[: max(round(test_share * len(drawn)), least)]
        }
        labels = {name: label for label, name in enumerate(self.classes)}
        recordings = (
            Recording(e.split or ("test" if _unit(e) in test else "train"), e.file, labels[e.label], *e[3:])
            for e in self.entries
        )
        return shuffled(recordings, seed)


def cut_groups(recordings: Iterable[Recording]) -> list[str]:
    """Return one text on groups that are in more than one split, as data with splits of their own may have them."""
    splits: dict[str, set[str]] = {}
    for recording in recordings:
        if recording.group:
            splits.setdefault(recording.group, set()).add(recording.split)
    cut = sorted(group for group, of_group in splits.items() if len(of_group) > 1)
    return [f"in more than one split, as the data say: the groups {listed(cut)}"] if cut else []


Unit = tuple[str, bool]
"""What is of one split as a whole: the name of a group and True, or the id of a file that has none and False."""


def _unit(file: Entry | Recording) -> Unit:
    return (file.group, True) if file.group else (file.id, False)


class GroupNumbers:
    """The number of each recording's group, in the order of the groups' names; None where no recording has one.

    A recording without a group among others that have one is a group of its own.
    """

    def __init__(self, recordings: Sequence[Recording]) -> None:
        units = sorted({_unit(r) for r in recordings}) if any(r.group for r in recordings) else []
        self._numbers = {unit: number for number, unit in enumerate(units)}

    def __getitem__(self, recording: Recording) -> int | None:
        return self._numbers.get(_unit(recording))


R = TypeVar("R", bound=Recording)


def _file_id(sample: Recording | Entry) -> str:
    if sample.member:
        return sample.id.removesuffix(f"@{printable(sample.member)}")
    return sample.id.rpartition("@")[0] if sample.interval else sample.id


def by_split(recordings: Iterable[R], limit: int | None = None) -> dict[str, list[R]]:
    """Return split → its recordings in their order, the first `limit`, in the order of `SPLITS`, without empty ones."""
    splits: dict[str, list[R]] = {}
    for recording in recordings:
        splits.setdefault(recording.split, []).append(recording)
    return {split: splits[split][:limit] for split in SPLITS if split in splits}


def bad_files_error(path: str, bad: Sequence[BadFile], hint: str = "") -> DataError:
    """Return one error for all files that cannot be used; `hint` is added to their fixes."""
    shown = "; ".join(str(file) for file in bad[:_SHOWN])
    more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    fixes = "; ".join({file.fix: None for file in bad[:_SHOWN]})
    end = "" if fixes.endswith("?") else "."
    number = f"{len(bad)} of the files" if len(bad) > 1 else "one file"
    return DataError(
        f"{path}: {number} cannot be used: {shown}{more}", "", f"Fix: {fixes}{end} {hint}".strip()
    )


def bad_files_findings(bad: Sequence[BadFile]) -> list[str]:
    """Return one text on the files that are left out; none where there are none."""
    more = f", and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    return [f"left out: {', '.join(map(str, bad[:_SHOWN]))}{more}"] if bad else []


def files_under(root: Path, suffixes: Sequence[str]) -> list[Path]:
    """Return the files below a folder whose names end in one of `suffixes` (empty: any), sorted.

    Hidden files and folders are ignored, and so are spike stores and what Windows adds, such as ``Thumbs.db``; raises
    `DataError` where a folder cannot be read.
    """
    files = []
    for folder, folders, names in os.walk(root, onerror=_unreadable_folder):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and not is_store(Path(folder, name))
        )
        files += [Path(folder, name) for name in names if not is_hidden(name) and has_ending(name, suffixes)]
    return sorted(files, key=lambda file: file.parts)  # compared faster than paths


def is_hidden(name: str) -> bool:
    """Whether a file is not for its users, by its name: ``.DS_Store``, ``Thumbs.db``."""
    return name.startswith(".") or name.lower() in _OF_SYSTEMS


def has_ending(name: str, suffixes: Sequence[str]) -> bool:
    """Whether a file's name ends in one of `suffixes`, in any case (empty: any)."""
    return not suffixes or name.lower().endswith(tuple(suffixes))


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
