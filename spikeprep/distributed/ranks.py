"""Processes that train one network together: each takes its part of every batch, and the gradients are summed.

Every rank draws the same batches in the same order and keeps a copy of the weights; after the sum all of them take the
same step, so that the copies stay equal. Rank 0 speaks for all and keeps the run folder.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = Any
"""An array of the backend's module."""


def span(size: int, rank: int, ranks: int) -> tuple[int, int]:
    """Return the first of `size` consecutive things that are rank's, and the one after its last.

    Parts differ by one at most; where there are fewer things than ranks, some have none.
    """
    return size * rank // ranks, size * (rank + 1) // ranks


class Ranks(ABC):
    """How ranks speak to each other. Every rank makes the same calls in the same order.

    Attributes
    ----------
    rank, size
        Which one this is, from 0, of how many.
    """

    rank: int
    size: int

    @property
    def leads(self) -> bool:
        """Whether this is the rank that speaks and writes for all."""
        return self.rank == 0

    @abstractmethod
    def all_reduce(self, arrays: Sequence[Array]) -> None:
        """Replace arrays of the backend, alike on all ranks, by their sums over the ranks, in place.

        The sums are the same bits on every rank, and from run to run.
        """

    @abstractmethod
    def total(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the sum over the ranks of small host arrays."""

    @abstractmethod
    def broadcast(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return rank 0's values; every rank gives an array of their shape and dtype."""

    @abstractmethod
    def barrier(self) -> None:
        """Return once every rank has come here."""


class Alone(Ranks):
    """The only rank."""

    rank, size = 0, 1

    def all_reduce(self, arrays: Sequence[Array]) -> None:
        """See `Ranks.all_reduce`."""

    def total(self, values: NDArray[Any]) -> NDArray[Any]:
        """See `Ranks.total`."""
        return values

    def broadcast(self, values: NDArray[Any]) -> NDArray[Any]:
        """See `Ranks.broadcast`."""
        return values

    def barrier(self) -> None:
        """See `Ranks.barrier`."""


def drifted(ranks: Ranks, checksum: int) -> bool:
    """Whether ranks differ in a checksum of what should be equal on all of them."""
    seen = np.zeros(ranks.size)
    seen[ranks.rank] = checksum
    return bool((ranks.total(seen) != checksum).any())
