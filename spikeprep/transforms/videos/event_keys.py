"""Events of one pair of frames: kept as keys of 64 bits, pixel after pixel, and written in the order of time.

A key is the time since the first of the frames, in µs (upper 32 bits), the pixel (31 bits) and the polarity (1 bit).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._jit import inline, jit

DONE, KEYS_FULL, EVENTS_FULL = 0, 1, 2
"""How a kernel's call ends: all frames are done, or there is no room for another key, or another frame's events."""

_COUNTS = 1 << 16
_DENSE = 2  # µs per event up to which every µs is counted apart: one pass
_DIGIT = 8  # bits, at most, of a pass otherwise
_HALF, _WORD, _ONE = (np.uint64(n) for n in (32, 0, 1))
_Y, _P = np.uint64(16), np.uint64(32)


class Room:
    """Room for keys, twice as they are sorted, and for the numbers of keys of each time."""

    def __init__(self, keys: int) -> None:
        self.keys = np.empty((2, keys), np.uint64)
        self.counts = np.empty(_COUNTS, np.int32)

    def double(self, held: int) -> None:
        """Make room for twice as many keys; the first `held` stay."""
        larger = np.empty((2, 2 * self.keys.shape[1]), np.uint64)
        larger[0, :held] = self.keys[0, :held]
        self.keys = larger


@inline
def event_key(offset: Any, pixel: Any, is_on: Any) -> Any:
    """Return the key of an event."""
    return np.uint64(offset) << _HALF | np.uint64(pixel) << _ONE | np.uint64(is_on)


@inline
def _count(keys: Any, count: Any, shift: Any, mask: Any, starts: Any) -> None:
    """Write to `starts` where the first key of each digit goes: how many have a lower one."""
    starts[:] = 0
    for n in range(np.uint64(count)):
        starts[keys[n] >> shift & mask] += 1
    before = np.int32(0)
    for digit in range(np.uint64(starts.size)):
        number = starts[digit]
        starts[digit] = before
        before += number


@jit
def write_events(
    keys: NDArray[np.uint64],
    other: NDArray[np.uint64],
    count: int,
    span: int,
    start: int,
    columns: int,
    counts: NDArray[np.int32],
    out: NDArray[np.uint64],
    at: int,
) -> None:
    """Write the events of the first `count` keys to `out` from row `at` on, in the order of time, then of the keys.

    Parameters
    ----------
    keys, other
        The keys, and as much room; neither has its contents afterwards.
    span
        The largest offset.
    start
        t at offset 0, in µs.
    columns
        Pixels of a row.
    counts
        Room for as many numbers as `Room` has.
    out
        Events as words of 64 bits, (event, 2).
    """
    bits = 0
    while span >> bits:
        bits += 1
    passes = (bits + _DIGIT - 1) // _DIGIT
    if passes > 1 and 1 << bits <= counts.size and span < _DENSE * count:
        passes = 1
    digit = (bits + passes - 1) // max(passes, 1)
    starts = counts[: min(span + 1, 1 << digit)]
    mask, shift = np.uint64((1 << digit) - 1), _HALF
    source, target = keys, other
    for _ in range(passes):
        _count(source, count, shift, mask, starts)
        for n in range(np.uint64(count)):
            value = source[n] >> shift & mask
            target[np.uint64(starts[value])] = source[n]
            starts[value] += 1
        source, target = target, source
        shift += np.uint64(digit)
    # written in order: scattered, they would be slower from some 20,000 on, beyond the caches
    per_pixel = 1.0 / columns
    for n in range(np.uint64(count)):
        key = source[n]
        pixel = np.int64(np.uint32(key)) >> 1
        y = np.int64((pixel + 0.5) * per_pixel)  # exact: half a pixel is more than the rounding of 31 bits
        x = pixel - y * columns
        row = np.uint64(at) + n
        out[row, _WORD] = np.uint64(x) | np.uint64(y) << _Y | (key & _ONE) << _P
        out[row, _ONE] = np.uint64(start + np.int64(key >> _HALF))
