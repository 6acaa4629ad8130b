"""Series and their labels in files of their own: ``X_train.npy`` and ``y_train.npy``, or UCI HAR's folders of texts.

UCI HAR ("Human Activity Recognition Using Smartphones") has, for each split, ``train/y_train.txt``,
``train/subject_train.txt`` and a file per channel, ``train/Inertial Signals/body_acc_x_train.txt``, with a row per
series; ``activity_labels.txt`` names the classes. ``X_train.txt`` has features of these series, no series.
Source: Anguita et al. 2013, A public domain dataset for human activity recognition using smartphones, ESANN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..array_files.arrays import Array, MemoryArray
from ..array_files.npy import npy_array
from ..errors import DataError, printable
from ..input_files import Limits
from ..text import listed
from .labelled_files import files_in, is_hidden
from .series_arrays import role_named, several
from .series_data import SeriesFile
from .series_table_columns import TableSettings, as_classes
from .series_tables import form_of, read_series_table
from .series_text import TextColumns
from .split_names import split_named
from .table_columns import role_of

_SUFFIXES = (".npy", ".csv", ".tsv", ".txt")
_INERTIAL = "Inertial Signals"
_ACTIVITIES = "activity_labels.txt"
_HAR_RATE = 50.0  # Hz, says its README


@dataclass(frozen=True)
class SplitFile:
    """A file of many series, its split by its name (empty: none), and files that belong to it.

    Attributes
    ----------
    split, path
        The split, and the file.
    name
        Its name in ids, unlike those of other files of the data set; empty: the file's name.
    beside
        What a further file has, one of `spikeprep.sources.series_arrays.ROLES` or ``"classes"`` → the file.
    channels
        A file per channel, in place of `path`, which is their folder.
    """

    split: str
    path: Path
    name: str = ""
    beside: Mapping[str, Path] = field(default_factory=dict)
    channels: Sequence[Path] = ()


def find_pairs(root: Path) -> list[SplitFile]:
    """Return the files of values in a folder that have files of labels beside them; none of them: an empty list.

    They are in the folder itself, named by their splits (``X_train.npy``, ``train_labels.npy``), or in folders of
    splits (``train/X.npy``).

    Raises
    ------
    DataError
        Values have no labels, labels no values, or two files mean the same.
    """
    folders = {"": root}
    for folder in files_in(root):
        if folder.is_dir() and (split := split_named(folder.name)) and split not in folders:
            folders[split] = folder
    inertial = {split: folder for split, folder in folders.items() if (folder / _INERTIAL).is_dir()}
    found: dict[str, dict[str, Path]] = {}
    for of_folder, folder in folders.items():
        for file in files_in(folder):
            if file.suffix.lower() not in _SUFFIXES or is_hidden(file.name) or not file.is_file():
                continue
            role, split = role_named(file.stem)
            split = split or of_folder
            if not role or (role == "values" and split in inertial):
                continue
            if (other := found.setdefault(split, {}).setdefault(role, file)) != file:
                raise DataError(
                    f"{root} has {other.name} and {file.name}, both of the {role}{_of(split)}",
                    "one file for each",
                    "Move one of them away.",
                )
    for split, folder in inertial.items():
        found.setdefault(split, {})["values"] = folder / _INERTIAL
    pairs = {split: parts for split, parts in found.items() if {"values", "labels"} <= {*parts}}
    if not pairs:
        return []
    for split, parts in found.items():
        if split not in pairs and {"values", "labels"} & {*parts}:
            here, absent = ("values", "labels") if "values" in parts else ("labels", "values")
            raise DataError(
                f"{root} has {here}{_of(split)} in {parts[here].name}, and no {absent} of these",
                "both for every split",
                f"Add the {absent}, or move {parts[here].name} away.",
            )
    if len(pairs) > 1 and "" in pairs:
        raise DataError(
            f"{root} has {pairs['']['values'].name} beside files of splits",
            "files of splits, or one of values and one of labels",
            "Move the others away.",
        )
    return [_pair(root, split, parts) for split, parts in pairs.items()]


def _of(split: str) -> str:
    return f" of the split {split}" if split else ""


def _pair(root: Path, split: str, parts: Mapping[str, Path]) -> SplitFile:
    path = parts["values"]
    beside = {role: file for role, file in parts.items() if role != "values"}
    if not path.is_dir():
        name = path.name if path.parent == root else f"{split}/{path.name}"
        return SplitFile(split, path, printable(name), beside)
    channels = [file for file in files_in(path) if file.suffix.lower() == ".txt" and not is_hidden(file.name)]
    if not channels:
        raise DataError(f"{path} has no files", "a .txt file per channel", "Unpack the data set again.")
    if (root / _ACTIVITIES).is_file():
        beside["classes"] = root / _ACTIVITIES
    return SplitFile(split, path, split or printable(path.name), beside, channels)


def read_pair(
    file: SplitFile, read: Callable[[Path], bytes], tables: TableSettings, time_axis: str, limits: Limits
) -> SeriesFile:
    """Read values and what is beside them.

    Parameters
    ----------
    file
        The files.
    read
        Returns the bytes of one.
    tables
        What the user says of text files.
    time_axis
        ``"first"`` or ``"last"`` axis of a series in an array.
    limits
        What reading a file may take.

    Raises
    ------
    DataError
        A file cannot be read, or they do not fit each other.
    """
    content = b"" if file.channels else read(file.path)
    if not file.channels and file.path.suffix.lower() != ".npy":
        columns = TextColumns.of(file.path, content)
        if form_of(columns, tables) == "long":
            labels = file.beside["labels"]
            return read_series_table(file.path, content, tables, (labels, read(labels)))
    names: tuple[str, ...] = ()
    if file.channels:
        values = [_matrix(path, read(path)) for path in file.channels]
        if len({array.shape for array in values}) > 1:
            shapes = listed([f"{p.name} {a.shape}" for p, a in zip(file.channels, values, strict=True)], 9)
            got = f"{file.path} has files of {shapes}"
            raise DataError(got, "as many rows and columns in each", "Unpack it again.")
        limits.check_bytes(f"{file.path}", 8 * len(values) * int(np.prod(values[0].shape)))
        stacked = np.stack([array.all() for array in values], axis=2 if time_axis == "first" else 1)
        arrays: dict[str, Array] = {"X": MemoryArray(stacked)}
        names = tuple(printable(_channel(path, file.split)) for path in file.channels)
    elif file.path.suffix.lower() == ".npy":
        arrays = {"X": MemoryArray(npy_array(f"{file.path}", content))}
    else:
        arrays = {"X": _matrix(file.path, content)}
    roles = {"labels": "y", "groups": "groups", "splits": "split", "lengths": "lengths", "rate": "rate"}
    for role, path in file.beside.items():
        if role in roles:
            arrays[roles[role]] = _column(path, read(path), role)
    result = several(file.path, arrays, {}, time_axis, limits, _HAR_RATE if file.channels else 0.0)
    if "classes" in file.beside:
        result = _named_classes(result, file.beside["classes"], read)
    return replace(result, channels=names)


def _matrix(path: Path, content: bytes) -> Array:
    """Return the numbers of a text file (row, column)."""
    table = TextColumns.of(path, content)
    return MemoryArray(table.read(range(table.width), ())[0])


def _column(path: Path, content: bytes, role: str) -> Array:
    """Return one value per series: of a ``.npy`` file, or of the column of a text file."""
    if path.suffix.lower() == ".npy":
        return MemoryArray(npy_array(f"{path}", content))
    table = TextColumns.of(path, content)
    named = [
        n
        for n, name in enumerate(table.header)
        if role_of(name) == {"labels": "label", "groups": "group"}.get(role)
    ]
    if len(named) != 1 and table.width != 1:
        raise DataError(
            f"{path} has {table.width} columns{f': {listed([*table.header], 6)}' if table.header else ''}",
            f"one, of the {role}, or one such as label and one of the series, such as series_id",
            "Leave one there.",
        )
    _, (words,) = table.read((), [named[0] if len(named) == 1 else 0])
    if role in ("lengths", "rate"):
        return MemoryArray(
            table.read([named[0] if named else 0], ())[0][:, 0].astype(
                np.int64 if role == "lengths" else float
            )
        )
    return MemoryArray(np.array(as_classes(path, words) if role == "labels" else words, np.str_))


def _channel(path: Path, split: str) -> str:
    """Return a channel's name: of ``body_acc_x_train.txt`` body_acc_x."""
    stem, _, last = path.stem.rpartition("_")
    return stem if stem and split_named(last) == (split or None) else path.stem


def _named_classes(file: SeriesFile, path: Path, read: Callable[[Path], bytes]) -> SeriesFile:
    """Return series whose labels are names, from lines ``1 WALKING``."""
    table = TextColumns.of(path, read(path))
    if table.width != 2 or table.header:
        raise DataError(
            f"{path} has {table.width} columns", "a number and a name on each line", "Unpack it again."
        )
    _, (numbers, words) = table.read((), (0, 1))
    names = {str(number): printable(str(word)) for number, word in zip(numbers, words, strict=True)}
    if unknown := sorted({one.label for one in file.series} - {*names}):
        raise DataError(f"{path} has no name for the label {unknown[0]}", "one for each", "Unpack it again.")
    series = [replace(one, label=names[one.label]) for one in file.series]
    return replace(file, series=series, classes=tuple(names.values()))
