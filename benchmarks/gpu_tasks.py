"""What `benchmarks.gpu` trains on: spikes at random, or a store's, on the device; and the network of a task."""

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
from spikeprep.data import PackedBatch, PspParams
from spikeprep.random import generator
from spikeprep.train.calibrate import calibrate
from spikeprep.train.layers.dense import Dense, initial_state
from spikeprep.train.network import Network
from spikeprep.train.rules.hm2bp import LossParams
from spikeprep.train.settings import TrainSettings

SETTINGS = TrainSettings()


@dataclass(frozen=True)
class Samples:
    """Packed samples on the device, as a resident split has them: bits [sample, unit, byte], and labels on the host."""

    bits: Any
    labels: NDArray[np.int32]
    steps: int

    def batches(self, size: int, count: int) -> Iterator[PackedBatch]:
        """Yield so many batches, going round."""
        for n in range(count):
            first = n * size % (len(self.labels) - size + 1)
            yield self.batch(slice(first, first + size))

    def batch(self, which: slice) -> PackedBatch:
        """Return some of them."""
        labels = self.labels[which]
        steps = np.full(len(labels), self.steps, np.uint32)
        return PackedBatch(self.bits[which], steps, labels, np.arange(len(labels)))


def random_bits(task: Task, samples: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return packed spikes of the task's number a sample, Poisson on the units that are active, others silent."""
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
    """Return spikes at random with labels at random: nothing can be learnt, so that no work falls away."""
    labels = np.random.default_rng(1).integers(task.sizes[-1], size=samples).astype(np.int32)
    return Samples(runtime.to_device(random_bits(task, samples)), labels, task.steps)


def network(ops: Backend, task: Task, samples: Samples) -> Network:
    """Return a fresh network of the default settings, its thresholds calibrated on the first samples."""
    weights = [
        ops.dense_weights(initial_state(post, pre, SETTINGS.init, generator(0, "weights", n), ops.dtype))
        for n, (pre, post) in enumerate(pairwise(task.sizes))
    ]
    first = samples.batch(slice(0, min(64, task.batch)))
    thresholds = calibrate(ops, weights, first, SETTINGS.neuron, SETTINGS.lateral)
    last = len(weights) - 1
    layers = tuple(
        Dense(layer, SETTINGS.neuron.at(nu), SETTINGS.lateral if n == last else 0.0)
        for n, (layer, nu) in enumerate(zip(weights, thresholds, strict=True))
    )
    return Network(ops, layers, loss(task), PspParams())


def loss(task: Task) -> LossParams:
    """Return the default loss, its target within reach of the task's steps."""
    default = LossParams()
    return replace(default, target=min(default.target, task.steps // 6))


def as_seen(ops: Backend, task: Task, net: Network, samples: Samples) -> Task:
    """Return the task with the spikes and active units that a batch really has, layer by layer."""
    size = min(task.batch, len(samples.labels))
    counts = [ops.to_host(ops.counts(s)) for s in net.forward(samples.batch(slice(0, size)))[:-1]]
    return replace(
        task,
        spikes=tuple(float(c.sum(axis=1).mean()) for c in counts),
        active=tuple(max(1.0, float((c > 0).sum(axis=1).mean())) for c in counts),
    )
