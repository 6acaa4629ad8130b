"""What every kind of layer shares on a GPU: launches by slabs of samples, forms of spikes, neurons, gates, PSPs.

Each method launches the kernel of its name (layouts in common.cuh); arrays are checked and allocated here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..backend import Array, Backend, LifTrace
from ..data import NeuronParams, PackedBatch, PspParams
from ..errors import CapabilityError
from ..packing import unpack
from .constants import leaving_terms, neuron_constants, psp_constants
from .runtime import Module, Runtime
from .spikes import WARPS, CudaSpikes, blocks, event_bytes

if TYPE_CHECKING:  # with these come the store's libraries, which batches in memory do without
    from ..feed.batches import BatchStream
    from ..feed.device import Feeder, TierName

LANES = 32
"""Neurons of a tile: a warp's lanes."""

WORKSPACE = 1 << 30
"""Bytes that events, gates and drives of a slab may take, where a single sample does not take more."""

_REFRACTORY = 32
"""The longest refractory time that a gate's scan sees at once."""

Products = Literal["auto", "events", "matrix"]


class CudaBase(Backend):
    """Spikes, neurons, gates and PSPs on a GPU: what every kind of layer shares. Parameters: see `CudaBackend`."""

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
        self._modules: dict[tuple[str, int], Module] = {}
        self._leaving: dict[tuple[float, ...], Array] = {}

    # ------------------------------------------------------------ helpers

    def _module(self, file: str, bits: int = 16) -> Module:
        made = self._modules.get((file, bits))
        if made is None:
            real = "float" if self.dtype == np.float32 else "double"
            made = self._modules[file, bits] = self.runtime.module(file, REAL=real, ID_BITS=bits)
        return made

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
        """See `Backend.feed`."""
        if self._feeder is None:
            from ..feed.device import Feeder

            self._feeder = Feeder(self.runtime, self._tier)
        return self._feeder.feed(stream)

    def upload(self, batch: PackedBatch) -> CudaSpikes:
        """See `Backend.upload`; bits may be on the device already."""
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
        """See `Backend.unpack`."""
        words = self.to_host(spikes.by_unit).astype("<u4", copy=False)
        return unpack(words.view(np.uint8), spikes.longest)

    def counts(self, spikes: CudaSpikes) -> Array:  # type: ignore[override]
        """See `Backend.counts`."""
        return spikes.totals()

    def regular_trains(self, spikes: CudaSpikes, unit: Array, period: Array) -> CudaSpikes:  # type: ignore[override]
        """See `Backend.regular_trains`."""
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
        """See `Backend.lif`."""
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
        counts = (xp.empty if longest else xp.zeros)((len(steps), units), np.int32)
        return CudaSpikes(
            self.runtime, units, steps, own,
            xp.empty((len(steps), units, -(-longest // 32)), np.uint32),
            xp.empty((len(steps), longest, -(-units // 32)), np.uint32),
            counts,
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
        """See `Backend.gate`."""
        gates = self._gates(post, slice(0, len(post)), neuron, psp)
        samples, tiles, steps, lanes = gates.shape
        return gates.transpose(0, 2, 1, 3).reshape(samples, steps, tiles * lanes)[:, :, : post.units]

    def psp(self, pre: CudaSpikes, post: CudaSpikes, neuron: NeuronParams, psp: PspParams) -> Array:  # type: ignore[override]
        """See `Backend.psp`."""
        tiles = -(-post.units // LANES)
        out = (self.xp.empty if post.longest else self.xp.zeros)(
            (len(post), post.units, pre.units), self.dtype
        )
        constants, _ = self._psp(neuron, psp, post.longest)
        for slab in self._slabs(len(post), self._gate_bytes(post) + pre.units * event_bytes(pre.longest)):
            gates, events = self._gates(post, slab, neuron, psp), pre.events_by_unit(slab)
            samples = slab.stop - slab.start
            if not gates.size or not out.size:
                continue
            self._module("gate.cu", events.bits).launch(
                "psp", blocks(self.runtime, samples * tiles * pre.units, WARPS), LANES * WARPS, gates, events.counts,
                events.lists, post.counts()[slab], constants, out[slab], np.int32(samples), np.int32(pre.units),
                np.int32(post.longest), events.stride, np.int32(post.units), np.int32(tiles),
            )  # fmt: skip
        return out

    def lateral_gain(self, e: Array, counts: Array, labels: NDArray[Any], threshold: float) -> Array:
        """See `Backend.lateral_gain`: one launch."""
        gain = self.xp.empty(counts.shape, self.dtype)
        if gain.size:
            self._module("loss.cu").launch(
                "lateral_gain", blocks(self.runtime, gain.size, 128), 128, e, counts,
                self.xp.asarray(labels, np.int32), self.dtype.type(1 / threshold), gain, np.int32(len(counts)),
                np.int32(counts.shape[1]),
            )  # fmt: skip
        return gain

    def fetch(self, array: Array) -> Callable[[], NDArray[Any]]:
        """See `Backend.fetch`."""
        host = self.runtime.pinned(array.shape, array.dtype)
        self.runtime.copy_out(array, host)
        arrived = self.runtime.current().record()

        def wait() -> NDArray[Any]:
            arrived.synchronize()
            return host

        return wait

    def to_host(self, array: Array) -> NDArray[Any]:
        """See `Backend.to_host`."""
        return self.runtime.to_host(array)
