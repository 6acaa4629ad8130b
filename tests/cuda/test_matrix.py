"""Layers as matrix products: as accurate as float32, and chosen where spikes are many."""

from __future__ import annotations

import numpy as np
import pytest

from spikeprep.backend import Backend, WeightState
from spikeprep.cuda import matrix
from spikeprep.cuda.backend import CudaBackend
from spikeprep.data import NeuronParams, PackedBatch, PspParams
from spikeprep.errors import CapabilityError
from spikeprep.reference.backend import ReferenceBackend

from ..backends.backends import cuda_runtime
from .test_ops import random_batch, random_state

NEURON, PSP = NeuronParams(3.0), PspParams(40)


def gradient(
    ops: Backend, batch: PackedBatch, state: WeightState, silence: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return spikes and gradient of one layer; with `silence`, half of the neurons get no drive."""
    if silence:
        weight = state.weight.copy()
        weight[::2] = -1
        state = WeightState(weight, state.moment, state.variance)
    weights, pre = ops.dense_weights(state), ops.upload(batch)
    post = ops.dense_forward(weights, pre, NEURON)
    rng = np.random.default_rng(5)
    delta = ops.xp.asarray(rng.normal(size=(len(batch), state.weight.shape[0])), ops.dtype)
    scale = ops.xp.asarray(rng.uniform(0.5, 2, delta.shape), ops.dtype)
    ops.dense_backward(weights, pre, post, delta, scale, NEURON, PSP, False)
    return ops.unpack(post), ops.gradient(weights)


@pytest.mark.parametrize("silence", [False, True])
@pytest.mark.parametrize(("units", "post"), [(40, 70), (130, 33), (5, 1)])
def test_products_are_as_accurate_as_sums_over_events(units: int, post: int, silence: bool) -> None:
    """Against float64, with dyadic weights: equal spikes; gradients no further off than twice what events are."""
    batch, state = random_batch(5, 60, units, 0.4), random_state(post, units)
    state = WeightState(np.round(state.weight * 8) / 8, state.moment, state.variance)
    spikes, exact = gradient(ReferenceBackend(), batch, state, silence)
    assert spikes.any() or silence
    off = {}
    for way in ("events", "matrix"):
        ops = CudaBackend(cuda_runtime(), products=way)  # type: ignore[arg-type]
        fired, got = gradient(ops, batch, state, silence)
        np.testing.assert_array_equal(fired, spikes)
        off[way] = np.abs(got - exact).max() / np.abs(exact).max()
    assert off["matrix"] <= 2 * off["events"] + 1e-6


def test_a_drive_keeps_float32_s_digits() -> None:
    """Weights of any size: the relative error of a sum is that of float32, not of half precision."""
    rng = np.random.default_rng(0)
    batch = random_batch(2, 30, 200, 0.5)
    weight = (rng.normal(size=(40, 200)) * 10.0 ** rng.uniform(-4, 3, (40, 200))).astype(np.float32)
    state = WeightState(weight, np.zeros_like(weight), np.zeros_like(weight))
    ops = CudaBackend(cuda_runtime(), products="matrix")
    weights, pre = ops.dense_weights(state), ops.upload(batch)
    module = ops._module("matrix.cu")
    drive = ops.to_host(matrix.drive(ops.runtime, module, weights.weight, pre, slice(0, 2)))[:, :, :40]
    spikes = ops.unpack(pre).astype(float)
    exact = spikes @ weight.T.astype(float)
    size = spikes @ np.abs(weight).T.astype(float)
    assert (np.abs(drive - exact) <= 1e-6 * size).all()


def test_halves_are_numpy_s() -> None:
    """Rounding to half precision: ties, subnormal numbers, infinity."""
    edges = np.array(
        [0.0, 1.0, 2049, 2051, 65504, 65519, 65520, 1e9, 6.1e-5, 5.96e-8, 2.98e-8, 2.99e-8, 1e-12]
    )
    rng = np.random.default_rng(1)
    some = rng.normal(size=5000) * 10.0 ** rng.uniform(-9, 5, 5000)
    numbers = np.concatenate([edges, -edges, some]).astype(np.float32)
    numbers = numbers[: len(numbers) // 2 * 2].reshape(-1, 2)
    ops = CudaBackend(cuda_runtime())
    with np.errstate(over="ignore", invalid="ignore"):
        high, low = matrix._halves(
            ops.runtime, ops._module("matrix.cu"), ops.runtime.to_device(numbers), len(numbers) + 3
        )
        high, low = (ops.to_host(a) for a in (high, low))
        want = numbers.astype(np.float16)
        rest = ((numbers - want.astype(np.float32)) * np.float32(2048)).astype(np.float16)
    np.testing.assert_array_equal(high[:-3], want.view(np.uint16))
    finite = np.isfinite(want)
    np.testing.assert_array_equal(low[:-3][finite], rest.view(np.uint16)[finite])
    assert not high[-3:].any()
    assert not low[-3:].any()


@pytest.mark.parametrize(("density", "dense"), [(0.02, False), (0.3, True)])
def test_the_first_batch_chooses(density: float, dense: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "FEWEST", 30)
    ops = CudaBackend(cuda_runtime())
    weights = ops.dense_weights(random_state(40, 30))
    assert weights.dense is None
    ops.dense_forward(weights, ops.upload(random_batch(3, 40, 30, density)), NEURON)
    assert weights.dense is dense
    ops.dense_forward(weights, ops.upload(random_batch(3, 40, 30, 0.3 - density)), NEURON)
    assert weights.dense is dense  # and stays with it


def test_thin_layers_and_float64_sum_events() -> None:
    ops = CudaBackend(cuda_runtime())
    weights = ops.dense_weights(random_state(10, 300))
    ops.dense_forward(weights, ops.upload(random_batch(2, 30, 300, 0.9)), NEURON)
    assert not weights.dense
    assert CudaBackend(cuda_runtime(), np.float64).products == "events"
    with pytest.raises(CapabilityError, match="got matrix products in float64; expected float32"):
        CudaBackend(cuda_runtime(), np.float64, products="matrix")
