"""The kernel that parses lines of four numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import inline, jit
from .._simd import load_word, trailing_zeros

LEAST_LINE = 8
"""Bytes of the shortest line: four digits, three separators and its end."""

_POWERS = np.array([10.0**k for k in range(19)])
_EXACT = np.uint64(
    1 << 53
)  # integers up to here are exact as floats, so that one division rounds correctly (Clinger 1990)
_LARGEST = np.uint64((1 << 31) - 1)
_MOST_DIGITS = np.uint64(18)  # that fit into 64 bits with a sign
_WHOLE_POWERS = np.array([10**k for k in range(9)], np.uint64)
_ZERO, _ONE, _EIGHT, _64 = (np.uint64(n) for n in (0, 1, 8, 64))
# bytes of eight digits, see `_digits`
_ZEROS, _ABOVE_NINE, _HIGH = (np.uint64(n * 0x0101010101010101) for n in (0x30, 0x76, 0x80))
_PAIRS, _HUNDREDS, _THOUSANDS = (
    np.uint64(0x000000FF000000FF), np.uint64(0x000F424000000064), np.uint64(0x0000271000000001),
)  # fmt: skip
_10, _16, _32 = (np.uint64(n) for n in (10, 16, 32))
_TAB, _LINE, _RETURN, _SPACE, _COMMA, _MINUS, _POINT, _SEMICOLON = (np.uint8(c) for c in b"\t\n\r ,-.;")


PADDING = 16
"""Bytes that the buffer of a text has behind it: a word may be read past the end."""


@inline
def _digits(raw, at, value):  # type: ignore[no-untyped-def]
    """Return `value` followed by the digits from byte `at` on, and the first byte that is none.

    Eight bytes are converted at a time (Lemire 2021, Number parsing at a gigabyte per second, Software 51:1700): the
    first one above 9 ends the digits, shifting puts zeros ahead of them, and three products add them up.
    """
    while True:
        word = load_word(raw, at) ^ _ZEROS
        none = ((word + _ABOVE_NINE) | word) & _HIGH
        n = np.uint64(trailing_zeros(none)) >> np.uint64(3) if none != _ZERO else _EIGHT
        if n == _ZERO:
            break
        word = word << (_64 - _EIGHT * n)
        word = word * _10 + (word >> _EIGHT)
        word = ((word & _PAIRS) * _HUNDREDS + ((word >> _16) & _PAIRS) * _THOUSANDS) >> _32
        value = value * _WHOLE_POWERS[n] + word
        at += n
        if n != _EIGHT:
            break
    return value, at


@jit
def parse_lines(
    raw: NDArray[np.uint8],
    stop: int,
    commas: bool,
    order: tuple[int, int, int, int],
    seconds: bool,
    integers: NDArray[np.int32],
    stamps: NDArray[np.int64],
    fractions: NDArray[np.float64],
) -> tuple[int, bool]:
    """Parse lines of four numbers as far as they are plain: digits, with a point and a sign; no exponents.

    Parameters
    ----------
    raw
        The text, uint8 (byte,), and at least `PADDING` more bytes.
    stop
        Bytes of the text, which is empty or ends with the end of a line.
    commas
        Whether numbers are separated by one comma or semicolon, with blanks around it; otherwise by blanks.
    order
        Number of each column's field: 0 x, 1 y, 2 p, 3 t.
    seconds
        Whether t is written to `fractions`, otherwise to `stamps`.
    integers
        int32 (3, event) for x, y and p.
    stamps, fractions
        int64 and float64 (event,) for t; the one that is not used may be empty.

    Returns
    -------
    The number of lines parsed that are not empty, and whether these are all: otherwise the next one is not plain.
    """
    at, size, row = np.uint64(0), np.uint64(stop), 0
    while at < size:
        c = raw[at]
        if (c == _LINE) | (c == _SPACE) | (c == _RETURN) | (c == _TAB):
            at += _ONE
            continue
        for column in range(4):
            if column:
                begin = at
                while (raw[at] == _SPACE) | (raw[at] == _TAB):
                    at += _ONE
                if commas:
                    if (raw[at] != _COMMA) & (raw[at] != _SEMICOLON):
                        return row, False
                    at += _ONE
                    while (raw[at] == _SPACE) | (raw[at] == _TAB):
                        at += _ONE
                elif at == begin:
                    return row, False
            negative = raw[at] == _MINUS
            if negative:
                at += _ONE
            begin = at
            value, at = _digits(raw, at, _ZERO)
            digits, places = at - begin, _ZERO
            if raw[at] == _POINT:
                at += _ONE
                begin = at
                value, at = _digits(raw, at, value)
                places = at - begin
                digits += places
            if (digits == _ZERO) | (digits > _MOST_DIGITS):
                return row, False
            number = -np.int64(value) if negative else np.int64(value)
            field = order[column]
            if field == 3:
                if seconds:
                    if value > _EXACT:
                        return row, False
                    fractions[row] = number / _POWERS[places]
                else:
                    if places:
                        return row, False
                    stamps[row] = number
            else:
                if (places != _ZERO) | (value > _LARGEST):
                    return row, False
                integers[field, row] = number
        while (raw[at] == _SPACE) | (raw[at] == _TAB) | (raw[at] == _RETURN):
            at += _ONE
        if raw[at] != _LINE:
            return row, False
        at += _ONE
        row += 1
    return row, True


@jit
def is_narrow(integers: NDArray[np.int32], count: int) -> bool:
    """Return whether x and y of the first `count` events, int32 (3, event), fit into 16 bits, and p into one."""
    xy, p = np.int32(0), np.int32(0)
    for n in range(count):
        xy |= integers[0, n] | integers[1, n]
        p |= integers[2, n]
    return bool((xy >> 16 == 0) & (p >> 1 == 0))


@jit
def join(integers: NDArray[np.int32], stamps: NDArray[np.int64], words: NDArray[np.uint64]) -> None:
    """Write x, y, p, int32 (3, event), and t, int64 (event,), as `spikeprep.eventfiles.base.Words`."""
    for n in range(stamps.size):
        high = np.uint64(integers[1, n]) << np.uint64(16) | np.uint64(integers[2, n]) << _32
        words[n, 0] = np.uint64(integers[0, n]) | high
        words[n, 1] = np.uint64(stamps[n])
