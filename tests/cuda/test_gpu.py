"""Tests of a real device that also run emulated: training twice, comparison with the CPU, and the runtime.

The tests of backends (tests/backends, tests/cuda) run on the GPU that SPIKEPREP_TEST_GPU names; `make gpu-test` runs
all of them there, and compute-sanitizer over tests/cuda/walk.py.
"""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest

from benchmarks.gpu_sections import Unrecorded
from spikeprep.backend import Backend
from spikeprep.cpu.backend import CpuBackend
from spikeprep.cuda.backend import CudaBackend
from spikeprep.cuda.gpu import CupyRuntime
from spikeprep.cuda.runtime import KERNELS, Runtime, source
from spikeprep.data import PackedBatch
from spikeprep.testing.networks import random_batch

from . import walk
from .devices import GPU, gpu
from .emulator import EmulatedRuntime, build, compiler
from .emulator.runtime import EmulatedModule

RIGHT = build.HERE / "kernels" / "right.cu"


@pytest.fixture(params=["emulated", GPU])
def runtime(request: pytest.FixtureRequest) -> Runtime:
    if request.param == "gpu":
        return gpu(fused=True)  # as in use
    if compiler() is None:
        pytest.skip("the emulator needs Linux and a C++ compiler")
    return EmulatedRuntime()


def trained(
    ops: Backend, batches: list[PackedBatch], kind: str = "adam"
) -> tuple[list[bytes], list[np.ndarray]]:
    """Train a network of two layers, and return its weights and moments, and every batch's output counts."""
    net, counts = walk.network(ops, (40, 36, 10), 0.5, target=6), []
    settings = walk.optimiser(kind, 0.1)
    for step, batch in enumerate(batches, 1):
        counts.append(net.train_step(batch, settings, step, settings.rate).counts)
    states = [layer["weight"] for layer in net.states()]
    return [a.tobytes() for s in states for a in (s.value, s.moment, s.variance)], counts


def batches(number: int) -> list[PackedBatch]:
    return [walk.batch(6, 60 + n, 40, 10) for n in range(number)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_training_twice_gives_the_same_bits(runtime, dtype):
    once, again = (trained(CudaBackend(runtime, dtype), batches(2)) for _ in range(2))
    assert once[0] == again[0]
    small = trained(CudaBackend(runtime, dtype, workspace=1), batches(2))
    assert small[0] == once[0]
    assert any(counts.any() for counts in once[1])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_replayed_passes_are_the_passes(runtime, dtype, weighted):
    """Batches of two shapes, in turns, recorded and not: the same bits."""
    full, rest = (
        [random_batch(n, 40, 10, samples=samples, steps=steps, density=0.1) for n in range(number)]
        for number, samples, steps in ((8, 6, 60), (4, 4, 37))
    )
    order = [*full[:4], rest[0], rest[1], *full[4:6], rest[2], *full[6:], rest[3]]
    results = []
    for backend in (CudaBackend(runtime, dtype), Unrecorded(runtime, dtype)):
        net, values = walk.network(backend, (40, 36, 10), 0.5, target=6), []
        for step, batch in enumerate(order, 1):
            weight = np.linspace(0.5, 2, len(batch)) * step if weighted else None
            result = net.train_step(batch, walk.optimiser(), step, 0.01, sample_weight=weight)
            values += [result.loss.tobytes(), result.rates, result.counts.tobytes()]
        results.append((values, [layer["weight"].value.tobytes() for layer in net.states()]))
        recordings = getattr(net._pass, "_recordings", {})
        assert len(recordings) == (2 if type(backend) is CudaBackend else 0)
    assert results[0] == results[1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_step_is_the_cpu_s(runtime, dtype):
    """Equal spikes; changes of a step of gradient descent within the rounding of the precision."""
    near = 1e-4 if dtype is np.float32 else 1e-11
    start = trained(CpuBackend(dtype), [])[0]
    (cpu, counts), (cuda, other) = (
        trained(o, batches(1), "sgd") for o in (CpuBackend(dtype), CudaBackend(runtime, dtype))
    )
    np.testing.assert_array_equal(counts[0], other[0])
    for layer in (0, 3):
        before, want, got = (np.frombuffer(state[layer], dtype) for state in (start, cpu, cuda))
        moved = np.abs(want - before).max()
        assert moved > 1e-4
        assert np.abs(got - want).max() <= near * moved + 2 * np.finfo(dtype).eps


def test_copies_beside_the_work(runtime):
    """Pinned memory to the device and back on separate streams, ordered by events alone."""
    size, copies, back = 1 << 16, runtime.stream(), runtime.stream()
    host, result = runtime.pinned(size, np.int32), runtime.pinned(size, np.int32)
    device = runtime.to_device(np.zeros(size, np.int32))
    for turn in range(5):
        host[:] = np.arange(size) + turn
        with copies:
            began = copies.record(timed=True)
            runtime.copy_in(host, device)
            copied = copies.record(timed=True)
        runtime.current().wait(copied)
        doubled = device * 2
        computed = runtime.current().record()
        back.wait(computed)
        with back:
            runtime.copy_out(doubled, result)
        back.synchronize()
        copied.synchronize()
        assert computed.done()
        assert copied.seconds_since(began) >= 0
        np.testing.assert_array_equal(result, 2 * (np.arange(size, dtype=np.int32) + turn))


def test_work_from_other_threads(runtime):
    """A thread that activates the device uses the same memory."""
    device, results = runtime.to_device(np.arange(100, dtype=np.float32)), []

    def work() -> None:
        with runtime.active(), runtime.stream() as stream:
            out = runtime.xp.zeros_like(device)
            runtime.module(RIGHT).launch("reverse", 1, 100, device, out, shared=400)
            stream.synchronize()
            results.append(runtime.to_host(out))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    np.testing.assert_array_equal(results[0], np.arange(100)[::-1])


def test_more_shared_memory_than_the_default(runtime):
    x = runtime.to_device(np.arange(64, dtype=np.float32))
    out = runtime.xp.zeros_like(x)
    assert runtime.shared_limit > 90_000
    runtime.module(RIGHT).launch("reverse", 1, 64, x, out, shared=90_000)
    np.testing.assert_array_equal(runtime.to_host(out), np.arange(64)[::-1])


def test_facts(runtime):
    free, total = runtime.memory()
    assert 0 < free <= total
    assert json.loads(json.dumps(runtime.facts()))["device"] == runtime.name
    assert runtime.processors > 0


@pytest.mark.gpu
def test_kernels_do_not_spill_registers():
    """As the driver reports; NVRTC's report is tested without a GPU too (test_nvrtc.py)."""
    runtime: CupyRuntime = gpu(fused=True)
    for file in sorted(KERNELS.glob("*.cu")):
        module = runtime.module(file.name, REAL="float", ID_BITS=16)
        for name, _ in build.kernels_in(build.preprocessed(source(file), ["-DREAL=float", "-DID_BITS=16"])):
            assert module.attributes(name)["local_size_bytes"] <= 64, name


@pytest.mark.skipif(compiler() is None, reason="the emulator needs Linux and a C++ compiler")
def test_the_walk_launches_every_kernel(monkeypatch):
    launched, launch = set(), EmulatedModule.launch

    def record(self, name, *args, **more):
        launched.add((self.path.name, name))
        launch(self, name, *args, **more)

    monkeypatch.setattr(EmulatedModule, "launch", record)
    walk.walk(EmulatedRuntime(twice=False))
    files = sorted(KERNELS.glob("*.cu"))
    assert launched == {
        (file.name, name)
        for file in files
        for name, _ in build.kernels_in(build.preprocessed(source(file), []))
    }


@pytest.mark.slow
@pytest.mark.skipif(compiler() is None, reason="the emulator needs Linux and a C++ compiler")
def test_memory_accesses_of_the_walk_are_valid():
    """The checks of compute-sanitizer on a GPU: races, accesses out of bounds, uninitialised reads."""
    walk.walk(EmulatedRuntime(checked=True, twice=False))
