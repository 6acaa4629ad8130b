"""Ranks that an MPI launcher has started, on one machine or on several."""

from __future__ import annotations

import atexit
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CapabilityError
from .ranks import Array, Ranks


class MpiRanks(Ranks):
    """The processes of `mpirun`. Sums are MPI's: their order depends on the number of ranks.

    Attributes
    ----------
    local_rank, local_size
        Number of this rank among those of its machine, and how many these are.

    Raises
    ------
    CapabilityError
        mpi4py, or the MPI library behind it, is not installed.
    """

    def __init__(self) -> None:
        try:
            from mpi4py import MPI
        except (ImportError, RuntimeError) as error:  # RuntimeError: there is no MPI library
            raise CapabilityError(
                f"ranks = mpi needs mpi4py and an MPI library, which cannot be loaded ({error})",
                "",
                "Install an MPI library and python -m pip install 'spikeprep[mpi]', or give a number of ranks.",
            ) from error
        self._mpi, self._world = MPI, MPI.COMM_WORLD
        self.rank, self.size = self._world.Get_rank(), self._world.Get_size()
        machine = self._world.Split_type(MPI.COMM_TYPE_SHARED)
        self.local_rank, self.local_size = machine.Get_rank(), machine.Get_size()

    def all_reduce(self, arrays: Sequence[Array]) -> None:
        """See `Ranks.all_reduce`."""
        for array in arrays:
            contiguous = np.ascontiguousarray(array)
            self._world.Allreduce(self._mpi.IN_PLACE, contiguous)
            if contiguous is not array:
                np.copyto(array, contiguous.reshape(array.shape))

    def total(self, values: NDArray[Any]) -> NDArray[Any]:
        """See `Ranks.total`."""
        sums = np.array(values)
        self.all_reduce([sums])
        return sums

    def broadcast(self, values: NDArray[Any]) -> NDArray[Any]:
        """See `Ranks.broadcast`."""
        received = np.array(values)
        self._world.Bcast(received)
        return received

    def barrier(self) -> None:
        """See `Ranks.barrier`."""
        self._world.Barrier()

    def abort_at_exit(self) -> None:
        """Make MPI end all ranks when this process ends: the others would wait for it without end."""
        atexit.register(self._world.Abort, 1)
