"""What all layers on a GPU use: spikes and their representations, neurons, gates, PSPs, slices of a batch's samples.

Each method checks and allocates arrays and launches the kernel of its name (layouts in common.cuh).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..backend import Array, Backend, BatchSource, NeuronTrace
from ..data import NeuronParams, PackedBatch, PspParams
from ..errors import CapabilityError
from ..packing import unpack
from .constants import Structure, decays, leaving_terms, neuron_constants, psp_constants
from .runtime import Module, Runtime
from .spikes import WARPS, CudaSpikes, blocks, event_bytes

if TYPE_CHECKING:  # it imports the store's libraries, which batches in memory do not need
    from ..feed.copies import Event
    from ..feed.device import Feeder, TierName

LANES = 32
"""Neurons of a tile: a warp's lanes."""

_WORKSPACE_SHARE = 16  # of the free memory; recorded passes and a launched one have a workspace each
_SMALL_WORKSPACE = 1 << 28  # bytes, at least

_MAX_REFRACTORY = 32  # steps that a gate's scan sees at once

_COUNT_PARTS = 32  # blocks that add up a layer's spikes

Products = Literal["auto", "events", "active", "matrix"]


class CudaBase(Backend):
    """Spikes, neurons, gates and PSPs on a GPU. Parameters: see `CudaBackend`."""

    name: ClassVar[str] = "cuda"

    def __init__(
        self,
        runtime: Runtime,
        dtype: Any = np.float32,
        workspace: int | None = None,
        products: Products = "auto",
        feed: TierName = "auto",
    ) -> None:
        self.runtime, self.dtype = runtime, np.dtype(dtype)
        free, _ = runtime.memory()
        self.workspace = workspace or max(free // _WORKSPACE_SHARE, _SMALL_WORKSPACE)
        self.xp, self.device, self.products = runtime.xp, runtime.name, products
        self._tier = feed
        self._feeder: Feeder | None = None
        single = self.dtype == np.float32
        if products == "active" and not (single and runtime.multiplies_halves):
            raise CapabilityError(
                f"got products of active units in {self.dtype} on {runtime.name}",
                "float32, and compute capability 8.0 or higher",
                "Use events.",
            )
        if products == "matrix" and not (single and runtime.has_products):
            raise CapabilityError(
                f"got matrix products in {self.dtype}",
                "float32, and cuBLAS",
                "Install nvidia-cublas, or use events.",
            )
        if products == "auto" and not (single and runtime.has_products):
            self.products = "events"
        self._modules: dict[tuple[str, int], Module] = {}
        self._leaving_terms: dict[tuple[float, ...], Array] = {}
        self._decays: dict[tuple[float, ...], Array] = {}
        self._arriving: list[tuple[Event, NDArray[Any]]] = []
        self._units: dict[tuple[int, ...], Array] = {}

    # ------------------------------------------------------------ helpers of layers

    def module(self, file: str, id_bits: int = 16) -> Module:
        """Return the kernels of a `.cu` file in this backend's precision."""
        module = self._modules.get((file, id_bits))
        if module is None:
            real = "float" if self.dtype == np.float32 else "double"
            module = self._modules[file, id_bits] = self.runtime.module(file, REAL=real, ID_BITS=id_bits)
        return module

    def sample_slices(self, samples: int, sample_bytes: int) -> Iterator[slice]:
        """Yield slices of the samples, each as long as fits in the workspace, or one sample."""
        most = max(1, self.workspace // max(sample_bytes, 1))
        parts = -(-samples // most)
        for part in range(parts):  # about equally long: a short one would leave most of the device idle
            yield slice(samples * part // parts, samples * (part + 1) // parts)

    def psp_constants(self, neuron: NeuronParams, psp: PspParams, longest: int) -> tuple[Structure, Array]:
        """Return `Psp` of common.cuh for trains of `longest` steps, and its leaving terms, which stay on the device.

        Raises
        ------
        CapabilityError
            The refractory time is longer than the gate's scan supports.
        """
        if neuron.refractory > _MAX_REFRACTORY:
            raise CapabilityError(
                f"got a refractory time of {neuron.refractory} steps",
                f"at most {_MAX_REFRACTORY} on a GPU",
                "Use device=cpu, or longer steps.",
            )
        window = -1 if psp.window is None else psp.window
        key = (neuron.tau_m, neuron.tau_s, neuron.refractory, window, longest)
        if key not in self._leaving_terms:
            terms = leaving_terms(neuron, psp, longest, self.dtype)
            self._leaving_terms[key] = self.runtime.to_device(terms)
        return psp_constants(neuron, psp, longest, self.dtype), self._leaving_terms[key]

    def decays(self, neuron: NeuronParams, longest: int) -> Array:
        """Return decays over up to `longest` steps (`constants.decays`), which stay on the device."""
        key = (neuron.tau_m, neuron.tau_s, longest)
        if key not in self._decays:
            self._decays[key] = self.runtime.to_device(decays(neuron, longest, self.dtype))
        return self._decays[key]

    def blank_spikes(self, steps: NDArray[np.int64], lengths: Array, units: int) -> CudaSpikes:
        """Return spikes whose words and counts a kernel is about to write; `lengths` are `steps` on the device."""
        xp, longest = self.xp, int(steps.max(initial=0))
        counts = (xp.empty if longest else xp.zeros)((len(steps), units), np.int32)
        return CudaSpikes(
            self.runtime, units, steps, lengths,
            xp.empty((len(steps), units, -(-longest // 32)), np.uint32),
            xp.empty((len(steps), longest, -(-units // 32)), np.uint32),
            counts,
        )  # fmt: skip

    def run_neurons(
        self,
        drive: Array,
        spikes: CudaSpikes,
        samples: slice,
        neuron: NeuronParams,
        lateral: float,
        trace: tuple[Array, Array] | None = None,
    ) -> None:
        """Simulate neurons on the drive [sample, step, width] of some samples and write their spikes.

        With `trace`, membranes and currents, both [sample, step, width], are written too.
        """
        count, longest, width = drive.shape
        if not drive.size:
            return
        tiles = width // LANES
        outputs = spikes.by_unit[samples], spikes.by_step()[samples], spikes.counts()[samples]
        sizes = [np.int32(n) for n in (count, longest, spikes.units, spikes.words, tiles)]
        constants, module = neuron_constants(neuron, self.dtype), self.module("neurons.cu")
        if lateral:
            # `State` of neurons.cu: two or three words of Real and int each, and the record's four
            state_bytes = 2 * self.dtype.itemsize + 24
            shared = 0 if tiles <= LANES else tiles * LANES * state_bytes
            if shared > self.runtime.shared_limit - 1024:
                raise CapabilityError(
                    f"got lateral inhibition among {spikes.units} neurons",
                    f"at most {(self.runtime.shared_limit - 1024) // state_bytes} on this GPU",
                    "Use device=cpu, or a smaller layer.",
                )
            module.launch(
                "lif_lateral", count, LANES * min(tiles, 32), drive, spikes.lengths[samples], constants,
                self.dtype.type(lateral), *outputs, *sizes, shared=shared,
            )  # fmt: skip
            return
        warps = 2 if count * tiles < self.runtime.processors * WARPS else WARPS
        module.launch(
            "lif", blocks(self.runtime, count * tiles, warps), LANES * warps, drive, spikes.lengths[samples], constants,
            *outputs, *(trace or (drive, drive)), np.int32(trace is not None), *sizes,
        )  # fmt: skip

    def gates(
        self,
        post: CudaSpikes,
        samples: slice,
        neuron: NeuronParams,
        psp: PspParams,
        error: Array | None = None,
    ) -> Array:
        """Return gates [sample, tile, step, lane] of some samples; tiles whose `error` is 0 are not written."""
        count, tiles = samples.stop - samples.start, -(-post.units // LANES)
        constants, leaving = self.psp_constants(neuron, psp, post.longest)
        gates = self.xp.empty((count, tiles, post.longest, LANES), self.dtype)
        if gates.size:
            self.module("gate.cu").launch(
                "gate", blocks(self.runtime, count * tiles, 4), 4 * LANES, post.by_unit[samples], post.lengths[samples],
                constants, leaving, leaving if error is None else error[samples], np.int32(error is not None), gates,
                *(np.int32(n) for n in (count, post.longest, post.units, post.words, tiles)),
            )  # fmt: skip
        return gates

    def gate_bytes(self, post: CudaSpikes) -> int:
        """Return the bytes of one sample's gates."""
        return -(-post.units // LANES) * post.longest * LANES * self.dtype.itemsize

    # ------------------------------------------------------------ memory

    def batch_bytes(self, units: Sequence[int], samples: int, steps: int) -> int:
        """See `Backend.batch_bytes`: spikes by unit and by step."""
        words, masks = sum(units) * -(-steps // 32), steps * sum(-(-n // LANES) for n in units)
        return 4 * samples * (words + masks)

    def free_memory(self) -> int:
        """See `Backend.free_memory`: the device's."""
        return self.runtime.memory()[0]

    # ------------------------------------------------------------ spikes

    def feed(self, stream: BatchSource) -> Iterator[PackedBatch]:
        """See `Backend.feed`; the bits of a `BatchStream` lie on the device, those of any other source on the host."""
        from ..feed.batches import BatchStream
        from ..feed.device import Feeder

        if not isinstance(stream, BatchStream):
            return stream.batches()
        if self._feeder is None:
            self._feeder = Feeder(self.runtime, self._tier)
        return self._feeder.feed(stream)

    def upload(self, batch: PackedBatch) -> CudaSpikes:
        """See `Backend.upload`; the bits may be on the device already."""
        xp = self.xp
        bits: Array = batch.bits
        bits = xp.ascontiguousarray(bits) if isinstance(bits, xp.ndarray) else self.runtime.to_device(bits)
        samples, units, width = bits.shape
        steps = np.asarray(batch.steps, np.int64)
        lengths = xp.asarray(steps.astype(np.int32))
        words = -(-int(steps.max(initial=0)) // 32)
        by_unit = xp.empty((samples, units, words), np.uint32)
        if by_unit.size:
            self.module("spikes.cu").launch(
                "unpack", blocks(self.runtime, by_unit.size, 256), 256, bits, lengths, by_unit,
                np.int64(samples * units), np.int32(units), np.int32(width), np.int32(words),
            )  # fmt: skip
        return CudaSpikes(self.runtime, units, steps, lengths, by_unit)

    def unpack(self, spikes: CudaSpikes) -> NDArray[np.bool_]:  # type: ignore[override]
        """See `Backend.unpack`."""
        words = self.to_host(spikes.by_unit).astype("<u4", copy=False)
        return unpack(words.view(np.uint8), spikes.longest)

    def dense(self, spikes: CudaSpikes) -> Array:  # type: ignore[override]
        """See `Backend.dense`: bits are expanded on the device."""
        words = spikes.by_step()
        dense = self.xp.empty((len(spikes), spikes.longest, spikes.units), self.dtype)
        if dense.size:
            self.module("spikes.cu").launch(
                "expand", blocks(self.runtime, dense.size, 256), 256, words, dense,
                np.int64(len(spikes) * spikes.longest), np.int32(spikes.units), np.int32(words.shape[2]),
            )  # fmt: skip
        return dense

    def counts(self, spikes: CudaSpikes) -> Array:  # type: ignore[override]
        """See `Backend.counts`."""
        return spikes.counts_int64()

    def regular_trains(self, spikes: CudaSpikes, unit: NDArray[Any], period: Array) -> CudaSpikes:  # type: ignore[override]
        """See `Backend.regular_trains`."""
        by_unit = spikes.by_unit.copy()
        if by_unit.size:
            self.module("spikes.cu").launch(
                "regular_trains", blocks(self.runtime, len(spikes) * spikes.words, 256), 256, by_unit, spikes.lengths,
                self.xp.asarray(unit, np.int64), self.xp.asarray(period, np.int64), np.int32(len(spikes)),
                np.int32(spikes.units), np.int32(spikes.words),
            )  # fmt: skip
        return CudaSpikes(self.runtime, spikes.units, spikes.steps, spikes.lengths, by_unit)

    # ------------------------------------------------------------ dropout

    def kept(self, keys: Array, first: int, units: int, share: float) -> Array:
        """See `Backend.kept`: one launch."""
        keys = self.xp.ascontiguousarray(self.xp.asarray(keys, np.uint64))
        kept = self.xp.empty((len(keys), units), np.bool_)
        if kept.size:
            self.module("dropout.cu").launch(
                "kept_units", blocks(self.runtime, kept.size, 256), 256, keys, kept, np.uint64(first),
                np.uint64(round(share * 2**64)), np.int32(len(keys)), np.int32(units),
            )  # fmt: skip
        return kept

    def masked(self, spikes: CudaSpikes, kept: Array) -> CudaSpikes:  # type: ignore[override]
        """See `Backend.masked`; the words by step are made anew from those by unit."""
        by_unit = self.xp.empty_like(spikes.by_unit)
        counts = (self.xp.empty_like if by_unit.size else self.xp.zeros_like)(spikes.counts())
        if by_unit.size:
            self.module("dropout.cu").launch(
                "masked_spikes", blocks(self.runtime, by_unit.size, 256), 256, spikes.by_unit, kept, spikes.counts(),
                by_unit, counts, np.int64(counts.size), np.int32(spikes.words),
            )  # fmt: skip
        return CudaSpikes(self.runtime, spikes.units, spikes.steps, spikes.lengths, by_unit, counts=counts)

    def masked_error(self, error: Array, kept: Array) -> Array:
        """See `Backend.masked_error`."""
        error = self.xp.ascontiguousarray(error, self.dtype)
        masked = self.xp.empty_like(error)
        if masked.size:
            self.module("dropout.cu").launch(
                "masked_error",
                blocks(self.runtime, masked.size, 256),
                256,
                error,
                kept,
                masked,
                np.int64(masked.size),
            )
        return masked

    # ------------------------------------------------------------ neurons, gates, PSPs

    def _padded(self, drive: Array, longest: int) -> Array:
        """Return a drive (sample, time, unit) as [sample, step, width], with zeros past the last neuron."""
        samples, _, units = drive.shape
        width = -(-units // LANES) * LANES
        if width == units and drive.shape[1] == longest:
            return self.xp.ascontiguousarray(drive, self.dtype)
        padded = self.xp.zeros((samples, longest, width), self.dtype)
        padded[:, :, :units] = drive[:, :longest]
        return padded

    def trace_neurons(self, drive: NDArray[Any], neuron: NeuronParams) -> NeuronTrace:
        """See `Backend.trace_neurons`."""
        steps, units = drive.shape
        padded = self._padded(self.runtime.to_device(np.asarray(drive, self.dtype)[None]), steps)
        membranes, currents = self.xp.zeros_like(padded), self.xp.zeros_like(padded)
        lengths = np.array([steps], np.int64)
        spikes = self.blank_spikes(lengths, self.xp.asarray(lengths.astype(np.int32)), units)
        self.run_neurons(padded, spikes, slice(0, 1), neuron, 0.0, (membranes, currents))
        membrane, current = (self.to_host(a)[0, :, :units] for a in (membranes, currents))
        return NeuronTrace(self.unpack(spikes)[0], membrane, current)

    def simulate(
        self, drive: Array, steps: NDArray[np.int64], neuron: NeuronParams, lateral: float = 0.0
    ) -> CudaSpikes:
        """See `Backend.simulate`."""
        steps = np.asarray(steps, np.int64)
        spikes = self.blank_spikes(steps, self.xp.asarray(steps.astype(np.int32)), drive.shape[2])
        padded = self._padded(drive, spikes.longest)
        self.run_neurons(padded, spikes, slice(0, len(steps)), neuron, lateral)
        return spikes

    def gate(self, post: CudaSpikes, neuron: NeuronParams, psp: PspParams) -> Array:  # type: ignore[override]
        """See `Backend.gate`."""
        gates = self.gates(post, slice(0, len(post)), neuron, psp)
        samples, tiles, steps, lanes = gates.shape
        return gates.transpose(0, 2, 1, 3).reshape(samples, steps, tiles * lanes)[:, :, : post.units]

    def psp(self, pre: CudaSpikes, post: CudaSpikes, neuron: NeuronParams, psp: PspParams) -> Array:  # type: ignore[override]
        """See `Backend.psp`."""
        tiles = -(-post.units // LANES)
        out = (self.xp.empty if post.longest else self.xp.zeros)(
            (len(post), post.units, pre.units), self.dtype
        )
        constants, _ = self.psp_constants(neuron, psp, post.longest)
        need = self.gate_bytes(post) + pre.units * event_bytes(pre.longest)
        for samples in self.sample_slices(len(post), need):
            gates, events = self.gates(post, samples, neuron, psp), pre.events_by_unit(samples)
            count = samples.stop - samples.start
            if not gates.size or not out.size:
                continue
            self.module("gate.cu", events.id_bits).launch(
                "psp", blocks(self.runtime, count * tiles * pre.units, WARPS), LANES * WARPS, gates, events.counts,
                events.lists, post.counts()[samples], constants, out[samples], np.int32(count), np.int32(pre.units),
                np.int32(post.longest), events.stride, np.int32(post.units), np.int32(tiles),
            )  # fmt: skip
        return out

    def lateral_gain(self, e: Array, counts: Array, labels: NDArray[Any], threshold: float) -> Array:
        """See `Backend.lateral_gain`: one launch."""
        gain = self.xp.empty(counts.shape, self.dtype)
        if gain.size:
            self.module("lateral_gain.cu").launch(
                "lateral_gain", blocks(self.runtime, gain.size, 128), 128, e, counts,
                self.xp.asarray(labels, np.int32), self.dtype.type(1 / threshold), gain, np.int32(len(counts)),
                np.int32(counts.shape[1]),
            )  # fmt: skip
        return gain

    # ------------------------------------------------------------ training steps

    def step_values(self, loss: Array, trains: Sequence[CudaSpikes]) -> Array:  # type: ignore[override]
        """See `Backend.step_values`: a launch a layer, and one for all."""
        xp, samples, layers = self.xp, len(trains[0]), len(trains)
        counts = trains[-1].counts()
        parts = xp.empty((layers, _COUNT_PARTS), np.int64)
        values = xp.empty(samples + layers + counts.size, np.float64)
        module = self.module("step_values.cu")
        for n, spikes in enumerate(trains):
            module.launch(
                "count_parts", _COUNT_PARTS, 256, spikes.counts(), parts[n], np.int64(samples * spikes.units)
            )
        units = tuple(spikes.units for spikes in trains)
        if units not in self._units:
            self._units[units] = self.runtime.to_device(np.array(units, np.int64))
        module.launch(
            "step_values", blocks(self.runtime, values.size, 256), 256, xp.ascontiguousarray(loss, self.dtype), parts,
            self._units[units], counts, values, np.int32(samples), np.int32(layers), np.int32(_COUNT_PARTS),
            np.int32(trains[-1].units),
        )  # fmt: skip
        return values

    # ------------------------------------------------------------ arrays

    def fetch(self, array: Array) -> Callable[[], NDArray[Any]]:
        """See `Backend.fetch`."""
        host = self.runtime.pinned(array.shape, array.dtype)
        self.runtime.copy_out(array, host)
        arrived = self.runtime.current().record()
        # pinned memory that is let go is used again at once, also for copies to the device: not before this one is done
        self._arriving = [(event, memory) for event, memory in self._arriving if not event.done()]
        self._arriving.append((arrived, host))

        def wait() -> NDArray[Any]:
            arrived.synchronize()
            return host

        return wait

    def to_host(self, array: Array) -> NDArray[Any]:
        """See `Backend.to_host`."""
        return self.runtime.to_host(array)
