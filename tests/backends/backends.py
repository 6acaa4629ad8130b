"""The backends that the shared tests run on, by name; a backend that this machine lacks skips, saying what is missing.

The CUDA backend runs on a GPU where SPIKEPREP_TEST_GPU names one (0, 1, …), else on the emulator.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from spikeprep.backend import Backend
from spikeprep.cpu.backend import CpuBackend
from spikeprep.reference.backend import ReferenceBackend

if TYPE_CHECKING:
    from spikeprep.cuda.runtime import Runtime


@functools.cache
def cuda_runtime(fused: bool = False) -> Runtime:
    """Return the GPU that is asked for, or an emulated one; `fused`: its compiler may fuse products and sums."""
    from spikeprep.cuda.gpu import CupyRuntime

    from ..cuda.emulator import EmulatedRuntime, compiler

    named = os.environ.get("SPIKEPREP_TEST_GPU")
    if named:
        return CupyRuntime(int(named), fused)
    if compiler() is None:
        pytest.skip("no GPU is named by SPIKEPREP_TEST_GPU, and the emulator needs Linux and a C++ compiler")
    return EmulatedRuntime(fused)


def _cuda(dtype: Any) -> Backend:
    from spikeprep.cuda.backend import CudaBackend

    return CudaBackend(cuda_runtime(), dtype)


BACKENDS: dict[str, Callable[[], Backend]] = {
    "reference": ReferenceBackend,
    "cpu-float64": lambda: CpuBackend(np.float64),
    "cpu-float32": lambda: CpuBackend(np.float32),
    "cuda-float64": lambda: _cuda(np.float64),
    "cuda-float32": lambda: _cuda(np.float32),
}
DOUBLE = ("reference", "cpu-float64", "cuda-float64")
FAST = tuple(BACKENDS)[1:]


@functools.cache
def backend(name: str) -> Backend:
    """Return a backend, made once."""
    return BACKENDS[name]()
