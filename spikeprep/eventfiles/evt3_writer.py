"""Write Prophesee's EVT 3.0: see `spikeprep.eventfiles.evt3` for the format.

A word is written where what it sets has changed, and a TIME_HIGH for each 2¹² µs, in silence too, as a camera writes
them: readers count a lap of the clock only where 0xFFF, or nearly that, comes ahead of 0. Three events or more of one
time, row and polarity, in order of x and within 12 pixels, become a vector, and what follows in the next 12 pixels
another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._jit import jit
from .base import Words
from .kernel_writer import KernelWriter
from .prophesee import raw_header

_LAP = 1 << 24  # µs after which the clock wraps
_LENGTH = 12  # pixels of a vector
_LEAST = 3  # events of a vector: with its base it has two words
_MOST_WORDS = 5  # of one step: TIME_HIGH, TIME_LOW, ADDR_Y, VECT_BASE_X, VECT_12

# the clock at t = 0; the last TIME_HIGH with its laps; the last TIME_LOW and ADDR_Y; where the next vector would begin,
# with its polarity in bit 11; each −1 where there is none
_STATE = (0, -1, -1, -1, -1)


@jit
def _encode(events: Words, out: NDArray[np.uint16], state: NDArray[np.int64]) -> tuple[int, int]:
    """Write words; `state` is as `_STATE`."""
    start, high, low, row, base = state
    count = len(events)
    n = w = 0
    while n < count and w + _MOST_WORDS <= len(out):
        packed, stamp = np.int64(events[n, 0]) & 0xFFFFFFFFFF, np.int64(events[n, 1])
        t = stamp + start
        if t >> 12 != high:
            high = high + 1 if high >= 0 else t >> 12  # every one: see above
            low = base = np.int64(-1)
            out[w] = np.uint16(8 << 12 | high & 0xFFF)
            w += 1
            if high != t >> 12:
                continue
        if t & 0xFFF != low:
            low, base = t & 0xFFF, np.int64(-1)
            out[w] = np.uint16(6 << 12 | low)
            w += 1
        x, y, p = packed & 0x7FF, packed >> 16 & 0x7FF, packed >> 32 & 1
        if y != row:
            row, base = y, np.int64(-1)
            out[w] = np.uint16(y)
            w += 1
        x |= p << 11  # as words have it
        going_on = base <= x < base + _LENGTH and base >= 0
        first = base if going_on else x
        bits, last, end = np.int64(0), np.int64(-1), n
        while end < count:
            other, other_t = np.int64(events[end, 0]) & 0xFFFFFFFFFF, np.int64(events[end, 1])
            place = (other & 0x7FF | p << 11) - first
            same = other_t == stamp and other >> 16 & 0x7FF == y and other >> 32 & 1 == p
            if not (same and last < place < _LENGTH):
                break
            bits |= np.int64(1) << place
            last, end = place, end + 1
        if going_on:
            out[w] = np.uint16(4 << 12 | bits)
            w, n, base = w + 1, end, base + _LENGTH
        elif end - n >= _LEAST:
            out[w], out[w + 1] = np.uint16(3 << 12 | x), np.uint16(4 << 12 | bits)
            w, n, base = w + 2, end, x + _LENGTH
        else:
            out[w] = np.uint16(2 << 12 | x)
            w, n, base = w + 1, n + 1, np.int64(-1)
        if base >> 11 != p:
            base = np.int64(-1)  # past the last column
    state[1:] = high, low, row, base
    return n, w


@dataclass(frozen=True)
class Evt3Writer(KernelWriter):
    """Prophesee's EVT 3.0 (.raw): stamps are those of the recording's own clock, modulo 2²⁴ µs."""

    name: ClassVar[str] = "evt3"
    extensions: ClassVar[tuple[str, ...]] = (".raw",)
    most_side: ClassVar[int] = 1 << 11
    limit: ClassVar[str] = "EVT 3.0 has 11 bits for x and y"
    start_range: ClassVar[int | None] = _LAP

    def header(self, size: tuple[int, int]) -> bytes:
        """Return the header that Prophesee's tools need."""
        return raw_header("3.0", "EVT3", size)

    def initial_state(self, start: int) -> NDArray[np.int64]:
        """Return the state before the first event."""
        return np.array([start % _LAP, *_STATE[1:]], np.int64)

    def encode(self, events: Words, out: NDArray[np.uint8], state: NDArray[np.int64]) -> tuple[int, int]:
        """Encode events; see `KernelWriter.encode`."""
        used, count = _encode(events, out.view(np.uint16), state)
        return int(used), int(count) * 2
