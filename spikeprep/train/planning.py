"""The size of a run before it starts: its network and its largest batch, refused where they do not fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..backend import Backend
from ..store import SpikeStore, SplitReader
from .layers import LayerKind, build_layers
from .memory import NetworkSize, check_batch, check_network, network_size
from .settings import TrainSettings
from .splits import split_samples


def planned_size(
    store: SpikeStore, settings: TrainSettings, backend: Backend, limit: int | None, ranks: int
) -> NetworkSize:
    """Return the size of the network that a `Trainer` would train; see `checked_size`."""
    reader = store["train"]
    samples = split_samples(store, settings, limit).training
    settings.rule.check_steps(reader.max_steps)
    shape, classes = tuple(store.attributes["unit_shape"]), len(store.attributes["classes"])
    layers = build_layers(settings.arch, shape, classes, settings.channels)
    return checked_size(reader, samples, settings, layers, backend, ranks)


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
    """
    samples = -(-min(settings.batch, len(train_samples)) // ranks)
    steps = int(reader.steps[train_samples].max())
    check_network(settings.rule, layers, backend.dtype.itemsize)
    check_batch(backend, settings.rule.name, layers, samples, steps, host_bytes)
    return network_size(backend, settings, layers, samples, steps)
