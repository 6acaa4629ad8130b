"""A file for h5py that can be closed on a full disk too.

HDF5 writes what it holds when a file is closed. Where that fails, the file stays open, and HDF5 tries again when the
process ends: then there is no Python left to call, and the process crashes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any


class DeferredErrors:
    """An open file in which the first write that fails is remembered, and later ones do nothing.

    Attributes
    ----------
    error
        What the first write that failed raised; None where none did.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.error: OSError | None = None

    def _change(self, change: Callable[..., Any], *arguments: Any) -> Any:
        if self.error is None:
            try:
                return change(*arguments)
            except OSError as error:
                self.error = error
        return None

    def write(self, data: Any) -> int:
        """Write all of the data."""
        self._change(self._file.write, data)
        return len(data)

    def truncate(self, size: int) -> int:
        """Change the size of the file."""
        self._change(self._file.truncate, size)
        return size

    def flush(self) -> None:
        """Write what is held."""
        self._change(self._file.flush)

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place of the file."""
        try:
            return self._file.seek(place, whence)
        except OSError as error:  # the buffer is written first
            self.error = self.error or error
            return place

    def tell(self) -> int:
        """Return the place in the file."""
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        """Read bytes."""
        return self._file.read(size)

    def readinto(self, buffer: Any) -> int:
        """Read bytes into a buffer."""
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def check(self) -> None:
        """Raise the error that was remembered."""
        if self.error is not None:
            raise self.error


@contextmanager
def deferred_errors(file: IO[bytes]) -> Iterator[DeferredErrors]:
    """Yield a file to open with h5py; where a write failed, its error is raised at the end."""
    deferred = DeferredErrors(file)
    try:
        yield deferred
    except Exception:
        deferred.check()  # what HDF5 makes of it
        raise
    deferred.check()
