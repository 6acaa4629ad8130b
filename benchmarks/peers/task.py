"""What every peer is given: the network, its input, and what is measured."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeprep.train.layers import LayerKind
from spikeprep.train.layers.dense import Dense

LONGEST = 5.0
"""Seconds after which no further batch is timed."""

TAU = 64.0  # membrane time constant in steps, as in HM2-BP's networks


def dense(*sizes: int) -> tuple[LayerKind, ...]:
    """Return fully connected layers between units of these numbers."""
    return tuple(Dense((pre,), post) for pre, post in pairwise(sizes))


@dataclass(frozen=True)
class Task:
    """The network and its input: layers, steps, samples per batch, spikes per input unit and step.

    Where `recurrent` is set, each hidden layer is fully connected to itself.
    """

    layers: tuple[LayerKind, ...] = dense(784, 800, 10)
    steps: int = 400
    batch: int = 32
    density: float = 0.021
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
        return drawn < self.density

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

    def median(self, what: str) -> float:
        """Return the median of ``train`` or ``infer``."""
        return float(statistics.median(getattr(self, what)))


def timed(work: Callable[[], Any], task: Task, warm: int = 1) -> tuple[float, ...]:
    """Return milliseconds per sample of `task.batches` calls, or fewer where they are slow.

    `warm` calls before them, which allocate and compile, are not timed.
    """
    for _ in range(warm):
        work()
    seconds: list[float] = []
    while len(seconds) < task.batches and sum(seconds) < LONGEST:
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return tuple(value / task.batch * 1e3 for value in seconds)
