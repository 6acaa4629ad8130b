"""The CUDA backend: what `spikeprep.ops` asks for, as launches of the kernels beside this file (docs/cuda.md).

Work goes by samples in slabs whose events, gates and drives fit in a workspace, which bounds the memory of a step
whatever the batch. Sums are taken in an order that depends on shapes alone: equal inputs give bit-equal results, on any
device and under any workspace.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..data import NeuronParams, PackedBatch, PspParams
from ..errors import CapabilityError
from ..ops import Array, LifTrace, Ops, UpdateRule, WeightState
from ..packing import unpack
from . import matrix
from .constants import leaving_terms, neuron_constants, psp_constants, update_constants
from .runtime import Module, Runtime
from .spikes import WARPS, CudaSpikes, Events, blocks, event_bytes

if TYPE_CHECKING:  # with these come the store's libraries, which batches in memory do without
    from ..stream import BatchStream
    from .feed import Feeder, TierName

LANES = 32
"""Neurons of a tile: a warp's lanes."""

WORKSPACE = 1 << 30
"""Bytes that events, gates and drives of a slab may take, where a single sample does not take more."""

_GROUPS = 128
"""A layer's gradient is summed in about so many blocks, tiles × groups of samples; fixed, so that sums never change."""

_PARTIALS = 64 << 20
"""Bytes that the groups' gradients of a layer may take, where a single one does not take more."""

_FEW = 8
"""Where a layer has fewer warps a multiprocessor than this, its drive is summed apart, in parallel over the steps."""

_REFRACTORY = 32
"""The longest refractory time that a gate's scan sees at once."""


Products = Literal["auto", "events", "matrix"]


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


class CudaOps(Ops):
    """HM2-BP on a GPU.

    Parameters
    ----------
    runtime
        The device.
    dtype
        float32 (default) or float64.
    workspace
        Bytes for what a slab of samples needs beside spikes and weights; results over events do not depend on it.
    products
        How a layer's sums over its input are taken: over "events", as products of a "matrix" (float32 only, and where
        the error is not sent further back), or "auto": by the density of the first batch that a layer sees.
    feed
        How samples reach the device: "auto", or a tier's name; see `feed.Feeder`. Results do not depend on it.
    """

    name: ClassVar[str] = "cuda"

    def __init__(
        self,
        runtime: Runtime,
        dtype: Any = np.float32,
        workspace: int = WORKSPACE,
        products: Products = "auto",
        feed: TierName = "auto",
    ) -> None:
        self.runtime, self.dtype, self.workspace = runtime, np.dtype(dtype), workspace
        self.xp, self.device, self.products = runtime.xp, runtime.name, products
        self._tier = feed
        self._feeder: Feeder | None = None
        possible = self.dtype == np.float32 and runtime.has_products
        if products == "matrix" and not possible:
            raise CapabilityError(
                f"got matrix products in {self.dtype}",
                "float32, and cuBLAS",
                "Install nvidia-cublas, or use events.",
            )
        if not possible:
            self.products = "events"
        self._leaving: dict[tuple[float, ...], Array] = {}

    # ------------------------------------------------------------ helpers

    def _module(self, file: str, bits: int = 16) -> Module:
        real = "float" if self.dtype == np.float32 else "double"
        return self.runtime.module(file, REAL=real, ID_BITS=bits)

    def _slabs(self, samples: int, sample_bytes: int) -> Iterator[slice]:
        """Yield slices of samples, each within the workspace."""
        size = max(1, self.workspace // max(sample_bytes, 1))
        for first in range(0, samples, size):
            yield slice(first, min(first + size, samples))

    def _psp(self, neuron: NeuronParams, psp: PspParams, longest: int) -> tuple[np.void, Array]:
        """Return the PSP's constants and its leaving terms, which stay on the device."""
        if neuron.refractory > _REFRACTORY:
            raise CapabilityError(
                f"got a refractory time of {neuron.refractory} steps",
                f"at most {_REFRACTORY} on a GPU",
                "Use --device cpu, or longer steps.",
            )
        key = (
            neuron.tau_m,
            neuron.tau_s,
            neuron.refractory,
            -1 if psp.window is None else psp.window,
            longest,
        )
        if key not in self._leaving:
            terms = leaving_terms(neuron, psp, longest, self.dtype)
            self._leaving[key] = self.runtime.to_device(terms)
        return psp_constants(neuron, psp, longest, self.dtype), self._leaving[key]

    # ------------------------------------------------------------ spikes

    def feed(self, stream: BatchStream) -> Iterator[PackedBatch]:
        """See `Ops.feed`."""
        if self._feeder is None:
            from .feed import Feeder

            self._feeder = Feeder(self.runtime, self._tier)
        return self._feeder.feed(stream)

    def upload(self, batch: PackedBatch) -> CudaSpikes:
        """See `Ops.upload`; bits may be on the device already."""
        xp = self.xp
        bits: Array = batch.bits
        bits = xp.ascontiguousarray(bits) if isinstance(bits, xp.ndarray) else self.runtime.to_device(bits)
        samples, units, width = bits.shape
        steps = np.asarray(batch.steps, np.int64)
        own = xp.asarray(steps.astype(np.int32))
        words = -(-int(steps.max(initial=0)) // 32)
        by_unit = xp.empty((samples, units, words), np.uint32)
        if by_unit.size:
            self._module("spikes.cu").launch(
                "unpack", blocks(self.runtime, by_unit.size, 256), 256, bits, own, by_unit, np.int64(samples * units),
                np.int32(units), np.int32(width), np.int32(words),
            )  # fmt: skip
        return CudaSpikes(self.runtime, units, steps, own, by_unit)

    def unpack(self, spikes: CudaSpikes) -> NDArray[np.bool_]:  # type: ignore[override]
        """See `Ops.unpack`."""
        words = self.to_host(spikes.by_unit).astype("<u4", copy=False)
        return unpack(words.view(np.uint8), spikes.longest)

    def counts(self, spikes: CudaSpikes) -> Array:  # type: ignore[override]
        """See `Ops.counts`."""
        return spikes.counts().astype(np.int64)

    def regular_trains(self, spikes: CudaSpikes, unit: Array, period: Array) -> CudaSpikes:  # type: ignore[override]
        """See `Ops.regular_trains`."""
        by_unit = spikes.by_unit.copy()
        if by_unit.size:
            self._module("spikes.cu").launch(
                "regular_trains", blocks(self.runtime, len(spikes) * spikes.words, 256), 256, by_unit, spikes.own,
                self.xp.asarray(unit, np.int64), self.xp.asarray(period, np.int64), np.int32(len(spikes)),
                np.int32(spikes.units), np.int32(spikes.words),
            )  # fmt: skip
        return CudaSpikes(self.runtime, spikes.units, spikes.steps, spikes.own, by_unit)

    # ------------------------------------------------------------ neurons, gates, PSPs

    def lif(self, drive: NDArray[Any], neuron: NeuronParams) -> LifTrace:
        """See `Ops.lif`."""
        steps, units = drive.shape
        tiles = -(-units // LANES)
        padded = np.zeros((1, steps, tiles * LANES), self.dtype)
        padded[0, :, :units] = drive
        device = self.runtime.to_device(padded)
        membranes, currents = self.xp.zeros_like(device), self.xp.zeros_like(device)
        lengths = np.array([steps], np.int64)
        spikes = self._blank(lengths, self.xp.asarray(lengths.astype(np.int32)), units)
        self._lif(device, spikes, slice(0, 1), neuron, 0.0, (membranes, currents))
        membrane, current = (self.to_host(a)[0, :, :units] for a in (membranes, currents))
        return LifTrace(self.unpack(spikes)[0], membrane, current)

    def _blank(self, steps: NDArray[np.int64], own: Array, units: int) -> CudaSpikes:
        """Return spikes that a kernel is about to write: all words and all counts."""
        xp, longest = self.xp, int(steps.max(initial=0))
        return CudaSpikes(
            self.runtime, units, steps, own,
            xp.empty((len(steps), units, -(-longest // 32)), np.uint32),
            xp.empty((len(steps), longest, -(-units // 32)), np.uint32),
            xp.zeros((len(steps), units), np.int32),
        )  # fmt: skip

    def _lif(
        self,
        drive: Array,
        spikes: CudaSpikes,
        slab: slice,
        neuron: NeuronParams,
        lateral: float,
        trace: tuple[Array, Array] | None = None,
    ) -> None:
        """Run a slab's neurons on their drive [sample, step, width] and write their spikes."""
        samples, longest, width = drive.shape
        if not drive.size:
            return
        tiles = width // LANES
        written = spikes.by_unit[slab], spikes.by_step()[slab], spikes.counts()[slab]
        sizes = [np.int32(n) for n in (samples, longest, spikes.units, spikes.words, tiles)]
        constants, module = neuron_constants(neuron, self.dtype), self._module("neurons.cu")
        if lateral:
            # room for `State`: three or four words of Real and int, and the record's four
            states = 0 if tiles <= LANES else tiles * LANES * (2 * self.dtype.itemsize + 24)
            if states > self.runtime.shared_limit - 1024:
                raise CapabilityError(
                    f"got lateral inhibition among {spikes.units} neurons",
                    f"at most {(self.runtime.shared_limit - 1024) // (2 * self.dtype.itemsize + 24)} on this GPU",
                    "Use --device cpu, or a smaller layer.",
                )
            module.launch(
                "lif_lateral", samples, LANES * min(tiles, 32), drive, spikes.own[slab], constants,
                self.dtype.type(lateral), *written, *sizes, shared=states,
            )  # fmt: skip
            return
        warps = 2 if samples * tiles < self.runtime.processors * WARPS else WARPS
        module.launch(
            "lif", blocks(self.runtime, samples * tiles, warps), LANES * warps, drive, spikes.own[slab], constants,
            *written, *(trace or (drive, drive)), np.int32(trace is not None), *sizes,
        )  # fmt: skip

    def _gates(
        self,
        post: CudaSpikes,
        slab: slice,
        neuron: NeuronParams,
        psp: PspParams,
        delta: Array | None = None,
    ) -> Array:
        """Return a slab's gates [sample, tile, step, lane]; tiles whose `delta` is 0 stay unwritten."""
        samples, tiles = slab.stop - slab.start, -(-post.units // LANES)
        constants, leaving = self._psp(neuron, psp, post.longest)
        gates = self.xp.empty((samples, tiles, post.longest, LANES), self.dtype)
        if gates.size:
            self._module("gate.cu").launch(
                "gate", blocks(self.runtime, samples * tiles, 4), 4 * LANES, post.by_unit[slab], post.own[slab],
                constants, leaving, leaving if delta is None else delta[slab], np.int32(delta is not None), gates,
                *(np.int32(n) for n in (samples, post.longest, post.units, post.words, tiles)),
            )  # fmt: skip
        return gates

    def _gate_bytes(self, post: CudaSpikes) -> int:
        return -(-post.units // LANES) * post.longest * LANES * self.dtype.itemsize

    def gate(self, post: CudaSpikes, neuron: NeuronParams, psp: PspParams) -> Array:  # type: ignore[override]
        """See `Ops.gate`."""
        gates = self._gates(post, slice(0, len(post)), neuron, psp)
        samples, tiles, steps, lanes = gates.shape
        return gates.transpose(0, 2, 1, 3).reshape(samples, steps, tiles * lanes)[:, :, : post.units]

    def psp(self, pre: CudaSpikes, post: CudaSpikes, neuron: NeuronParams, psp: PspParams) -> Array:  # type: ignore[override]
        """See `Ops.psp`."""
        tiles = -(-post.units // LANES)
        out = self.xp.zeros((len(post), post.units, pre.units), self.dtype)
        constants, _ = self._psp(neuron, psp, post.longest)
        for slab in self._slabs(len(post), self._gate_bytes(post) + pre.units * event_bytes(pre.longest)):
            gates, events = self._gates(post, slab, neuron, psp), pre.events_by_unit(slab)
            samples = slab.stop - slab.start
            if not gates.size or not out.size:
                continue
            self._module("gate.cu", _bits(events)).launch(
                "psp", blocks(self.runtime, samples * tiles * pre.units, WARPS), LANES * WARPS, gates, events.counts,
                events.lists, post.counts()[slab], constants, out[slab], np.int32(samples), np.int32(pre.units),
                np.int32(post.longest), events.stride, np.int32(post.units), np.int32(tiles),
            )  # fmt: skip
        return out

    # ------------------------------------------------------------ dense layer

    def dense_weights(self, state: WeightState) -> CudaWeights:
        """See `Ops.dense_weights`."""
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
        """See `Ops.dense_forward`."""
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
            self._module("dense.cu", _bits(events)).launch(
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
        self._module("dense.cu", _bits(events)).launch(
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
        """See `Ops.dense_backward`."""
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
            self._module("gradient.cu", _bits(events)).launch(
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
        """See `Ops.gradient`."""
        return self._seen(weights.gradient.sum(axis=0), weights.shape)

    def gradient_sum(self, weights: CudaWeights) -> Array:  # type: ignore[override]
        """See `Ops.gradient_sum`: the groups are added up into the first."""
        if len(weights.gradient) > 1:
            weights.gradient[0] = weights.gradient.sum(axis=0)
            weights.gradient[1:] = 0
        return weights.gradient[0]

    def update(self, weights: CudaWeights, samples: int, rule: UpdateRule) -> None:  # type: ignore[override]
        """See `Ops.update`."""
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
        """See `Ops.state`."""
        return WeightState(
            *(self._seen(a, weights.shape) for a in (weights.weight, weights.moment, weights.variance))
        )

    def to_host(self, array: Array) -> NDArray[Any]:
        """See `Ops.to_host`."""
        return self.runtime.to_host(array)


def _bits(events: Events) -> int:
    return 8 * int(events.lists.dtype.itemsize)
