"""The rule of Lee et al. 2016 on every backend: neurons step by step, gradients synapse by synapse, fused layers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spikeprep.backend import ArraySpec, Backend, ErrorSignal, OptimiserStep, ParameterState
from spikeprep.cpu.backend import CpuBackend
from spikeprep.data import Lee2016Constants, SoftResetParams
from spikeprep.errors import PluginError, UsageError
from spikeprep.testing import check_rule
from spikeprep.train.layers.dense import Dense
from spikeprep.train.layers.pool import Pool
from spikeprep.train.network import Network, build_network
from spikeprep.train.optimiser import OptimiserSettings
from spikeprep.train.rules.lee2016 import Lee2016

from ..strategies import Case, LayersCase, cases, spatial_cases
from .backends import BACKENDS, DOUBLE, FAST, backend

REFERENCE = backend("reference")
WAYS = [(name, fused) for name in FAST for fused in (True, False)]


def network_of(device: Backend, case: Case, rule: Lee2016, *, fused: bool = True) -> Network:
    """Return a case's network; thresholds differ from neuron to neuron, all multiples of 1/8."""
    layers = [Dense((w.shape[1],), w.shape[0]) for w in case.weights]
    states = []
    for weight in case.weights:
        least = math.ceil(8 * math.sqrt(3 / weight.shape[1]))
        thresholds = (least + np.arange(len(weight)) % 40) / 8
        states.append(
            {
                "weight": ParameterState.fresh(weight),
                "threshold": ParameterState.fresh(thresholds.astype(np.float32)),
            }
        )
    return build_network(device, rule, layers, states, fused=fused)


def run_neurons(
    drive: np.ndarray, thresholds: np.ndarray, neuron: SoftResetParams
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return spikes (time, unit), the last membranes and the nearest approach to a threshold, neuron by neuron."""
    steps, units = drive.shape
    spikes, v, nearest = np.zeros((steps, units), bool), [0.0] * units, math.inf
    last = [-math.inf] * units
    for t in range(steps):
        for i in range(units):
            arriving = drive[t, i]
            if neuron.refractory > 1 and t - last[i] < neuron.refractory:
                arriving *= ((t - last[i]) / neuron.refractory) ** 2
            v[i] = v[i] * math.exp(-1 / neuron.tau) + arriving
            nearest = min(nearest, abs(v[i] - thresholds[i]))
            spikes[t, i] = v[i] >= thresholds[i]
        for i in range(units):
            if spikes[t, i]:
                v[i] -= thresholds[i]
                last[i] = t
            v[i] -= neuron.lateral * thresholds[i] * (spikes[t].sum() - spikes[t, i])
    return spikes, np.array(v), nearest


NEURONS = [
    SoftResetParams(20.0),
    SoftResetParams(3.0, refractory=0.0),
    SoftResetParams(50.0, refractory=3.0),
    SoftResetParams(50.0, refractory=2.5, lateral=0.25),
    SoftResetParams(200.0, lateral=1.0),
]


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("units", [1, 5, 40])
def test_neurons_step_by_step(name: str, neuron: SoftResetParams, units: int) -> None:
    rng, device = np.random.default_rng(units), backend(name)
    drive, thresholds = rng.normal(0.3, 1, (3, 60, units)), rng.uniform(0.5, 3, units)
    drive, thresholds = (a.astype(np.float32).astype(float) for a in (drive, thresholds))
    steps = np.array([60, 37, 0])
    real = device.dtype
    got = device.unpack(
        device.simulate_soft_reset(
            device.array(drive.astype(real)), steps, device.array(thresholds.astype(real)), neuron
        )
    )
    for b, length in enumerate(steps):
        want, _, nearest = run_neurons(drive[b, :length], thresholds, neuron)
        assert nearest > 1e-5
        np.testing.assert_array_equal(got[b, :length], want)
        assert not got[b, length:].any()


@pytest.mark.parametrize("lateral", [0.0, 0.3])
def test_the_last_membrane_is_linear_in_the_traces(lateral: float) -> None:
    """V = W x − V_th a − κ V_th Σ_{j≠i} a_j: what the gradient is derived from."""
    rng, neuron = np.random.default_rng(0), SoftResetParams(30.0, lateral=lateral)
    weight, thresholds = rng.normal(0, 1, (6, 20)), rng.uniform(0.5, 3, 6)
    pre = rng.random((80, 20)) < 0.1
    spikes, v, _ = run_neurons(pre @ weight.T, thresholds, neuron)
    decay = np.exp(-np.arange(79, -1, -1) / neuron.tau)
    x, a = decay @ pre, decay @ spikes
    assert spikes.sum() > 50
    np.testing.assert_allclose(
        v, weight @ x - thresholds * a - lateral * thresholds * (a.sum() - a), atol=1e-9
    )


@pytest.mark.parametrize("inhibition", [0.0, (0.25, 0.5)])
def test_conformance(inhibition: float | tuple[float, ...]) -> None:
    rule = Lee2016(tau=20.0, refractory=2.0, alpha=4.0, inhibition=inhibition, balance=0.1)
    check_rule(rule, [backend(name) for name in DOUBLE])


# ---------------------------------------------------------------- parity


def margin(case: Case, rule: Lee2016) -> float:
    """Return the smallest distance of any membrane of the case to its threshold."""
    network = network_of(REFERENCE, case, rule)
    spikes, nearest = network.forward(case.batch), math.inf
    for n, (pre, state) in enumerate(zip(spikes[:-1], network.states(), strict=True)):
        for dense, steps in zip(pre.dense, pre.steps, strict=True):  # type: ignore[attr-defined]
            neuron = rule.constants(n, len(case.weights)).neuron
            drive = dense[:steps] @ case.weights[n].T.astype(float)
            nearest = min(nearest, run_neurons(drive, state["threshold"].value, neuron)[2])
    return nearest


def of_all(network: Network) -> dict[str, np.ndarray]:
    """Return the gradient of every array."""
    return {
        f"{n} {name}": parameter.gradient()
        for n, layer in enumerate(network.devices)
        for name, parameter in layer.parameters.items()
    }


@pytest.mark.parametrize(("name", "fused"), WAYS)
@settings(max_examples=15, deadline=None)
@given(
    case=cases(most_steps=80),
    tau=st.sampled_from([5.0, 50.0, 1000.0]),
    refractory=st.sampled_from([1.0, 2.5]),
    inhibition=st.sampled_from([0.0, 0.5, 2.0]),
    balance=st.sampled_from([0.0, 0.5]),
)
def test_spikes_and_gradients(
    name: str, fused: bool, case: Case, tau: float, refractory: float, inhibition: float, balance: float
) -> None:
    device, allowed = backend(name), 1e-10 if name in DOUBLE else 1e-4
    rule = Lee2016(tau, refractory, inhibition=inhibition, efficacy=0.5, balance=balance)
    assume(margin(case, rule) > (1e-9 if name in DOUBLE else 1e-3))
    want, got = network_of(REFERENCE, case, rule), network_of(device, case, rule, fused=fused)
    spikes = want.forward(case.batch), got.forward(case.batch)
    for a, b in zip(*spikes, strict=True):
        np.testing.assert_array_equal(REFERENCE.unpack(a), device.unpack(b))
    weight = np.linspace(1, 2, len(case.batch))
    losses = [n.backward(s, case.batch.labels, weight) for n, s in zip((want, got), spikes, strict=True)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5, atol=1e-5)
    exact, gradients = of_all(want), of_all(got)
    assert set(exact) == set(gradients)
    for key, value in exact.items():
        off = np.abs(gradients[key] - value).max(initial=0)
        assert off <= allowed * max(np.abs(value).max(initial=0), 1e-2), key


@pytest.mark.parametrize("name", [*FAST])
@settings(max_examples=12, deadline=None)
@given(case=spatial_cases(most_steps=60), inhibition=st.sampled_from([0.0, 0.25]))
def test_convolutions_and_pools(name: str, case: LayersCase, inhibition: float) -> None:
    """Composed layers of every kind, behind each other; the output layer is fused where a backend has it so."""
    device, allowed = backend(name), 1e-10 if name in DOUBLE else 1e-4
    rule, networks = Lee2016(30.0, inhibition=inhibition, balance=0.1), []
    states = []
    for n, (layer, arrays) in enumerate(zip(case.layers, case.arrays, strict=True)):
        thresholds = rule.initial(layer, n, arrays)
        states.append({k: ParameterState.fresh(a) for k, a in {**thresholds, **arrays}.items()})
    for place in (REFERENCE, device):
        networks.append(build_network(place, rule, case.layers, states))
    spikes = [network.forward(case.batch) for network in networks]
    same = [np.array_equal(REFERENCE.unpack(a), device.unpack(b)) for a, b in zip(*spikes, strict=True)]
    assume(name in DOUBLE or all(same))  # a membrane may be nearer to its threshold than float32 resolves
    assert all(same)
    for network, trains in zip(networks, spikes, strict=True):
        network.backward(trains, case.batch.labels)
    exact, gradients = map(of_all, networks)
    for key, value in exact.items():
        off = np.abs(gradients[key] - value).max(initial=0)
        assert off <= allowed * max(np.abs(value).max(initial=0), 1e-2), key


def test_a_pool_fires_as_often_as_its_inputs_do_in_the_mean() -> None:
    layer = Pool((1, 2, 2), (2, 2), (2, 2))
    network = build_network(REFERENCE, Lee2016(tau=1e6), [layer], [{}])
    trains = np.random.default_rng(0).random((200, 4)) < 0.3
    counts = network.counts(_batch(trains))
    assert counts[0, 0] == pytest.approx(trains.sum() / 4, abs=1)
    assert network.devices[0].parameters == {}


# ---------------------------------------------------------------- gradients synapse by synapse


def by_hand(
    weight: np.ndarray,
    thresholds: np.ndarray,
    pre: np.ndarray,
    post: np.ndarray,
    error: np.ndarray,
    constants: Lee2016Constants,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the gradients of weights and thresholds and the error sent back, of one sample, in loops."""
    n, m = weight.shape
    steps, neuron = len(pre), constants.neuron
    x = [sum(math.exp(-(steps - 1 - t) / neuron.tau) for t in np.flatnonzero(pre[:, j])) for j in range(m)]
    a = [sum(math.exp(-(steps - 1 - t) / neuron.tau) for t in np.flatnonzero(post[:, i])) for i in range(n)]
    fired = [bool(post[:, i].any()) for i in range(n)]
    delta = list(error)
    if not constants.output:
        rms = math.sqrt(sum(1 / thresholds[i] ** 2 for i in range(n) if fired[i]) / max(sum(fired), 1))
        for i in range(n):
            gain = 1 / thresholds[i] / rms * math.sqrt(n / sum(fired)) if fired[i] else 0.0
            delta[i] *= gain
    active = max(sum(bool(pre[:, j].any()) for j in range(m)), 1)
    by_weight, by_threshold, sent = np.zeros((n, m)), np.zeros(n), np.zeros(m)
    for i in range(n):
        change = -a[i] - constants.efficacy * neuron.lateral * sum(a[j] for j in range(n) if j != i)
        by_threshold[i] = math.sqrt(n / (active * m)) * delta[i] * change
        by_threshold[i] -= constants.balance * (fired[i] - max(sum(fired), 1) / n)
        for j in range(m):
            by_weight[i, j] = math.sqrt(n / active) * delta[i] * x[j]
            sent[j] += weight[i, j] * delta[i]
    return by_weight, by_threshold, sent


@settings(max_examples=15, deadline=None)
@given(case=cases(layers=2, most_steps=60), output=st.booleans(), balance=st.sampled_from([0.0, 0.5]))
def test_a_layer_s_gradient_and_error_synapse_by_synapse(case: Case, output: bool, balance: float) -> None:
    rule = Lee2016(30.0, inhibition=0.25, efficacy=0.5, balance=balance)
    assume(margin(case, rule) > 1e-3)
    constants = replace(rule.constants(0, 2), output=output)
    want = network_of(REFERENCE, case, rule)
    pre, post = (REFERENCE.unpack(s) for s in want.forward(case.batch)[:2])
    error = np.random.default_rng(0).normal(size=(len(case.batch), len(case.weights[0])))
    thresholds = want.states()[0]["threshold"].value
    expected = [
        by_hand(
            case.weights[0].astype(float), thresholds, pre[b, :steps], post[b, :steps], error[b], constants
        )
        for b, steps in enumerate(case.batch.steps)
    ]
    sums = sum(e[0] for e in expected), sum(e[1] for e in expected), np.stack([e[2] for e in expected])
    for name, fused in [("reference", False), *WAYS]:
        device = backend(name)
        network = network_of(device, case, rule, fused=fused)
        trains = network.forward(case.batch)[:2]
        signal = ErrorSignal(device.array(error.astype(device.dtype)))
        sent = network.devices[0].backward(*trains, signal, constants, True)
        parameters = network.devices[0].parameters
        results = parameters["weight"].gradient(), parameters["threshold"].gradient(), device.to_host(sent)
        tight = 1e-10 if device.dtype == np.float64 else 1e-4
        for got, exact in zip(results, sums, strict=True):
            assert np.abs(got - exact).max(initial=0) <= tight * max(np.abs(exact).max(initial=0), 1e-2)
        assert network.devices[0].backward(*trains, signal, constants, False) is None


# ---------------------------------------------------------------- updates, settings


@settings(max_examples=10, deadline=None)
@given(case=cases(most_steps=60), fused=st.booleans(), inhibition=st.sampled_from([0.0, 0.5]))
def test_threads_change_nothing(case: Case, fused: bool, inhibition: float) -> None:
    rule, found = Lee2016(30.0, inhibition=inhibition), []
    for threads in (1, 2, 5):
        network = network_of(CpuBackend(np.float32, threads), case, rule, fused=fused)
        for step in (1, 2):
            network.train_step(case.batch, OptimiserSettings(), step, 0.01)
        found.append(
            [
                a.tobytes()
                for state in network.states()
                for p in state.values()
                for a in (p.value, p.moment, p.variance)
            ]
        )
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_weights_are_regularised_as_published(fused: bool, scale: float) -> None:
    """½ λ s² Σ_i exp(β (Σ_j (w_ij/s)² − 1)), whose derivative is what SGD without data takes."""
    rng = np.random.default_rng(0)
    weight, rule = rng.uniform(-0.3, 0.3, (5, 12)), Lee2016()
    layer = Dense((12,), 5)
    states = [
        {name: ParameterState.fresh(a) for name, a in rule.initial(layer, 0, {"weight": weight}).items()}
    ]
    states[0]["weight"] = ParameterState.fresh(weight)
    network = build_network(CpuBackend(np.float64), rule, [layer], states, fused=fused)
    plain = OptimiserStep("sgd", 1.0, 1, beta1=0.0, strength=0.01, steepness=10.0, scale=scale)
    for name, parameter in network.devices[0].parameters.items():
        parameter.update(1, rule.step(layer, name, plain))
    after = network.states()[0]

    def penalty(w: np.ndarray) -> float:
        return float(0.5 * 0.01 * scale**2 * np.exp(10 * ((w / scale) ** 2).sum(axis=1) - 10).sum())

    for i, j in np.ndindex(weight.shape):
        move = np.zeros_like(weight)
        move[i, j] = 1e-6
        slope = (penalty(weight + move) - penalty(weight - move)) / 2e-6
        assert after["weight"].value[i, j] == pytest.approx(weight[i, j] - slope, abs=1e-8)
    np.testing.assert_array_equal(after["threshold"].value, states[0]["threshold"].value)


def test_thresholds_have_a_rate_of_their_own() -> None:
    rule, layer = Lee2016(threshold_rate=0.2), Dense((12,), 5)
    step = OptimiserStep("adam", 0.01, 1, strength=0.5)
    assert rule.step(layer, "threshold", step) == replace(step, rate=0.2 * 0.01, strength=0.0)
    assert rule.step(layer, "weight", step).rate == 0.01


def test_initial_arrays() -> None:
    layer, rule = Dense((300,), 5), Lee2016(alpha=(3.0, 5.0))
    weight = np.random.default_rng(0).uniform(-1, 1, (5, 300)).astype(np.float32)
    arrays = rule.initial(layer, 1, {"weight": weight})
    np.testing.assert_allclose(arrays["weight"], weight * 0.1, rtol=1e-6)
    np.testing.assert_allclose(arrays["threshold"], np.full(5, 0.5), rtol=1e-6)


@pytest.mark.parametrize("fused", [True, False])
def test_a_threshold_that_falls_below_the_largest_initial_weight_is_not_used(fused: bool) -> None:
    """Else a neuron would fire in every step, or at a threshold of 0 without input."""
    layer = Dense((3,), 1)
    state = {
        "weight": ParameterState.fresh(np.full((1, 3), 0.51)),
        "threshold": ParameterState.fresh(np.full(1, -4.0)),
    }
    network = build_network(CpuBackend(np.float64), Lee2016(tau=1e6), [layer], [state], fused=fused)
    case = Case(
        batch=_batch(np.array([[1, 0, 0], [1, 0, 0], [0, 0, 0], [1, 0, 0]], bool)), weights=(), neurons=()
    )
    # thresholds of √(3/3) = 1: the second spike of weight 0.51 makes one
    np.testing.assert_array_equal(
        network.backend.unpack(network.forward(case.batch)[1])[0, :, 0], [False, True, False, False]
    )


def _batch(spikes: np.ndarray):  # type: ignore[no-untyped-def]
    from spikeprep.data import PackedBatch
    from spikeprep.packing import pack

    one = np.zeros(1, np.int32)
    return PackedBatch(pack(spikes[None]), np.array([len(spikes)], np.uint32), one, one.astype(np.int64))


@dataclass(frozen=True)
class Twice(Dense):
    """A layer kind whose array is called as the rule's."""

    def specs(self):  # type: ignore[no-untyped-def]
        return {"threshold": ArraySpec((self.units_out,))}


def test_an_array_that_both_call_by_one_name() -> None:
    layer = Twice((3,), 1)
    with pytest.raises(PluginError, match="both train an array called 'threshold'"):
        build_network(REFERENCE, Lee2016(), [layer], [{}])


@pytest.mark.parametrize("settings", [{"alpha": (1.0, 2.0, 3.0)}, {"inhibition": (0.0,)}])
def test_settings_of_the_wrong_number(settings: dict[str, tuple[float, ...]]) -> None:
    with pytest.raises(UsageError, match="one for each hidden layer"):
        Lee2016(**settings).check_layers(2)  # type: ignore[arg-type]
