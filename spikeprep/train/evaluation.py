"""Accuracy and confusion of a network on a split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..distributed.ranks import Alone, Ranks, span
from ..feed.batches import BatchStream
from ..store import SplitReader
from .network import Network
from .rules.hm2bp import predict


@dataclass(frozen=True)
class Evaluation:
    """Share of samples predicted right, their number, and confusion int64 (class, predicted)."""

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
    progress: Callable[[int, int], None] | None = None,
    ranks: Ranks | None = None,
) -> Evaluation:
    """Predict `samples` of a split (int64, ascending; default all) and compare with their labels.

    Of several `ranks` each predicts a part of them, and all return the whole.
    """
    ranks = ranks or Alone()
    chosen = np.arange(len(reader)) if samples is None else samples
    mine = slice(*span(len(chosen), ranks.rank, ranks.size))
    stream = BatchStream(reader, batch, samples=chosen[mine], shuffle=False)
    confusion = np.zeros((classes, classes), np.int64)
    before: tuple[NDArray[Any], Callable[[], NDArray[np.int64]]] | None = None

    def look() -> None:
        if before is not None:
            labels, counts = before
            np.add.at(confusion, (labels, predict(counts())), 1)

    for part in network.ops.feed(stream):
        counting = network.counting(part)
        look()  # at the batch before, while the device is busy with this one
        before = part.labels, counting
        if progress:
            progress(stream.position, len(stream.samples))
    look()
    confusion = ranks.total(confusion)
    total = int(confusion.sum())
    return Evaluation(float(np.trace(confusion)) / max(total, 1), total, confusion)
