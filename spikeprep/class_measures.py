"""Recall, precision and balanced accuracy from a confusion; accuracy by group."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Shares = NDArray[np.float64]
"""Shares in [0, 1] by class; NaN where a class has no samples to take a share of."""


def recalls(confusion: NDArray[np.int64]) -> Shares:
    """Return the share of each class's samples that were predicted as it; confusion (true, predicted)."""
    return _shares(np.diagonal(confusion), confusion.sum(axis=1))


def precisions(confusion: NDArray[np.int64]) -> Shares:
    """Return the share of the samples predicted as each class that are of it; confusion (true, predicted)."""
    return _shares(np.diagonal(confusion), confusion.sum(axis=0))


def balanced_accuracy(confusion: NDArray[np.int64]) -> float:
    """Return the mean recall of the classes that have samples, as scikit-learn defines it; 0 without samples."""
    present = confusion.sum(axis=1) > 0
    return float(recalls(confusion)[present].mean()) if present.any() else 0.0


def accuracies_by(
    groups: NDArray[np.integer], correct: NDArray[np.bool_]
) -> Iterator[tuple[int, int, float]]:
    """Yield each group with its number of samples and the share of them that is correct; both are (sample,)."""
    numbers, inverse, samples = np.unique(groups, return_inverse=True, return_counts=True)
    shares = np.bincount(inverse, correct, minlength=len(numbers)) / np.maximum(samples, 1)
    yield from zip(numbers.tolist(), samples.tolist(), shares.tolist(), strict=True)


def _shares(part: NDArray[np.int64], whole: NDArray[np.int64]) -> Shares:
    shares = np.full(len(whole), np.nan)
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares
