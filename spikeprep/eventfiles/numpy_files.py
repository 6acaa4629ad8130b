"""NumPy's .npy and .npz: a structured array, an array (event, column), or an archive of four arrays."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .base import Decoder, InputFile
from .columns import ColumnDecoder, ColumnFormat, Columns, row_slices

_NPY, _NPZ = b"\x93NUMPY", b"PK\x03\x04"


class _Npy(ColumnDecoder):
    """A .npy file, mapped into memory."""

    def __init__(self, file: InputFile, form: ColumnFormat) -> None:
        stream: Any = file.stream
        stream.seek(0)
        try:
            shape, fortran, dtype = _header(stream)
            if dtype.hasobject:
                raise ValueError("it holds Python objects")
            offset, empty = stream.tell(), 0 in shape  # an empty file section cannot be mapped
            order: Literal["C", "F"] = "F" if fortran else "C"
            array = np.empty(shape, dtype) if empty else np.memmap(stream, dtype, "r", offset, shape, order)
        except Exception as error:  # a damaged header raises whatever Python's parser does
            raise DataError(
                f"{file.path} cannot be read ({error})",
                "a complete .npy file without objects",
                "Save it again.",
            ) from error
        self._array: NDArray[Any] = array
        self._keys = _keys(file.path, form, {"": array})[1]
        if array.flags.c_contiguous:
            self.first_row, self.stride = offset, array.strides[0]
        super().__init__(file, form)

    def _length(self) -> int:
        return len(self._array)

    def _columns(self, rows: slice) -> Columns:
        return _pick(np.asarray(self._array[rows]), self._keys)

    def _slices(self) -> Iterator[Columns]:
        return map(self._columns, row_slices(len(self._array)))

    def _row(self, index: int) -> Columns:
        return self._columns(slice(index, index + 1))

    def close(self) -> None:
        del self._array
        super().close()


def _header(stream: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, whether in Fortran order, and dtype of a .npy file; the stream is then at the data."""
    version = np.lib.format.read_magic(stream)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"version {version} of NumPy's format")
    return readers[version](stream)


class _Member:
    """One array of an archive, read sequentially, as it may be compressed."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.shape, fortran, self.dtype = _header(stream)
        if self.dtype.hasobject or (fortran and len(self.shape) > 1):
            raise ValueError(f"{self.dtype} {self.shape}{', in Fortran order' if fortran else ''}")
        self._stream = stream

    def read(self, count: int) -> NDArray[Any]:
        """Return the next `count` rows."""
        size = count * self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=np.int64))
        raw = self._stream.read(size)
        if len(raw) < size:
            raise EOFError(f"{len(raw)} of {size} bytes")
        return np.frombuffer(raw, self.dtype).reshape(count, *self.shape[1:])


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
        super().__init__(file, form)

    def _safely(self, call: Any) -> Any:
        try:
            return call()
        except Exception as error:  # as above, and the errors of zlib and zipfile
            raise DataError(
                f"{self.path} cannot be read ({error})",
                "a complete .npz file without objects",
                "Save it again.",
            ) from error

    def _members(self, stack: ExitStack, names: list[str]) -> dict[str, _Member]:
        def opened(name: str) -> _Member:
            return _Member(stack.enter_context(self._zip.open(name)))

        return {name: self._safely(lambda name=name: opened(name)) for name in names}

    def _length(self) -> int:
        return self._count

    def _slices(self) -> Iterator[Columns]:
        with ExitStack() as stack:
            members = self._members(stack, [f"{name}.npy" for name in self._names])
            for rows in row_slices(self._count):
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
