"""Which samples a run trains on, and which it holds out to choose the best epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..random import generator
from ..store import SpikeStore, SplitReader
from .settings import TrainSettings

VALIDATION = "validation"
"""The split of a store that chooses the best epoch, where there is one."""


@dataclass(frozen=True)
class RunSamples:
    """Which samples a run uses.

    Attributes
    ----------
    training
        Samples of the training split that are trained on, int64 ascending.
    validation
        Samples that choose the best epoch, int64 ascending.
    validation_reader
        The split that the validation samples are of.
    """

    training: NDArray[np.int64]
    validation: NDArray[np.int64]
    validation_reader: SplitReader


def split_samples(store: SpikeStore, settings: TrainSettings, limit: int | None) -> RunSamples:
    """Return a run's training and validation samples.

    The store's split "validation" is used where there is one and the setting `validation` is not 0; else see
    `split_validation`. Copies of held-out samples are neither trained on nor evaluated: their originals are like the
    test split. With `augment` originals alone are trained on, since each epoch varies them.
    """
    reader = store["train"]
    originals = len(reader) // store.attributes.get("copies", 1)
    if settings.validation and VALIDATION in store.splits:
        held = store[VALIDATION]
        training, validation = np.arange(len(reader))[:limit], np.arange(len(held))[:limit]
    else:
        held, groups = reader, reader.groups if reader.groups is None else reader.groups[:limit]
        training, validation = split_validation(
            reader.labels[:limit], settings.validation, settings.seed, groups
        )
        validation = validation[validation < originals]
    if settings.augment:
        training = training[training < originals]
    return RunSamples(training, validation, held)


def split_validation(
    labels: NDArray[Any], share: float, seed: int, groups: NDArray[Any] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return training and validation samples, int64 ascending: `share` of each class, drawn by `seed`.

    With `groups`, (sample,), whole groups are drawn: none has samples in both. Where every group is of one class
    (copies of a sample), `share` of the groups of each class; else (speakers) `share` of all groups, at least one.

    Raises
    ------
    UsageError
        No training samples are left.
    """
    rng = generator(seed, "validation")
    samples, drawn_from, least = np.arange(len(labels)), labels, 0
    if groups is not None:
        _, first, samples = np.unique(groups, return_index=True, return_inverse=True)
        drawn_from = labels[first]
        if (drawn_from[samples] != labels).any():
            drawn_from, least = np.zeros(len(first), np.int64), int(share > 0 and len(first) > 1)
    held_out = [np.empty(0, np.int64)]
    for label in np.unique(drawn_from):
        members = np.flatnonzero(drawn_from == label)
        held_out.append(rng.permutation(members)[: max(round(share * len(members)), least)])
    held = np.isin(samples, np.concatenate(held_out))
    if held.all():
        raise UsageError("no training samples are left", "at least one", "Lower validation or raise limit.")
    return np.flatnonzero(~held), np.flatnonzero(held)
