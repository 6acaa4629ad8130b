"""Fully connected layers on a GPU: sums over events, or matrix products where spikes are many (docs/cuda.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backend import Array, UpdateRule, WeightState
from ..data import NeuronParams, PspParams
from . import matrix
from .base import LANES, CudaBase
from .constants import neuron_constants, update_constants
from .spikes import WARPS, CudaSpikes, Events, blocks, event_bytes

_GROUPS = 128
"""A layer's gradient is summed in about so many blocks, tiles × groups of samples; fixed, so that sums never change."""

_PARTIALS = 64 << 20
"""Bytes that the groups' gradients of a layer may take, where a single one does not take more."""

_FEW = 8
"""Where a layer has fewer warps a multiprocessor than this, its drive is summed apart, in parallel over the steps."""


@dataclass
class CudaWeights:
    """Weights and moments [pre, width], gradient sums [group, pre, width]; width is post in whole tiles.

    `dense` is whether the layer's products are matrix products; None: its first batch is to tell.
    """

    shape: tuple[int, int]
    weight: Array
    moment: Array
    variance: Array
    gradient: Array
    dense: bool | None = None

    @property
    def tiles(self) -> int:
        """Tiles of `LANES` post neurons."""
        return int(self.weight.shape[1]) // LANES


class DenseLayers(CudaBase):
    """Fully connected layers."""

    # ------------------------------------------------------------ dense layer

    def dense_weights(self, state: WeightState) -> CudaWeights:
        """See `Backend.dense_weights`."""
        post, pre = state.weight.shape
        tiles = -(-post // LANES)
        weight, moment, variance = (
            self._laid_out(np.asarray(a), tiles) for a in (state.weight, state.moment, state.variance)
        )
        groups = max(1, min(_GROUPS // tiles, _PARTIALS // max(weight.nbytes, 1)))
        gradient = self.xp.zeros((groups, pre, tiles * LANES), self.dtype)
        dense = None if self.products == "auto" else self.products == "matrix"
        return CudaWeights((post, pre), weight, moment, variance, gradient, dense)

    def _is_dense(self, weights: CudaWeights, pre: CudaSpikes) -> bool:
        """Whether a layer is computed by matrix products; its first batch decides, which costs the host one wait."""
        if weights.dense is None:
            positions = pre.units * int(pre.steps.sum())
            if not positions or min(weights.shape) < matrix.FEWEST:
                return False
            density = int(self.to_host(pre.counts().sum(dtype=np.int64))) / positions
            weights.dense = matrix.pays(density, weights.shape)
        return weights.dense

    def _laid_out(self, array: NDArray[Any], tiles: int) -> Array:
        post, pre = array.shape
        padded = np.zeros((pre, tiles * LANES), self.dtype)
        padded[:, :post] = array.T
        return self.runtime.to_device(padded)

    def _seen(self, array: Array, shape: tuple[int, int]) -> NDArray[Any]:
        """Return [pre, width] as host (post, pre)."""
        return np.ascontiguousarray(self.to_host(array)[:, : shape[0]].T)

    def dense_forward(  # type: ignore[override]
        self, weights: CudaWeights, pre: CudaSpikes, neuron: NeuronParams, lateral: float = 0.0
    ) -> CudaSpikes:
        """See `Backend.dense_forward`."""
        out = self._blank(pre.steps, pre.own, weights.shape[0])
        if self._is_dense(weights, pre):
            width = weights.tiles * LANES
            for slab in self._slabs(len(pre), matrix.sample_bytes(pre.units, width, pre.longest)):
                drive = matrix.drive(self.runtime, self._module("matrix.cu"), weights.weight, pre, slab)
                self._lif(drive, out, slab, neuron, lateral)
            return out
        apart = bool(lateral) or len(pre) * weights.tiles < _FEW * self.runtime.processors
        need = pre.longest * event_bytes(pre.units)
        if apart:
            need += pre.longest * weights.tiles * LANES * self.dtype.itemsize
        for slab in self._slabs(len(pre), need):
            events = pre.events_by_step(slab)
            if apart:
                drive = self._dense_drive(weights, events, slab.stop - slab.start)
                self._lif(drive, out, slab, neuron, lateral)
            else:
                self._dense_forward(weights, events, out, slab, neuron)
        return out

    def _dense_drive(self, weights: CudaWeights, events: Events, samples: int) -> Array:
        """Return Σ_j w_ij S_j[t] as [sample, step, width]."""
        rows, width = len(events.counts), weights.tiles * LANES
        drive = self.xp.empty((samples, rows // samples, width), self.dtype)
        if drive.size:
            self._module("dense.cu", events.bits).launch(
                "dense_drive", blocks(self.runtime, rows * weights.tiles, WARPS), LANES * WARPS, weights.weight,
                events.counts, events.lists, drive, np.int64(rows), events.stride, np.int32(weights.tiles),
            )  # fmt: skip
        return drive

    def _dense_forward(
        self, weights: CudaWeights, events: Events, out: CudaSpikes, slab: slice, neuron: NeuronParams
    ) -> None:
        """Simulate a slab of samples from their events by step."""
        samples, tiles, pre = slab.stop - slab.start, weights.tiles, weights.shape[1]
        if not out.longest:
            return
        limit, row = self.runtime.shared_limit, LANES * self.dtype.itemsize
        if tiles > 1 and 2 * pre * row <= limit:
            name, each, table, most = "dense_forward_wide", 2, 2 * pre * row, 16
        elif pre * row <= limit:
            name, each, table, most = "dense_forward_narrow", 1, pre * row, 24
        else:
            name, each, table, most = "dense_forward_cached", 1, 0, 32
        columns = -(-tiles // each)
        resident = max(1, min(_FEW, limit // table)) if table else 1  # blocks a multiprocessor
        shares = max(1, min(self.runtime.processors * resident // columns, samples))
        warps = min(most, -(-samples // shares))
        self._module("dense.cu", events.bits).launch(
            name, (columns, shares), LANES * warps, weights.weight, events.counts, events.lists, out.own[slab],
            neuron_constants(neuron, self.dtype), out.by_unit[slab], out.by_step()[slab], out.counts()[slab],
            np.int32(samples), np.int32(pre), np.int32(out.longest), events.stride, np.int32(out.units),
            np.int32(out.words), np.int32(tiles), shared=table,
        )  # fmt: skip

    def dense_backward(  # type: ignore[override]
        self,
        weights: CudaWeights,
        pre: CudaSpikes,
        post: CudaSpikes,
        delta: Array,
        scale: Array | None,
        neuron: NeuronParams,
        psp: PspParams,
        incoming: bool,
    ) -> Array | None:
        """See `Backend.dense_backward`."""
        xp, samples, tiles, width = self.xp, len(pre), weights.tiles, weights.shape[1]
        delta = xp.ascontiguousarray(xp.asarray(delta), self.dtype)
        gamma = delta if scale is None else xp.ascontiguousarray(xp.asarray(scale), self.dtype)
        sent = xp.zeros((tiles, samples if incoming else 0, width), self.dtype)
        constants, _ = self._psp(neuron, psp, post.longest)
        if not incoming and self._is_dense(weights, pre):
            need = matrix.sample_bytes(width, tiles * LANES, pre.longest)
            for slab in self._slabs(samples if post.longest else 0, need):
                gates = self._gates(post, slab, neuron, psp)
                matrix.add_gradient(
                    self.runtime, self._module("matrix.cu"), weights.weight, weights.gradient[0], pre, post, slab,
                    gates, delta, scale if scale is None else gamma, constants,
                )  # fmt: skip
            return None
        groups = weights.gradient.shape[0]
        kernel, buffers, shared = self._gradient_kernel(post.longest, width)
        apart = xp.empty((0 if kernel == "dense_gradient" else tiles * groups, width, LANES), self.dtype)
        warps = 32 if width >= 64 else 8
        for slab in self._slabs(samples, self._gate_bytes(post) + width * event_bytes(pre.longest)):
            if not post.longest:
                break
            gates, events = self._gates(post, slab, neuron, psp, delta), pre.events_by_unit(slab)
            self._module("gradient.cu", events.bits).launch(
                kernel, tiles * groups, LANES * warps, weights.weight, events.counts, events.lists, gates,
                post.counts(), post.own, delta, gamma, np.int32(scale is not None), weights.gradient, sent,
                np.int32(incoming), apart, constants, np.int32(samples), np.int32(slab.start), np.int32(slab.stop),
                np.int32(width), np.int32(post.longest), events.stride, np.int32(post.units), np.int32(tiles),
                np.int32(groups), np.int32(buffers), shared=shared,
            )  # fmt: skip
        return self._sum_tiles(sent) if incoming else None

    def _gradient_kernel(self, longest: int, pre: int) -> tuple[str, int, int]:
        """Return which kernel has room in shared memory, its buffers of gates, and its dynamic bytes."""
        row = LANES * self.dtype.itemsize
        limit = self.runtime.shared_limit - (2 * 32 + 1) * row  # what it takes for itself
        for name, buffers, own in (
            ("dense_gradient", 2, pre),
            ("dense_gradient", 1, pre),
            ("dense_gradient_rows_apart", 2, 0),
            ("dense_gradient_rows_apart", 1, 0),
        ):
            if (buffers * longest + own) * row <= limit:
                return name, buffers, (buffers * longest + own) * row
        return "dense_gradient_all_apart", 1, 0

    def _sum_tiles(self, sent: Array) -> Array:
        tiles, samples, width = sent.shape
        if tiles == 1:
            return sent[0]
        sums = self.xp.empty((samples, width), self.dtype)
        if sums.size:
            self._module("gradient.cu").launch(
                "sum_tiles",
                blocks(self.runtime, sums.size, 256),
                256,
                sent,
                sums,
                np.int64(sums.size),
                np.int32(tiles),
            )
        return sums

    # ------------------------------------------------------------ update

    def gradient(self, weights: CudaWeights) -> NDArray[Any]:  # type: ignore[override]
        """See `Backend.gradient`."""
        return self._seen(weights.gradient.sum(axis=0), weights.shape)

    def gradient_sum(self, weights: CudaWeights) -> Array:  # type: ignore[override]
        """See `Backend.gradient_sum`: the groups are added up into the first."""
        if len(weights.gradient) > 1:
            weights.gradient[0] = weights.gradient.sum(axis=0)
            weights.gradient[1:] = 0
        return weights.gradient[0]

    def update(self, weights: CudaWeights, samples: int, rule: UpdateRule) -> None:  # type: ignore[override]
        """See `Backend.update`."""
        pre, width = weights.weight.shape
        module, constants = self._module("update.cu"), update_constants(rule, samples, self.dtype)
        pull = self.xp.empty(width, self.dtype)
        if rule.strength:
            module.launch(
                "regularisation", weights.tiles, LANES * min(32, pre), weights.weight, pull, constants, np.int32(pre),
                np.int32(width),
            )  # fmt: skip
        moments = (weights.moment, weights.variance) if rule.kind == "adam" else (weights.moment,)
        module.launch(
            f"{rule.kind}_update", blocks(self.runtime, pre * width, 256), 256, weights.weight, weights.gradient,
            *moments, pull, np.int32(bool(rule.strength)), constants, np.int64(pre * width), np.int32(width),
            np.int32(weights.gradient.shape[0]),
        )  # fmt: skip

    def state(self, weights: CudaWeights) -> WeightState:  # type: ignore[override]
        """See `Backend.state`."""
        return WeightState(
            *(self._seen(a, weights.shape) for a in (weights.weight, weights.moment, weights.variance))
        )
