"""The compiled backend: Numba on all cores, and its table of fused layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ..backend import FusedLayer
from .base import CpuBase
from .conv import Hm2bpConv
from .dense import Hm2bpDense
from .lee2016 import Lee2016Dense
from .pool import Hm2bpPool


class CpuBackend(CpuBase):
    """Spiking networks on the CPU.

    Parameters
    ----------
    dtype
        float32 (default) or float64.
    threads
        Cores to use; default all that this process may run on. Results do not depend on it.

    Raises
    ------
    CapabilityError
        NUMBA_DISABLE_JIT is set: kernels cannot run as Python.
    """

    fused: ClassVar[Mapping[tuple[str, str], FusedLayer]] = {
        ("hm2bp", "conv"): Hm2bpConv,
        ("hm2bp", "dense"): Hm2bpDense,
        ("hm2bp", "pool"): Hm2bpPool,
        ("lee2016", "dense"): Lee2016Dense,
    }
