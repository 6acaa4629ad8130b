"""Write events as lines of text: see `spikeprep.eventfiles.text` for the layouts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._jit import inline, jit
from ..errors import UsageError
from .base import Words
from .kernel_writer import KernelWriter

_LINE = 48  # bytes, at most: two numbers of 16 bits, a digit, one of 64 bits, and what separates them
_ZERO, _COMMA, _NEWLINE, _TEN = ord("0"), ord(","), ord("\n"), np.uint64(10)


@inline
def _digits(value, out, at):  # type: ignore[no-untyped-def]
    """Write a number in decimal from byte `at` on; return the byte after it."""
    end, left = at + 1, value // _TEN
    while left:
        left //= _TEN
        end += 1
    place = end
    while place > at:
        place -= 1
        rest = value // _TEN
        out[place] = _ZERO + np.int64(value - rest * _TEN)
        value = rest
    return end


@jit
def _encode(events: Words, out: NDArray[np.uint8], order: tuple[int, int, int, int]) -> tuple[int, int]:
    """Write a line for each event as far as there is room; `order` is of the columns, 0 x, 1 y, 2 p, 3 t."""
    n = at = 0
    while n < len(events) and at + _LINE <= len(out):
        packed, t = events[n, 0], events[n, 1]
        for column in order:
            if column == 3:
                value = t
            elif column == 2:
                value = packed >> np.uint64(32) & np.uint64(0xFF)
            else:
                value = packed >> np.uint64(16 * column) & np.uint64(0xFFFF)
            at = _digits(value, out, at)
            out[at] = _COMMA
            at += 1
        out[at - 1] = _NEWLINE
        n += 1
    return n, at


@dataclass(frozen=True)
class TextWriter(KernelWriter):
    """Text (.csv, .txt) as Metavision writes it: a comment with the sensor's size, then lines of ``x,y,p,t``, t in µs.

    t counts from the recording's start, whose own clock is not stored.

    Parameters
    ----------
    columns
        Their order: ``"xypt"``, ``"txyp"`` or any other.
    names
        Whether the columns' names are a line of their own, as pandas and spreadsheets want them, and no comment.
    """

    name: ClassVar[str] = "text"
    extensions: ClassVar[tuple[str, ...]] = (".csv", ".txt")

    columns: str = "xypt"
    names: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if sorted(self.columns) != sorted("xypt"):
            raise UsageError(f"got text.columns = {self.columns!r}", "x, y, p and t once each: 'xypt'")

    def header(self, size: tuple[int, int]) -> bytes:
        """Return the comment with the sensor's size, and the names of the columns, which state the unit of t."""
        names = ",".join("t_us" if column == "t" else column for column in self.columns)
        return f"%geometry:{size[0]},{size[1]}\n{'' if self.names else '%'}{names}\n".encode()

    def encode(self, events: Words, out: NDArray[np.uint8], state: NDArray[np.int64]) -> tuple[int, int]:
        """Encode events; see `KernelWriter.encode`."""
        a, b, c, d = ("xypt".index(column) for column in self.columns)
        used, length = _encode(events, out, (a, b, c, d))
        return int(used), int(length)
