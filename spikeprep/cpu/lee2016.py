"""Fully connected layers under the rule of Lee et al. 2016, fused: spikes from events, gradients from traces.

Work per sample, n pre spikes, m pre units that fire, N post neurons, T steps: n N additions and about 6 N T lane
operations forward; m N multiply-adds and no gates backward.

Layouts, tiles and work items as of `dense`: results are the same for any number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._jit import jit
from .._simd import LANES, above, aligned_zeros, load, ones, select, smaller, spread, store, sum_rows, total
from ..backend import ArraySpec, DeviceLayer, ErrorSignal, LinearMap, ParameterState
from ..composition import ArrayParameter, synapses
from ..data import Lee2016Constants, SoftResetParams
from ..trace_gradient import THRESHOLD, effective_thresholds, trace_backward
from .base import CpuBase
from .dense import TiledParameter
from .queue import take
from .spikes import CpuSpikes


class SoftReset(NamedTuple):
    """`SoftResetParams` as a kernel wants them: scalars of the working precision."""

    keep: Any  # e^{−1/τ}
    refractory: Any
    inverse_refractory: Any  # 0: none
    lateral: Any
    zero: Any
    one: Any


def soft_reset_constants(neuron: SoftResetParams, dtype: np.dtype[Any]) -> SoftReset:
    """Return a neuron's constants in a working precision."""
    real = dtype.type
    return SoftReset(
        keep=real(math.exp(-1 / neuron.tau)),
        refractory=real(neuron.refractory),
        inverse_refractory=real(1 / neuron.refractory if neuron.refractory > 1 else 0),
        lateral=real(neuron.lateral),
        zero=real(0),
        one=real(1),
    )


@jit
def soft_reset_step(drive: Any, membrane: Any, threshold: Any, neuron: Any) -> Any:
    """Advance a tile without refractory time by a step: return its membrane after the reset, and the spike mask."""
    membrane = membrane * spread(neuron.keep) + drive
    mask = ~above(threshold, membrane)
    return select(mask, membrane - threshold, membrane), mask


@jit
def soft_reset_forward(
    weight: Any, step_ptr: Any, units: Any, steps: Any, thresholds: Any, neuron: Any, masks: Any, queue: Any
) -> None:
    """Simulate a layer without lateral inhibition and write its masks; a work item is a tile and a sample.

    thresholds [tile · lane], infinite past the last neuron. The drive of step t is Σ_j w_ij S_j[t]: the weight rows of
    the units that fired, summed.
    """
    slow = neuron.inverse_refractory > neuron.zero
    one, inverse = spread(neuron.one), spread(neuron.inverse_refractory)
    samples = masks.shape[0]
    n = take(queue)
    while n < masks.shape[2] * samples:
        tile, b = n // samples, n % samples
        rows, threshold = weight[tile], load(thresholds, tile * LANES)
        out = masks[b, :, tile]
        membrane, age = spread(neuron.zero), spread(neuron.refractory)
        for t in range(np.int64(steps[b])):
            drive = sum_rows(rows, 0, units, step_ptr[b, t], step_ptr[b, t + 1])
            if slow:
                age = age + one
                factor = smaller(age * inverse, one)
                drive = drive * (factor * factor)
            membrane, mask = soft_reset_step(drive, membrane, threshold, neuron)
            if slow:
                age = select(mask, spread(neuron.zero), age)
            out[t] = mask
        n = take(queue)


@jit
def soft_reset_forward_lateral(
    weight: Any,
    step_ptr: Any,
    units: Any,
    steps: Any,
    thresholds: Any,
    neuron: Any,
    masks: Any,
    state: Any,
    queue: Any,
) -> None:
    """As `soft_reset_forward`, with lateral inhibition; a work item is a sample.

    `state` is scratch: each tile's membrane and age.
    """
    tiles, one, inverse = weight.shape[0], spread(neuron.one), spread(neuron.inverse_refractory)
    slow = neuron.inverse_refractory > neuron.zero
    b = take(queue)
    while b < masks.shape[0]:
        for tile in range(tiles):
            store(state, 2 * tile * LANES, spread(neuron.zero))
            store(state, (2 * tile + 1) * LANES, spread(neuron.refractory))
        for t in range(np.int64(steps[b])):
            fired = 0
            for tile in range(tiles):
                at = 2 * tile * LANES
                drive = sum_rows(weight[tile], 0, units, step_ptr[b, t], step_ptr[b, t + 1])
                age = load(state, at + LANES) + one
                if slow:
                    factor = smaller(age * inverse, one)
                    drive = drive * (factor * factor)
                membrane, mask = soft_reset_step(
                    drive, load(state, at), load(thresholds, tile * LANES), neuron
                )
                store(state, at, membrane)
                store(state, at + LANES, select(mask, spread(neuron.zero), age))
                masks[b, t, tile] = mask
                fired += ones(mask)
            if fired == 0:
                continue
            others = spread(neuron.lateral * weight.dtype.type(fired))
            own = spread(neuron.lateral * weight.dtype.type(fired - 1))
            for tile in range(tiles):
                at, threshold = 2 * tile * LANES, load(thresholds, tile * LANES)
                taken = select(masks[b, t, tile], own, others) * threshold
                store(state, at, load(state, at) - taken)
        b = take(queue)


@jit
def lanes_of(values: Any, tile: int, lanes: Any) -> Any:
    """Write a tile's values [post], 0 past the last, to `lanes` [lane]; return whether any is other than 0."""
    live, moves = min(LANES, values.size - tile * LANES), False
    for k in range(live):
        lanes[k] = values[tile * LANES + k]
        moves |= lanes[k] != 0
    lanes[live:LANES] = 0
    return moves


@jit
def add_products(slope: Any, x: Any, active: Any, sums: Any, lanes: Any, queue: Any) -> None:
    """Add Σ_b slope_i x_j over the samples of each group, in order, to sums [tile, group, pre · lane].

    slope [sample, post], x [sample, pre]; `active` [sample, :] lists the units whose x is not 0, −1 after the last.
    `lanes` [lane] is scratch. A work item is a tile and a group.
    """
    samples, groups = slope.shape[0], sums.shape[1]
    size = (samples + groups - 1) // groups
    n = take(queue)
    while n < sums.shape[0] * groups:
        tile, group = n // groups, n % groups
        gradient = sums[tile, group]
        for b in range(group * size, min(samples, (group + 1) * size)):
            if not lanes_of(slope[b], tile, lanes):
                continue
            row = load(lanes, 0)
            for j in active[b]:
                if j < 0:
                    break
                store(gradient, j * LANES, load(gradient, j * LANES) + row * spread(x[b, j]))
        n = take(queue)


@jit
def send_back(weight: Any, error: Any, out: Any, lanes: Any, queue: Any) -> None:
    """Write Σ_lanes w_ij error_i to out [tile, sample, pre]; `lanes` [lane] is scratch.

    A work item is a tile and a sample.
    """
    samples = error.shape[0]
    n = take(queue)
    while n < weight.shape[0] * samples:
        tile, b = n // samples, n % samples
        rows = weight[tile]
        if lanes_of(error[b], tile, lanes):
            row = load(lanes, 0)
            for j in range(out.shape[2]):
                out[tile, b, j] = total(row * load(rows, j * LANES))
        else:
            out[tile, b, :] = 0
        n = take(queue)


class TiledConnection:
    """What `trace_backward` asks of a connection, on tiled weights.

    Parameters
    ----------
    backend
        Where it is computed.
    weights
        The weights.
    thresholds
        The trained thresholds.
    pre_synapses
        Of one neuron.
    """

    is_trained = True

    def __init__(
        self, backend: CpuBase, weights: TiledParameter, thresholds: ArrayParameter, pre_synapses: int
    ) -> None:
        self._backend, self.weights, self.synapses = backend, weights, pre_synapses
        self.rule_parameters = {THRESHOLD: thresholds}

    def correlate(self, y: NDArray[Any], x: NDArray[Any]) -> None:
        """Add Σ y xᵀ over samples to the gradient; y (sample, post), x (sample, pre)."""
        sums, workers = self.weights.sums, self._backend.workers
        y, x = (np.ascontiguousarray(a, self._backend.dtype) for a in (y, x))
        active = np.full(x.shape, -1, np.int32)
        for b, row in enumerate(x):
            units = np.flatnonzero(row)
            active[b, : len(units)] = units

        def run(queue: NDArray[np.int64]) -> None:
            add_products(y, x, active, sums, workers.scratch("lanes", LANES), queue)

        workers.run(run, len(sums) * min(sums.shape[1], len(x)))

    def transpose(self, y: NDArray[Any]) -> NDArray[Any]:
        """Return Wᵀ y: (sample, post) → (sample, pre)."""
        weight, workers = self.weights.weight, self._backend.workers
        y = np.ascontiguousarray(y, self._backend.dtype)
        out = np.empty((len(weight), len(y), weight.shape[1] // LANES), self._backend.dtype)

        def run(queue: NDArray[np.int64]) -> None:
            send_back(weight, y, out, workers.scratch("lanes", LANES), queue)

        workers.run(run, len(weight) * len(y))
        sent: NDArray[Any] = out.sum(axis=0)
        return sent


class Lee2016Dense(DeviceLayer):
    """A fully connected layer under the rule of Lee et al. 2016."""

    def __init__(self, backend: CpuBase, layer: LinearMap, states: Mapping[str, ParameterState]) -> None:
        self._backend = backend
        weights = TiledParameter(states["weight"], backend.dtype, backend.workers)
        thresholds = ArrayParameter(backend, ArraySpec(layer.out_shape), states[THRESHOLD])
        self._connection: Any = TiledConnection(backend, weights, thresholds, synapses(layer))
        self.parameters = {"weight": weights, THRESHOLD: thresholds}

    def forward(self, pre: CpuSpikes, constants: Lee2016Constants) -> CpuSpikes:  # type: ignore[override]
        """See `DeviceLayer.forward`."""
        weights, workers = self._connection.weights, self._backend.workers
        weight, neurons, tiles = weights.weight, weights.shape[0], weights.tiles
        thresholds = aligned_zeros((tiles * LANES,), self._backend.dtype)
        thresholds[:] = np.inf
        thresholds[:neurons] = effective_thresholds(self._backend, self._connection)
        samples, (step_ptr, units) = len(pre.steps), pre.by_step()
        masks = np.zeros((samples, step_ptr.shape[1] - 1, tiles), np.uint32)
        neuron = soft_reset_constants(constants.neuron, self._backend.dtype)
        inputs = (weight, step_ptr, units, pre.steps, thresholds, neuron, masks)

        def inhibited(queue: NDArray[np.int64]) -> None:
            soft_reset_forward_lateral(*inputs, workers.scratch("state", 2 * tiles * LANES), queue)

        if constants.neuron.lateral:
            workers.run(inhibited, samples)
        else:
            workers.run(lambda queue: soft_reset_forward(*inputs, queue), tiles * samples)
        return CpuSpikes.from_masks(masks, pre.steps, neurons, workers)

    def backward(  # type: ignore[override]
        self, pre: CpuSpikes, post: CpuSpikes, signal: ErrorSignal, constants: Lee2016Constants, send: bool
    ) -> NDArray[Any] | None:
        """See `DeviceLayer.backward`."""
        return trace_backward(self._backend, self._connection, pre, post, signal, constants, send)
