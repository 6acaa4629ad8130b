"""Ranks of one GPU each: NCCL sums gradients; small host values travel through the ranks' host transport."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backend import Array
from ..distributed.ranks import Ranks
from ..errors import CapabilityError

_ID_BYTES = 128


class NcclRanks(Ranks):
    """Ranks whose arrays lie on GPUs.

    The communicator is created directly: `cupyx.distributed.NCCLBackend` would start a server process beside rank 0 to
    distribute the identifier that `host` can broadcast.

    Parameters
    ----------
    host
        The same ranks, communicating through host memory.

    Raises
    ------
    CapabilityError
        NCCL is not installed.
    """

    def __init__(self, host: Ranks) -> None:
        self._nccl = _nccl()
        self._host, self.rank, self.size = host, host.rank, host.size
        self._communicator = self._nccl.NcclCommunicator(self.size, self._identifier(), self.rank)

    def _identifier(self) -> bytes | tuple[int, ...]:
        """Return the identifier that rank 0 got from NCCL: bytes in CuPy 14, a tuple of ints before."""
        message = np.zeros(1 + _ID_BYTES, np.int64)  # whether it is bytes, and its content
        if self.leads:
            identifier = self._nccl.get_unique_id()
            message[:] = [isinstance(identifier, bytes), *identifier]
        is_bytes, *content = self._host.broadcast(message).tolist()
        return bytes(content) if is_bytes else tuple(content)

    def all_reduce(self, arrays: Sequence[Array]) -> None:
        """See `Ranks.all_reduce`: on the current stream, all arrays in one group; the host does not wait."""
        import cupy

        stream = cupy.cuda.get_current_stream().ptr
        kinds = {"f": self._nccl.NCCL_FLOAT32, "d": self._nccl.NCCL_FLOAT64}
        self._nccl.groupStart()
        for array in arrays:
            if not array.flags.c_contiguous:
                raise ValueError(
                    f"got a strided array {array.shape} to sum over ranks; expected a contiguous one"
                )
            address, kind = array.data.ptr, kinds[array.dtype.char]
            self._communicator.allReduce(address, address, array.size, kind, self._nccl.NCCL_SUM, stream)
        self._nccl.groupEnd()

    def total(self, values: NDArray[Any]) -> NDArray[Any]:
        """See `Ranks.total`."""
        return self._host.total(values)

    def broadcast(self, values: NDArray[Any]) -> NDArray[Any]:
        """See `Ranks.broadcast`."""
        return self._host.broadcast(values)

    def barrier(self) -> None:
        """See `Ranks.barrier`."""
        self._host.barrier()


def _nccl() -> Any:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # CuPy warns of missing libraries; the error below names the one needed
        from cupy.cuda import nccl, runtime
    if not nccl.available:
        major = runtime.runtimeGetVersion() // 1000
        raise CapabilityError(
            "NCCL, which sums gradients over GPUs, is not installed",
            "",
            f"python -m pip install 'spikeprep[nccl{major}]', or train on one GPU.",
        )
    return nccl
