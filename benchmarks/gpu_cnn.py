"""The section `cnn` of `benchmarks.gpu`: MNIST's convolutional network, its launches and its epoch."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.gpu_tasks import Samples
from spikeprep.backend import Backend
from spikeprep.cpu.backend import CpuBackend
from spikeprep.cuda.backend import CudaBackend
from spikeprep.train.layers import build_layers
from spikeprep.train.network import Network, build_network, initial_states
from spikeprep.train.optimiser import OptimiserSettings
from spikeprep.train.rules.hm2bp import Hm2bp
from spikeprep.train.rules.loss import LossSettings

if TYPE_CHECKING:
    from benchmarks.gpu_sections import Bench

ARCH, SIDE, CLASSES = "15C5-P2-40C5-P2-300", 28, 10
THRESHOLDS = (5.0, 2.0, 12.0, 4.0, 10.0, 10.0)  # published
BATCHES = (32, 128)
EPOCH = 60_000


def cnn(bench: Bench) -> dict[str, Any]:
    """Compare a batch with the CPU, time each launch of a step (batch 128), and an epoch by size of the batch."""
    from benchmarks.gpu_sections import Unrecorded, launches

    small = bench.emulated
    arch, side, steps = ("3C3-P2-8", 10, 40) if small else (ARCH, SIDE, 400)
    samples = _samples(bench, side, steps)
    results: dict[str, Any] = {"arch": arch, "check": _check(bench, arch, side, samples)}
    batch = samples.batch(slice(0, min(BATCHES[-1], len(samples.labels))))
    net = _network(Unrecorded(bench.runtime), arch, side)
    times: dict[str, list[float]] = defaultdict(list)
    for number in range(1, 4 + bench.repeats // 3):
        bench.runtime.synchronize()
        bench.occupy()
        with launches(bench.runtime) as launched:
            _step(net, batch, number)
            bench.runtime.synchronize()
        if number < 3:  # kernels are compiled
            continue
        seen: dict[str, int] = defaultdict(int)
        for name, before, after in launched:
            seen[name] += 1
            times[f"{name} {seen[name]}"].append(after.seconds_since(before))
    results["launches"] = {name: statistics.median(seconds) for name, seconds in times.items()}
    results["epochs"] = {}
    for size in BATCHES[:1] if small else BATCHES:
        net, count = _network(CudaBackend(bench.runtime), arch, side), -(-EPOCH // size) if not small else 3
        for number, part in enumerate(samples.batches(size, min(count, 6)), 1):
            _step(net, part, number)
        bench.runtime.synchronize()
        began = time.perf_counter()
        for number, part in enumerate(samples.batches(size, count), 7):
            _step(net, part, number)
        bench.runtime.synchronize()
        results["epochs"][size] = time.perf_counter() - began
    return results


def markdown(results: dict[str, Any]) -> list[str]:
    """Return the lines of the report."""
    check = results["check"]
    lines = [
        f"**{results['arch']}**: spikes equal to the CPU's: {check['spikes_equal']:.6f} of them; largest gradient "
        f"error, relative: {check['gradient_off']:.1e}.",
        "",
        *(f"epoch of 60 000, batch {size}: {seconds:.2f} s" for size, seconds in results["epochs"].items()),
        "",
        "| launch, batch 128 | µs |",
        "| --- | --- |",
        *(f"| {name} | {1e6 * seconds:.1f} |" for name, seconds in results["launches"].items()),
    ]
    return [*lines, f"| all | {1e6 * sum(results['launches'].values()):.1f} |"]


def _network(backend: Backend, arch: str, side: int) -> Network:
    layers = build_layers(arch, (side, side), CLASSES)
    thresholds = THRESHOLDS if len(layers) == len(THRESHOLDS) else 2.0
    rule = Hm2bp(thresholds, loss=LossSettings(target=12, off_target=2, margin=2))
    states = initial_states(rule, layers, 1.0, 0, backend.dtype)
    return build_network(backend, rule, layers, states)


def _step(net: Network, batch: Any, number: int) -> None:
    net.train_step(batch, OptimiserSettings(), number, 0.001)


def _samples(bench: Bench, side: int, steps: int) -> Samples:
    """Return samples of the store, or of random spikes at the rates of a blurred disc."""
    count = bench.distinct
    if bench.store:
        from spikeprep.store import SpikeStore

        batch = SpikeStore.open(bench.store)["train"].packed(slice(0, count))
        return Samples(bench.runtime.to_device(batch.bits), batch.labels, int(batch.steps[0]))
    rng = np.random.default_rng(0)
    y, x = np.indices((side, side)) - (side - 1) / 2
    rates = 0.16 / (1 + np.exp(np.hypot(y, x) - side / 4)).ravel()
    bits = np.empty((count, side * side, -(-steps // 8)), np.uint8)
    for b in range(count):
        fires: NDArray[Any] = rng.random((side * side, steps)) < rates[:, None]
        bits[b] = np.packbits(fires, axis=1, bitorder="little")
    labels = rng.integers(CLASSES, size=count).astype(np.int32)
    return Samples(bench.runtime.to_device(bits), labels, steps)


def _check(bench: Bench, arch: str, side: int, samples: Samples) -> dict[str, float]:
    """Compare one batch of 8 with the CPU; sums are in another order, so that a few spikes may move by a step."""
    batch = samples.batch(slice(0, 8))
    passes = []
    backends: tuple[Backend, ...] = (CpuBackend(np.float32), CudaBackend(bench.runtime))
    for backend in backends:
        here = batch if backend.name == "cuda" else replace(batch, bits=bench.runtime.to_host(batch.bits))
        net = _network(backend, arch, side)
        spikes = net.forward(here)
        net.backward(spikes, here.labels)
        gradients = [p.gradient() for layer in net.devices for p in layer.parameters.values()]
        passes.append(([backend.unpack(s) for s in spikes[1:]], gradients))
    (want, exact), (got, close) = passes
    changed = sum(int((a != b).sum()) for a, b in zip(want, got, strict=True))
    fired = sum(int(a.sum()) for a in want)
    off = max(
        float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30)) for a, b in zip(close, exact, strict=True)
    )
    if not fired or changed > 0.01 * fired:
        raise AssertionError(f"{changed} of {fired} spikes differ from the CPU's")
    return {"spikes_equal": 1 - changed / fired, "gradient_off": off}
