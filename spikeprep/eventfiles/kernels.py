"""How the decoders are compiled, and the check that every event passes."""

from __future__ import annotations

import numpy as np
from numba import njit

from .base import Words

jit = njit(nogil=True, cache=True, error_model="numpy", boundscheck=False)
"""Without the GIL, cached, indices unchecked."""

inline = njit(nogil=True, error_model="numpy", boundscheck=False, inline="always")


@inline
def onward(stamp: int, before: int, bits: int) -> int:
    """Return how far a clock of `bits` bits went from `before` to `stamp`: at most half its range, either way.

    A clock that wraps goes on, exactly; one that goes back stays seen as going back.
    """
    half = 1 << (bits - 1)
    return ((stamp - before + half) & ((1 << bits) - 1)) - half


@jit
def all_sound(events: Words, width: int, height: int, last: int) -> bool:
    """Return whether every event is on the sensor, with p 0 or 1 and a stamp not before the one ahead of it."""
    wrong = False
    w, h, one = np.uint64(width), np.uint64(height), np.uint64(1)
    low, sixteen, thirtytwo = np.uint64(0xFFFF), np.uint64(16), np.uint64(32)
    previous = np.int64(last)
    for n in range(len(events)):
        packed, t = events[n, 0], np.int64(events[n, 1])
        wrong |= (packed & low) >= w
        wrong |= (packed >> sixteen & low) >= h
        wrong |= (packed >> thirtytwo & low) > one
        wrong |= t < previous
        previous = t
    return not wrong
