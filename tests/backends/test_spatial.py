"""Convolutions and pools on every backend: against the reference, and against synapses written out one by one."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spikeprep.backend import Backend, ErrorSignal, ParameterState
from spikeprep.cpu.backend import CpuBackend
from spikeprep.data import PackedBatch
from spikeprep.errors import UsageError
from spikeprep.packing import unpack
from spikeprep.reference.neurons import simulate
from spikeprep.train.layers import LayerKind
from spikeprep.train.layers.conv import Conv
from spikeprep.train.layers.pool import Pool
from spikeprep.train.layers.spatial import Spatial
from spikeprep.train.network import Network, build_network
from spikeprep.train.optimiser import OptimiserSettings, RegularisationSettings
from spikeprep.train.rules.hm2bp import Hm2bp, NeuronSettings, PspSettings
from spikeprep.train.rules.loss import LossSettings

from ..strategies import LayersCase, spatial_cases
from .backends import DOUBLE, FAST, backend
from .networks import assert_alike, gradients, pair_terms

REFERENCE = backend("reference")
WAYS = [(name, fused) for name in FAST for fused in (True, False)]


def rule_of(case: LayersCase, refractory: int = 2, **settings: object) -> Hm2bp:
    return Hm2bp(case.thresholds, neuron=NeuronSettings(refractory=refractory), **settings)  # type: ignore[arg-type]


def network_of(device: Backend, case: LayersCase, rule: Hm2bp, *, fused: bool = True) -> Network:
    states = [{name: ParameterState.fresh(a) for name, a in arrays.items()} for arrays in case.arrays]
    return build_network(device, rule, case.layers, states, fused=fused)


def margin(case: LayersCase, rule: Hm2bp) -> float:
    """Return the smallest distance of any membrane of the case to its threshold."""
    nearest = math.inf
    spikes = network_of(REFERENCE, case, rule).forward(case.batch)
    for n, (pre, layer, arrays) in enumerate(zip(spikes[:-1], case.layers, case.arrays, strict=True)):
        constants = rule.constants(n, len(case.layers))
        exact = {name: a.astype(float) for name, a in arrays.items()}
        for dense, steps in zip(pre.dense, pre.steps, strict=True):  # type: ignore[attr-defined]
            drive = layer.apply(np, exact, dense[:steps].astype(float))
            membrane = simulate(drive, constants.neuron_of(layer), constants.lateral).membrane
            near = np.abs(membrane - constants.neuron.threshold).min(initial=math.inf)
            nearest = min(nearest, float(near))
    return nearest


@pytest.mark.parametrize(("name", "fused"), WAYS)
@settings(max_examples=25, deadline=None)
@given(
    case=spatial_cases(),
    loss=st.sampled_from([LossSettings(margin=0), LossSettings("softmax")]),
    window=st.sampled_from([None, 256, 40, 5]),
    lateral=st.sampled_from([0.0, 1.0]),
    gain_floor=st.sampled_from([None, 0.5]),
    refractory=st.integers(1, 3),
)
def test_spikes_and_gradients(
    name: str,
    fused: bool,
    case: LayersCase,
    loss: LossSettings,
    window: int | None,
    lateral: float,
    gain_floor: float | None,
    refractory: int,
) -> None:
    device, allowed = backend(name), 1e-10 if name in DOUBLE else 1e-4
    rule = rule_of(
        case, refractory, lateral=lateral, gain_floor=gain_floor, psp=PspSettings(window), loss=loss
    )
    # where a membrane comes this near to its threshold, float32 may fire a step sooner or later
    assume(name in DOUBLE or margin(case, rule) > 1e-3)
    want, got = network_of(REFERENCE, case, rule), network_of(device, case, rule, fused=fused)
    assert_alike(want, got, case.batch, allowed)


# ---------------------------------------------------------------- synapses one by one


def synapses(layer: LayerKind) -> tuple[np.ndarray, np.ndarray]:
    """Return which weight leads from pre to post, int (post, pre): −1 none, 0 … flat index of the weight array.

    Written out from the definition of a convolution and a pool, position by position.
    """
    assert isinstance(layer, Spatial)
    channels, rows, columns = layer.grid
    wired = np.full((layer.units, channels * rows * columns), -1)
    outputs = layer.out_shape
    for post, (o, y, x) in enumerate(np.ndindex(*outputs)):
        for c, a, b in np.ndindex(channels, *layer.kernel):
            if isinstance(layer, Pool) and c != o:
                continue
            row, column = (
                place * stride + tap - padding
                for place, stride, tap, padding in zip(
                    (y, x), layer.stride, (a, b), layer.padding, strict=True
                )
            )
            if not (0 <= row < rows and 0 <= column < columns):
                continue
            if layer.channels == "last" and len(layer.in_shape) > 2:
                pre = (row * columns + column) * channels + c
            else:
                pre = (c * rows + row) * columns + column
            kernel = (o, c, a, b)
            wired[post, pre] = (
                np.ravel_multi_index(kernel, layer.specs()["weight"].shape) if isinstance(layer, Conv) else 0
            )
    return wired, wired >= 0


def pair_backward(
    case: LayersCase, rule: Hm2bp, pre: np.ndarray, post: np.ndarray, error: np.ndarray, scale: np.ndarray
) -> tuple[np.ndarray | None, np.ndarray]:
    """Return gradient and error sent back (sample, pre) of the first layer, pair of spikes by pair."""
    layer, constants = case.layers[0], rule.constants(0, len(case.layers))
    wired, connected = synapses(layer)
    trained = isinstance(layer, Conv)
    values = case.arrays[0]["weight"].astype(float).ravel() if trained else np.ones(1)
    w = np.where(connected, values[wired], 0)
    delta = error / constants.neuron.threshold if trained else error / math.prod(layer.kernel)  # type: ignore[attr-defined]
    gradient, sent = np.zeros(len(values)), np.zeros((len(pre), w.shape[1]))
    for b in range(len(pre)):
        e, gain, ratio = pair_terms(w, constants, pre[b], post[b])
        slopes = (delta[b] * scale[b] * gain)[:, None] * e
        np.add.at(gradient, wired[connected], slopes[connected])
        sent[b] = delta[b] @ (w * ratio)
    return (gradient.reshape(case.arrays[0]["weight"].shape) if trained else None), sent


@settings(max_examples=10, deadline=None)
@given(
    case=spatial_cases(most_layers=1, most_steps=60),
    window=st.sampled_from([None, 256, 30]),
    gain_floor=st.sampled_from([None, 0.5]),
)
def test_gradient_and_error_are_those_of_the_pairs(
    case: LayersCase, window: int | None, gain_floor: float | None
) -> None:
    rule = rule_of(case, psp=PspSettings(window), gain_floor=gain_floor)
    assume(margin(case, rule) > 1e-3)
    rng, constants = np.random.default_rng(0), rule.constants(0, len(case.layers))
    error = rng.normal(size=(len(case.batch), case.layers[0].units))
    error[:, rng.random(error.shape[1]) < 0.2] = 0
    scale = rng.uniform(0.5, 2, error.shape)
    pre, post = (REFERENCE.unpack(s) for s in network_of(REFERENCE, case, rule).forward(case.batch)[:2])
    gradient, sent = pair_backward(case, rule, pre, post, error, scale)
    for name, fused in [("reference", False), *WAYS]:
        device = backend(name)
        network = network_of(device, case, rule, fused=fused)
        trains = network.forward(case.batch)[:2]
        signal = ErrorSignal(*(device.array(a.astype(device.dtype)) for a in (error, scale)))
        got = device.to_host(network.devices[0].backward(*trains, signal, constants, True))
        tight = 1e-10 if device.dtype == np.float64 else 1e-4
        assert np.abs(got - sent).max(initial=0) <= tight * max(np.abs(sent).max(initial=0), 1e-6)
        if gradient is not None:
            (found,) = gradients(network)[:1]
            off = np.abs(found - gradient).max(initial=0)
            assert off <= tight * max(np.abs(gradient).max(initial=0), 1e-2)
        assert network.devices[0].backward(*trains, signal, constants, False) is None


@settings(max_examples=20, deadline=None)
@given(case=spatial_cases(most_layers=1))
def test_spikes_are_those_of_the_synapses(case: LayersCase) -> None:
    """The reference's forward pass against neurons that are driven by the written-out weights."""
    rule = rule_of(case)
    wired, connected = synapses(case.layers[0])
    values = case.arrays[0]["weight"].astype(float).ravel() if case.arrays[0] else np.ones(1)
    w = np.where(connected, values[wired], 0)
    spikes = network_of(REFERENCE, case, rule).forward(case.batch)
    neuron = rule.constants(0, len(case.layers)).neuron_of(case.layers[0])
    bits = unpack(case.batch.bits, int(case.batch.steps.max()))
    for b, steps in enumerate(case.batch.steps):
        want = simulate(bits[b, :steps] @ w.T, neuron).spikes
        np.testing.assert_array_equal(REFERENCE.unpack(spikes[1])[b, :steps], want)


@pytest.mark.parametrize("name", [*DOUBLE, "cpu-float32"])
@pytest.mark.parametrize("fused", [True, False])
def test_a_convolution_fires_above_its_threshold_and_a_pool_within_the_slack(name: str, fused: bool) -> None:
    """One spike of weight 8 makes a membrane of exactly 1 at once; then of 1.859375, a step later."""
    device = backend(name)
    bits = np.array([[[0b10]]], np.uint8)
    batch = PackedBatch(bits, np.array([8], np.uint32), np.zeros(1, np.int32), np.zeros(1, np.int64))
    for kind, weight, first in ((Conv, 8.0, 3), (Pool, 1.0, 2)):
        layer = kind(in_shape=(1, 1))
        states = [
            {
                key: ParameterState.fresh(np.full(s.shape, weight, np.float32))
                for key, s in layer.specs().items()
            }
        ]
        network = build_network(device, Hm2bp(weight / 8, lateral=0.0), [layer], states, fused=fused)
        spikes = device.unpack(network.forward(batch)[1])[0, :, 0]
        assert np.flatnonzero(spikes)[0] == first


# ---------------------------------------------------------------- determinism


@settings(max_examples=10, deadline=None)
@given(case=spatial_cases(), fused=st.booleans())
def test_threads_change_nothing(case: LayersCase, fused: bool) -> None:
    optimiser = OptimiserSettings("adam", 0.01, regularisation=RegularisationSettings(0.1))
    found = []
    for threads in (1, 2, 5):
        network = network_of(CpuBackend(np.float32, threads), case, rule_of(case), fused=fused)
        for step in (1, 2):
            network.train_step(case.batch, optimiser, step, 0.01)
        found.append([s.tobytes() for state in network.states() for p in state.values() for s in vars_of(p)])
    assert found[0] == found[1] == found[2]


def vars_of(state: ParameterState) -> tuple[np.ndarray, ...]:
    return state.value, state.moment, state.variance


@settings(max_examples=6, deadline=None)
@given(case=spatial_cases(most_steps=80))
def test_padding_in_time_changes_nothing(case: LayersCase) -> None:
    """A batch padded by more bytes gives equal spikes and gradients, each of its samples alone equal spikes."""
    longer = np.concatenate([case.batch.bits, np.zeros((*case.batch.bits.shape[:2], 3), np.uint8)], axis=2)
    padded = PackedBatch(longer, case.batch.steps, case.batch.labels, case.batch.index)
    for device in map(backend, DOUBLE):
        plain, wide = (network_of(device, case, rule_of(case)) for _ in range(2))
        plain.backward(plain.forward(case.batch), case.batch.labels)
        wide.backward(wide.forward(padded), case.batch.labels)
        for a, b in zip(gradients(plain), gradients(wide), strict=True):
            np.testing.assert_array_equal(a, b)
        for b in range(len(case.batch)):
            arrays = (case.batch.bits, case.batch.steps, case.batch.labels, case.batch.index)
            alone = PackedBatch(*(a[b : b + 1] for a in arrays))
            np.testing.assert_array_equal(plain.counts(alone)[0], plain.counts(case.batch)[b])


def test_a_pool_has_no_padding() -> None:
    with pytest.raises(UsageError, match=r"a pool with a padding of \(1, 0\)"):
        Pool((4, 4), padding=(1, 0))


def test_what_no_window_reaches_is_counted() -> None:
    for rows, kernel, stride, padding in itertools.product(
        range(4, 12), (1, 2, 3), (1, 2, 3, 5, 100), (0, 1)
    ):
        if padding < kernel:
            layer = Conv((rows, 7), (kernel, 7), (stride, 1), (padding, 0))
            seen = {n * stride + k - padding for n in range(layer.places[0]) for k in range(kernel)}
            assert layer.unused[0] + layer.skipped[0] == len(set(range(rows)) - seen)
            assert not set(range(rows - layer.unused[0], rows)) & seen


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (Pool((11, 11), (2, 2), (2, 2)), "leaves out the last row and column of its 11 × 11 input"),
        (
            Pool((28, 28), (2, 2), (3, 3)),
            "leaves out the last 2 rows and 2 columns of its 28 × 28 input, and 8 rows and 8 columns between windows",
        ),
        (Conv((5, 3), (2, 1), (3, 2)), "leaves out 1 row and 1 column between windows of its 5 × 3 input"),
        (
            Conv((28, 28), (5, 5), (100, 100)),
            "leaves out the last 23 rows and 23 columns of its 28 × 28 input",
        ),
        (Conv((28, 28), (5, 5)), ""),
    ],
)
def test_what_is_left_out_is_said(layer: Spatial, words: str) -> None:
    assert layer.remark() == words
