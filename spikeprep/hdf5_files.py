"""A file for h5py that can be closed on a full disk too, and after Ctrl-C.

HDF5 writes what it holds when a file is closed. Where that fails, the file stays open, and HDF5 tries again when the
process ends: then there is no Python left to call, and the process crashes. So nothing may be raised while HDF5 calls
the file, neither by the file nor by the handler of a signal.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import IO, Any, TypeVar

T = TypeVar("T")


class HeldSignals:
    """Signals that Python handles, held back until their handlers may raise; nothing in threads, which get none."""

    def __init__(self) -> None:
        self._handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}
        self._arrived: list[int] = []
        self._holding, self._is_over = True, False
        if threading.current_thread() is threading.main_thread():
            for number in signal.valid_signals():
                handler = signal.getsignal(number)
                if callable(handler):
                    self._handlers[number] = handler
                    signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._holding:
            self._arrived.append(number)
        else:
            self._holding = not self._is_over  # from here on: what the handler raises closes the file
            self._handlers[number](number, frame)

    def let_through(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the items; signals interrupt what makes them."""
        iterator, end = iter(items), object()
        while True:
            self.deliver()
            self._holding = False
            try:
                item: Any = next(iterator, end)
            finally:
                self._holding = True
            if item is end:
                return
            yield item

    def deliver(self) -> None:
        """Call the handlers of the signals that have arrived."""
        while self._arrived:
            number = self._arrived.pop(0)
            self._handlers[number](number, None)

    def end(self) -> None:
        """Hold no more signals, and call the handlers of those that have arrived."""
        self._is_over, self._holding = True, False
        for number, handler in self._handlers.items():
            if signal.getsignal(number) == self._handle:
                signal.signal(number, handler)
        self.deliver()


class DeferredErrors:
    """An open file in which the first write that fails is remembered, and later ones do nothing.

    Attributes
    ----------
    error
        What the first write that failed raised; None where none did.
    signals
        Those that have arrived meanwhile.
    """

    def __init__(self, file: IO[bytes], signals: HeldSignals) -> None:
        self._file, self.signals = file, signals
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
        """Raise the error that was remembered, and what signals raise that have arrived."""
        if self.error is not None:
            raise self.error
        self.signals.deliver()


@contextmanager
def deferred_errors(file: IO[bytes]) -> Iterator[DeferredErrors]:
    """Yield a file to open with h5py, and to close again; then the error of a write, or of a signal, is raised."""
    signals = HeldSignals()
    deferred = DeferredErrors(file, signals)
    try:
        yield deferred
    except Exception as error:
        if deferred.error is not None:  # what HDF5 makes of it
            raise deferred.error from error
        raise
    finally:
        signals.end()
    deferred.check()
