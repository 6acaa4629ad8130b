"""The gradient of a fully connected layer as products of its active input and its gates, on tensor cores.

For layers that send no error back (docs/cuda.md). Spikes are exact in half precision, gates are a high and a low half,
and products are added in float32, whose sums tensor cores truncate: how accurate gradients are is tested in
tests/cuda/test_gradient_products.py.
"""

from __future__ import annotations

import numpy as np

from ..backend import Array
from ..data import Hm2bpConstants
from .base import LANES, CudaBase
from .runtime import Runtime
from .spikes import CudaSpikes

_ROWS, _STEPS, _MAX_WARPS = 32, 32, 20  # of gradient_products.cu
_STATIC = 2 * _MAX_WARPS * LANES * 4  # its bytes of static shared memory


def fits(runtime: Runtime, longest: int) -> bool:
    """Return whether gates of `longest` steps fit in shared memory."""
    return _shared(longest) + _STATIC <= runtime.shared_limit


def _shared(longest: int) -> int:
    """Return the bytes of two samples' gates, each a high and a low half."""
    return 2 * -(-longest // _STEPS) * _STEPS * LANES * 4


def add_gradient(
    backend: CudaBase,
    weight: Array,
    sums: Array,
    pre: CudaSpikes,
    post: CudaSpikes,
    error: Array,
    gamma: Array | None,
    constants: Hm2bpConstants,
) -> None:
    """Add Σ_b δ γ (1 + σ) e to the gradient sums [group, pre, width], slice by slice of the samples."""
    count, (units, width), longest = len(pre), weight.shape, post.longest
    tiles, groups = width // LANES, len(sums)
    psp, leaving = backend.psp_constants(constants.neuron, constants.psp, longest)
    floor = backend.dtype.type(constants.least_gain)
    warps = min(_MAX_WARPS, -(-units // _ROWS) + -(-longest // _STEPS))
    for samples in backend.sample_slices(count if longest else 0, 4 * units + 4):
        order, active = pre.order(samples, pre.counts()[samples])
        backend.module("gradient_products.cu").launch(
            "dense_gradient_products", tiles * groups, LANES * warps, weight, pre.by_unit[samples], order, active,
            post.by_unit, post.counts(), post.lengths, leaving, backend.decays(constants.neuron, longest), error,
            error if gamma is None else gamma, np.int32(gamma is not None), sums, psp, floor, np.int32(count),
            np.int32(samples.start), np.int32(samples.stop), np.int32(units), np.int32(longest), np.int32(post.units),
            np.int32(post.words), np.int32(tiles), np.int32(groups), shared=_shared(longest),
        )  # fmt: skip
