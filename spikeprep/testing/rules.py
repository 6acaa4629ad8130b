"""The check that every learning rule passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from ..backend import Backend
from ..reference.backend import ReferenceBackend
from ..train.rules import LearningRule
from ..train.settings import TrainSettings
from .networks import dense_layers, difference, network_of, random_batch, results
from .plugins import check_plugin, conformance, require

_SEEDS = 3
_DOUBLE = 1e-9  # of the largest value


@conformance
def check_rule(rule: LearningRule, backends: Sequence[Backend] = ()) -> None:
    """Check a learning rule on small networks of fully connected layers.

    Its settings do not clash with those of training, its results are finite, the same every time, and the same on every
    backend, fused and composed.

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
    layers = dense_layers(20, 12, 4)
    reference = ReferenceBackend()
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
