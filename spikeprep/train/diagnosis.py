"""What a person should know of a run while it trains: warnings that name the setting to change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..backend import LinearMap
from .layers import parse_arch
from .metrics import EpochMetrics
from .settings import TrainSettings

WATCHED_BATCHES = 20
"""Batches after which a layer that hardly fires is named."""

_NEAR_SILENT = 0.02  # spikes per neuron and sample
_CHANCE_DEVIATIONS = 3  # standard deviations above guessing within which an accuracy is called chance
_EARLY_UPDATES = 100  # before so many a network may still be guessing
_FEW_UPDATES = 1000


class RunWarning(NamedTuple):
    """A warning, and what it is about: a run gives one of each subject.

    Attributes
    ----------
    about
        The subject: one word, or the layer.
    message
        What to show.
    """

    about: str
    message: str


@dataclass(frozen=True)
class Diagnosis:
    """What is watched in one run.

    Attributes
    ----------
    settings
        Of the run, thresholds resolved.
    layers
        The network's layers, input side first.
    labels
        Of the training samples.
    classes
        Number of classes.
    calibrated
        Whether the rule's open settings were, or may have been, found by calibration.
    """

    settings: TrainSettings
    layers: Sequence[LinearMap]
    labels: NDArray[np.int32]
    classes: int
    calibrated: bool

    def at_start(self, batches: int, held_out: int) -> Iterator[RunWarning]:
        """Yield what the settings and the samples tell.

        Parameters
        ----------
        batches
            Of an epoch.
        held_out
            Number of validation samples.
        """
        if message := few_updates(self.settings.epochs, batches):
            yield RunWarning("updates", message)
        if self.settings.validation and not held_out:
            yield RunWarning("validation", self._nothing_held_out())
        if message := self.settings.rule.warning():
            yield RunWarning("settings", message)

    def after_batches(self, rates: Sequence[float]) -> Iterator[RunWarning]:
        """Yield a warning of the first layer that hardly fires: those behind it get nothing to fire at.

        `rates` are spikes per neuron and sample, layer by layer.
        """
        for layer, rate in enumerate(rates):
            if rate < _NEAR_SILENT:
                name = self._name(layer)
                hint = self.settings.rule.silent_hint(self.layers, layer, self.calibrated)
                rated = f"{name} fires {rate:.3g} spikes per neuron and sample: too few to learn from."
                yield RunWarning(name, f"{rated} {hint}")
                return

    def after_epoch(
        self, metrics: EpochMetrics, epoch: int, updates: int, accuracies: Sequence[float]
    ) -> Iterator[RunWarning]:
        """Yield a warning where an epoch's training accuracy is that of guessing: of a silent layer, if there is one.

        Parameters
        ----------
        metrics
            Of the epoch.
        epoch, updates
            Number of this epoch, from 1, and of the updates so far.
        accuracies
            Training accuracies of the epochs before.
        """
        accuracy, counts = metrics.correct / metrics.seen, np.bincount(self.labels)
        chance = float(counts.max() / counts.sum())
        bound = chance + _CHANCE_DEVIATIONS * np.sqrt(chance * (1 - chance) / metrics.seen)
        if accuracy > bound or self.classes == 1:
            return
        silent = list(self.after_batches(metrics.mean_rates()))
        best = max(accuracies, default=0.0)
        if silent:
            yield from silent
        elif updates >= _EARLY_UPDATES or best > bound:
            fell = f", down from {best:.1%}: training has collapsed" if best > bound else ""
            message = (
                f"epoch {epoch} ends at {accuracy:.1%} training accuracy, {chance:.1%} is guessing{fell}."
            )
            hint = self.settings.rule.chance_hint(self.calibrated)
            yield RunWarning("collapse" if fell else "guessing", f"{message} {hint}")

    def _name(self, layer: int) -> str:
        hidden = [part.text for part in parse_arch(self.settings.arch)]
        return f"hidden layer {layer + 1} ({hidden[layer]})" if layer < len(hidden) else "the output layer"

    def _nothing_held_out(self) -> str:
        largest = int(np.bincount(self.labels).max())
        more = f"validation={1 / largest:.2g} or more" if largest > 1 else "more samples"
        return (
            f"validation={self.settings.validation:g} of {len(self.labels):,} training samples, by class, holds out "
            f"none: there is no validation accuracy, and the last epoch is the best. Use {more}, or validation=0."
        )


def few_updates(epochs: int, batches: int) -> str:
    """Return a warning where a run makes few updates, else ""; `batches` are those of an epoch."""
    updates = epochs * batches
    if updates >= _FEW_UPDATES:
        return ""
    passes = f"{_counted(epochs, 'epoch')} of {_counted(batches, 'batch', 'batches')}"
    return (
        f"this run makes {_counted(updates, 'update')} ({passes}); networks often need "
        f"{_FEW_UPDATES:,} or more. Raise epochs, or lower batch."
    )


def _counted(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
