"""Write Prophesee's EVT 2.0: see `spikeprep.eventfiles.evt2` for the format.

Silence across a wrap of the clock has the last TIME_HIGH of the lap and then the first of the next, 0: readers count a
lap only where these, or nearly these, follow each other.
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

_LAP = 1 << 34  # µs after which the clock wraps
_LAST = (1 << 28) - 1  # TIME_HIGH of a lap
_STEP = 1 << 26  # of 2²⁸ values of TIME_HIGH: readers take a larger distance for one back


@jit
def _encode(events: Words, out: NDArray[np.uint32], state: NDArray[np.int64]) -> tuple[int, int]:
    """Write words; `state` is (the clock at t = 0, the last TIME_HIGH with its laps or −1)."""
    start, high = state
    n = w = 0
    while n < len(events) and w + 2 <= len(out):
        packed, t = np.int64(events[n, 0]), np.int64(events[n, 1]) + start
        if t >> 6 != high:
            last = high | _LAST
            if high < 0:
                high = t >> 6
            elif high < last:
                high = min(t >> 6, high + _STEP, last)
            else:
                high += 1
            out[w] = np.uint32(8 << 28 | high & 0xFFFFFFF)
            w += 1
            if high != t >> 6:
                continue
        x, y, p = packed & 0x7FF, packed >> 16 & 0x7FF, packed >> 32 & 1
        out[w] = np.uint32(p << 28 | (t & 63) << 22 | x << 11 | y)
        w, n = w + 1, n + 1
    state[1] = high
    return n, w


@dataclass(frozen=True)
class Evt2Writer(KernelWriter):
    """Prophesee's EVT 2.0 (.raw): stamps are those of the recording's own clock, modulo 2³⁴ µs."""

    name: ClassVar[str] = "evt2"
    extensions: ClassVar[tuple[str, ...]] = (".raw",)
    by_ending: ClassVar[bool] = False  # that of `evt3` too
    most_side: ClassVar[int] = 1 << 11
    limit: ClassVar[str] = "EVT 2.0 has 11 bits for x and y"
    start_range: ClassVar[int | None] = _LAP

    def header(self, size: tuple[int, int]) -> bytes:
        """Return the header that Prophesee's tools need."""
        return raw_header("2.0", "EVT2", size)

    def initial_state(self, start: int) -> NDArray[np.int64]:
        """Return the state before the first event."""
        return np.array([start % _LAP, -1], np.int64)

    def encode(self, events: Words, out: NDArray[np.uint8], state: NDArray[np.int64]) -> tuple[int, int]:
        """Encode events; see `KernelWriter.encode`."""
        used, count = _encode(events, out.view(np.uint32), state)
        return int(used), int(count) * 4
