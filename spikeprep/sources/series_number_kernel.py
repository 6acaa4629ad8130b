"""Decimal numbers of text lines, converted by compiled code where one multiplication or division is exact."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import jit

_POWERS = np.array([float(10**n) for n in range(23)])  # all of them exact as floats
_EXACT = np.uint64(
    1 << 53
)  # whole numbers up to here are, too, so that one operation rounds correctly (Clinger 1990)
_MOST_DIGITS = 18  # of a whole number that fits in 64 bits
_SPACE, _TAB, _NEWLINE, _PLUS, _MINUS, _POINT = 32, 9, 10, 43, 45, 46
_ZERO, _NINE, _LOWER_E, _UPPER_E = 48, 57, 101, 69


@jit
def parse_numbers(
    raw: NDArray[np.uint8], separator: int, places: NDArray[np.int64], out: NDArray[np.float64]
) -> int:
    """Write the numbers of lines to `out`; return how many lines are converted: the first that is not ends it.

    It is not where a field is no decimal number, or has more digits than one exact operation takes, or the line another
    number of fields; Python's conversion then says what is wrong, if anything.

    Parameters
    ----------
    raw
        The lines, each with its end (LF), and a further zero byte.
    separator
        The byte between fields; 0: spaces and tabs.
    places
        Of each field, its column in `out`, or −1: it is skipped.
    out
        float64 (line, column).
    """
    at = 0
    for line in range(out.shape[0]):
        for field in range(places.size):
            while raw[at] == _SPACE or (raw[at] == _TAB and separator != _TAB):
                at += 1
            if places[field] < 0:
                while raw[at] != 0 and raw[at] != _NEWLINE:
                    if raw[at] == separator or (separator == 0 and (raw[at] == _SPACE or raw[at] == _TAB)):
                        break
                    at += 1
            else:
                negative = raw[at] == _MINUS
                if negative or raw[at] == _PLUS:
                    at += 1
                value, digits, exponent, seen = np.uint64(0), 0, 0, 0
                behind = False
                while True:
                    byte = raw[at]
                    if byte >= _ZERO and byte <= _NINE:
                        value = value * np.uint64(10) + np.uint64(byte - _ZERO)
                        digits += value != np.uint64(0)
                        seen += 1
                        exponent -= behind
                        if digits > _MOST_DIGITS:
                            return line
                    elif byte == _POINT and not behind:
                        behind = True
                    else:
                        break
                    at += 1
                if not seen or value > _EXACT:
                    return line
                if raw[at] == _LOWER_E or raw[at] == _UPPER_E:
                    at += 1
                    below = raw[at] == _MINUS
                    if below or raw[at] == _PLUS:
                        at += 1
                    stated, seen = 0, 0
                    while raw[at] >= _ZERO and raw[at] <= _NINE and seen < 6:
                        stated = 10 * stated + int(raw[at] - _ZERO)
                        seen += 1
                        at += 1
                    if not seen:
                        return line
                    exponent += -stated if below else stated
                number = np.float64(value)
                if value != np.uint64(0):
                    if exponent > 22 or exponent < -22:
                        return line
                    number = number * _POWERS[exponent] if exponent >= 0 else number / _POWERS[-exponent]
                out[line, places[field]] = -number if negative else number
            while raw[at] == _SPACE or (raw[at] == _TAB and separator != _TAB):
                at += 1
            if field < places.size - 1:
                if separator != 0:
                    if raw[at] != separator:
                        return line
                    at += 1
                elif raw[at - 1] != _SPACE and raw[at - 1] != _TAB:
                    return line
        if raw[at] != _NEWLINE:
            return line
        at += 1
    return int(out.shape[0])
