"""AEDAT 3.1, cAER's format: lines of text, then packets of events of one type, little-endian.

A packet's header has 28 bytes: type and source (2 bytes each); then, in 4 bytes each, an event's size, where its stamp
is, the upper bits of the stamps, and how many events fit, are present, and are valid. Type 1 are pixel events: a word
with the event's validity in bit 0, p in bit 1, y in bits 2 to 16, x in 17 to 31; then 31 bits of t, in µs.
Source: https://docs.inivation.com/software/software-advanced-usage/file-formats/aedat-3.1.html
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..data import EVENT
from ..errors import DataError
from ..input_files import InputFile
from .base import Decoder, EventFormat
from .cameras import CAMERAS, camera_in
from .chunks import Chunk, PacketDecoder

_SIGNATURE, _END = b"#!AER-DAT3.1", b"#!END-HEADER\r\n"
_HEADER = struct.Struct("<hhiiiiii")
_POLARITY, _RECORD = 1, 8
_AT_ONCE = 1 << 18  # events of a packet that are decoded at once


def decode_packet(raw: NDArray[np.uint8], overflow: int) -> NDArray[np.void]:
    """Decode a packet's polarity events, uint8 (8 · event,): dtype `EVENT`, only those marked as valid."""
    word, stamp = raw.view("<u4").reshape(-1, 2).T
    events = np.zeros(len(word), EVENT)
    events["x"], events["y"], events["p"] = word >> 17, word >> 2 & 0x7FFF, word >> 1 & 1
    events["t"] = stamp.astype(np.int64) + (overflow << 31)
    valid: NDArray[np.void] = events if (word & 1).all() else events[word & 1 == 1]
    return valid


class _Packet(NamedTuple):
    at: int  # byte offset of its first event
    events: int
    overflow: int
    first: int  # events before it in the packet: many are decoded a part at a time


class _Decoder(PacketDecoder[_Packet]):
    def __init__(self, file: InputFile, begin: int) -> None:
        self._begin = begin
        self._source: int | None = None  # the camera: that of the first packet
        super().__init__(file)

    @cached_property
    def _table(self) -> array[int]:
        """The fields of every packet, one after the other; no more memory than the packets take in the file."""
        return array("q", (n for packet in self._headers(self._begin) for n in packet))

    def _headers(self, at: int) -> Iterator[_Packet]:
        end = self._length
        while at < end:
            header = self.header(at, _HEADER)
            if header is None:
                return
            kind, origin, size, _, overflow, capacity, count, _ = header
            if (
                kind < 0
                or size <= 0
                or not 0 <= count <= capacity
                or overflow < 0
                or (kind == _POLARITY and size != _RECORD)
            ):
                raise DataError(
                    f"{self.path}: the packet at byte {at} has type {kind}, "
                    f"{count} of {capacity} events of {size} bytes",
                    "a packet's header of AEDAT 3.1",
                    "The file is damaged before this byte: cut it there, or fetch it again.",
                )
            at += _HEADER.size
            complete = min(count, (end - at) // size)
            if capacity * size > end - at:
                left = f"{end - at} of its {capacity * size} bytes of events"
                self.cut = f"the packet at byte {at - _HEADER.size} has {left}"
            if kind == _POLARITY and complete and self._source in (None, origin):
                self._source = origin
                for first in range(0, complete, _AT_ONCE):
                    part = min(_AT_ONCE, complete - first)
                    yield _Packet(at + first * _RECORD, part, overflow, first)
            at += capacity * size

    def packets(self) -> Iterator[_Packet]:
        fields = len(_Packet._fields)
        return (_Packet(*self._table[n : n + fields]) for n in range(0, len(self._table), fields))

    def chunks_from(self, place: tuple[int, int, int | None]) -> Iterator[Chunk]:
        """Decode from a packet on; a place is the byte offsets of its header and first event, and the camera."""
        header, first, self._source = place
        return map(self.read, (packet for packet in self._headers(header) if packet.at >= first))

    def read(self, packet: _Packet) -> Chunk:
        raw = np.frombuffer(self.bytes_at(packet.at, packet.events * _RECORD), np.uint8)
        events = decode_packet(raw, packet.overflow)
        # where some events are not valid, the offset of the others is the packet's
        stride = _RECORD if len(events) == packet.events else 0
        header = packet.at - packet.first * _RECORD - _HEADER.size
        return Chunk(events, packet.at, stride, place=(header, packet.at, self._source))

    def max_events(self) -> int:
        return sum(self._table[1 :: len(_Packet._fields)])


@dataclass(frozen=True)
class Aedat3(EventFormat):
    """AEDAT 3.1 (.aedat), such as DVS128 Gesture; of several cameras in a file the first one is read."""

    name: ClassVar[str] = "aedat3"
    title: ClassVar[str] = "AEDAT 3.1"
    extensions: ClassVar[tuple[str, ...]] = (".aedat",)
    begins: ClassVar[tuple[bytes, ...]] = (_SIGNATURE,)

    @classmethod
    def matches(cls, head: bytes) -> bool:
        """Return whether the first line is that of AEDAT 3.1."""
        return head.startswith(_SIGNATURE)

    def decoder(self, file: InputFile) -> Decoder:
        """Read the header; see `EventFormat.decoder`."""
        path, head = file.path, file.head(1 << 20)
        header, end, _ = head.partition(_END)
        if not (head.startswith(_SIGNATURE) and end):
            raise DataError(
                f"{path} has no header of AEDAT 3.1",
                "lines from '#!AER-DAT3.1' to '#!END-HEADER'",
                "Fetch it again.",
            )
        lines = header.decode("latin-1").split("\r\n")
        parts = (line[1:].partition(": ") for line in lines)
        fields = {key: value for key, colon, value in parts if colon}
        form = fields.get("Format", "RAW").strip()
        if form != "RAW":
            raise DataError(
                f"{path} is compressed: Format {form}", "RAW", "Save it uncompressed, with cAER or DV."
            )
        camera = camera_in(next((value for key, value in fields.items() if key.startswith("Source")), ""))
        decoder = _Decoder(file, len(header) + len(end))
        decoder.size = CAMERAS[camera][1] if camera else None
        return decoder
