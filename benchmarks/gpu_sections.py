"""What `benchmarks.gpu` measures, a function each: seconds, and numbers that say what they are of, JSON-ready."""

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
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import gpu_bptt
from benchmarks.gpu_tasks import Samples, as_seen, network, random_bits, random_samples
from benchmarks.roofline import MNIST, NMNIST, Card, Task, kernels
from spikeprep.backend import Backend, UpdateRule
from spikeprep.cpu.backend import CpuBackend
from spikeprep.cuda.backend import CudaBackend
from spikeprep.cuda.base import Products
from spikeprep.cuda.gpu import CupyModule
from spikeprep.cuda.runtime import Module, Runtime
from spikeprep.data import NeuronParams, PackedBatch, PspParams
from spikeprep.train.layers.dense import Dense
from spikeprep.train.network import Network

if TYPE_CHECKING:
    from spikeprep.feed.device import TierName

TASKS = {"mnist": MNIST, "nmnist": NMNIST}
DENSITIES = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


@dataclass
class Bench:
    """The device and the sizes to run at."""

    runtime: Runtime
    tasks: dict[str, Task]
    distinct: int  # samples, which an epoch goes round
    stored: int  # samples of a store that is made for the tiers
    repeats: int
    store: str | None
    card: Card
    densities: tuple[float, ...] = DENSITIES

    @property
    def emulated(self) -> bool:
        """Whether this is only a trial of the benchmark itself."""
        return self.runtime.name == "emulated"

    def rule(self, step: int) -> UpdateRule:
        """Return the default step of Adam."""
        return UpdateRule("adam", 0.01, step, strength=0.2)

    def trained(self, task: Task, **more: Any) -> tuple[CudaBackend, Network, Samples]:
        """Return a network that has been trained on a few batches, so that everything is compiled and warm."""
        ops = CudaBackend(self.runtime, **more)
        samples = random_samples(self.runtime, task, max(self.distinct, task.batch))
        net = network(ops, task, samples)
        for step, batch in enumerate(samples.batches(task.batch, min(20, self.repeats)), 1):
            net.train_step(batch, self.rule(step))
        self.runtime.synchronize()
        return ops, net, samples


# ---------------------------------------------------------------- sections


def check(bench: Bench) -> dict[str, Any]:
    """One step of each task beside the CPU: spikes to the bit, gradients within float32's rounding."""
    found: dict[str, Any] = {}
    for name, task in bench.tasks.items():
        few = replace(task, batch=min(8, task.batch))
        bits = random_bits(few, few.batch)
        labels = np.arange(few.batch, dtype=np.int32) % few.sizes[-1]
        seen = []
        for ops in (CpuBackend(np.float32), CudaBackend(bench.runtime)):
            host: Backend = ops
            batch = PackedBatch(bits, np.full(few.batch, few.steps, np.uint32), labels, np.arange(few.batch))
            given = Samples(bits, labels, few.steps)
            net = network(host, few, given)
            spikes = net.forward(batch)
            net.backward(spikes, labels)
            seen.append(
                ([host.unpack(s) for s in spikes], [host.gradient(layer.weights) for layer in net.layers])
            )
        (want, exact), (got, close) = seen
        alike = all(np.array_equal(a, b) for a, b in zip(want, got, strict=True))
        off = max(
            float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30))
            for a, b in zip(close, exact, strict=True)
        )
        found[name] = {"spikes_equal": alike, "gradient_off": off, "output_spikes": int(want[-1].sum())}
        if not alike or not off < 1e-4 or not want[-1].any() or not any(g.any() for g in exact):
            raise AssertionError(f"{name}: {found[name]}")
    return found


def ceilings(bench: Bench) -> dict[str, Any]:
    """What the card does at best: bytes a second of a copy, read and written, and operations of a half product."""
    runtime, xp = bench.runtime, bench.runtime.xp
    size = (1 << 30) if not bench.emulated else 1 << 16
    a, b = xp.zeros(size, np.uint8), xp.zeros(size, np.uint8)
    found: dict[str, Any] = {"copy_bytes_a_second": 2 * size / _fastest(bench, lambda: b.__setitem__(..., a))}
    if runtime.has_products:
        n = 64 if bench.emulated else 8192
        rng = np.random.default_rng(0)
        left, right = (
            runtime.to_device(rng.normal(size=(n, n)).astype(np.float16).view(np.uint16)) for _ in range(2)
        )
        out = xp.empty((n, n), np.float32)
        seconds = _fastest(bench, lambda: runtime.half_product(left, right, out))
        found["half_operations_a_second"] = 2 * n**3 / seconds
    found["sm_clock_under_load_hz"] = clock = _clock()
    # what is counted is set beside what this card was seen to do
    bench.card = replace(
        bench.card,
        name=bench.runtime.name,
        processors=bench.runtime.processors,
        memory=found["copy_bytes_a_second"],
        half=found.get("half_operations_a_second", bench.card.half),
        clock=clock or bench.card.clock,
    )
    return found


def kernel_times(bench: Bench) -> dict[str, Any]:
    """Each launch of a training step, the median of many steps, beside its floor."""
    found: dict[str, Any] = {}
    for name, task in bench.tasks.items():
        ops, net, samples = bench.trained(task, products="events")
        times: dict[str, list[float]] = defaultdict(list)
        steps, waits = [], []
        for step, batch in enumerate(samples.batches(task.batch, bench.repeats), 100):
            began = time.perf_counter()
            with launches(bench.runtime) as launched:
                start = bench.runtime.current().record(timed=True)
                net.train_step(batch, bench.rule(step))
                stop = bench.runtime.current().record(timed=True)
                bench.runtime.synchronize()
            waits.append(time.perf_counter() - began)
            steps.append(stop.seconds_since(start))
            once: dict[str, float] = defaultdict(float)
            words = labels([word for word, *_ in launched], len(task.sizes) - 1)
            for label, (_, before, after) in zip(words, launched, strict=True):
                once[label] += after.seconds_since(before)
            for label, seconds in once.items():
                times[label].append(seconds)
        seen = as_seen(ops, task, net, samples)
        floors = {kernel.name: kernel.on(bench.card) for kernel in kernels(seen)}
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
        found[name] = {
            "task": asdict(seen),
            "kernels": rows,
            "kernels_seconds": sum(row["seconds"] for row in rows),
            "floor_seconds": sum(kernel.floor for kernel in floors.values()),
            "floors_without_a_launch": sorted(set(floors) - set(times)),
            "step_seconds_timed": statistics.median(steps),
            "host_seconds_timed": statistics.median(waits),
            "resources": resources(bench.runtime),
        }
    return found


def epochs(bench: Bench) -> dict[str, Any]:
    """An epoch of each task, resident and packed on the device, from the first batch to the last update."""
    found: dict[str, Any] = {}
    for name, task in bench.tasks.items():
        batches = -(-task.samples // task.batch)
        seconds = []
        _, net, samples = bench.trained(task)
        for _ in range(2):
            began = time.perf_counter()
            for step, batch in enumerate(samples.batches(task.batch, batches), 100):
                net.train_step(batch, bench.rule(step))
            bench.runtime.synchronize()
            seconds.append(time.perf_counter() - began)
        found[name] = {"seconds": min(seconds), "all": seconds, "batches": batches, "batch": task.batch}
    return found


def density(bench: Bench) -> dict[str, Any]:
    """The first layer of MNIST's network, forward and gradient, over events and as products, by density."""
    task, runtime = bench.tasks["mnist"], bench.runtime
    units, post = task.sizes[:2]
    found = []
    for share in bench.densities:
        drawn = replace(task, spikes=(share * units * task.steps,), active=(units,))
        samples = random_samples(runtime, drawn, task.batch)
        row: dict[str, Any] = {"density": share}
        ways: tuple[Products, ...] = ("events", "matrix")
        for products in ways:
            ops = CudaBackend(runtime, products=products)
            layer = network(ops, task, random_samples(runtime, task, task.batch)).layers[0]
            delta = runtime.to_device(
                np.random.default_rng(0).normal(size=(task.batch, post)).astype(np.float32)
            )
            batch = samples.batch(slice(0, task.batch))
            neuron = NeuronParams(
                layer.neuron.threshold * share / 0.02
            )  # fires about as often at every density
            row[products] = _fastest(bench, partial(both_ways, ops, layer, batch, neuron, delta))
        found.append(row)
    return {"rows": found, "crossover": crossover(found)}


def both_ways(ops: Backend, layer: Dense, batch: PackedBatch, neuron: NeuronParams, delta: Any) -> None:
    """Run a layer on a batch, and add to its gradient."""
    pre = ops.upload(batch)
    out = ops.dense_forward(layer.weights, pre, neuron)
    ops.dense_backward(layer.weights, pre, out, delta, None, neuron, PspParams(), False)


def tiers(bench: Bench) -> dict[str, Any]:
    """An epoch of a store by every tier: seconds, the share of them that the device waited for data, and memory."""
    from spikeprep.feed.batches import BatchStream
    from spikeprep.feed.device import streamed_bound
    from spikeprep.store import SpikeStore

    task = bench.tasks["mnist"]
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = bench.store or make_store(Path(folder) / "random.zarr", task, bench.stored)
        reader = SpikeStore.open(path)["train"]
        task = replace(task, sizes=(reader.units, *task.sizes[1:]), steps=reader.max_steps)
        ways: tuple[TierName, ...] = ("resident", "pinned", "streamed")
        for tier in ways:
            ops, net, _ = bench.trained(task, feed=tier)
            stream, before = BatchStream(reader, task.batch, epochs=2), bench.runtime.memory()[0]
            for _ in range(2):  # what stays is brought in the first epoch; the second is timed
                stream.waited, began = 0.0, time.perf_counter()
                for step, batch in enumerate(ops.feed(stream), 100):
                    net.train_step(batch, bench.rule(step))
                bench.runtime.synchronize()
                seconds = time.perf_counter() - began
            found[tier] = {
                "seconds": seconds,
                "samples": len(reader),
                "stall_fraction": stream.waited / seconds,
                "tier": asdict(stream.tier),
                "streamed_bound_bytes": streamed_bound(stream),
                "taken_bytes": before - bench.runtime.memory()[0],
            }
    return found


def bptt(bench: Bench) -> dict[str, Any]:
    """Seconds a batch in PyTorch, and how many times as long they are as ours."""
    found: dict[str, Any] = {}
    for name, task in bench.tasks.items():
        _, net, samples = bench.trained(task)
        peers = gpu_bptt.measure(task, "cpu" if bench.emulated else "cuda", min(bench.repeats, 5))
        batch = samples.batch(slice(0, task.batch))
        ours = _fastest(bench, lambda net=net, batch=batch: net.train_step(batch, bench.rule(100)))  # type: ignore[misc]
        ratios = {peer: seconds / ours for peer, seconds in peers.items() if isinstance(seconds, float)}
        found[name] = {"ours": ours, "peers": peers, "ratios": ratios, "batch": task.batch}
    return found


SECTIONS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "check": check,
    "ceilings": ceilings,
    "kernels": kernel_times,
    "epochs": epochs,
    "density": density,
    "tiers": tiers,
    "bptt": bptt,
}


# ---------------------------------------------------------------- measuring


@contextmanager
def launches(runtime: Runtime) -> Iterator[list[tuple[str, Any, Any]]]:
    """Note every launch while the context lasts: its kernel, and events before and after."""
    noted: list[tuple[str, Any, Any]] = []
    modules: list[Module] = list(runtime._modules.values())  # type: ignore[attr-defined]
    kind = type(modules[0])
    launch = kind.launch

    def timed(self: Any, name: str, *args: Any, **more: Any) -> None:
        stream = runtime.current()
        before = stream.record(timed=True)
        launch(self, name, *args, **more)
        noted.append((name, before, stream.record(timed=True)))

    kind.launch = timed  # type: ignore[method-assign]
    try:
        yield noted
    finally:
        kind.launch = launch  # type: ignore[method-assign]


def labels(names: list[str], layers: int) -> list[str]:
    """Return what benchmarks.roofline calls each launch of one training step, in their order."""
    words, forward, backward, updated = [], 0, layers, 0
    lateral = "lateral_gain" in names
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
            words.append("gate, psp, lateral_gain")
            lateral = name != "lateral_gain"
        elif name.startswith("dense_gradient"):
            words.append(f"dense_gradient {backward - 1}")
            backward -= 1
        elif name == "sum_tiles":
            words.append(f"dense_gradient {backward}")
        elif name in ("events", "counts"):
            words.append(f"events by unit {backward - 1}")
        else:
            words.append(f"{name} {backward - 1}" if name == "gate" else name)
    return words


def resources(runtime: Runtime) -> dict[str, dict[str, int]]:
    """Return registers, shared and spilled bytes of every kernel that was launched, as the driver tells them."""
    found = {}
    for module in runtime._modules.values():  # type: ignore[attr-defined]
        if isinstance(module, CupyModule):
            for name in module._kernels:
                given = module.attributes(name)
                found[name] = {k: given[k] for k in ("num_regs", "shared_size_bytes", "local_size_bytes")}
    return found


def crossover(rows: list[dict[str, Any]]) -> float | None:
    """Return the density at which both ways take equally long, between two that were measured."""
    for below, above in pairwise(rows):
        a, b = (np.log(row["events"] / row["matrix"]) for row in (below, above))
        if a < 0 <= b:
            x, y = np.log(below["density"]), np.log(above["density"])
            return float(np.exp(x + (y - x) * -a / (b - a)))
    return None


def make_store(path: Path, task: Task, samples: int) -> str:
    """Write a store of random spikes, compressed as any other."""
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


def _fastest(bench: Bench, work: Callable[[], Any]) -> float:
    """Return the median seconds of a repeated call, after one to warm up, the device's work included."""
    seconds = []
    for _ in range(bench.repeats + 1):
        bench.runtime.synchronize()
        began = time.perf_counter()
        work()
        bench.runtime.synchronize()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])


def _clock() -> float | None:
    """Return the multiprocessors' clock now, in Hz, as nvidia-smi tells it."""
    if shutil.which("nvidia-smi") is None:
        return None
    command = ["nvidia-smi", "--query-gpu=clocks.sm", "--format=csv,noheader,nounits"]
    answer = subprocess.run(command, capture_output=True, text=True).stdout.split()
    return float(answer[0]) * 1e6 if answer and answer[0].isdigit() else None
