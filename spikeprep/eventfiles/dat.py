"""Prophesee's and Chronocam's .dat: lines of ``% key value``, two bytes, then eight bytes per event, little-endian.

The two bytes are the events' type (0 or 12: pixel events) and size (8). An event is t in µs, 32 bits, and a word:

| version | x | y | p |
| --- | --- | --- | --- |
| 2 | bits 0 to 13 | 14 to 27 | 28 to 31 |
| 1 | bits 0 to 8 | 9 to 16 | 17 |

t counts from the recording's start, in a part cut out of a longer one from that one's, and wraps after 71.6 minutes.
Source: https://docs.prophesee.ai/stable/data/file_formats/dat.html
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
from .dat_writer import DatWriter
from .kernels import onward, unwrap, unwrap_reference
from .prophesee import header_of, sensor_of
from .writer import EventWriter

# x mask, y's lowest bit and mask, p's lowest bit and mask
LAYOUTS = {1: (0x1FF, 9, 0xFF, 17, 1), 2: (0x3FFF, 14, 0x3FFF, 28, 15)}


@jit
def _decode(
    words: NDArray[np.uint64],
    out: Words,
    where: NDArray[np.int64],
    state: NDArray[np.int64],
    layout: NDArray[np.int64],
) -> tuple[int, int]:
    """Decode pairs of stamp and word; `state` is (t, stamp of the last pair or −1, and `unwrap`'s anchor)."""
    x_mask, y_at, y_mask, p_at, p_mask = layout
    t, before, anchor_t, anchor = state
    count = min(len(words), len(out))
    if before < 0 and count:
        before = np.int64(words[0] & np.uint64(0xFFFFFFFF))
        t += before
    # first as if no stamp were before the one ahead of it, without a branch; then, if one was, again
    begin_t, begin_before, back = t, before, anchor >= 0
    for n in range(count):
        stamp, word = np.int64(words[n] & np.uint64(0xFFFFFFFF)), np.int64(words[n] >> np.uint64(32))
        step = onward(stamp, before, 32)
        back |= step < 0
        t += step
        before = stamp
        out[n, 0] = np.uint64(word & x_mask | (word >> y_at & y_mask) << 16 | (word >> p_at & p_mask) << 32)
        out[n, 1] = np.uint64(t)
        if len(where):
            where[n] = n
    if back:
        t, before = begin_t, begin_before
        for n in range(count):
            stamp = np.int64(words[n] & np.uint64(0xFFFFFFFF))
            t, anchor_t, anchor = unwrap(t, stamp, before, anchor_t, anchor, 32)
            before = stamp
            out[n, 1] = np.uint64(t)
    state[:] = t, before, anchor_t, anchor
    return count, count


def decode_reference(raw: NDArray[np.uint8], version: int = 2) -> NDArray[np.void]:
    """Decode complete records, uint8 (8 · event,), without a kernel: dtype `EVENT`."""
    stamp, word = raw.view("<u4").astype(np.int64).reshape(-1, 2).T
    x_mask, y_at, y_mask, p_at, p_mask = LAYOUTS[version]
    events = np.zeros(len(word), EVENT)
    events["x"], events["y"], events["p"] = word & x_mask, word >> y_at & y_mask, word >> p_at & p_mask
    events["t"] = unwrap_reference(stamp, 32)
    return events


class _Decoder(ByteDecoder):
    record, initial_state = 8, (0, -1, 0, -1)
    layout: NDArray[np.int64]

    def decode(
        self, raw: NDArray[np.uint8], out: Words, where: NDArray[np.int64], state: NDArray[np.int64]
    ) -> tuple[int, int]:
        return _decode(raw.view(np.uint64), out, where, state, self.layout)  # type: ignore[no-any-return]

    def raw_field(self, name: str, events: NDArray[np.void]) -> NDArray[np.int64]:
        values = super().raw_field(name, events)
        return np.where(values == 15, -1, values) if name == "p" else values  # −1 in 4 bits


@dataclass(frozen=True)
class Dat(EventFormat):
    """Prophesee's .dat; old headers state no sensor size: it is then 304 × 240, that of the cameras of that time."""

    name: ClassVar[str] = "dat"
    title: ClassVar[str] = "Prophesee .dat"
    writer: ClassVar[type[EventWriter] | None] = DatWriter
    extensions: ClassVar[tuple[str, ...]] = (".dat",)
    begins: ClassVar[tuple[bytes, ...]] = (b"%",)

    @classmethod
    def matches(cls, head: bytes) -> bool:
        """Return whether the file begins with lines of ``%`` that have a version and no encoding, as .raw files do."""
        fields, length = header_of(head)
        return length > 0 and "version" in fields and "evt" not in fields

    def decoder(self, file: InputFile) -> Decoder:
        """Read the header; see `EventFormat.decoder`."""
        path, head = file.path, file.head(1 << 16)
        fields, length = header_of(head)
        version = fields.get("version", "2")
        if version not in ("1", "2"):
            raise DataError(
                f"{path} has version {version}", "1 or 2", "Convert it with its publisher's tools."
            )
        kind = tuple(head[length : length + 2])
        if kind not in ((0, 8), (12, 8)):
            raise DataError(
                f"{path} has events of type and size {kind or 'nothing'} (byte {length})",
                "type 0 or 12 and 8 bytes, pixel events",
                "Export the pixel events (CD) from the recording.",
            )
        decoder = _Decoder(file, length + 2)
        decoder.layout = np.array(LAYOUTS[int(version)])
        decoder.size = sensor_of(fields) or (304, 240)
        return decoder
