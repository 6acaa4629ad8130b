"""The arrays of an HDF5 file, read with h5py."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CapabilityError, DataError
from ..input_files import InputFile
from .hdf5_checks import CheckedHeaps, Chunk, check_chunks, check_contents, check_data, with_cache
from .slices import row_slices

_BLOCKS = 16  # MiB of a file that are kept in memory: columns and samples lie far apart
SIGNATURE = b"\x89HDF\r\n\x1a\n"


def stored_array(path: Path, name: str) -> NDArray[Any]:
    """Return an array of a file; raises `OSError` or `KeyError` where there is none."""
    import h5py

    with h5py.File(path, "r") as file:
        array: NDArray[Any] = file[name][()]
        return array


def open_hdf5(file: InputFile) -> Any:
    """Open a file with h5py, by its stream: bytes are checked as they are read.

    Raises
    ------
    CapabilityError
        h5py is not installed.
    DataError
        It is no HDF5 file, or something in it leads to other files.
    """
    try:
        import h5py
    except ImportError as error:
        raise CapabilityError(
            f"{file.path} is HDF5, and h5py is not installed", "", "Install spikeprep[events]."
        ) from error
    file.stream.most_blocks = _BLOCKS
    checked = CheckedHeaps(file)
    try:
        hdf5 = h5py.File(checked, "r")
    except Exception as error:  # the stream's own error may hide in h5py's
        raise damaged(file, error, "an HDF5 file") from error
    try:
        checked.length_bytes = hdf5.id.get_create_plist().get_sizes()[1]
        check_contents(file.path, hdf5)
    except BaseException as error:
        hdf5.close()
        if isinstance(error, DataError) or not isinstance(error, Exception):
            raise
        raise damaged(file, error, "an undamaged HDF5 file") from error
    return hdf5


def damaged(file: InputFile, error: Exception, expected: str = "") -> DataError:
    """Return the error for a file that h5py cannot read."""
    return file.stream.error or DataError(
        f"{file.path} cannot be read ({error})", expected, "Fetch it again."
    )


class StoredArray:
    """An array of an HDF5 file, of numbers, texts, or arrays of numbers of different lengths.

    Attributes
    ----------
    shape
        Lengths of its axes.
    dtype
        Of a number; object where the values are texts.
    ragged
        Whether a value is an array of numbers (HDF5's variable length).
    attributes
        Name → value.
    """

    def __init__(self, file: InputFile, data: Any) -> None:
        import h5py

        self._file, self._data = file, data
        base = h5py.check_vlen_dtype(data.dtype)
        self.ragged = isinstance(base, np.dtype)
        self.is_text = bool(h5py.check_string_dtype(data.dtype))
        self.dtype: np.dtype[Any] = base if self.ragged else np.dtype(object) if self.is_text else data.dtype
        self.shape = tuple(map(int, data.shape))
        self.attributes = dict(data.attrs)
        self._is_checked = False
        self._checked: set[Chunk] = set()

    def __len__(self) -> int:
        return self.shape[0]

    def check(self) -> None:
        """Raise an error where values cannot be read, see `hdf5_checks`; called before the first reading."""
        if self._is_checked:
            return
        self._is_checked = True
        if not self.ragged and not self.is_text:
            self._data = with_cache(check_data(self._file, self._data))

    def __getitem__(self, index: int | slice) -> Any:
        """Return one value, or the values of a slice; raises `DataError` where the file is damaged there."""

        def read() -> Any:
            if isinstance(index, slice) and not self.ragged:
                check_chunks(self._file.path, self._data, index, self._checked)
            value = self._data[index]
            return texts(np.asarray(value)) if self.is_text else value

        return self._safely(read, index)

    def all(self) -> NDArray[Any]:
        """Return all values, read in slices; texts as an array of Python's."""
        if self.ragged:
            raise DataError(
                f"{self._data.name} of {self._file.path} has arrays of different lengths as its values",
                "numbers",
                "Save series of several lengths padded with zeros, with their lengths in an array lengths.",
            )
        promised = math.prod(self.shape) * self.dtype.itemsize
        self._file.limits.check_bytes(f"{self._data.name} of {self._file.path}", promised)
        self.check()
        if not self.shape:
            value = np.asarray(self._safely(lambda: self._data[()], ""))
            return texts(value) if self.is_text else value
        row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        slices = [np.asarray(self[rows], self.dtype) for rows in row_slices(len(self), row_bytes=row_bytes)]
        return np.concatenate(slices) if slices else np.empty(self.shape, self.dtype)

    def _safely(self, read: Callable[[], Any], index: Any) -> Any:
        try:
            return read()
        except DataError:
            raise
        except Exception as error:  # h5py's errors have no common class
            where = f"{self._data.name} of {self._file.path}, value {index}"
            raise self._file.stream.error or DataError(
                f"{where} cannot be read ({error})", "", "The file is damaged there: fetch it again."
            ) from error


def stored_arrays(file: InputFile, hdf5: Any) -> dict[str, StoredArray]:
    """Return the arrays of an open file by their paths, such as ``spikes/times``; those without values are left out.

    Raises `DataError` where the file is damaged.
    """
    import h5py

    arrays: dict[str, StoredArray] = {}

    def add(name: str | bytes, node: Any) -> None:
        if isinstance(node, h5py.Dataset) and node.shape is not None:
            arrays[_text(name)] = StoredArray(file, node)  # bytes are no UTF-8

    try:
        hdf5.visititems(add)
    except Exception as error:  # h5py's errors have no common class
        raise damaged(file, error, "an undamaged HDF5 file") from error
    return arrays


def texts(values: NDArray[Any]) -> NDArray[Any]:
    """Return texts or bytes, of any shape, as texts of Python's in an array of objects."""
    return np.array([_text(value) for value in values.reshape(-1).tolist()], object).reshape(values.shape)


def _text(value: Any) -> str:
    """Return a text; bytes that are no UTF-8 stay different from each other."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
