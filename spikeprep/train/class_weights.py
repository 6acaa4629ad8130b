"""Weights of classes in the loss (docs/hm2bp.md section 7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from ..config import Meta
from ..errors import UsageError
from ..text import listed

_Weight = Annotated[float, Meta(ge=0, le=1e6)]

ClassWeights = Literal["balanced"] | Annotated[tuple[_Weight, ...], Meta(min_length=1)] | None
"""None: all are 1."""

_SHOWN = 5  # classes in one message


def class_weights(
    setting: ClassWeights, labels: NDArray[np.integer], classes: Sequence[str]
) -> NDArray[np.float64] | None:
    """Return the weight of each class, float64 (class,); None where all are 1.

    Parameters
    ----------
    setting
        "balanced": N / (K n_c) for n_c of N training samples, of K classes that have some, as scikit-learn defines it;
        a class without samples has 0, which is never used. Or the weights.
    labels
        Of the training samples, (sample,).
    classes
        Name of each class.

    Raises
    ------
    UsageError
        There are not as many weights as classes, or all training samples would have the weight 0.
    """
    if setting is None:
        return None
    numbers = np.bincount(labels, minlength=len(classes))
    if setting == "balanced":
        present = numbers > 0
        weights = np.zeros(len(classes))
        weights[present] = len(labels) / (present.sum() * numbers[present])
        return weights
    if len(setting) != len(classes):
        raise UsageError(
            f"got class_weights of {len(setting)} values",
            f"{len(classes)}, one for each class: {listed(list(classes), _SHOWN, ', ')}",
            'Give as many, or use class_weights="balanced".',
        )
    weights = np.array(setting, np.float64)
    if not (weights[numbers > 0] > 0).any():
        raise UsageError(
            f"got class_weights {list(setting)}",
            "at least one class of the training samples with a weight above 0",
            "Nothing would be learnt: raise some.",
        )
    return weights
