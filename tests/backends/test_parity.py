"""Every fast backend against the reference on random networks: equal spikes, gradients within rounding."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spikeprep.backend import Backend, UpdateRule, WeightState
from spikeprep.cpu.backend import CpuBackend
from spikeprep.data import NeuronParams, PackedBatch, PspParams
from spikeprep.reference.backend import lif
from spikeprep.train.layers.dense import Dense
from spikeprep.train.network import Network
from spikeprep.train.rules.hm2bp import LossParams

from ..strategies import Case, cases
from .backends import DOUBLE, FAST, backend

REFERENCE = backend("reference")


def network(ops: Backend, case: Case, loss: LossParams, psp: PspParams, lateral: float) -> Network:
    layers = []
    for n, (w, neuron) in enumerate(zip(case.weights, case.neurons, strict=True)):
        state = WeightState(w, np.zeros_like(w), np.zeros_like(w))
        layers.append(Dense(ops.dense_weights(state), neuron, lateral if n == len(case.weights) - 1 else 0.0))
    return Network(ops, tuple(layers), loss, psp)


def margin(case: Case, lateral: float) -> float:
    """Return the smallest distance of any membrane of the case to its threshold."""
    net = network(REFERENCE, case, LossParams(), PspParams(), lateral)
    spikes = net.forward(case.batch)
    nearest = math.inf
    for layer, pre in zip(net.layers, spikes[:-1], strict=True):
        for dense, steps in zip(pre.dense, pre.steps, strict=True):  # type: ignore[attr-defined]
            drive = dense[:steps] @ layer.weights.weight.T  # type: ignore[attr-defined]
            membrane = lif(drive, layer.neuron, layer.lateral).membrane
            nearest = min(nearest, float(np.abs(membrane - layer.neuron.threshold).min(initial=math.inf)))
    return nearest


@pytest.mark.parametrize("name", FAST)
@settings(max_examples=25, deadline=None)
@given(
    case=cases(),
    loss=st.sampled_from([LossParams(), LossParams("softmax"), LossParams(margin=0, fill=False)]),
    window=st.sampled_from([None, 256, 40, 5, 100]),
    lateral=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_spikes_and_gradients(
    name: str, case: Case, loss: LossParams, window: int | None, lateral: float
) -> None:
    psp, ops, allowed = PspParams(window), backend(name), 1e-10 if name in DOUBLE else 1e-4
    # where a membrane comes this near to its threshold, float32 may fire a step sooner or later
    assume(name in DOUBLE or margin(case, lateral) > 1e-3)
    want, got = (network(o, case, loss, psp, lateral) for o in (REFERENCE, ops))
    spikes = want.forward(case.batch), got.forward(case.batch)
    for a, b in zip(*spikes, strict=True):
        np.testing.assert_array_equal(REFERENCE.unpack(a), ops.unpack(b))
        np.testing.assert_array_equal(REFERENCE.counts(a), ops.to_host(ops.counts(b)))
    weight = np.linspace(1, 2, len(case.batch))
    losses = [n.backward(s, case.batch.labels, weight) for n, s in zip((want, got), spikes, strict=True)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5, atol=1e-5)
    for a, b in zip(want.layers, got.layers, strict=True):
        exact = REFERENCE.gradient(a.weights)
        off = np.abs(ops.gradient(b.weights) - exact).max(initial=0)
        # errors of classes can cancel to nothing: what is left then is the rounding of their terms, of order 1
        assert off <= allowed * max(np.abs(exact).max(initial=0), 1e-2)


@settings(max_examples=15, deadline=None)
@given(case=cases(layers=3), window=st.sampled_from([None, 256, 30]))
def test_error_sent_back(case: Case, window: int | None) -> None:
    """`incoming` of a single layer, every special case of ρ among the pairs."""
    assume(margin(case, 0.0) > 1e-3)
    rng, psp = np.random.default_rng(0), PspParams(window)
    delta = rng.normal(size=(len(case.batch), case.weights[0].shape[0]))
    scale = rng.uniform(0.5, 2, delta.shape)
    results = []
    for ops in (REFERENCE, *map(backend, FAST)):
        net = network(ops, case, LossParams(), psp, 0.0)
        pre, post = net.forward(case.batch)[:2]
        layer = net.layers[0]
        sent = ops.dense_backward(layer.weights, pre, post, delta, scale, layer.neuron, psp, True)
        assert ops.dense_backward(layer.weights, pre, post, delta, scale, layer.neuron, psp, False) is None
        results.append((ops.to_host(sent), ops.gradient(layer.weights)))
    for sent, gradient in results[1:]:
        tight = 1e-10 if sent.dtype == np.float64 else 1e-4
        for got, want in ((sent, results[0][0]), (gradient, results[0][1])):
            assert np.abs(got - want).max(initial=0) <= tight * max(np.abs(want).max(initial=0), 1e-6)


@settings(max_examples=10, deadline=None)
@given(case=cases())
def test_threads_change_nothing(case: Case) -> None:
    states = []
    for threads in (1, 2, 5):
        ops = CpuBackend(np.float32, threads)
        net = network(ops, case, LossParams(), PspParams(), 1.0)
        for step in (1, 2):
            net.train_step(case.batch, UpdateRule("adam", 0.01, step, strength=0.1))
        states.append([ops.state(layer.weights) for layer in net.layers])
    for other in states[1:]:
        for a, b in zip(states[0], other, strict=True):
            for x, y in ((a.weight, b.weight), (a.moment, b.moment), (a.variance, b.variance)):
                assert x.tobytes() == y.tobytes()


@settings(max_examples=10, deadline=None)
@given(case=cases(most_steps=80))
def test_padding_changes_nothing(case: Case) -> None:
    """A batch padded by more bytes gives equal spikes and gradients, each of its samples alone equal spikes."""
    longer = np.concatenate([case.batch.bits, np.zeros((*case.batch.bits.shape[:2], 3), np.uint8)], axis=2)
    padded = PackedBatch(longer, case.batch.steps, case.batch.labels, case.batch.index)
    for ops in map(backend, DOUBLE):
        plain, wide = (network(ops, case, LossParams(), PspParams(), 1.0) for _ in range(2))
        plain.backward(plain.forward(case.batch), case.batch.labels)
        wide.backward(wide.forward(padded), case.batch.labels)
        for a, b in zip(plain.layers, wide.layers, strict=True):
            np.testing.assert_array_equal(ops.gradient(a.weights), ops.gradient(b.weights))
        for b in range(len(case.batch)):
            alone = PackedBatch(
                *(
                    a[b : b + 1]
                    for a in (case.batch.bits, case.batch.steps, case.batch.labels, case.batch.index)
                )
            )
            np.testing.assert_array_equal(plain.counts(alone)[0], plain.counts(case.batch)[b])


@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_updates(kind: str) -> None:
    rng = np.random.default_rng(1)
    weight = rng.uniform(-1, 1, (37, 50)).astype(np.float32)
    rule = [UpdateRule(kind, 0.01, n, strength=2.0) for n in (1, 2, 3)]  # type: ignore[arg-type]
    bits = np.packbits(rng.random((3, 50, 100)) < 0.1, axis=-1, bitorder="little")
    batch = PackedBatch(bits, np.full(3, 100, np.uint32), np.array([1, 2, 3], np.int32), np.arange(3))
    states = []
    for ops in map(backend, DOUBLE):
        w = ops.dense_weights(WeightState(weight, np.zeros_like(weight), np.zeros_like(weight)))
        net = Network(ops, (Dense(w, NeuronParams(4.0)),), LossParams(), PspParams())
        for r in rule:
            net.train_step(batch, r)
        states.append(ops.state(w))
    for state in states[1:]:
        for a, b in (
            (states[0].weight, state.weight),
            (states[0].moment, state.moment),
            (states[0].variance, state.variance),
        ):
            np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12)
