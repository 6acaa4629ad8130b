"""The time that compiling kernels takes, so that it is reported and not counted as speed.

Whoever compiles calls `begin` and `end`, or works in `compiling`. Times are of this process: seconds in which at least
one thread compiles count once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Listener = Callable[[bool], None]
"""Called with True where compiling begins and False where it ends, from the thread that compiles."""

_lock = threading.Lock()
_running = 0  # compilations under way, nested ones and those of other threads included
_began = _total = 0.0
_listeners: list[Listener] = []


def begin() -> None:
    """Note that a compilation begins."""
    global _running, _began
    with _lock:
        _running += 1
        first = _running == 1
        if first:
            _began = time.perf_counter()
        listeners = list(_listeners) if first else []
    for listener in listeners:
        listener(True)


def end() -> None:
    """Note that a compilation has ended."""
    global _running, _total
    with _lock:
        _running -= 1
        last = _running == 0
        if last:
            _total += time.perf_counter() - _began
        listeners = list(_listeners) if last else []
    for listener in listeners:
        listener(False)


@contextmanager
def compiling() -> Iterator[None]:
    """Count the time inside as compilation."""
    begin()
    try:
        yield
    finally:
        end()


def seconds() -> float:
    """Return the seconds in which this process has compiled so far."""
    with _lock:
        return _total + (time.perf_counter() - _began if _running else 0.0)


def working_time() -> float:
    """Return a clock in seconds that stands still while kernels are compiled: for durations and rates."""
    with _lock:
        return (_began if _running else time.perf_counter()) - _total


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call `listener` where compiling begins and ends, until the context is left."""
    with _lock:
        _listeners.append(listener)
    try:
        yield
    finally:
        with _lock:
            _listeners.remove(listener)
