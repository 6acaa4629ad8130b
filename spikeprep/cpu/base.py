"""What every layer on the CPU shares: worker threads, spikes, neurons, gates and PSPs, in Numba on all cores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .._jit import disabled
from .._simd import LANES, aligned_zeros
from ..backend import Backend, NeuronTrace
from ..data import NeuronParams, PackedBatch, PspParams
from ..errors import CapabilityError
from . import neurons
from .spikes import CpuSpikes
from .workers import Workers


class CpuBase(Backend):
    """Spikes, neurons, gates and PSPs on the CPU. Parameters: see `CpuBackend`."""

    name: ClassVar[str] = "cpu"
    xp = np

    def __init__(self, dtype: Any = np.float32, threads: int | None = None) -> None:
        if disabled():
            raise CapabilityError(
                "got NUMBA_DISABLE_JIT in the environment",
                "compiled kernels: this backend's cannot run as Python",
                "Unset it, or use device=reference.",
            )
        self.dtype = np.dtype(dtype)
        self.workers = Workers(threads, self.dtype)

    # ------------------------------------------------------------ memory

    def batch_bytes(self, units: Sequence[int], samples: int, steps: int) -> int:
        """See `Backend.batch_bytes`: masks, pointers and counts of each layer, and each thread's drive and gates.

        A thread works on a sample's drive in the output layer, and on a sample's gates of one tile.
        """
        tiles = [-(-n // LANES) for n in units]
        spikes = sum(samples * (4 * steps * t + 8 * (steps + n)) for t, n in zip(tiles, units, strict=True))
        driving, gating = (min(self.workers.threads, items) for items in (samples, samples * max(tiles[1:])))
        return spikes + steps * LANES * self.dtype.itemsize * (driving * tiles[-1] + gating)

    # ------------------------------------------------------------ spikes

    def upload(self, batch: PackedBatch) -> CpuSpikes:
        """See `Backend.upload`: bits become events here, once for all tiles."""
        return CpuSpikes.from_bits(batch, self.workers)

    def unpack(self, spikes: CpuSpikes) -> NDArray[np.bool_]:  # type: ignore[override]
        """See `Backend.unpack`."""
        return spikes.dense()

    def dense(self, spikes: CpuSpikes) -> NDArray[Any]:  # type: ignore[override]
        """See `Backend.dense`."""
        return spikes.dense().astype(self.dtype)

    def counts(self, spikes: CpuSpikes) -> NDArray[np.int64]:  # type: ignore[override]
        """See `Backend.counts`."""
        return spikes.counts

    def regular_trains(self, spikes: CpuSpikes, unit: NDArray[Any], period: NDArray[Any]) -> CpuSpikes:  # type: ignore[override]
        """See `Backend.regular_trains`."""
        if not np.any(period):
            return spikes
        masks = spikes.masks().copy()
        for b in np.flatnonzero(period):
            tile, lane = divmod(int(unit[b]), LANES)
            masks[b, :, tile] &= ~np.uint32(1 << lane)
            masks[b, period[b] : spikes.steps[b] : period[b], tile] |= np.uint32(1 << lane)
        return CpuSpikes.from_masks(masks, spikes.steps, spikes.units, self.workers)

    def masked(self, spikes: CpuSpikes, kept: NDArray[Any]) -> CpuSpikes:  # type: ignore[override]
        """See `Backend.masked`."""
        return spikes.masked(kept)

    # ------------------------------------------------------------ neurons, gates, PSPs

    def _tiled(self, drive: NDArray[Any]) -> NDArray[Any]:
        """Return a drive (sample, time, unit) as [sample, tile, step · lane], with zeros past the last neuron."""
        samples, steps, units = drive.shape
        tiles = -(-units // LANES)
        padded = np.zeros((samples, steps, tiles * LANES), self.dtype)
        padded[:, :, :units] = drive
        tiled = aligned_zeros((samples, tiles, steps * LANES), self.dtype)
        tiled.reshape(samples, tiles, steps, LANES)[:] = padded.reshape(
            samples, steps, tiles, LANES
        ).transpose(0, 2, 1, 3)
        return tiled

    def trace_neurons(self, drive: NDArray[Any], neuron: NeuronParams) -> NeuronTrace:
        """See `Backend.trace_neurons`."""
        steps, units = drive.shape
        lanes = self._tiled(np.asarray(drive)[None])[0]
        masks = np.zeros((len(lanes), steps), np.uint32)
        membrane, current = np.zeros_like(lanes), np.zeros_like(lanes)
        constants = neurons.neuron_constants(neuron, self.dtype)
        for tile in range(len(lanes)):
            neurons.lif(lanes[tile], constants, masks[tile], membrane[tile], current[tile])
        bits = masks[:, :, None] >> np.arange(LANES, dtype=np.uint32) & np.uint32(1)
        spikes, membrane, current = (
            a.reshape(len(lanes), steps, LANES).transpose(1, 0, 2).reshape(steps, -1)[:, :units]
            for a in (bits.astype(np.bool_), membrane, current)
        )
        return NeuronTrace(spikes, membrane, current)

    def simulate(
        self, drive: NDArray[Any], steps: NDArray[np.int64], neuron: NeuronParams, lateral: float = 0.0
    ) -> CpuSpikes:
        """See `Backend.simulate`."""
        samples, longest, units = drive.shape
        lanes, constants = self._tiled(drive), neurons.neuron_constants(neuron, self.dtype)
        masks = np.zeros((samples, longest, lanes.shape[1]), np.uint32)
        lengths, inhibition = np.asarray(steps, np.int64), self.dtype.type(lateral)

        def task(first: int, last: int) -> None:
            state = self.workers.scratch("state", 3 * lanes.shape[1] * LANES)
            neurons.simulate(lanes, lengths, units, constants, inhibition, masks, state, first, last)

        self.workers.each(task, self.workers.samples(samples))
        return CpuSpikes.from_masks(masks, lengths, units, self.workers)

    def gate(self, post: CpuSpikes, neuron: NeuronParams, psp: PspParams) -> NDArray[Any]:  # type: ignore[override]
        """See `Backend.gate`."""
        masks, constants = post.masks(), neurons.psp_constants(neuron, psp, self.dtype)
        samples, steps, tiles = masks.shape
        gates = aligned_zeros((samples, tiles, steps * LANES), self.dtype)

        def task(first: int, last: int) -> None:
            for b in range(first, last):
                for tile in range(tiles):
                    neurons.gate(masks[b, :, tile], int(post.steps[b]), constants, gates[b, tile])

        self.workers.each(task, self.workers.samples(samples))
        lanes = gates.reshape(samples, tiles, steps, LANES).transpose(0, 2, 1, 3)
        return lanes.reshape(samples, steps, tiles * LANES)[:, :, : post.units]

    def trace(self, spikes: CpuSpikes, tau: float) -> NDArray[Any]:  # type: ignore[override]
        """See `Backend.trace`."""
        ages = np.arange(int(spikes.steps.max(initial=0)))
        return spikes.trace(np.exp(-ages / tau).astype(self.dtype))

    def psp(self, pre: CpuSpikes, post: CpuSpikes, neuron: NeuronParams, psp: PspParams) -> NDArray[Any]:  # type: ignore[override]
        """See `Backend.psp`."""
        masks, constants = post.masks(), neurons.psp_constants(neuron, psp, self.dtype)
        samples, steps, tiles = masks.shape
        out = aligned_zeros((tiles, samples, pre.units * LANES), self.dtype)
        unit_ptr, times, _ = pre.by_unit()

        def run(queue: NDArray[np.int64]) -> None:
            gates = self.workers.scratch("gates", steps * LANES)
            neurons.psps(unit_ptr, times, masks, post.counts, post.steps, constants, out, gates, queue)

        self.workers.run(run, tiles * samples)
        lanes = out.reshape(tiles, samples, pre.units, LANES).transpose(1, 0, 3, 2)
        return lanes.reshape(samples, tiles * LANES, pre.units)[:, : post.units]

    # ------------------------------------------------------------ arrays

    def to_host(self, array: NDArray[Any]) -> NDArray[Any]:
        """See `Backend.to_host`."""
        return array
