"""A range of a sensor's units as a sensor of its own, so that a recording can be encoded one range at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from .._jit import jit
from ..data import EVENT, Events
from .event_checks import Piece, checked

_COLUMNS = 4096  # of the sensor that stands for a range, at most


@jit
def _select(events: Piece, out: Piece, width: int, height: int, start: int, stop: int, columns: int) -> int:
    """Write the events of units [start, stop) to `out`, by their place in that range; return how many."""
    count = 0
    for n in range(events.size):
        event = events[n]
        unit = (np.int64(event.p) * height + event.y) * width + event.x - start
        if (unit >= 0) & (unit < stop - start):
            out[count].x, out[count].y = unit % columns, unit // columns
            out[count].t, out[count].p = event.t, 0
            count += 1
    return count


class _Selected:
    """The pieces of a recording with the events of some units alone, selected anew on every walk."""

    def __init__(self, events: Events, start: int, stop: int, columns: int, who: str) -> None:
        self._events, self._who, self._range = events, who, (start, stop, columns)

    def __iter__(self) -> Iterator[Piece]:
        for piece in checked(self._events, self._who):
            out = np.empty(len(piece), EVENT)
            yield out[: _select(piece, out, *self._events.size, *self._range)]


def select_units(events: Events, start: int, stop: int, who: str) -> Events:
    """Return the events of the units [start, stop) of (polarity, row, column) as a recording of their own.

    Its sensor has one polarity, and its pixels in C order are those units; the last row may have further, silent ones.
    `duration` must be known. Events are checked against the sensor that they come from.
    """
    columns = min(stop - start, _COLUMNS)
    size = (columns, -(-(stop - start) // columns))
    selected = _Selected(events, start, stop, columns, who)
    return replace(events, pieces=selected, size=size, polarities=1, checked=True)
