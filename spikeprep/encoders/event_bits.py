"""Bits of a recording as they are written: events come in order of time, a store has bits in order of units.

The bits of a small recording are set in their final place. In a large one each would cost a cache miss, or two. There a
block of steps is first written in order of time, one bit per unit, so that what is written to stays in a core's cache,
and is transposed when it is full.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..data import Bits
from ..errors import DataError
from .time_bins import transpose

_DIRECT_BYTES = 1 << 20  # bits that stay in a core's cache
_BLOCK_BYTES = 1 << 25  # of a block, or else 64 steps
_LINE = 512  # bits of a cache line: transposing so many steps at once is as good as transposing more
_ALL = 1 << 60  # more steps than there are


class DirectBits:
    """Bits that are set in their final place.

    Attributes
    ----------
    block
        uint8 (bytes,): what `scatter` writes to now.
    first, stop
        The range of steps that `block` holds.
    strides
        Bits of `block` from one unit and from one step to the next.
    cleared
        How many of its steps are zero or written.
    """

    first, cleared = 0, _ALL

    def __init__(self, bits: Bits, steps: int) -> None:
        self._bits, self.stop = bits, steps
        self.block: NDArray[np.uint8] = bits.reshape(-1)
        self.strides = 8 * bits.shape[1], 1

    def advance(self, step: int) -> None:
        """Go on with the block that holds `step`, which is past this one."""
        raise AssertionError("there is no other block")

    def finish(self, steps: int) -> Bits:
        """Return the bits (unit, byte) of everything that was written, `steps` steps."""
        return self._bits


class StagedBits:
    """Bits that are written in order of time, in blocks; attributes and methods as of `DirectBits`.

    Where the recording's length is known, a block is transposed when it is full and used again; otherwise all are kept
    until the length is known.
    """

    def __init__(self, units: int, bits: Bits | None, steps: int | None) -> None:
        self._units, self._bits, self._steps = units, bits, steps
        line = _LINE * (-(-units // _LINE) | 1)  # an odd number of lines: steps do not compete for cache sets
        self.strides = 1, line
        self._block_steps = min(max(_BLOCK_BYTES * 8 // line // 64 * 64, 64), _LINE)
        self._full: list[tuple[NDArray[np.uint8], int, int]] = []
        self.block = np.empty(self._block_steps * line // 8, np.uint8)
        self._begin(0)

    def _begin(self, step: int) -> None:
        self.cleared, self.first = 0, step // self._block_steps * self._block_steps
        self.stop = self.first + self._block_steps
        if self._steps is not None:
            self.stop = min(self.stop, self._steps)

    def _transpose(self, bits: Bits, block: NDArray[np.uint8], first: int, steps: int) -> None:
        stride, width = self.strides[1] // 64, bits.shape[1]
        transpose(block.view(np.uint64), stride, steps, first // 8, width, bits.reshape(-1))

    def advance(self, step: int) -> None:
        """Go on with the block that holds `step`, which is past this one."""
        if self._bits is not None:
            self._transpose(self._bits, self.block, self.first, self.cleared)
        else:
            self._full.append((self.block, self.first, self.cleared))
            self.block = np.empty(self.block.size, np.uint8)
        self._begin(step)

    def finish(self, steps: int) -> Bits:
        """Return the bits (unit, byte) of everything that was written, `steps` steps."""
        self._full.append((self.block, self.first, self.cleared))
        bits = zero_bits(self._units, steps) if self._bits is None else self._bits
        while self._full:  # each block is freed once it is transposed
            self._transpose(bits, *self._full.pop())
        return bits


def zero_bits(units: int, steps: int) -> Bits:
    """Return bits (unit, byte) without a spike; raises `DataError` where they do not fit into memory."""
    try:
        return np.zeros((units, -(-steps // 8)), np.uint8)
    except (MemoryError, ValueError) as error:  # ValueError: more bytes than an address has
        raise DataError(
            f"got a recording of {units} units and {steps} steps, {units * -(-steps // 8) / 1e9:.1f} GB",
            "what fits into memory",
            "Widen the bins, keep fewer steps, or put event_downsample or event_crop ahead.",
        ) from error


def bit_writer(units: int, steps: int | None, out: Bits | None = None) -> DirectBits | StagedBits:
    """Return where to write the bits of `units` units.

    Parameters
    ----------
    steps
        How many steps there are; None where that is not known yet.
    out
        uint8 (unit, byte), all zero, to write to where `steps` is known; allocated where it is None.
    """
    if steps is None:
        return StagedBits(units, None, None)
    bits = zero_bits(units, steps) if out is None else out
    return DirectBits(bits, steps) if bits.size <= _DIRECT_BYTES else StagedBits(units, bits, steps)
