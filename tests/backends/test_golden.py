"""Every recorded dense network, replayed on every backend: spikes exactly, the rest within stated tolerances."""

from __future__ import annotations

import numpy as np
import pytest

from spikeprep.backend import Backend
from spikeprep.data import NeuronParams
from spikeprep.train.rules.hm2bp import boosted_weights, count_error, filled_output, lateral_factor, predict

from .backends import BACKENDS, backend
from .golden import DENSE, FIXTURES, Golden, spikes_of

# shares of the array's largest value: (psp, gate, γ, errors), (σ, gradients);
# then absolute, of weights: (after one step, in sequence)
TOLERANCE = {"float64": (1e-10, 1e-10, 1e-12, 1e-11), "float32": (1e-5, 2e-5, 2e-6, 5e-6)}


@pytest.fixture(params=BACKENDS)
def ops(request: pytest.FixtureRequest) -> Backend:
    return backend(request.param)


@pytest.fixture(params=DENSE)
def golden(request: pytest.FixtureRequest) -> Golden:
    return Golden.load(request.param)


def assert_share(got: np.ndarray, want: np.ndarray, share: float, what: str) -> None:
    got = np.asarray(got, float)
    worst = np.abs(got - want).max() / max(np.abs(want).max(), 1e-300) if np.any(want) else np.abs(got).max()
    assert worst <= share, f"{what}: off by {worst:.2g} of the largest value, {share:.2g} allowed"


def test_spikes_counts_and_predictions(golden: Golden, ops: Backend) -> None:
    spikes = golden.network(ops).forward(golden.batch())
    for n in range(1, golden.depth + 1):
        np.testing.assert_array_equal(ops.unpack(spikes[n]), golden[f"spikes_{n}"].astype(bool))
        np.testing.assert_array_equal(ops.to_host(ops.counts(spikes[n])), golden[f"count_{n}"])
    np.testing.assert_array_equal(predict(ops.to_host(ops.counts(spikes[-1]))), golden["predicted"])


def test_output_error(golden: Golden, ops: Backend) -> None:
    loose = TOLERANCE[ops.dtype.name][0]
    network = golden.network(ops)
    output, labels = network.forward(golden.batch())[-1], golden["labels"]
    layer = network.layers[-1]
    error, _ = count_error(ops, ops.counts(output), labels, network.loss)
    assert_share(ops.to_host(error), golden["error"], loose, "error")
    gamma = lateral_factor(ops, output, labels, layer.lateral, layer.neuron, network.psp, network.loss)
    gamma = np.ones_like(golden["gamma"]) if gamma is None else ops.to_host(gamma)
    assert_share(gamma, golden["gamma"], loose, "gamma")
    filled = filled_output(ops, output, labels, network.loss)
    np.testing.assert_array_equal(ops.unpack(filled), golden["output_filled"].astype(bool))
    np.testing.assert_array_equal(ops.to_host(ops.counts(filled)), golden["output_filled_count"])


def test_psp(golden: Golden, ops: Backend) -> None:
    pre = golden["input"]
    for n in range(1, golden.depth + 1):
        post = golden["output_filled"] if n == golden.depth else golden[f"spikes_{n}"]
        e = ops.psp(spikes_of(ops, pre), spikes_of(ops, post), golden.neuron(n), golden.psp())
        assert_share(ops.to_host(e), golden[f"psp_{n}"], TOLERANCE[ops.dtype.name][0], f"psp_{n}")
        pre = golden[f"spikes_{n}"]


def test_gate(ops: Backend) -> None:
    golden = Golden.load("dense_rate")
    for n in range(1, golden.depth + 1):
        post = golden["output_filled"] if n == golden.depth else golden[f"spikes_{n}"]
        gates = ops.gate(spikes_of(ops, post), golden.neuron(n), golden.psp())
        assert_share(ops.to_host(gates), golden[f"gate_{n}"], TOLERANCE[ops.dtype.name][0], f"gate_{n}")


def test_gradient_and_step_of_each_sample(golden: Golden, ops: Backend) -> None:
    _, tight, once, _ = TOLERANCE[ops.dtype.name]
    for b in range(golden.samples):
        network = golden.network(ops)
        batch = golden.batch(slice(b, b + 1))
        network.backward(network.forward(batch), batch.labels, golden["sample_weight"][b : b + 1])
        for n, layer in enumerate(network.layers, 1):
            want = golden[f"grad_data_{n}"][b]
            assert_share(ops.gradient(layer.weights), want, tight, f"grad_data_{n}[{b}]")
            ops.update(layer.weights, 1, golden.rule())
            # a first Adam step is ± lr: where the gradient is a difference of large terms float32 may turn its sign
            firm = np.abs(want + golden[f"grad_reg_{n}"]) > (1e-4 if ops.dtype == np.float32 else 0)
            off = np.abs(ops.state(layer.weights).weight - golden[f"weight_after_{n}"][b])[firm]
            assert off.max() <= once


def test_gradient_and_step_of_the_batch(golden: Golden, ops: Backend) -> None:
    _, tight, once, _ = TOLERANCE[ops.dtype.name]
    network, batch = golden.network(ops), golden.batch()
    network.backward(network.forward(batch), batch.labels, golden["sample_weight"])
    for n, layer in enumerate(network.layers, 1):
        mean, reg = ops.gradient(layer.weights) / golden.samples, golden[f"grad_reg_{n}"]
        want = golden[f"grad_batch_{n}"]  # data and regularisation
        assert_share(mean + reg, want, tight, f"grad_batch_{n}")
        ops.update(layer.weights, golden.samples, golden.rule())
        firm = np.abs(want) > (1e-4 if ops.dtype == np.float32 else 0)
        off = np.abs(ops.state(layer.weights).weight - golden[f"weight_after_batch_{n}"])[firm]
        assert off.max() <= once


def test_regularisation_alone(golden: Golden, ops: Backend) -> None:
    for n, layer in enumerate(golden.network(ops).layers, 1):
        rule = golden.rule()
        plain = type(rule)(
            "sgd", 1.0, 1, 0.0, strength=rule.strength, steepness=rule.steepness, scale=rule.scale
        )
        before = ops.state(layer.weights).weight.astype(float)
        ops.update(layer.weights, 1, plain)
        pull = before - ops.state(layer.weights).weight
        assert_share(
            pull, golden[f"grad_reg_{n}"], 2e-5 if ops.dtype == np.float32 else 1e-10, f"grad_reg_{n}"
        )


def test_sequence_of_steps(golden: Golden, ops: Backend) -> None:
    network = golden.network(ops)
    sequence = TOLERANCE[ops.dtype.name][3]
    for b in range(golden.samples):
        result = network.train_step(
            golden.batch(slice(b, b + 1)), golden.rule(b + 1), golden["sample_weight"][b : b + 1]
        )
        np.testing.assert_array_equal(result.counts[0], golden["count_seq"][b])
        for n, layer in enumerate(network.layers, 1):
            grad = np.abs(golden[f"grad_data_{n}"] + golden[f"grad_reg_{n}"]).min(axis=0)
            firm = grad > (1e-4 if ops.dtype == np.float32 else 0)
            off = np.abs(ops.state(layer.weights).weight - golden[f"weight_after_seq_{n}"][b])[firm]
            assert off.max() <= sequence


def test_window_of_256_steps_against_none(ops: Backend) -> None:
    golden = Golden.load("dense_rate_nowindow")
    golden.meta["psp_window"] = 256
    pre = golden["input"]
    for n in range(1, golden.depth + 1):
        post = golden["output_filled"] if n == golden.depth else golden[f"spikes_{n}"]
        e = ops.psp(spikes_of(ops, pre), spikes_of(ops, post), golden.neuron(n), golden.psp())
        assert_share(
            ops.to_host(e), golden[f"window256_psp_{n}"], TOLERANCE[ops.dtype.name][0], f"window256_psp_{n}"
        )
        pre = golden[f"spikes_{n}"]


@pytest.mark.parametrize(("prefix", "slack"), [("", 1e-6), ("conv_", 0.0)])
def test_neuron(ops: Backend, prefix: str, slack: float) -> None:
    with np.load(FIXTURES / "neuron.npz") as f:
        trace = ops.lif(f["drive"], NeuronParams(8.0, slack=slack))
        np.testing.assert_array_equal(trace.spikes, f[f"{prefix}spikes"].astype(bool))
        near = 1e-12 if ops.dtype == np.float64 else 1e-3
        np.testing.assert_allclose(trace.membrane, f[f"{prefix}membrane"], rtol=0, atol=near)
        np.testing.assert_allclose(trace.current, f["current"], rtol=0, atol=near)


def test_boost() -> None:
    with np.load(FIXTURES / "boost.npz") as f:
        q = f["sample_weight"][0]
        for epoch, counts in enumerate(f["counts"]):
            predicted = predict(counts)
            np.testing.assert_array_equal(predicted, f["predicted"][epoch])
            q = boosted_weights(q, f["labels"], predicted, counts.shape[1])
            np.testing.assert_allclose(q, f["sample_weight"][epoch + 1], rtol=1e-14)
