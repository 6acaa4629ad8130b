"""What is wrong with a recording whose stamps do not go on: padding, a clock that starts again, or disorder."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .base import Words
from .kernels import FOLLOWERS, LEAP

PADDING = 17
"""Identical events in a row that no sensor has: a pixel is silent for some µs after each of its events."""

SORT = "Pass order='sort' if the events are right but for their order"
"""What to do about events that are out of order, where nothing more is known."""

WRONG = "The stamp is wrong"
"""What is said of a single stamp that the others do not go on from."""

_FEW_PADDING = 4
"""Identical events in a row at the beginning that are worth a finding."""

_CLOCKS = (16, 24, 31, 32)  # bits of clocks that wrap
_NEAR_WRAP = 5  # a clock's end is the last 2⁻⁵ of its range: of 32 bits, 2 minutes
_REPAIRED = 0.05  # share of steps back of stamps that cannot be dropped
_SHORT = 50_000  # µs: differences are shorter, recordings longer
_SHUFFLED = 0.2  # share of steps back of stamps that are no clock's


def number_of_leading(events: Words, event: NDArray[np.uint64]) -> int:
    """Return how many events at the beginning are `event`, (2,)."""
    same = (events == event).all(1)
    return len(same) if same.all() else int(same.argmin())


def leading_finding(events: Words) -> str:
    """Return that the first events are identical, though fewer than `PADDING`; else an empty text."""
    if len(events) < _FEW_PADDING or events[_FEW_PADDING - 1, 1] != events[0, 1]:  # most recordings
        return ""
    number = number_of_leading(events[:PADDING], events[0])
    if not _FEW_PADDING <= number < PADDING:
        return ""
    word = int(events[0, 0])
    return (
        f"the first {number} events are one event (x {word & 0xFFFF}, y {word >> 16 & 0xFFFF}), as in a file that is "
        "padded at its beginning: cut them off"
    )


def leading_padding(events: Words) -> NDArray[np.uint64] | None:
    """Return the first event (2,) where the first `PADDING` are identical."""
    if len(events) < PADDING or events[PADDING - 1, 1] != events[0, 1]:
        return None
    return events[0].copy() if bool((events[:PADDING] == events[0]).all()) else None


class TrailingPadding:
    """Identical events at the end of a recording, counted while it is decoded."""

    def __init__(self) -> None:
        self._last = (-1, -1)
        self._number = 0

    def look(self, events: Words) -> None:
        """Take the next events, at least one, into account."""
        last = int(events[-1, 0]), int(events[-1, 1])
        if len(events) > 1 and (int(events[-2, 0]), int(events[-2, 1])) != last:
            number = 1
        else:
            others = np.flatnonzero((events != events[-1]).any(1))
            number = len(events) - 1 - int(others[-1]) if others.size else len(events)
        goes_on = number == len(events) and last == self._last
        self._last, self._number = last, number + (self._number if goes_on else 0)

    def finding(self) -> str:
        """Return that the last events are identical, else an empty text."""
        if self._number < PADDING:
            return ""
        word, t = self._last
        x, y = word & 0xFFFF, word >> 16 & 0xFFFF
        return (
            f"the last {self._number:,} events are one event (x {x}, y {y}, {t / 1e6:,.6g} s after the start), as in "
            "a file that is padded at its end: cut them off"
        )


def fix_of_order(t: NDArray[np.int64], n: int, latest: int, origin: int, number: int) -> str:
    """Return what to do about a stamp that is before an earlier one.

    Parameters
    ----------
    t
        Stamps (event,) around it, in µs.
    n
        The stamp's place among them.
    latest
        The stamp that it is before.
    origin
        What was subtracted from stamps.
    number
        The event's number in the recording.
    """
    if latest > t[n] and (wrapped := _wrapped(t, n, latest, origin, number)):
        return wrapped
    steps = np.diff(t)
    if len(t) > FOLLOWERS and t.max() - t.min() < _SHORT and (steps < 0).mean() > _SHUFFLED:
        return (
            "If t is the time since the event before, save its sums (numpy.cumsum); pass order='sort' if the "
            "events are right but for their order"
        )
    after = t[n:]
    if latest - t[n] > LEAP and len(after) > FOLLOWERS and (np.diff(after) >= 0).all():
        return (
            f"The clock starts again there, as where recordings are joined: save the events from {number} on in a "
            "file of their own; pass order='sort' only if both are of one time"
        )
    return SORT


def fix_of_leap(t: NDArray[np.int64], n: int, origin: int, number: int) -> str:
    """Return what to do about a stamp that most of those that follow are before; see `fix_of_order`."""
    back = np.flatnonzero(np.diff(t[n:]) < 0)
    if len(back) and len(back) > _REPAIRED * (len(t) - n):
        return SORT
    if len(back):
        first = n + int(back[0]) + 1
        if wrapped := _wrapped(t, first, int(t[first - 1]), origin, number + first - n):
            return wrapped
    return WRONG


def _wrapped(t: NDArray[np.int64], n: int, latest: int, origin: int, number: int) -> str:
    """Return what to do where a clock starts again at 0 with stamp `n`, after `latest`; else an empty text."""
    largest, before, after = max(int(t.max()), latest) + origin, latest + origin, int(t[n]) + origin
    for bits in _CLOCKS:
        end = 1 << bits
        near = end >> _NEAR_WRAP
        if largest < end and before >= end - near and 0 <= after < near:
            return (
                f"The clock of {bits} bits starts again at 0: save t as int64, from event {number} on with 2**{bits} "
                "added, and once more wherever it starts again"
            )
    return ""
