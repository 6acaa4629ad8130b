"""AEDAT 4, iniVation DV's format: a line of text, a header, then compressed FlatBuffer packets, each of one stream.

The header (``IOHE``) has the compression, where the packets end, and XML that describes each stream. A packet has its
stream's number and its size in 4 bytes each. A packet of events (``EVTS``) is a vector of t (8 bytes, µs), x and y (2
bytes each, signed), p (1 byte) and 3 bytes of padding: except for the order, `EVENT`.
Source: https://docs.inivation.com/software/software-advanced-usage/file-formats/aedat-4.0.html
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, ClassVar
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from ..config import Meta
from ..data import EVENT
from ..errors import CapabilityError, DataError
from ..input_files import InputFile
from . import decompression
from .aedat4_writer import Aedat4Writer
from .base import Decoder, EventFormat, as_words
from .chunks import Chunk, PacketDecoder
from .decompression import Decompress
from .flatbuffer import Table
from .writer import EventWriter

_SIGNATURE = b"#!AER-DAT4.0\r\n"
_PACKET = struct.Struct("<ii")
_EVENT = 16  # bytes

_COPIES = 3  # of a packet's content while it is decoded: the events, and x and y in 64 bits
_MAX_HEADER = 1 << 24  # bytes: real ones have some thousands

# name, package and function of the header's compression numbers
_LZ4 = "LZ4", "lz4", decompression.lz4
_ZSTANDARD = "Zstandard", "zstandard", decompression.zstandard
_COMPRESSIONS = {1: _LZ4, 2: _LZ4, 3: _ZSTANDARD, 4: _ZSTANDARD}


def _decompressor(compression: int, path: Path) -> Decompress:
    """Return the decompression of the header's compression number: 0 none, 1 and 2 LZ4, 3 and 4 Zstandard."""
    if compression == 0:
        return decompression.plain
    if compression not in _COMPRESSIONS:
        raise DataError(f"{path} has compression {compression}", "0 to 4", "Save it with LZ4, with DV.")
    title, package, decompress = _COMPRESSIONS[compression]
    try:
        import_module(package)
    except ImportError as error:
        raise CapabilityError(
            f"{path} is compressed with {title}, and {package} is not installed",
            "",
            "Install spikeprep[events].",
        ) from error
    return decompress


def decode_packet(data: bytes) -> tuple[NDArray[np.void], NDArray[np.int64], NDArray[np.int64]]:
    """Decode a packet's FlatBuffer: events of dtype `EVENT`, and their signed x and y, int64 (event,) each."""
    at, count = Table.root(data, b"EVTS").vector(0, _EVENT)
    raw = np.frombuffer(data, "<u8", 2 * count, at).reshape(-1, 2)
    events = np.empty(count, EVENT)
    words = as_words(events)
    words[:, 0] = raw[:, 1] & np.uint64((1 << 40) - 1)  # x, y and p lie there as they do in EVENT
    words[:, 1] = raw[:, 0]
    x, y = (events[name].view(np.int16).astype(np.int64) for name in "xy")
    return events, x, y


class _Decoder(PacketDecoder[tuple[int, int]]):
    """A packet is (byte offset, size) of its content."""

    def __init__(self, file: InputFile, begin: int, end: int, stream: int, decompress: Decompress) -> None:
        self._begin, self._stream, self._decompress = begin, stream, decompress
        super().__init__(file)
        self._end = end if begin <= end <= self._length else self._length

    def packets(self) -> Iterator[tuple[int, int]]:
        return self._packets(self._begin)

    def chunks_from(self, place: int) -> Iterator[Chunk]:
        """Decode from the packet whose header is at this byte."""
        return map(self.read, self._packets(place))

    def _packets(self, at: int) -> Iterator[tuple[int, int]]:
        while at < self._end:
            header = self.header(at, _PACKET)
            if header is None:
                return
            stream, size = header
            if stream < 0 or size < 0:
                raise self._damaged(at, f"has stream {stream} and {size} bytes")
            at += _PACKET.size
            if size > self._end - at:
                self.cut = f"the packet at byte {at - _PACKET.size} has {self._end - at} of its {size} bytes"
                return
            if stream == self._stream:
                yield at, size
            at += size

    def _damaged(self, at: int, what: object) -> DataError:
        return DataError(
            f"{self.path}: the packet at byte {at} {what}",
            "a packet of events",
            "The file is damaged there: fetch it again, or cut it before this byte.",
        )

    def read(self, packet: tuple[int, int]) -> Chunk:
        at, size = packet
        limits, what = self.file.limits, f"{self.path}: the packet at byte {at - _PACKET.size}"
        limits.check_bytes(what, size * (1 + _COPIES))
        raw = self.bytes_at(at, size)
        try:
            content = decompression.expand(raw, self._decompress, _COPIES, limits, what)
            events, x, y = decode_packet(content)
        except DataError:
            raise
        except Exception as error:  # the errors of the compression libraries have no common class
            raise self._damaged(at - _PACKET.size, f"cannot be decoded ({error})") from error
        return Chunk(events, at - _PACKET.size, 0, {"x": x, "y": y}, at - _PACKET.size)

    def max_events(self) -> None:
        """Return None: only decompressing tells."""


@dataclass(frozen=True)
class Aedat4(EventFormat):
    """AEDAT 4 (.aedat4) of DVXplorer, DAVIS and others, uncompressed or compressed with LZ4 or Zstandard.

    Parameters
    ----------
    stream
        Number of the event stream to read; −1: the first one.
    """

    name: ClassVar[str] = "aedat4"
    title: ClassVar[str] = "AEDAT 4"
    writer: ClassVar[type[EventWriter] | None] = Aedat4Writer
    extensions: ClassVar[tuple[str, ...]] = (".aedat4",)
    begins: ClassVar[tuple[bytes, ...]] = (_SIGNATURE,)

    stream: Annotated[int, Meta(ge=-1, le=2**31 - 1)] = -1

    @classmethod
    def matches(cls, head: bytes) -> bool:
        """Return whether the first line is that of AEDAT 4.0."""
        return head.startswith(_SIGNATURE)

    def decoder(self, file: InputFile) -> Decoder:
        """Read the header; see `EventFormat.decoder`."""
        path, head = file.path, file.head(len(_SIGNATURE) + 4)
        try:
            size = struct.unpack_from("<I", head, len(_SIGNATURE))[0]
            if size > _MAX_HEADER:
                raise ValueError(f"it has {size:,} bytes, more than {_MAX_HEADER:,}")
            head = file.head(begin := len(_SIGNATURE) + 4 + size)
            table = Table.root(head[len(_SIGNATURE) :], b"IOHE")
            compression, end = table.scalar(0, "<i"), table.scalar(1, "<q", -1)
            streams = _streams(table.string(2))
        except (ValueError, struct.error, ElementTree.ParseError) as error:
            raise DataError(
                f"{path}: the header cannot be decoded ({error})", "a header of AEDAT 4", "Fetch it again."
            ) from error
        if (self.stream >= 0 and self.stream not in streams) or not streams:
            raise DataError(
                f"{path} has the event streams {sorted(streams) or 'none'}",
                f"stream {self.stream}" if self.stream >= 0 else "at least one",
                "Record the camera's events.",
            )
        number = self.stream if self.stream >= 0 else min(streams)
        decoder = _Decoder(file, begin, end, number, _decompressor(compression, path))
        decoder.size = streams[number]
        return decoder


def _streams(xml: str) -> dict[int, tuple[int, int] | None]:
    """Return the event streams of the header's XML: number → (width, height), None where it states no size."""
    if "<!" in xml:  # a DTD, whose entities could expand without a bound
        raise ValueError("its XML has a document type or a comment")
    streams: dict[int, tuple[int, int] | None] = {}
    for node in ElementTree.fromstring(xml.rstrip("\0\n ")).iterfind("./node[@name='outInfo']/node"):
        facts = {attr.get("key"): attr.text for attr in node.iter("attr")}
        if facts.get("typeIdentifier") == "EVTS":
            width, height = facts.get("sizeX"), facts.get("sizeY")
            streams[int(node.get("name", ""))] = (int(width), int(height)) if width and height else None
    return streams
