"""Time bins whose width is an exact fraction of microseconds, and the kernels that set the bits of events.

With a width of a / b µs, t an integer, and c = 0 (bins closed on the left) or a − 1 (on the right), the bin of t is
floor((t b + c) / a): floor(t / width) or ceil(t / width). Time never decreases, so each event is compared with the
first stamp of the next bin; only an event that reaches it costs a division.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._jit import inline, jit
from .._simd import store_word
from ..data import Bits

_LARGEST = (1 << 63) - 1
_ZERO, _ONE, _THREE, _SEVEN, _EIGHT, _63, _64, _BYTE = (np.uint64(n) for n in (0, 1, 3, 7, 8, 63, 64, 0xFF))
_MATRICES = np.uint64(8 * 64)  # words of 8 matrices of 64 × 64 bits
# the lower half of every 64, 32, 16, 8, 4, 2 bits
_LOW = tuple(np.uint64((1 << 64) // ((1 << half) + 1)) for half in (32, 16, 8, 4, 2, 1))


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
        """Return the bin of each t, exactly."""
        a, b, c = self.numbers
        if t.size and t.max() > self.latest:
            t = t.astype(object)  # Python's integers have any size
        return np.asarray((t * b + c) // a, np.int64)

    def stamps(self, bins: NDArray[Any]) -> NDArray[np.int64]:
        """Return the stamp of each bin that is nearest to its closed edge: its first, or with `right` its last."""
        a, b, _ = self.numbers
        edges = bins.astype(object) * a
        return (edges // b if self.right else -(-edges // b)).astype(np.int64)


@jit
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
    cleared: Any,
    out: NDArray[np.uint8],
) -> tuple[Any, int, Any, bool]:
    """Set the bits of events `start` … in `out`, up to the first that falls into step `stop` or a later one.

    Parameters
    ----------
    last
        t of the event before `start`.
    sensor
        (width, height, polarities).
    bins
        (a, b, c), see the module.
    latest
        The latest t allowed, one whose bin can be computed.
    first
        The step whose bits come first in `out`.
    strides
        Bits of `out` from one unit, step and level to the next.
    levels
        How many events of a unit and step are told apart; further ones are merged into the last level.
    cleared
        How many steps of `out` are zero or written. Others are zeroed when they are first needed, which brings them
        into the cache in order.
    out
        uint8 (bytes,): bit k of byte b is bit 8 b + k.

    Returns
    -------
    The number of the first event that was not written, t of the one before it, `cleared`, and whether that event is
    wrong: off the sensor, earlier than the one before, or later than `latest`.
    """
    # unsigned numbers are not checked for being negative when they index
    width, height, polarities = np.uint32(sensor[0]), np.uint32(sensor[1]), np.uint32(sensor[2])
    by_unit, by_step, by_level = np.uint64(strides[0]), np.uint64(strides[1]), np.uint64(strides[2])
    a, b, c = bins
    n, size = np.uint64(start), np.uint64(events.size)
    step, beyond = np.int64(-1), np.int64(0)  # the bin, and (t b + c) where the next begins
    while n < size:
        t = events[n].t
        if (t < last) | (t > latest):
            return np.int64(n), last, cleared, True
        ahead = t * b + c - beyond
        skip = 1 if ahead < a else ahead // a + 1
        if step + skip >= stop:
            return np.int64(n), last, cleared, False
        step += skip
        beyond += skip * a
        edge = min(beyond - c if b == 1 else (beyond - c + b - 1) // b, latest + 1)
        row, zeroed = np.uint64(step - first), np.uint64(cleared)
        for k in range(zeroed * by_step >> _THREE, max(zeroed, row + _ONE) * by_step >> _THREE):
            out[k] = 0
        cleared = max(cleared, step - first + 1)
        place = row * by_step
        while True:
            event = events[n]
            x, y, p = np.uint32(event.x), np.uint32(event.y), np.uint32(event.p)
            if (x >= width) | (y >= height) | (p >= polarities) | (t < last):
                return np.int64(n), last, cleared, True
            bit = np.uint64((p * height + y) * width + x) * by_unit + place
            if levels > 1:
                for _ in range(levels - 1):
                    if not out[bit >> _THREE] >> (bit & _SEVEN) & _ONE:
                        break
                    bit += by_level
            out[bit >> _THREE] |= _ONE << (bit & _SEVEN)
            last = t
            n += _ONE
            if n == size:
                break
            t = events[n].t
            if t >= edge:
                break
    return np.int64(n), last, cleared, False


@inline
def _exchange(words: NDArray[np.uint64], first: Any, rows: Any, mask: Any) -> None:
    """Exchange, in 8 matrices of 64 × 64 bits, the high bits of rows with the low bits of those `rows` further down."""
    apart = rows * _EIGHT
    for start in range(first, first + _MATRICES, apart + apart):
        for k in range(start, start + apart):
            upper, lower = words[k], words[k + apart]
            swapped = (upper >> rows ^ lower) & mask
            words[k], words[k + apart] = upper ^ swapped << rows, lower ^ swapped


@jit
def transpose(steps: NDArray[np.uint64], stride: int, count: int, first: int, width: int, bits: Bits) -> None:
    """Transpose `count` steps of one bit per unit into zeroed bits of one bit per step, from byte `first` of each unit.

    A tile is a cache line of each step, 512 units: every 64 steps of it are 8 matrices of 64 × 64 bits side by side,
    which are transposed together (Warren, Hacker's Delight, 7-3). Silent units are not written.

    Parameters
    ----------
    steps
        uint64 [step · stride + word]: bit k of word w is unit 64 w + k. `stride` is a multiple of 8.
    width
        Bytes per unit.
    bits
        uint8 [unit · width + byte].
    """
    units, line, number = np.uint64(bits.size // width), np.uint64(stride), np.uint64(count)
    blocks, wide = (number + _63) // _64, min(-(-count // 64) * 8, width - first)
    apart = _MATRICES + _EIGHT  # more than 4 KiB: the words of a unit do not compete for cache sets
    words = np.zeros(blocks * apart, np.uint64)
    for tile in range(_ZERO, units, _EIGHT * _64):
        some = _ZERO
        for block in range(blocks):
            base, rows, spikes = block * apart, min(number - block * _64, _64), _ZERO
            for row in range(rows):
                to, source = base + row * _EIGHT, (block * _64 + row) * line + tile // _64
                for k in range(_EIGHT):
                    words[to + k] = steps[source + k]
                    spikes |= steps[source + k]
            words[base + rows * _EIGHT : base + _MATRICES] = 0
            some |= spikes
            if spikes != _ZERO:
                _exchange(words, base, np.uint64(32), _LOW[0])
                _exchange(words, base, np.uint64(16), _LOW[1])
                _exchange(words, base, np.uint64(8), _LOW[2])
                _exchange(words, base, np.uint64(4), _LOW[3])
                _exchange(words, base, np.uint64(2), _LOW[4])
                _exchange(words, base, np.uint64(1), _LOW[5])
        for n in range(min(_EIGHT * _64, units - tile) if some != _ZERO else _ZERO):
            at, place = n % _64 * _EIGHT + n // _64, np.int64(tile + n) * width + first
            spikes = _ZERO
            for block in range(blocks):
                spikes |= words[at + block * apart]
            if spikes == _ZERO:
                continue
            for byte in range(0, wide - 7, 8):
                store_word(bits, place + byte, words[at])
                at += apart
            for byte in range(wide // 8 * 8, wide):
                bits[place + byte] = words[at] >> np.uint64(8 * (byte % 8)) & _BYTE
