"""The sections of `benchmarks.gpu`: one function each, returning measurements in seconds, JSON-ready."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import pairwise, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import gpu_bptt, gpu_cnn
from benchmarks.gpu_tasks import Samples, measured, network, random_bits, random_samples
from benchmarks.roofline import MNIST, NMNIST, Card, Task, kernels
from spikeprep.backend import Backend, DeviceLayer, ErrorSignal, Pass
from spikeprep.cpu.backend import CpuBackend
from spikeprep.cuda.backend import CudaBackend
from spikeprep.cuda.base import Products
from spikeprep.cuda.gpu import CupyModule
from spikeprep.cuda.runtime import Module, Runtime
from spikeprep.data import Hm2bpConstants, PackedBatch
from spikeprep.train.network import Network, StepResult
from spikeprep.train.optimiser import OptimiserSettings

if TYPE_CHECKING:
    from spikeprep.feed.device import TierName

TASKS = {"mnist": MNIST, "nmnist": NMNIST}
DENSITIES = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
OPTIMISER = OptimiserSettings()
SPIN = Path(__file__).with_name("spin.cu").resolve()


@dataclass
class Bench:
    """The device and the sizes to run at."""

    runtime: Runtime
    tasks: dict[str, Task]
    distinct: int  # different samples, repeated until an epoch is full
    store_samples: int  # samples of the store that is written for the tiers
    repeats: int
    store: str | None
    card: Card
    densities: tuple[float, ...] = DENSITIES

    @property
    def emulated(self) -> bool:
        """Whether this is a test of the benchmark, without a GPU."""
        return self.runtime.name == "emulated"

    def occupy(self, cycles: int = 20_000_000) -> None:
        """Give the device about 12 ms of nothing to do."""
        if not self.emulated:
            # all of it: the clock falls on a device that is nearly idle
            self.runtime.module(SPIN).launch("spin", 2 * self.runtime.processors, 1024, np.int64(cycles))

    def trained(
        self, task: Task, kind: type[CudaBackend] = CudaBackend, **options: Any
    ) -> tuple[CudaBackend, Network, Samples]:
        """Return a network trained on a few batches, so that kernels are compiled and memory is allocated."""
        backend = kind(self.runtime, **options)
        samples = random_samples(self.runtime, task, max(self.distinct, task.batch))
        net = network(backend, task, samples)
        for number, batch in enumerate(samples.batches(task.batch, min(20, self.repeats)), 1):
            step(net, batch, number)
        self.runtime.synchronize()
        return backend, net, samples


def variants(runtime: Runtime) -> dict[str, Products]:
    """Return how the first layer's gradient can be computed, by what is added to a task's name."""
    kinds: dict[str, Products] = {"": "events"}
    return kinds | ({", products of active units": "active"} if runtime.multiplies_halves else {})


class Unrecorded(CudaBackend):
    """Launches every kernel of every step, so that each can be timed."""

    def replayed(self, work: Pass) -> Pass:
        """See `Backend.replayed`."""
        return work


def step(net: Network, batch: PackedBatch, number: int) -> StepResult:
    """Take training step `number` (from 1) with the default optimiser."""
    return net.train_step(batch, OPTIMISER, number, OPTIMISER.rate)


# ---------------------------------------------------------------- sections


def check(bench: Bench) -> dict[str, Any]:
    """Compare one batch of each task with the CPU: equal spikes, gradients within float32's rounding."""
    results: dict[str, Any] = {}
    for name, task in bench.tasks.items():
        few = replace(task, batch=min(8, task.batch))
        bits = random_bits(few, few.batch)
        labels = np.arange(few.batch, dtype=np.int32) % few.sizes[-1]
        passes = []
        backends: list[Backend] = [CpuBackend(np.float32)]
        backends += [CudaBackend(bench.runtime, products=kind) for kind in variants(bench.runtime).values()]
        for backend in backends:
            samples = Samples(bits, labels, few.steps)
            net = network(backend, few, samples)
            spikes = net.forward(samples.batch(slice(0, few.batch)))
            net.backward(spikes, labels)
            gradients = [p.gradient() for layer in net.devices for p in layer.parameters.values()]
            passes.append(([backend.unpack(s) for s in spikes], gradients))
        (want, exact), *others = passes
        for suffix, (got, close) in zip(variants(bench.runtime), others, strict=True):
            equal = all(np.array_equal(a, b) for a, b in zip(want, got, strict=True))
            off = max(
                float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30))
                for a, b in zip(close, exact, strict=True)
            )
            results[name + suffix] = {
                "spikes_equal": equal,
                "gradient_off": off,
                "output_spikes": int(want[-1].sum()),
            }
            if not equal or not off < 1e-4 or not want[-1].any() or not any(g.any() for g in exact):
                raise AssertionError(f"{name}{suffix}: {results[name + suffix]}")
    return results


def ceilings(bench: Bench) -> dict[str, Any]:
    """Measure the card's best rates: bytes per second of a copy, read and written, and operations of a half product."""
    runtime, xp = bench.runtime, bench.runtime.xp
    size = (1 << 30) if not bench.emulated else 1 << 16
    a, b = xp.zeros(size, np.uint8), xp.zeros(size, np.uint8)
    seconds = _median(bench, lambda: b.__setitem__(..., a))
    results: dict[str, Any] = {"copy_bytes_per_second": 2 * size / seconds}
    if runtime.has_products:
        n = 64 if bench.emulated else 8192
        rng = np.random.default_rng(0)
        left, right = (
            runtime.to_device(rng.normal(size=(n, n)).astype(np.float16).view(np.uint16)) for _ in range(2)
        )
        out = xp.empty((n, n), np.float32)
        seconds = _median(bench, lambda: runtime.half_product(left, right, out))
        results["half_operations_per_second"] = 2 * n**3 / seconds
    results["sm_clock_under_load_hz"] = clock = _clock()
    # later sections compute floors from these rates
    bench.card = replace(
        bench.card,
        name=bench.runtime.name,
        processors=bench.runtime.processors,
        memory=results["copy_bytes_per_second"],
        half=results.get("half_operations_per_second", bench.card.half),
        clock=clock or bench.card.clock,
    )
    return results


def kernel_times(bench: Bench) -> dict[str, Any]:
    """Time each launch of a training step, the median of many steps, and compute its floor.

    The device is kept busy until all of a step is in its queue: otherwise the times would be the host's.
    """
    return {
        name + suffix: _kernels_of_step(bench, task, products)
        for name, task in bench.tasks.items()
        for suffix, products in variants(bench.runtime).items()
    }


def _kernels_of_step(bench: Bench, task: Task, products: Products) -> dict[str, Any]:
    backend, net, samples = bench.trained(task, Unrecorded, products=products)
    times: dict[str, list[float]] = defaultdict(list)
    device_seconds, host_seconds = [], []
    for number, batch in enumerate(samples.batches(task.batch, bench.repeats), 100):
        began = time.perf_counter()
        step(net, batch, number)
        host_seconds.append(time.perf_counter() - began)  # until all is in the queue
        bench.runtime.synchronize()
        bench.occupy()
        with launches(bench.runtime) as launched:
            start = bench.runtime.current().record(timed=True)
            step(net, batch, number)
            stop = bench.runtime.current().record(timed=True)
            bench.runtime.synchronize()
        device_seconds.append(stop.seconds_since(start))
        sums: dict[str, float] = defaultdict(float)
        names = labels([kernel for kernel, *_ in launched], len(task.sizes) - 1)
        for label, (_, before, after) in zip(names, launched, strict=True):
            sums[label] += after.seconds_since(before)
        for label, seconds in sums.items():
            times[label].append(seconds)
    measured_task = measured(backend, task, net, samples)
    floors = {kernel.name: kernel.on(bench.card) for kernel in kernels(measured_task, products == "active")}
    rows = []
    for label, all_times in times.items():
        floor, seconds = floors.get(label), statistics.median(all_times)
        row: dict[str, Any] = {"kernel": label, "seconds": seconds}
        if floor is not None:
            row |= {
                "floor": floor.floor,
                "bound": floor.bound,
                "share": floor.floor / max(seconds, 1e-12),
            }
        rows.append(row)
    return {
        "task": asdict(measured_task),
        "kernels": rows,
        "kernels_seconds": sum(row["seconds"] for row in rows),
        "floor_seconds": sum(kernel.floor for kernel in floors.values()),
        "floors_without_a_launch": sorted(set(floors) - set(times)),
        "step_seconds_timed": statistics.median(device_seconds),
        "host_seconds_timed": statistics.median(host_seconds),
        "resources": resources(bench.runtime),
    }


def epochs(bench: Bench) -> dict[str, Any]:
    """Time an epoch of each task, its samples packed on the device, from the first batch to the last update."""
    results: dict[str, Any] = {}
    for (name, task), (suffix, products) in product(bench.tasks.items(), variants(bench.runtime).items()):
        batches = -(-task.samples // task.batch)
        seconds = []
        _, net, samples = bench.trained(task, products=products)
        for _ in range(2):
            began = time.perf_counter()
            for number, batch in enumerate(samples.batches(task.batch, batches), 100):
                step(net, batch, number)
            bench.runtime.synchronize()
            seconds.append(time.perf_counter() - began)
        results[name + suffix] = {
            "seconds": min(seconds),
            "all": seconds,
            "batches": batches,
            "batch": task.batch,
        }
    return results


def density(bench: Bench) -> dict[str, Any]:
    """Time the first layer of MNIST's network, forward and gradient, over events and as products, by density."""
    task, runtime = bench.tasks["mnist"], bench.runtime
    units, post = task.sizes[:2]
    rows = []
    for share in bench.densities:
        samples = random_samples(
            runtime, replace(task, spikes=(share * units * task.steps,), active=(units,)), task.batch
        )
        row: dict[str, Any] = {"density": share}
        choices: list[Products] = [*variants(runtime).values(), "matrix"]
        for products in choices:
            backend = CudaBackend(runtime, products=products)
            net = network(backend, task, random_samples(runtime, task, task.batch))
            error = np.random.default_rng(0).normal(size=(task.batch, post)).astype(np.float32)
            signal = ErrorSignal(runtime.to_device(error))
            constants: Hm2bpConstants = net.rule.constants(0, len(net.layers))
            # fires about as often at every density
            neuron = replace(constants.neuron, threshold=constants.neuron.threshold * share / 0.02)
            work = partial(
                both_directions, backend, net.devices[0], samples.batch(slice(0, task.batch)), signal,
                replace(constants, neuron=neuron),
            )  # fmt: skip
            row[products] = _median(bench, work)
        rows.append(row)
    return {"rows": rows, "crossover": crossover(rows)}


def both_directions(
    backend: Backend, layer: DeviceLayer, batch: PackedBatch, signal: ErrorSignal, constants: Hm2bpConstants
) -> None:
    """Run a layer forward and backward, without sending its error back."""
    pre = backend.upload(batch)
    post = layer.forward(pre, constants)
    layer.backward(pre, post, signal, constants, False)


def tiers(bench: Bench) -> dict[str, Any]:
    """Time an epoch of a store by every tier: seconds, the share in which the device waited for data, and memory."""
    from spikeprep.feed.batches import BatchStream
    from spikeprep.feed.device import streamed_bound
    from spikeprep.store import SpikeStore

    task = bench.tasks["mnist"]
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = bench.store or make_store(Path(folder) / "random.zarr", task, bench.store_samples)
        reader = SpikeStore.open(path)["train"]
        task = replace(task, sizes=(reader.units, *task.sizes[1:]), steps=reader.max_steps)
        names: tuple[TierName, ...] = ("resident", "pinned", "streamed")
        for tier in names:
            backend, net, _ = bench.trained(task, feed=tier)
            stream, before = BatchStream(reader, task.batch, epochs=2), bench.runtime.memory()[0]
            for _ in range(2):  # caches are filled in the first epoch; the second is timed
                waited, began = 0.0, time.perf_counter()
                for number, batch in enumerate(backend.feed(stream), 100):
                    waited += batch.waited
                    step(net, batch, number)
                bench.runtime.synchronize()
                seconds = time.perf_counter() - began
            results[tier] = {
                "seconds": seconds,
                "samples": len(reader),
                "stall_fraction": waited / seconds,
                "tier": asdict(stream.tier),
                "streamed_bound_bytes": streamed_bound(stream),
                "allocated_bytes": before - bench.runtime.memory()[0],
            }
    return results


def bptt(bench: Bench) -> dict[str, Any]:
    """Time a batch in PyTorch and here, and compute the ratios."""
    results: dict[str, Any] = {}
    for name, task in bench.tasks.items():
        _, net, samples = bench.trained(task)
        peers = gpu_bptt.measure(task, "cpu" if bench.emulated else "cuda", min(bench.repeats, 5))
        batch = samples.batch(slice(0, task.batch))
        ours = _median(bench, partial(step, net, batch, 100))
        ratios = {peer: seconds / ours for peer, seconds in peers.items() if isinstance(seconds, float)}
        results[name] = {"ours": ours, "peers": peers, "ratios": ratios, "batch": task.batch}
    return results


SECTIONS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "check": check,
    "ceilings": ceilings,
    "kernels": kernel_times,
    "epochs": epochs,
    "cnn": gpu_cnn.cnn,
    "density": density,
    "tiers": tiers,
    "bptt": bptt,
}


# ---------------------------------------------------------------- measuring


@contextmanager
def launches(runtime: Runtime) -> Iterator[list[tuple[str, Any, Any]]]:
    """Record every launch while the context lasts: its kernel, and events before and after."""
    records: list[tuple[str, Any, Any]] = []
    modules: list[Module] = list(runtime._modules.values())  # type: ignore[attr-defined]
    kind = type(modules[0])
    launch = kind.launch

    def timed(self: Any, name: str, *args: Any, **more: Any) -> None:
        stream = runtime.current()
        before = stream.record(timed=True)
        launch(self, name, *args, **more)
        records.append((name, before, stream.record(timed=True)))

    kind.launch = timed  # type: ignore[method-assign]
    try:
        yield records
    finally:
        kind.launch = launch  # type: ignore[method-assign]


def labels(names: list[str], layers: int) -> list[str]:
    """Return the names in benchmarks.roofline of the launches of one training step, in order."""
    words, forward, backward, updated = [], 0, layers, 0
    lateral = "hm2bp_output" in names
    for name in names:
        if name == "unpack":
            words.append("upload, unpack")
        elif name == "transpose" or name in ("spread", "split", "slopes", "split_gates"):
            words.append(name)
        elif name.endswith("_update") or name == "regularisation":
            words.append(f"update {updated}")
            updated += name.endswith("_update")
        elif forward < layers:
            if name == "events":
                words.append(f"events by step {forward}")
            elif name.startswith("lif"):
                words.append(f"lif_lateral {forward}")
                forward += 1
            else:
                words.append(f"{'dense_drive' if name == 'dense_drive' else 'dense_forward'} {forward}")
                forward += name != "dense_drive"
        elif lateral:
            words.append("output: gate, psp, error")
            lateral = name != "hm2bp_output"
        elif name.startswith("dense_gradient"):
            words.append(f"dense_gradient {backward - 1}")
            backward -= 1
        elif name == "sum_tiles":
            words.append(f"dense_gradient {backward}")
        elif name in ("count_parts", "step_values"):
            words.append("step values")
        elif name in ("events", "counts", "order_units"):
            words.append(f"events by unit {backward - 1}")
        else:
            words.append(f"{name} {backward - 1}" if name == "gate" else name)
    return words


def resources(runtime: Runtime) -> dict[str, dict[str, int]]:
    """Return registers, shared and spilled bytes of every launched kernel, as the driver reports them."""
    results = {}
    for module in runtime._modules.values():  # type: ignore[attr-defined]
        if isinstance(module, CupyModule):
            for name in module._kernels:
                values = module.attributes(name)
                results[name] = {k: values[k] for k in ("num_regs", "shared_size_bytes", "local_size_bytes")}
    return results


def crossover(rows: list[dict[str, Any]]) -> float | None:
    """Return the density at which events and products take equally long, between two measured ones."""
    for below, above in pairwise(rows):
        a, b = (np.log(row["events"] / row["matrix"]) for row in (below, above))
        if a < 0 <= b:
            x, y = np.log(below["density"]), np.log(above["density"])
            return float(np.exp(x + (y - x) * -a / (b - a)))
    return None


def make_store(path: Path, task: Task, samples: int) -> str:
    """Write a store of random spikes and return its path."""
    from spikeprep.store import SpikeWriter, SplitLayout

    classes = [str(n) for n in range(task.sizes[-1])]
    attributes = {
        "version": "0", "recipe": "random", "chain": [{"name": "poisson", "steps": task.steps}], "seed": 0, "dt": 0.001,
        "unit_shape": [task.sizes[0]], "classes": classes, "source": {"licence": "none"},
    }  # fmt: skip
    layout = SplitLayout.fit(samples, task.sizes[0], task.steps)
    writer = SpikeWriter.open(path, attributes, {"train": layout})
    bits = random_bits(task, samples)
    labels = np.arange(samples) % len(classes)
    for shard in writer.pending():
        with writer.shard(shard) as out:
            for first in range(shard.start, shard.stop, layout.chunk_samples):
                here = slice(first, min(first + layout.chunk_samples, shard.stop))
                count = here.stop - here.start
                out.append(
                    bits[here],
                    np.full(count, task.steps),
                    labels[here],
                    [str(n) for n in range(first, here.stop)],
                )
    writer.complete()
    return str(path)


def _median(bench: Bench, work: Callable[[], Any]) -> float:
    """Return the median seconds of a repeated call, its work on the device included, after one call to warm up."""
    seconds = []
    for _ in range(bench.repeats + 1):
        bench.runtime.synchronize()
        began = time.perf_counter()
        work()
        bench.runtime.synchronize()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])


def _clock() -> float | None:
    """Return the multiprocessors' current clock in Hz, from nvidia-smi."""
    if shutil.which("nvidia-smi") is None:
        return None
    command = ["nvidia-smi", "--query-gpu=clocks.sm", "--format=csv,noheader,nounits"]
    answer = subprocess.run(command, capture_output=True, text=True).stdout.split()
    return float(answer[0]) * 1e6 if answer and answer[0].isdigit() else None
