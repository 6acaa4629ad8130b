"""Prophesee's EVT 2.1 in .raw files: a text header, then 64-bit little-endian words.

Bits 63 to 60 are a word's type: 0 and 1 are events, OFF and ON, with t's six lower bits in 59 to 54, x in 53 to 43 and
y in 42 to 32; bit n of the 32 lower ones, where it is set, is an event at x + n. 8 is TIME_HIGH, bits 33 to 6 of t in
59 to 32. Other types (triggers, vendor data) are not pixel events. IMX636 writes the upper half of a word first,
GenX320 the lower one.
Source: https://docs.prophesee.ai/stable/data/encoding_formats/evt21.html
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
from .base import CHUNK, ByteDecoder, Words
from .kernels import expand, onward, onward_reference
from .prophesee import RawFormat, VectorDecoder, endianness_of, header_of

_TIME_HIGH = 8

# t of the last TIME_HIGH; its 28 bits or −1; the bits of a word that are not decoded yet; its event of bit 0, and its
# t; events before the first TIME_HIGH
_INITIAL = (0, -1, 0, 0, 0, 0)


@jit
def _decode(
    words: NDArray[np.uint64],
    out: Words,
    where: NDArray[np.int64],
    state: NDArray[np.int64],
    upper_first: bool,
) -> tuple[int, int]:
    """Decode words; `state` is as `_INITIAL`. A word that does not fit into `out` continues with the next call."""
    base, before, left, event, t, undated = state
    count = used = 0
    while count < len(out) and (left or used < len(words)):
        if left:
            left, count = expand(left, event, t, used - 1, out, where, count)
            continue
        word = words[used]
        used += 1
        lower, upper = np.int64(word & np.uint64(0xFFFFFFFF)), np.int64(word >> np.uint64(32))
        if upper_first:
            lower, upper = upper, lower
        kind = upper >> 28
        if kind == _TIME_HIGH:
            high = upper & 0xFFFFFFF
            base += (onward(high, before, 28) if before >= 0 else high) << 6
            before = high
        elif kind <= 1:
            if before < 0:
                undated += ones(np.uint64(lower))
            else:
                left, t = lower, base + (upper >> 22 & 63)
                event = upper >> 11 & 0x7FF | (upper & 0x7FF) << 16 | kind << 32
    state[:] = base, before, left, event, t, undated
    return used, count


@jit
def _count(words: NDArray[np.uint64], upper_first: bool) -> int:
    """Return the number of events in `words`."""
    type_at, bits_at = (np.uint64(28), np.uint64(32)) if upper_first else (np.uint64(60), np.uint64(0))
    count = 0
    for word in words:
        if word >> type_at & np.uint64(15) <= np.uint64(1):
            count += ones(word >> bits_at & np.uint64(0xFFFFFFFF))
    return count


def decode_reference(words: NDArray[np.uint64]) -> NDArray[np.void]:
    """Decode the words of a file of GenX320, without a kernel: dtype `EVENT`, t of the camera's clock."""
    upper, lower = (words >> np.uint64(32)).astype(np.int64), words & np.uint64(0xFFFFFFFF)
    kind = upper >> 28
    is_high = kind == _TIME_HIGH
    base = onward_reference(upper[is_high] & 0xFFFFFFF, 28) << 6
    latest = np.cumsum(is_high) - 1  # the TIME_HIGH before each word
    dated = (kind <= 1) & (latest >= 0)
    upper, lower, latest = upper[dated], lower[dated], latest[dated]
    word, bit = np.nonzero(lower[:, None] >> np.arange(32, dtype=np.uint64) & np.uint64(1))
    events = np.zeros(len(word), EVENT)
    events["x"], events["y"] = (upper[word] >> 11 & 0x7FF) + bit, upper[word] & 0x7FF
    events["t"], events["p"] = base[latest[word]] + (upper[word] >> 22 & 63), upper[word] >> 28
    return events


class _Decoder(VectorDecoder):
    record, initial_state, camera_clock = 8, _INITIAL, True
    most_events = 32  # a bit each

    def __init__(self, file: InputFile, begin: int) -> None:
        head = file.head(begin + CHUNK)
        self._upper_first = _upper_first(head[begin:], endianness_of(header_of(head[:begin])[0]))
        super().__init__(file, begin)

    def decode(
        self, raw: NDArray[np.uint8], out: Words, where: NDArray[np.int64], state: NDArray[np.int64]
    ) -> tuple[int, int]:
        used, count = _decode(raw.view(np.uint64), out, where, state, self._upper_first)
        self.undated = int(self.state[5])
        return used, count

    def _pending(self) -> bool:
        return bool(self.state[2])

    def count(self, raw: NDArray[np.uint8]) -> int:
        """Return the number of events in whole words."""
        return int(_count(raw.view(np.uint64), self._upper_first))


def _upper_first(raw: bytes, stated: str) -> bool:
    """Return whether words begin with their upper half, by the TIME_HIGH among them, whose lower half is 0.

    Headers do not tell it reliably: ``endianness=legacy`` means it, and is found without it. It decides where the words
    do not.
    """
    first, second = np.frombuffer(raw[: len(raw) // 8 * 8], "<u4").reshape(-1, 2).T
    lower_first = np.count_nonzero((first == 0) & (second >> 28 == _TIME_HIGH))
    upper_first = np.count_nonzero((second == 0) & (first >> 28 == _TIME_HIGH))
    return stated == "legacy" if lower_first == upper_first else bool(upper_first > lower_first)


@dataclass(frozen=True)
class Evt21(RawFormat):
    """Prophesee's EVT 2.1 (.raw); the sensor's size is in the header, or known from the camera that it names."""

    name: ClassVar[str] = "evt21"
    title: ClassVar[str] = "Prophesee EVT2.1 .raw"
    encoding: ClassVar[str] = "2.1"

    def _decoder(self, file: InputFile, begin: int) -> ByteDecoder:
        return _Decoder(file, begin)
