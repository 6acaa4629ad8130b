"""What every peer is given: the network, its input, and what is measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeprep.train.layers import LayerKind
from spikeprep.train.layers.dense import Dense

TAU = 64.0  # membrane time constant in steps, as in HM2-BP's networks


def dense(*sizes: int) -> tuple[LayerKind, ...]:
    """Return fully connected layers between units of these numbers."""
    return tuple(Dense((pre,), post) for pre, post in pairwise(sizes))


@dataclass(frozen=True)
class Task:
    """The network and its input: layers, steps, samples per batch, spikes per input unit and step.

    A share `active` of the units, drawn for each sample, can spike. Where `recurrent` is set, each hidden layer is
    fully connected to itself.
    """

    layers: tuple[LayerKind, ...] = dense(784, 800, 10)
    steps: int = 400
    batch: int = 32
    density: float = 0.021
    active: float = 1.0
    batches: int = 3
    seed: int = 0
    recurrent: bool = False

    @property
    def units(self) -> int:
        """Number of input units."""
        return int(np.prod(self.layers[0].in_shape))

    def spikes(self, samples: int | None = None) -> NDArray[np.bool_]:
        """Return random spikes, bool (time, sample, unit), of one batch or of so many samples."""
        rng = np.random.default_rng(self.seed)
        drawn = rng.random((self.steps, samples or self.batch, self.units), dtype=np.float32)
        active = rng.random(drawn.shape[1:], dtype=np.float32) < self.active
        return np.asarray(drawn < np.where(active, np.float32(self.density / self.active), 0))

    def labels(self, samples: int | None = None) -> NDArray[np.int64]:
        """Return random classes, int64 (sample,)."""
        return np.random.default_rng(self.seed).integers(self.layers[-1].units, size=samples or self.batch)


@dataclass(frozen=True)
class Timing:
    """Milliseconds per sample of every batch that was timed."""

    peer: str
    version: str
    train: tuple[float, ...]
    infer: tuple[float, ...]

    @property
    def train_ms(self) -> float:
        """The best batch."""
        return min(self.train)

    @property
    def infer_ms(self) -> float:
        """The best batch."""
        return min(self.infer)


def milliseconds(work: Callable[[], Any], task: Task) -> float:
    """Return how long one batch takes, per sample."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) / task.batch * 1e3


@dataclass(frozen=True)
class Works:
    """A library's network, ready: a call trains, or infers, one batch; `warm` calls allocate and compile."""

    train: Callable[[], Any]
    infer: Callable[[], Any]
    warm: int = 1

    def warmed(self) -> Works:
        """Return it after the calls that are not timed."""
        for _ in range(self.warm):
            self.train()
        self.infer()
        return self

    def timing(self, peer: str, version: str, task: Task) -> Timing:
        """Time `task.batches` of each, once warm."""
        works = self.warmed()
        times = [
            tuple(milliseconds(work, task) for _ in range(task.batches))
            for work in (works.train, works.infer)
        ]
        return Timing(peer, version, *times)
