"""The one silence of a recording that is longer than all the rest of it: what is beyond it may not belong to it."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
from numpy.typing import NDArray

from .kernels import LEAP

_FEW = 0.1  # share of a recording that is strange beyond such silence


class LongestSilence:
    """Silence of more than half of a recording, found while it is decoded: it includes the middle of its time."""

    def __init__(self) -> None:
        self._events = 0  # before it
        self._begin = self._end = 0

    def look(self, t: NDArray[np.int64], first: int, latest: int, events: int) -> None:
        """Look for silence in the recording up to the end of a block.

        Needed only for blocks in which the recording's length doubles.

        Parameters
        ----------
        t
            Stamps of the block (event,), in order, in µs.
        first, latest
            The recording's first stamp, and the one before the block, or its first.
        events
            Number of events before the block.
        """
        end = int(t[-1])
        if end - first <= 2 * LEAP:
            return
        middle = first + end + 1 >> 1
        n = bisect_left(t, middle)
        begin = int(t[n - 1]) if n else latest
        if 2 * (int(t[n]) - begin) > end - first:
            self._events, self._begin, self._end = events + n, begin, int(t[n])

    def finding(self, events: int, first: int, last: int) -> str:
        """Return which few events are beyond silence of more than half of a whole recording, else an empty text."""
        silence = self._end - self._begin
        after = events - self._events
        few = min(self._events, after)
        if 2 * silence <= last - first or not 0 < few <= _FEW * events:
            return ""
        which, lasts = ("last", self._begin - first) if few == after else ("first", last - self._end)
        side = "after" if which == "last" else "before"
        return (
            f"the {which} {few:,} of {events:,} events are {silence / 1e6:,.6g} s {side} all others, which last "
            f"{lasts / 1e6:,.6g} s; gaps=True if there was such silence"
        )
