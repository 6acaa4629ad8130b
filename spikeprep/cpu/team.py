"""Threads that help the caller's thread with a kernel, and wait for the next one without falling asleep at once.

A training step calls some fifteen kernels, some of a tenth of a millisecond, and to wake a thread takes about as long.
So a thread that has nothing to do, and the caller when it waits for the last work items, first look for a while whether
something has changed, outside the interpreter's lock; only then do they sleep.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._jit import jit
from ..system import cores
from .denormals import flush_denormals
from .queue import observe, pause

Kernel = Callable[[NDArray[np.int64]], Any]
"""Called with the queue of its work items; see `queue.take`."""

_LOOKS = 2000  # before sleeping: 40 to 100 µs
_LINGER = 100  # after a change: whoever made it soon lets the interpreter's lock go, and to wait for that is to sleep
NO_MORE = 1 << 62
"""Written to a queue: no kernel has so many work items."""

_BEGUN, _DONE = 1, 2


@jit
def await_change(values: Any, at: int, value: int, looks: int, linger: int) -> Any:
    """Return values[at], int64, after it has become another than `value`, or after `looks` looks."""
    for _ in range(looks):
        if observe(values, at) != value:
            for _ in range(linger):
                pause()
            break
        pause()
    return observe(values, at)


class _Job:
    """A kernel that runs, and what each helping thread has told of it: nothing yet, `_BEGUN` or `_DONE`."""

    def __init__(self, kernel: Kernel, queue: NDArray[np.int64], helping: int) -> None:
        self.kernel, self.queue = kernel, queue
        self.told = np.zeros(helping, np.int64)
        self.error: BaseException | None = None
        self.caller: SimpleQueue[None] | None = None  # where it sleeps


class Team:
    """The helping threads.

    Parameters
    ----------
    size
        How many at most; each is started by the first kernel that can use it.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        # with fewer cores than threads, one that looks would keep another from its work
        self._looks = _LOOKS if size < cores() else 0
        self._lock = threading.Lock()  # held while a job runs
        self._posted = np.zeros(1, np.int64)  # jobs so far
        self._job: _Job | None = None
        self._sleeping: dict[int, SimpleQueue[None]] = {}
        self._started, self._closed = 0, False

    # each step of these methods sees all earlier ones of other threads: the interpreter's lock orders them

    def begin(self, kernel: Kernel, queue: NDArray[np.int64], helping: int) -> _Job | None:
        """Let up to `helping` threads call a kernel; return the job to `end`, or None where another one runs."""
        if helping < 1 or not self._lock.acquire(blocking=False):
            return None
        self._start(helping)
        self._job = job = _Job(kernel, queue, helping)
        self._wake(helping)
        return job

    def _start(self, helping: int) -> None:
        with suppress(RuntimeError):  # the system's limit of threads: those that there are will do
            while self._started < helping:
                number = self._started
                self._started += 1
                name = f"spikeprep-cpu_{number}"
                threading.Thread(target=self._help, args=(number,), name=name, daemon=True).start()

    def end(self, job: _Job) -> None:
        """Wait for the threads that have begun; a thread's error is raised."""
        self._job = None
        try:
            for number in range(len(job.told)):
                self._await(job, number)
        except BaseException:
            job.queue[0] = NO_MORE
            raise
        finally:
            self._lock.release()
        if job.error is not None:
            raise job.error

    def _await(self, job: _Job, number: int) -> None:
        if job.told[number] != _BEGUN or self._look(job.told, number, _BEGUN) != _BEGUN:
            return
        job.caller = SimpleQueue()
        while job.told[number] == _BEGUN:
            job.caller.get()

    def close(self) -> None:
        """Let the threads end."""
        self._closed = True
        self._wake(self.size)

    def _look(self, values: NDArray[np.int64], at: int, value: int) -> int:
        return int(await_change(values, at, value, self._looks, _LINGER))

    def _wake(self, helping: int) -> None:
        self._posted[0] += 1
        for number in range(min(helping, self._started)):
            if alarm := self._sleeping.pop(number, None):
                alarm.put(None)

    def _help(self, number: int) -> None:
        flush_denormals(np.empty(1, np.int64))
        seen, alarm = 0, SimpleQueue[None]()
        while not self._closed:
            posted = self._look(self._posted, 0, seen)
            if posted == seen:
                self._sleeping[number] = alarm
                if self._posted[0] == seen:
                    alarm.get()
                self._sleeping.pop(number, None)
                continue
            seen, job = posted, self._job
            if job is not None and number < len(job.told):
                self._call(job, number)
            del job  # and with it the arrays of its kernel

    def _call(self, job: _Job, number: int) -> None:
        job.told[number] = _BEGUN
        if self._job is job:  # or its caller no longer waits for those that have not begun
            try:
                job.kernel(job.queue)
            except BaseException as error:
                job.error = error
                job.queue[0] = NO_MORE
        job.told[number] = _DONE
        if job.caller is not None:
            job.caller.put(None)
