"""Whole numbers from a normal distribution that is rounded and cut, by a table of their probabilities."""

from __future__ import annotations

from functools import lru_cache
from math import erfc, sqrt

import numpy as np
from numpy.typing import NDArray

GUIDE = np.uint64(54)
"""Shift that leaves the ten leading binary digits of a number: they say where to start in the table."""


@lru_cache(8)
def rounded_normal(std: float, most: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the upper bounds, below 2⁶⁴, of the shifts −most … most − 1, and where to start by the leading digits."""

    def below(x: float) -> float:
        return erfc(-x / std / sqrt(2)) / 2

    low, high = below(-most - 0.5), below(most + 0.5)
    shares = ((below(shift + 0.5) - low) / (high - low) for shift in range(-most, most))
    bounds = np.array([min(int(share * 2.0**64), 2**64 - 1) for share in shares], np.uint64)
    heads = np.arange(1024, dtype=np.uint64) << GUIDE
    return bounds, np.searchsorted(bounds, heads, side="right")
