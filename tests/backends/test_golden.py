"""Every recorded network, dense and convolutional, on every backend: spikes exactly, the rest within tolerances."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spikeprep.backend import Backend, ErrorSignal
from spikeprep.data import NeuronParams
from spikeprep.train.layers import LayerKind
from spikeprep.train.layers.conv import Conv
from spikeprep.train.layers.dense import Dense
from spikeprep.train.layers.pool import Pool
from spikeprep.train.metrics import predict
from spikeprep.train.rules.hm2bp import filled_output, lateral_factor
from spikeprep.train.rules.loss import count_error
from spikeprep.train.sample_weights import boosted_weights

from .backends import BACKENDS, FAST, backend
from .golden import CONV, DENSE, FIXTURES, Golden, spikes_of
from .networks import gradients, optimiser, step_all, values

# shares of the array's largest value: (psp, gate, γ, errors), (σ, gradients);
# then absolute, of weights: (after one step, in sequence)
TOLERANCE = {"float64": (1e-10, 1e-10, 1e-12, 1e-11), "float32": (1e-5, 2e-5, 2e-6, 5e-6)}


@pytest.fixture(params=BACKENDS)
def device(request: pytest.FixtureRequest) -> Backend:
    return backend(request.param)


# whether layers come from the backend's table, or are composed; the reference has no table
WAYS = [(name, fused) for name in BACKENDS for fused in ((True, False) if name in FAST else (False,))]
each_way = pytest.mark.parametrize(
    ("device", "fused"),
    WAYS,
    ids=[f"{name}-{'fused' if fused else 'composed'}" for name, fused in WAYS],
    indirect=["device"],
)


@pytest.fixture(params=DENSE + CONV)
def golden(request: pytest.FixtureRequest) -> Golden:
    return Golden.load(request.param)


def assert_share(got: np.ndarray, want: np.ndarray, share: float, what: str) -> None:
    got = np.asarray(got, float)
    worst = np.abs(got - want).max() / max(np.abs(want).max(), 1e-300) if np.any(want) else np.abs(got).max()
    assert worst <= share, f"{what}: off by {worst:.2g} of the largest value, {share:.2g} allowed"


@each_way
def test_spikes_counts_and_predictions(golden: Golden, device: Backend, fused: bool) -> None:
    spikes = golden.network(device, fused=fused).forward(golden.batch())
    for n in range(1, golden.depth + 1):
        want = golden[f"spikes_{n}"].reshape(golden.samples, golden["input"].shape[1], -1)
        counts = golden[f"count_{n}"].reshape(golden.samples, -1)
        np.testing.assert_array_equal(device.unpack(spikes[n]), want.astype(bool))
        np.testing.assert_array_equal(device.to_host(device.counts(spikes[n])), counts)
    np.testing.assert_array_equal(predict(device.to_host(device.counts(spikes[-1]))), golden["predicted"])


def test_output_error(golden: Golden, device: Backend) -> None:
    loose = TOLERANCE[device.dtype.name][0]
    output, labels, rule = golden.network(device).forward(golden.batch())[-1], golden["labels"], golden.rule()
    error, _ = count_error(device, device.counts(output), labels, rule.loss)
    assert_share(device.to_host(error), golden["error"], loose, "error")
    constants = rule.constants(golden.depth - 1, golden.depth)
    gamma = lateral_factor(device, output, labels, constants, rule.loss.lateral_limit)
    gamma = np.ones_like(golden["gamma"]) if gamma is None else device.to_host(gamma)
    assert_share(gamma, golden["gamma"], loose, "gamma")
    filled = filled_output(device, output, labels, rule.loss)
    np.testing.assert_array_equal(device.unpack(filled), golden["output_filled"].astype(bool))
    np.testing.assert_array_equal(device.to_host(device.counts(filled)), golden["output_filled_count"])


def test_psp(golden: Golden, device: Backend) -> None:
    pre = golden["input"]
    for n, layer in enumerate(golden.layers(), 1):
        post = golden["output_filled"] if n == golden.depth else golden[f"spikes_{n}"]
        # the reference computes each of a convolution's pairs on its own, connected or not: one sample of them
        few = slice(1) if isinstance(layer, Conv) and device is backend("reference") else slice(None)
        trains = (spikes_of(device, spikes[few]) for spikes in (pre, post))
        e = device.psp(*trains, golden.neuron(n), golden.psp())
        found = of_connected_pairs(device.to_host(e), layer)
        assert_share(found, golden[f"psp_{n}"][few], TOLERANCE[device.dtype.name][0], f"psp_{n}")
        pre = golden[f"spikes_{n}"]


def of_connected_pairs(e: np.ndarray, layer: LayerKind) -> np.ndarray:
    """Return e (sample, post, pre) as the files have it: of the pairs that a convolution or a pool connects."""
    if isinstance(layer, Dense):
        return e
    e = e.reshape(len(e), *layer.out_shape, *layer.in_shape)
    if isinstance(layer, Pool):
        channels, rows, columns = layer.in_shape
        own = np.ix_(range(channels), range(rows // 2 * 2), range(columns // 2 * 2))
        return e[:, own[0], own[1] // 2, own[2] // 2, *own]
    assert isinstance(layer, Conv)
    o, c, a, b, y, x = np.ogrid[
        tuple(map(slice, (layer.out_shape[0], *layer.specs()["weight"].shape[1:], *layer.places)))
    ]
    return e[:, o, y, x, c, y + a, x + b]


@each_way
def test_error_sent_back(golden: Golden, device: Backend, fused: bool) -> None:
    network = golden.network(device, fused=fused)
    trains = network.forward(golden.batch())
    trains[-1] = spikes_of(device, golden["output_filled"])
    for n in range(golden.depth, 1, -1):
        error, sent = (golden[f"incoming_{m}"].reshape(golden.samples, -1) for m in (n, n - 1))
        scale = golden["gamma"] if n == golden.depth else np.ones_like(error)
        signal = ErrorSignal(*(device.array(a.astype(device.dtype)) for a in (error, scale)))
        constants = network.rule.constants(n - 1, golden.depth)
        got = network.devices[n - 1].backward(trains[n - 1], trains[n], signal, constants, True)
        assert_share(device.to_host(got), sent, TOLERANCE[device.dtype.name][0], f"incoming_{n - 1}")


def test_gate(device: Backend) -> None:
    golden = Golden.load("dense_rate")
    for n in range(1, golden.depth + 1):
        post = golden["output_filled"] if n == golden.depth else golden[f"spikes_{n}"]
        gates = device.gate(spikes_of(device, post), golden.neuron(n), golden.psp())
        assert_share(device.to_host(gates), golden[f"gate_{n}"], TOLERANCE[device.dtype.name][0], f"gate_{n}")


def firm_entries(gradient: np.ndarray, device: Backend) -> np.ndarray:
    """Return where a first Adam step, ± lr, has a sure sign: a float32 difference of large terms may turn it."""
    return np.abs(gradient) > (1e-4 if device.dtype == np.float32 else 0)


@each_way
def test_gradient_and_step_of_each_sample(golden: Golden, device: Backend, fused: bool) -> None:
    _, tight, once, _ = TOLERANCE[device.dtype.name]
    for b in range(golden.samples):
        network = golden.network(device, fused=fused)
        batch = golden.batch(slice(b, b + 1))
        network.backward(network.forward(batch), batch.labels, golden["sample_weight"][b : b + 1])
        for n, gradient in zip(golden.trained, gradients(network), strict=True):
            assert_share(gradient, golden[f"grad_data_{n}"][b], tight, f"grad_data_{n}[{b}]")
        step_all(network, 1, golden.step())
        for n, value in zip(golden.trained, values(network), strict=True):
            firm = firm_entries(golden[f"grad_data_{n}"][b] + golden[f"grad_reg_{n}"], device)
            assert np.abs(value - golden[f"weight_after_{n}"][b])[firm].max() <= once


@each_way
def test_gradient_and_step_of_the_batch(golden: Golden, device: Backend, fused: bool) -> None:
    _, tight, once, _ = TOLERANCE[device.dtype.name]
    network, batch = golden.network(device, fused=fused), golden.batch()
    network.backward(network.forward(batch), batch.labels, golden["sample_weight"])
    for n, gradient in zip(golden.trained, gradients(network), strict=True):
        mean, reg = gradient / golden.samples, golden[f"grad_reg_{n}"]
        assert_share(mean + reg, golden[f"grad_batch_{n}"], tight, f"grad_batch_{n}")
    step_all(network, golden.samples, golden.step())
    for n, value in zip(golden.trained, values(network), strict=True):
        firm = firm_entries(golden[f"grad_batch_{n}"], device)
        assert np.abs(value - golden[f"weight_after_batch_{n}"])[firm].max() <= once


@each_way
def test_regularisation_alone(golden: Golden, device: Backend, fused: bool) -> None:
    network, step = golden.network(device, fused=fused), golden.step()
    before = [value.astype(float) for value in values(network)]
    step_all(network, 1, replace(step, kind="sgd", rate=1.0, beta1=0.0))
    for n, value, old in zip(golden.trained, values(network), before, strict=True):
        share = 2e-5 if device.dtype == np.float32 else 1e-10
        assert_share(old - value, golden[f"grad_reg_{n}"], share, f"grad_reg_{n}")


@each_way
def test_sequence_of_steps(golden: Golden, device: Backend, fused: bool) -> None:
    network, settings = golden.network(device, fused=fused), optimiser(golden.step())
    sequence = TOLERANCE[device.dtype.name][3]
    for b in range(golden.samples):
        batch, weight = golden.batch(slice(b, b + 1)), golden["sample_weight"][b : b + 1]
        result = network.train_step(batch, settings, b + 1, settings.rate, sample_weight=weight)
        np.testing.assert_array_equal(result.counts[0], golden["count_seq"][b])
        for n, value in zip(golden.trained, values(network), strict=True):
            slopes = np.abs(golden[f"grad_data_{n}"] + golden[f"grad_reg_{n}"]).min(axis=0)
            firm = firm_entries(slopes, device)
            assert np.abs(value - golden[f"weight_after_seq_{n}"][b])[firm].max() <= sequence


def test_window_of_256_steps_against_none(device: Backend) -> None:
    golden = Golden.load("dense_rate_nowindow")
    golden.meta["psp_window"] = 256
    pre = golden["input"]
    for n in range(1, golden.depth + 1):
        post = golden["output_filled"] if n == golden.depth else golden[f"spikes_{n}"]
        e = device.psp(spikes_of(device, pre), spikes_of(device, post), golden.neuron(n), golden.psp())
        assert_share(
            device.to_host(e),
            golden[f"window256_psp_{n}"],
            TOLERANCE[device.dtype.name][0],
            f"window256_psp_{n}",
        )
        pre = golden[f"spikes_{n}"]


@pytest.mark.parametrize(("prefix", "slack"), [("", 1e-6), ("conv_", 0.0)])
def test_neuron(device: Backend, prefix: str, slack: float) -> None:
    with np.load(FIXTURES / "neuron.npz") as f:
        trace = device.trace_neurons(f["drive"], NeuronParams(8.0, slack=slack))
        np.testing.assert_array_equal(trace.spikes, f[f"{prefix}spikes"].astype(bool))
        near = 1e-12 if device.dtype == np.float64 else 1e-3
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
