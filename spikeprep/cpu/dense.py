"""Fully connected layers under HM2-BP, fused: forward, PSPs and gradient of one tile of `LANES` post neurons at a time.

Work per sample, n pre spikes, N post neurons, T steps: 2 n N additions (forward, PSPs) and about 20 N T lane operations
(neuron, gates). No array of size N × T leaves a core's own cache, because a tile is carried through simulation, gate
and gradient before the next one is touched.

Layouts (C order, flattened by the caller where a kernel takes 1-D arrays)
    weights, gradients    [tile, pre · lane]
    spike masks, events   see `events`
Lanes past the layer's last neuron have weight 0 and never fire. The order of a kernel's sums does not depend on which
thread takes which work item: results are the same for any number of threads.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._jit import jit
from .._simd import LANES, above, aligned_zeros, load, select, spread, store, sum_rows, total
from ..backend import DeviceLayer, ErrorSignal, LinearMap, OptimiserStep, Parameter, ParameterState
from ..data import Hm2bpConstants
from . import update
from .base import CpuBase
from .neurons import (
    gate,
    lif_step,
    neuron_constants,
    psp_constants,
    reset,
    silent_mask,
    simulate,
    thresholds_of,
)
from .queue import take
from .spikes import CpuSpikes
from .workers import Workers

GROUPS = 16
"""A layer of few tiles is split by samples into this many groups: fixed, so that sums never change."""


@jit
def dense_forward(
    weight: Any, step_ptr: Any, units: Any, steps: Any, neuron: Any, masks: Any, neurons: int, queue: Any
) -> None:
    """Simulate a layer of `neurons` and write its masks; a work item is a tile and a sample.

    The drive of step t is Σ_j w_ij S_j[t−1]: the weight rows of the units that fired, summed.
    """
    samples = masks.shape[0]
    n = take(queue)
    while n < masks.shape[2] * samples:
        tile, b = n // samples, n % samples
        rows, threshold = weight[tile], thresholds_of(neurons, tile, neuron)
        out = masks[b, :, tile]
        membrane = current = held = spread(neuron.zero)
        for t in range(1, np.int64(steps[b])):
            drive = sum_rows(rows, 0, units, step_ptr[b, t - 1], step_ptr[b, t])
            membrane, current, mask = lif_step(drive, membrane, current, held, threshold, neuron)
            membrane, held = reset(mask, membrane, held, neuron)
            out[t] = mask
        n = take(queue)


@jit
def dense_forward_lateral(
    weight: Any,
    step_ptr: Any,
    units: Any,
    steps: Any,
    neuron: Any,
    lateral: Any,
    masks: Any,
    drive: Any,
    state: Any,
    neurons: int,
    queue: Any,
) -> None:
    """As `dense_forward`, with the lateral inhibition of `simulate`; a work item is a sample.

    Scratch: `drive` [1, tile, step · lane] of a sample, and `state` as in `simulate`.
    """
    b = take(queue)
    while b < masks.shape[0]:
        for tile in range(weight.shape[0]):
            rows, out = weight[tile], drive[0, tile]
            for t in range(1, np.int64(steps[b])):
                arriving = sum_rows(rows, 0, units, step_ptr[b, t - 1], step_ptr[b, t])
                store(out, (t - 1) * LANES, arriving)
        one = slice(b, b + 1)
        simulate(drive, steps[one], neurons, neuron, lateral, masks[one], state, 0, 1)
        b = take(queue)


# ------------------------------------------------------- backward (docs/hm2bp.md section 4; paper eq. 17, 22 to 24)


@jit
def dense_backward(
    weight: Any,
    unit_ptr: Any,
    times: Any,
    active: Any,
    masks: Any,
    post_counts: Any,
    steps: Any,
    delta: Any,
    scale: Any,
    psp: Any,
    gain_floor: Any,
    sums: Any,
    incoming: Any,
    gates: Any,
    rows: Any,
    lanes: Any,
    queue: Any,
) -> None:
    """Backward pass; a work item is a tile and one of the groups that the samples are split into, in order.

    sums [tile, group, pre · lane] += Σ_b δ γ (1 + σ) e     (`scale` is γ; 1 + σ is at least `gain_floor`)
    incoming [tile, sample, pre]  = Σ_lanes δ w ρ           (written where it has samples)
    `active` [sample, :] lists the units that fired, −1 after the last. `gates` [step · lane], `rows` [pre · lane] (for
    e) and `lanes` [3 · lane] are scratch. A sample whose δ is 0 on the whole tile changes nothing and is passed over.
    """
    pre, groups, samples = weight.shape[1] // LANES, sums.shape[1], delta.shape[0]
    sends, size = incoming.shape[1] > 0, (samples + groups - 1) // groups
    zero, one = spread(psp.zero), spread(psp.one)
    floor = spread(gain_floor)
    silent_psp, silent_ratio = spread(psp.silent_psp), spread(psp.silent_ratio)
    item = take(queue)
    while item < weight.shape[0] * groups:
        tile, group = item // groups, item % groups
        offset, w, gradient = tile * LANES, weight[tile], sums[tile, group]
        live = min(LANES, delta.shape[1] - offset)
        fan_in, summed = zero, False  # Σ_l w_il
        for b in range(group * size, min(samples, (group + 1) * size)):
            lanes[:] = psp.zero
            moves = False
            for k in range(live):
                lanes[k] = delta[b, offset + k]
                moves |= lanes[k] != psp.zero
                lanes[LANES + k] = scale[b, offset + k]
                if post_counts[b, offset + k] > 0:
                    lanes[2 * LANES + k] = psp.one / weight.dtype.type(post_counts[b, offset + k])
            if not moves:
                if sends:
                    incoming[tile, b, :] = psp.zero
                continue
            error, inverse_o = load(lanes, 0), load(lanes, 2 * LANES)
            silent = silent_mask(post_counts[b], offset)
            if silent and not summed:
                for j in range(pre):
                    fan_in = fan_in + load(w, j * LANES)
                summed = True
            gate(masks[b, :, tile], np.int64(steps[b]), psp, gates)
            a = zero  # Σ_l w_il e_il
            for j in active[b]:
                if j < 0:
                    break
                e = select(silent, silent_psp, sum_rows(gates, 0, times, unit_ptr[b, j], unit_ptr[b, j + 1]))
                store(rows, j * LANES, e)
                a = a + load(w, j * LANES) * e
            sigma = select(silent, spread(psp.silent_share) * fan_in, a * inverse_o) * spread(psp.inverse_nu)
            gain = one + sigma
            slope = error * load(lanes, LANES) * select(above(floor, gain), floor, gain)
            for j in active[b]:
                if j < 0:
                    break
                at = j * LANES
                store(gradient, at, load(gradient, at) + slope * load(rows, at))
            if sends:
                for j in range(pre):
                    at, fired = j * LANES, unit_ptr[b, j + 1] - unit_ptr[b, j]
                    ratio = silent_ratio
                    if fired > 0:
                        inverse = spread(psp.one / weight.dtype.type(fired))
                        ratio = select(silent, silent_ratio, load(rows, at) * inverse)
                    incoming[tile, b, j] = total(error * load(w, at) * ratio)
        item = take(queue)


# ---------------------------------------------------------------- the layer


class TiledParameter(Parameter):
    """Weights and moments [tile, pre · lane] and gradient sums [tile, group, pre · lane].

    Parameters
    ----------
    state
        Weights and moments (post, …), host; `pre` counts the axes after the first, flattened.
    dtype
        The working precision.
    workers
        The threads that step it.
    groups
        Gradient sums of each tile; default so many that all tiles have `GROUPS`.
    """

    def __init__(
        self, state: ParameterState, dtype: np.dtype[Any], workers: Workers, groups: int | None = None
    ) -> None:
        self.shape = state.value.shape
        post, pre = self.shape[0], prod(self.shape[1:])
        self.tiles = -(-post // LANES)
        self._dtype, self._workers = dtype, workers
        self.weight, self._moment, self._variance = (
            self._tiled(np.asarray(a)) for a in (state.value, state.moment, state.variance)
        )
        self.sums = aligned_zeros((self.tiles, groups or -(-GROUPS // self.tiles), pre * LANES), dtype)

    def _tiled(self, array: NDArray[Any]) -> NDArray[Any]:
        post, pre = len(array), prod(array.shape[1:])
        tiled = aligned_zeros((self.tiles, pre, LANES), self._dtype)
        padded = np.zeros((self.tiles * LANES, pre), self._dtype)
        padded[:post] = array.reshape(post, pre)
        tiled[:] = padded.reshape(self.tiles, LANES, pre).transpose(0, 2, 1)
        return tiled.reshape(self.tiles, pre * LANES)

    def _untiled(self, tiled: NDArray[Any]) -> NDArray[Any]:
        """Return [tile, pre · lane] in the array's own shape."""
        pre = tiled.shape[1] // LANES
        flat = tiled.reshape(self.tiles, pre, LANES).transpose(0, 2, 1).reshape(-1, pre)
        return np.ascontiguousarray(flat[: self.shape[0]]).reshape(self.shape)

    def value(self) -> NDArray[Any]:
        """Return the weights in their own shape."""
        return self._untiled(self.weight)

    def gradient(self) -> NDArray[Any]:
        """See `Parameter.gradient`."""
        return self._untiled(self.sums.sum(axis=1))

    def gradient_sum(self) -> NDArray[Any]:
        """See `Parameter.gradient_sum`: the groups are added up, in order, into the first."""
        first: NDArray[Any] = self.sums[:, 0]
        for group in range(1, self.sums.shape[1]):
            first += self.sums[:, group]
            self.sums[:, group] = 0
        return first

    def update(self, samples: int, step: OptimiserStep) -> None:
        """See `Parameter.update`."""
        constants = update.step_constants(step, samples, self._dtype)
        weight, sums, moment, neurons = self.weight, self.sums, self._moment, self.shape[0]

        def run(queue: NDArray[np.int64]) -> None:
            pull = self._workers.scratch("pull", LANES)
            if step.kind == "adam":
                update.adam_update(weight, sums, moment, self._variance, neurons, constants, pull, queue)
            else:
                update.sgd_update(weight, sums, moment, neurons, constants, pull, queue)

        self._workers.run(run, self.tiles)

    def state(self) -> ParameterState:
        """See `Parameter.state`."""
        return ParameterState(*(self._untiled(a) for a in (self.weight, self._moment, self._variance)))


class Hm2bpDense(DeviceLayer):
    """A fully connected layer under HM2-BP."""

    def __init__(self, backend: CpuBase, layer: LinearMap, states: Mapping[str, ParameterState]) -> None:
        self._dtype, self._workers = backend.dtype, backend.workers
        self._weights = TiledParameter(states["weight"], backend.dtype, backend.workers)
        self.parameters = {"weight": self._weights}

    def forward(self, pre: CpuSpikes, constants: Hm2bpConstants) -> CpuSpikes:  # type: ignore[override]
        """See `DeviceLayer.forward`."""
        weight, neurons = self._weights.weight, self._weights.shape[0]
        samples, tiles = len(pre.steps), self._weights.tiles
        step_ptr, units = pre.by_step()
        masks = np.zeros((samples, step_ptr.shape[1] - 1, tiles), np.uint32)
        neuron, lateral = neuron_constants(constants.neuron, self._dtype), self._dtype.type(constants.lateral)

        def inhibited(queue: NDArray[np.int64]) -> None:
            size = tiles * masks.shape[1] * LANES
            drive = self._workers.scratch("drive", size)[:size].reshape(1, tiles, -1)
            dense_forward_lateral(
                weight, step_ptr, units, pre.steps, neuron, lateral, masks, drive,
                self._workers.scratch("state", 3 * tiles * LANES), neurons, queue,
            )  # fmt: skip

        if constants.lateral:
            self._workers.run(inhibited, samples)
        else:
            self._workers.run(
                lambda queue: dense_forward(
                    weight, step_ptr, units, pre.steps, neuron, masks, neurons, queue
                ),
                tiles * samples,
            )
        return CpuSpikes.from_masks(masks, pre.steps, neurons, self._workers)

    def backward(  # type: ignore[override]
        self, pre: CpuSpikes, post: CpuSpikes, signal: ErrorSignal, constants: Hm2bpConstants, send: bool
    ) -> NDArray[Any] | None:
        """See `DeviceLayer.backward`."""
        tiles, groups, size = self._weights.sums.shape
        masks, samples = post.masks(), len(pre.steps)
        error = np.asarray(signal.error, self._dtype)
        delta = np.ascontiguousarray(error / self._dtype.type(constants.neuron.threshold))
        scale = (
            np.ones_like(delta) if signal.scale is None else np.ascontiguousarray(signal.scale, self._dtype)
        )
        psp = psp_constants(constants.neuron, constants.psp, self._dtype)
        floor = self._dtype.type(constants.least_gain)
        incoming = np.empty((tiles, samples if send else 0, size // LANES), self._dtype)
        by_unit = pre.by_unit()

        def run(queue: NDArray[np.int64]) -> None:
            dense_backward(
                self._weights.weight, *by_unit, masks, post.counts, post.steps, delta, scale, psp, floor,
                self._weights.sums, incoming, self._workers.scratch("gates", masks.shape[1] * LANES),
                self._workers.scratch("rows", size), self._workers.scratch("lanes", 3 * LANES), queue,
            )  # fmt: skip

        self._workers.run(run, tiles * min(groups, samples))
        return incoming.sum(axis=0) if send else None
