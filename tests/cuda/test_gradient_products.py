"""Gradients as products of active units and gates: float32's accuracy, and the same for any launch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikeprep.backend import Backend, ErrorSignal
from spikeprep.cuda import dense, gradient_products
from spikeprep.cuda.backend import CudaBackend
from spikeprep.cuda.runtime import Runtime
from spikeprep.data import Hm2bpConstants, NeuronParams, PackedBatch, PspParams
from spikeprep.errors import CapabilityError
from spikeprep.packing import pack
from spikeprep.reference.backend import ReferenceBackend

from .test_backend import constants, dense_layer, random_batch, random_weight, record_launches


@pytest.fixture(autouse=True)
def groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every block several samples, as batches of full size do."""
    monkeypatch.setattr(dense, "_GROUPS", 4)


def signal(ops: Backend, samples: int, post: int, scaled: bool = True) -> ErrorSignal:
    """Return a random error, 0 for one sample."""
    rng = np.random.default_rng(5)
    error, scale = rng.normal(size=(samples, post)), rng.uniform(0.5, 2, (samples, post))
    error[samples // 2] = 0
    error, scale = (ops.array(a.astype(ops.dtype)) for a in (error, scale))
    return ErrorSignal(error, scale if scaled else None)


def gradient(
    ops: Backend, batch: PackedBatch, weight: np.ndarray, layer: Hm2bpConstants, scaled: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Return spikes and gradient of one layer whose error is not sent back."""
    device, pre = dense_layer(ops, weight), ops.upload(batch)
    post = device.forward(pre, layer)
    sent = device.backward(pre, post, signal(ops, len(batch), len(weight), scaled), layer, False)
    assert sent is None
    return ops.unpack(post), device.parameters["weight"].gradient()


def assert_accurate(
    runtime: Runtime,
    batch: PackedBatch,
    weight: np.ndarray,
    layer: Hm2bpConstants,
    scaled: bool = True,
    truncated: float = 1e-6,
) -> None:
    """Against float64: equal spikes, a gradient with at most twice the error of sums over events.

    `truncated`: what tensor cores, whose sums are truncated, may add to that error.
    """
    spikes, exact = gradient(ReferenceBackend(), batch, weight, layer, scaled)
    off = {}
    for products in ("events", "active"):
        ops = CudaBackend(runtime, products=products)  # type: ignore[arg-type]
        fired, got = gradient(ops, batch, weight, layer, scaled)
        np.testing.assert_array_equal(fired, spikes)
        off[products] = np.abs(got - exact).max() / np.abs(exact).max()
    assert exact.any()
    assert off["active"] <= 2 * off["events"] + truncated, off


def dyadic(post: int, pre: int) -> np.ndarray:
    """Random weights whose sums are exact in float32, so that spikes cannot differ."""
    return np.round(random_weight(post, pre) * 8) / 8


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize(("units", "post", "steps"), [(40, 70, 67), (130, 33, 97), (5, 1, 31), (64, 32, 35)])
def test_as_accurate_as_sums_over_events(
    runtime: Runtime, units: int, post: int, steps: int, silent: bool, scaled: bool
) -> None:
    weight = dyadic(post, units)
    if silent:
        weight[::2] = -1
    assert_accurate(runtime, random_batch(5, steps, units, 0.4), weight, constants(3.0), scaled)


@pytest.mark.parametrize("window", [None, 3, 20, 33, 300])
@pytest.mark.parametrize("refractory", [1, 2, 32])
def test_windows_and_refractory_times(runtime: Runtime, window: int | None, refractory: int) -> None:
    """Gates are made for 32 steps at a time, each from the firings that follow: none is lost or counted twice."""
    if window is not None and window <= refractory:
        window += refractory
    layer = Hm2bpConstants(NeuronParams(1.0, refractory=refractory), PspParams(window), 0.0, None)
    assert_accurate(runtime, random_batch(4, 150, 40, 0.1), dyadic(40, 40), layer)


def test_long_sums(runtime: Runtime) -> None:
    """Each of the gradient's sums has 690 terms of one sign."""
    layer = Hm2bpConstants(NeuronParams(3.0), PspParams(None), 0.0, None)
    assert_accurate(runtime, random_batch(2, 860, 40, 0.8), dyadic(33, 40), layer, truncated=1e-5)


@pytest.mark.parametrize("floor", [None, 0.1, 1.0])
def test_the_floor_of_one_plus_sigma(runtime: Runtime, floor: float | None) -> None:
    weight = dyadic(70, 40)
    weight[:35, :20] -= 4  # many silent, with σ far below −1
    assert_accurate(runtime, random_batch(4, 60, 40, 0.2), weight, constants(0.5, floor=floor))


@pytest.mark.parametrize("density", [0.02, 1.0])
def test_more_active_units_than_warps_hold(
    runtime: Runtime, density: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their products are computed twice: before σ is known, and after."""
    monkeypatch.setattr(dense, "_GROUPS", 1)
    assert_accurate(runtime, random_batch(5, 40, 1500, density), dyadic(20, 1500) / 16, constants(1.0))


def test_samples_without_steps_spikes_or_errors(runtime: Runtime) -> None:
    spikes = np.random.default_rng(0).random((4, 40, 50)) < 0.3
    lengths = np.array([40, 1, 0, 3])
    spikes &= np.arange(40)[:, None] < lengths[:, None, None]
    spikes[1] = False
    batch = PackedBatch(pack(spikes), lengths.astype(np.uint32), np.zeros(4, np.int32), np.arange(4))
    assert_accurate(runtime, batch, dyadic(40, 50), constants(1.0))


def test_an_output_s_train_that_was_filled(runtime: Runtime) -> None:
    """Spikes closer than a refractory time, as no neuron fires them: a silent label's are set."""
    batch, weight, layer = random_batch(4, 70, 40, 0.2), dyadic(33, 40), constants(2.0)
    unit, period = np.array([0, 3, 32, 5]), np.array([1, 2, 0, 33])
    got = []
    for ops in (ReferenceBackend(), CudaBackend(runtime, products="active")):
        device, pre = dense_layer(ops, weight), ops.upload(batch)
        post = ops.regular_trains(device.forward(pre, layer), unit, ops.array(period))
        device.backward(pre, post, signal(ops, 4, 33), layer, False)
        got.append(device.parameters["weight"].gradient())
    assert np.abs(got[1] - got[0]).max() <= 1e-5 * np.abs(got[0]).max()


@pytest.mark.parametrize("workspace", [1, 600])
def test_bits_do_not_depend_on_the_launch(runtime: Runtime, workspace: int) -> None:
    batch, weight, layer = random_batch(7, 50, 40, 0.2), random_weight(70, 40), constants()
    _, want = gradient(CudaBackend(runtime, products="active"), batch, weight, layer)
    _, got = gradient(CudaBackend(runtime, workspace=workspace, products="active"), batch, weight, layer)
    np.testing.assert_array_equal(got, want)


def test_gates_that_do_not_fit_are_summed_over_events(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, weight, layer = random_batch(3, 64, 40, 0.2), random_weight(70, 40), constants()
    ops = CudaBackend(runtime, products="active")
    needed = 2 * 64 * 32 * 4 + gradient_products._STATIC
    launched = record_launches(ops, monkeypatch)
    runtime.shared_limit = needed
    gradient(ops, batch, weight, layer)
    assert launched[-2:] == ["order_units", "dense_gradient_products"]
    assert "gate" not in launched  # nor any other kernel that makes gates
    runtime.shared_limit = needed - 4
    _, got = gradient(ops, batch, weight, layer)
    assert launched[-1].startswith("dense_gradient_") or launched[-1] == "dense_gradient"
    assert launched[-1] != "dense_gradient_products"
    _, want = gradient(CudaBackend(runtime, products="events"), batch, weight, layer)
    np.testing.assert_array_equal(got, want)


def test_an_error_that_is_sent_back_takes_events(runtime: Runtime) -> None:
    batch, weight, layer = random_batch(3, 50, 40, 0.2), random_weight(70, 40), constants()
    got = []
    for products in ("events", "active"):
        ops = CudaBackend(runtime, products=products)  # type: ignore[arg-type]
        device, pre = dense_layer(ops, weight), ops.upload(batch)
        post = device.forward(pre, layer)
        sent = device.backward(pre, post, signal(ops, 3, 70), layer, True)
        got.append((ops.to_host(sent), device.parameters["weight"].gradient()))
    for a, b in zip(*got, strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_has_no_such_products_is_refused(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    message = "got products of active units in float64 on .*; expected float32, and compute capability 8.0"
    with pytest.raises(CapabilityError, match=message):
        CudaBackend(runtime, np.float64, products="active")
    monkeypatch.setattr(runtime, "multiplies_halves", False)
    with pytest.raises(CapabilityError, match="in float32 on"):
        CudaBackend(runtime, products="active")
    chosen: Any = CudaBackend(runtime).products
    assert chosen == "auto"


def test_recorded_passes(runtime: Runtime) -> None:
    """A network's steps, the later ones replayed: those of its kernels launched one by one."""
    from .walk import batch, network, optimiser

    weights = []
    for replay in (True, False):
        ops = CudaBackend(runtime, products="active")
        if not replay:
            ops.replayed = lambda work: work  # type: ignore[method-assign]
        net, samples = network(ops, (40, 70, 10), 0.0), batch(5, 50, 40, 10)
        for n in range(1, 6):
            net.train_step(replace(samples, labels=(samples.labels + n) % 10), optimiser(), n, 0.01)
        weights.append(net.devices[0].parameters["weight"].state().value)
    np.testing.assert_array_equal(*weights)
