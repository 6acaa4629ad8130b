"""The check that every learning rule passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import config
from ..backend import Backend, LinearMap
from ..data import PackedBatch
from ..errors import UsageError, near_miss
from ..reference.backend import ReferenceBackend
from ..train.layers.dense import Dense
from ..train.network import build_network, initial_states
from ..train.optimiser import OptimiserSettings
from ..train.rules import LearningRule
from ..train.settings import TrainSettings
from .networks import dense_layers, difference, network_of, random_batch, results, sample_weights
from .plugins import check_plugin, conformance, require

_SEEDS = 3
_DOUBLE = 1e-9  # of the largest value


@conformance
def check_rule(rule: LearningRule, backends: Sequence[Backend] = ()) -> None:
    """Check a learning rule on small networks of fully connected layers.

    Its settings do not clash with those of training, its `defaults` are settings of training, new networks take a step
    of training, its results are finite, the same every time, and the same on every
    backend, fused and composed. A sample's weight scales its part of every gradient, and nothing else.

    Parameters
    ----------
    rule
        An instance whose settings are complete for networks of two layers.
    backends
        Backends in float64 to compare with the reference.

    Raises
    ------
    AssertionError
        The rule breaks its contract; the message says how.
    """
    check_plugin(rule)
    shared = {field.name for field in fields(rule)} & {field.name for field in fields(TrainSettings)}
    require(not shared, f"{rule.name}: training has settings called {', '.join(sorted(shared))} too")
    _check_defaults(rule)
    layers = dense_layers(20, 12, 4)
    reference, learns = ReferenceBackend(), False
    for seed in range(_SEEDS):
        batch = random_batch(seed, 20, 4)
        expected = results(network_of(reference, rule, layers, seed), batch)
        for key, value in expected.items():
            require(np.isfinite(value).all(), f"{rule.name}: {key} has values that are not finite")
        again = results(network_of(reference, rule, layers, seed), batch)
        require(
            all(again[key].tobytes() == value.tobytes() for key, value in expected.items()),
            f"{rule.name}: the same batch gives other results a second time",
        )
        for backend in backends:
            for fused in (True, False):
                wrong = difference(
                    results(network_of(backend, rule, layers, seed, fused=fused), batch), expected, _DOUBLE
                )
                way = "fused" if fused else "composed"
                require(not wrong, f"{rule.name} on {backend.name}, {way}, against the reference: {wrong}")
        learns = _check_weights(rule, layers, seed, batch, expected) or learns
        _check_step(rule, layers, seed, batch)
    require(
        learns,
        f"{rule.name}: no gradient depends on the error of any sample; "
        "check it with settings under which neurons fire",
    )


def _check_defaults(rule: LearningRule) -> None:
    """Check that `rule.defaults` are settings of training, with values that they may have."""
    settings = TrainSettings()
    tree = settings.to_json()
    own = {"rule", *config.leaves(settings.rule.to_json())}
    known = [name for name in config.leaves(tree) if name not in own]
    for name in rule.defaults:
        require(
            name in known,
            f"{rule.name}: defaults has {name!r}, which is no setting of training. {near_miss(name, known)}",
        )
    try:
        TrainSettings.from_json(config.overridden(tree, rule.defaults, "training"))
    except UsageError as error:
        raise AssertionError(f"{rule.name}: defaults has a value that is not allowed: {error}") from error


def _check_step(rule: LearningRule, layers: Sequence[Dense], seed: int, batch: PackedBatch) -> None:
    """Check an optimiser step from the arrays that a new network has."""
    optimiser = OptimiserSettings()
    states = initial_states(rule, layers, 1.0, seed, np.dtype(np.float64))
    network = build_network(ReferenceBackend(), rule, layers, states)
    network.train_step(batch, optimiser, 1, optimiser.rate)
    for n, arrays in enumerate(network.states()):
        for name, state in arrays.items():
            require(
                np.isfinite(state.value).all(),
                f"{rule.name}: a step of training leaves values that are not finite in {name!r} of layer {n}",
            )


def _check_weights(
    rule: LearningRule,
    layers: Sequence[LinearMap],
    seed: int,
    batch: PackedBatch,
    expected: Mapping[str, NDArray[Any]],
) -> bool:
    """Check that gradients are linear in the weights of the samples, but for a part that does not depend on the error.

    `expected` are the results with `sample_weights`. Return whether any gradient depends on the weights.
    """
    samples = len(batch)
    # fused=False: the rule's own output_error and backward
    networks = (network_of(ReferenceBackend(), rule, layers, seed, fused=False) for _ in range(samples + 1))
    nothing, *alone = (
        results(network, batch, weights)
        for network, weights in zip(networks, [np.zeros(samples), *np.eye(samples)], strict=True)
    )
    found, depends = {}, False
    for key, array in nothing.items():
        found[key] = array
        if key.startswith("gradient"):
            parts = [(one[key] - array) * w for one, w in zip(alone, sample_weights(samples), strict=True)]
            found[key] = array + sum(parts)
            depends = depends or any(part.any() for part in parts)
    wrong = difference(found, dict(expected), _DOUBLE)
    require(
        not wrong,
        f"{rule.name}: class weights and boost do not scale a sample's part of every gradient: {wrong}; "
        "expected gradients linear in the error that output_error returns",
    )
    return depends
