"""The arrays of a file by name, whatever its format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..input_files import InputFile
from . import hdf5, npy, npz


class Array(Protocol):
    """An array in memory or in a file; what is read of it is checked."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of its axes."""

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
        """Return all values; texts as an array of Python's."""


@dataclass(frozen=True)
class MemoryArray:
    """An array in memory."""

    values: NDArray[Any]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    ragged: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of its axes."""
        return self.values.shape

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
        return hdf5.texts(self.values) if self.is_text else self.values


@dataclass(frozen=True)
class ArrayFile:
    """The arrays of an open file.

    Attributes
    ----------
    by_name
        Path in the file, or name in the archive → array; a .npy file has one, of an empty name.
    attributes
        Name → what the file says of all of them.
    close
        Closes what is open beside the file itself.
    """

    by_name: Mapping[str, Array]
    attributes: Mapping[str, Any]
    close: Callable[[], None]


def is_array_file(head: bytes) -> bool:
    """Return whether a file that begins with `head` is for `open_arrays`; any ZIP archive may be one."""
    return head.startswith((npy.SIGNATURE, npz.SIGNATURE, hdf5.SIGNATURE))


def open_arrays(file: InputFile) -> ArrayFile:
    """Open a file of arrays; its first bytes tell the format. Arrays of HDF5 stay in the file, others are read.

    Raises
    ------
    DataError
        It is damaged, or beyond the limits, or an array holds Python objects, or leads to other files.
    CapabilityError
        It is HDF5, and h5py is not installed.
    """
    head = file.head()
    if head.startswith(hdf5.SIGNATURE):
        opened = hdf5.open_hdf5(file)
        try:
            return ArrayFile(hdf5.stored_arrays(file, opened), dict(opened.attrs), opened.close)
        except BaseException:
            opened.close()
            raise
    if head.startswith(npz.SIGNATURE):
        return ArrayFile(_of_archive(file), {}, _nothing)
    file.limits.check_bytes(f"{file.path}", file.length())
    header = npy.NpyHeader.read(f"{file.path}", file.head(npy.MAX_HEADER), file.length())
    file.stream.seek(0)
    return ArrayFile({"": MemoryArray(header.array(file.stream.read()))}, {}, _nothing)


@contextmanager
def opened_arrays(file: InputFile) -> Iterator[ArrayFile]:
    """Open a file of arrays for a block of code; the file itself stays open. Raises like `open_arrays`."""
    arrays = open_arrays(file)
    try:
        yield arrays
    finally:
        arrays.close()


def _of_archive(file: InputFile) -> dict[str, Array]:
    archive = npz.Npz(file)
    try:
        total = sum(archive.header(name).size for name in archive.names)
        file.limits.check_ratio(f"{file.path}", total, file.length())
        file.limits.check_bytes(f"{file.path}", total)
        return {name: MemoryArray(archive.read(name)) for name in archive.names}
    finally:
        archive.close()


def _nothing() -> None: ...
