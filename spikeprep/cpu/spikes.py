"""A batch of spike trains on the CPU in several forms, each computed when it is first needed."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._simd import LANES
from ..data import PackedBatch
from . import events
from .workers import Workers

_WORD = 8  # bytes that a kernel reads at once


class ByStep(NamedTuple):
    """Events by step; see `events`."""

    step_ptr: NDArray[np.int64]
    units: NDArray[np.int32]


class ByUnit(NamedTuple):
    """Events by unit, and the units of each sample that have any, −1 after the last; see `events`."""

    unit_ptr: NDArray[np.int64]
    times: NDArray[np.int32]
    active: NDArray[np.int32]

    @classmethod
    def room(cls, counts: NDArray[np.int64]) -> tuple[ByUnit, NDArray[np.int64]]:
        """Return room for the events of counts (sample, unit), and where the list of each sample starts."""
        samples, units = counts.shape
        totals = counts.sum(axis=1)
        times = np.empty(totals.sum(), np.int32)
        by_unit = cls(np.empty((samples, units + 1), np.int64), times, np.empty((samples, units), np.int32))
        return by_unit, starts_of(totals)


class CpuSpikes:
    """Spikes as events and masks: a layer reads events by step, a gradient events by unit, a gate masks.

    Attributes
    ----------
    units
        Number of units.
    steps
        int64 (sample,), each sample's own length.
    counts
        int64 (sample, unit).
    """

    def __init__(
        self, units: int, steps: NDArray[np.int64], counts: NDArray[np.int64], workers: Workers
    ) -> None:
        self.units, self.steps, self.counts, self._workers = units, steps, counts, workers
        self._masks: NDArray[np.uint32] | None = None
        self._by_step: ByStep | None = None
        self._by_unit: ByUnit | None = None

    @classmethod
    def from_bits(cls, batch: PackedBatch, workers: Workers) -> CpuSpikes:
        """Return the spikes of packed bits; bits at and past a sample's own length are ignored."""
        samples, units, width = batch.bits.shape
        flat = np.ascontiguousarray(batch.bits).reshape(-1)
        if flat.size < _WORD:
            flat = np.concatenate([flat, np.zeros(_WORD - flat.size, np.uint8)])
        steps = batch.steps.astype(np.int64)
        counts = np.empty((samples, units), np.int64)
        workers.run(lambda queue: events.counts_from_bits(flat, width, steps, counts, queue), samples)
        by_unit, starts = ByUnit.room(counts)
        workers.run(
            lambda queue: events.times_from_bits(flat, width, steps, counts, starts, *by_unit, queue), samples
        )
        spikes = cls(units, steps, counts, workers)
        spikes._by_unit = by_unit
        return spikes

    @classmethod
    def from_masks(
        cls, masks: NDArray[np.uint32], steps: NDArray[np.int64], units: int, workers: Workers
    ) -> CpuSpikes:
        """Return the spikes of a layer's masks uint32 [sample, step, tile]."""
        samples, longest, tiles = masks.shape
        totals, words = np.empty(samples, np.int64), masks.reshape(samples, longest * tiles)
        workers.run(lambda queue: events.totals_from_masks(words, totals, queue), samples)
        by_step = ByStep(np.empty((samples, longest + 1), np.int64), np.empty(totals.sum(), np.int32))
        counts, starts = np.empty((samples, units), np.int64), starts_of(totals)

        def list_units(queue: NDArray[np.int64]) -> None:
            fired = workers.scratch("fired", tiles + 1, np.int64)
            events.units_from_masks(masks, starts, *by_step, counts, fired, queue)

        workers.run(list_units, samples)
        spikes = cls(units, steps, counts, workers)
        spikes._masks, spikes._by_step = masks, by_step
        return spikes

    def masked(self, kept: NDArray[np.bool_]) -> CpuSpikes:
        """Return the spikes of the units that are kept, bool (sample, unit)."""
        _, times, _ = self.by_unit()
        counts = self.counts * kept
        spikes = CpuSpikes(self.units, self.steps, counts, self._workers)
        by_unit, starts = ByUnit.room(counts)
        self._workers.run(
            lambda queue: events.units_from_counts(counts, starts, by_unit.unit_ptr, by_unit.active, queue),
            len(counts),
        )
        spikes._by_unit = by_unit._replace(times=times[np.repeat(kept.ravel(), self.counts.ravel())])
        return spikes

    def masks(self) -> NDArray[np.uint32]:
        """Return uint32 [sample, step, tile]; for packed bits, which no training step asks, in NumPy."""
        if self._masks is None:
            dense = self.dense()
            samples, steps, units = dense.shape
            lanes = np.zeros((samples, steps, -(-units // LANES) * LANES), np.bool_)
            lanes[:, :, :units] = dense
            self._masks = np.packbits(lanes, axis=-1, bitorder="little").view("<u4").astype(np.uint32)
        return self._masks

    def by_step(self) -> ByStep:
        """Return the events by step."""
        if self._by_step is None:
            assert self._by_unit is not None
            unit_ptr, times, _ = self._by_unit
            samples, longest = len(self.steps), int(self.steps.max(initial=0))
            by_step = ByStep(np.empty((samples, longest + 1), np.int64), np.empty_like(times))
            self._workers.run(
                lambda queue: events.units_from_times(unit_ptr, times, *by_step, queue), samples
            )
            self._by_step = by_step
        return self._by_step

    def by_unit(self) -> ByUnit:
        """Return the events by unit."""
        if self._by_unit is None:
            by_step = self.by_step()
            counts, (by_unit, starts) = self.counts, ByUnit.room(self.counts)
            self._workers.run(
                lambda queue: events.times_from_units(*by_step, counts, starts, *by_unit, queue), len(counts)
            )
            self._by_unit = by_unit
        return self._by_unit

    def trace(self, decay: NDArray[Any]) -> NDArray[Any]:
        """Return Σ_t S[t] decay[steps − 1 − t], (sample, unit), from decay (step,)."""
        step_ptr, units = self.by_step()
        traces = np.zeros(self.counts.shape, decay.dtype)
        self._workers.run(
            lambda queue: events.trace(step_ptr, units, self.steps, decay, traces, queue), len(traces)
        )
        return traces

    def dense(self) -> NDArray[np.bool_]:
        """Return bool (sample, time, unit)."""
        samples = len(self.steps)
        dense = np.zeros((samples, int(self.steps.max(initial=0)), self.units), np.bool_)
        owner = np.repeat(np.arange(samples * self.units), self.counts.ravel())
        dense[owner // self.units, self.by_unit().times, owner % self.units] = True
        return dense


def pointers(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return int64 (sample, unit + 1): where each unit's events start in one flat list over the batch."""
    unit_ptr = np.empty((counts.shape[0], counts.shape[1] + 1), np.int64)
    unit_ptr[:, 0] = starts_of(counts.sum(axis=1))
    np.cumsum(counts, axis=1, out=unit_ptr[:, 1:])
    unit_ptr[:, 1:] += unit_ptr[:, :1]
    return unit_ptr


def starts_of(totals: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where the list of each sample starts, from the number of its events, (sample,)."""
    return np.cumsum(totals) - totals
