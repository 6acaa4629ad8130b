"""Optimiser steps (Adam, SGD) of tiles of weights, with the exponential regularisation (docs/hm2bp.md section 5)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from .._jit import jit
from .._simd import LANES, load, spread, square_root, store
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
    squares = spread(step.zero)
    store(out, 0, squares)
    if step.strength == step.zero:
        return
    for at in range(0, weight.size, LANES):
        scaled = load(weight, at) * spread(step.inverse_scale)
        squares = squares + scaled * scaled
    store(out, 0, squares)
    pre = weight.size // LANES
    for k in range(live):
        out[k] = (
            step.strength
            * step.steepness
            * step.inverse_scale
            * math.exp(step.steepness * (out[k] / pre - step.one))
        )
    for k in range(live, LANES):
        out[k] = step.zero


@jit
def _taken(sums: Any, at: int, zero: Any) -> Any:
    """Return the gradient of a row: sums [group, pre · lane] from `at` on, added up in order and cleared."""
    gradient = spread(zero)
    for group in range(sums.shape[0]):
        of_group = sums[group]
        part = load(of_group, at)
        gradient = gradient + part if group > 0 else part
        store(of_group, at, spread(zero))
    return gradient


@jit
def adam_update(
    weights: Any, sums: Any, moments: Any, variances: Any, neurons: int, step: Any, pull: Any, queue: Any
) -> None:
    """One Adam step: w ← w − lr m̂ / (√v̂ + ε), from the mean gradient plus regularisation; a work item is a tile.

    weights, moments, variances [tile, pre · lane]; sums [tile, group, pre · lane] are used up: afterwards they are 0.
    `pull` [lane] is scratch.
    """
    mean, rate, epsilon = spread(step.mean), spread(step.rate), spread(step.epsilon)
    beta1, beta2, rest1, rest2 = (
        spread(step.beta1),
        spread(step.beta2),
        spread(step.rest1),
        spread(step.rest2),
    )
    inverse1, inverse2 = spread(step.one / step.correct1), spread(step.one / step.correct2)
    tile = take(queue)
    while tile < weights.shape[0]:
        weight, moment, variance = weights[tile], moments[tile], variances[tile]
        _pull(weight, step, min(LANES, neurons - tile * LANES), pull)
        for at in range(0, weight.size, LANES):
            w = load(weight, at)
            slope = _taken(sums[tile], at, step.zero) * mean + load(pull, 0) * w
            m = beta1 * load(moment, at) + rest1 * slope
            v = beta2 * load(variance, at) + rest2 * slope * slope
            store(moment, at, m)
            store(variance, at, v)
            store(weight, at, w - rate * (m * inverse1) / (square_root(v * inverse2) + epsilon))
        tile = take(queue)


@jit
def sgd_update(weights: Any, sums: Any, moments: Any, neurons: int, step: Any, pull: Any, queue: Any) -> None:
    """One step of gradient descent with momentum β1, m ← β1 m + g, w ← w − lr m; arguments as of `adam_update`."""
    mean, rate, beta1 = spread(step.mean), spread(step.rate), spread(step.beta1)
    tile = take(queue)
    while tile < weights.shape[0]:
        weight, moment = weights[tile], moments[tile]
        _pull(weight, step, min(LANES, neurons - tile * LANES), pull)
        for at in range(0, weight.size, LANES):
            w = load(weight, at)
            slope = _taken(sums[tile], at, step.zero) * mean + load(pull, 0) * w
            m = beta1 * load(moment, at) + slope
            store(moment, at, m)
            store(weight, at, w - rate * m)
        tile = take(queue)
