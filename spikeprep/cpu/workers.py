"""Work items over the cores, each thread with scratch of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from numpy.typing import DTypeLike, NDArray

from .._simd import aligned_zeros
from ..system import cores
from .denormals import flush_denormals

_HANDFULS = 4  # pieces of work a thread


class Workers:
    """A pool of threads for kernels that release the GIL.

    Parameters
    ----------
    threads
        How many; default as many as the cores that this process may run on.
    dtype
        Of the scratch.
    """

    def __init__(self, threads: int | None, dtype: DTypeLike) -> None:
        self.threads, self._dtype = threads or cores(), dtype
        # threads of our own, even where one is enough: how they treat denormal numbers is nobody else's business
        self._pool = ThreadPoolExecutor(self.threads, "spikeprep-cpu", initializer=flush_denormals)
        self._local = threading.local()

    def each(self, task: Callable[..., None], items: Sequence[tuple[int, ...]]) -> None:
        """Run `task(*item)` for every item; a task's error reaches the caller."""

        def run(part: Sequence[tuple[int, ...]]) -> None:
            for item in part:
                task(*item)

        # handing an item to a thread costs some 15 µs: a few handfuls a thread balance the load well enough
        spans = ranges(len(items), _HANDFULS * self.threads)
        for done in [self._pool.submit(run, items[first:last]) for first, last in spans]:
            done.result()

    def samples(self, samples: int) -> list[tuple[int, int]]:
        """Split samples into ranges, several a thread."""
        return ranges(samples, _HANDFULS * self.threads)

    def scratch(self, name: str, size: int) -> NDArray[Any]:
        """Return this thread's own array of at least `size` elements, cache-line aligned, with old contents."""
        held: NDArray[Any] | None = getattr(self._local, name, None)
        if held is None or held.size < size:
            held = aligned_zeros((size,), self._dtype)
            setattr(self._local, name, held)
        return held


def ranges(samples: int, pieces: int) -> list[tuple[int, int]]:
    """Split samples into at most `pieces` ranges of one size, the last one shorter."""
    size = max(1, -(-samples // pieces))
    return [(b, min(samples, b + size)) for b in range(0, samples, size)]
