"""Prophesee's EVT 4.0 in .raw files: a text header, then 32-bit little-endian words.

Bits 31 to 28 are a word's type: 10 and 11 are events, OFF and ON, with t's six lower bits in 27 to 22, x in 21 to 11,
y in 10 to 0; 12 and 13 are vectors, OFF and ON, of the same fields. All bits of the word behind a vector are its mask:
bit n, where it is set, is an event at x + n. 14 is TIME_HIGH, bits 33 to 6 of t. Other types (triggers, vendor data,
padding) are not pixel events.
Source: OpenEB 5.2, hal/decoders/evt4; Prophesee's documentation has no page of it yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._jit import jit
from .._simd import ones
from ..data import EVENT
from ..input_files import InputFile
from .base import ByteDecoder, Words
from .kernels import expand, onward
from .prophesee import RawFormat, VectorDecoder

_EVENT, _VECTOR, _TIME_HIGH = (
    5,
    6,
    14,
)  # of events and vectors the upper three bits: the fourth is the polarity

# t of the last TIME_HIGH; its 28 bits or −1; the bits of a mask that are not decoded yet; the vector's event of bit 0,
# and its t; whether the next word is a mask; events before the first TIME_HIGH
_INITIAL = (0, -1, 0, 0, 0, 0, 0)
_OPEN, _UNDATED = 5, 6


@jit
def _decode(
    words: NDArray[np.uint32], out: Words, where: NDArray[np.int64], state: NDArray[np.int64]
) -> tuple[int, int]:
    """Decode words; `state` is as `_INITIAL`. A mask that does not fit into `out` continues with the next call."""
    base, before, left, event, t, is_open, undated = state
    count = used = 0
    while count < len(out) and (left or used < len(words)):
        if left:
            left, count = expand(left, event, t, used - 1, out, where, count)
            continue
        word = np.int64(words[used])
        used += 1
        kind = word >> 28
        if is_open:
            is_open = np.int64(0)
            if before < 0:
                undated += ones(np.uint64(word))
            else:
                left = word
        elif kind >> 1 == _EVENT or kind >> 1 == _VECTOR:
            event = word >> 11 & 0x7FF | (word & 0x7FF) << 16 | (kind & 1) << 32
            t = base + (word >> 22 & 63)
            if kind >> 1 == _VECTOR:
                is_open = np.int64(1)
            elif before < 0:
                undated += 1
            else:
                out[count, 0] = np.uint64(event)
                out[count, 1] = np.uint64(t)
                if len(where):
                    where[count] = used - 1
                count += 1
        elif kind == _TIME_HIGH:
            high = word & 0xFFFFFFF
            base += (onward(high, before, 28) if before >= 0 else high) << 6
            before = high
    state[:] = base, before, left, event, t, is_open, undated
    return used, count


@jit
def _count(words: NDArray[np.uint32], state: NDArray[np.int64]) -> int:
    """Return the number of events in `words`; of `state`, as `_INITIAL`, whether the next word is a mask is used."""
    is_open, count = state[_OPEN], 0
    for word in words:
        kind = word >> np.uint32(29)
        if is_open:
            count += ones(np.uint64(word))
            is_open = np.int64(0)
        else:
            count += int(kind == _EVENT)
            is_open = np.int64(kind == _VECTOR)
    state[_OPEN] = is_open
    return count


def decode_reference(words: NDArray[np.uint32]) -> NDArray[np.void]:
    """Decode the words of a file, without a kernel: dtype `EVENT`, t of the camera's clock."""
    events: list[tuple[int, int, int, int]] = []
    base, high, vector = 0, -1, None
    for word in words.tolist():
        kind, fields = word >> 28, (word >> 11 & 0x7FF, word & 0x7FF, word >> 22 & 63, word >> 28 & 1)
        if vector is not None:
            x, y, t, p = vector
            events += [(x + n, y, base + t, p) for n in range(32) if high >= 0 and word >> n & 1]
            vector = None
        elif kind in (10, 11) and high >= 0:
            x, y, t, p = fields
            events.append((x, y, base + t, p))
        elif kind in (12, 13):
            vector = fields
        elif kind == _TIME_HIGH:
            stamp = word & 0xFFFFFFF
            step = (stamp - high + (1 << 27)) % (1 << 28) - (1 << 27) if high >= 0 else stamp
            base, high = base + (step << 6), stamp
    decoded = np.zeros(len(events), EVENT)
    for name, column in zip("xytp", np.array(events, np.int64).reshape(-1, 4).T, strict=True):
        decoded[name] = column
    return decoded


class _Decoder(VectorDecoder):
    record, initial_state, camera_clock = 4, _INITIAL, True
    most_events = 16  # per word: a mask of 32 follows a word without events

    def decode(
        self, raw: NDArray[np.uint8], out: Words, where: NDArray[np.int64], state: NDArray[np.int64]
    ) -> tuple[int, int]:
        used, count = _decode(raw.view(np.uint32), out, where, state)
        self.undated = int(state[_UNDATED])
        return used, count

    def _pending(self) -> bool:
        return bool(self.state[2])

    def count(self, raw: NDArray[np.uint8]) -> int:
        """Return the number of events in whole words that follow those counted since `rewind`."""
        return int(_count(raw.view(np.uint32), self.state))

    def incomplete_end(self) -> str:
        """Return how many bytes of an incomplete word, or a vector without its mask, are at the end."""
        if not (incomplete := super().incomplete_end()) and self.state[_OPEN]:
            return f"the vector at byte {self._records_end - self.record} has no mask"
        return incomplete


@dataclass(frozen=True)
class Evt4(RawFormat):
    """Prophesee's EVT 4.0 (.raw); the sensor's size is in the header, or known from the camera that it names."""

    name: ClassVar[str] = "evt4"
    title: ClassVar[str] = "Prophesee EVT4 .raw"
    encoding: ClassVar[str] = "4.0"

    def _decoder(self, file: InputFile, begin: int) -> ByteDecoder:
        return _Decoder(file, begin)
