"""Prophesee's EVT 3.0 in .raw files: a text header, then 16-bit little-endian words, each a change of a state.

Bits 15 to 12 are a word's type:

| type | word | what it does |
| --- | --- | --- |
| 0 | ADDR_Y | y from bits 10 to 0 |
| 2 | ADDR_X | one event: x from bits 10 to 0, p from bit 11 |
| 3 | VECT_BASE_X | x and p of the vectors that follow |
| 4, 5 | VECT_12, VECT_8 | an event for each set bit of 12 or 8, bit 0 at the base, which moves on by as much |
| 6, 8 | TIME_LOW, TIME_HIGH | lower and upper 12 bits of t; a new TIME_HIGH sets the lower ones to 0 |

Other types (triggers, vendor's data) are no events of pixels. t wraps at 2²⁴ µs (16.8 s).
Source: https://docs.prophesee.ai/stable/data/encoding_formats/evt3.html
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..data import EVENT
from .base import ByteDecoder, Decoder, EventFormat, Words
from .kernels import jit, onward
from .prophesee import encoding_of, open_raw

_Y, _X, _BASE, _VECT_12, _VECT_8, _LOW, _HIGH = 0, 2, 3, 4, 5, 6, 8

# t of the last TIME_HIGH, t's lower bits, the last TIME_HIGH or −1, y or −1, base (p in bit 11),
# set bits of a vector that are still to come, where bit 0 of them is, events that came too early
_FRESH = (0, 0, -1, -1, 0, 0, 0, 0)


@jit
def _decode(
    words: NDArray[np.uint16], out: Words, where: NDArray[np.int64], state: NDArray[np.int64]
) -> tuple[int, int]:
    """Decode words; `state` is as `_FRESH`. A vector that `out` has no room for goes on with the next call."""
    time, low, before, y, base, bits, first, early = state
    made = used = 0
    while (before < 0 or y < 0) and used < len(words):
        # the state is not known yet: what would be an event has no time, or no row
        kind, value = np.int64(words[used]) >> 12, np.int64(words[used]) & 0xFFF
        if kind == _Y:
            y = value & 0x7FF
        elif kind == _X:
            early += 1
        elif kind == _BASE:
            base = value
        elif kind in (_VECT_12, _VECT_8):
            length = 12 if kind == _VECT_12 else 8
            for bit in range(length):
                early += value >> bit & 1
            base += length
        elif kind == _LOW:
            low = value
        elif kind == _HIGH:
            time += value << 12 if before < 0 else onward(value, before, 12) << 12
            low = low if before == value else 0
            before = value
        used += 1
    while made < len(out):
        if bits:
            # x runs over a vector's set bits; p is the base's
            packed = y << 16 | (base >> 11 & 1) << 32
            stamp = np.uint64(time + low)
            if made + 12 <= len(out):
                for bit in range(12):
                    out[made, 0] = np.uint64(first + bit | packed)
                    out[made, 1] = stamp
                    if len(where):
                        where[made] = used - 1
                    made += bits >> bit & 1
                bits = 0
            else:
                while bits and made < len(out):
                    if bits & 1:
                        out[made, 0] = np.uint64(first | packed)
                        out[made, 1] = stamp
                        if len(where):
                            where[made] = used - 1
                        made += 1
                    bits >>= 1
                    first += 1
            continue
        if used == len(words):
            break
        kind, value = np.int64(words[used]) >> 12, np.int64(words[used]) & 0xFFF
        # selections, not branches, which would have to be guessed: the types follow each other without a rule
        y = value & 0x7FF if kind == _Y else y
        base = value if kind == _BASE else base
        low = value if kind == _LOW else low
        moved = onward(value, before, 12) if kind == _HIGH else 0
        time += moved << 12
        low = 0 if moved else low
        before = value if kind == _HIGH else before
        out[made, 0] = np.uint64(value & 0x7FF | y << 16 | value >> 11 << 32)
        out[made, 1] = np.uint64(time + low)
        if len(where):
            where[made] = used
        made += kind == _X
        if kind in (_VECT_12, _VECT_8):
            length = 12 if kind == _VECT_12 else 8
            bits, first = value & ((1 << length) - 1), base & 0x7FF
            base = base & 0x800 | (first + length) & 0x7FF
        used += 1
    state[:] = time, low, before, y, base, bits, first, early
    return used, made


@jit
def _count(words: NDArray[np.uint16]) -> int:
    """Return how many events `words` are."""
    count = 0
    for word in words:
        kind, value = word >> 12, word & 0xFFF
        value = value if kind == _VECT_12 else value & 0xFF if kind == _VECT_8 else 0
        # set bits of 12, in parallel (Warren, Hacker's Delight, 5-1)
        value = value - (value >> 1 & 0x555)
        value = (value & 0x333) + (value >> 2 & 0x333)
        count += (value & 0xF) + (value >> 4 & 0xF) + (value >> 8) + (kind == _X)
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


class _Decoder(ByteDecoder):
    record, fresh, camera_clock = 2, _FRESH, True

    def _decode(
        self, raw: NDArray[np.uint8], out: Words, where: NDArray[np.int64], state: NDArray[np.int64]
    ) -> tuple[int, int]:
        used, made = _decode(raw.view(np.uint16), out, where, state)
        self.undated = int(self.state[7])
        return used, made

    def _pending(self) -> bool:
        return bool(self.state[5])

    def most(self) -> int:
        """Return how many events there are: a word is up to twelve, so that they are counted in a pass of its own."""
        count = 0
        self.rewind()
        while self._refill():
            count += _count(self._buffer[: self._high].view(np.uint16))
            self._low = self._high
        self.rewind()
        return count


@dataclass(frozen=True)
class Evt3(EventFormat):
    """Prophesee's EVT 3.0 (.raw); the sensor's size is in the header, or known of the camera that it names."""

    name: ClassVar[str] = "evt3"
    title: ClassVar[str] = "Prophesee EVT3 .raw"
    extensions: ClassVar[tuple[str, ...]] = (".raw",)

    @classmethod
    def matches(cls, head: bytes) -> bool:
        """Return whether a header of Prophesee's says EVT 3.0."""
        return encoding_of(head) == "3.0"

    def open(self, path: Path) -> Decoder:
        """Read the header; see `EventFormat.open`."""
        return open_raw(path, "3.0", _Decoder)
