"""Optimiser steps (Adam, SGD) of tiles of weights, with the exponential regularisation (docs/hm2bp.md section 5)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from .._jit import jit
from .._simd import LANES
from ..backend import OptimiserStep
from .queue import take


class Update(NamedTuple):
    """One step of an optimiser with the exponential regularisation."""

    mean: Any  # 1 / batch
    rate: Any
    beta1: Any
    beta2: Any
    rest1: Any  # 1 − β1
    rest2: Any
    correct1: Any  # 1 − β1^t
    correct2: Any
    epsilon: Any
    strength: Any  # λ
    steepness: Any  # β
    inverse_scale: Any  # 1/8 in the published runs
    zero: Any
    one: Any


def step_constants(step: OptimiserStep, samples: int, dtype: np.dtype[Any]) -> Update:
    """Return an optimiser step's constants for a gradient summed over `samples`, in a working precision."""
    real = dtype.type
    return Update(
        mean=real(1 / samples),
        rate=real(step.rate),
        beta1=real(step.beta1),
        beta2=real(step.beta2),
        rest1=real(1 - step.beta1),
        rest2=real(1 - step.beta2),
        correct1=real(1 - step.beta1**step.step),
        correct2=real(1 - step.beta2**step.step),
        epsilon=real(step.epsilon),
        strength=real(step.strength),
        steepness=real(step.steepness),
        inverse_scale=real(1 / step.scale),
        zero=real(0),
        one=real(1),
    )


@jit
def _pull(weight: Any, step: Any, live: int, out: Any) -> None:
    """Write reg_ij / w_ij of a tile's lanes: λ β / s · exp(β (mean_j (w_ij/s)² − 1)); 0 past the last neuron."""
    pre = weight.shape[0]
    out[:] = step.zero
    if step.strength == step.zero:
        return
    for j in range(pre):
        for k in range(LANES):
            scaled = weight[j, k] * step.inverse_scale
            out[k] += scaled * scaled
    for k in range(live):
        out[k] = (
            step.strength
            * step.steepness
            * step.inverse_scale
            * math.exp(step.steepness * (out[k] / pre - step.one))
        )
    out[live:] = step.zero


@jit
def _collect(gradients: Any, j: int, zero: Any) -> None:
    """Add row j of every group into group 0, in order, and clear the others."""
    for g in range(1, gradients.shape[0]):
        for k in range(LANES):
            gradients[0, j, k] += gradients[g, j, k]
            gradients[g, j, k] = zero


@jit
def adam_update(
    weights: Any, sums: Any, moments: Any, variances: Any, neurons: int, step: Any, pull: Any, queue: Any
) -> None:
    """One Adam step: w ← w − lr m̂ / (√v̂ + ε), from the mean gradient plus regularisation; a work item is a tile.

    weights, moments, variances [tile, pre, lane]; sums [tile, group, pre, lane] are used up: afterwards they are 0.
    `pull` [lane] is scratch.
    """
    inverse1, inverse2 = step.one / step.correct1, step.one / step.correct2
    tile = take(queue)
    while tile < weights.shape[0]:
        weight, gradients, moment, variance = weights[tile], sums[tile], moments[tile], variances[tile]
        _pull(weight, step, min(LANES, neurons - tile * LANES), pull)
        for j in range(weight.shape[0]):
            _collect(gradients, j, step.zero)
            for k in range(LANES):
                slope = gradients[0, j, k] * step.mean + pull[k] * weight[j, k]
                gradients[0, j, k] = step.zero
                m = step.beta1 * moment[j, k] + step.rest1 * slope
                v = step.beta2 * variance[j, k] + step.rest2 * slope * slope
                moment[j, k] = m
                variance[j, k] = v
                weight[j, k] -= step.rate * (m * inverse1) / (math.sqrt(v * inverse2) + step.epsilon)
        tile = take(queue)


@jit
def sgd_update(weights: Any, sums: Any, moments: Any, neurons: int, step: Any, pull: Any, queue: Any) -> None:
    """One step of gradient descent with momentum β1, m ← β1 m + g, w ← w − lr m; arguments as of `adam_update`."""
    tile = take(queue)
    while tile < weights.shape[0]:
        weight, gradients, moment = weights[tile], sums[tile], moments[tile]
        _pull(weight, step, min(LANES, neurons - tile * LANES), pull)
        for j in range(weight.shape[0]):
            _collect(gradients, j, step.zero)
            for k in range(LANES):
                slope = gradients[0, j, k] * step.mean + pull[k] * weight[j, k]
                gradients[0, j, k] = step.zero
                m = step.beta1 * moment[j, k] + slope
                moment[j, k] = m
                weight[j, k] -= step.rate * m
        tile = take(queue)
