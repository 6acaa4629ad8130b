"""Some of a sensor's units as a sensor of their own, so that a recording can be encoded a part at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numba import njit

from ..data import EVENT, Events
from .event_checks import Piece, checked

_ACROSS = 4096  # columns at most of the sensor that is made up


@njit(nogil=True, cache=True)
def _pick(events: Piece, out: Piece, width: int, height: int, start: int, stop: int, across: int) -> int:
    """Write the events of units [start, stop) to `out`, by their place in them; return how many."""
    found = 0
    for n in range(events.size):
        event = events[n]
        unit = (np.int64(event.p) * height + event.y) * width + event.x - start
        if (unit >= 0) & (unit < stop - start):
            out[found].x, out[found].y = unit % across, unit // across
            out[found].t, out[found].p = event.t, 0
            found += 1
    return found


class _Picked:
    """The pieces of a recording, of some units alone, picked anew on every walk."""

    def __init__(self, events: Events, start: int, stop: int, across: int, who: str) -> None:
        self._events, self._who, self._units = events, who, (start, stop, across)

    def __iter__(self) -> Iterator[Piece]:
        for piece in checked(self._events, self._who):
            out = np.empty(len(piece), EVENT)
            yield out[: _pick(piece, out, *self._events.size, *self._units)]


def band(events: Events, start: int, stop: int, who: str) -> Events:
    """Return the events of the units [start, stop) of (polarity, row, column) as a recording of their own.

    Its sensor has one polarity, and its pixels in C order are those units; there may be some more, which are silent.
    `duration` must be known. Events are checked against the sensor that they come from.
    """
    across = min(stop - start, _ACROSS)
    size = (across, -(-(stop - start) // across))
    return replace(events, pieces=_Picked(events, start, stop, across, who), size=size, polarities=1)
