"""Time bins whose width is an exact fraction of microseconds, and the kernels that set the bits of events.

With a width of a / b µs, t an integer, and c = 0 (bins closed on the left) or a − 1 (on the right), the bin of t is
floor((t b + c) / a): floor(t / width) or ceil(t / width). Time never decreases, so an event is compared with the first
stamp of the next bin, and only one that reaches it costs a division.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..lanes import load_word, store_word

_LARGEST = (1 << 63) - 1
_TILE = 64  # units turned together: a cache line of each plane

_jit = njit(nogil=True, cache=True, error_model="numpy")
_inline = njit(nogil=True, inline="always")
_ZERO, _ONE, _8, _16, _32, _BYTE = (np.uint64(n) for n in (0, 1, 8, 16, 32, 0xFF))
_LOW_32, _LOW_16, _LOW_8 = (
    np.uint64(mask) for mask in (0x00000000FFFFFFFF, 0x0000FFFF0000FFFF, 0x00FF00FF00FF00FF)
)


@dataclass(frozen=True)
class Bins:
    """Bins that tile the time axis: [k w, (k + 1) w) is bin k or, closed on the right, ((k − 1) w, k w] is.

    Attributes
    ----------
    width
        w, in µs.
    right
        Whether bins are closed on the right.
    """

    width: Fraction
    right: bool = False

    @cached_property
    def numbers(self) -> tuple[int, int, int]:
        """(a, b, c) such that the bin of t is floor((t b + c) / a)."""
        a, b = self.width.as_integer_ratio()
        return a, b, a - 1 if self.right else 0

    @cached_property
    def latest(self) -> int:
        """The latest t, in µs, whose bin can be computed in 64 bits; may be negative."""
        a, b, _ = self.numbers
        return (_LARGEST - 3 * a) // b

    def steps(self, length: int) -> int:
        """Return how many bins a recording of `length` µs, of stamps 0 … length − 1, reaches into; at least 1."""
        a, b, c = self.numbers
        return (max(length - 1, 0) * b + c) // a + 1

    def of(self, t: NDArray[Any]) -> NDArray[np.int64]:
        """Return the bin of each t, in Python's integers, which are exact at any size."""
        a, b, c = self.numbers
        return ((t.astype(object) * b + c) // a).astype(np.int64)

    def stamps(self, bins: NDArray[Any]) -> NDArray[np.int64]:
        """Return the stamp of each bin that is nearest to its closed edge: its first, or with `right` its last."""
        a, b, _ = self.numbers
        edges = bins.astype(object) * a
        return (edges // b if self.right else -(-edges // b)).astype(np.int64)


@_jit
def scatter(
    events: NDArray[np.void],
    start: int,
    last: int,
    sensor: tuple[int, int, int],
    bins: tuple[int, int, int],
    latest: int,
    first: int,
    stop: int,
    strides: tuple[int, int, int],
    levels: int,
    fresh: Any,
    out: NDArray[np.uint8],
) -> tuple[Any, int, Any, bool]:
    """Set the bits of events `start` … in `out`, until one falls into step `stop` or a later one.

    Parameters
    ----------
    last
        t of the event before `start`.
    sensor
        (width, height, polarities).
    bins
        (a, b, c), see the module.
    latest
        The latest t that a bin can be computed for.
    first
        The step, a multiple of 8, whose bit is bit 0 of byte 0.
    strides
        Bytes of `out` from one unit, byte and level to the next.
    levels
        How many events of a unit and step are kept apart; the others are merged into the last level.
    fresh
        The first byte whose plane is not zero yet: planes are zeroed when they are first needed, which brings them
        into the cache in order.
    out
        uint8 (bytes,), zero up to plane `fresh` or partly written.

    Returns
    -------
    The number of the first event that was not written, t of the one before it, the first byte whose plane is not zero
    yet, and whether the event is none of such a sensor at such a time.
    """
    # unsigned numbers are not checked for being negative when they index
    width, height, polarities = np.uint32(sensor[0]), np.uint32(sensor[1]), np.uint32(sensor[2])
    by_unit, by_byte, by_level = np.uint64(strides[0]), np.uint64(strides[1]), np.uint64(strides[2])
    a, b, c = bins
    n, size = np.uint64(start), np.uint64(events.size)
    step, beyond = np.int64(-1), np.int64(0)  # the bin, and (t b + c) where the next begins
    while n < size:
        t = events[n].t
        if (t < last) | (t > latest):
            return np.int64(n), last, fresh, True
        ahead = t * b + c - beyond
        skip = 1 if ahead < a else ahead // a + 1
        if step + skip >= stop:
            return np.int64(n), last, fresh, False
        step += skip
        beyond += skip * a
        edge = beyond - c if b == 1 else (beyond - c + b - 1) // b
        byte = (step - first) >> 3
        for k in range(np.uint64(fresh) * by_byte, np.uint64(max(fresh, byte + 1)) * by_byte):
            out[k] = 0
        fresh = max(fresh, byte + 1)
        place, mark = np.uint64(byte) * by_byte, np.uint8(1) << np.uint8(step & 7)
        while True:
            event = events[n]
            x, y, p = np.uint32(event.x), np.uint32(event.y), np.uint32(event.p)
            if (x >= width) | (y >= height) | (p >= polarities) | (t < last):
                return np.int64(n), last, fresh, True
            at = np.uint64((p * height + y) * width + x) * by_unit + place
            if levels > 1:
                for _ in range(levels - 1):
                    if not out[at] & mark:
                        break
                    at += by_level
            out[at] |= mark
            last = t
            n += _ONE
            if n == size:
                break
            t = events[n].t
            if t >= edge:
                break
    return np.int64(n), last, fresh, False


@_inline
def _swap(x: Any, y: Any, shift: Any, mask: Any) -> Any:
    """Swap the high parts of x with the low parts of y, the parts being `shift` bits and `mask` the low ones."""
    t = (x >> shift ^ y) & mask
    return x ^ t << shift, y ^ t


@_jit
def turn(
    planes: NDArray[np.uint8], stride: int, count: int, first: int, width: int, bits: NDArray[np.uint8]
) -> None:
    """Write `count` planes [byte · stride + unit] to bytes `first` … of zeroed bits [unit · width + byte].

    `stride` is a multiple of 64, and `planes` has whole eights of planes, though none past `count` is used. Bytes are
    transposed 8 × 8 in registers; where all are zero nothing is written.
    """
    units = bits.size // width
    for tile in range(0, units, _TILE):
        for byte in range(0, count, 8):
            for unit in range(tile, min(tile + _TILE, units), 8):
                at = byte * stride + unit
                r0, r1 = load_word(planes, at), load_word(planes, at + stride)
                r2, r3 = load_word(planes, at + 2 * stride), load_word(planes, at + 3 * stride)
                r4, r5 = load_word(planes, at + 4 * stride), load_word(planes, at + 5 * stride)
                r6, r7 = load_word(planes, at + 6 * stride), load_word(planes, at + 7 * stride)
                if r0 | r1 | r2 | r3 | r4 | r5 | r6 | r7 == _ZERO:
                    continue
                r0, r4 = _swap(r0, r4, _32, _LOW_32)
                r1, r5 = _swap(r1, r5, _32, _LOW_32)
                r2, r6 = _swap(r2, r6, _32, _LOW_32)
                r3, r7 = _swap(r3, r7, _32, _LOW_32)
                r0, r2 = _swap(r0, r2, _16, _LOW_16)
                r1, r3 = _swap(r1, r3, _16, _LOW_16)
                r4, r6 = _swap(r4, r6, _16, _LOW_16)
                r5, r7 = _swap(r5, r7, _16, _LOW_16)
                r0, r1 = _swap(r0, r1, _8, _LOW_8)
                r2, r3 = _swap(r2, r3, _8, _LOW_8)
                r4, r5 = _swap(r4, r5, _8, _LOW_8)
                r6, r7 = _swap(r6, r7, _8, _LOW_8)
                trains = (r0, r1, r2, r3, r4, r5, r6, r7)
                for k in range(min(8, units - unit)):
                    to, train = (unit + k) * width + first + byte, trains[k]
                    if byte + 8 <= count:
                        store_word(bits, to, train)
                    else:
                        for j in range(count - byte):
                            bits[to + j] = train & _BYTE
                            train >>= _8
