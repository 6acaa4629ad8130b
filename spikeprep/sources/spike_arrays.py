"""The arrays of a file of spikes: HDF5, NumPy's .npz and .npy, or CSV, by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..array_files.arrays import Array, MemoryArray, is_array_file, open_arrays
from ..errors import DataError
from ..file_kinds import HEAD, is_text, kind_of
from ..input_files import InputFile
from .list_files import decode_text

_SEPARATOR = re.compile(r"\s*[,;\t|]\s*|\s+")
_SHOWN = 40  # characters of a line in a message
_TEXT_EXPANDS = 8  # times its bytes in memory, as lines


@dataclass
class SpikeArrays:
    """The arrays of a file by name.

    Attributes
    ----------
    by_name
        Path in the file, name in the archive, or name of the column → array.
    close
        Closes what is open.
    note
        What was decided from the data, in words that name no file; may be empty.
    """

    by_name: Mapping[str, Array]
    close: Callable[[], None]
    note: str = ""


def open_spike_arrays(file: InputFile) -> SpikeArrays:
    """Open a file; its beginning tells the format.

    Raises
    ------
    DataError
        It is of no format that is read, or damaged.
    CapabilityError
        It is HDF5, and h5py is not installed.
    """
    head = file.head(HEAD)
    if is_array_file(head):
        return _stored(file)
    if not head or not is_text(head):
        kind = kind_of(head)
        what = f"is {kind.name}" if kind else "is empty" if not head else "is of an unknown format"
        raise DataError(
            f"{file.path} {what}", "spikes in HDF5, .npz, .npy or CSV", f"{kind.fix}." if kind else ""
        )
    file.limits.check_bytes(f"{file.path}", file.length() * _TEXT_EXPANDS)
    file.stream.seek(0)
    columns, note = _csv(file.path, file.stream.read())
    return SpikeArrays(columns, _nothing, note)


def _nothing() -> None: ...


def _stored(file: InputFile) -> SpikeArrays:
    """Return the arrays of one axis of a file of arrays, and the columns of others."""
    opened = open_arrays(file)
    try:
        arrays: dict[str, Array] = {}
        note = ""
        for name, array in opened.by_name.items():
            if name and len(array.shape) == 1 and not array.dtype.names:
                arrays[name] = array
            elif isinstance(array, MemoryArray) and (not name or _has_columns(array)):
                columns, note = _columns(array.values, file.path)
                arrays |= {f"{name}/{column}" if name else column: a for column, a in columns.items()}
    except BaseException:
        opened.close()
        raise
    if not arrays:
        opened.close()
        raise DataError(
            f"{file.path} has no arrays of spikes", "arrays such as times and units", "Save them."
        )
    return SpikeArrays(arrays, opened.close, note)


def _has_columns(array: Array) -> bool:
    return len(array.shape) == 2 or bool(len(array.shape) == 1 and array.dtype.names)


def _columns(values: NDArray[Any], path: Path) -> tuple[dict[str, Array], str]:
    """Return the columns of a structured array, or of an array (spike, 2), and what was decided."""
    if values.dtype.names and values.ndim == 1:
        return {name: MemoryArray(values[name]) for name in values.dtype.names}, ""
    if values.ndim == 2 and 2 in values.shape and values.dtype.kind in "iuf":
        table = values if values.shape[1] == 2 else values.T
        return _pair(table[:, 0], table[:, 1])
    got = f"{path} has an array {values.dtype} {values.shape}"
    raise DataError(got, "(spike, 2) of unit and time, or fields of these names", "Save the spikes so.")


def _pair(first: NDArray[Any], second: NDArray[Any]) -> tuple[dict[str, Array], str]:
    """Return two columns without names as unit and time: the one with fractions is the time."""
    whole = [bool((np.rint(c) == c).all()) if c.dtype.kind == "f" else True for c in (first, second)]
    if whole == [False, True]:
        return {
            "time": MemoryArray(first),
            "unit": MemoryArray(second),
        }, "columns are time, unit, as the first has fractions"
    return {"unit": MemoryArray(first), "time": MemoryArray(second)}, "columns are unit, time"


def _csv(path: Path, data: bytes) -> tuple[dict[str, Array], str]:
    """Return the columns of lines of numbers, named by a first line, or unit and time."""
    text, _ = decode_text(path, data, "a CSV file", else_="cp1252")
    lines = [(n, line.strip()) for n, line in enumerate(text.splitlines(), 1)]
    lines = [(n, line) for n, line in lines if line and not line.lower().startswith("sep=")]
    names: list[str] = []
    while lines:
        line = lines[0][1]
        words = _SEPARATOR.split(line.lstrip("#% "))
        if not line.startswith(("#", "%")) and all(map(_is_number, words)):
            break
        named = [word.strip("\"' ") for word in words]
        names = named if len(named) > 1 else names
        lines.pop(0)
        if not line.startswith(("#", "%")):
            break
    if not lines:
        if len(names) > 1:
            return {name: MemoryArray(np.empty(0)) for name in names}, ""
        raise DataError(f"{path} has no lines of numbers", "a line per spike: unit,time", "Add them.")
    rows = [_SEPARATOR.split(line) for _, line in lines]
    width = len(names) if len(names) == len(rows[0]) else len(rows[0])
    for (number, line), row in zip(lines, rows, strict=True):
        if len(row) != width or not all(map(_is_number, row)):
            raise DataError(
                f"{path}: line {number} is {line[:_SHOWN]!r}",
                f"{width} numbers, as in the first line of numbers",
                "Correct or remove it.",
            )
    columns = [_numbers([row[k] for row in rows]) for k in range(width)]
    if len(names) == width:
        return {name: MemoryArray(column) for name, column in zip(names, columns, strict=True)}, ""
    if width != 2:
        raise DataError(
            f"{path} has {width} columns without names", "a first line such as unit,time", "Add it."
        )
    return _pair(*columns)


def _numbers(words: list[str]) -> NDArray[Any]:
    """Return numbers: whole ones exactly."""
    try:
        return np.array([int(word) for word in words], np.int64)
    except (ValueError, OverflowError):
        return np.array([float(word) for word in words])


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
