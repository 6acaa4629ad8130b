"""Sample weights that grow where training went wrong ("boost", docs/hm2bp.md section 7)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def boosted_weights(
    sample_weight: NDArray[np.float64], labels: NDArray[Any], predicted: NDArray[Any], classes: int
) -> NDArray[np.float64]:
    """Return sample weights q after an epoch: q ← q exp(err_c / 20) for each wrong sample of class c.

    err_c = Σ_{n∈c, wrong} q_n / Σ_{n∈c} q_n, from the predictions made while training; −1 marks a sample not seen.
    All arrays are (sample,).
    """
    seen = predicted >= 0
    wrong = seen & (predicted != labels)
    lost = np.bincount(labels[wrong], sample_weight[wrong], minlength=classes)
    total = np.bincount(labels[seen], sample_weight[seen], minlength=classes)
    error = np.divide(lost, total, out=np.zeros(classes), where=total > 0)
    return np.where(wrong, sample_weight * np.exp(error[labels] / 20), sample_weight)
