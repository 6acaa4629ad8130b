"""How the bits of a recording reach their places: events are in order of time, bits in order of units.

Bits of a small recording are set where they belong. Those of a large one would each cost a cache miss, or two. There a
block of steps is first written in order of time, a bit a unit, so that what is written to stays in a core's cache, and
is turned when it is full.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..data import Bits
from ..errors import DataError
from .time_bins import turn

_IN_PLACE = 1 << 20  # bytes of bits that stay in a core's cache
_BLOCK = 1 << 25  # bytes of a block, or else 64 steps
_LINE = 512  # bits of a cache line: turning so many steps at once is as good as turning more
_ALL = 1 << 60  # more steps than there are


class InPlace:
    """Bits that are written where they belong.

    Attributes
    ----------
    block
        uint8 (bytes,): what `scatter` writes to now.
    first, stop
        The steps that `block` has.
    strides
        Bits of `block` from one unit and from one step to the next.
    fresh
        How many of its steps are zero or written.
    """

    first, fresh = 0, _ALL

    def __init__(self, bits: Bits, steps: int) -> None:
        self._bits, self.stop = bits, steps
        self.block: NDArray[np.uint8] = bits.reshape(-1)
        self.strides = 8 * bits.shape[1], 1

    def turn_to(self, step: int) -> None:
        """Go on with the block that has `step`, which is past this one."""
        raise AssertionError("there is no other block")

    def finish(self, steps: int) -> Bits:
        """Return the bits (unit, byte) of all that was written, `steps` long."""
        return self._bits


class InTime:
    """Bits that are written in order of time, in blocks; attributes and methods as of `InPlace`.

    Where the recording's length is known, a block is turned when it is full and used again; otherwise all are kept
    until the length is known too.
    """

    def __init__(self, units: int, bits: Bits | None, steps: int | None) -> None:
        self._units, self._bits, self._steps = units, bits, steps
        line = _LINE * (-(-units // _LINE) | 1)  # an odd number of lines: steps do not compete for cache sets
        self.strides = 1, line
        self._span = min(max(_BLOCK * 8 // line // 64 * 64, 64), _LINE)  # steps of a block
        self._kept: list[tuple[NDArray[np.uint8], int, int]] = []
        self.block = np.empty(self._span * line // 8, np.uint8)
        self._place(0)

    def _place(self, step: int) -> None:
        self.fresh, self.first = 0, step // self._span * self._span
        self.stop = self.first + self._span
        if self._steps is not None:
            self.stop = min(self.stop, self._steps)

    def _turn(self, bits: Bits, block: NDArray[np.uint8], first: int, steps: int) -> None:
        stride, width = self.strides[1] // 64, bits.shape[1]
        turn(block.view(np.uint64), stride, steps, first // 8, width, bits.reshape(-1))

    def turn_to(self, step: int) -> None:
        """Go on with the block that has `step`, which is past this one."""
        if self._bits is not None:
            self._turn(self._bits, self.block, self.first, self.fresh)
        else:
            self._kept.append((self.block, self.first, self.fresh))
            self.block = np.empty(self.block.size, np.uint8)
        self._place(step)

    def finish(self, steps: int) -> Bits:
        """Return the bits (unit, byte) of all that was written, `steps` long."""
        self._kept.append((self.block, self.first, self.fresh))
        bits = new_bits(self._units, steps) if self._bits is None else self._bits
        while self._kept:  # memory goes as it is no longer needed
            self._turn(bits, *self._kept.pop())
        return bits


def new_bits(units: int, steps: int) -> Bits:
    """Return bits without a spike; raises `DataError` where they do not fit into memory."""
    try:
        return np.zeros((units, -(-steps // 8)), np.uint8)
    except MemoryError as error:
        raise DataError(
            f"got a recording of {units} units and {steps} steps, {units * -(-steps // 8) / 1e9:.1f} GB",
            "what fits into memory",
            "Widen the bins, keep fewer steps, or put event_downsample or event_crop ahead.",
        ) from error


def new_sheet(units: int, steps: int | None) -> InPlace | InTime:
    """Return what to write on, for `steps` or, where it is None, a number that is not known yet."""
    if steps is None:
        return InTime(units, None, None)
    bits = new_bits(units, steps)
    return InPlace(bits, steps) if bits.size <= _IN_PLACE else InTime(units, bits, steps)
