"""The CUDA backend's guarantees beyond the contract: the CPU's spikes to the bit, for any kernel, slice and device."""

from __future__ import annotations

import gc
import itertools
import weakref
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from spikeprep.backend import Backend, DeviceLayer, ErrorSignal, OptimiserStep, ParameterState
from spikeprep.composition import device_layer
from spikeprep.cpu.backend import CpuBackend
from spikeprep.cuda import conv, dense
from spikeprep.cuda.backend import CudaBackend
from spikeprep.cuda.constants import leaving_terms, neuron_constants, psp_constants
from spikeprep.cuda.runtime import Runtime
from spikeprep.data import Hm2bpConstants, NeuronParams, PackedBatch, PspParams
from spikeprep.errors import CapabilityError
from spikeprep.packing import pack
from spikeprep.reference.backend import ReferenceBackend
from spikeprep.train.layers import build_layers
from spikeprep.train.layers.dense import Dense
from spikeprep.train.network import build_network, initial_states
from spikeprep.train.optimiser import OptimiserSettings
from spikeprep.train.rules.hm2bp import Hm2bp, PspSettings
from spikeprep.train.rules.loss import LossSettings

from ..backends.backends import cuda_runtime
from .emulator import EmulatedRuntime, compiler

CPU = CpuBackend(np.float32)
PSP = PspParams(40)


def random_batch(samples: int, steps: int, units: int, density: float) -> PackedBatch:
    """Random spikes, samples of unequal length."""
    rng = np.random.default_rng(units + steps)
    lengths = rng.integers(steps // 2, steps + 1, samples)
    lengths[0] = steps
    spikes = rng.random((samples, steps, units)) < density
    for b, length in enumerate(lengths):
        spikes[b, length:] = False
    labels = np.zeros(samples, np.int32)
    return PackedBatch(pack(spikes), lengths.astype(np.uint32), labels, np.arange(samples))


def random_weight(post: int, pre: int) -> np.ndarray:
    return np.random.default_rng(post * pre).uniform(-0.8, 1, (post, pre)).astype(np.float32)


def dense_layer(ops: Backend, weight: np.ndarray, fused: bool = True) -> DeviceLayer:
    """Return a fully connected layer under HM2-BP."""
    post, pre = weight.shape
    states = {"weight": ParameterState.fresh(weight.astype(ops.dtype))}
    return device_layer(ops, Hm2bp(), Dense((pre,), post), states, fused=fused)


def constants(threshold: float = 2.0, lateral: float = 0.0, floor: float | None = None) -> Hm2bpConstants:
    return Hm2bpConstants(NeuronParams(threshold), PSP, lateral, floor)


@dataclass
class Pass:
    """Results of one layer's forward and backward pass, on the host."""

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
    ops: Backend,
    batch: PackedBatch,
    weight: np.ndarray,
    layer_constants: Hm2bpConstants | None = None,
    fused: bool = True,
) -> Pass:
    layer_constants = layer_constants or constants()
    layer, pre = dense_layer(ops, weight, fused), ops.upload(batch)
    post = layer.forward(pre, layer_constants)
    error = 2 * np.random.default_rng(3).normal(size=(len(batch), len(weight)))
    error[len(batch) // 2] = 0  # a sample without an error
    signal = ErrorSignal(ops.array(error.astype(ops.dtype)))
    sent = ops.to_host(layer.backward(pre, post, signal, layer_constants, True))
    parameter = layer.parameters["weight"]
    gradient = parameter.gradient()
    parameter.update(len(batch), OptimiserStep("adam", 0.01, 1, strength=0.5))
    return Pass(ops.unpack(post), ops.to_host(ops.counts(post)), sent, gradient, parameter.state().value)


def assert_near(got: Pass, want: Pass, share: float = 1e-5) -> None:
    for a, b in ((got.sent, want.sent), (got.gradient, want.gradient)):
        assert np.abs(a - b).max() <= share * np.abs(b).max()


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(("units", "post"), [(20, 40), (100, 70), (33, 1)])
@pytest.mark.parametrize("lateral", [0.0, 0.3])
def test_float32_spikes_equal_the_cpu_s(units: int, post: int, lateral: float, fused: bool) -> None:
    """For any weights, and whatever the compiler fuses: the CPU's order of sums, products rounded separately."""
    batch, weight = random_batch(5, 130, units, 0.15), random_weight(post, units)
    ops = CudaBackend(cuda_runtime(fused))
    ours, theirs = (one_pass(o, batch, weight, constants(lateral=lateral)) for o in (ops, CPU))
    assert theirs.spikes.any()
    np.testing.assert_array_equal(ours.spikes, theirs.spikes)
    np.testing.assert_array_equal(ours.counts, theirs.counts)
    assert_near(ours, theirs)


def record_launches(ops: CudaBackend, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that gets the name of every kernel launched from now on."""
    launched: list[str] = []
    module = type(ops.module("dense.cu"))
    launch = module.launch
    monkeypatch.setattr(
        module, "launch", lambda self, name, *a, **k: (launched.append(name), launch(self, name, *a, **k))[1]
    )
    return launched


@pytest.mark.parametrize("threshold", [2.0, 1e-7])
def test_every_kernel_of_the_forward_pass_fires_alike(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, threshold: float
) -> None:
    """With a threshold below the slack every neuron fires unless inhibited, but no lane past the last neuron."""
    batch, weight = random_batch(3, 70, 40, 0.1), random_weight(100, 40)
    want = one_pass(CPU, batch, weight, constants(threshold))
    monkeypatch.setattr(dense, "_MIN_WARPS", 0)
    launched = record_launches(CudaBackend(runtime), monkeypatch)
    row = 40 * 32 * 4
    static = (2 * 32 + 1) * 32 * 4  # of the gradient's kernel
    for limit, kernel in ((2 * row, "wide"), (row, "narrow"), (row - 1, "cached")):
        runtime.shared_limit = max(limit, static)
        ops = CudaBackend(runtime)
        runtime.shared_limit = limit
        layer, pre = dense_layer(ops, weight), ops.upload(batch)
        post = layer.forward(pre, constants(threshold))
        assert launched[-1] == f"dense_forward_{kernel}"
        assert_spikes(ops, post, want.spikes)


def assert_spikes(ops: CudaBackend, spikes: Any, want: np.ndarray) -> None:
    """Words in both orders and counts are those of the trains (sample, time, unit), and nothing else."""
    units, tiles = want.shape[2], -(-want.shape[2] // 32)
    np.testing.assert_array_equal(ops.unpack(spikes), want)
    np.testing.assert_array_equal(ops.to_host(ops.counts(spikes)), want.sum(axis=1))
    lanes = np.zeros((*want.shape[:2], 32 * tiles), bool)
    lanes[:, :, :units] = want
    words = np.packbits(lanes, axis=2, bitorder="little").view("<u4")
    np.testing.assert_array_equal(ops.to_host(spikes.by_step()), words)
    assert spikes.by_unit.shape[1] == units


@pytest.mark.parametrize("threshold", [2.0, 1e-7])
@pytest.mark.parametrize(("units", "lateral"), [(33, 0.0), (33, 0.3), (64, 0.0), (1100, 0.05)])
def test_neurons_on_a_drive(units: int, lateral: float, threshold: float) -> None:
    """Without input a threshold below the slack makes every neuron fire, and no lane past the last one."""
    rng, steps = np.random.default_rng(units), np.array([40, 21])
    drive = (rng.integers(-8, 12, (2, 40, units)) / 8).astype(np.float32)
    drive[1, 21:] = 0
    neuron, ops, reference = NeuronParams(threshold), CudaBackend(cuda_runtime()), ReferenceBackend()
    want = reference.unpack(reference.simulate(drive.astype(float), steps, neuron, lateral))
    assert want.any()
    assert_spikes(ops, ops.simulate(ops.array(drive), steps, neuron, lateral), want)
    trace, exact = (o.trace_neurons(drive[0], neuron) for o in (ops, reference))
    np.testing.assert_array_equal(trace.spikes, exact.spikes)
    np.testing.assert_allclose(trace.membrane, exact.membrane, atol=1e-4)
    np.testing.assert_allclose(trace.current, exact.current, atol=1e-4)


@pytest.mark.parametrize("products", ["events", "matrix"])
@pytest.mark.parametrize("floor", [None, 0.1, 1.0])
def test_the_floor_of_one_plus_sigma(floor: float | None, products: Any) -> None:
    """Negative weights from inputs that fire much: 1 + σ of most neurons is below any floor without one."""
    batch = random_batch(4, 60, 40, 0.2)
    weight = np.round(random_weight(70, 40) * 8) / 8
    weight[:35, :20] -= 4  # many silent, with σ far below −1
    layer_constants = constants(0.5, floor=floor)
    ops = CudaBackend(cuda_runtime(), products=products)
    want = one_pass(ReferenceBackend(), batch, weight, layer_constants)
    for fused in (True, False):
        got = one_pass(ops, batch, weight, layer_constants, fused)
        np.testing.assert_array_equal(got.spikes, want.spikes)
        assert_near(got, want)
    if floor is not None:
        free = one_pass(ReferenceBackend(), batch, weight, replace(layer_constants, gain_floor=None))
        assert np.abs(free.gradient - want.gradient).max() > 0.1 * np.abs(want.gradient).max()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_spikes_as_numbers(dtype: Any, runtime: Runtime) -> None:
    """Of packed input, whose words by step are computed, and of a layer's output, which has them."""
    ops, batch = CudaBackend(runtime, dtype), random_batch(3, 45, 37, 0.2)
    pre = ops.upload(batch)
    post = dense_layer(ops, random_weight(70, 37)).forward(pre, constants())
    for spikes in (pre, post):
        numbers = ops.dense(spikes)
        assert isinstance(numbers, ops.xp.ndarray)
        assert numbers.dtype == dtype
        np.testing.assert_array_equal(ops.to_host(numbers), ops.unpack(spikes))


@pytest.mark.parametrize(
    ("rows", "kernel", "buffers"),
    [
        (2 * 60 + 40, "dense_gradient", 2),
        (60 + 40, "dense_gradient", 1),
        (60 + 39, "dense_gradient_rows_apart", 1),
        (59, "dense_gradient_all_apart", 1),
    ],
)
@pytest.mark.parametrize("groups", [4, 128])  # blocks of several samples, and of one
def test_every_kernel_of_the_gradient_sums_alike(
    runtime: Runtime, rows: int, kernel: str, buffers: int, groups: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dense, "_GROUPS", groups)
    batch, weight = random_batch(6, 60, 40, 0.2), random_weight(70, 40)
    ops = CudaBackend(runtime)
    want = one_pass(ops, batch, weight)
    runtime.shared_limit = (rows + 2 * 32) * 32 * 4
    layer = dense_layer(ops, weight)
    assert isinstance(layer, dense.Hm2bpDense)
    assert layer._gradient_kernel(60, 40)[:2] == (kernel, buffers)
    assert one_pass(ops, batch, weight).same(want)


def test_the_workspace_is_a_share_of_the_free_memory(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    for free, workspace in ((80 << 30, 5 << 30), (16 << 30, 1 << 30), (1 << 30, 1 << 28)):
        monkeypatch.setattr(runtime, "memory", lambda free=free: (free, 1 << 40))
        assert CudaBackend(runtime).workspace == workspace
    assert CudaBackend(runtime, workspace=7).workspace == 7


@pytest.mark.parametrize("workspace", [1, 40_000])
@pytest.mark.parametrize("min_warps", [0, 8])
def test_results_do_not_depend_on_the_workspace(
    runtime: Runtime, workspace: int, min_warps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dense, "_MIN_WARPS", min_warps)
    batch, weight = random_batch(7, 50, 40, 0.2), random_weight(70, 40)
    large, small = CudaBackend(runtime), CudaBackend(runtime, workspace=workspace)
    assert len(list(small.sample_slices(7, 10_000))) > 1
    assert one_pass(small, batch, weight).same(one_pass(large, batch, weight))
    trains = [ops.upload(batch) for ops in (small, large)]
    e = [
        o.to_host(o.psp(t, t, NeuronParams(2.0), PspParams()))
        for o, t in zip((small, large), trains, strict=True)
    ]
    np.testing.assert_array_equal(*e)


def spatial_pass(backend: CudaBackend) -> list[np.ndarray]:
    """Return spikes and gradients of convolutions and a pool under a network of random weights."""
    layers = build_layers("5C3p1-P2-9C2-6C2", (4, 6, 7), 3, "first")
    rule = Hm2bp(
        (1.0, 0.8, 1.0, 0.5, 0.5), psp=PspSettings(20), loss=LossSettings(target=5, off_target=1, margin=1)
    )
    states = initial_states(rule, layers, 1.0, 0, backend.dtype)
    net = build_network(backend, rule, layers, states)
    spikes = net.forward(random_batch(5, 120, 4 * 6 * 7, 0.1))
    net.backward(spikes, np.zeros(5, np.int32))
    gradients = [p.gradient() for layer in net.devices for p in layer.parameters.values()]
    return [*(backend.unpack(s) for s in spikes[1:]), *gradients]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("workspace", "staged"), [(1, 1 << 16), (200_000, 1 << 16), (1 << 30, 100)])
def test_convolutions_do_not_depend_on_the_workspace_or_the_kernel(
    runtime: Runtime, dtype: Any, workspace: int, staged: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    want = spatial_pass(CudaBackend(runtime, dtype))
    assert all(array.any() for array in want)
    monkeypatch.setattr(conv, "STAGED", staged)
    got = spatial_pass(CudaBackend(runtime, dtype, workspace))
    for a, b in zip(want, got, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_gradient_whose_sums_are_in_global_memory(
    runtime: Runtime, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    want = spatial_pass(CudaBackend(runtime, dtype))
    monkeypatch.setattr(conv, "SHARED", 1500)
    got = spatial_pass(CudaBackend(runtime, dtype))
    for a, b in zip(want, got, strict=True):  # places are divided in another way, so sums round otherwise
        np.testing.assert_allclose(a, b, rtol=0, atol=np.abs(a).max() * 20 * np.finfo(dtype).eps)


@pytest.mark.parametrize("arch", ["1C1", "P1"])
def test_a_grid_that_kernels_cannot_name_is_refused(runtime: Runtime, arch: str) -> None:
    ops, rule = CudaBackend(runtime), Hm2bp((1.0, 1.0))
    for shape in ((2**15 + 1, 1), (1, 2**16 + 1)):
        layers = build_layers(arch, shape, 2)
        states = initial_states(rule, layers, 1.0, 0, ops.dtype)
        with pytest.raises(CapabilityError, match="at most 32,768 rows and 65,536 columns on a GPU"):
            build_network(ops, rule, layers, states)


def test_results_do_not_depend_on_the_number_of_multiprocessors(runtime: Runtime) -> None:
    batch, weight = random_batch(9, 50, 70, 0.2), random_weight(70, 70)
    want = one_pass(CudaBackend(runtime), batch, weight)
    for processors in (1, 2, 132):
        runtime.processors = processors
        assert one_pass(CudaBackend(runtime), batch, weight).same(want)


def test_inhibition_among_more_tiles_than_a_block_has_warps(runtime: Runtime) -> None:
    batch, weight = random_batch(2, 40, 10, 0.3), random_weight(1100, 10)
    ours, theirs = (
        one_pass(ops, batch, weight, constants(lateral=0.05)) for ops in (CudaBackend(runtime), CPU)
    )
    assert theirs.spikes.any()
    np.testing.assert_array_equal(ours.spikes, theirs.spikes)
    np.testing.assert_array_equal(ours.counts, theirs.counts)


def test_more_units_than_an_event_of_16_bits_can_name(runtime: Runtime) -> None:
    batch, weight = random_batch(1, 6, 66_000, 0.002), random_weight(3, 66_000)
    spikes = []
    for ops in (CudaBackend(runtime), CPU):
        spikes.append(ops.unpack(dense_layer(ops, weight).forward(ops.upload(batch), constants(0.2))))
    assert spikes[1].any()
    np.testing.assert_array_equal(*spikes)


@pytest.mark.skipif(compiler() is None, reason="the emulator needs Linux and a C++ compiler")
@pytest.mark.parametrize(("lateral", "fused"), [(0.0, True), (0.3, True), (0.0, False)])
def test_memory_accesses_are_valid_and_initialised(
    lateral: float, fused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The emulator checks every access, and new memory is full of NaN."""
    batch, weight = random_batch(4, 45, 37, 0.2), random_weight(70, 37)
    want = one_pass(CPU, batch, weight, constants(lateral=lateral))
    checked = CudaBackend(EmulatedRuntime(checked=True))

    def poisoned(shape: Any, dtype: Any = float) -> np.ndarray:
        array = np.zeros(shape, dtype)
        array.reshape(-1).view(np.uint8)[:] = 0xFF
        return array

    monkeypatch.setattr(np, "empty", poisoned)
    got = one_pass(checked, batch, weight, constants(lateral=lateral), fused)
    if fused:  # a matrix product adds in another order than the CPU's events
        np.testing.assert_array_equal(got.spikes, want.spikes)
        assert_near(got, want)
    assert np.isfinite(got.gradient).all()
    assert np.isfinite(got.sent).all()


def test_bits_on_the_device_need_no_copy(runtime: Runtime) -> None:
    batch, ops = random_batch(3, 45, 20, 0.3), CudaBackend(runtime)
    on_device = replace(batch, bits=runtime.to_device(batch.bits))
    np.testing.assert_array_equal(ops.unpack(ops.upload(on_device)), ops.unpack(ops.upload(batch)))


def test_bits_past_a_sample_s_end_are_cleared(runtime: Runtime) -> None:
    ops = CudaBackend(runtime)
    batch = random_batch(3, 45, 20, 0.3)
    spikes = ops.upload(replace(batch, bits=np.full_like(batch.bits, 255)))
    np.testing.assert_array_equal(
        ops.to_host(ops.counts(spikes)), np.repeat(batch.steps[:, None], 20, axis=1)
    )
    np.testing.assert_array_equal(ops.unpack(spikes)[0], True)


@pytest.mark.parametrize(("samples", "steps"), [(0, 20), (3, 0), (1, 1)])
def test_empty_batches(runtime: Runtime, samples: int, steps: int) -> None:
    lengths = np.full(samples, steps, np.uint32)
    bits = np.zeros((samples, 5, -(-steps // 8)), np.uint8)
    batch = PackedBatch(bits, lengths, np.zeros(samples, np.int32), np.arange(samples))
    ops = CudaBackend(runtime)
    longest = steps if samples else 0
    for lateral in (0.0, 1.0):
        layer, pre = dense_layer(ops, random_weight(40, 5)), ops.upload(batch)
        post = layer.forward(pre, constants(lateral=lateral))
        assert ops.unpack(post).shape == (samples, longest, 40)
        assert ops.dense(post).shape == (samples, longest, 40)
        assert not ops.to_host(ops.counts(post)).any()
        signal = ErrorSignal(ops.xp.ones((samples, 40), ops.dtype))
        sent = layer.backward(pre, post, signal, constants(lateral=lateral), True)
        assert sent is not None
        assert sent.shape == (samples, 5)
        assert not layer.parameters["weight"].gradient().any()
        assert ops.psp(pre, post, NeuronParams(2.0), PSP).shape == (samples, 40, 5)
        drive = ops.xp.ones((samples, longest, 40), ops.dtype)
        assert ops.unpack(ops.simulate(drive, pre.steps, NeuronParams(2.0), lateral)).shape == drive.shape


def test_a_training_step_never_waits_and_launches_few_kernels(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the first batch, which decides how each layer is computed, the host only queues work."""
    ops = CudaBackend(runtime)
    sizes = (40, 70, 10)
    rule = Hm2bp(thresholds=3.0, psp=PspSettings(window=40), loss=LossSettings(target=15))
    states = [
        {"weight": ParameterState.fresh(random_weight(post, pre))} for pre, post in itertools.pairwise(sizes)
    ]
    layers = [Dense((pre,), post) for pre, post in itertools.pairwise(sizes)]
    net = build_network(ops, rule, layers, states)
    batch = random_batch(4, 60, 40, 0.2)
    on_device = replace(batch, bits=runtime.to_device(batch.bits))
    net.train_step(on_device, OptimiserSettings(), 1, 0.01)

    def waits(*_: Any) -> None:
        raise AssertionError("the host waits for the device")

    for name in ("to_host", "to_device", "synchronize"):
        monkeypatch.setattr(runtime, name, waits)
    launched = record_launches(ops, monkeypatch)
    result = net.train_step(on_device, OptimiserSettings(), 2, 0.01)
    assert len(launched) <= 30, launched
    assert result.counts.shape == (4, 10)


@pytest.mark.skipif(compiler() is None, reason="the emulator needs Linux and a C++ compiler")
def test_a_result_that_nobody_reads_keeps_its_memory_until_it_has_arrived(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """CuPy hands pinned memory that is let go to the next copy, while the device may still write to it."""
    lazy = EmulatedRuntime(lazy=True, twice=False)
    handed: list[weakref.ref[np.ndarray]] = []

    def copy_out(device: Any, host: np.ndarray) -> None:
        memory = weakref.ref(host)  # a copy that is queued keeps nothing alive
        handed.append(memory)
        lazy.current().give(lambda: np.copyto(memory(), device.host))  # type: ignore[arg-type]

    monkeypatch.setattr(lazy, "copy_out", copy_out)
    ops = CudaBackend(lazy)
    with lazy.stream() as stream:
        for n in range(2):
            ops.fetch(lazy.to_device(np.full(8, n, np.float32)))
        gc.collect()
        assert all(memory() is not None for memory in handed)
        stream.synchronize()
        wait = ops.fetch(lazy.to_device(np.full(8, 2, np.float32)))
        gc.collect()
        assert [memory() is None for memory in handed] == [True, True, False]
        np.testing.assert_array_equal(wait(), np.full(8, 2, np.float32))


def test_a_refractory_time_beyond_a_word_is_refused(runtime: Runtime) -> None:
    ops = CudaBackend(runtime)
    spikes = ops.upload(random_batch(1, 80, 3, 0.1))
    with pytest.raises(CapabilityError, match="at most 32 on a GPU"):
        ops.gate(spikes, NeuronParams(1.0, refractory=33), PspParams())
    gates = ops.to_host(ops.gate(spikes, NeuronParams(1.0, refractory=32), PspParams()))
    want = CPU.gate(CPU.upload(random_batch(1, 80, 3, 0.1)), NeuronParams(1.0, refractory=32), PspParams())
    np.testing.assert_allclose(gates, want, atol=1e-5 * np.abs(want).max())


@pytest.mark.parametrize("window", [None, 40, 2, 1])
def test_leaving_terms(window: int | None) -> None:
    """Each term B is α(s) decayed over the rest of the window; a window without a step has none."""
    neuron, psp = NeuronParams(1.0), PspParams(window)
    terms = leaving_terms(neuron, psp, 100, np.dtype(np.float64))
    distance = 101 if window is None else max(window - 2, -1) + 1
    assert len(terms) == max(distance, 1)
    alpha = lambda x: (np.exp(-x / 64) - np.exp(-x / 8)) / (1 - 8 / 64)  # noqa: E731
    for s in range(1, distance):
        assert terms[s] == pytest.approx(alpha(s) * np.exp(-(distance - s) / 8), rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_structures_have_the_layout_of_c(dtype: Any) -> None:
    real = np.dtype(dtype).itemsize
    neuron = neuron_constants(NeuronParams(1.0), np.dtype(dtype))
    psp = psp_constants(NeuronParams(1.0), PspParams(), 10, np.dtype(dtype))
    assert neuron.itemsize == (20 if real == 4 else 40)
    assert psp.itemsize == (40 if real == 4 else 72)
    assert np.frombuffer(psp.tobytes(), np.int32, 2, 8 * real).tolist() == [2, 10]  # refractory, reach
