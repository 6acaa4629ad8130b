"""The interface of a device that batches are copied to: streams, events, page-locked memory, asynchronous copies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import ModuleType, TracebackType
from typing import Any

from numpy.typing import DTypeLike, NDArray

from ..backend import Array


class Event(ABC):
    """A point in the work of a stream."""

    @abstractmethod
    def done(self) -> bool:
        """Return whether the work before it has finished, without waiting."""

    @abstractmethod
    def synchronize(self) -> None:
        """Wait for it on the host."""

    @abstractmethod
    def seconds_since(self, earlier: Any) -> float:
        """Return the seconds from an earlier event to this one, both recorded `timed` and done."""


class Stream(ABC):
    """Work that a device does in order; `with stream:` makes it this thread's current one."""

    @abstractmethod
    def __enter__(self) -> Stream: ...

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    @abstractmethod
    def record(self, timed: bool = False) -> Event:
        """Return an event after the work given to this stream so far."""

    @abstractmethod
    def wait(self, event: Event) -> None:
        """Let later work of this stream wait for `event`; the host does not wait."""

    @abstractmethod
    def synchronize(self) -> None:
        """Wait on the host for all work given to this stream."""


class CopyDevice(ABC):
    """A device that computes while data is copied to it.

    Attributes
    ----------
    xp
        Its array module: CuPy, or NumPy where the device is emulated.
    """

    xp: ModuleType

    @abstractmethod
    def stream(self) -> Stream:
        """Return a new stream, independent of all others."""

    @abstractmethod
    def current(self) -> Stream:
        """Return this thread's current stream."""

    @abstractmethod
    def adopt_thread(self) -> None:
        """Make this the calling thread's current device, for as long as the thread lives.

        A thread that only enters and leaves a device would leave for device 0, and open a context there.
        """

    @abstractmethod
    def pinned(self, shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Return uninitialised page-locked host memory, which `copy_in` and `copy_out` move without waiting."""

    @abstractmethod
    def copy_in(self, host: NDArray[Any], device: Array) -> None:
        """Copy host → device, same shape and dtype, both contiguous, on the current stream.

        Pinned memory is read when the stream reaches the copy: it must not change before.
        """

    @abstractmethod
    def memory(self) -> tuple[int, int]:
        """Return (free, total) bytes of device memory; memory that the allocator caches counts as free."""
