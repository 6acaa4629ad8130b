"""What the CUDA backend promises beyond the contract: the CPU's spikes to the bit, whatever kernel, slab and device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from spikeprep.backend import Backend, UpdateRule, WeightState
from spikeprep.cpu.backend import CpuBackend
from spikeprep.cuda import dense
from spikeprep.cuda.backend import CudaBackend
from spikeprep.cuda.constants import leaving_terms, neuron_constants, psp_constants
from spikeprep.cuda.runtime import Runtime
from spikeprep.data import NeuronParams, PackedBatch, PspParams
from spikeprep.errors import CapabilityError
from spikeprep.packing import pack
from spikeprep.train.layers.dense import Dense
from spikeprep.train.network import Network
from spikeprep.train.rules.hm2bp import LossParams

from ..backends.backends import cuda_runtime
from .emulator import EmulatedRuntime, compiler

CPU = CpuBackend(np.float32)


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    """The device, and its true limits again after a test that lowered them."""
    device = cuda_runtime()
    limits = device.shared_limit, device.processors
    yield device
    device.shared_limit, device.processors = limits


def random_batch(samples: int, steps: int, units: int, density: float, ragged: bool = True) -> PackedBatch:
    rng = np.random.default_rng(units + steps)
    own = rng.integers(steps // 2, steps + 1, samples) if ragged else np.full(samples, steps)
    own[0] = steps
    spikes = rng.random((samples, steps, units)) < density
    for b, length in enumerate(own):
        spikes[b, length:] = False
    labels = np.zeros(samples, np.int32)
    return PackedBatch(pack(spikes), own.astype(np.uint32), labels, np.arange(samples))


def random_state(post: int, pre: int) -> WeightState:
    weight = np.random.default_rng(post * pre).uniform(-0.8, 1, (post, pre)).astype(np.float32)
    return WeightState(weight, np.zeros_like(weight), np.zeros_like(weight))


@dataclass
class Pass:
    """What one layer's forward and backward gave, on the host."""

    spikes: np.ndarray
    counts: np.ndarray
    sent: np.ndarray
    gradient: np.ndarray
    weight: np.ndarray

    def same(self, other: Pass) -> bool:
        return all(
            a.tobytes() == b.tobytes() for a, b in zip(vars(self).values(), vars(other).values(), strict=True)
        )


def one_pass(
    ops: Backend, batch: PackedBatch, state: WeightState, lateral: float = 0.0, threshold: float = 2.0
) -> Pass:
    neuron, psp = NeuronParams(threshold), PspParams(40)
    weights, pre = ops.dense_weights(state), ops.upload(batch)
    post = ops.dense_forward(weights, pre, neuron, lateral)
    delta = np.random.default_rng(3).normal(size=(len(batch), state.weight.shape[0]))
    delta[len(batch) // 2] = 0  # a sample without an error
    delta = ops.xp.asarray(delta, ops.dtype)
    sent = ops.to_host(ops.dense_backward(weights, pre, post, delta, None, neuron, psp, True))
    gradient = ops.gradient(weights)
    ops.update(weights, len(batch), UpdateRule("adam", 0.01, 1, strength=0.5))
    return Pass(ops.unpack(post), ops.to_host(ops.counts(post)), sent, gradient, ops.state(weights).weight)


def assert_near(got: Pass, want: Pass, share: float = 1e-5) -> None:
    for a, b in ((got.sent, want.sent), (got.gradient, want.gradient)):
        assert np.abs(a - b).max() <= share * np.abs(b).max()


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(("units", "post"), [(20, 40), (100, 70), (33, 1)])
@pytest.mark.parametrize("lateral", [0.0, 0.3])
def test_float32_spikes_are_the_cpu_s_to_the_bit(units: int, post: int, lateral: float, fused: bool) -> None:
    """Weights of any value, and whatever a compiler fuses: sums in the CPU's order, of products that are rounded."""
    batch, state = random_batch(5, 130, units, 0.15), random_state(post, units)
    ops = CudaBackend(cuda_runtime(fused))
    ours, theirs = one_pass(ops, batch, state, lateral), one_pass(CPU, batch, state, lateral)
    assert theirs.spikes.any()
    np.testing.assert_array_equal(ours.spikes, theirs.spikes)
    np.testing.assert_array_equal(ours.counts, theirs.counts)
    assert_near(ours, theirs)


def test_every_kernel_of_the_forward_pass_fires_alike(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, state = random_batch(3, 70, 40, 0.1), random_state(100, 40)
    want = one_pass(CPU, batch, state)
    monkeypatch.setattr(dense, "_FEW", 0)
    used = []
    launch = type(CudaBackend(runtime)._module("dense.cu")).launch
    monkeypatch.setattr(
        type(CudaBackend(runtime)._module("dense.cu")), "launch",
        lambda self, name, *args, **more: (used.append(name), launch(self, name, *args, **more))[1],
    )  # fmt: skip
    row = 40 * 32 * 4
    static = (2 * 32 + 1) * 32 * 4  # of the gradient's kernel
    for limit, kernel in ((2 * row, "wide"), (row, "narrow"), (row - 1, "cached")):
        runtime.shared_limit = max(limit, static)
        got = CudaBackend(runtime)
        runtime.shared_limit = limit
        weights, pre = got.dense_weights(state), got.upload(batch)
        post = got.dense_forward(weights, pre, NeuronParams(2.0))
        assert used[-1] == f"dense_forward_{kernel}"
        np.testing.assert_array_equal(got.unpack(post), want.spikes)
        np.testing.assert_array_equal(got.to_host(got.counts(post)), want.counts)


@pytest.mark.parametrize(
    ("room", "kernel", "buffers"),
    [
        (2 * 60 + 40, "dense_gradient", 2),
        (60 + 40, "dense_gradient", 1),
        (60 + 39, "dense_gradient_rows_apart", 1),
        (59, "dense_gradient_all_apart", 1),
    ],
)
def test_every_kernel_of_the_gradient_sums_alike(
    runtime: Runtime, room: int, kernel: str, buffers: int
) -> None:
    batch, state = random_batch(6, 60, 40, 0.2), random_state(70, 40)
    ops = CudaBackend(runtime)
    want = one_pass(ops, batch, state)
    runtime.shared_limit = (room + 2 * 32 + 1) * 32 * 4
    assert ops._gradient_kernel(60, 40)[:2] == (kernel, buffers)
    assert one_pass(ops, batch, state).same(want)


@pytest.mark.parametrize("workspace", [1, 40_000])
@pytest.mark.parametrize("few", [0, 8])
def test_slabs_change_nothing(
    runtime: Runtime, workspace: int, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dense, "_FEW", few)
    batch, state = random_batch(7, 50, 40, 0.2), random_state(70, 40)
    want = one_pass(CudaBackend(runtime), batch, state)
    slabs = CudaBackend(runtime, workspace=workspace)
    assert len(list(slabs._slabs(7, 10_000))) > 1
    assert one_pass(slabs, batch, state).same(want)
    gates = slabs.upload(batch)
    e = slabs.to_host(slabs.psp(gates, gates, NeuronParams(2.0), PspParams()))
    whole = CudaBackend(runtime)
    trains = whole.upload(batch)
    np.testing.assert_array_equal(e, whole.to_host(whole.psp(trains, trains, NeuronParams(2.0), PspParams())))


def test_the_number_of_multiprocessors_changes_nothing(runtime: Runtime) -> None:
    batch, state = random_batch(9, 50, 70, 0.2), random_state(70, 70)
    want = one_pass(CudaBackend(runtime), batch, state)
    for processors in (1, 2, 132):
        runtime.processors = processors
        assert one_pass(CudaBackend(runtime), batch, state).same(want)


def test_inhibition_among_more_tiles_than_a_block_has_warps(runtime: Runtime) -> None:
    batch, state = random_batch(2, 40, 10, 0.3), random_state(1100, 10)
    ours, theirs = one_pass(CudaBackend(runtime), batch, state, 0.05), one_pass(CPU, batch, state, 0.05)
    assert theirs.spikes.any()
    np.testing.assert_array_equal(ours.spikes, theirs.spikes)
    np.testing.assert_array_equal(ours.counts, theirs.counts)


def test_more_units_than_an_event_of_16_bits_can_name(runtime: Runtime) -> None:
    batch, state, neuron = random_batch(1, 6, 66_000, 0.002), random_state(3, 66_000), NeuronParams(0.2)
    spikes = []
    for ops in (CudaBackend(runtime), CPU):
        post = ops.dense_forward(ops.dense_weights(state), ops.upload(batch), neuron)
        spikes.append(ops.unpack(post))
    assert spikes[1].any()
    np.testing.assert_array_equal(*spikes)


@pytest.mark.skipif(compiler() is None, reason="the emulator needs Linux and a C++ compiler")
@pytest.mark.parametrize("lateral", [0.0, 0.3])
def test_no_access_goes_astray_and_nothing_unwritten_is_read(
    lateral: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every access checked by the emulator, and fresh memory full of NaN."""
    batch, state = random_batch(4, 45, 37, 0.2), random_state(70, 37)
    want = one_pass(CPU, batch, state, lateral)
    checked = CudaBackend(EmulatedRuntime(checked=True))

    def poisoned(shape: Any, dtype: Any = float) -> np.ndarray:
        array = np.zeros(shape, dtype)
        array.reshape(-1).view(np.uint8)[:] = 0xFF
        return array

    monkeypatch.setattr(np, "empty", poisoned)
    got = one_pass(checked, batch, state, lateral)
    np.testing.assert_array_equal(got.spikes, want.spikes)
    assert_near(got, want)


def test_bits_on_the_device_are_taken_as_they_are(runtime: Runtime) -> None:
    batch, ops = random_batch(3, 45, 20, 0.3), CudaBackend(runtime)
    there = PackedBatch(runtime.to_device(batch.bits), batch.steps, batch.labels, batch.index)
    np.testing.assert_array_equal(ops.unpack(ops.upload(there)), ops.unpack(ops.upload(batch)))


def test_bits_past_a_sample_s_end_are_cleared(runtime: Runtime) -> None:
    ops = CudaBackend(runtime)
    batch = random_batch(3, 45, 20, 0.3)
    dirty = PackedBatch(np.full_like(batch.bits, 255), batch.steps, batch.labels, batch.index)
    spikes = ops.upload(dirty)
    np.testing.assert_array_equal(
        ops.to_host(ops.counts(spikes)), np.repeat(batch.steps[:, None], 20, axis=1)
    )
    np.testing.assert_array_equal(ops.unpack(spikes)[0], True)


@pytest.mark.parametrize(("samples", "steps"), [(0, 20), (3, 0), (1, 1)])
def test_batches_of_nothing(runtime: Runtime, samples: int, steps: int) -> None:
    own = np.full(samples, steps, np.uint32)
    bits = np.zeros((samples, 5, -(-steps // 8)), np.uint8)
    batch = PackedBatch(bits, own, np.zeros(samples, np.int32), np.arange(samples))
    ops, state, neuron, psp = CudaBackend(runtime), random_state(40, 5), NeuronParams(2.0), PspParams()
    weights, pre = ops.dense_weights(state), ops.upload(batch)
    for lateral in (0.0, 1.0):
        post = ops.dense_forward(weights, pre, neuron, lateral)
        assert ops.unpack(post).shape == (samples, steps if samples else 0, 40)
        assert not ops.to_host(ops.counts(post)).any()
        delta = ops.xp.ones((samples, 40), ops.dtype)
        sent = ops.dense_backward(weights, pre, post, delta, None, neuron, psp, True)
        assert sent.shape == (samples, 5)
        assert not ops.gradient(weights).any()
        assert ops.psp(pre, post, neuron, psp).shape == (samples, 40, 5)


def test_a_step_of_training_waits_for_nothing_and_launches_little(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the first batch has chosen each layer's way, a step reaches its end before the device needs to."""
    ops = CudaBackend(runtime)
    layers = [
        Dense(ops.dense_weights(random_state(post, pre)), NeuronParams(3.0), lateral)
        for pre, post, lateral in ((40, 70, 0.0), (70, 10, 1.0))
    ]
    net = Network(ops, tuple(layers), LossParams(), PspParams(40))
    batch = random_batch(4, 60, 40, 0.2)
    there = PackedBatch(runtime.to_device(batch.bits), batch.steps, batch.labels, batch.index)
    net.train_step(there, UpdateRule("adam", 0.01, 1, strength=0.1))

    def waits(*_: Any) -> None:
        raise AssertionError("the host waits for the device")

    for name in ("to_host", "to_device", "synchronize"):
        monkeypatch.setattr(runtime, name, waits)
    launched: list[str] = []
    module = type(ops._module("dense.cu"))
    launch = module.launch
    monkeypatch.setattr(
        module, "launch", lambda self, name, *a, **k: (launched.append(name), launch(self, name, *a, **k))[1]
    )
    spikes = net.forward(there)
    monkeypatch.setattr(ops, "to_host", lambda array: array)  # the loss, which the caller gets
    net.backward(spikes, batch.labels)
    for layer in net.layers:
        ops.update(layer.weights, 4, UpdateRule("adam", 0.01, 2, strength=0.1))
    assert len(launched) <= 24, launched


def test_a_refractory_time_beyond_a_word_is_refused(runtime: Runtime) -> None:
    ops = CudaBackend(runtime)
    spikes = ops.upload(random_batch(1, 80, 3, 0.1))
    with pytest.raises(CapabilityError, match="at most 32 on a GPU"):
        ops.gate(spikes, NeuronParams(1.0, refractory=33), PspParams())
    gates = ops.to_host(ops.gate(spikes, NeuronParams(1.0, refractory=32), PspParams()))
    theirs = CPU.upload(random_batch(1, 80, 3, 0.1))
    want = CPU.gate(theirs, NeuronParams(1.0, refractory=32), PspParams())
    np.testing.assert_allclose(gates, want, atol=1e-5 * np.abs(want).max())


@pytest.mark.parametrize("window", [None, 40, 2, 1])
def test_what_leaves_the_window_is_what_came_in(window: int | None) -> None:
    """Each term B is α(s) faded over the rest of the window, and a window without a step has none."""
    neuron, psp = NeuronParams(1.0), PspParams(window)
    terms = leaving_terms(neuron, psp, 100, np.dtype(np.float64))
    distance = 101 if window is None else max(window - 2, -1) + 1
    assert len(terms) == max(distance, 1)
    alpha = lambda x: (np.exp(-x / 64) - np.exp(-x / 8)) / (1 - 8 / 64)  # noqa: E731
    for s in range(1, distance):
        assert terms[s] == pytest.approx(alpha(s) * np.exp(-(distance - s) / 8), rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_structures_are_laid_out_as_c_lays_them_out(dtype: Any) -> None:
    real = np.dtype(dtype).itemsize
    neuron = neuron_constants(NeuronParams(1.0), np.dtype(dtype))
    psp = psp_constants(NeuronParams(1.0), PspParams(), 10, np.dtype(dtype))
    assert neuron.dtype.itemsize == (20 if real == 4 else 40)
    assert psp.dtype.itemsize == (36 if real == 4 else 64)
    assert psp.dtype.fields is not None
    assert psp.dtype.fields["refractory"][1] == 7 * real
