"""The kernels that parse lines of four numbers.

Most files have the same separators in every line: `parse_regular` finds all of them first, so that nothing depends on
the number before it. It stops at the first line that differs, and `parse_lines` goes on from there, byte by byte.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._jit import inline, jit
from .._simd import load_word, not_digits, ones, trailing_zeros

LEAST_LINE = 8
"""Bytes of the shortest line: four digits, three separators and its end."""

_POWERS = np.array([10.0**k for k in range(19)])
_EXACT = np.uint64(
    1 << 53
)  # integers up to here are exact as floats, so that one division rounds correctly (Clinger 1990)
_LARGEST = np.uint64((1 << 31) - 1)
_MOST_DIGITS = np.uint64(18)  # that fit into 64 bits with a sign
_WHOLE_POWERS = np.array([10**k for k in range(9)], np.uint64)
_ALL_POWERS = np.array([10**k for k in range(19)], np.uint64)
_LAST = np.uint64(1 << 63)  # a bit that ends a search where no other does
_HUNDRED_MILLION = np.uint64(100_000_000)
_ZERO, _ONE, _SEVEN, _EIGHT, _64 = (np.uint64(n) for n in (0, 1, 7, 8, 64))
# bytes of eight digits, see `_digits`
_ZEROS, _ABOVE_NINE, _HIGH = (np.uint64(n * 0x0101010101010101) for n in (0x30, 0x76, 0x80))
_PAIRS, _HUNDREDS, _THOUSANDS = (
    np.uint64(0x000000FF000000FF), np.uint64(0x000F424000000064), np.uint64(0x0000271000000001),
)  # fmt: skip
_10, _16, _32 = (np.uint64(n) for n in (10, 16, 32))
_TAB, _LINE, _RETURN, _SPACE, _COMMA, _MINUS, _POINT, _SEMICOLON = (np.uint8(c) for c in b"\t\n\r ,-.;")


AHEAD, PADDING = 16, 64
"""Bytes that the buffer of a text has before and behind it: words may be read beyond its ends."""

_BLOCK = 1 << 13  # bytes whose separators are found at a time
_SEPARATORS = _BLOCK + 64 + 8
"""Places that the kernel needs for those of a block: one before them, and some that are overwritten."""

_NUMBER = rb"(\d+\.?\d*|\.\d+)"
_COMMAS, _BLANKS = (
    re.compile(rb"[ \t]*" + separator.join([_NUMBER] * 4) + rb"[ \t\r]*\n")
    for separator in (rb"[ \t]*[,;][ \t]*", rb"[ \t]+")
)


class Pattern(NamedTuple):
    """The bytes of regular lines that are no digits, the same ones in each line: line after line, for a block.

    Attributes
    ----------
    separators
        uint8 (separator,).
    fewest, more
        uint32 (separator,): how many digits are before each of them, at least, and how many more at most.
    size
        Number of separators of a line.
    ends
        Which separators of a line x, y, p, t, and the fraction of t end with; the last one −1 where t has none.
    """

    separators: NDArray[np.uint8]
    fewest: NDArray[np.uint32]
    more: NDArray[np.uint32]
    size: int
    ends: tuple[int, int, int, int, int]

    @classmethod
    def of(cls, line: bytes, commas: bool, order: Sequence[int], seconds: bool) -> Pattern | None:
        """Return the pattern of a line with its end, None where it has a sign, or numbers that are not as expected.

        The other parameters are those of `parse_lines`.
        """
        numbers = (_COMMAS if commas else _BLANKS).fullmatch(line)
        if numbers is None:
            return None
        separators = [at for at, byte in enumerate(line) if not 48 <= byte <= 57]
        ends, digits = [-1] * 5, np.zeros((len(separators), 2), np.uint32)
        for column, field in enumerate(order):
            points = numbers[column + 1].count(b".")
            if points != (seconds and field == 3):
                return None
            end = ends[field] = separators.index(numbers.end(column + 1)) - points
            digits[end] = (1, 8) if field < 3 else (1, 10) if points else (1, 16)
            if points:
                ends[4], digits[end + 1] = end + 1, (0, 9)
        fewest, most = (np.resize(column, _SEPARATORS) for column in digits.T)
        tiled = np.resize(np.array([line[at] for at in separators], np.uint8), _SEPARATORS)
        return cls(tiled, fewest, most - fewest, len(separators), tuple(ends))  # type: ignore[arg-type]


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


@inline
def _eight(raw, end, n):  # type: ignore[no-untyped-def]
    """Return the number of the n ≤ 8 digits before byte `end`, see `_digits`."""
    shift = _64 - _EIGHT * np.uint64(n)
    word = ((load_word(raw, end - 8) ^ _ZEROS) >> shift) << shift
    word = word * _10 + (word >> _EIGHT)
    return ((word & _PAIRS) * _HUNDREDS + ((word >> _16) & _PAIRS) * _THOUSANDS) >> _32


@inline
def _sixteen(raw, end, n):  # type: ignore[no-untyped-def]
    """Return the number of the n ≤ 16 digits before byte `end`."""
    if n <= 8:
        return _eight(raw, end, n) if n else _ZERO
    return _eight(raw, end, 8) + _HUNDRED_MILLION * _eight(raw, end - 8, n - 8)


@inline
def _find(raw, begin, end, places, found):  # type: ignore[no-untyped-def]
    """Write the places of bytes that are no digits, up to `end`, and the bytes themselves; return their number."""
    count = 0
    for base in range(begin, end, 64):
        mask = not_digits(raw, base)
        if base + 64 > end:
            mask &= (np.uint64(1) << np.uint64(end - base)) - np.uint64(1)
        number, at = ones(mask), count
        while mask:  # eight at a time: a branch for each would be mispredicted
            for k in range(8):
                place = base + trailing_zeros(mask | _LAST)
                places[at + k] = place
                found[at + k] = raw[place]
                mask &= mask - np.uint64(1)
            at += 8
        count += number
    return count


@jit
def parse_regular(
    raw: NDArray[np.uint8],
    begin: int,
    stop: int,
    pattern: Pattern,
    integers: NDArray[np.int32],
    stamps: NDArray[np.int64],
    fractions: NDArray[np.float64],
) -> tuple[int, int]:
    """Parse lines whose bytes that are no digits are `pattern`.

    Parameters
    ----------
    raw
        The text, uint8 (byte,), with at least `AHEAD` bytes before it and `PADDING` behind it.
    begin, stop
        Where it begins, and where the end of its last line is behind it.
    pattern
        What is no digit in every line. t is written to `stamps` where it has no fraction, otherwise to `fractions`.
    integers, stamps, fractions
        See `parse_lines`.

    Returns
    -------
    The number of lines parsed, and the byte behind them: `stop`, or where lines begin that are not all regular.
    """
    separators, fewest, more, size, (end_x, end_y, end_p, end_t, end_f) = pattern
    found, places, row = np.empty(_SEPARATORS, np.uint8), np.empty(_SEPARATORS, np.int32), 0
    while begin < stop:
        # those of the line before are at −1: where a line's first number begins, is the place before it
        lines = _find(raw, begin, min(begin + _BLOCK, stop), places[1:], found) // size
        places[0] = begin - 1
        different = np.uint8(0)
        wrong = False
        for k in range(lines * size):
            different |= found[k] ^ separators[k]
            wrong |= np.uint32(places[k + 1] - places[k] - 1) - fewest[k] > more[k]
        if wrong | (different != 0) | (lines == 0):
            break
        # of each column one after the other: nothing in a line waits for what is before it
        for field, end in enumerate((end_x, end_y, end_p)):
            before, behind = places[end : lines * size : size], places[end + 1 : lines * size + 1 : size]
            column = integers[field, row : row + lines]
            for line in range(lines):
                column[line] = _eight(raw, behind[line], behind[line] - before[line] - 1)
        before, behind = places[end_t : lines * size : size], places[end_t + 1 : lines * size + 1 : size]
        inexact = False
        if end_f < 0:
            whole = stamps[row : row + lines]
            for line in range(lines):
                whole[line] = _sixteen(raw, behind[line], behind[line] - before[line] - 1)
        else:
            points, behind = behind, places[end_f + 1 : lines * size + 1 : size]
            seconds = fractions[row : row + lines]
            for line in range(lines):
                value = _sixteen(raw, points[line], points[line] - before[line] - 1)
                digits = np.uint64(behind[line] - points[line] - 1)
                value = value * _ALL_POWERS[digits] + _sixteen(
                    raw, behind[line], behind[line] - points[line] - 1
                )
                inexact |= value > _EXACT
                seconds[line] = np.int64(value) / _POWERS[digits]
        if inexact:
            break
        row, begin = row + lines, places[lines * size] + 1
    return row, begin


@jit
def parse_lines(
    raw: NDArray[np.uint8],
    begin: int,
    stop: int,
    row: int,
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
    begin, stop
        Where it begins, and where it ends: it is empty or ends with the end of a line.
    row
        Number of the first event.
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
    The number of events, those before `row` included, and whether these are all: otherwise a line is not plain.
    """
    at, size = np.uint64(begin), np.uint64(stop)
    while at < size:
        c = raw[at]
        if (c == _LINE) | (c == _SPACE) | (c == _RETURN) | (c == _TAB):
            at += _ONE
            continue
        for column in range(4):
            if column:
                first = at
                while (raw[at] == _SPACE) | (raw[at] == _TAB):
                    at += _ONE
                if commas:
                    if (raw[at] != _COMMA) & (raw[at] != _SEMICOLON):
                        return row, False
                    at += _ONE
                    while (raw[at] == _SPACE) | (raw[at] == _TAB):
                        at += _ONE
                elif at == first:
                    return row, False
            negative = raw[at] == _MINUS
            if negative:
                at += _ONE
            first = at
            value, at = _digits(raw, at, _ZERO)
            digits, places = at - first, _ZERO
            if raw[at] == _POINT:
                at += _ONE
                first = at
                value, at = _digits(raw, at, value)
                places = at - first
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
