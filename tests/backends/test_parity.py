"""Every fast backend against the reference on random networks: equal spikes, gradients within rounding."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spikeprep.backend import Backend, ErrorSignal
from spikeprep.cpu.backend import CpuBackend
from spikeprep.data import NeuronParams, PackedBatch
from spikeprep.reference.neurons import simulate
from spikeprep.train.network import Network
from spikeprep.train.optimiser import OptimiserSettings, RegularisationSettings
from spikeprep.train.rules.hm2bp import Hm2bp, NeuronSettings, PspSettings
from spikeprep.train.rules.loss import LossSettings

from ..strategies import Case, cases
from .backends import DOUBLE, FAST, backend
from .networks import assert_alike, dense_network, gradients, pair_terms

REFERENCE = backend("reference")
WAYS = [(name, fused) for name in FAST for fused in (True, False)]


def rule(
    case: Case,
    loss: LossSettings | None = None,
    window: int | None = 256,
    lateral: float = 0.0,
    gain_floor: float | None = None,
) -> Hm2bp:
    """Return the rule with the thresholds and the refractory time of a case."""
    thresholds = tuple(neuron.threshold for neuron in case.neurons)
    neuron = NeuronSettings(refractory=case.neurons[0].refractory)
    return Hm2bp(thresholds, lateral, gain_floor, neuron, PspSettings(window), loss or LossSettings())


def margin(case: Case, lateral: float) -> float:
    """Return the smallest distance of any membrane of the case to its threshold."""
    network = dense_network(REFERENCE, case.weights, rule(case, lateral=lateral))
    spikes = network.forward(case.batch)
    nearest = math.inf
    for n, pre in enumerate(spikes[:-1]):
        constants = network.rule.constants(n, len(case.weights))
        for dense, steps in zip(pre.dense, pre.steps, strict=True):  # type: ignore[attr-defined]
            drive = dense[:steps] @ case.weights[n].T.astype(float)
            membrane = simulate(drive, constants.neuron, constants.lateral).membrane
            near = np.abs(membrane - constants.neuron.threshold).min(initial=math.inf)
            nearest = min(nearest, float(near))
    return nearest


LOSSES = [LossSettings(), LossSettings("softmax"), LossSettings(margin=0, fill=False)]


@pytest.mark.parametrize(("name", "fused"), WAYS)
@settings(max_examples=20, deadline=None)
@given(
    case=cases(),
    loss=st.sampled_from(LOSSES),
    window=st.sampled_from([None, 256, 40, 5, 100]),
    lateral=st.sampled_from([0.0, 0.5, 1.0]),
    gain_floor=st.sampled_from([None, 0.1, 1.0]),
)
def test_spikes_and_gradients(
    name: str,
    fused: bool,
    case: Case,
    loss: LossSettings,
    window: int | None,
    lateral: float,
    gain_floor: float | None,
) -> None:
    """Every entry of every backend's table, and every composition, against the reference."""
    device, allowed = backend(name), 1e-10 if name in DOUBLE else 1e-4
    # where a membrane comes this near to its threshold, float32 may fire a step sooner or later
    assume(name in DOUBLE or margin(case, lateral) > 1e-3)
    hm2bp = rule(case, loss, window, lateral, gain_floor)
    want = dense_network(REFERENCE, case.weights, hm2bp)
    got = dense_network(device, case.weights, hm2bp, fused=fused)
    assert_alike(want, got, case.batch, allowed)


def pair_backward(
    case: Case, hm2bp: Hm2bp, pre: np.ndarray, post: np.ndarray, delta: np.ndarray, scale: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return gradient (post, pre) and error sent back (sample, pre) by eq. 17 and 22 to 24, pair of spikes by pair."""
    w, constants = case.weights[0].astype(float), hm2bp.constants(0, len(case.weights))
    gradient, sent = np.zeros(w.shape), np.zeros((len(pre), w.shape[1]))
    for b in range(len(pre)):
        e, gain, ratio = pair_terms(w, constants, pre[b], post[b])
        gradient += (delta[b] * scale[b] * gain)[:, None] * e
        sent[b] = delta[b] @ (w * ratio)
    return gradient, sent


@settings(max_examples=10, deadline=None)
@given(
    case=cases(layers=3),
    window=st.sampled_from([None, 256, 30]),
    gain_floor=st.sampled_from([None, 0.5]),
)
def test_a_layer_s_gradient_and_error_are_those_of_the_pairs(
    case: Case, window: int | None, gain_floor: float | None
) -> None:
    """`backward` of a single layer against the sum over pairs of spikes, every special case of ρ among them."""
    assume(margin(case, 0.0) > 1e-3)
    rng, hm2bp = np.random.default_rng(0), rule(case, window=window, gain_floor=gain_floor)
    constants = hm2bp.constants(0, len(case.weights))
    delta = rng.normal(size=(len(case.batch), case.weights[0].shape[0]))
    scale = rng.uniform(0.5, 2, delta.shape)
    pre, post = (
        REFERENCE.unpack(s) for s in dense_network(REFERENCE, case.weights, hm2bp).forward(case.batch)[:2]
    )
    exact = pair_backward(case, hm2bp, pre, post, delta, scale)
    for name, fused in [("reference", False), *WAYS]:
        device = backend(name)
        network = dense_network(device, case.weights, hm2bp, fused=fused)
        trains = network.forward(case.batch)[:2]
        error = device.array((delta * constants.neuron.threshold).astype(device.dtype))
        signal = ErrorSignal(error, device.array(scale.astype(device.dtype)))
        sent = network.devices[0].backward(*trains, signal, constants, True)
        results = gradients(network)[0], device.to_host(sent)
        assert network.devices[0].backward(*trains, signal, constants, False) is None
        tight = 1e-10 if device.dtype == np.float64 else 1e-4
        for got, want in zip(results, exact, strict=True):
            assert np.abs(got - want).max(initial=0) <= tight * max(np.abs(want).max(initial=0), 1e-6)


def stepped(device: Backend, case: Case, steps: int, kind: str = "adam", fused: bool = True) -> Network:
    """Return a case's network after some optimiser steps."""
    network = dense_network(device, case.weights, rule(case, lateral=1.0), fused=fused)
    optimiser = OptimiserSettings(kind, 0.01, regularisation=RegularisationSettings(0.1))  # type: ignore[arg-type]
    for step in range(1, steps + 1):
        network.train_step(case.batch, optimiser, step, 0.01)
    return network


@settings(max_examples=10, deadline=None)
@given(case=cases(), fused=st.booleans())
def test_threads_change_nothing(case: Case, fused: bool) -> None:
    states = [
        stepped(CpuBackend(np.float32, threads), case, 2, fused=fused).states() for threads in (1, 2, 5)
    ]
    for other in states[1:]:
        for a, b in zip(states[0], other, strict=True):
            for name in ("value", "moment", "variance"):
                assert getattr(a["weight"], name).tobytes() == getattr(b["weight"], name).tobytes()


@settings(max_examples=6, deadline=None)
@given(case=cases(most_steps=80))
def test_padding_changes_nothing(case: Case) -> None:
    """A batch padded by more bytes gives equal spikes and gradients, each of its samples alone equal spikes."""
    longer = np.concatenate([case.batch.bits, np.zeros((*case.batch.bits.shape[:2], 3), np.uint8)], axis=2)
    padded = PackedBatch(longer, case.batch.steps, case.batch.labels, case.batch.index)
    for device in map(backend, DOUBLE):
        plain, wide = (dense_network(device, case.weights, rule(case, lateral=1.0)) for _ in range(2))
        plain.backward(plain.forward(case.batch), case.batch.labels)
        wide.backward(wide.forward(padded), case.batch.labels)
        for a, b in zip(gradients(plain), gradients(wide), strict=True):
            np.testing.assert_array_equal(a, b)
        for b in range(len(case.batch)):
            arrays = (case.batch.bits, case.batch.steps, case.batch.labels, case.batch.index)
            alone = PackedBatch(*(a[b : b + 1] for a in arrays))
            np.testing.assert_array_equal(plain.counts(alone)[0], plain.counts(case.batch)[b])


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_updates(kind: str, fused: bool) -> None:
    rng = np.random.default_rng(1)
    weight = rng.uniform(-1, 1, (37, 50)).astype(np.float32)
    bits = np.packbits(rng.random((3, 50, 100)) < 0.1, axis=-1, bitorder="little")
    batch = PackedBatch(bits, np.full(3, 100, np.uint32), np.array([1, 2, 3], np.int32), np.arange(3))
    case = Case(batch, (weight,), (NeuronParams(4.0),))
    states = [stepped(device, case, 3, kind, fused).states()[0]["weight"] for device in map(backend, DOUBLE)]
    for state in states[1:]:
        for name in ("value", "moment", "variance"):
            np.testing.assert_allclose(getattr(state, name), getattr(states[0], name), rtol=1e-9, atol=1e-12)


def test_every_fused_layer_is_tested_here() -> None:
    assert {pair for name in FAST for pair in backend(name).fused} == {
        *(("hm2bp", kind) for kind in ("conv", "dense", "pool")),  # the other two in test_spatial
        ("lee2016", "dense"),  # in test_lee2016
    }
