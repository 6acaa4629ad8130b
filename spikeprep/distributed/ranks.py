"""Processes that train one network together: each computes a share of every batch, and the gradients are summed.

Every rank draws the same batches in the same order and holds a copy of the weights. After the sum all of them take the
same step, so the copies stay equal. Rank 0 reports progress and writes the run folder.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = Any
"""An array of the backend's module."""


def rank_range(size: int, rank: int, ranks: int) -> tuple[int, int]:
    """Return start and stop of a rank's range among `size` items.

    The ranges of all ranks cover the items in order. Their sizes differ by at most one; with fewer items than ranks
    some are empty.
    """
    return size * rank // ranks, size * (rank + 1) // ranks


class Ranks(ABC):
    """How ranks exchange arrays. Every rank makes the same calls in the same order.

    Attributes
    ----------
    rank
        Number of this rank, from 0.
    size
        Number of ranks.
    """

    rank: int
    size: int

    @property
    def leads(self) -> bool:
        """Whether this is rank 0, which reports and writes for all."""
        return self.rank == 0

    @abstractmethod
    def all_reduce(self, arrays: Sequence[Array]) -> None:
        """Replace arrays of the backend by their sums over the ranks, in place.

        All ranks pass the same shapes and dtypes. The sums are the same bits on every rank and in every run.
        """

    @abstractmethod
    def total(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the sum over the ranks of small arrays in host memory."""

    @abstractmethod
    def broadcast(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return rank 0's values; every rank passes an array of their shape and dtype."""

    @abstractmethod
    def barrier(self) -> None:
        """Return when every rank has called this."""


class SingleRank(Ranks):
    """The only rank: nothing is exchanged."""

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


def checksums_differ(ranks: Ranks, checksum: int) -> bool:
    """Return whether ranks have different checksums of arrays that should be equal on all of them."""
    checksums = np.zeros(ranks.size)
    checksums[ranks.rank] = checksum
    return bool((ranks.total(checksums) != checksum).any())
