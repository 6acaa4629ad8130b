"""NumPy's .npz: an archive of .npy files."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from typing import IO, Any, TypeVar

from numpy.typing import NDArray

from ..errors import DataError
from ..input_files import InputFile
from .npy import MAX_HEADER, NpyHeader, unreadable

SIGNATURE = b"PK\x03\x04"
_ENDING = ".npy"

T = TypeVar("T")


class Npz:
    """An open archive; nothing is decompressed before it is asked for.

    Parameters
    ----------
    file
        The file, which stays open.

    Attributes
    ----------
    names
        Of the arrays, in their order.

    Raises
    ------
    DataError
        It is no archive, or damaged.
    """

    def __init__(self, file: InputFile) -> None:
        self.file = file
        self._zip = self.safely(lambda: zipfile.ZipFile(file.stream))
        members = [name for name in self._zip.namelist() if name.endswith(_ENDING)]
        self.names = list(dict.fromkeys(name.removesuffix(_ENDING) for name in members))

    def safely(self, call: Callable[[], T]) -> T:
        """Return what a call returns; raises `DataError` for what zipfile, zlib or NumPy raise."""
        try:
            return call()
        except DataError:
            raise
        except Exception as error:  # they have no common class
            raise unreadable(f"{self.file.path}", error, "a complete .npz file without objects") from error

    def what(self, name: str) -> str:
        """Return words for an array, for messages."""
        return f"{name} of {self.file.path}"

    def open(self, name: str) -> IO[bytes]:
        """Open an array's .npy file; raises `DataError` where it expands beyond the limits."""
        facts = self._zip.getinfo(name + _ENDING)
        if facts.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DataError(
                f"{self.what(name)} has compression {facts.compress_type}",
                "one that NumPy writes: none, or DEFLATE",
                "Save it again with numpy.savez.",
            )
        self.file.limits.check_ratio(self.what(name), facts.file_size, self.file.length())
        return self.safely(lambda: self._zip.open(facts))

    def header(self, name: str) -> NpyHeader:
        """Return the header of an array; raises like `NpyHeader.read`."""
        length = self._zip.getinfo(name + _ENDING).file_size
        with self.open(name) as stream:
            head = self.safely(lambda: stream.read(MAX_HEADER))
        return NpyHeader.read(self.what(name), head, length)

    def read(self, name: str) -> NDArray[Any]:
        """Return an array; raises `DataError` where it is damaged, or beyond the limits."""
        header = self.header(name)
        self.file.limits.check_bytes(self.what(name), header.size)
        with self.open(name) as stream:
            data = self.safely(stream.read)
        if len(data) != header.begin + header.size:
            raise unreadable(self.what(name), EOFError(f"{len(data):,} bytes"), "a complete array")
        return header.array(data)

    def close(self) -> None:
        """Close the archive; the file stays open."""
        self._zip.close()
