"""Answers that can be worked out with a pencil."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spikeprep.backend import Backend, WeightState
from spikeprep.data import NeuronParams, PspParams

from .backends import DOUBLE, backend
from .golden import spikes_of


@pytest.fixture(params=DOUBLE)
def ops(request: pytest.FixtureRequest) -> Backend:
    return backend(request.param)


def one_synapse(
    ops: Backend, weight: float, spikes_at: list[int], steps: int, threshold: float
) -> np.ndarray:
    dense = np.zeros((1, steps, 1), bool)
    dense[0, spikes_at] = True
    w = np.array([[weight]], np.float32)
    weights = ops.dense_weights(WeightState(w, np.zeros_like(w), np.zeros_like(w)))
    out = ops.dense_forward(weights, spikes_of(ops, dense), NeuronParams(threshold))
    return np.flatnonzero(ops.unpack(out)[0, :, 0])


def test_a_strong_synapse_fires_one_step_later_and_every_third_step(ops: Backend) -> None:
    # a current of 800 raises the membrane by 100 a step: above 8 at once, then two steps of rest
    assert one_synapse(ops, 800.0, [4], 20, 8.0).tolist() == [5, 8, 11, 14, 17]


def test_the_membrane_crosses_when_the_sum_says(ops: Backend) -> None:
    # after one spike of weight 8 at t = 1: p_k = 8 (7/8)^k, v_k = v_{k−1} 63/64 + p_k / 8; v_0 = 1, v_1 = 1.859375
    assert one_synapse(ops, 8.0, [1], 20, 1.859374)[0] == 3
    assert one_synapse(ops, 8.0, [1], 20, 1.85938)[0] == 4


def test_the_last_step_s_input_is_never_used(ops: Backend) -> None:
    assert one_synapse(ops, 800.0, [19], 20, 8.0).size == 0
    assert one_synapse(ops, 800.0, [18], 20, 8.0).tolist() == [19]


def test_nothing_fires_at_t_0_but_its_input_counts(ops: Backend) -> None:
    assert one_synapse(ops, 800.0, [0], 5, 8.0).tolist() == [1, 4]


def test_psp_of_one_pair_of_spikes(ops: Backend) -> None:
    pre, post = np.zeros((1, 60, 1), bool), np.zeros((1, 60, 1), bool)
    pre[0, 10], post[0, 30] = True, True
    x = 30 - 10 - 2  # f − t' − R, within s = 30 − 1
    alpha = (math.exp(-x / 64) - math.exp(-x / 8)) / (1 - 8 / 64)
    e = ops.to_host(ops.psp(spikes_of(ops, pre), spikes_of(ops, post), NeuronParams(8.0), PspParams()))
    assert e[0, 0, 0] == pytest.approx(alpha, rel=1e-12)


def test_psp_after_a_reset_counts_from_the_reset(ops: Backend) -> None:
    pre, post = np.zeros((1, 60, 1), bool), np.zeros((1, 60, 1), bool)
    pre[0, 10], post[0, [15, 30]] = True, True
    alpha = lambda x: (math.exp(-x / 64) - math.exp(-x / 8)) / (1 - 8 / 64)  # noqa: E731
    s = 30 - (15 + 2)
    first, second = alpha(15 - 10 - 2), math.exp(-(18 - s) / 8) * alpha(s)
    e = ops.to_host(ops.psp(spikes_of(ops, pre), spikes_of(ops, post), NeuronParams(8.0), PspParams()))
    assert e[0, 0, 0] == pytest.approx(first + second, rel=1e-12)


def test_silent_rules(ops: Backend) -> None:
    spikes = np.zeros((1, 40, 2), bool)
    spikes[0, 10, 0] = True
    trains = spikes_of(ops, spikes)
    e = ops.to_host(ops.psp(trains, trains, NeuronParams(8.0), PspParams(silent_psp=0.25)))
    assert e[0, 1].tolist() == [0.25, 0.0]  # post silent: pre fired, pre silent
    assert e[0, 0, 1] == 0.0


def test_lateral_inhibition_spares_its_own_neuron(ops: Backend) -> None:
    dense = np.zeros((1, 40, 1), bool)
    dense[0, 1] = True
    w = np.array([[800.0], [80.0]], np.float32)
    weights = ops.dense_weights(WeightState(w, np.zeros_like(w), np.zeros_like(w)))
    free, held = (
        ops.unpack(ops.dense_forward(weights, spikes_of(ops, dense), NeuronParams(50.0), w0))[0]
        for w0 in (0.0, 1000.0)
    )
    assert free[:, 1].any()
    assert not held[:, 1].any()
    np.testing.assert_array_equal(free[:, 0], held[:, 0])


def test_loops_of_lateral_inhibition(ops: Backend) -> None:
    e = np.arange(1.0, 19).reshape(2, 3, 3)
    counts = np.array([[2, 4, 0], [0, 3, 5]])
    labels = np.array([2, 1])
    gain = ops.to_host(
        ops.lateral_gain(ops.xp.asarray(e, ops.dtype), ops.xp.asarray(counts), labels, threshold=2.0)
    )
    # first sample: 0 and 1 fire, 2 is silent but the label; second: 0 is silent and not the label
    pair = (e[0, 1, 0] / 2) * (e[0, 0, 1] / 4)
    other = (e[1, 2, 1] / 3) * (e[1, 1, 2] / 5)
    want = [[(pair + 1) / 4, (pair + 1) / 4, 2 / 4], [0, other / 4, other / 4]]
    np.testing.assert_allclose(gain, want, rtol=1e-12)
