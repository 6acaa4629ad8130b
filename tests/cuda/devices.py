"""The GPU that tests may use."""

from __future__ import annotations

import functools
import os

import pytest

from spikeprep.cuda.gpu import CupyRuntime
from spikeprep.errors import CapabilityError


@functools.cache
def _made(number: int, fused: bool) -> CupyRuntime:
    return CupyRuntime(number, fused)


def gpu(fused: bool = False) -> CupyRuntime:
    """Return the GPU that SPIKEPREP_TEST_GPU names, else the first; skip, saying what is missing."""
    try:
        return _made(int(os.environ.get("SPIKEPREP_TEST_GPU") or 0), fused)
    except CapabilityError as error:
        pytest.skip(f"no GPU: {error}")


GPU = pytest.param("gpu", marks=pytest.mark.gpu)
"""A parameter of a fixture."""
