"""What batches amount to: gathered over the ranks, added up over an epoch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import PackedBatch
from ..distributed.ranks import Ranks, rank_range
from .network import StepResult


def predict(counts: NDArray[Any]) -> NDArray[np.int64]:
    """Return the class of the most spikes, the first on ties: host counts (sample, class) → int64 (sample,)."""
    winner: NDArray[np.int64] = np.asarray(counts).argmax(axis=1)
    return winner


def confusion_of(labels: NDArray[Any], predicted: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """Return numbers of samples, int64 (true class, predicted class), from both (sample,)."""
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    return confusion


@dataclass(frozen=True)
class BatchMetrics:
    """What a batch amounts to, the same on every rank.

    Attributes
    ----------
    predicted
        int64 (sample,), over the batch of all ranks.
    loss
        Sum over the samples.
    rates
        Each layer's mean spikes per neuron and sample.
    stop
        Whether some rank wants to stop here.
    """

    predicted: NDArray[np.int64]
    loss: float
    rates: tuple[float, ...]
    stop: bool


@dataclass
class EpochMetrics:
    """Sums over the batches of an epoch so far; part of every checkpoint."""

    seen: int = 0
    correct: int = 0
    batches: int = 0
    loss: float = 0.0
    seconds: float = 0.0
    waited: float = 0.0
    rates: list[float] = field(default_factory=list)

    def add(self, batch: BatchMetrics, labels: NDArray[Any]) -> None:
        """Add one batch with its labels (sample,)."""
        self.seen += len(labels)
        self.correct += int((batch.predicted == labels).sum())
        self.batches += 1
        self.loss += batch.loss
        rates = batch.rates
        self.rates = [a + b for a, b in zip(self.rates or [0.0] * len(rates), rates, strict=True)]

    def mean_rates(self) -> list[float]:
        """Return each layer's mean spikes per neuron and sample."""
        return [rate / max(self.batches, 1) for rate in self.rates]


@dataclass(frozen=True)
class TrainedBatch:
    """A batch that training has taken its step on, and what this rank measured of it.

    Attributes
    ----------
    epoch, step
        Epoch of the batch, from 0, and number of the update, from 1.
    samples
        int64 (sample,): positions in the split, over all ranks.
    result
        What this rank measured.
    """

    epoch: int
    step: int
    samples: NDArray[np.int64]
    result: StepResult

    @classmethod
    def of(cls, batch: PackedBatch, step: int, result: StepResult) -> TrainedBatch:
        """Return the record of a batch as it came from the stream."""
        samples = batch.index if batch.batch_index is None else batch.batch_index
        return cls(batch.epoch, step, samples, result)


def gather_metrics(ranks: Ranks, batch: TrainedBatch | None, stop: bool) -> BatchMetrics:
    """Return what a batch, or none, amounts to, and whether some rank wants to stop; the same on every rank."""
    if batch is None:
        return BatchMetrics(np.zeros(0, np.int64), 0.0, (), _any(ranks, stop))
    result, samples = batch.result, len(batch.samples)
    predicted = predict(result.counts)
    loss, rates = float(result.loss.sum()), result.rates
    if ranks.size == 1:
        return BatchMetrics(predicted, loss, rates, stop)
    layers = len(rates)
    values = np.zeros(2 + layers + samples)
    values[:2] = stop, loss
    values[2 : 2 + layers] = np.array(rates) * len(predicted)
    values[2 + layers :][slice(*rank_range(samples, ranks.rank, ranks.size))] = predicted
    values = ranks.total(values)
    mean_rates = tuple((values[2 : 2 + layers] / samples).tolist())
    return BatchMetrics(values[2 + layers :].astype(np.int64), float(values[1]), mean_rates, bool(values[0]))


def _any(ranks: Ranks, flag: bool) -> bool:
    return bool(ranks.total(np.array([float(flag)]))[0])
