"""What a person should know of a run while it trains: warnings that name the setting to change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from .metrics import EpochMetrics
from .rules import LearningRule

WATCHED_BATCHES = 20
"""Batches after which layers that hardly fire are named."""

_NEAR_SILENT = 0.02  # spikes per neuron and sample
_CHANCE_DEVIATIONS = 3  # standard deviations above guessing within which an accuracy is called chance
_EARLY_UPDATES = 100  # before so many a network may still be guessing
_FEW_UPDATES = 1000


def few_updates(epochs: int, batches: int) -> str:
    """Return a warning where a run makes few updates, else ""; `batches` are those of an epoch."""
    updates = epochs * batches
    if updates >= _FEW_UPDATES:
        return ""
    passes = f"{epochs:,} epoch{'s' * (epochs > 1)}"
    return (
        f"this run makes {updates:,} updates ({passes} of {batches:,} batches); networks often need "
        f"{_FEW_UPDATES:,} or more. Raise epochs, or lower batch."
    )


def silent_layers(rule: LearningRule, rates: Sequence[float]) -> Iterator[str]:
    """Yield a warning for each layer that hardly fires; `rates` are spikes per neuron and sample, layer by layer."""
    for layer, rate in enumerate(rates):
        if rate < _NEAR_SILENT:
            yield _near_silent(rule, layer, layer == len(rates) - 1, rate)


def at_chance(
    rule: LearningRule,
    metrics: EpochMetrics,
    labels: NDArray[np.int32],
    classes: int,
    epoch: int,
    updates: int,
    accuracies: Sequence[float],
) -> str:
    """Return a warning where the output is silent, or an epoch's training accuracy is that of guessing; else "".

    Parameters
    ----------
    rule
        The learning rule.
    metrics
        Of the epoch.
    labels
        Of the training samples.
    classes
        Number of classes.
    epoch, updates
        Number of this epoch, from 1, and of the updates so far.
    accuracies
        Training accuracies of the epochs before.
    """
    rates = metrics.mean_rates()
    rate, accuracy = rates[-1], metrics.correct / metrics.seen
    counts = np.bincount(labels)
    chance = float(counts.max() / counts.sum())
    bound = chance + _CHANCE_DEVIATIONS * np.sqrt(chance * (1 - chance) / metrics.seen)
    best = max(accuracies, default=0.0)
    early = updates < _EARLY_UPDATES and best <= bound
    if accuracy > bound or classes == 1 or (early and rate >= _NEAR_SILENT):
        return ""
    if rate < _NEAR_SILENT:
        return _near_silent(rule, len(rates) - 1, True, rate)
    fell = f", down from {best:.1%}: training has collapsed" if best > bound else ""
    message = f"epoch {epoch} ends at {accuracy:.1%} training accuracy, {chance:.1%} is guessing{fell}."
    return f"{message} {rule.chance_hint()}"


def _near_silent(rule: LearningRule, layer: int, last: bool, rate: float) -> str:
    name = "the output layer" if last else f"hidden layer {layer + 1}"
    hint = rule.silent_hint(layer, rate)
    return f"{name} fires {rate:.3g} spikes per neuron and sample: it learns little. {hint}"
