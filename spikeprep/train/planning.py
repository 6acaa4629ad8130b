"""The size of a run before it starts: its network and its largest batch, refused where they do not fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..backend import Backend
from ..errors import UsageError
from ..store import SpikeStore, SplitReader
from .class_weights import class_weights
from .dropout import check_dropout
from .layers import LayerKind, build_layers
from .memory import NetworkSize, check_batch, check_network, network_size
from .settings import TrainSettings
from .splits import RunSamples, split_samples


def planned_size(
    store: SpikeStore, settings: TrainSettings, backend: Backend, limit: int | None, ranks: int
) -> NetworkSize:
    """Return the size of the network that a `Trainer` would train; see `checked_size`."""
    samples, _ = chosen_samples(store, settings, limit)
    shape, classes = tuple(store.attributes["unit_shape"]), len(store.attributes["classes"])
    layers = build_layers(settings.arch, shape, classes, settings.channels)
    return checked_size(store["train"], samples.training, settings, layers, backend, ranks)


def chosen_samples(
    store: SpikeStore, settings: TrainSettings, limit: int | None
) -> tuple[RunSamples, NDArray[np.float64] | None]:
    """Return the samples that a run uses, and its class weights, see `class_weights`.

    Raises
    ------
    UsageError
        The settings do not fit the store's samples.
    """
    reader, samples = store["train"], split_samples(store, settings, limit)
    settings.rule.check_steps(reader.max_steps)
    if settings.patience is not None and not len(samples.validation):
        raise UsageError(
            f"got patience = {settings.patience}, and no validation samples are left of so few",
            "at least one, whose accuracy is watched",
            "Raise validation or limit, or set patience to none.",
        )
    labels = reader.labels[samples.training]
    return samples, class_weights(settings.class_weights, labels, store.attributes["classes"])


def checked_size(
    reader: SplitReader,
    train_samples: NDArray[np.int64],
    settings: TrainSettings,
    layers: Sequence[LayerKind],
    backend: Backend,
    ranks: int,
    host_bytes: int = 0,
) -> NetworkSize:
    """Return the size of a network and its largest batch; `host_bytes` is what reading batches takes beside it.

    Raises
    ------
    CapabilityError
        The network or a batch does not fit.
    UsageError
        Inputs of a layer without weights would be dropped.
    """
    check_dropout(layers, settings.dropout)
    samples = -(-min(settings.batch, len(train_samples)) // ranks)
    steps = int(reader.steps[train_samples].max())
    check_network(settings.rule, layers, backend.dtype.itemsize)
    check_batch(backend, settings.rule.name, layers, samples, steps, host_bytes)
    return network_size(backend, settings, layers, samples, steps)
