"""Prophesee's EVT 2.0 in .raw files: a text header, then 32-bit little-endian words.

Bits 31 to 28 are a word's type: 0 and 1 are events, OFF and ON, with t's six lower bits in 27 to 22, x in 21 to 11,
y in 10 to 0; 8 is TIME_HIGH, bits 33 to 6 of t. Other types (triggers, vendor data) are not pixel events.
Source: https://docs.prophesee.ai/stable/data/encoding_formats/evt2.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._jit import jit
from ..data import EVENT
from ..input_files import InputFile
from .base import ByteDecoder, Words
from .evt2_writer import Evt2Writer
from .kernels import onward, onward_reference
from .prophesee import RawFormat
from .writer import EventWriter

_TIME_HIGH = 8


@jit
def _decode(
    words: NDArray[np.uint32], out: Words, where: NDArray[np.int64], state: NDArray[np.int64]
) -> tuple[int, int]:
    """Decode words; `state` is (t of the last TIME_HIGH, its 28 bits or −1, events before the first)."""
    base, before, undated = state
    count = used = 0
    while before < 0 and used < len(words):
        word = np.int64(words[used])
        undated += word >> 28 <= 1
        if word >> 28 == _TIME_HIGH:
            before = word & 0xFFFFFFF
            base += before << 6
        used += 1
    while used < len(words) and count < len(out):
        word = np.int64(words[used])
        kind = word >> 28
        if kind == _TIME_HIGH:
            base += onward(word & 0xFFFFFFF, before, 28) << 6
            before = word & 0xFFFFFFF
        # every word is written as an event and counted only if it is one: a branch would be mispredicted
        out[count, 0] = np.uint64(word >> 11 & 0x7FF | (word & 0x7FF) << 16 | (kind & 1) << 32)
        out[count, 1] = np.uint64(base + (word >> 22 & 63))
        if len(where):
            where[count] = used
        count += int(kind <= 1)
        used += 1
    state[:] = base, before, undated
    return used, count


def decode_reference(words: NDArray[np.uint32]) -> NDArray[np.void]:
    """Decode the words of a file, without a kernel: dtype `EVENT`, t of the camera's clock."""
    word = words.astype(np.int64)
    kind = word >> 28
    is_high = kind == _TIME_HIGH
    high = word[is_high] & 0xFFFFFFF
    base = onward_reference(high, 28) << 6
    latest = np.cumsum(is_high) - 1  # the TIME_HIGH before each word
    is_event = (kind <= 1) & (latest >= 0)
    word, latest = word[is_event], latest[is_event]
    events = np.zeros(len(word), EVENT)
    events["x"], events["y"], events["p"] = word >> 11 & 0x7FF, word & 0x7FF, word >> 28
    events["t"] = base[latest] + (word >> 22 & 63)
    return events


class _Decoder(ByteDecoder):
    record, initial_state, camera_clock = 4, (0, -1, 0), True

    def decode(
        self, raw: NDArray[np.uint8], out: Words, where: NDArray[np.int64], state: NDArray[np.int64]
    ) -> tuple[int, int]:
        used, count = _decode(raw.view(np.uint32), out, where, state)
        self.undated = int(self.state[2])
        return used, count


@dataclass(frozen=True)
class Evt2(RawFormat):
    """Prophesee's EVT 2.0 (.raw); the sensor's size is in the header, or known from the camera that it names."""

    name: ClassVar[str] = "evt2"
    title: ClassVar[str] = "Prophesee EVT2 .raw"
    writer: ClassVar[type[EventWriter] | None] = Evt2Writer
    encoding: ClassVar[str] = "2.0"

    def _decoder(self, file: InputFile, begin: int) -> ByteDecoder:
        return _Decoder(file, begin)
