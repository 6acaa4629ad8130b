"""Worker threads for kernels that release the interpreter's lock, each thread with scratch memory of its own."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .._simd import aligned_zeros
from ..system import cores
from .denormals import flush_denormals, restore_mode
from .team import NO_MORE, Kernel, Team

_TASKS_PER_THREAD = 4


class Workers:
    """A pool of threads for kernels that release the GIL.

    Parameters
    ----------
    threads
        How many; default: the cores that this process may run on.
    dtype
        Of the scratch.
    """

    def __init__(self, threads: int | None, dtype: DTypeLike) -> None:
        self.threads, self._dtype = threads or cores(), dtype
        self._team = Team(self.threads - 1)
        weakref.finalize(self, self._team.close)
        self._local = threading.local()

    def run(self, kernel: Kernel, items: int) -> None:
        """Call `kernel(queue)` in as many threads as `items` can keep busy; an error reaches the caller.

        The kernel takes the numbers of its work items from `queue` (`queue.take`). The caller's thread is one of the
        threads: denormal numbers are flushed in it until it returns.
        """
        queue, mode = np.zeros(1, np.int64), np.empty(1, np.int64)
        flush_denormals(mode)
        job = self._team.begin(kernel, queue, min(self.threads, items) - 1)
        try:
            kernel(queue)
        except BaseException:
            queue[0] = NO_MORE
            raise
        finally:
            restore_mode(mode)
            if job is not None:
                self._team.end(job)

    def each(self, task: Callable[..., None], items: Iterable[tuple[int, ...]]) -> None:
        """Run `task(*item)` for every item, as `run` does: for kernels that take a range of samples."""
        left = deque(items)

        def take_items(queue: NDArray[np.int64]) -> None:
            while True:
                try:
                    item = left.popleft()
                except IndexError:  # another thread may have taken the last one
                    return
                try:
                    task(*item)
                except BaseException:
                    left.clear()
                    raise

        self.run(take_items, len(left))

    def samples(self, samples: int) -> list[tuple[int, int]]:
        """Split samples into ranges, several per thread."""
        return ranges(samples, _TASKS_PER_THREAD * self.threads)

    def scratch(self, name: str, size: int, dtype: DTypeLike | None = None) -> NDArray[Any]:
        """Return this thread's array of at least `size` elements, cache-line aligned, with arbitrary contents.

        `name` stands for one `dtype`, by default that of the backend.
        """
        array: NDArray[Any] | None = getattr(self._local, name, None)
        if array is None or array.size < size:
            array = aligned_zeros((size,), self._dtype if dtype is None else dtype)
            setattr(self._local, name, array)
        return array


def ranges(samples: int, count: int) -> list[tuple[int, int]]:
    """Split samples into at most `count` ranges of one size, the last one shorter; at least one, which may be empty."""
    size = max(1, -(-samples // count))
    return [(b, min(samples, b + size)) for b in range(0, max(samples, 1), size)]
