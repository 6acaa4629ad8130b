"""Networks and samples of `benchmarks.gpu`: random spikes on the device, and a network for each task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.roofline import Task
from spikeprep.backend import Backend
from spikeprep.cuda.runtime import Runtime
from spikeprep.data import PackedBatch
from spikeprep.train.layers.dense import Dense
from spikeprep.train.network import Network, build_network, initial_states
from spikeprep.train.rules.hm2bp import Hm2bp
from spikeprep.train.rules.loss import LossSettings
from spikeprep.train.settings import TrainSettings

SETTINGS = TrainSettings()


@dataclass(frozen=True)
class Samples:
    """Packed samples: bits [sample, unit, byte], on the device as those of a resident split; labels on the host."""

    bits: Any
    labels: NDArray[np.int32]
    steps: int

    def batches(self, size: int, count: int) -> Iterator[PackedBatch]:
        """Yield `count` batches, starting again from the first sample when there are no more."""
        for n in range(count):
            first = n * size % (len(self.labels) - size + 1)
            yield self.batch(slice(first, first + size))

    def batch(self, samples: slice) -> PackedBatch:
        """Return a slice of the samples as a batch."""
        labels = self.labels[samples]
        steps = np.full(len(labels), self.steps, np.uint32)
        return PackedBatch(self.bits[samples], steps, labels, np.arange(len(labels)))


def random_bits(task: Task, samples: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return packed Poisson spikes: the task's number per sample, on its number of active units; others are silent."""
    rng, units, active = np.random.default_rng(seed), task.sizes[0], int(min(task.active[0], task.sizes[0]))
    rate = min(1.0, task.spikes[0] / active / task.steps)
    bits = np.zeros((samples, units, -(-task.steps // 8)), np.uint8)
    limit = np.uint16(round(rate * 65535))
    for b in range(samples):
        chosen = np.sort(rng.permutation(units)[:active])
        fired = rng.integers(0, 65535, (active, task.steps), dtype=np.uint16) < limit
        bits[b, chosen] = np.packbits(fired, axis=1, bitorder="little")
    return bits


def random_samples(runtime: Runtime, task: Task, samples: int) -> Samples:
    """Return random spikes with random labels: nothing can be learnt, so the error never vanishes."""
    labels = np.random.default_rng(1).integers(task.sizes[-1], size=samples).astype(np.int32)
    return Samples(runtime.to_device(random_bits(task, samples)), labels, task.steps)


def network(backend: Backend, task: Task, samples: Samples) -> Network:
    """Return a new network with default settings, its thresholds calibrated on the first samples."""
    layers = [Dense((pre,), post) for pre, post in pairwise(task.sizes)]
    states = initial_states(SETTINGS.rule, layers, SETTINGS.init, 0, backend.dtype)
    net = build_network(backend, Hm2bp(loss=loss(task)), layers, states)
    first = samples.batch(slice(0, min(64, task.batch)))
    return replace(net, rule=net.rule.calibrated(backend, net.layers, net.devices, first))


def loss(task: Task) -> LossSettings:
    """Return the default loss with a target that a neuron can reach in the task's steps."""
    target = min(LossSettings().target, task.steps // 6)
    return LossSettings(target=target, margin=min(LossSettings().margin, target - 1))


def measured(backend: Backend, task: Task, net: Network, samples: Samples) -> Task:
    """Return the task with the spikes and active units of one batch, layer by layer."""
    size = min(task.batch, len(samples.labels))
    counts = [backend.to_host(backend.counts(s)) for s in net.forward(samples.batch(slice(0, size)))[:-1]]
    return replace(
        task,
        spikes=tuple(float(c.sum(axis=1).mean()) for c in counts),
        active=tuple(max(1.0, float((c > 0).sum(axis=1).mean())) for c in counts),
    )
