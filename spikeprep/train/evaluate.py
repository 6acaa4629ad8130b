"""Accuracy and confusion of a network on a split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..store import SplitReader
from ..stream import BatchStream
from .hm2bp import predict
from .network import Network


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
) -> Evaluation:
    """Predict `samples` of a split (int64, ascending; default all) and compare with their labels."""
    stream = BatchStream(reader, batch, samples=samples, shuffle=False)
    confusion = np.zeros((classes, classes), np.int64)
    for part in stream.batches():
        np.add.at(confusion, (part.labels, predict(network.counts(part))), 1)
        if progress:
            progress(stream.position, len(stream.samples))
    total = int(confusion.sum())
    return Evaluation(float(np.trace(confusion)) / max(total, 1), total, confusion)
