"""Convolutions under HM2-BP, fused (docs/cuda.md): forward over events by step, backward over traces of the pre units.

PSPs are in their dual form (docs/hm2bp.md section 8): it costs per post spike what a gate costs per pre spike and step,
and the neurons of a convolution fire little.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..backend import Array, DeviceLayer, ErrorSignal, ParameterState
from ..data import Hm2bpConstants
from .base import CudaBase
from .constants import neuron_constants, slow_steps
from .dense import DenseParameter
from .grids import Grid, blank_grid
from .spikes import CudaSpikes, blocks, event_bytes

_CHANNELS = 4  # of a warp, as in conv.cu
_FORWARD_WARPS = 8  # groups of channels in a block, at most

STAGED = 64 << 10
"""Bytes of weights that a block of the forward pass may copy to shared memory: more would leave room for few blocks."""

_PLACES = 16  # of a warp of the gradient, at least
_GRADIENT_WARPS = 8
_SEND_WARPS = 8
_TERMS = 100  # these three as in conv.cu

SHARED = 45 << 10
"""Bytes of shared memory that a block of the gradient may use, on any device: the order of its sums depends on it."""


class ConvParameter(DenseParameter):
    """Weights (channel, channel of the input, row, column) as those of a dense layer from taps to channels."""

    def __init__(self, backend: CudaBase, state: ParameterState) -> None:
        shape = state.value.shape
        flat = (a.reshape(shape[0], -1) for a in (state.value, state.moment, state.variance))
        super().__init__(backend, ParameterState(*flat), groups=1)
        self.taps = self.weight.shape[0]
        self.shape = shape


class Hm2bpConv(DeviceLayer):
    """A convolution under HM2-BP."""

    replayable = True

    def __init__(self, backend: CudaBase, layer: Any, states: Mapping[str, ParameterState]) -> None:
        self._backend, self._layer, self._grid = backend, layer, Grid(backend, layer)
        self._taps = self._grid.tap_table(backend)
        self.weights = ConvParameter(backend, states["weight"])
        self.parameters = {"weight": self.weights}

    def forward(self, pre: CudaSpikes, constants: Hm2bpConstants) -> CudaSpikes:  # type: ignore[override]
        """See `DeviceLayer.forward`."""
        backend, grid, weight = self._backend, self._grid, self.weights.weight
        post = blank_grid(backend, pre, grid.channels * grid.places)
        if not pre.longest:
            return post
        neuron = neuron_constants(constants.neuron_of(self._layer), backend.dtype)
        tiles, groups = -(-grid.places // 32), -(-grid.channels // _CHANNELS)
        group_bytes = self.weights.taps * _CHANNELS * backend.dtype.itemsize
        limit = min(STAGED, backend.runtime.shared_limit)
        staged = group_bytes <= limit
        most = min(_FORWARD_WARPS, limit // group_bytes) if staged else _FORWARD_WARPS
        shares = -(-groups // most)  # blocks of a tile of places
        warps = -(-groups // shares)
        for samples in backend.sample_slices(len(pre), pre.longest * event_bytes(pre.units)):
            events, count = pre.events_by_step(samples), samples.stop - samples.start
            backend.module("conv.cu", events.id_bits).launch(
                "conv_forward", shares * tiles * count, 32 * warps, weight, grid.units, events.counts,
                events.lists, pre.lengths[samples], grid.windows, neuron, post.by_unit[samples],
                post.counts()[samples], np.int32(pre.longest), events.stride, np.int32(post.words),
                np.int32(weight.shape[1]), np.int32(groups), np.int32(staged), shared=warps * group_bytes * staged,
            )  # fmt: skip
        return post

    def backward(  # type: ignore[override]
        self, pre: CudaSpikes, post: CudaSpikes, signal: ErrorSignal, constants: Hm2bpConstants, send: bool
    ) -> Array | None:
        """See `DeviceLayer.backward`."""
        backend, grid, xp, dtype = self._backend, self._grid, self._backend.xp, self._backend.dtype
        weight, taps, longest = self.weights.weight, self.weights.taps, pre.longest
        psp, _ = backend.psp_constants(constants.neuron, constants.psp, longest)
        decays = backend.decays(constants.neuron, longest)
        window = -1 if constants.psp.window is None else constants.psp.window
        slow = slow_steps(constants.psp, longest)
        error = xp.ascontiguousarray(xp.asarray(signal.error), dtype)
        scale = None if signal.scale is None else xp.ascontiguousarray(xp.asarray(signal.scale), dtype)
        floor = dtype.type(constants.least_gain)
        sent = (xp.empty if longest else xp.zeros)((len(pre) if send else 0, pre.units), dtype)
        kernel, warps, shared, scratch = self._division(post.words)
        pairs_size = grid.channels * grid.places * (taps + 2) * send
        need = (longest + slow) * (pre.units + 7) + 3 * pre.units + grid.channels * taps + pairs_size
        module = backend.module("conv.cu")
        sample_bytes = need * dtype.itemsize + grid.channels * scratch
        for samples in backend.sample_slices(len(pre) if longest else 0, sample_bytes):
            count = samples.stop - samples.start
            counts, post_counts, errors = pre.counts()[samples], post.counts()[samples], error[samples]
            ranks = xp.empty((count, pre.units + 1), np.int32)
            active = xp.empty((count, pre.units, 2), np.int32)
            traces = xp.empty((count, longest + slow, pre.units + 7), dtype)
            sums = xp.empty((count, grid.channels, taps), dtype)
            pairs = xp.empty((count if send else 0, grid.channels, taps, grid.places), dtype)
            deltas = xp.empty((count if send else 0, grid.channels, grid.places, 2), dtype)
            sizes = [np.int32(n) for n in (count, longest, slow, pre.units, post.words)]
            module.launch(
                "number_active", count, 256, counts, grid.windows, ranks, active, np.int32(pre.units)
            )
            module.launch(
                "traces", blocks(backend.runtime, counts.size, 128), 128, pre.by_unit[samples], ranks, active,
                pre.lengths[samples], psp, traces, *sizes,
            )  # fmt: skip
            module.launch(
                kernel, count * grid.channels, 32 * warps, weight, self._taps, counts, ranks, active,
                post.by_unit[samples], post_counts, errors, errors if scale is None else scale[samples],
                np.int32(scale is not None), traces, decays, psp, np.int32(window), floor, grid.windows, sums, deltas,
                pairs, np.int32(send), xp.empty(count * grid.channels * scratch, np.uint8), *sizes[1:],
                np.int32(weight.shape[1]), shared=shared,
            )  # fmt: skip
            module.launch(
                "add_samples", blocks(backend.runtime, grid.channels * taps, 64), 64, sums, self.weights.sums[0],
                np.int32(count), np.int32(grid.channels), np.int32(taps), np.int32(weight.shape[1]),
            )  # fmt: skip
            if send:
                module.launch(
                    "conv_send", count * -(-pre.units // 32), 32 * _SEND_WARPS, weight, deltas, pairs, counts,
                    grid.units, psp, grid.windows, sent[samples], np.int32(pre.units), np.int32(weight.shape[1]),
                )  # fmt: skip
        return sent if send else None

    def _division(self, words: int) -> tuple[str, int, int, int]:
        """Return the gradient's kernel, the warps of a block, its bytes of shared memory, and those of its scratch."""
        size, taps = self._backend.dtype.itemsize, self.weights.taps
        fixed = _TERMS * (size + 4) + 2 * 32 * min(words, 32)  # for each warp
        sums, shared = 2 * taps * (size + 4), taps * size  # for each warp, and for all
        most = max(1, min(_GRADIENT_WARPS, -(-self._grid.places // _PLACES)))
        if fixed + sums + shared <= SHARED:
            warps = min(most, (SHARED - shared) // (fixed + sums))
            return "conv_gradient", warps, shared + warps * (fixed + sums), 0
        warps = max(1, min(most, SHARED // fixed))
        return "conv_gradient_apart", warps, warps * fixed, shared + warps * sums
