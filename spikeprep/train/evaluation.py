"""Accuracy and confusion of a network on a split."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import PackedBatch
from ..distributed.ranks import Ranks, SingleRank, rank_range
from ..feed.batches import BatchStream
from ..store import SplitReader
from .memory import affordable_batch
from .metrics import confusion_of, predict
from .network import Network
from .network_counts import CountMeter


@dataclass(frozen=True)
class Evaluation:
    """Share of correct predictions, number of samples, and confusion int64 (true class, predicted class)."""

    accuracy: float
    samples: int
    confusion: NDArray[np.int64]

    def to_json(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return {"accuracy": self.accuracy, "samples": self.samples, "confusion": self.confusion.tolist()}


def evaluate(
    network: Network,
    reader: SplitReader,
    classes: int,
    *,
    batch: int = 64,
    samples: NDArray[np.int64] | None = None,
    ranks: Ranks | None = None,
) -> Evaluation:
    """Predict `samples` of a split (int64, ascending; default all) and compare with their labels.

    Of several `ranks` each predicts a share of the samples, and all return the result over all of them.
    """
    ranks = ranks or SingleRank()
    selected = np.arange(len(reader)) if samples is None else samples
    share = selected[slice(*rank_range(len(selected), ranks.rank, ranks.size))]
    confusion = np.zeros((classes, classes), np.int64)

    for labels, counts, _ in count_batches(network, reader, share, batch):
        confusion += confusion_of(labels, predict(counts), classes)
    confusion = ranks.total(confusion)
    total = int(confusion.sum())
    return Evaluation(float(np.trace(confusion)) / max(total, 1), total, confusion)


def count_batches(
    network: Network,
    reader: SplitReader,
    samples: NDArray[np.int64],
    batch: int,
    meter: CountMeter | None = None,
) -> Iterator[tuple[NDArray[Any], NDArray[np.int64], int]]:
    """Yield labels (sample,), output counts (sample, class) and the number of samples done, batch by batch, in order.

    Batches have fewer samples where memory is short. A `meter` gets the spikes of every layer.

    A batch's counts are read while the device computes the next one.
    """
    if len(samples):
        longest = int(reader.steps[samples].max())
        batch = affordable_batch(network.backend, network.rule.name, network.layers, batch, longest)
    stream = BatchStream(reader, batch, samples=samples, shuffle=False)
    pending: tuple[NDArray[Any], Callable[[], NDArray[np.int64]], int] | None = None
    for packed in network.backend.feed(stream):
        counts = network.start_counts(packed) if meter is None else _metered(network, packed, meter)
        started = packed.labels, counts, packed.position + len(packed)
        if pending is not None:
            yield pending[0], pending[1](), pending[2]
        pending = started
    if pending is not None:
        yield pending[0], pending[1](), pending[2]


def _metered(network: Network, batch: PackedBatch, meter: CountMeter) -> Callable[[], NDArray[np.int64]]:
    """Do what `Network.start_counts` does, and give a meter the spikes."""
    spikes = network.forward(batch)
    meter.add(spikes)
    return network.backend.fetch(network.backend.counts(spikes[-1]))
