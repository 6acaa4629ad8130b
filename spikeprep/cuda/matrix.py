"""A fully connected layer as matrix products on tensor cores, faster than events where spikes are many (docs/cuda.md).

Spikes are exact in half precision. The other factor is split into a high and a low half, 22 bits in all, and both
products are added in float32: the sums have float32's accuracy (tests/cuda/test_matrix.py), in another order than those
over events. Only float32, and weights below 65 504.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backend import Array
from .constants import Structure
from .runtime import Module, Runtime
from .spikes import WARPS, CudaSpikes, blocks

LOW = 2.0**-11
"""Scale of the low half of a number."""

DENSITY = 0.1
"""Density, spikes per neuron and step, from which matrix products are used.

On an H100, per pre neuron, post neuron and step: over events, forward and gradient issue 0.29 warp instructions per
event, and the card issues 9e11 per second: 3.2e-13 s times the density. As products they are 12 operations (drive,
drive again and gradient, twice for the halves) at 60 % of 990 TFLOP/s, and 24 bytes per post neuron and 8 per pre
neuron at 3 TB/s: at 784-800 together 3.4e-14 s. `make gpu-bench` times both.
"""

MIN_UNITS = 128
"""Fewest pre and post neurons for which matrix products are used: smaller ones leave tensor cores idle."""


def pays(density: float, shape: tuple[int, ...]) -> bool:
    """Return whether matrix products are faster for a layer (post, pre) with input of this density."""
    return density >= DENSITY and min(shape) >= MIN_UNITS


def sample_bytes(pre: int, width: int, longest: int) -> int:
    """Return the bytes that one sample needs for matrix products: spikes, drive, gates and halves."""
    return longest * (2 * _padded(pre) + (4 + 4 + 2 + 2) * width)


def _padded(units: int) -> int:
    return -(-units // 32) * 32


def _spread(runtime: Runtime, module: Module, pre: CudaSpikes, samples: slice) -> Array:
    """Return S of some samples as halves (sample · step, pre rounded up to words)."""
    words = pre.by_step()[samples]
    dense = runtime.xp.empty((words.shape[0] * words.shape[1], 32 * words.shape[2]), np.uint16)
    if words.size:
        module.launch("spread", blocks(runtime, words.size, 256), 256, words, dense, np.int64(words.size))
    return dense


def _halves(runtime: Runtime, module: Module, numbers: Array, rows: int) -> tuple[Array, Array]:
    """Return the high and the low half of numbers (row, width), with zeros up to `rows`."""
    high, low = (runtime.xp.empty((rows, numbers.shape[1]), np.uint16) for _ in range(2))
    if high.size:
        module.launch(
            "split", blocks(runtime, high.size, 256), 256, numbers, high, low, np.int64(numbers.size),
            np.int64(high.size),
        )  # fmt: skip
    return high, low


def drive(runtime: Runtime, module: Module, weight: Array, pre: CudaSpikes, samples: slice) -> Array:
    """Return Σ_j w_ij S_j[t] of some samples, float32 [sample, step, width]; weight [pre, width]."""
    dense = _spread(runtime, module, pre, samples)
    return _drive(runtime, module, weight, dense).reshape(
        samples.stop - samples.start, pre.longest, weight.shape[1]
    )


def _drive(runtime: Runtime, module: Module, weight: Array, dense: Array) -> Array:
    high, low = _halves(runtime, module, weight, dense.shape[1])
    out = runtime.xp.empty((dense.shape[0], weight.shape[1]), np.float32)
    runtime.half_product(dense, high, out)
    runtime.half_product(dense, low, out, scale=LOW, add=True)
    return out


def add_gradient(
    runtime: Runtime,
    module: Module,
    weight: Array,
    gradient: Array,
    pre: CudaSpikes,
    post: CudaSpikes,
    samples: slice,
    gates: Array,
    error: Array,
    scale: Array | None,
    constants: Structure,
    silent_psp: float,
    gain_floor: np.floating[Any],
) -> None:
    """Add Σ_b δ γ (1 + σ) e of some samples to gradient [pre, width], by matrix products alone.

    Σ_b c_bi e_bij = Σ_{b,t} (c_bi G_bi[t]) S_bj[t], and σ needs Σ_j w_ij e_ij = Σ_t G_i[t] drive_i[t]. A silent post
    neuron has e = `silent_psp` for every pre neuron that fired: one more product, (pre, sample) × (sample, post).
    """
    xp = runtime.xp
    count, tiles, longest, _ = gates.shape
    width, units = weight.shape[1], pre.units
    dense = _spread(runtime, module, pre, samples)
    slopes, silent = (xp.empty((count, width), np.float32) for _ in range(2))
    gamma = error if scale is None else scale
    module.launch(
        "slopes", blocks(runtime, count * tiles, WARPS), 32 * WARPS, gates, _drive(runtime, module, weight, dense),
        post.counts()[samples], error[samples], gamma[samples], np.int32(scale is not None), weight.sum(axis=0),
        constants, gain_floor, slopes, silent, np.int32(count), np.int32(longest), np.int32(post.units),
        np.int32(tiles),
    )  # fmt: skip
    # divided by the largest slope, because the range of halves is small
    largest = xp.abs(slopes).max().reshape(1)
    high, low = (xp.empty((count * longest, width), np.uint16) for _ in range(2))
    module.launch(
        "split_gates", blocks(runtime, high.size, 256), 256, gates, slopes, largest, high, low, np.int32(count),
        np.int32(longest), np.int32(tiles),
    )  # fmt: skip
    product = xp.empty((dense.shape[1], width), np.float32)
    runtime.half_product(dense, high, product, transposed=True)
    runtime.half_product(dense, low, product, scale=LOW, add=True, transposed=True)
    active = (pre.counts()[samples] > 0).astype(np.float32)
    gradient += product[:units] * largest + silent_psp * xp.matmul(active.T, silent)
