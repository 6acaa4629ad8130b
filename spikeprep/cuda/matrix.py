"""A fully connected layer as matrix products on tensor cores: what wins where spikes are many (docs/cuda.md).

Spikes are exact in half precision. What they are multiplied with is split into a high and a low half, 22 bits in all,
and both products are added up in float32: the sums keep float32's accuracy (tests/cuda/test_matrix.py), in another
order than those over events. Only float32, and weights below 65 504.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backend import Array
from .runtime import Module, Runtime
from .spikes import WARPS, CudaSpikes, blocks

LOW = 2.0**-11
"""What the low half of a number is scaled by."""

DENSITY = 0.1
"""Share of spikes from which a layer's products are matrix products.

On an H100, per pre neuron, post neuron and step: forward and gradient issue 0.29 instructions of a warp an event, and
the card issues 9e11 a second: 3.2e-13 s times the density. As products they are 12 operations (drive, drive again and
gradient, twice for the halves) at 60 % of 990 TFLOP/s, and 24 bytes a post neuron and 8 a pre neuron at 3 TB/s: at
784-800 together 3.4e-14 s. `make gpu-bench` times both.
"""

FEWEST = 128
"""Pre and post neurons below which a product is too thin for tensor cores to pay."""


def pays(density: float, shape: tuple[int, int]) -> bool:
    """Whether matrix products are the faster way for a layer (post, pre) with input of this density."""
    return density >= DENSITY and min(shape) >= FEWEST


def sample_bytes(pre: int, width: int, longest: int) -> int:
    """Return the bytes that a sample takes while its layer is matrix products: spikes, drive, gates and halves."""
    return longest * (2 * _padded(pre) + (4 + 4 + 2 + 2) * width)


def _padded(units: int) -> int:
    return -(-units // 32) * 32


def _spread(runtime: Runtime, module: Module, pre: CudaSpikes, slab: slice) -> Array:
    """Return S of a slab as halves (sample · step, pre in whole words)."""
    words = pre.by_step()[slab]
    dense = runtime.xp.empty((words.shape[0] * words.shape[1], 32 * words.shape[2]), np.uint16)
    if words.size:
        module.launch("spread", blocks(runtime, words.size, 256), 256, words, dense, np.int64(words.size))
    return dense


def _halves(runtime: Runtime, module: Module, numbers: Array, rows: int) -> tuple[Array, Array]:
    """Return the high and the low half of numbers (row, width), with zeros up to `rows`."""
    made = [runtime.xp.empty((rows, numbers.shape[1]), np.uint16) for _ in range(2)]
    if made[0].size:
        module.launch(
            "split", blocks(runtime, made[0].size, 256), 256, numbers, *made, np.int64(numbers.size),
            np.int64(made[0].size),
        )  # fmt: skip
    return made[0], made[1]


def drive(runtime: Runtime, module: Module, weight: Array, pre: CudaSpikes, slab: slice) -> Array:
    """Return Σ_j w_ij S_j[t] of a slab, float32 [sample, step, width]; weight [pre, width]."""
    return _drive(runtime, module, weight, _spread(runtime, module, pre, slab)).reshape(
        slab.stop - slab.start, pre.longest, weight.shape[1]
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
    slab: slice,
    gates: Array,
    delta: Array,
    scale: Array | None,
    constants: np.void,
) -> None:
    """Add a slab's Σ_b δ γ (1 + σ) e to gradient [pre, width], by products alone.

    Σ_b c_bi e_bij = Σ_{b,t} (c_bi G_bi[t]) S_bj[t], and σ needs Σ_j w_ij e_ij = Σ_t G_i[t] drive_i[t]. A silent post
    neuron has e = `silent_psp` for every pre neuron that fired: one thin product more.
    """
    xp = runtime.xp
    samples, tiles, longest, _ = gates.shape
    width, units = weight.shape[1], pre.units
    dense = _spread(runtime, module, pre, slab)
    slopes, silent = (xp.empty((samples, width), np.float32) for _ in range(2))
    sizes: Sequence[Any] = [np.int32(n) for n in (samples, longest, post.units, tiles)]
    module.launch(
        "slopes", blocks(runtime, samples * tiles, WARPS), 32 * WARPS, gates, _drive(runtime, module, weight, dense),
        post.counts()[slab], delta[slab], (delta if scale is None else scale)[slab], np.int32(scale is not None),
        weight.sum(axis=0), constants, slopes, silent, *sizes,
    )  # fmt: skip
    # in units of the largest slope: a half's range is narrow
    largest = xp.abs(slopes).max().reshape(1)
    high, low = (xp.empty((samples * longest, width), np.uint16) for _ in range(2))
    module.launch(
        "split_gates", blocks(runtime, high.size, 256), 256, gates, slopes, largest, high, low, np.int32(samples),
        np.int32(longest), np.int32(tiles),
    )  # fmt: skip
    product = xp.empty((dense.shape[1], width), np.float32)
    runtime.half_product(dense, high, product, transposed=True)
    runtime.half_product(dense, low, product, scale=LOW, add=True, transposed=True)
    active = (pre.counts()[slab] > 0).astype(np.float32)
    gradient += product[:units] * largest + constants["silent_psp"] * xp.matmul(active.T, silent)
