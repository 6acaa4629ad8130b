"""Spikes of the reference backend: one bool a sample, time step and unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class DenseSpikes:
    """Spikes S, bool (sample, time, unit); nothing fires at or past a sample's own `steps`, int64 (sample,)."""

    dense: NDArray[np.bool_]
    steps: NDArray[np.int64]

    @property
    def units(self) -> int:
        """Number of units."""
        return int(self.dense.shape[2])
