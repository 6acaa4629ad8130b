"""NumPy's .npy and .npz: a structured array, an array (event, column), or an archive of four arrays."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..input_files import InputFile
from .base import Decoder
from .columns import ColumnDecoder, ColumnFormat, Columns, check_row, row_slices

_NPY, _NPZ = b"\x93NUMPY", b"PK\x03\x04"
_MAX_HEADER = 1 << 16  # bytes of a .npy file's header: NumPy itself refuses more than 10 000


class _Npy(ColumnDecoder):
    """A .npy file, read some rows at a time."""

    def __init__(self, file: InputFile, form: ColumnFormat) -> None:
        self.file, self.path = file, file.path
        try:
            self._array = _Header.read(file.head(_MAX_HEADER))
        except Exception as error:  # a damaged header raises whatever Python's parser does
            raise _damaged(file.path, error, "a complete .npy file without objects") from error
        stored = file.length() - self._array.begin
        if self._array.size > stored:
            raise DataError(
                f"{file.path} cannot be read: it is truncated, with {stored} bytes of events",
                f"{self._array.size}, as its header states",
                "Save it again.",
            )
        self._keys = _keys(file.path, form, {"": self._array})[1]
        check_row(file.path, self._array.row)
        if not self._array.by_column:
            self.first_row, self.stride = self._array.begin, self._array.row
        super().__init__(file, form)

    def _length(self) -> int:
        return self._array.shape[0]

    def _columns(self, rows: slice) -> Columns:
        array = self._array
        if not array.by_column:
            return _pick(array.rows(self._read(rows.start * array.row, rows.stop * array.row)), self._keys)
        columns = {}
        for column, key in self._keys.items():
            first = (int(key) * self._length() + rows.start) * array.dtype.itemsize
            raw = self._read(first, first + (rows.stop - rows.start) * array.dtype.itemsize)
            columns[column] = np.frombuffer(raw, array.dtype)
        return columns

    def _read(self, start: int, stop: int) -> bytes:
        self.file.stream.seek(self._array.begin + start)
        return self.file.stream.read(stop - start)

    def _slices(self, first: int = 0) -> Iterator[Columns]:
        return map(self._columns, row_slices(self._length(), row_bytes=self._array.row, first=first))

    def _row(self, index: int) -> Columns:
        return self._columns(slice(index, index + 1))


def _damaged(path: Path, error: Exception, expected: str) -> DataError:
    if isinstance(error, DataError):
        return error
    return DataError(f"{path} cannot be read ({error})", expected, "Save it again.")


@dataclass(frozen=True)
class _Header:
    """The header of a .npy file: its array, and where the data begin; raises various errors where it is damaged."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    by_column: bool
    begin: int

    @classmethod
    def read(cls, head: bytes) -> _Header:
        """Decode the first bytes of a file, `_MAX_HEADER` where it has as many."""
        stream = io.BytesIO(head)
        version = np.lib.format.read_magic(stream)
        readers = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        if version not in readers:
            raise ValueError(f"version {version} of NumPy's format")
        shape, fortran, dtype = readers[version](stream)
        if dtype.hasobject:
            raise ValueError("it holds Python objects")
        if not dtype.itemsize or any(side < 0 for side in shape):
            raise ValueError(f"{dtype} {shape}")
        return cls(shape, dtype, fortran and len(shape) > 1, stream.tell())

    @property
    def row(self) -> int:
        """Bytes of a row."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    @property
    def size(self) -> int:
        """Bytes of all rows."""
        return math.prod(self.shape) * self.dtype.itemsize

    def rows(self, raw: bytes) -> NDArray[Any]:
        """Return bytes as rows (row, …)."""
        return np.frombuffer(raw, self.dtype).reshape(-1, *self.shape[1:])


class _Member:
    """One array of an archive, read sequentially, as it may be compressed."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        head = stream.read(_MAX_HEADER)
        self.header = _Header.read(head)
        self.shape, self.dtype = self.header.shape, self.header.dtype
        if self.header.by_column:
            raise ValueError(f"{self.dtype} {self.shape}, in Fortran order")
        if self.header.begin + self.header.size > size:
            raise EOFError(f"{size} bytes, {self.header.begin + self.header.size} as its header states")
        self._ahead = head[self.header.begin :]
        self._stream = stream

    def skip(self, count: int) -> None:
        """Go past the first `count` rows; nothing was read before."""
        size = count * self.header.row
        if size > len(self._ahead):
            self._stream.seek(self.header.begin + size)
        self._ahead = self._ahead[size:]

    def read(self, count: int) -> NDArray[Any]:
        """Return the next `count` rows."""
        size = count * self.header.row
        raw, self._ahead = self._ahead[:size], self._ahead[size:]
        if len(raw) < size:
            raw += self._stream.read(size - len(raw))
        if len(raw) < size:
            raise EOFError(f"{len(raw)} of {size} bytes")
        return self.header.rows(raw)


class _Npz(ColumnDecoder):
    """A .npz file, read some rows of each array at a time."""

    def __init__(self, file: InputFile, form: ColumnFormat) -> None:
        self.file, self.path = file, file.path
        self._zip = self._safely(lambda: zipfile.ZipFile(file.stream))
        with ExitStack() as stack:
            members = self._members(stack, [n for n in self._zip.namelist() if n.endswith(".npy")])
            named = {name.removesuffix(".npy"): member for name, member in members.items()}
            self._names, self._keys = _keys(file.path, form, named)
            self._count = named[self._names[0]].shape[0]
            self._row_bytes = max(named[name].header.row for name in self._names)
        check_row(file.path, self._row_bytes)
        super().__init__(file, form)

    def _safely(self, call: Any) -> Any:
        try:
            return call()
        except Exception as error:  # as above, and the errors of zlib and zipfile
            raise _damaged(self.path, error, "a complete .npz file without objects") from error

    def _members(self, stack: ExitStack, names: list[str]) -> dict[str, _Member]:
        def opened(name: str) -> _Member:
            facts = self._zip.getinfo(name)
            if facts.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"{name} has compression {facts.compress_type}, which NumPy does not write")
            self.file.limits.check_ratio(f"{name} of {self.path}", facts.file_size, self.file.length())
            return _Member(stack.enter_context(self._zip.open(name)), facts.file_size)

        return {name: self._safely(lambda name=name: opened(name)) for name in names}

    def _length(self) -> int:
        return self._count

    def _slices(self, first: int = 0) -> Iterator[Columns]:
        with ExitStack() as stack:
            members = self._members(stack, [f"{name}.npy" for name in self._names])
            for rows in row_slices(self._count, row_bytes=self._row_bytes, first=first):
                if rows.start and first:
                    for member in members.values():
                        self._safely(lambda m=member, r=rows: m.skip(r.start))
                    first = 0
                count = rows.stop - rows.start
                arrays = {
                    name.removesuffix(".npy"): self._safely(lambda m=member, c=count: m.read(c))
                    for name, member in members.items()
                }
                if len(arrays) == 1:
                    yield _pick(next(iter(arrays.values())), self._keys)
                else:
                    yield {column: arrays[str(key)] for column, key in self._keys.items()}

    def _row(self, index: int) -> None:
        return None

    def close(self) -> None:
        self._remaining = iter(())  # closes the arrays that are open
        self._zip.close()
        super().close()


Keys = dict[str, Any]


def _keys(path: Path, form: ColumnFormat, arrays: dict[str, Any]) -> tuple[list[str], Keys]:
    """Return the names of the arrays to read, and column → array, field or column number."""
    one_dimensional = [
        name for name, array in arrays.items() if len(array.shape) == 1 and not array.dtype.names
    ]
    if columns := form.find(one_dimensional):
        lengths = {name: arrays[name].shape[0] for name in columns.values()}
        if len(set(lengths.values())) > 1:
            raise DataError(
                f"{path} has columns of different lengths: {lengths}",
                "as many values in each",
                "Save it again.",
            )
        return sorted(columns.values()), dict(columns)
    for name, array in arrays.items():
        if array.dtype.names and len(array.shape) == 1 and (columns := form.find(array.dtype.names)):
            return [name], dict(columns)
    for name, array in arrays.items():
        if form.columns and len(array.shape) == 2 and array.shape[1] == len(form.columns):
            return [name], {column: form.columns.index(column) for column in "xytp"}
    shown = "; ".join(f"{name} {a.dtype} {a.shape}".strip() for name, a in arrays.items())
    raise DataError(
        f"{path} has {shown or 'no arrays'}",
        "x, y, t and p as fields of one array, or as four arrays",
        "Pass their names as x=…, y=…, t=…, p=…, or columns='xytp' for an array (event, column).",
    )


def _pick(array: NDArray[Any], keys: Keys) -> Columns:
    return {column: array[key] if isinstance(key, str) else array[:, key] for column, key in keys.items()}


@dataclass(frozen=True)
class NumpyFile(ColumnFormat):
    """NumPy's .npy and .npz without objects; the sensor's size has to be given."""

    name: ClassVar[str] = "numpy"
    title: ClassVar[str] = "NumPy"
    extensions: ClassVar[tuple[str, ...]] = (".npy", ".npz")

    @classmethod
    def matches(cls, head: bytes) -> bool:
        """Return whether the file begins with the signature of .npy or .npz."""
        return head.startswith((_NPY, _NPZ))

    def decoder(self, file: InputFile) -> Decoder:
        """Find the columns; see `EventFormat.decoder`."""
        return _Npz(file, self) if file.head(4) == _NPZ else _Npy(file, self)
