"""Answers that can be worked out with a pencil."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spikeprep.backend import Backend, DeviceLayer, ParameterState
from spikeprep.composition import device_layer
from spikeprep.data import Hm2bpConstants, NeuronParams, PspParams
from spikeprep.train.layers.dense import Dense
from spikeprep.train.rules.hm2bp import Hm2bp

from .backends import DOUBLE, backend
from .golden import spikes_of


@pytest.fixture(params=DOUBLE)
def device(request: pytest.FixtureRequest) -> Backend:
    return backend(request.param)


def layer_of(device: Backend, weight: np.ndarray) -> DeviceLayer:
    """Return a fully connected layer of weights (post, pre)."""
    post, pre = weight.shape
    state = ParameterState.fresh(weight.astype(np.float32))
    return device_layer(device, Hm2bp(), Dense((pre,), post), {"weight": state})


def one_synapse(
    device: Backend, weight: float, spikes_at: list[int], steps: int, threshold: float
) -> np.ndarray:
    dense = np.zeros((1, steps, 1), bool)
    dense[0, spikes_at] = True
    layer = layer_of(device, np.array([[weight]]))
    out = layer.forward(spikes_of(device, dense), Hm2bpConstants(NeuronParams(threshold)))
    return np.flatnonzero(device.unpack(out)[0, :, 0])


def test_a_strong_synapse_fires_one_step_later_and_every_third_step(device: Backend) -> None:
    # a current of 800 raises the membrane by 100 a step: above 8 at once, then two steps of rest
    assert one_synapse(device, 800.0, [4], 20, 8.0).tolist() == [5, 8, 11, 14, 17]


def test_the_membrane_crosses_when_the_sum_says(device: Backend) -> None:
    # after one spike of weight 8 at t = 1: p_k = 8 (7/8)^k, v_k = v_{k−1} 63/64 + p_k / 8; v_0 = 1, v_1 = 1.859375
    assert one_synapse(device, 8.0, [1], 20, 1.859374)[0] == 3
    assert one_synapse(device, 8.0, [1], 20, 1.85938)[0] == 4


def test_the_last_step_s_input_is_never_used(device: Backend) -> None:
    assert one_synapse(device, 800.0, [19], 20, 8.0).size == 0
    assert one_synapse(device, 800.0, [18], 20, 8.0).tolist() == [19]


def test_nothing_fires_at_t_0_but_its_input_counts(device: Backend) -> None:
    assert one_synapse(device, 800.0, [0], 5, 8.0).tolist() == [1, 4]


def test_psp_of_one_pair_of_spikes(device: Backend) -> None:
    pre, post = np.zeros((1, 60, 1), bool), np.zeros((1, 60, 1), bool)
    pre[0, 10], post[0, 30] = True, True
    x = 30 - 10 - 2  # f − t' − R, within s = 30 − 1
    alpha = (math.exp(-x / 64) - math.exp(-x / 8)) / (1 - 8 / 64)
    e = device.to_host(
        device.psp(spikes_of(device, pre), spikes_of(device, post), NeuronParams(8.0), PspParams())
    )
    assert e[0, 0, 0] == pytest.approx(alpha, rel=1e-12)


def test_psp_after_a_reset_counts_from_the_reset(device: Backend) -> None:
    pre, post = np.zeros((1, 60, 1), bool), np.zeros((1, 60, 1), bool)
    pre[0, 10], post[0, [15, 30]] = True, True
    alpha = lambda x: (math.exp(-x / 64) - math.exp(-x / 8)) / (1 - 8 / 64)  # noqa: E731
    s = 30 - (15 + 2)
    first, second = alpha(15 - 10 - 2), math.exp(-(18 - s) / 8) * alpha(s)
    e = device.to_host(
        device.psp(spikes_of(device, pre), spikes_of(device, post), NeuronParams(8.0), PspParams())
    )
    assert e[0, 0, 0] == pytest.approx(first + second, rel=1e-12)


def test_silent_rules(device: Backend) -> None:
    spikes = np.zeros((1, 40, 2), bool)
    spikes[0, 10, 0] = True
    trains = spikes_of(device, spikes)
    e = device.to_host(device.psp(trains, trains, NeuronParams(8.0), PspParams(silent_psp=0.25)))
    assert e[0, 1].tolist() == [0.25, 0.0]  # post silent: pre fired, pre silent
    assert e[0, 0, 1] == 0.0


def test_lateral_inhibition_spares_its_own_neuron(device: Backend) -> None:
    dense = np.zeros((1, 40, 1), bool)
    dense[0, 1] = True
    layer = layer_of(device, np.array([[800.0], [80.0]]))
    free, inhibited = (
        device.unpack(
            layer.forward(spikes_of(device, dense), Hm2bpConstants(NeuronParams(50.0), lateral=w0))
        )[0]
        for w0 in (0.0, 1000.0)
    )
    assert free[:, 1].any()
    assert not inhibited[:, 1].any()
    np.testing.assert_array_equal(free[:, 0], inhibited[:, 0])


def test_loops_of_lateral_inhibition(device: Backend) -> None:
    e = np.arange(1.0, 19).reshape(2, 3, 3)
    counts = np.array([[2, 4, 0], [0, 3, 5]])
    labels = np.array([2, 1])
    gain = device.to_host(
        device.lateral_gain(
            device.xp.asarray(e, device.dtype), device.xp.asarray(counts), labels, threshold=2.0
        )
    )
    # first sample: 0 and 1 fire, 2 is silent but the label; second: 0 is silent and not the label
    pair = (e[0, 1, 0] / 2) * (e[0, 0, 1] / 4)
    other = (e[1, 2, 1] / 3) * (e[1, 1, 2] / 5)
    want = [[(pair + 1) / 4, (pair + 1) / 4, 2 / 4], [0, other / 4, other / 4]]
    np.testing.assert_allclose(gain, want, rtol=1e-12)


def test_a_trace_decays_to_the_end_of_the_sample(device: Backend) -> None:
    dense = np.zeros((2, 10, 2), bool)
    dense[0, [3, 9], 0] = True
    dense[1, 5, 1] = True
    trace = device.to_host(device.trace(spikes_of(device, dense), 4.0))
    want = [[math.exp(-6 / 4) + 1, 0], [0, math.exp(-4 / 4)]]
    np.testing.assert_allclose(trace, want, rtol=1e-12)


@pytest.mark.parametrize("lateral", [0.0, 0.5])
def test_neurons_past_the_last_one_never_fire(device: Backend, lateral: float) -> None:
    """A neuron without input that would fire at every chance: the lanes that fill up a tile are such neurons."""
    dense = np.ones((2, 30, 3), bool)
    constants = Hm2bpConstants(NeuronParams(1e-9), lateral=lateral)
    out = layer_of(device, np.ones((5, 3))).forward(spikes_of(device, dense), constants)
    assert device.unpack(out).shape == (2, 30, 5)
    assert device.to_host(device.counts(out)).shape == (2, 5)
    drive = device.array(np.zeros((2, 30, 33), device.dtype))
    out = device.simulate(drive, np.array([30, 20]), NeuronParams(1e-9), lateral)
    counts = device.to_host(device.counts(out))
    assert counts.shape == (2, 33)
    assert (counts[0] == 29).all() if not lateral else counts.any()
