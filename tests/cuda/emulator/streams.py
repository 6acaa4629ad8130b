"""Streams of the emulated device: tasks in order, done at once or as late as events allow."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol

from spikeprep.feed.copies import Event, Stream


class Streams(Protocol):
    """The part of a device that its streams use."""

    def stack(self) -> list[EmulatedStream]:
        """Return this thread's streams, the current one last."""


class EmulatedEvent(Event):
    """An event: the number of tasks given to a stream before it."""

    def __init__(self, stream: EmulatedStream, position: int) -> None:
        self._stream, self._position = stream, position
        self._asked = False

    def done(self) -> bool:
        """See `Event.done`: False at the first call if any work is left."""
        if self._stream.finished < self._position and self._asked:
            self.synchronize()
        self._asked = True
        return self._stream.finished >= self._position

    def synchronize(self) -> None:
        """See `Event.synchronize`."""
        self._stream.finish(self._position)

    def seconds_since(self, earlier: Any) -> float:
        """See `Event.seconds_since`: no time passes on an emulated device."""
        return 0.0


class EmulatedStream(Stream):
    """Tasks in order, done at once or, if lazy, as late as events allow."""

    def __init__(self, runtime: Streams, lazy: bool) -> None:
        self._runtime, self._lazy = runtime, lazy
        self._tasks: list[Callable[[], None]] = []
        self._lock = threading.RLock()
        self.finished = 0

    def __enter__(self) -> EmulatedStream:
        self._runtime.stack().append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runtime.stack().pop()

    def give(self, task: Callable[[], None]) -> None:
        """Add a task."""
        with self._lock:
            self._tasks.append(task)
            if not self._lazy:
                self.synchronize()

    def finish(self, position: int) -> None:
        """Do the tasks before a position."""
        with self._lock:
            while self.finished < position:
                task = self._tasks.pop(0)
                self.finished += 1
                task()

    def record(self, timed: bool = False) -> EmulatedEvent:
        """See `Stream.record`."""
        with self._lock:
            return EmulatedEvent(self, self.finished + len(self._tasks))

    def wait(self, event: Event) -> None:
        """See `Stream.wait`."""
        self.give(event.synchronize)

    def synchronize(self) -> None:
        """See `Stream.synchronize`."""
        with self._lock:
            self.finish(self.finished + len(self._tasks))
