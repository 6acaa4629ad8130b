"""Write Prophesee's .dat, version 2: see `spikeprep.eventfiles.dat` for the format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._jit import jit
from ..errors import DataError
from .base import Words
from .kernel_writer import KernelWriter

_CD, _RECORD = 12, 8  # the events' type and size in bytes
_MOST_SILENCE = (15 << 28) - 1
"""µs between two events: readers that unwrap the clock take a larger step for a small one back."""


@jit
def _encode(events: Words, out: NDArray[np.uint64], state: NDArray[np.int64]) -> int:
    """Write a stamp and a word for each event, as far as there is room and silence is not too long; return how many.

    `state` is t of the last event, −1 before the first one.
    """
    count = min(len(events), len(out))
    before = np.uint64(max(state[0], 0)) if state[0] >= 0 or not len(events) else events[0, 1]
    for n in range(count):
        packed, t = events[n, 0], events[n, 1]
        if t - before > np.uint64(_MOST_SILENCE):
            count = n
            break
        before = t
        x, y, p = (
            packed & np.uint64(0xFFFF),
            packed >> np.uint64(16) & np.uint64(0xFFFF),
            packed >> np.uint64(32),
        )
        word = x | y << np.uint64(14) | (p & np.uint64(0xF)) << np.uint64(28)
        out[n] = t & np.uint64(0xFFFFFFFF) | word << np.uint64(32)
    state[0] = np.int64(before)
    return count


@dataclass(frozen=True)
class DatWriter(KernelWriter):
    """Prophesee's .dat, version 2; t counts from the recording's start, whose own clock is not stored."""

    name: ClassVar[str] = "dat"
    extensions: ClassVar[tuple[str, ...]] = (".dat",)
    most_side: ClassVar[int] = 1 << 14
    last_t: ClassVar[int] = (1 << 32) - 1
    limit: ClassVar[str] = ".dat has 14 bits for x and y, and 32 for t, which are 71.6 minutes"

    def header(self, size: tuple[int, int]) -> bytes:
        """Return lines of text, as Prophesee's tools write them, and the events' type and size."""
        text = f"% Data file containing CD events.\n% Version 2\n% Height {size[1]}\n% Width {size[0]}\n"
        return text.encode() + bytes([_CD, _RECORD])

    def encode(self, events: Words, out: NDArray[np.uint8], state: NDArray[np.int64]) -> tuple[int, int]:
        """Encode events; see `KernelWriter.encode`."""
        count = int(_encode(events, out.view(np.uint64), state))
        if not count:
            raise DataError(
                f"the recording is silent from t {int(state[0]):,} to {int(events[0, 1]):,} µs",
                f"at most {_MOST_SILENCE:,} µs without an event: the clock of .dat wraps after {1 << 32:,}",
                "Write AEDAT 4 (format='aedat4') or HDF5 (format='hdf5'), or the recording in parts.",
            )
        return count, count * _RECORD

    def initial_state(self, start: int) -> NDArray[np.int64]:
        """Return the state before the first event."""
        return np.full(1, -1, np.int64)
