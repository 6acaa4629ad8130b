"""Dropout: the same on every backend, and a step of it is a step of the network without what is dropped."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikeprep.backend import ParameterState
from spikeprep.data import PackedBatch
from spikeprep.errors import UsageError
from spikeprep.packing import pack
from spikeprep.train.dropout import check_dropout, dropout_keys
from spikeprep.train.layers.dense import Dense
from spikeprep.train.network import Network, build_network
from spikeprep.train.optimiser import OptimiserSettings, RegularisationSettings
from spikeprep.train.rules.hm2bp import Hm2bp
from spikeprep.train.rules.loss import LossSettings

from .backends import BACKENDS, DOUBLE, backend

SIZES = (20, 36, 34, 5)
DROPOUT = (0.2, 0.5, 0.3)
PLAIN = OptimiserSettings("sgd", beta1=0.0, regularisation=RegularisationSettings(0.0))
RULE = Hm2bp(3.0, lateral=0.0, loss=LossSettings(target=15, off_target=0, margin=2))


def weights(sizes: tuple[int, ...] = SIZES) -> list[np.ndarray[Any, Any]]:
    rng = np.random.default_rng(1)
    return [rng.uniform(-0.4, 1, (post, pre)) for pre, post in itertools.pairwise(sizes)]


def network(name: str, arrays: list[Any], dropout: Any, fused: bool = True) -> Network:
    layers = [Dense((w.shape[1],), w.shape[0]) for w in arrays]
    device = backend(name)
    states = [{"weight": ParameterState.fresh(w.astype(device.dtype))} for w in arrays]
    return build_network(device, RULE, layers, states, fused=fused, dropout=dropout)


def batch(seed: int, samples: int = 6, units: int = SIZES[0]) -> PackedBatch:
    rng = np.random.default_rng(seed)
    spikes = rng.random((samples, 60, units)) < 0.15
    labels = rng.integers(SIZES[-1], size=samples).astype(np.int32)
    return PackedBatch(pack(spikes), np.full(samples, 60, np.uint32), labels, np.arange(samples))


def values(net: Network) -> list[np.ndarray[Any, Any]]:
    return [layer["weight"].value for layer in net.states()]


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", [name for name in BACKENDS if name != "reference"])
def test_steps_are_the_reference_s(name: str, fused: bool) -> None:
    """Full batches again and again, which a GPU records, with other keys each time: the same spikes and weights."""
    results = []
    for which, way in ((name, fused), ("reference", True)):
        net, measured = network(which, weights(), DROPOUT, way), []
        for step in range(1, 6):
            keys = dropout_keys(0, step, 6)
            done = net.train_step(batch(step), PLAIN, step, 1e-3, dropout_keys=keys)
            measured.append((done.counts.tolist(), done.rates))
        results.append((measured, values(net)))
    (got, got_weights), (expected, expected_weights) = results
    assert [counts for counts, _ in got] == [counts for counts, _ in expected]
    near = 1e-12 if name in DOUBLE else 1e-5
    np.testing.assert_allclose([r for _, r in got], [r for _, r in expected], atol=1e-6)
    for a, b, before in zip(got_weights, expected_weights, weights(), strict=True):
        assert np.abs(b - before).max() > 1e-4
        np.testing.assert_allclose(a, b, atol=near)


@pytest.mark.parametrize("name", DOUBLE)
def test_a_step_is_one_of_the_network_without_what_is_dropped(name: str) -> None:
    device, sample, keys = backend(name), batch(3, 1), dropout_keys(5, 2, 1)
    firsts = np.concatenate([[0], np.cumsum(SIZES)])
    kept = [
        np.flatnonzero(device.to_host(device.kept(keys, int(firsts[n]), SIZES[n], share))[0])
        for n, share in enumerate(DROPOUT)
    ] + [np.arange(SIZES[-1])]
    assert all(0 < len(units) < size for units, size in zip(kept, SIZES[:-1], strict=False))
    full = network(name, weights(), DROPOUT)
    small = network(name, [w[np.ix_(kept[n + 1], kept[n])] for n, w in enumerate(weights())], 0.0)
    reduced = PackedBatch(sample.bits[:, kept[0]], sample.steps, sample.labels, sample.index)
    outputs = [device.to_host(device.counts(spikes))[0] for spikes in small.forward(reduced)[1:]]
    assert full.train_step(sample, PLAIN, 1, 1e-3, dropout_keys=keys).counts.tolist() == [
        outputs[-1].tolist()
    ]
    small.train_step(reduced, PLAIN, 1, 1e-3)
    for n, (before, after, expected) in enumerate(zip(weights(), values(full), values(small), strict=True)):
        fires = outputs[n] > 0  # 1 + σ of a silent neuron has all its weights, dropped inputs' too
        assert fires.any()
        part = np.ix_(kept[n + 1][fires], kept[n])
        np.testing.assert_allclose(after[part], expected[fires], atol=1e-12)
        assert np.abs(after[part] - before[part]).max() > 1e-5
        untouched = np.ones(before.shape, bool)
        untouched[np.ix_(kept[n + 1], kept[n])] = False
        np.testing.assert_array_equal(after[untouched], before[untouched])


def test_the_network_to_keep_has_all_inputs_and_smaller_weights() -> None:
    net = network("cpu-float64", weights(), DROPOUT)
    kept = net.without_dropout(net.states())
    assert not kept.drops
    for share, given, scaled in zip(DROPOUT, values(net), values(kept), strict=True):
        np.testing.assert_allclose(scaled, given * (1 - share))
    plain = replace(net, dropout=0.0)
    assert plain.without_dropout(plain.states()) is plain


def test_keys_differ_and_drop_the_share() -> None:
    keys = dropout_keys(0, 0, 200)
    assert len({*keys.tolist(), *dropout_keys(0, 1, 200).tolist(), *dropout_keys(1, 0, 200).tolist()}) == 600
    kept = backend("reference").kept(keys, 0, 1000, 0.3)
    assert abs(kept.mean() - 0.7) < 4 * np.sqrt(0.21 / kept.size)
    later = backend("reference").kept(keys, 400, 600, 0.3)
    np.testing.assert_array_equal(later, kept[:, 400:])


def test_inputs_of_a_layer_without_weights_are_not_dropped() -> None:
    class Pool(Dense):
        def specs(self) -> dict[str, Any]:
            return {}

    layers = [Dense((8,), 6), Pool((6,), 3)]
    check_dropout(layers, (0.5, 0.0))
    with pytest.raises(UsageError, match=r"layer 2, a .*Use dropout=\[0.5,0\]"):
        check_dropout(layers, 0.5)
