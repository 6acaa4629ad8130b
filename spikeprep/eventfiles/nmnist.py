"""The files of N-MNIST and N-Caltech101 (Orchard, Jayawant, Cohen & Thakor 2015): five bytes per event, no header.

Bytes of an event: x; y; p in bit 7 and t in bits 6 to 0, then t's two lower bytes. t is in µs from the recording's
start and wraps at 2²³ (8.4 s). A record with y = 240 is no event: it means that 2¹³ µs more have passed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._jit import jit
from ..data import EVENT
from ..file_kinds import is_text
from ..input_files import InputFile
from .base import ByteDecoder, Decoder, EventFormat, Words
from .kernels import onward, unwrap, unwrap_reference

_OVERFLOW_Y, _OVERFLOW = 240, 1 << 13


@jit
def _decode(
    raw: NDArray[np.uint8], out: Words, where: NDArray[np.int64], state: NDArray[np.int64]
) -> tuple[int, int]:
    """Decode 5-byte records; `state` is (t, stamp of the last record or −1, and `unwrap`'s anchor)."""
    t, before, anchor_t, anchor = state
    count = used = 0
    if before < 0 and len(raw) > 0:
        before = (np.int64(raw[2]) & 127) << 16 | np.int64(raw[3]) << 8 | np.int64(raw[4])
        t += before
    while used < len(raw) // 5 and count < len(out):
        b = 5 * used
        x, y, high = np.int64(raw[b]), np.int64(raw[b + 1]), np.int64(raw[b + 2])
        stamp = (high & 127) << 16 | np.int64(raw[b + 3]) << 8 | np.int64(raw[b + 4])
        overflow = y == _OVERFLOW_Y
        step = onward(stamp, before, 23)
        if step < 0 or anchor >= 0:
            t, anchor_t, anchor = unwrap(t, stamp, before, anchor_t, anchor, 23)
        else:
            t += step
        t += overflow * _OVERFLOW
        before = stamp
        out[count, 0] = np.uint64(x | y << 16 | high >> 7 << 32)
        out[count, 1] = np.uint64(t)
        if len(where):
            where[count] = used
        count += not overflow
        used += 1
    state[:] = t, before, anchor_t, anchor
    return used, count


def decode_reference(raw: NDArray[np.uint8]) -> NDArray[np.void]:
    """Decode complete records, uint8 (5 · event,), without a kernel: dtype `EVENT`."""
    x, y, high, middle, low = raw.reshape(-1, 5).astype(np.int64).T
    stamp = (high & 127) << 16 | middle << 8 | low
    overflow = y == _OVERFLOW_Y
    t = unwrap_reference(stamp, 23, overflow * _OVERFLOW)
    events = np.zeros(len(x), EVENT)
    events["x"], events["y"], events["t"], events["p"] = x, y, t, high >> 7
    pixel_events: NDArray[np.void] = events[~overflow]
    return pixel_events


class _Decoder(ByteDecoder):
    record, initial_state, camera_clock = 5, (0, -1, 0, -1), False

    def decode(
        self, raw: NDArray[np.uint8], out: Words, where: NDArray[np.int64], state: NDArray[np.int64]
    ) -> tuple[int, int]:
        return _decode(raw, out, where, state)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Nmnist(EventFormat):
    """N-MNIST's .bin: a sensor of 34 × 34 pixels, time stamps from the recording's start."""

    name: ClassVar[str] = "nmnist"
    title: ClassVar[str] = "N-MNIST .bin"
    extensions: ClassVar[tuple[str, ...]] = (".bin",)
    size: ClassVar[tuple[int, int]] = (34, 34)
    size_hint: ClassVar[str] = "pass format='ncaltech101' if the recording is of N-Caltech101, 240 × 180"

    @classmethod
    def matches(cls, head: bytes) -> bool | None:
        """Return False for text, else None: any five bytes can be an event."""
        return False if is_text(head) else None

    def decoder(self, file: InputFile) -> Decoder:
        """Return a decoder; there is no header."""
        decoder = _Decoder(file, 0)
        decoder.size, decoder.size_hint = self.size, self.size_hint
        return decoder


@dataclass(frozen=True)
class NCaltech101(Nmnist):
    """N-Caltech101's .bin: N-MNIST's layout, a sensor of 240 × 180 pixels; must be named, as content cannot tell."""

    name: ClassVar[str] = "ncaltech101"
    title: ClassVar[str] = "N-Caltech101 .bin"
    extensions: ClassVar[tuple[str, ...]] = ()
    size: ClassVar[tuple[int, int]] = (240, 180)
    size_hint: ClassVar[str] = ""
