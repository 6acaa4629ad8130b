"""PyTorch BPTT peers of one spiking network: milliseconds per sample to train and to infer, on the CPU.

Every peer gets the same task: leaky integrate-and-fire layers, by default ``784-800-10``, 400 steps, batches of binary
input at a given density, rate readout (spike counts), cross-entropy, surrogate-gradient backpropagation through time
and one Adam step per batch. Convolutions are torch's; a pool sums its window. Peers run at their best: all cores,
denormals flushed, the sequence given to their connections at once where the library's own modules do so; the best batch
of several is reported.

Run alone (``python -m benchmarks.peers --help``) or from another benchmark in the same process::

    for name in available():
        print(measure(name, Task()))
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from spikeprep.train.layers import LayerKind
from spikeprep.train.layers.conv import Conv
from spikeprep.train.layers.dense import Dense
from spikeprep.train.layers.spatial import Spatial


def dense(*sizes: int) -> tuple[LayerKind, ...]:
    """Return fully connected layers between units of these numbers."""
    return tuple(Dense((pre,), post) for pre, post in pairwise(sizes))


@dataclass(frozen=True)
class Task:
    """The network and its input: layers, steps, samples per batch, spikes per input unit and step."""

    layers: tuple[LayerKind, ...] = dense(784, 800, 10)
    steps: int = 400
    batch: int = 32
    density: float = 0.021
    batches: int = 3
    seed: int = 0


@dataclass(frozen=True)
class Timing:
    """Best of `Task.batches`, in milliseconds per sample."""

    peer: str
    version: str
    train_ms: float
    infer_ms: float


Network = tuple[Any, Callable[[Any], Any]]
"""A torch module, and a function from float spikes (time, sample, unit) to counts (sample, class)."""

TAU = 64.0  # membrane time constant in steps, as in HM2-BP's networks


def connections(layers: Sequence[LayerKind]) -> tuple[list[Any], tuple[int, ...]]:
    """Return torch's module for each layer, and the shape of a sample's input."""
    import torch

    modules: list[Any] = []
    for layer in layers:
        if isinstance(layer, Conv):
            channels = layer.grid[0], layer.channels_out
            modules.append(torch.nn.Conv2d(*channels, layer.kernel, layer.stride, layer.padding, bias=False))
        elif isinstance(layer, Spatial):
            modules.append(torch.nn.AvgPool2d(layer.kernel, layer.stride, divisor_override=1))
        else:
            flat = [torch.nn.Flatten()] if len(layer.in_shape) > 1 else []
            linear = torch.nn.Linear(int(np.prod(layer.in_shape)), layer.units, bias=False)
            modules.append(torch.nn.Sequential(*flat, linear))
    first = layers[0]
    return modules, first.grid if isinstance(first, Spatial) else (int(np.prod(first.in_shape)),)


def _spikingjelly(layers: Sequence[LayerKind]) -> Network:
    import torch
    from spikingjelly.activation_based import functional, layer, neuron, surrogate

    modules: list[Any] = []
    connected, shape = connections(layers)
    for module in connected:
        modules += [
            layer.SeqToANNContainer(module),  # all steps at once
            neuron.LIFNode(TAU, decay_input=False, surrogate_function=surrogate.ATan(), step_mode="m"),
        ]
    network = torch.nn.Sequential(*modules)

    def forward(spikes: Any) -> Any:
        functional.reset_net(network)
        return network(spikes.reshape(*spikes.shape[:2], *shape)).sum(0)

    return network, forward


def _snntorch(layers: Sequence[LayerKind]) -> Network:
    import snntorch
    import torch
    from snntorch import surrogate

    connected, shape = connections(layers)
    neurons = [snntorch.Leaky(beta=1 - 1 / TAU, spike_grad=surrogate.atan()) for _ in connected]
    network = torch.nn.ModuleList([*connected, *neurons])

    def forward(spikes: Any) -> Any:
        membranes = [neuron.reset_mem() for neuron in neurons]
        counts: Any = 0
        for step in spikes.reshape(*spikes.shape[:2], *shape):
            for k, (weights, neuron) in enumerate(zip(connected, neurons, strict=True)):
                step, membranes[k] = neuron(weights(step), membranes[k])
            counts = counts + step
        return counts

    return network, forward


def _norse(layers: Sequence[LayerKind]) -> Network:
    import norse.torch as norse
    import torch

    # cell by cell: norse's sequence modules index their input by step, whose gradient is quadratic in time
    connected, shape = connections(layers)
    cells = [norse.LIFCell() for _ in connected]
    network = torch.nn.ModuleList([*connected, *cells])

    def forward(spikes: Any) -> Any:
        states: list[Any] = [None] * len(cells)
        counts: Any = 0
        for step in spikes.reshape(*spikes.shape[:2], *shape):
            for k, (weights, cell) in enumerate(zip(connected, cells, strict=True)):
                step, states[k] = cell(weights(step), states[k])
            counts = counts + step
        return counts

    return network, forward


BUILDERS: dict[str, Callable[[Sequence[LayerKind]], Network]] = {
    "spikingjelly": _spikingjelly,
    "snntorch": _snntorch,
    "norse": _norse,
}


def available() -> list[str]:
    """Return the names of the installed peers; none without torch."""
    found = []
    for name in BUILDERS:
        try:
            importlib.import_module("torch")
            importlib.import_module({"norse": "norse.torch"}.get(name, name))
        except ImportError:
            continue
        found.append(name)
    return found


def measure(name: str, task: Task) -> Timing:
    """Train and infer `task.batches` batches after a warm-up one, and return the best of each."""
    import torch

    torch.set_num_threads(os.cpu_count() or 1)
    torch.set_flush_denormal(True)
    torch.manual_seed(task.seed)
    rng = np.random.default_rng(task.seed)
    shape = (task.steps, task.batch, int(np.prod(task.layers[0].in_shape)))
    spikes = torch.from_numpy((rng.random(shape, dtype=np.float32) < task.density).astype(np.float32))
    labels = torch.from_numpy(rng.integers(task.layers[-1].units, size=task.batch))
    network, forward = BUILDERS[name](task.layers)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)

    def train() -> None:
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(forward(spikes), labels).backward()
        optimiser.step()

    def infer() -> None:
        with torch.no_grad():
            forward(spikes)

    milliseconds = [1e3 * _best(work, task.batches) / task.batch for work in (train, infer)]
    return Timing(name, importlib.metadata.version(name), *milliseconds)


def _best(work: Callable[[], None], times: int) -> float:
    work()  # the first call allocates and compiles
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def main() -> None:
    """Measure every peer that is installed and print a table, or JSON lines."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batch", type=int, default=Task.batch)
    parser.add_argument("--batches", type=int, default=Task.batches, help="timed, after a warm-up one")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    names = available()
    if not names:
        raise SystemExit("no peer is installed: pip install torch spikingjelly snntorch")
    task = Task(batch=options.batch, batches=options.batches)
    if not options.json:
        print(f"{'peer':<24}{'train ms/sample':>16}{'infer ms/sample':>16}")
    for name in names:
        result = measure(name, task)
        if options.json:
            print(
                json.dumps(
                    asdict(result) | {"batch": task.batch, "steps": task.steps, "density": task.density}
                )
            )
        else:
            print(f"{name + ' ' + result.version:<24}{result.train_ms:>16.2f}{result.infer_ms:>16.2f}")


if __name__ == "__main__":
    main()
