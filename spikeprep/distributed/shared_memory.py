"""Ranks that are processes of this machine, adding up through memory that all of them see."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ranks import Array, Ranks, span

_PIECE = 4 << 20
"""Bytes that a rank lays open at a time; larger arrays go in pieces."""

_LINE = 64


class Meeting:
    """What ranks on one machine share: memory, and a way to wait for each other. Goes to spawned processes.

    Parameters
    ----------
    size
        How many ranks there are.
    piece
        Bytes that each lays open at a time.
    """

    def __init__(self, size: int, piece: int = _PIECE) -> None:
        spawning = multiprocessing.get_context("spawn")
        self.size, self.piece = size, piece
        # two tables: while a slow rank still reads from one, a fast one writes to the other, and gets no further
        self.memory = spawning.RawArray("B", 2 * size * piece)
        # two semaphores a rank, for odd and even meetings: who has come to the next one is not counted in this one
        self.arrived = [[spawning.Semaphore(0) for _ in range(size)] for _ in range(2)]


class SharedRanks(Ranks):
    """One rank of a meeting."""

    def __init__(self, meeting: Meeting, rank: int) -> None:
        self.rank, self.size = rank, meeting.size
        self._meeting = meeting
        whole = np.frombuffer(meeting.memory, np.uint8)
        self._tables = whole.reshape(2, meeting.size, meeting.piece)
        self._meetings = self._exchanges = 0

    def all_reduce(self, arrays: Sequence[Array]) -> None:
        """See `Ranks.all_reduce`: terms are added in the order of the ranks, so sums are the same in every run."""
        for group in _groups(arrays, self._meeting.piece):
            self._exchange(group)

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
        arrived = self._meeting.arrived[self._meetings % 2]
        self._meetings += 1
        for rank in range(self.size):
            if rank != self.rank:
                arrived[rank].release()
        for _ in range(self.size - 1):
            arrived[self.rank].acquire()

    def _exchange(self, pieces: Sequence[NDArray[Any]]) -> None:
        table = self._tables[self._exchanges % 2]
        self._exchanges += 1
        laid: list[list[NDArray[Any]]] = []
        at = 0
        for piece in pieces:
            laid.append([row[at : at + piece.nbytes].view(piece.dtype) for row in table])
            np.copyto(laid[-1][self.rank].reshape(piece.shape), piece)
            at += _padded(piece.nbytes)
        self.barrier()
        for terms in laid:  # each rank adds up its part, where rank 0 has laid its own term
            first, last = span(len(terms[0]), self.rank, self.size)
            for term in terms[1:]:
                terms[0][first:last] += term[first:last]
        self.barrier()
        for piece, terms in zip(pieces, laid, strict=True):
            np.copyto(piece, terms[0].reshape(piece.shape))


def _padded(size: int) -> int:
    return -(-size // _LINE) * _LINE


def _groups(arrays: Sequence[NDArray[Any]], most: int) -> Iterator[list[NDArray[Any]]]:
    """Yield the arrays in pieces, as many together as `most` bytes hold."""
    group: list[NDArray[Any]] = []
    room = most
    for piece in (piece for array in arrays for piece in _pieces(array, most)):
        if _padded(piece.nbytes) > room:
            yield group
            group, room = [], most
        group.append(piece)
        room -= _padded(piece.nbytes)
    if group:
        yield group


def _pieces(array: NDArray[Any], most: int) -> Iterator[NDArray[Any]]:
    """Yield views of an array, contiguous or not, of at most `most` bytes each."""
    if not array.size:
        return
    if array.nbytes <= most:
        yield array
    elif array.ndim > 1 and array[0].nbytes > most:
        for row in array:
            yield from _pieces(row, most)
    else:
        rows = most // array[0].nbytes
        for at in range(0, len(array), rows):
            yield array[at : at + rows]
