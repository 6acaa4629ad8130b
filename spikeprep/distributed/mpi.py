"""Ranks that a launcher of MPI has started, on one machine or on many."""

from __future__ import annotations

import atexit
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CapabilityError
from .ranks import Array, Ranks


class MpiRanks(Ranks):
    """The processes of `mpirun`; sums are MPI's own, in an order that it chooses by their number.

    Attributes
    ----------
    local_rank, local_size
        Which one this is of those on the same machine.

    Raises
    ------
    CapabilityError
        mpi4py, or the MPI behind it, is not installed.
    """

    def __init__(self) -> None:
        try:
            from mpi4py import MPI
        except (ImportError, RuntimeError) as error:  # RuntimeError: it finds no MPI
            raise CapabilityError(
                f"got --ranks mpi, but no MPI ({error})",
                "",
                "Install an MPI and python -m pip install 'spikeprep[mpi]', or use --ranks N.",
            ) from error
        self._mpi, self._world = MPI, MPI.COMM_WORLD
        self.rank, self.size = self._world.Get_rank(), self._world.Get_size()
        here = self._world.Split_type(MPI.COMM_TYPE_SHARED)
        self.local_rank, self.local_size = here.Get_rank(), here.Get_size()

    def all_reduce(self, arrays: Sequence[Array]) -> None:
        """See `Ranks.all_reduce`."""
        for array in arrays:
            whole = np.ascontiguousarray(array)
            self._world.Allreduce(self._mpi.IN_PLACE, whole)
            if whole is not array:
                np.copyto(array, whole.reshape(array.shape))

    def total(self, values: NDArray[Any]) -> NDArray[Any]:
        """See `Ranks.total`."""
        sums = np.array(values)
        self.all_reduce([sums])
        return sums

    def broadcast(self, values: NDArray[Any]) -> NDArray[Any]:
        """See `Ranks.broadcast`."""
        told = np.array(values)
        self._world.Bcast(told)
        return told

    def barrier(self) -> None:
        """See `Ranks.barrier`."""
        self._world.Barrier()

    def give_up(self) -> None:
        """End every rank when this process ends: the others would wait for it for ever."""
        atexit.register(self._world.Abort, 1)
