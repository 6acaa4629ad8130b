"""The compiled backend: the gate form of docs/hm2bp.md section 8 in Numba, on all cores.

Work per sample, dense layer, n pre spikes, N post neurons, T steps: 2 n N additions (forward, PSPs) and about 20 N T
lane operations (neuron, gates); no array of size N × T leaves a core's own cache, because a tile of `LANES` neurons is
carried through simulation, gate and gradient before the next one is touched.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .._simd import LANES, aligned_zeros
from ..backend import Backend, LifTrace, UpdateRule, WeightState
from ..data import NeuronParams, PackedBatch, PspParams
from . import kernels, update
from .spikes import CpuSpikes
from .workers import Workers, ranges

_GROUPS = 16
"""A layer of few tiles is split by samples into so many pieces: fixed, so that sums never change."""


@dataclass(frozen=True)
class CpuWeights:
    """Weights, moments [tile, pre, lane] and gradient sums [tile, group, pre, lane]."""

    shape: tuple[int, int]
    weight: NDArray[Any]
    moment: NDArray[Any]
    variance: NDArray[Any]
    gradient: NDArray[Any]


class CpuBackend(Backend):
    """HM2-BP in Numba.

    Parameters
    ----------
    dtype
        float32 (default) or float64.
    threads
        Cores to use; default all that this process may run on. Results do not depend on it.
    """

    name: ClassVar[str] = "cpu"
    xp = np

    def __init__(self, dtype: Any = np.float32, threads: int | None = None) -> None:
        self.dtype = np.dtype(dtype)
        self._workers = Workers(threads, self.dtype)

    # ------------------------------------------------------------ helpers

    def _real(self, **values: float) -> dict[str, Any]:
        return {name: self.dtype.type(value) for name, value in values.items()}

    def _neuron(self, neuron: NeuronParams) -> kernels.Neuron:
        return kernels.Neuron(
            **self._real(
                threshold=neuron.threshold - neuron.slack,
                keep_m=1 - 1 / neuron.tau_m,
                keep_s=1 - 1 / neuron.tau_s,
                gain=1 / neuron.tau_s,
                refractory=neuron.refractory,
                zero=0,
                one=1,
            ),
        )

    def _psp(self, neuron: NeuronParams, psp: PspParams) -> kernels.Psp:
        window = 2**31 if psp.window is None else psp.window
        norm = 1 / (1 - neuron.tau_s / neuron.tau_m)
        last = window - neuron.refractory + 0.5  # halfway past the last distance that the window admits
        growth = 1 / neuron.tau_s - 1 / neuron.tau_m
        return kernels.Psp(
            window=window,
            refractory=neuron.refractory,
            **self._real(
                decay_m=math.exp(-1 / neuron.tau_m),
                decay_s=math.exp(-1 / neuron.tau_s),
                norm=norm,
                edge=math.exp(-last / neuron.tau_m),
                growth=math.exp(growth),
                grown_reset=math.exp(-growth * neuron.refractory),
                # a cap that only windows of over 700 steps meet in float32, where α is 1e-5
                grown_edge=math.exp(min(growth * last, math.log(np.finfo(self.dtype).max) - 8)),
                fade=norm * math.exp(-(last + 0.5) / neuron.tau_s),
                silent_psp=psp.silent_psp,
                silent_share=psp.silent_share,
                silent_ratio=psp.silent_ratio,
                inverse_nu=1 / neuron.threshold,
                zero=0,
                one=1,
            ),
        )

    # ------------------------------------------------------------ spikes

    def upload(self, batch: PackedBatch) -> CpuSpikes:
        """See `Backend.upload`: bits become events here, once for all tiles."""
        return CpuSpikes.from_bits(batch, self._workers)

    def unpack(self, spikes: CpuSpikes) -> NDArray[np.bool_]:  # type: ignore[override]
        """See `Backend.unpack`."""
        return spikes.dense()

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
        return CpuSpikes.from_masks(masks, spikes.steps, spikes.units, self._workers)

    # ------------------------------------------------------------ neurons, gates, PSPs

    def lif(self, drive: NDArray[Any], neuron: NeuronParams) -> LifTrace:
        """See `Backend.lif`."""
        steps, units = drive.shape
        tiles = -(-units // LANES)
        padded = np.zeros((steps, tiles * LANES), self.dtype)
        padded[:, :units] = drive
        lanes = np.ascontiguousarray(padded.reshape(steps, tiles, LANES).transpose(1, 0, 2))
        masks = np.zeros((tiles, steps), np.uint32)
        membrane, current = np.zeros_like(lanes), np.zeros_like(lanes)
        for tile in range(tiles):
            traces = membrane[tile].reshape(-1), current[tile].reshape(-1)
            kernels.lif(lanes[tile].reshape(-1), self._neuron(neuron), masks[tile], *traces)
        bits = masks[:, :, None] >> np.arange(LANES, dtype=np.uint32) & np.uint32(1)
        spikes, membrane, current = (
            a.transpose(1, 0, 2).reshape(steps, -1)[:, :units]
            for a in (bits.astype(np.bool_), membrane, current)
        )
        return LifTrace(spikes, membrane, current)

    def gate(self, post: CpuSpikes, neuron: NeuronParams, psp: PspParams) -> NDArray[Any]:  # type: ignore[override]
        """See `Backend.gate`."""
        masks, constants = post.masks(), self._psp(neuron, psp)
        samples, steps, tiles = masks.shape
        out = aligned_zeros((samples, tiles, steps * LANES), self.dtype)
        for b in range(samples):
            for tile in range(tiles):
                kernels.gate(masks[b, :, tile], int(post.steps[b]), constants, out[b, tile])
        lanes = out.reshape(samples, tiles, steps, LANES).transpose(0, 2, 1, 3)
        return lanes.reshape(samples, steps, -1)[:, :, : post.units]

    def psp(self, pre: CpuSpikes, post: CpuSpikes, neuron: NeuronParams, psp: PspParams) -> NDArray[Any]:  # type: ignore[override]
        """See `Backend.psp`."""
        masks, constants = post.masks(), self._psp(neuron, psp)
        samples, steps, tiles = masks.shape
        out = aligned_zeros((tiles, samples, pre.units * LANES), self.dtype)

        unit_ptr, times, _ = pre.by_unit()

        def task(tile: int, first: int, last: int) -> None:
            gates = self._workers.scratch("gates", steps * LANES)
            kernels.dense_psp(
                unit_ptr,
                times,
                masks,
                post.counts,
                post.steps,
                constants,
                out[tile],
                gates,
                tile,
                first,
                last,
            )

        self._workers.each(
            task, [(tile, *r) for tile in range(tiles) for r in self._workers.samples(samples)]
        )
        lanes = out.reshape(tiles, samples, pre.units, LANES).transpose(1, 0, 3, 2)
        return lanes.reshape(samples, -1, pre.units)[:, : post.units]

    # ------------------------------------------------------------ dense layer

    def dense_weights(self, state: WeightState) -> CpuWeights:
        """See `Backend.dense_weights`."""
        post, pre = state.weight.shape
        tiles = -(-post // LANES)
        weight, moment, variance = (
            self._tiled(np.asarray(a), tiles) for a in (state.weight, state.moment, state.variance)
        )
        gradient = aligned_zeros((tiles, -(-_GROUPS // tiles), pre, LANES), self.dtype)
        return CpuWeights((post, pre), weight, moment, variance, gradient)

    def _tiled(self, array: NDArray[Any], tiles: int) -> NDArray[Any]:
        post, pre = array.shape
        out = aligned_zeros((tiles, pre, LANES), self.dtype)
        padded = np.zeros((tiles * LANES, pre), self.dtype)
        padded[:post] = array
        out[:] = padded.reshape(tiles, LANES, pre).transpose(0, 2, 1)
        return out

    def dense_forward(  # type: ignore[override]
        self, weights: CpuWeights, pre: CpuSpikes, neuron: NeuronParams, lateral: float = 0.0
    ) -> CpuSpikes:
        """See `Backend.dense_forward`."""
        samples, tiles = len(pre.steps), weights.weight.shape[0]
        step_ptr, units = pre.by_step()
        masks = np.zeros((samples, step_ptr.shape[1] - 1, tiles), np.uint32)
        constants = self._neuron(neuron)
        inhibition = self.dtype.type(lateral)

        def alone(tile: int, first: int, last: int) -> None:
            kernels.dense_forward(
                weights.weight, step_ptr, units, pre.steps, constants, masks, tile, first, last
            )

        def together(first: int, last: int) -> None:
            state = self._workers.scratch("state", 3 * tiles * LANES)
            kernels.dense_forward_lateral(
                weights.weight,
                step_ptr,
                units,
                pre.steps,
                constants,
                inhibition,
                masks,
                state,
                first,
                last,
            )

        if lateral:
            self._workers.each(together, self._workers.samples(samples))
        else:
            spans = ranges(samples, -(-_GROUPS // tiles))
            self._workers.each(alone, [(tile, *s) for tile in range(tiles) for s in spans])
        return CpuSpikes.from_masks(masks, pre.steps, weights.shape[0], self._workers)

    def dense_backward(  # type: ignore[override]
        self,
        weights: CpuWeights,
        pre: CpuSpikes,
        post: CpuSpikes,
        delta: NDArray[Any],
        scale: NDArray[Any] | None,
        neuron: NeuronParams,
        psp: PspParams,
        incoming: bool,
    ) -> NDArray[Any] | None:
        """See `Backend.dense_backward`."""
        tiles, groups, width, _ = weights.gradient.shape
        masks, samples = post.masks(), len(pre.steps)
        delta = np.ascontiguousarray(delta, self.dtype)
        scale = np.ones_like(delta) if scale is None else np.ascontiguousarray(scale, self.dtype)
        constants = self._psp(neuron, psp)
        sent = np.empty((tiles, samples if incoming else 0, width), self.dtype)

        by_unit = pre.by_unit()

        def task(tile: int, group: int, first: int, last: int) -> None:
            kernels.dense_backward(
                weights.weight, *by_unit, masks, post.counts, post.steps, delta, scale,
                constants, weights.gradient[tile, group].reshape(-1), sent[tile],
                self._workers.scratch("gates", masks.shape[1] * LANES), self._workers.scratch("rows", width * LANES),
                self._workers.scratch("lanes", 3 * LANES), tile, first, last,
            )  # fmt: skip

        spans = [(group, *s) for group, s in enumerate(ranges(samples, groups))]
        self._workers.each(task, [(tile, *s) for tile in range(tiles) for s in spans])
        return sent.sum(axis=0) if incoming else None

    # ------------------------------------------------------------ update

    def gradient(self, weights: CpuWeights) -> NDArray[Any]:  # type: ignore[override]
        """See `Backend.gradient`."""
        return _untiled(weights.gradient.sum(axis=1), weights.shape)

    def gradient_sum(self, weights: CpuWeights) -> NDArray[Any]:  # type: ignore[override]
        """See `Backend.gradient_sum`: the groups are added up, in order, into the first."""
        total = weights.gradient[:, 0]
        for group in range(1, weights.gradient.shape[1]):
            total += weights.gradient[:, group]
            weights.gradient[:, group] = 0
        return total

    def update(self, weights: CpuWeights, samples: int, rule: UpdateRule) -> None:  # type: ignore[override]
        """See `Backend.update`."""
        step = update.Update(
            **self._real(
                mean=1 / samples,
                rate=rule.rate,
                beta1=rule.beta1,
                beta2=rule.beta2,
                rest1=1 - rule.beta1,
                rest2=1 - rule.beta2,
                correct1=1 - rule.beta1**rule.step,
                correct2=1 - rule.beta2**rule.step,
                epsilon=rule.epsilon,
                strength=rule.strength,
                steepness=rule.steepness,
                inverse_scale=1 / rule.scale,
                zero=0,
                one=1,
            )
        )

        def task(tile: int) -> None:
            weight, gradient, moment = weights.weight[tile], weights.gradient[tile], weights.moment[tile]
            live = min(LANES, weights.shape[0] - tile * LANES)
            if rule.kind == "adam":
                update.adam_update(weight, gradient, moment, weights.variance[tile], live, step)
            else:
                update.sgd_update(weight, gradient, moment, live, step)

        self._workers.each(task, [(tile,) for tile in range(weights.weight.shape[0])])

    def state(self, weights: CpuWeights) -> WeightState:  # type: ignore[override]
        """See `Backend.state`."""
        return WeightState(
            *(_untiled(a, weights.shape) for a in (weights.weight, weights.moment, weights.variance))
        )

    def to_host(self, array: NDArray[Any]) -> NDArray[Any]:
        """See `Backend.to_host`."""
        return array


def _untiled(tiled: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Return [tile, pre, lane] as (post, pre)."""
    return np.ascontiguousarray(tiled.transpose(0, 2, 1).reshape(-1, shape[1])[: shape[0]])
