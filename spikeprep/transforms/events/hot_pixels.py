"""Silence pixels that fire far too often."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ...data import Events
from ...errors import UsageError
from ...random import SampleKey
from .base import EventTransform, Piece, like


@njit(nogil=True, cache=True)
def _count(events: Piece, counts: NDArray[np.int64]) -> None:
    """Add each pixel's events to counts (row, column)."""
    for n in range(events.size):
        counts[events[n].y, events[n].x] += 1


@njit(nogil=True, cache=True)
def _keep(events: Piece, hot: NDArray[np.bool_], kept: Piece) -> int:
    """Write the events of pixels that are not `hot` (row, column) to `kept`; returns how many."""
    count = 0
    for n in range(events.size):
        kept[count] = events[n]
        count += not hot[events[n].y, events[n].x]
    return count


@dataclass(frozen=True)
class HotPixels(EventTransform):
    """Drop all events of hot pixels: those that fire too often over the whole recording, both polarities together.

    The recording is walked twice: to count, and to drop.

    Parameters
    ----------
    rate_hz
        A pixel with more events a second than this, on average over the duration, is hot. 0: `quantile` decides.
    quantile
        A pixel with more events than this quantile of all pixels' counts is hot (of two counts between which it lies,
        the larger): of 0.999 at most a pixel in a thousand.
    """

    name: ClassVar[str] = "hot_pixels"
    citation: ClassVar[str] = (
        "Delbruck 2008, Frame-free dynamic digital vision, Int. Symp. on Secure-Life Electronics, Tokyo"
    )

    rate_hz: float = 0.0
    quantile: float = 0.999

    def __post_init__(self) -> None:
        if not (isinstance(self.rate_hz, int | float) and 0 <= self.rate_hz < float("inf")):
            raise UsageError(
                f"hot_pixels: got rate_hz {self.rate_hz!r}", "events a second, or 0 for the quantile"
            )
        if not (isinstance(self.quantile, int | float) and 0 <= self.quantile <= 1):
            raise UsageError(f"hot_pixels: got quantile {self.quantile!r}", "a share between 0 and 1")

    def hot(self, counts: NDArray[np.int64], duration: int) -> NDArray[np.bool_]:
        """Return which pixels are hot, bool (row, column), from their counts and the duration in µs."""
        if self.rate_hz:
            most = int(Fraction(str(self.rate_hz)) * duration / 10**6)
        else:
            most = int(np.quantile(counts, self.quantile, method="higher"))
        return np.asarray(counts > most)

    def walk(self, events: Events, rng: SampleKey | None) -> Iterator[Piece]:
        """Yield the events of pixels that are not hot."""
        counts = np.zeros(events.size[::-1], np.int64)
        for piece in events.pieces:
            _count(piece, counts)
        hot = self.hot(counts, events.length())
        for piece in events.pieces:
            kept = like(piece)
            yield kept[: _keep(piece, hot, kept)]


def hot_pixels_reference(transform: HotPixels, events: Events) -> Piece:
    """Return what `transform` keeps of events, in NumPy."""
    array = events.array
    pixel = array["y"].astype(np.int64) * events.size[0] + array["x"]
    counts = np.bincount(pixel, minlength=events.size[0] * events.size[1])
    return np.asarray(array[~transform.hot(counts, events.length())[pixel]])
