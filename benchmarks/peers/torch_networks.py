"""SpikingJelly, snnTorch and norse: networks, and what trains and infers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from spikeprep.train.layers import LayerKind
from spikeprep.train.layers.conv import Conv
from spikeprep.train.layers.spatial import Spatial

from .task import TAU, Task, Works

Network = tuple[Any, Callable[[Any], Any]]
"""A torch module, and a function from float spikes (time, sample, unit) to counts (sample, class)."""


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


def spikingjelly(layers: Sequence[LayerKind], recurrent: bool = False) -> Network:
    """Multi-step modules: a connection is given all steps at once; `LinearRecurrentContainer` where recurrent.

    That container has a square matrix of a layer's input beside the one of its own spikes, which it keeps.
    """
    import torch
    from spikingjelly.activation_based import functional, layer, neuron, surrogate

    def neurons(kind: LayerKind, looped: bool) -> Any:
        def lif(mode: str) -> Any:
            return neuron.LIFNode(TAU, decay_input=False, surrogate_function=surrogate.ATan(), step_mode=mode)

        if not looped:
            return lif("m")
        return layer.LinearRecurrentContainer(lif("s"), kind.units, kind.units, bias=False, step_mode="m")

    modules: list[Any] = []
    connected, shape = connections(layers)
    for n, (module, kind) in enumerate(zip(connected, layers, strict=True)):
        modules += [layer.SeqToANNContainer(module), neurons(kind, recurrent and n < len(layers) - 1)]
    network = torch.nn.Sequential(*modules)

    def forward(spikes: Any) -> Any:
        functional.reset_net(network)
        return network(spikes.reshape(*spikes.shape[:2], *shape)).sum(0)

    return network, forward


def snntorch(layers: Sequence[LayerKind], recurrent: bool = False) -> Network:
    """Step by step: `Leaky`, or `RLeaky` in hidden layers where recurrent."""
    import snntorch as snn
    import torch
    from snntorch import surrogate

    connected, shape = connections(layers)
    common = {"beta": 1 - 1 / TAU, "spike_grad": surrogate.atan()}
    last = len(layers) - 1
    looped = [recurrent and n < last for n in range(len(layers))]
    neurons = [
        snn.RLeaky(linear_features=kind.units, **common) if loop else snn.Leaky(**common)
        for kind, loop in zip(layers, looped, strict=True)
    ]
    network = torch.nn.ModuleList([*connected, *neurons])

    def forward(spikes: Any) -> Any:
        states = [
            list(neuron.init_rleaky()) if loop else [neuron.reset_mem()]
            for neuron, loop in zip(neurons, looped, strict=True)
        ]
        counts: Any = 0
        for step in spikes.reshape(*spikes.shape[:2], *shape):
            for k, (weights, neuron) in enumerate(zip(connected, neurons, strict=True)):
                step, membrane = neuron(weights(step), *states[k])
                states[k] = [step, membrane] if looped[k] else [membrane]
            counts = counts + step
        return counts

    return network, forward


def norse(layers: Sequence[LayerKind], recurrent: bool = False) -> Network:
    """Cell by cell: `LIFCell`, or `LIFRecurrentCell`, which has the connection too, in hidden layers where recurrent.

    norse's sequence modules index their input by step, whose gradient is quadratic in time.
    """
    import norse.torch as cells
    import torch

    connected, shape = connections(layers)
    neurons: list[Any] = []
    for n, kind in enumerate(layers):
        if recurrent and n < len(layers) - 1:
            connected[n] = torch.nn.Identity()
            neurons.append(cells.LIFRecurrentCell(int(np.prod(kind.in_shape)), kind.units))
        else:
            neurons.append(cells.LIFCell())
    network = torch.nn.ModuleList([*connected, *neurons])

    def forward(spikes: Any) -> Any:
        states: list[Any] = [None] * len(neurons)
        counts: Any = 0
        for step in spikes.reshape(*spikes.shape[:2], *shape):
            for k, (weights, cell) in enumerate(zip(connected, neurons, strict=True)):
                step, states[k] = cell(weights(step), states[k])
            counts = counts + step
        return counts

    return network, forward


BUILDERS: dict[str, Callable[..., Network]] = {
    "spikingjelly": spikingjelly,
    "snntorch": snntorch,
    "norse": norse,
}


def choose_threads(infer: Callable[[], Any]) -> None:
    """Let torch use one thread or all cores, whichever infers faster now: on a loaded machine it may be one."""
    import torch

    seconds = {}
    infer()  # allocates
    for threads in (os.cpu_count() or 1, 1):
        torch.set_num_threads(threads)
        began = time.perf_counter()
        infer()
        seconds[threads] = time.perf_counter() - began
    torch.set_num_threads(min(seconds, key=lambda threads: seconds[threads]))


def works(name: str, task: Task) -> Works:
    """Return the network of a library, with a batch of input; threads are chosen."""
    import torch

    torch.set_flush_denormal(True)
    torch.manual_seed(task.seed)
    spikes, labels = torch.from_numpy(task.spikes().astype(np.float32)), torch.from_numpy(task.labels())
    network, forward = BUILDERS[name](task.layers, task.recurrent)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)

    def train() -> None:
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(forward(spikes), labels).backward()
        optimiser.step()

    def infer() -> None:
        with torch.no_grad():
            forward(spikes)

    choose_threads(infer)
    return Works(train, infer)
