"""Ranks that are processes of one machine and sum arrays in shared memory."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ranks import Array, Ranks, rank_range

_BLOCK = 4 << 20
"""Bytes that each rank shares at a time; larger arrays are exchanged in several blocks."""

_LINE = 64  # bytes of a cache line


class SharedGroup:
    """Memory and semaphores that the ranks of one machine share; passed to spawned processes.

    Parameters
    ----------
    size
        Number of ranks.
    block
        Bytes that each rank shares at a time.
    """

    def __init__(self, size: int, block: int = _BLOCK) -> None:
        spawning = multiprocessing.get_context("spawn")
        self.size, self.block = size, block
        # Two tables: a fast rank may write to one while a slow rank still reads the other. It cannot get further ahead.
        self.memory = spawning.RawArray("B", 2 * size * block)
        # Two semaphores per rank, for odd and even barriers: a rank that has reached the next barrier does not count in
        # this one.
        self.arrivals = [[spawning.Semaphore(0) for _ in range(size)] for _ in range(2)]


class SharedRanks(Ranks):
    """One rank of a `SharedGroup`."""

    def __init__(self, group: SharedGroup, rank: int) -> None:
        self.rank, self.size = rank, group.size
        self._group = group
        self._tables = np.frombuffer(group.memory, np.uint8).reshape(2, group.size, group.block)
        self._barriers = self._exchanges = 0

    def all_reduce(self, arrays: Sequence[Array]) -> None:
        """See `Ranks.all_reduce`: terms are added in the order of the ranks, so sums are the same in every run."""
        for views in _blocks(arrays, self._group.block):
            self._exchange(views)

    def total(self, values: NDArray[Any]) -> NDArray[Any]:
        """See `Ranks.total`."""
        sums = np.array(values)
        self.all_reduce([sums])
        return sums

    def broadcast(self, values: NDArray[Any]) -> NDArray[Any]:
        """See `Ranks.broadcast`."""
        return self.total(values if self.leads else np.zeros_like(values))

    def barrier(self) -> None:
        """See `Ranks.barrier`."""
        arrivals = self._group.arrivals[self._barriers % 2]
        self._barriers += 1
        for rank in range(self.size):
            if rank != self.rank:
                arrivals[rank].release()
        for _ in range(self.size - 1):
            arrivals[self.rank].acquire()

    def _exchange(self, views: Sequence[NDArray[Any]]) -> None:
        """Replace views, which fit into one block together, by their sums over the ranks."""
        table = self._tables[self._exchanges % 2]
        self._exchanges += 1
        shared: list[list[NDArray[Any]]] = []  # for each view, its term of every rank
        offset = 0
        for view in views:
            shared.append([row[offset : offset + view.nbytes].view(view.dtype) for row in table])
            np.copyto(shared[-1][self.rank].reshape(view.shape), view)
            offset += _padded(view.nbytes)
        self.barrier()
        for terms in shared:  # each rank sums its range of the elements, into rank 0's term
            start, stop = rank_range(len(terms[0]), self.rank, self.size)
            for term in terms[1:]:
                terms[0][start:stop] += term[start:stop]
        self.barrier()
        for view, terms in zip(views, shared, strict=True):
            np.copyto(view, terms[0].reshape(view.shape))


def _padded(size: int) -> int:
    return -(-size // _LINE) * _LINE


def _blocks(arrays: Sequence[NDArray[Any]], block: int) -> Iterator[list[NDArray[Any]]]:
    """Yield lists of views that together cover the arrays, each list of at most `block` bytes."""
    views: list[NDArray[Any]] = []
    free = block
    for view in (view for array in arrays for view in _views(array, block)):
        if _padded(view.nbytes) > free:
            yield views
            views, free = [], block
        views.append(view)
        free -= _padded(view.nbytes)
    if views:
        yield views


def _views(array: NDArray[Any], block: int) -> Iterator[NDArray[Any]]:
    """Yield views that cover an array, contiguous or not, each of at most `block` bytes."""
    if not array.size:
        return
    if array.nbytes <= block:
        yield array
    elif array.ndim > 1 and array[0].nbytes > block:
        for row in array:
            yield from _views(row, block)
    else:
        rows = block // array[0].nbytes
        for start in range(0, len(array), rows):
            yield array[start : start + rows]
