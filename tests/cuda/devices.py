"""The GPU that tests use, where there is one."""

from __future__ import annotations

import functools
import os

import pytest

from spikeprep.cuda.gpu import CupyRuntime
from spikeprep.errors import CapabilityError


@functools.cache
def _runtime(number: int, fused: bool) -> CupyRuntime:
    return CupyRuntime(number, fused)


def gpu(fused: bool = False) -> CupyRuntime:
    """Return the GPU that SPIKEPREP_TEST_GPU names, else the first; skip the test if there is none."""
    try:
        return _runtime(int(os.environ.get("SPIKEPREP_TEST_GPU") or 0), fused)
    except CapabilityError as error:
        pytest.skip(f"no GPU: {error}")


GPU = pytest.param("gpu", marks=pytest.mark.gpu)
"""A fixture parameter that is marked `gpu`."""
