"""Fully connected layers under HM2-BP, fused: sums over events, or matrix products for dense input (docs/cuda.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backend import Array, DeviceLayer, ErrorSignal, LinearMap, OptimiserStep, Parameter, ParameterState
from ..data import Hm2bpConstants, NeuronParams
from . import gradient_products, matrix
from .base import LANES, CudaBase
from .constants import neuron_constants, update_constants
from .spikes import WARPS, CudaSpikes, Events, blocks, event_bytes

_GROUPS = 128
"""A gradient is summed in about this many blocks, tiles × groups of samples; fixed, so that sums never change."""

_PARTIALS = 64 << 20
"""Bytes for the gradient sums of a layer's groups, unless a single one needs more."""

_MIN_WARPS = 8
"""A layer with fewer warps per multiprocessor computes its drive separately, in parallel over the steps."""


class DenseParameter(Parameter):
    """Weights and moments [pre, width], gradient sums [group, pre, width]; width is post, rounded up to tiles.

    Parameters
    ----------
    backend
        The device.
    state
        Weights and moments (post, pre), host.
    groups
        Gradient sums; None: as many as `_GROUPS` and `_PARTIALS` allow.
    """

    def __init__(self, backend: CudaBase, state: ParameterState, groups: int | None = None) -> None:
        post, pre = self.shape = state.value.shape
        self._backend, self.tiles = backend, -(-post // LANES)
        self.weight, self._moment, self._variance = (
            self._transposed(np.asarray(a)) for a in (state.value, state.moment, state.variance)
        )
        if groups is None:
            groups = max(1, min(_GROUPS // self.tiles, _PARTIALS // max(self.weight.nbytes, 1)))
        self.sums = backend.xp.zeros((groups, pre, self.tiles * LANES), backend.dtype)

    def _transposed(self, array: NDArray[Any]) -> Array:
        """Return host (post, pre) as [pre, width] on the device."""
        post, pre = array.shape
        padded = np.zeros((pre, self.tiles * LANES), self._backend.dtype)
        padded[:, :post] = array.T
        return self._backend.runtime.to_device(padded)

    def _on_host(self, array: Array) -> NDArray[Any]:
        """Return [pre, width] as host, in the array's shape."""
        return np.ascontiguousarray(self._backend.to_host(array)[:, : self.shape[0]].T).reshape(self.shape)

    def gradient(self) -> NDArray[Any]:
        """See `Parameter.gradient`."""
        return self._on_host(self.sums.sum(axis=0))

    def gradient_sum(self) -> Array:
        """See `Parameter.gradient_sum`: the groups are added up into the first."""
        if len(self.sums) > 1:
            self.sums[0] = self.sums.sum(axis=0)
            self.sums[1:] = 0
        return self.sums[0]

    def update(self, samples: int, step: OptimiserStep) -> None:
        """See `Parameter.update`."""
        pre, width = self.weight.shape
        backend, runtime = self._backend, self._backend.runtime
        module, constants = backend.module("update.cu"), update_constants(step, samples, backend.dtype)
        pull = backend.xp.empty(width, backend.dtype)
        if step.strength:
            module.launch(
                "regularisation", self.tiles, LANES * min(32, pre), self.weight, pull, constants, np.int32(pre),
                np.int32(width),
            )  # fmt: skip
        moments = (self._moment, self._variance) if step.kind == "adam" else (self._moment,)
        groups = len(self.sums)
        slices = 1 if groups < 16 else 8  # threads that share the groups of a weight, of 256 in a block
        module.launch(
            f"{step.kind}_update", blocks(runtime, pre * width * slices, 256), 256, self.weight, self.sums, *moments,
            pull, np.int32(bool(step.strength)), constants, np.int64(pre * width), np.int32(width), np.int32(groups),
            np.int32(slices),
        )  # fmt: skip

    def state(self) -> ParameterState:
        """See `Parameter.state`."""
        return ParameterState(*(self._on_host(a) for a in (self.weight, self._moment, self._variance)))


class Hm2bpDense(DeviceLayer):
    """A fully connected layer under HM2-BP.

    Attributes
    ----------
    uses_products
        Whether sums over the input are matrix products; None: the first batch decides.
    """

    replayable = True

    def __init__(self, backend: CudaBase, layer: LinearMap, states: Mapping[str, ParameterState]) -> None:
        self._backend, self._runtime = backend, backend.runtime
        self.weights = DenseParameter(backend, states["weight"])
        self.parameters = {"weight": self.weights}
        self.uses_products = None if backend.products == "auto" else backend.products == "matrix"

    def _decide(self, pre: CudaSpikes) -> bool:
        """Return whether to use matrix products; deciding on the first batch makes the host wait once."""
        if self.uses_products is None:
            positions = pre.units * int(pre.steps.sum())
            if not positions or min(self.weights.shape) < matrix.MIN_UNITS:
                return False
            density = int(self._backend.to_host(pre.counts().sum(dtype=np.int64))) / positions
            self.uses_products = matrix.pays(density, self.weights.shape)
        return self.uses_products

    # ------------------------------------------------------------ forward

    def forward(self, pre: CudaSpikes, constants: Hm2bpConstants) -> CudaSpikes:  # type: ignore[override]
        """See `DeviceLayer.forward`."""
        backend, weights, neuron = self._backend, self.weights, constants.neuron
        post = backend.blank_spikes(pre.steps, pre.lengths, weights.shape[0])
        width = weights.tiles * LANES
        if self._decide(pre):
            need = matrix.sample_bytes(pre.units, width, pre.longest)
            for samples in backend.sample_slices(len(pre), need):
                drive = matrix.drive(self._runtime, backend.module("matrix.cu"), weights.weight, pre, samples)
                backend.run_neurons(drive, post, samples, neuron, constants.lateral)
            return post
        separate = bool(constants.lateral) or len(pre) * weights.tiles < _MIN_WARPS * self._runtime.processors
        need = pre.longest * event_bytes(pre.units)
        if separate:
            need += pre.longest * width * backend.dtype.itemsize
        for samples in backend.sample_slices(len(pre), need):
            events = pre.events_by_step(samples)
            if separate:
                drive = self._drive(events, samples.stop - samples.start)
                backend.run_neurons(drive, post, samples, neuron, constants.lateral)
            else:
                self._forward(events, post, samples, neuron)
        return post

    def _drive(self, events: Events, samples: int) -> Array:
        """Return Σ_j w_ij S_j[t] as [sample, step, width]."""
        backend, tiles = self._backend, self.weights.tiles
        rows = len(events.counts)
        drive = backend.xp.empty((samples, rows // samples, tiles * LANES), backend.dtype)
        if drive.size:
            backend.module("dense.cu", events.id_bits).launch(
                "dense_drive", blocks(self._runtime, rows * tiles, WARPS), LANES * WARPS, self.weights.weight,
                events.counts, events.lists, drive, np.int64(rows), events.stride, np.int32(tiles),
            )  # fmt: skip
        return drive

    def _forward(self, events: Events, post: CudaSpikes, samples: slice, neuron: NeuronParams) -> None:
        """Simulate some samples from their events by step."""
        if not post.longest:
            return
        backend, runtime = self._backend, self._runtime
        count, tiles, pre = samples.stop - samples.start, self.weights.tiles, self.weights.shape[1]
        limit, row = runtime.shared_limit, LANES * backend.dtype.itemsize
        if tiles > 1 and 2 * pre * row <= limit:
            kernel, block_tiles, table, max_warps = "dense_forward_wide", 2, 2 * pre * row, 16
        elif pre * row <= limit:
            kernel, block_tiles, table, max_warps = "dense_forward_narrow", 1, pre * row, 24
        else:
            kernel, block_tiles, table, max_warps = "dense_forward_cached", 1, 0, 32
        columns = -(-tiles // block_tiles)
        resident = max(1, min(_MIN_WARPS, limit // table)) if table else 1  # blocks per multiprocessor
        shares = max(1, min(runtime.processors * resident // columns, count))
        warps = min(max_warps, -(-count // shares))
        backend.module("dense.cu", events.id_bits).launch(
            kernel, (columns, shares), LANES * warps, self.weights.weight, events.counts, events.lists,
            post.lengths[samples], neuron_constants(neuron, backend.dtype), post.by_unit[samples],
            post.by_step()[samples], post.counts()[samples], np.int32(count), np.int32(pre), np.int32(post.longest),
            events.stride, np.int32(post.units), np.int32(post.words), np.int32(tiles), shared=table,
        )  # fmt: skip

    # ------------------------------------------------------------ backward

    def backward(  # type: ignore[override]
        self, pre: CudaSpikes, post: CudaSpikes, signal: ErrorSignal, constants: Hm2bpConstants, send: bool
    ) -> Array | None:
        """See `DeviceLayer.backward`."""
        backend, xp, weights, dtype = self._backend, self._backend.xp, self.weights, self._backend.dtype
        neuron, psp = constants.neuron, constants.psp
        count, tiles, width = len(pre), weights.tiles, weights.shape[1]
        error = xp.ascontiguousarray(xp.asarray(signal.error), dtype)
        gamma = None if signal.scale is None else xp.ascontiguousarray(xp.asarray(signal.scale), dtype)
        floor = dtype.type(constants.least_gain)
        psp_values, _ = backend.psp_constants(neuron, psp, post.longest)
        if not send and self._decide(pre):
            need = matrix.sample_bytes(width, tiles * LANES, pre.longest)
            for samples in backend.sample_slices(count if post.longest else 0, need):
                gates = backend.gates(post, samples, neuron, psp)
                matrix.add_gradient(
                    self._runtime, backend.module("matrix.cu"), weights.weight, weights.sums[0], pre, post, samples,
                    gates, error, gamma, psp_values, psp.silent_psp, floor,
                )  # fmt: skip
            return None
        if not send and backend.products == "active" and gradient_products.fits(self._runtime, post.longest):
            gradient_products.add_gradient(
                backend, weights.weight, weights.sums, pre, post, error, gamma, constants
            )
            return None
        sent = (xp.empty if post.longest else xp.zeros)((tiles, count if send else 0, width), dtype)
        groups = len(weights.sums)
        kernel, buffers, shared = self._gradient_kernel(post.longest, width)
        rows = xp.empty((0 if kernel == "dense_gradient" else tiles * groups, width, LANES), dtype)
        warps = 32 if width >= 64 else 8
        need = backend.gate_bytes(post) + width * (event_bytes(pre.longest) + 4)
        for samples in backend.sample_slices(count, need):
            if not post.longest:
                break
            gates, events = backend.gates(post, samples, neuron, psp, error), pre.events_by_unit(samples)
            backend.module("gradient.cu", events.id_bits).launch(
                kernel, tiles * groups, LANES * warps, weights.weight, events.counts, events.lists,
                pre.order(samples, events.counts)[0], gates,
                post.counts(), post.lengths, error, error if gamma is None else gamma, np.int32(gamma is not None),
                weights.sums, sent, np.int32(send), rows, psp_values, floor, np.int32(count), np.int32(samples.start),
                np.int32(samples.stop), np.int32(width), np.int32(post.longest), events.stride, np.int32(post.units),
                np.int32(tiles), np.int32(groups), np.int32(buffers), shared=shared,
            )  # fmt: skip
        return self._sum_tiles(sent) if send else None

    def _gradient_kernel(self, longest: int, pre: int) -> tuple[str, int, int]:
        """Return the first kernel that fits in shared memory, its buffers of gates, and its dynamic bytes."""
        row = LANES * self._backend.dtype.itemsize
        limit = self._runtime.shared_limit - 2 * 32 * row  # less the kernel's static shared memory
        for name, buffers, rows in (
            ("dense_gradient", 2, pre),
            ("dense_gradient", 1, pre),
            ("dense_gradient_rows_apart", 2, 0),
            ("dense_gradient_rows_apart", 1, 0),
        ):
            if (buffers * longest + rows) * row <= limit:
                return name, buffers, (buffers * longest + rows) * row
        return "dense_gradient_all_apart", 1, 0

    def _sum_tiles(self, sent: Array) -> Array:
        """Return the errors [tile, sample, pre] summed over tiles."""
        tiles, samples, width = sent.shape
        if tiles == 1:
            return sent[0]
        sums = self._backend.xp.empty((samples, width), self._backend.dtype)
        if sums.size:
            self._backend.module("gradient.cu").launch(
                "sum_tiles", blocks(self._runtime, sums.size, 256), 256, sent, sums, np.int64(sums.size),
                np.int32(tiles),
            )  # fmt: skip
        return sums
