"""The arrays of a file of spikes: HDF5, NumPy's .npz and .npy, or CSV, by name."""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..eventfiles.hdf5_arrays import SIGNATURE, open_hdf5, stored_arrays
from ..file_kinds import HEAD, is_text, kind_of
from ..input_files import InputFile
from .list_files import decode_text

_NPY, _ZIP = b"\x93NUMPY", b"PK\x03\x04"
_SEPARATOR = re.compile(r"\s*[,;\t|]\s*|\s+")
_SHOWN = 40  # characters of a line in a message
_TEXT_EXPANDS = 8  # times its bytes in memory, as lines


class Array(Protocol):
    """An array of one axis, in memory or in a file."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of a number; object where the values are texts."""

    @property
    def ragged(self) -> bool:
        """Whether a value is an array of numbers."""

    @property
    def is_text(self) -> bool:
        """Whether the values are texts."""

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Name → what the file says of the array."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any) -> Any: ...

    def check(self) -> None:
        """Raise an error where the array cannot be read."""

    def all(self) -> NDArray[Any]:
        """Return all values."""


@dataclass(frozen=True)
class MemoryArray:
    """An array in memory."""

    values: NDArray[Any]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    ragged: bool = False

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of a number; object where the values are texts."""
        return np.dtype(object) if self.is_text else self.values.dtype

    @property
    def is_text(self) -> bool:
        """Whether the values are texts."""
        return self.values.dtype.kind in "SU"

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: Any) -> Any:
        return self.values[index]

    def check(self) -> None:
        """Do nothing: the array has been read."""

    def all(self) -> NDArray[Any]:
        """Return all values; texts as Python's."""
        if self.values.dtype.kind == "S":
            return np.array([value.decode(errors="replace") for value in self.values], object)
        return self.values.astype(object) if self.is_text else self.values


@dataclass
class Arrays:
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


def open_arrays(file: InputFile) -> Arrays:
    """Open a file; its beginning tells the format.

    Raises
    ------
    DataError
        It is of no format that is read, or damaged.
    CapabilityError
        It is HDF5, and h5py is not installed.
    """
    head = file.head(HEAD)
    if head.startswith(SIGNATURE):
        hdf5 = open_hdf5(file)
        try:
            return Arrays(stored_arrays(file, hdf5), hdf5.close)
        except BaseException:
            hdf5.close()
            raise
    if not head.startswith((_NPY, _ZIP)) and (not head or not is_text(head)):
        kind = kind_of(head)
        what = f"is {kind.name}" if kind else "is empty" if not head else "is of an unknown format"
        raise DataError(
            f"{file.path} {what}", "spikes in HDF5, .npz, .npy or CSV", f"{kind.fix}." if kind else ""
        )
    file.limits.check_bytes(f"{file.path}", file.length() * (1 if head.startswith(_ZIP) else _TEXT_EXPANDS))
    file.stream.seek(0)
    data = file.stream.read()
    if head.startswith(_ZIP):
        return Arrays(_npz(file, data), _nothing)
    if head.startswith(_NPY):
        values = _npy(data, f"{file.path}")
        columns, note = _columns(values, file.path)
        return Arrays(columns, _nothing, note)
    columns, note = _csv(file.path, data)
    return Arrays(columns, _nothing, note)


def _nothing() -> None: ...


def _npz(file: InputFile, data: bytes) -> dict[str, Array]:
    """Return the arrays of an archive; those of objects are never read."""
    arrays: dict[str, Array] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.infolist():
                if not member.filename.endswith(".npy"):
                    continue
                name = member.filename.removesuffix(".npy")
                what = f"{name} of {file.path}"
                file.limits.check_ratio(what, member.file_size, file.length())
                file.limits.check_bytes(what, member.file_size)
                values = _npy(archive.read(member), what)
                if values.ndim == 1 and not values.dtype.names:
                    arrays[name] = MemoryArray(values)
                elif values.ndim <= 2 and (values.dtype.names or values.ndim == 2):
                    columns, _ = _columns(values, file.path)
                    arrays |= {f"{name}/{column}": array for column, array in columns.items()}
    except DataError:
        raise
    except Exception as error:  # zipfile and zlib have many
        raise DataError(
            f"{file.path} cannot be read ({error})", "a complete .npz file", "Save it again."
        ) from error
    if not arrays:
        raise DataError(
            f"{file.path} has no arrays of spikes", "arrays such as times and units", "Save them."
        )
    return arrays


def _npy(data: bytes, what: str) -> NDArray[Any]:
    """Return the array of a .npy file; its header may state no more than there is."""
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, fortran, dtype = read[version](stream)
        if dtype.hasobject:
            raise ValueError("it holds Python objects, which are never read")
        size = math.prod(shape) * dtype.itemsize
        if not dtype.itemsize or size != len(data) - stream.tell():
            raise ValueError(f"{len(data) - stream.tell()} bytes, {size} as its header states")
        values = np.frombuffer(data, dtype, math.prod(shape), stream.tell())
        return values.reshape(shape, order="F" if fortran else "C")
    except Exception as error:  # a damaged header raises whatever Python's parser does
        fix = (
            "Save it again, of numbers; recordings of different lengths one after the other, with their ends."
        )
        raise DataError(f"{what} cannot be read ({error})", "an array of numbers", fix) from error


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
