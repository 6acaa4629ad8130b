"""What batches come to: gathered over the ranks, added up over an epoch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..distributed.ranks import Ranks, span
from .network import StepResult
from .rules.hm2bp import predict


@dataclass(frozen=True)
class Outcome:
    """What became of a batch, on every rank the same: predictions int64 (sample,), summed loss, each layer's rate.

    `stop` says that some rank wants to end here.
    """

    predicted: NDArray[np.int64]
    loss: float
    rates: tuple[float, ...]
    stop: bool


@dataclass
class EpochStats:
    """Sums over the batches of an epoch so far; part of every checkpoint."""

    seen: int = 0
    correct: int = 0
    batches: int = 0
    loss: float = 0.0
    seconds: float = 0.0
    waited: float = 0.0
    rates: list[float] = field(default_factory=list)

    def add(self, outcome: Outcome, labels: NDArray[Any]) -> None:
        """Count one batch in."""
        self.seen += len(labels)
        self.correct += int((outcome.predicted == labels).sum())
        self.batches += 1
        self.loss += outcome.loss
        rates = outcome.rates
        self.rates = [a + b for a, b in zip(self.rates or [0.0] * len(rates), rates, strict=True)]

    def mean_rates(self) -> list[float]:
        """Return each layer's mean spikes a neuron and sample."""
        return [rate / max(self.batches, 1) for rate in self.rates]


@dataclass(frozen=True)
class Drawn:
    """A batch that training has taken its step on: which one, and what the step saw of this rank's part."""

    epoch: int
    step: int
    samples: NDArray[np.int64]
    result: StepResult


def gathered(ranks: Ranks, drawn: Drawn | None, stop: bool) -> Outcome:
    """Return what became of a batch, or of none, and whether some rank wants to stop; the same on every rank."""
    if drawn is None:
        return Outcome(np.zeros(0, np.int64), 0.0, (), _any(ranks, stop))
    result, samples = drawn.result, len(drawn.samples)
    predicted = predict(result.counts)
    loss, rates = float(result.loss.sum()), result.rates
    if ranks.size == 1:
        return Outcome(predicted, loss, rates, stop)
    layers = len(rates)
    told = np.zeros(2 + layers + samples)
    told[:2] = stop, loss
    told[2 : 2 + layers] = np.array(rates) * len(predicted)
    told[2 + layers :][slice(*span(samples, ranks.rank, ranks.size))] = predicted
    told = ranks.total(told)
    shared = tuple((told[2 : 2 + layers] / samples).tolist())
    return Outcome(told[2 + layers :].astype(np.int64), float(told[1]), shared, bool(told[0]))


def _any(ranks: Ranks, asked: bool) -> bool:
    return bool(ranks.total(np.array([float(asked)]))[0])
