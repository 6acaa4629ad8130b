"""NumPy's .npy and .npz: a structured array, an array with a column each, or an archive of four arrays."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .base import Decoder, head_of
from .columns import ColumnDecoder, ColumnFormat, Columns, rows

_NPY, _NPZ = b"\x93NUMPY", b"PK\x03\x04"


class _Npy(ColumnDecoder):
    """A .npy file, mapped into memory."""

    def __init__(self, path: Path, form: ColumnFormat) -> None:
        try:
            self._array = np.load(path, mmap_mode="r", allow_pickle=False)
        except Exception as error:  # a damaged header raises whatever Python's parser does
            raise DataError(
                f"{path} cannot be read ({error})", "a whole .npy file without objects", "Save it again."
            ) from error
        self._keys = _keys(path, form, {"": self._array})[1]
        if isinstance(self._array, np.memmap) and self._array.flags.c_contiguous:
            self.place, self.stride = self._array.offset, self._array.strides[0]
        super().__init__(path, form)

    def _length(self) -> int:
        return len(self._array)

    def _columns(self, part: slice) -> Columns:
        return _pick(np.asarray(self._array[part]), self._keys)

    def _slices(self) -> Iterator[Columns]:
        return map(self._columns, rows(len(self._array)))

    def _row(self, index: int) -> Columns:
        return self._columns(slice(index, index + 1))

    def close(self) -> None:
        del self._array


class _Member:
    """One array of an archive, read from its beginning on, as it may be compressed."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read is None:
            raise ValueError(f"version {version} of NumPy's format")
        self.shape, fortran, self.dtype = read(file)
        if self.dtype.hasobject or (fortran and len(self.shape) > 1):
            raise ValueError(f"{self.dtype} {self.shape}{', column after column' if fortran else ''}")
        self._file, self._path = file, path

    def read(self, count: int) -> NDArray[Any]:
        """Return the next `count` rows."""
        size = count * self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=np.int64))
        raw = self._file.read(size)
        if len(raw) < size:
            raise EOFError(f"{len(raw)} of {size} bytes")
        return np.frombuffer(raw, self.dtype).reshape(count, *self.shape[1:])


class _Npz(ColumnDecoder):
    """A .npz file, some rows of each array at a time."""

    def __init__(self, path: Path, form: ColumnFormat) -> None:
        self.path = path
        self._zip = self._safely(lambda: zipfile.ZipFile(path))
        with ExitStack() as stack:
            members = self._members(stack, [n for n in self._zip.namelist() if n.endswith(".npy")])
            named = {name.removesuffix(".npy"): member for name, member in members.items()}
            self._names, self._keys = _keys(path, form, named)
            self._count = named[self._names[0]].shape[0]
        super().__init__(path, form)

    def _safely(self, call: Any) -> Any:
        try:
            return call()
        except Exception as error:  # likewise, and zlib's and zipfile's own
            raise DataError(
                f"{self.path} cannot be read ({error})", "a whole .npz file without objects", "Save it again."
            ) from error

    def _members(self, stack: ExitStack, names: list[str]) -> dict[str, _Member]:
        def opened(name: str) -> _Member:
            return _Member(self.path, stack.enter_context(self._zip.open(name)))

        return {name: self._safely(lambda name=name: opened(name)) for name in names}

    def _length(self) -> int:
        return self._count

    def _slices(self) -> Iterator[Columns]:
        with ExitStack() as stack:
            members = self._members(stack, [f"{name}.npy" for name in self._names])
            for part in rows(self._count):
                count = part.stop - part.start
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
        self._coming = iter(())  # lets go of the arrays that are open
        self._zip.close()


Keys = dict[str, Any]


def _keys(path: Path, form: ColumnFormat, arrays: dict[str, Any]) -> tuple[list[str], Keys]:
    """Return the names of the arrays to read, and column → array, field or number of a column."""
    alone = [name for name, array in arrays.items() if len(array.shape) == 1 and not array.dtype.names]
    if found := form.find(alone):
        lengths = {name: arrays[name].shape[0] for name in found.values()}
        if len(set(lengths.values())) > 1:
            raise DataError(
                f"{path} has columns of different lengths: {lengths}",
                "as many values in each",
                "Save it again.",
            )
        return sorted(found.values()), dict(found)
    for name, array in arrays.items():
        if array.dtype.names and len(array.shape) == 1 and (found := form.find(array.dtype.names)):
            return [name], dict(found)
    for name, array in arrays.items():
        if form.columns and len(array.shape) == 2 and array.shape[1] == len(form.columns):
            return [name], {column: form.columns.index(column) for column in "xytp"}
    shown = "; ".join(f"{name} {a.dtype} {a.shape}".strip() for name, a in arrays.items())
    raise DataError(
        f"{path} has {shown or 'no arrays'}",
        "x, y, t and p as fields of one array, or as an array each",
        "Pass their names as x=…, y=…, t=…, p=…, or columns='xytp' for an array (event, column).",
    )


def _pick(array: NDArray[Any], keys: Keys) -> Columns:
    return {column: array[key] if isinstance(key, str) else array[:, key] for column, key in keys.items()}


@dataclass(frozen=True)
class NumpyFile(ColumnFormat):
    """NumPy's .npy and .npz, without objects; the sensor's size has to be given."""

    name: ClassVar[str] = "numpy"
    title: ClassVar[str] = "NumPy"
    extensions: ClassVar[tuple[str, ...]] = (".npy", ".npz")

    @classmethod
    def matches(cls, head: bytes) -> bool:
        """Return whether the file begins as .npy or .npz does."""
        return head.startswith((_NPY, _NPZ))

    def open(self, path: Path) -> Decoder:
        """Find the columns; see `EventFormat.open`."""
        return _Npz(path, self) if head_of(path, 4) == _NPZ else _Npy(path, self)
