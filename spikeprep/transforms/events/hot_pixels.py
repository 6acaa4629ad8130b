"""Drop the events of pixels that fire far too often."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..._jit import jit
from ...config import Meta, NonNegative
from ...data import Events
from ...random import SampleKey
from .base import EventTransform, Piece, empty_like


@jit
def _count(events: Piece, counts: NDArray[np.int64]) -> None:
    """Add each pixel's events to counts (row, column)."""
    for n in range(events.size):
        counts[events[n].y, events[n].x] += 1


@jit
def _keep(events: Piece, hot: NDArray[np.bool_], out: Piece) -> int:
    """Write the events of pixels that are not `hot` (row, column) to `out`; return how many."""
    count = 0
    for n in range(events.size):
        out[count] = events[n]
        count += not hot[events[n].y, events[n].x]
    return count


@dataclass(frozen=True)
class HotPixels(EventTransform):
    """Drop all events of hot pixels: those that fire too often over the whole recording, both polarities together.

    The recording is walked twice: to count, and to drop.

    Parameters
    ----------
    rate_hz
        A pixel with more events per second than this, on average over the duration, is hot. 0: `quantile` decides.
    quantile
        A pixel with more events than this quantile of all pixels' counts is hot; a quantile between two counts is the
        larger one. At 0.999 at most one pixel in a thousand is hot.
    """

    name: ClassVar[str] = "hot_pixels"
    citation: ClassVar[str] = (
        "Delbruck 2008, Frame-free dynamic digital vision, Int. Symp. on Secure-Life Electronics, Tokyo"
    )

    rate_hz: NonNegative = 0.0
    quantile: Annotated[float, Meta(ge=0, le=1)] = 0.999

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
            out = empty_like(piece)
            yield out[: _keep(piece, hot, out)]


def hot_pixels_reference(transform: HotPixels, events: Events) -> Piece:
    """Return the events that `transform` keeps, in NumPy."""
    array = events.array
    pixel = array["y"].astype(np.int64) * events.size[0] + array["x"]
    counts = np.bincount(pixel, minlength=events.size[0] * events.size[1])
    return np.asarray(array[~transform.hot(counts, events.length())[pixel]])
