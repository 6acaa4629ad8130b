"""NumPy's .npy: the header of an array, and its values."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

SIGNATURE = b"\x93NUMPY"
MAX_HEADER = 1 << 16
"""Bytes that are enough for the header of a .npy file: NumPy itself refuses more than 10 000."""

_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_AGAIN = "Save it again."
_PARSING = (
    RLock()
)  # NumPy parses headers with `ast`, which fails in two threads at once before Python 3.11.8 (gh-106905)


class ObjectsError(DataError):
    """An array of Python objects: reading it would run whatever code its writer chose."""


def unreadable(what: str, error: Exception, expected: str) -> DataError:
    """Return the error for what NumPy, zipfile or zlib cannot read; one of ours stays as it is."""
    if isinstance(error, DataError):
        return error
    return DataError(f"{what} cannot be read ({error})", expected, _AGAIN)


@dataclass(frozen=True)
class NpyHeader:
    """What the header of a .npy file states, and where the values begin.

    Attributes
    ----------
    shape, dtype
        Of the array.
    fortran
        Whether the first axis varies fastest in memory.
    begin
        Byte at which the values begin.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    begin: int

    @classmethod
    def read(cls, what: str, head: bytes, length: int) -> NpyHeader:
        """Decode a header.

        Parameters
        ----------
        what
            The file or the array, for messages.
        head
            The first bytes, `MAX_HEADER` where there are as many.
        length
            Bytes of the whole file, or of the member of an archive.

        Raises
        ------
        ObjectsError
            The array holds Python objects.
        DataError
            The header is damaged, or states another number of bytes than there are.
        """
        stream = io.BytesIO(head)
        try:
            version = np.lib.format.read_magic(stream)
            if version not in _READERS:
                raise ValueError(f"version {version} of NumPy's format")
            with _PARSING:
                shape, fortran, dtype = _READERS[version](stream)
            if not dtype.hasobject and (not dtype.itemsize or any(side < 0 for side in shape)):
                raise ValueError(f"{dtype} {shape}")
        except Exception as error:  # a damaged header raises whatever Python's parser does
            raise unreadable(what, error, "a complete .npy file without objects") from error
        if dtype.hasobject:
            raise ObjectsError(
                f"{what} cannot be read (it holds Python objects, which are never read: they can run any code)",
                "an array of numbers",
                "Save recordings of several lengths one after the other, with their ends in an array index; or series "
                "padded with zeros, with their lengths in an array lengths; or each in a file of its own.",
            )
        header = cls(shape, dtype, fortran and len(shape) > 1, stream.tell())
        if (stored := length - header.begin) != header.size:
            truncated = "it is truncated, " if stored < header.size else "it goes on after its values, "
            raise DataError(
                f"{what} cannot be read: {truncated}with {stored:,} bytes of values",
                f"{header.size:,}, as its header states",
                _AGAIN,
            )
        return header

    @property
    def size(self) -> int:
        """Bytes of all values."""
        return math.prod(self.shape) * self.dtype.itemsize

    def array(self, data: bytes) -> NDArray[Any]:
        """Return the array of a whole file's bytes, which it shares."""
        values = np.frombuffer(data, self.dtype, math.prod(self.shape), self.begin)
        return values.reshape(self.shape, order="F" if self.fortran else "C")


def npy_array(what: str, data: bytes) -> NDArray[Any]:
    """Return the array of a whole .npy file's bytes, which it shares; raises like `NpyHeader.read`."""
    return NpyHeader.read(what, data[:MAX_HEADER], len(data)).array(data)
