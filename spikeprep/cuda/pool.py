"""Spiking pools under HM2-BP, fused (docs/cuda.md): forward over words of 32 steps, backward gates in registers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..backend import Array, DeviceLayer, ErrorSignal, ParameterState
from ..data import Hm2bpConstants
from .base import CudaBase
from .constants import neuron_constants
from .grids import Grid, blank_grid
from .spikes import WARPS, CudaSpikes, blocks

_KERNELS = ((7, "pool_forward"), (255, "pool_forward_wide"), (2**30 - 1, "pool_forward_widest"))
"""Forward kernels by the most units of a window."""


class Hm2bpPool(DeviceLayer):
    """A spiking pool under HM2-BP."""

    replayable = True

    def __init__(self, backend: CudaBase, layer: Any, states: Mapping[str, ParameterState]) -> None:
        self._backend, self._layer, self._grid = backend, layer, Grid(backend, layer)
        self._kernel = next(name for most, name in _KERNELS if self._grid.taps <= most)
        self.parameters = {}

    def forward(self, pre: CudaSpikes, constants: Hm2bpConstants) -> CudaSpikes:  # type: ignore[override]
        """See `DeviceLayer.forward`."""
        backend, grid = self._backend, self._grid
        post = blank_grid(backend, pre, grid.channels * grid.places)
        if pre.longest:
            neuron = neuron_constants(constants.neuron_of(self._layer), backend.dtype)
            tiles = len(pre) * -(-post.units // 32)
            backend.module("pool.cu").launch(
                self._kernel, blocks(backend.runtime, tiles, WARPS), 32 * WARPS, pre.by_unit, pre.lengths,
                grid.windows, neuron, post.by_unit, post.counts(), np.int32(len(pre)), np.int32(pre.units),
                np.int32(post.words),
            )  # fmt: skip
        return post

    def backward(  # type: ignore[override]
        self, pre: CudaSpikes, post: CudaSpikes, signal: ErrorSignal, constants: Hm2bpConstants, send: bool
    ) -> Array | None:
        """See `DeviceLayer.backward`."""
        if not send:
            return None
        backend, grid, xp, dtype = self._backend, self._grid, self._backend.xp, self._backend.dtype
        error = xp.ascontiguousarray(xp.asarray(signal.error), dtype)
        psp, leaving = backend.psp_constants(constants.neuron, constants.psp, pre.longest)
        sent = (xp.empty if pre.longest else xp.zeros)((len(pre), pre.units), dtype)
        module, tiles = backend.module("pool.cu"), -(-post.units // 32)
        pair_bytes = post.units * grid.taps * dtype.itemsize
        for samples in backend.sample_slices(len(pre) if pre.longest else 0, pair_bytes):
            count = samples.stop - samples.start
            pre_counts, post_counts, errors = pre.counts()[samples], post.counts()[samples], error[samples]
            pairs = xp.empty((count, grid.channels, grid.taps, grid.places), dtype)
            module.launch(
                "pool_pairs", blocks(backend.runtime, count * tiles, WARPS), 32 * WARPS, pre.by_unit[samples],
                post.by_unit[samples], post_counts, pre.lengths[samples], errors, leaving, psp, grid.windows, pairs,
                np.int32(count), np.int32(pre.units), np.int32(post.words),
            )  # fmt: skip
            module.launch(
                "pool_send", blocks(backend.runtime, pre_counts.size, 128), 128, errors, pairs, pre_counts,
                post_counts, grid.units, dtype.type(self._layer.backward_weight), psp, grid.windows, sent[samples],
                np.int32(count),
            )  # fmt: skip
        return sent
