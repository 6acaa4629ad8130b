"""Files of series: read by their content, kept in memory, and found in folders of data sets."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from ..errors import DataError
from ..input_files import Limits, read_input
from ..text import listed
from .labelled_files import file_id, files_in, files_under
from .series_arrays import read_npy, read_npz
from .series_csv import read_csv
from .series_data import SeriesFile
from .series_hdf5 import read_hdf5
from .series_ts import read_ts
from .split_names import KNOWN_NAMES, split_named

SUFFIXES = (".npy", ".npz", ".csv", ".tsv", ".txt", ".h5", ".hdf5", ".hdf")
"""Endings of files of one series."""

COLLECTIONS = (".ts", ".npz", ".h5", ".hdf5", ".hdf")
"""Endings of files that may have many series with their labels."""

_MAGIC = {b"\x93NUMPY": ".npy", b"PK\x03\x04": ".npz", b"\x89HDF\r\n\x1a\n": ".hdf5"}
_HELD_BYTES = 512 << 20  # of series that were read last
_NAME = re.compile(r"(?P<problem>.*?)[_\-. ]*(?P<split>[A-Za-z]+)")  # PROBLEM_TRAIN


class SeriesReader:
    """Reads files of series, and holds those that were read last.

    Parameters
    ----------
    arrays
        What an array of a file means → its name, see `spikeprep.sources.series_arrays.ROLES`.
    time_axis
        ``"first"`` or ``"last"`` axis of a series in an array.
    limits
        What reading a file may take.
    """

    def __init__(self, arrays: Mapping[str, str], time_axis: str, limits: Limits) -> None:
        self._arrays, self._time_axis, self._limits = arrays, time_axis, limits
        self._held: OrderedDict[Path, SeriesFile] = OrderedDict()
        self._sha256: dict[Path, str] = {}
        self._lock = Lock()

    def read(self, path: Path) -> SeriesFile:
        """Return the series of a file; raises `DataError` where it cannot be read, or has changed since then."""
        with self._lock:
            if path in self._held:
                self._held.move_to_end(path)
                return self._held[path]
            content, self._sha256[path] = read_input(path, self._limits, self._sha256.get(path, ""))
            file = self._held[path] = self._decode(path, content)
            while sum(held.nbytes for held in self._held.values()) > _HELD_BYTES and len(self._held) > 1:
                self._held.popitem(last=False)
            return file

    def _decode(self, path: Path, content: bytes) -> SeriesFile:
        kind = next((kind for magic, kind in _MAGIC.items() if content.startswith(magic)), "")
        if kind == ".npy":
            return read_npy(path, content, self._time_axis, self._limits)
        if kind == ".npz":
            return read_npz(path, content, self._arrays, self._time_axis, self._limits)
        if kind == ".hdf5":
            return read_hdf5(path, content, self._arrays, self._time_axis, self._limits)
        if path.suffix.lower() in (".npy", ".npz", ".h5", ".hdf5", ".hdf"):
            raise DataError(
                f"{path} is no {path.suffix.lower()} file by its first bytes", "what its name says",
                "Fetch or save it again.",
            )  # fmt: skip
        return read_ts(path, content) if path.suffix.lower() == ".ts" else read_csv(path, content)


class SplitFile(NamedTuple):
    """A file of many series, and its split by its name; empty where the name has none."""

    split: str
    path: Path


def find_collections(path: str, problem: str) -> list[SplitFile]:
    """Return the files of many series that a path means: itself, or ``PROBLEM_TRAIN.ts`` and ``PROBLEM_TEST.ts``.

    In a folder, ``.ts`` files at any depth are of a data set and a split by their names, and archives (``train.npz``,
    ``gait_test.h5``) directly in it. None of them: an empty list.

    Parameters
    ----------
    path
        The file or folder.
    problem
        Name of the data set; empty: the only one that is there.

    Raises
    ------
    DataError
        The folder has several data sets, or not the one that is named; or two files of one split.
    """
    root = Path(path)
    if path and root.is_file():
        return [SplitFile("", root)] if root.suffix.lower() in COLLECTIONS else []
    if not path or not root.is_dir():
        return []
    archives = [file for file in files_in(root) if file.suffix.lower() in COLLECTIONS[1:] and file.is_file()]
    problems: dict[str, list[SplitFile]] = {}
    for file in (*files_under(root, COLLECTIONS[:1]), *archives):
        name = _NAME.fullmatch(file.stem)
        if name and (split := split_named(name["split"])):
            problems.setdefault(name["problem"], []).append(SplitFile(split, file))
    if problem and problem not in problems:
        raise DataError(
            f"{root} has no data set {problem!r}{_there(problems)}",
            f"{problem}_TRAIN.ts and {problem}_TEST.ts, at any depth",
            "Give the folder that has them as source=FOLDER.",
        )
    if not problem and len(problems) > 1:
        first = next(iter(problems))
        raise DataError(
            f"{root} has the data sets {listed([*map(repr, problems)])}",
            "one",
            f"Use source.problem={first}.",
        )
    chosen = problems[problem] if problem else next(iter(problems.values()), [])
    for n, (split, file) in enumerate(chosen):
        if same := next((other for other in chosen[:n] if other.split == split), None):
            raise DataError(
                f"{file_id(file, root)} and {file_id(same.path, root)} are both of the split {split}",
                f"one file per split ({KNOWN_NAMES})",
                "Give the folder of one of them as source=FOLDER.",
            )
    return chosen


def _there(problems: Sequence[str] | Mapping[str, object]) -> str:
    return f", but {listed([*map(repr, problems)])}" if problems else ""
