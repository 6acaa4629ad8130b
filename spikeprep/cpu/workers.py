"""Worker threads for kernels that release the interpreter's lock, each thread with scratch memory of its own."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from numpy.typing import DTypeLike, NDArray

from .._simd import aligned_zeros
from ..system import cores
from .denormals import flush_denormals

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
        # own threads even where one is enough: they flush denormal numbers, the caller's thread must not
        self._pool = ThreadPoolExecutor(self.threads, "spikeprep-cpu", initializer=flush_denormals)
        self._local = threading.local()

    def each(self, task: Callable[..., None], items: Iterable[tuple[int, ...]]) -> None:
        """Run `task(*item)` for every item, each in the thread that gets free; a task's error reaches the caller."""
        left = deque(items)

        def run() -> None:
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

        # submitting costs some 15 µs: a task of the pool for each thread, not for each item
        for future in [self._pool.submit(run) for _ in range(min(self.threads, len(left)))]:
            future.result()

    def samples(self, samples: int) -> list[tuple[int, int]]:
        """Split samples into ranges, several per thread."""
        return ranges(samples, _TASKS_PER_THREAD * self.threads)

    def scratch(self, name: str, size: int) -> NDArray[Any]:
        """Return this thread's array of at least `size` elements, cache-line aligned, with arbitrary contents."""
        array: NDArray[Any] | None = getattr(self._local, name, None)
        if array is None or array.size < size:
            array = aligned_zeros((size,), self._dtype)
            setattr(self._local, name, array)
        return array


def ranges(samples: int, count: int) -> list[tuple[int, int]]:
    """Split samples into at most `count` ranges of one size, the last one shorter; at least one, which may be empty."""
    size = max(1, -(-samples // count))
    return [(b, min(samples, b + size)) for b in range(0, max(samples, 1), size)]
