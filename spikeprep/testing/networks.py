"""Small networks and batches that the checks of rules, layers and backends run on."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backend import Backend, LinearMap, ParameterState
from ..data import PackedBatch
from ..packing import pack
from ..train.layers.dense import Dense
from ..train.network import Network, build_network, initial_arrays
from ..train.rules import LearningRule


def random_batch(
    seed: int, units: int, classes: int, *, samples: int = 4, steps: int = 70, density: float = 0.08
) -> PackedBatch:
    """Return a batch of ragged lengths, with silent and dense units, drawn by `seed`."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(steps // 2, steps + 1, samples)
    lengths[0] = steps
    spikes = rng.random((samples, steps, units)) < density
    spikes[:, :, rng.random(units) < 0.3] = False
    spikes[np.arange(steps)[None, :] >= lengths[:, None]] = False
    labels = rng.integers(0, classes, samples).astype(np.int32)
    return PackedBatch(pack(spikes), lengths.astype(np.uint32), labels, np.arange(samples))


def dense_layers(*sizes: int) -> tuple[Dense, ...]:
    """Return fully connected layers of sizes, the input's first."""
    return tuple(Dense((pre,), post) for pre, post in itertools.pairwise(sizes))


def random_states(
    rule: LearningRule, layers: Sequence[LinearMap], seed: int, size: float = 4.0
) -> list[dict[str, ParameterState]]:
    """Return arrays for layers: the connections' are multiples of 1/8, so that the order of additions moves no spike.

    Those of the rule are as it starts them.
    """
    rng = np.random.default_rng(seed)
    limit, states = int(8 * size), []
    for n, layer in enumerate(layers):
        arrays = {
            name: (rng.integers(-limit, limit + 1, spec.shape) / 8).astype(np.float32)
            for name, spec in layer.specs().items()
        }
        arrays = initial_arrays(rule, layer, n, arrays) | arrays
        states.append({name: ParameterState.fresh(array) for name, array in arrays.items()})
    return states


def network_of(
    backend: Backend, rule: LearningRule, layers: Sequence[LinearMap], seed: int, *, fused: bool = True
) -> Network:
    """Return a network with arrays drawn by `seed`."""
    return build_network(backend, rule, layers, random_states(rule, layers, seed), fused=fused)


def sample_weights(samples: int) -> NDArray[np.float64]:
    """Return the weights that the checks give the samples of a batch: all unlike each other."""
    return np.linspace(1, 2, samples)


def results(
    network: Network, batch: PackedBatch, weights: NDArray[np.float64] | None = None
) -> dict[str, NDArray[Any]]:
    """Return what one forward and backward pass gives, host: each layer's spikes, the loss, each array's gradient.

    Samples have the `weights` (sample,), by default `sample_weights`.
    """
    spikes = network.forward(batch)
    loss = network.backward(spikes, batch.labels, sample_weights(len(batch)) if weights is None else weights)
    found = {f"spikes of layer {n}": network.backend.unpack(s) for n, s in enumerate(spikes)}
    found["loss"] = np.asarray(loss)
    for n, layer in enumerate(network.devices):
        for name, parameter in layer.parameters.items():
            found[f"gradient of layer {n}, {name}"] = parameter.gradient()
    return found


def difference(got: dict[str, NDArray[Any]], expected: dict[str, NDArray[Any]], share: float) -> str:
    """Return what differs: spikes at all, numbers by more than a share of the largest; empty where nothing does."""
    for key, want in expected.items():
        have = np.asarray(got[key])
        if have.shape != want.shape:
            return f"{key} has the shape {have.shape}; expected {want.shape}"
        if want.dtype == np.bool_:
            if not np.array_equal(have, want):
                return f"{key}: {int((have != want).sum())} of {want.size} differ"
            continue
        if not np.isfinite(have).all():
            return f"{key} has values that are not finite"
        off = float(np.abs(have - want).max(initial=0))
        if off > share * max(float(np.abs(want).max(initial=0)), 1e-2):
            return f"{key} is off by {off:.3g}, of values up to {float(np.abs(want).max(initial=0)):.3g}"
    return ""
