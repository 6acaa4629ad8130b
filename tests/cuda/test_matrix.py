"""Layers as matrix products: as accurate as float32, and chosen where spikes are many."""

from __future__ import annotations

import numpy as np
import pytest

from spikeprep.backend import Backend
from spikeprep.cuda import matrix
from spikeprep.cuda.backend import CudaBackend
from spikeprep.cuda.dense import Hm2bpDense
from spikeprep.errors import CapabilityError
from spikeprep.reference.backend import ReferenceBackend

from ..backends.backends import cuda_runtime
from .test_backend import constants, dense_layer, random_batch, random_weight
from .test_gradient_products import dyadic, gradient

CONSTANTS = constants(3.0)


def fused(ops: Backend, weight: np.ndarray) -> Hm2bpDense:
    layer = dense_layer(ops, weight)
    assert isinstance(layer, Hm2bpDense)
    return layer


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize(("units", "post"), [(40, 70), (130, 33), (5, 1)])
def test_products_are_as_accurate_as_sums_over_events(units: int, post: int, silent: bool) -> None:
    """Against float64, with dyadic weights: equal spikes, gradients with at most twice the error of events."""
    batch = random_batch(5, 60, units, 0.4)
    weight = dyadic(post, units)
    if silent:
        weight[::2] = -1
    spikes, exact = gradient(ReferenceBackend(), batch, weight, CONSTANTS)
    assert spikes.any() or silent
    off = {}
    for products in ("events", "matrix"):
        ops = CudaBackend(cuda_runtime(), products=products)  # type: ignore[arg-type]
        fired, got = gradient(ops, batch, weight, CONSTANTS)
        np.testing.assert_array_equal(fired, spikes)
        off[products] = np.abs(got - exact).max() / np.abs(exact).max()
    assert off["matrix"] <= 2 * off["events"] + 1e-6


def test_a_drive_has_float32_s_accuracy() -> None:
    """For weights of any size: the relative error of a sum is that of float32, not of half precision."""
    rng = np.random.default_rng(0)
    batch = random_batch(2, 30, 200, 0.5)
    weight = (rng.normal(size=(40, 200)) * 10.0 ** rng.uniform(-4, 3, (40, 200))).astype(np.float32)
    ops = CudaBackend(cuda_runtime(), products="matrix")
    layer, pre = fused(ops, weight), ops.upload(batch)
    drive = matrix.drive(ops.runtime, ops.module("matrix.cu"), layer.weights.weight, pre, slice(0, 2))
    drive = ops.to_host(drive)[:, :, :40]
    spikes = ops.unpack(pre).astype(float)
    exact = spikes @ weight.T.astype(float)
    size = spikes @ np.abs(weight).T.astype(float)
    assert (np.abs(drive - exact) <= 1e-6 * size).all()


def test_halves_are_numpy_s() -> None:
    """Rounding to half precision: ties, subnormal numbers, infinity."""
    edges = np.array(
        [np.inf, 0.0, 1.0, 2049, 2051, 65504, 65519, 65520, 1e9, 6.1e-5, 5.96e-8, 2.98e-8, 2.99e-8, 1e-12]
    )
    rng = np.random.default_rng(1)
    some = rng.normal(size=5000) * 10.0 ** rng.uniform(-9, 5, 5000)
    numbers = np.concatenate([edges, -edges, some]).astype(np.float32)
    numbers = numbers[: len(numbers) // 2 * 2].reshape(-1, 2)
    ops = CudaBackend(cuda_runtime())
    with np.errstate(over="ignore", invalid="ignore"):
        high, low = matrix._halves(
            ops.runtime, ops.module("matrix.cu"), ops.runtime.to_device(numbers), len(numbers) + 3
        )
        high, low = (ops.to_host(a) for a in (high, low))
        want = numbers.astype(np.float16)
        rest = ((numbers - want.astype(np.float32)) * np.float32(2048)).astype(np.float16)
    np.testing.assert_array_equal(high[:-3], want.view(np.uint16))
    finite = np.isfinite(want)
    np.testing.assert_array_equal(low[:-3][finite], rest.view(np.uint16)[finite])
    assert not high[-3:].any()
    assert not low[-3:].any()


@pytest.mark.parametrize(("density", "products"), [(0.02, False), (0.3, True)])
def test_the_first_batch_decides(density: float, products: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "MIN_UNITS", 30)
    ops = CudaBackend(cuda_runtime())
    layer = fused(ops, random_weight(40, 30))
    assert layer.uses_products is None
    layer.forward(ops.upload(random_batch(3, 40, 30, density)), CONSTANTS)
    assert layer.uses_products is products
    layer.forward(ops.upload(random_batch(3, 40, 30, 0.32 - density)), CONSTANTS)
    assert layer.uses_products is products  # for all later batches too


def test_small_layers_and_float64_sum_events() -> None:
    ops = CudaBackend(cuda_runtime())
    layer = fused(ops, random_weight(10, 300))
    layer.forward(ops.upload(random_batch(2, 30, 300, 0.9)), CONSTANTS)
    assert not layer.uses_products
    assert CudaBackend(cuda_runtime(), np.float64).products == "events"
    with pytest.raises(CapabilityError, match="got matrix products in float64; expected float32"):
        CudaBackend(cuda_runtime(), np.float64, products="matrix")
