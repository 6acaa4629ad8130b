"""Event Stream (.es), version 2, recordings of a DVS: a header of 20 bytes, then five bytes per event, little-endian.

Header: ``Event Stream``, version (3 bytes), type (1: DVS), width and height (2 bytes each). An event is a byte with the
µs since the event before in bits 7 to 1 and p in bit 0, then x and y in two bytes each. A byte 0xFF alone means that
127 µs passed; 0xFE alone marks a position from which decoding can start.
Source: https://github.com/neuromorphic-paris/event_stream
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._jit import jit
from ..data import EVENT
from ..errors import DataError
from ..input_files import InputFile
from .base import ByteDecoder, Decoder, EventFormat, Words

_SIGNATURE = b"Event Stream"
_KINDS = {0: "generic packets, not camera data", 2: "ATIS events", 3: "display events", 4: "colour events"}


@jit
def _decode(
    raw: NDArray[np.uint8], out: Words, where: NDArray[np.int64], state: NDArray[np.int64]
) -> tuple[int, int]:
    """Decode bytes, except those of an incomplete event at the end; `state` is (t,)."""
    t = state[0]
    count = used = 0
    while used < len(raw) and count < len(out):
        first = np.int64(raw[used])
        if first >= 0xFE:
            t += 127 * (first == 0xFF)
            used += 1
            continue
        if used + 5 > len(raw):
            break
        t += first >> 1
        x = np.int64(raw[used + 1]) | np.int64(raw[used + 2]) << 8
        y = np.int64(raw[used + 3]) | np.int64(raw[used + 4]) << 8
        out[count, 0] = np.uint64(x | y << 16 | (first & 1) << 32)
        out[count, 1] = np.uint64(t)
        if len(where):
            where[count] = used
        count += 1
        used += 5
    state[0] = t
    return used, count


def decode_reference(raw: bytes) -> NDArray[np.void]:
    """Decode the bytes after the header, one event at a time: dtype `EVENT`."""
    events = []
    t = at = 0
    while at < len(raw):
        if raw[at] >= 0xFE:
            t += 127 if raw[at] == 0xFF else 0
            at += 1
        elif len(event := raw[at : at + 5]) == 5:
            t += event[0] >> 1
            x, y = int.from_bytes(event[1:3], "little"), int.from_bytes(event[3:5], "little")
            events.append((x, y, t, event[0] & 1))
            at += 5
        else:
            break
    return np.array(events, EVENT)


class _Decoder(ByteDecoder):
    record = 1

    def decode(
        self, raw: NDArray[np.uint8], out: Words, where: NDArray[np.int64], state: NDArray[np.int64]
    ) -> tuple[int, int]:
        return _decode(raw, out, where, state)  # type: ignore[no-any-return]

    def max_events(self) -> int:
        """Return the number of events if there are no other bytes."""
        return (self._end - self._begin) // 5

    def incomplete_end(self) -> str:
        """Return how many bytes of an incomplete event are at the end."""
        if left := self._high - self._low:
            return f"the event at byte {self._at + self._low} has {left} of its 5 bytes"
        return ""


@dataclass(frozen=True)
class EventStream(EventFormat):
    """Event Stream (.es) of a DVS; y is that of the file, which counts from the bottom.

    Parameters
    ----------
    flip_y
        Whether to count y from the top, as the other formats do.
    """

    name: ClassVar[str] = "es"
    title: ClassVar[str] = "Event Stream .es"
    extensions: ClassVar[tuple[str, ...]] = (".es",)
    begins: ClassVar[tuple[bytes, ...]] = (_SIGNATURE,)

    flip_y: bool = False

    @classmethod
    def matches(cls, head: bytes) -> bool:
        """Return whether the file begins with ``Event Stream``."""
        return head.startswith(_SIGNATURE)

    def decoder(self, file: InputFile) -> Decoder:
        """Read the header; see `EventFormat.decoder`."""
        path, head = file.path, file.head(20)
        if len(head) >= 16 and head[12] != 2:
            raise DataError(
                f"{path} has version {head[12]}.{head[13]}.{head[14]}",
                "2",
                "Convert it with its publisher's tools.",
            )
        if len(head) >= 16 and head[15] != 1:
            raise DataError(
                f"{path} holds {_KINDS.get(head[15], f'type {head[15]}')} (byte 15)",
                "type 1, events of a DVS",
                "Export the recording as events of a DVS.",
            )
        if len(head) < 20:
            raise DataError(
                f"{path} is truncated: {len(head)} bytes", "a header of 20 bytes", "Fetch it again."
            )
        decoder = _Decoder(file, 20)
        decoder.size = int.from_bytes(head[16:18], "little"), int.from_bytes(head[18:20], "little")
        decoder.flip_y = self.flip_y
        return decoder
