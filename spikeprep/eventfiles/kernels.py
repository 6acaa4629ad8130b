"""Clocks of a few bits, the check that every event passes, and the search for stamps that are wrong."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import inline, jit
from .._simd import trailing_zeros
from .base import Words

_JITTER = 4  # a step back of up to 2⁻⁴ of a clock's range is no silence

LEAP = 100_000
"""µs of silence after which an event is compared with those that follow: its stamp may be wrong."""

FOLLOWERS = 32
"""Number of events that an event after a leap is compared with."""

FAR = 10
"""How many times a recording's length its last events are beyond it where their stamps are wrong."""

BACK, AHEAD = 1, 2
"""Verdicts on a stamp: before the latest one; ahead of most of those that follow, or far beyond all others."""


@inline
def onward(stamp: int, before: int, bits: int) -> int:
    """Return how far a clock of `bits` bits moved from `before` to `stamp`: at most half its range, either way.

    A clock that wraps goes on exactly; one that runs backwards gives a negative distance.
    """
    half = 1 << (bits - 1)
    return ((stamp - before + half) & ((1 << bits) - 1)) - half


@inline
def expand(
    bits: int, event: int, t: int, word: int, out: Words, where: NDArray[np.int64], count: int
) -> tuple[int, int]:
    """Write an event at x + n for each bit n of a mask, from `out[count]` on, as far as there is room.

    `event` is the word of that of bit 0; `where`, unless it is empty, gets the number of the mask's word. Returns the
    bits that are left, and the new count.
    """
    left = np.uint64(bits)
    while left and count < len(out):
        out[count, 0] = np.uint64(event + trailing_zeros(left))
        out[count, 1] = np.uint64(t)
        if len(where):
            where[count] = word
        left &= left - np.uint64(1)
        count += 1
    return np.int64(left), count  # type: ignore[return-value]


@jit
def unwrap(t: int, stamp: int, before: int, anchor_t: int, anchor: int, bits: int) -> tuple[int, int, int]:
    """Return the time of a stamp that is not `onward` of the one before it, or follows such a one, and the next anchor.

    A larger stamp is silence of more than half the clock's range, unless the distance is that of a small step back
    across the clock's end. If the next stamp is nearer to the one before the silence, the anchor (−1: none), then it
    was no silence but a wrong stamp, and time goes on from the anchor.
    """
    step = onward(stamp, before, bits)
    if anchor >= 0:
        step_of_anchor = onward(stamp, anchor, bits)
        if abs(step_of_anchor) < abs(step):
            t, before, step = anchor_t, anchor, step_of_anchor
    if stamp > before and step < -(1 << bits >> _JITTER):
        return t + stamp - before, t, before
    return t + step, np.int64(0), np.int64(-1)  # type: ignore[return-value]


def onward_reference(stamps: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """Return the unwrapped time of a clock of `bits` bits at each stamp (event,), by `onward` from the first one."""
    half = 1 << (bits - 1)
    steps = (np.diff(stamps, prepend=stamps[:1]) + half) % (1 << bits) - half
    unwrapped: NDArray[np.int64] = stamps[:1] + np.cumsum(steps)
    return unwrapped


def unwrap_reference(
    stamps: NDArray[np.int64], bits: int, extra: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Return the time of each stamp (event,) as `onward` and `unwrap` have it, with µs that pass besides."""
    size, times = 1 << bits, []
    anchor: tuple[int, int] | None = None
    t = before = int(stamps[0]) if len(stamps) else 0
    for n, stamp in enumerate(stamps.tolist()):
        step = (stamp - before + size // 2) % size - size // 2
        if anchor:
            other = (stamp - anchor[1] + size // 2) % size - size // 2
            if abs(other) < abs(step):
                (t, before), step = anchor, other
        anchor = None
        if stamp > before and step < -(size >> _JITTER):
            anchor, step = (t, before), stamp - before
        t += step + (int(extra[n]) if extra is not None else 0)
        times.append(t)
        before = stamp
    return np.array(times, np.int64)


@jit
def all_valid(events: Words, width: int, height: int, last: int, latest: int) -> bool:
    """Return whether every event is on the sensor, has p 0 or 1, is not earlier than the one before it, nor too late.

    False also where the last `FOLLOWERS` events include a leap: those that follow decide whether its stamp is right.

    `last` is the time stamp of the event before the first one, `latest` the latest plausible one, in µs.
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
    late = previous > latest
    before = np.int64(events[len(events) - 1 - FOLLOWERS, 1]) if len(events) > FOLLOWERS else np.int64(last)
    late |= previous - before > LEAP
    return bool(not back and not late and off & (1 << 16 | 1 << 40) == 0 and off_y & 1 << 32 == 0)


@jit
def judge(
    t: NDArray[np.int64],
    usable: NDArray[np.bool_],
    latest: int,
    end: bool,
    few: int,
    verdicts: NDArray[np.uint8],
    clock: NDArray[np.int64],
) -> int:
    """Write a verdict on each event's stamp, and the latest right stamp up to it; return how many could be judged.

    The others, at the end, need more events that follow. `latest` is the latest right stamp before. At the recording's
    `end`, fewer than `few` events are wrong if they are ten times as far from all others as these are long. Events
    that are not `usable` do not move the clock.
    """
    count = len(t)
    for n in range(count):
        verdicts[n] = 0
        if usable[n]:
            if t[n] < latest:
                verdicts[n] = BACK
            elif t[n] - latest > LEAP:
                left = min(count - n - 1, FOLLOWERS)
                if left < FOLLOWERS and not end:
                    return n
                below = 0
                for k in range(n + 1, n + 1 + left):
                    below += t[k] < t[n]
                far = end and count - n <= few and t[n] - latest > FAR * max(latest, LEAP)
                if 2 * below > left or far:
                    verdicts[n] = AHEAD
            if verdicts[n] == 0:
                latest = t[n]
        clock[n] = latest
    return count
