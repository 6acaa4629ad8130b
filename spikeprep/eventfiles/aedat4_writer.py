"""Write AEDAT 4: see `spikeprep.eventfiles.aedat4` for the format.

Behind the packets is the table of them (``FTAB``): where each packet's content begins, its stream and size, the number
of its events, and the first and last stamp.
Source: https://gitlab.com/inivation/dv/dv-processing (`dv::io`), and files that DV has written.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import IO, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import CapabilityError
from .base import Words, as_words
from .flatbuffer import table_buffer
from .writer import EventWriter

_SIGNATURE = b"#!AER-DAT4.0\r\n"
_PACKET_US = 10_000
"""µs of the recording in one packet, as cameras write them: what plays a file shows a packet at a time."""
_FTAB_SLOTS = (
    4,
    36,
    12,
    20,
    28,
)  # offsets of ByteOffset, PacketInfo, NumElements, TimestampStart, TimestampEnd
_FTAB_ENTRY = 48  # bytes: a table's 44, padded
_PACKET = struct.Struct("<ii")  # stream, size

_XML = """<dv version="2.0">
    <node name="outInfo" path="/mainloop/Recorder/outInfo/">
        <node name="0" path="/mainloop/Recorder/outInfo/0/">
            <attr key="compression" type="string">{compression}</attr>
            <attr key="originalModuleName" type="string">spikeprep</attr>
            <attr key="originalOutputName" type="string">events</attr>
            <attr key="typeDescription" type="string">Array of events (polarity ON/OFF).</attr>
            <attr key="typeIdentifier" type="string">EVTS</attr>
            <node name="info" path="/mainloop/Recorder/outInfo/0/info/">
                <attr key="sizeX" type="int">{width}</attr>
                <attr key="sizeY" type="int">{height}</attr>
                <attr key="source" type="string">spikeprep</attr>
            </node>
        </node>
    </node>
</dv>
"""

Compression = Literal["lz4", "zstd", "none"]
_NUMBERS: dict[str, int] = {"none": 0, "lz4": 1, "zstd": 3}


@dataclass(frozen=True)
class Aedat4Writer(EventWriter):
    """AEDAT 4 (.aedat4): one stream of events; stamps are those of the recording's own clock, in 64 bits.

    Parameters
    ----------
    compression
        Of the packets; Zstandard is smaller and slower than LZ4. Other readers may know LZ4 alone.
    """

    name: ClassVar[str] = "aedat4"
    extensions: ClassVar[tuple[str, ...]] = (".aedat4",)
    most_side: ClassVar[int] = 1 << 15
    limit: ClassVar[str] = "AEDAT 4 has 15 bits for x and y"
    start_range: ClassVar[int | None] = None

    compression: Compression = "lz4"

    def write(
        self, file: IO[bytes], blocks: Iterator[NDArray[np.void]], size: tuple[int, int], start: int
    ) -> None:
        """Write header, packets and their table; see `EventWriter.write`."""
        compress = _compressor(self.compression)
        file.write(_SIGNATURE + self._header(size, -1))
        table = array("q")  # five numbers for each packet, see `_table`
        for block in blocks:
            words, stamps = as_words(block), block["t"] + start
            cuts = [0, *(np.flatnonzero(np.diff(stamps // _PACKET_US)) + 1).tolist(), len(block)]
            for first, last in pairwise(cuts):
                content = compress(_packet(words[first:last], start))
                file.write(_PACKET.pack(0, len(content)))
                entry = file.tell(), len(content), last - first, int(stamps[first]), int(stamps[last - 1])
                table.extend(entry)
                file.write(content)
        end = file.tell()
        file.write(compress(_table(table)))
        file.seek(len(_SIGNATURE))
        file.write(self._header(size, end))

    def _header(self, size: tuple[int, int], table: int) -> bytes:
        """Return the header with the byte of the table of packets; it has the same length with every byte."""
        xml = _XML.format(compression=self.compression.upper(), width=size[0], height=size[1]).encode()
        fields = ((1, struct.pack("<q", table)), (0, struct.pack("<i", _NUMBERS[self.compression])))
        return table_buffer(b"IOHE", fields, struct.pack("<I", len(xml)) + xml + b"\0")


def _packet(words: Words, start: int) -> memoryview:
    """Return the FlatBuffer of a packet of events: its table ends where the 16 bytes of each event begin."""
    size = len(words) * 16
    head = table_buffer(b"EVTS", (), struct.pack("<I", len(words)), size)
    content = np.empty((len(head) + size) // 8, "<u8")
    content[: len(head) // 8] = np.frombuffer(head, "<u8")
    rows = content[len(head) // 8 :].reshape(-1, 2)
    np.add(words[:, 1], np.uint64(start % 2**64), out=rows[:, 0])  # a negative one as its complement
    np.bitwise_and(words[:, 0], np.uint64((1 << 40) - 1), out=rows[:, 1])  # x, y and p lie there as in EVENT
    return content.data.cast("B")


def _table(numbers: array[int]) -> bytes:
    """Return the table of packets: (byte, size, events, first stamp, last stamp) of each.

    A vector of offsets, then tables that share one vtable, which lies between.
    """
    entries = np.frombuffer(numbers, np.int64).reshape(-1, 5)
    count = len(entries)
    vtable = struct.pack(f"<HH{len(_FTAB_SLOTS)}H", 4 + 2 * len(_FTAB_SLOTS), _FTAB_ENTRY - 4, *_FTAB_SLOTS)
    offsets_end = (
        4 + 4 * count
    )  # of the vector, whose first item is at a multiple of 8 from the buffer's beginning
    first = offsets_end + len(vtable)
    first += -first % 8  # a table begins with 4 bytes; behind them its numbers of 8 bytes are aligned
    rows = np.zeros(
        count,
        np.dtype(
            {
                "names": ["vtable", "byte", "events", "from", "to", "stream", "size"],
                "formats": ["<i4", "<i8", "<i8", "<i8", "<i8", "<i4", "<i4"],
                "offsets": [0, 4, 12, 20, 28, 36, 40],
                "itemsize": _FTAB_ENTRY,
            }
        ),
    )
    for name, values in zip(("byte", "size", "events", "from", "to"), entries.T, strict=True):
        rows[name] = values
    at = first + _FTAB_ENTRY * np.arange(count)
    rows["vtable"] = at - offsets_end
    offsets = (at - (4 + 4 * np.arange(count))).astype("<u4")
    tail = struct.pack("<I", count) + offsets.tobytes() + vtable
    return table_buffer(b"FTAB", (), tail.ljust(first, b"\0") + rows.tobytes())


def _compressor(compression: Compression) -> Callable[[bytes | memoryview], bytes]:
    try:
        if compression == "lz4":
            from lz4.frame import compress

            return compress  # type: ignore[no-any-return]
        if compression == "zstd":
            from zstandard import ZstdCompressor

            return ZstdCompressor().compress
    except ImportError as error:
        library = {"lz4": "lz4", "zstd": "zstandard"}[compression]
        raise CapabilityError(
            f"{library} is not installed",
            "it, to compress AEDAT 4",
            "Install spikeprep[events], or write without it: compression='none'.",
        ) from error
    return bytes
