"""Clocks of a few bits, and the check that every event passes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import inline, jit
from .base import LATEST, Words


@inline
def onward(stamp: int, before: int, bits: int) -> int:
    """Return how far a clock of `bits` bits moved from `before` to `stamp`: at most half its range, either way.

    A clock that wraps goes on exactly; one that runs backwards gives a negative distance.
    """
    half = 1 << (bits - 1)
    return ((stamp - before + half) & ((1 << bits) - 1)) - half


def onward_reference(stamps: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """Return the unwrapped time of a clock of `bits` bits at each stamp (event,), by `onward` from the first one."""
    half = 1 << (bits - 1)
    steps = (np.diff(stamps, prepend=stamps[:1]) + half) % (1 << bits) - half
    unwrapped: NDArray[np.int64] = stamps[:1] + np.cumsum(steps)
    return unwrapped


@jit
def all_valid(events: Words, width: int, height: int, last: int) -> bool:
    """Return whether every event is on the sensor, has p 0 or 1, is not earlier than the one before it, nor too late.

    `last` is the time stamp of the event before the first one, in µs.
    """
    # a field at or past its limit carries into the bit above it, where it stays
    xp, xp_limit = np.int64(0xFF0000FFFF), np.int64(65536 - width) | np.int64(256 - 2) << 32
    y, y_limit = np.int64(0xFFFF0000), np.int64(65536 - height) << 16
    off = off_y = np.int64(0)
    back = False
    previous = np.int64(last)
    for n in range(len(events)):
        packed, t = np.int64(events[n, 0]), np.int64(events[n, 1])
        off |= (packed & xp) + xp_limit
        off_y |= (packed & y) + y_limit
        back |= bool(t < previous)  # their difference could overflow
        previous = t
    late = previous > LATEST
    return bool(not back and not late and off & (1 << 16 | 1 << 40) == 0 and off_y & 1 << 32 == 0)
