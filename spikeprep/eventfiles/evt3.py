"""Prophesee's EVT 3.0 in .raw files: a text header, then 16-bit little-endian words, each a change of a state.

Bits 15 to 12 are a word's type:

| type | word | what it does |
| --- | --- | --- |
| 0 | ADDR_Y | y from bits 10 to 0 |
| 2 | ADDR_X | one event: x from bits 10 to 0, p from bit 11 |
| 3 | VECT_BASE_X | x and p of the vectors that follow |
| 4, 5 | VECT_12, VECT_8 | an event for each set bit of 12 or 8, bit 0 at the base; the base then moves by 12 or 8 |
| 6, 8 | TIME_LOW, TIME_HIGH | lower and upper 12 bits of t; a new TIME_HIGH sets the lower ones to 0 |

Other types (triggers, vendor data) are not pixel events. t wraps at 2²⁴ µs (16.8 s).
Source: https://docs.prophesee.ai/stable/data/encoding_formats/evt3.html
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._jit import jit
from .._simd import ones, trailing_zeros
from ..data import EVENT
from ..input_files import InputFile
from .base import ByteDecoder, Words
from .evt3_writer import Evt3Writer
from .kernels import onward
from .prophesee import RawFormat, VectorDecoder
from .writer import EventWriter

_Y, _X, _BASE, _VECT_12, _VECT_8, _LOW, _HIGH = 0, 2, 3, 4, 5, 6, 8

# t of the last TIME_HIGH; its 12 bits or −1; whether there was an ADDR_Y; the fields as in `_FIELDS`; the bits of a
# vector that are not decoded yet, and the event of the lowest; events before the first TIME_HIGH and ADDR_Y
_INITIAL = (0, -1, 0, 0, 0, 0, 0)

# t's lower bits, y, and the vectors' x and p share one integer, 16 bits each: the mask of the bits that a type sets
_FIELDS = np.zeros(16, np.int64)
_FIELDS[_LOW], _FIELDS[_Y], _FIELDS[_BASE] = 0xFFF, 0x7FF << 16, 0xFFF << 32
_EVERYWHERE = 1 | 1 << 16 | 1 << 32
_ROW, _BASE_X = 0x7FF << 16, 0x7FF << 32
_RARE = 1 << _HIGH | 1 << _VECT_12 | 1 << _VECT_8
_MAX_EVENTS = 12  # of a word


@jit
def _decode_fast(
    words: NDArray[np.uint16], used: int, out: Words, count: int, time: int, before: int, fields: int
) -> tuple[int, int, int, int, int]:
    """Decode words while `out` can hold the events of any word; time and row are known, no vector is half decoded."""
    flat = out.reshape(-1)
    two = np.uint64(2)  # unsigned indices need no test for counting from the end
    w, n, one = np.uint64(used), np.uint64(count), np.uint64(1)
    end, last_start = np.uint64(len(words)), np.uint64(len(out) - _MAX_EVENTS)
    while w < end and n <= last_start:
        kind, value = int(words[w]) >> 12, int(words[w]) & 0xFFF
        w += one
        # a table instead of branches, which would be mispredicted: the types follow no pattern
        mask = _FIELDS[np.uint64(kind)]
        fields = fields & ~mask | value * _EVERYWHERE & mask
        if not _RARE >> kind & 1:
            flat[two * n] = np.uint64(value & 0x7FF | fields & _ROW | value >> 11 << 32)
            flat[two * n + one] = np.uint64(time + (fields & 0xFFF))
            n += np.uint64(kind == _X)
        elif kind == _HIGH:
            moved = onward(value, before, 12)
            time, before = time + (moved << 12), value
            fields = fields & ~0xFFF if moved else fields
        else:
            length = 12 if kind == _VECT_12 else 8
            left, at = np.uint64(value & ((1 << length) - 1)), n
            n += np.uint64(ones(left))
            first = fields >> 32 & 0x7FF | fields & _ROW | fields >> 43 << 32
            t = np.uint64(time + (fields & 0xFFF))
            while left:
                # four without a test of how many are left: what is not an event is overwritten later
                for _ in range(4):
                    flat[two * at] = np.uint64(first + trailing_zeros(left | np.uint64(1 << 60)))
                    flat[two * at + one] = t
                    left &= left - one
                    at += one
            fields = fields & ~_BASE_X | (fields + (length << 32)) & _BASE_X
    return np.int64(w), np.int64(n), time, before, fields  # type: ignore[return-value]


@jit
def _decode(
    words: NDArray[np.uint16], out: Words, where: NDArray[np.int64], state: NDArray[np.int64]
) -> tuple[int, int]:
    """Decode words; `state` is as `_INITIAL`. A vector that does not fit into `out` continues with the next call."""
    time, before, known, fields, bits, event, early = state
    count = used = 0
    while count < len(out) and (bits or used < len(words)):
        if before >= 0 and known and not bits and count + _MAX_EVENTS <= len(out) and len(where) == 0:
            used, count, time, before, fields = _decode_fast(words, used, out, count, time, before, fields)
        elif bits:
            if bits & 1:
                out[count, 0], out[count, 1] = np.uint64(event), np.uint64(time + (fields & 0xFFF))
                if len(where):
                    where[count] = used - 1
                count += 1
            bits, event = bits >> 1, event + 1
        else:
            kind, value = int(words[used]) >> 12, int(words[used]) & 0xFFF
            used += 1
            fields = fields & ~_FIELDS[kind] | value * _EVERYWHERE & _FIELDS[kind]
            known |= int(kind == _Y)
            if kind == _HIGH:
                fields = fields if value == before else fields & ~0xFFF
                time += (onward(value, before, 12) if before >= 0 else value) << 12
                before = value
            elif kind in (_X, _VECT_12, _VECT_8):
                length = 1 if kind == _X else 12 if kind == _VECT_12 else 8
                base = value if kind == _X else fields >> 32
                set_bits = 1 if kind == _X else value & ((1 << length) - 1)
                if before >= 0 and known:
                    bits, event = set_bits, base & 0x7FF | fields & _ROW | base >> 11 << 32
                else:  # the time or the row is unknown
                    early += ones(np.uint64(set_bits))
                if kind != _X:
                    fields = fields & ~_BASE_X | (fields + (length << 32)) & _BASE_X
    state[:] = time, before, known, fields, bits, event, early
    return used, count


@jit
def _count(words: NDArray[np.uint16], each: NDArray[np.uint8]) -> int:
    """Return the number of events in `words`; `each` has that number for every possible word."""
    count = 0
    for word in words:
        count += each[word]
    return count


@cache
def _events_of_words() -> NDArray[np.uint8]:
    """Return the number of events in each possible word, uint8 (65536,)."""
    word = np.arange(1 << 16)
    kind = word >> 12
    bits = np.where(kind == _VECT_12, word & 0xFFF, np.where(kind == _VECT_8, word & 0xFF, 0))
    count: NDArray[np.uint8] = (np.bitwise_count(bits) + (kind == _X)).astype(np.uint8)
    return count


def decode_reference(words: NDArray[np.uint16]) -> NDArray[np.void]:
    """Decode the words of a file, one at a time: dtype `EVENT`, t of the camera's clock."""
    events: list[tuple[int, int, int, int]] = []
    high = low = y = base = polarity = None
    laps = 0
    for word in words.tolist():
        kind, value = word >> 12, word & 0xFFF
        known = high is not None and y is not None
        t = (laps << 24) + ((high or 0) << 12) + (low or 0)
        if kind == _Y:
            y = value & 0x7FF
        elif kind == _X and known:
            events.append((value & 0x7FF, y or 0, t, value >> 11))
        elif kind == _BASE:
            base, polarity = value & 0x7FF, value >> 11
        elif kind in (_VECT_12, _VECT_8):
            length = 12 if kind == _VECT_12 else 8
            bits = [bit for bit in range(length) if value >> bit & 1]
            if known:
                events += [((base or 0) + bit, y or 0, t, polarity or 0) for bit in bits]
            base = ((base or 0) + length) & 0x7FF
        elif kind == _LOW:
            low = value
        elif kind == _HIGH:
            if high is not None and value - high < -2048:
                laps += 1
            if high is not None and value - high >= 2048:
                laps -= 1
            low = low if value == high else 0
            high = value
    return np.array([(x, y, t, p) for x, y, t, p in events], EVENT)


class _Decoder(VectorDecoder):
    record, initial_state, camera_clock = 2, _INITIAL, True
    most_events = _MAX_EVENTS

    def decode(
        self, raw: NDArray[np.uint8], out: Words, where: NDArray[np.int64], state: NDArray[np.int64]
    ) -> tuple[int, int]:
        used, count = _decode(raw.view(np.uint16), out, where, state)
        self.undated = int(self.state[6])
        return used, count

    def _pending(self) -> bool:
        return bool(self.state[4])

    def count(self, raw: NDArray[np.uint8]) -> int:
        """Return the number of events in whole words."""
        return int(_count(raw.view(np.uint16), _events_of_words()))


@dataclass(frozen=True)
class Evt3(RawFormat):
    """Prophesee's EVT 3.0 (.raw); the sensor's size is in the header, or known from the camera that it names."""

    name: ClassVar[str] = "evt3"
    title: ClassVar[str] = "Prophesee EVT3 .raw"
    writer: ClassVar[type[EventWriter] | None] = Evt3Writer
    encoding: ClassVar[str] = "3.0"

    def _decoder(self, file: InputFile, begin: int) -> ByteDecoder:
        return _Decoder(file, begin)
