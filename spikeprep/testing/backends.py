"""The check that every backend passes: each operation, and each entry of its table, against the reference backend."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backend import Backend, Spikes
from ..data import NeuronParams, PackedBatch, PspParams, SoftResetParams
from ..reference.backend import ReferenceBackend
from ..registry import LAYERS, RULES
from ..train.network import build_network
from ..train.rules import LearningRule
from ..train.rules.hm2bp import Hm2bp
from ..train.rules.lee2016 import Lee2016
from .networks import dense_layers, difference, network_of, random_batch, random_states, results
from .plugins import conformance, require

_SEEDS = 3
_SHARES = {"float64": 1e-9, "float32": 1e-4}  # of the largest value
_NEURON = NeuronParams(4.0)

_KEYS = np.arange(4, dtype=np.uint64) << np.uint64(61)  # of dropout


@conformance
def check_backend(backend: Backend) -> None:
    """Check a backend: spikes, neurons, gates, PSPs, traces, composed and fused layers.

    Parameters
    ----------
    backend
        In float64 or float32.

    Raises
    ------
    AssertionError
        The backend differs from the reference; the message says where.
    """
    require(
        backend.dtype.name in _SHARES,
        f"{backend.name}: dtype is {backend.dtype}; expected float32 or float64",
    )
    for name, kind in backend.fused:
        known = name in RULES.names() and kind in LAYERS.names()
        require(
            known,
            f"{backend.name}: fused names ({name}, {kind}), which is no registered rule and layer kind",
        )
    reference = ReferenceBackend()
    for seed in range(_SEEDS):
        for units in (5, 33):
            batch = random_batch(seed, units, 4)
            _compare(backend, "spikes", _of_spikes(backend, batch), _of_spikes(reference, batch))
            _compare(
                backend, "neurons", _of_neurons(backend, seed, units), _of_neurons(reference, seed, units)
            )
        batch = random_batch(seed, 20, 4)
        layers, rules = dense_layers(20, 40, 4), (Hm2bp((4.0, 3.0)), Lee2016(inhibition=(0.0, 0.5)))
        rule: LearningRule
        for rule in rules:
            expected = results(network_of(reference, rule, layers, seed), batch)
            for fused in (True, False):
                network = network_of(backend, rule, layers, seed, fused=fused)
                what = f"{'fused' if fused else 'composed'} layers, {rule.name}"
                _compare(backend, what, results(network, batch), expected)
    _check_state(backend)


def _compare(backend: Backend, what: str, got: dict[str, Any], expected: dict[str, Any]) -> None:
    wrong = difference(got, expected, _SHARES[backend.dtype.name])
    require(not wrong, f"{backend.name}, {what}: {wrong}")


def _of_spikes(backend: Backend, batch: PackedBatch) -> dict[str, Any]:
    """Return what a backend makes of the spikes of a batch, and of them as a layer's own."""
    spikes, host = backend.upload(batch), backend.to_host
    unit, period = np.zeros(len(batch), np.int64), np.array([0, 3, 5, 0])
    regular = backend.regular_trains(spikes, unit, backend.xp.asarray(period))
    psp = backend.psp(spikes, spikes, _NEURON, PspParams(40))
    counts = backend.counts(spikes)
    labels = batch.labels % spikes.units
    kept = backend.kept(_KEYS, 3, spikes.units, 0.4)
    return {
        "unpack": backend.unpack(spikes),
        "regular_trains": backend.unpack(regular),
        "kept": host(kept),
        "masked": backend.unpack(backend.masked(spikes, kept)),
        "counts of masked spikes": host(backend.counts(backend.masked(spikes, kept))),
        "masked_error": host(backend.masked_error(counts.astype(backend.dtype), kept)),
        "counts": host(counts),
        "dense": host(backend.dense(spikes)),
        "spikes": backend.unpack(backend.spikes(backend.dense(spikes) > 0, spikes.steps)),
        "trace": host(backend.trace(spikes, 20.0)),
        "gate": host(backend.gate(spikes, _NEURON, PspParams(40))),
        "gate without a window": host(backend.gate(spikes, _NEURON, PspParams(None))),
        "psp": host(psp),
        "lateral_gain": host(backend.lateral_gain(psp, counts, labels, 4.0)),
    }


def _of_neurons(backend: Backend, seed: int, units: int) -> dict[str, Any]:
    """Return what neurons do on a random drive, multiples of 1/8, with and without lateral inhibition."""
    rng = np.random.default_rng(seed)
    drive = rng.integers(-8, 24, (2, 50, units)) / 8
    lengths, found = np.array([50, 31]), {}
    for lateral in (0.0, 0.5):
        spikes: Spikes = backend.simulate(
            backend.array(drive.astype(backend.dtype)), lengths, _NEURON, lateral
        )
        found[f"simulate, lateral {lateral}"] = backend.unpack(spikes)
    thresholds = backend.array(rng.integers(8, 40, units).astype(backend.dtype) / 8)
    for refractory, lateral in ((1.0, 0.0), (3.0, 0.25)):
        neuron = SoftResetParams(20.0, refractory, lateral)
        spikes = backend.simulate_soft_reset(
            backend.array(drive.astype(backend.dtype)), lengths, thresholds, neuron
        )
        found[f"simulate_soft_reset, refractory {refractory}, lateral {lateral}"] = backend.unpack(spikes)
    trace = backend.trace_neurons(drive[0], _NEURON)
    return found | {"trace_neurons": trace.spikes, "membrane": trace.membrane, "current": trace.current}


def _check_state(backend: Backend) -> None:
    layers = dense_layers(20, 40)
    rule = Hm2bp(4.0)
    states = random_states(rule, layers, 0)
    for fused in (True, False):
        network = build_network(backend, rule, layers, states, fused=fused)
        for name in ("value", "moment", "variance"):
            got, given = (getattr(s[0]["weight"], name) for s in (network.states(), states))
            require(
                np.array_equal(got, given.astype(backend.dtype)),
                f"{backend.name}: the {name} of a parameter comes back with other values than it was made from",
            )
