"""What copying batches to a device needs of it: streams, events, page-locked memory, copies in the background."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import ModuleType, TracebackType
from typing import Any

from numpy.typing import DTypeLike, NDArray

from ..backend import Array


class Event(ABC):
    """A point in a stream's work."""

    @abstractmethod
    def done(self) -> bool:
        """Whether the work before it has finished; never waits."""

    @abstractmethod
    def synchronize(self) -> None:
        """Let the host wait for it."""

    @abstractmethod
    def seconds_since(self, earlier: Any) -> float:
        """Return the time from an earlier event to this one, both recorded `timed` and done."""


class Stream(ABC):
    """Work in order; `with stream:` makes it this thread's current one."""

    @abstractmethod
    def __enter__(self) -> Stream: ...

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    @abstractmethod
    def record(self, timed: bool = False) -> Event:
        """Return the point after the work given to this stream so far."""

    @abstractmethod
    def wait(self, event: Event) -> None:
        """Let later work of this stream wait for `event`; the host goes on."""

    @abstractmethod
    def synchronize(self) -> None:
        """Let the host wait for all work given to this stream."""


class CopyDevice(ABC):
    """A device that copies run to while it computes.

    Attributes
    ----------
    xp
        Its array module: CuPy, or NumPy where the device is emulated.
    """

    xp: ModuleType

    @abstractmethod
    def stream(self) -> Stream:
        """Return a new stream, which waits for no other one."""

    @abstractmethod
    def current(self) -> Stream:
        """Return this thread's current stream."""

    @abstractmethod
    def pinned(self, shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Return uninitialised page-locked host memory, which `copy_in` and `copy_out` move without waiting."""

    @abstractmethod
    def copy_in(self, host: NDArray[Any], device: Array) -> None:
        """Copy host → device, same shape and dtype, both contiguous, on the current stream.

        Pinned memory is read later, when the stream gets there: it must stay as it is until then.
        """

    @abstractmethod
    def memory(self) -> tuple[int, int]:
        """Return (free, total) bytes of device memory; what the allocator keeps for reuse counts as free."""
