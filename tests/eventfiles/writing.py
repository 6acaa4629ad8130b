"""Small recordings, written from each format's published description; benchmarks write larger ones with them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeprep.data import EVENT

Array = NDArray[Any]


def events_of(x: Any, y: Any, t: Any, p: Any) -> Array:
    """Return an array of dtype `EVENT`."""
    events = np.zeros(len(t), EVENT)
    events["x"], events["y"], events["t"], events["p"] = x, y, t, p
    return events


def fields(events: Array) -> tuple[Array, Array, Array, Array]:
    """Return x, y, t, p as int64."""
    return tuple(events[name].astype(np.int64) for name in "xytp")  # type: ignore[return-value]


def nmnist_bytes(events: Array) -> bytes:
    """Five bytes per event: x, y, then p in the top bit of a 24-bit big-endian word whose other bits are t."""
    x, y, t, p = fields(events)
    t = t % 2**23
    return np.stack([x, y, p << 7 | t >> 16, t >> 8 & 255, t & 255], axis=1).astype(np.uint8).tobytes()


def aedat2_bytes(events: Array, camera: str = "DAVIS240C") -> bytes:
    """Big-endian pairs of address and stamp after lines of text."""
    x, y, t, p = fields(events)
    address = y << 22 | x << 12 | p << 11 if "DAVIS" in camera else y << 8 | x << 1 | (1 - p)
    header = f"#!AER-DAT2.0\r\n# a comment\r\n# AEChip: eu.seebetter.ini.chips.davis.{camera}\r\n"
    pairs = np.stack([address, t % 2**32], axis=1).astype(">u4")
    return header.encode() + b"#End Of ASCII Header\r\n" + pairs.tobytes()


def aedat3_packet(events: Array, kind: int = 1, source: int = 1, valid: Any = 1) -> bytes:
    """A packet of one source; stamps of 31 bits, with the upper bits in the packet's header."""
    x, y, t, p = fields(events)
    word = x << 17 | y << 2 | p << 1 | np.asarray(valid, np.int64)
    count, overflow = len(events), int(t[0] >> 31) if len(t) else 0
    header = struct.pack("<hhiiiiii", kind, source, 8, 4, overflow, count, count, count)
    return header + np.stack([word, t & 0x7FFFFFFF], axis=1).astype("<u4").tobytes()


def aedat3_bytes(events: Array, each: int = 100, source: str = "DVS128") -> bytes:
    """Packets of up to `each` events, whose stamps share the bits above 31."""
    header = (
        f"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: {source}\r\n#Start-Time: 2016-06-20\r\n#!END-HEADER\r\n"
    )
    cuts = np.flatnonzero(np.diff(events["t"] >> 31)) + 1
    packets = [
        aedat3_packet(part[n : n + each])
        for part in np.split(events, cuts)
        for n in range(0, len(part), each)
    ]
    special = struct.pack("<hhiiiiii", 0, 1, 8, 4, 0, 1, 1, 1) + bytes(8)
    return header.encode() + special + b"".join(packets)


def _flatbuffer(mark: bytes, slots: Sequence[tuple[int, bytes]], vtable_size: int, tail: bytes) -> bytes:
    """A size-prefixed buffer: root offset, identifier, vtable, table; `slots` are (offset in the table, bytes)."""
    offsets = [0] * vtable_size
    table = bytearray(4)
    for slot, value in slots:
        offsets[slot] = len(table)
        table += value
    vtable = struct.pack(f"<HH{vtable_size}H", 4 + 2 * vtable_size, len(table), *offsets)
    vtable += bytes(-len(vtable) % 4)
    at = 8 + len(vtable)  # of the table, from the root offset on
    table[:4] = struct.pack("<i", len(vtable))
    body = struct.pack("<I", at) + mark + vtable + bytes(table) + tail
    return struct.pack("<I", len(body)) + body


def aedat4_packet(events: Array) -> bytes:
    """A FlatBuffer of events: a table with one vector of 16-byte structs."""
    x, y, t, p = fields(events)
    rows = np.zeros(len(t), np.dtype({"names": ["t", "x", "y", "p"], "formats": ["<i8", "<i2", "<i2", "u1"],
                                      "offsets": [0, 8, 10, 12], "itemsize": 16}))  # fmt: skip
    rows["t"], rows["x"], rows["y"], rows["p"] = t, x, y, p
    vector = struct.pack("<I", len(t)) + rows.tobytes()
    return _flatbuffer(b"EVTS", [(0, struct.pack("<I", 4))], 1, vector)


def aedat4_bytes(
    events: Array,
    each: int = 100,
    size: tuple[int, int] = (346, 260),
    compression: int = 0,
    compress: Callable[[bytes], bytes] = bytes,
) -> bytes:
    """Packets of up to `each` events in stream 0, among packets of other streams."""
    attr = '<attr key="{}" type="{}">{}</attr>'.format
    info = attr("sizeX", "int", size[0]) + attr("sizeY", "int", size[1])
    nodes = "".join(
        f'<node name="{n}" path="/{n}/">{attr("typeIdentifier", "string", kind)}<node name="info">{info}</node></node>'
        for n, kind in ((0, "EVTS"), (1, "FRME"), (2, "IMUS"))
    )
    xml = f'<dv version="2.0"><node name="outInfo" path="/mainloop/">{nodes}</node></dv>\n'.encode()
    text = struct.pack("<I", len(xml)) + xml + b"\0"
    slots = [(1, struct.pack("<q", -1)), (0, struct.pack("<i", compression)), (2, struct.pack("<I", 4))]
    out = [b"#!AER-DAT4.0\r\n", _flatbuffer(b"IOHE", slots, 3, text)]
    for n in range(0, len(events), each):
        for stream, packet in ((2, b"of another kind"), (0, compress(aedat4_packet(events[n : n + each])))):
            out += [struct.pack("<ii", stream, len(packet)), packet]
    return b"".join(out)


def evt2_bytes(events: Array, header: str = "% evt 2.0\n% geometry 640x480\n% end\n") -> bytes:
    """A word per event, a TIME_HIGH before the first of every 64 µs, and some triggers and vendor words."""
    x, y, t, p = fields(events)
    high = t >> 6
    new = np.diff(high, prepend=high[:1] - 1) != 0
    at = np.arange(len(t)) + np.cumsum(new)
    words = np.zeros(len(t) + int(new.sum()), np.uint32)
    words[at] = p << 28 | (t & 63) << 22 | x << 11 | y
    words[at[new] - 1] = 8 << 28 | high[new] & 0xFFFFFFF
    other = np.array([0xA0000001, 0xE0000000, 0xF0001234], np.uint32)
    return header.encode() + np.concatenate([words, other]).astype("<u4").tobytes()


EVT21_HEADER = "% evt 2.1\n% format EVT21;height=720;width=1280\n% end\n"


def evt21_bytes(events: Array, header: str = EVT21_HEADER, upper_first: bool = False) -> bytes:
    """A word per row of up to 32 pixels with one time and polarity, a TIME_HIGH before the first of every 64 µs."""
    words: list[int] = []
    high: int | None = None
    for x, y, t, p in zip(*(field.tolist() for field in fields(events)), strict=True):
        if t >> 6 != high:
            high = t >> 6
            words.append(8 << 60 | (high & 0xFFFFFFF) << 32)
        upper = p << 60 | (t & 63) << 54 | (x & ~31) << 43 | y << 32
        # a vector lists its events from the lowest x on
        if words[-1] >> 32 == upper >> 32 and words[-1] & 0xFFFFFFFF < 1 << (x & 31):
            words[-1] |= 1 << (x & 31)
        else:
            words.append(upper | 1 << (x & 31))
    other = [0xA << 60 | 1 << 40, 0xE << 60 | 5]
    raw = np.array([*words, *other], np.uint64).astype("<u8")
    if not upper_first:
        return header.encode() + raw.tobytes()
    header = header.replace("width=1280", "width=1280;endianness=legacy")
    return header.encode() + raw.view("<u4").reshape(-1, 2)[:, ::-1].tobytes()


EVT4_HEADER = "% evt 4.0\n% format EVT4;height=720;width=1280\n% end\n"


def evt4_bytes(events: Array, header: str = EVT4_HEADER, vectors: bool = False) -> bytes:
    """A word per event, or one and a mask per row of up to 32 pixels with one time and polarity; other words between.

    A TIME_HIGH is before the first of every 64 µs.
    """
    words: list[int] = []
    high = vector = -1
    for x, y, t, p in zip(*(field.tolist() for field in fields(events)), strict=True):
        if t >> 6 != high:
            high = t >> 6
            words += [0xFFFFFFFF, 0xE << 28 | high & 0xFFFFFFF, 0x9 << 28 | 1]
            vector = -1
        word = (0xA | p) << 28 | (t & 63) << 22 | x << 11 | y
        if not vectors:
            words.append(word)
            continue
        word = (0xC | p) << 28 | (t & 63) << 22 | (x & ~31) << 11 | y
        # a mask lists its events from the lowest x on
        if vector == word and words[-1] < 1 << (x & 31):
            words[-1] |= 1 << (x & 31)
        else:
            words += [word, 1 << (x & 31)]
            vector = word
    other = [0x6 << 28 | 0x14 << 16, 0x7 << 28 | 5, 3 << 28]
    return header.encode() + np.array([*words, *other], "<u4").tobytes()


EVT3_HEADER = "% evt 3.0\n% format EVT3;height=720;width=1280\n% end\n"


def evt3_bytes(events: Array, header: str = EVT3_HEADER) -> bytes:
    """A word of each type where its value changed, then ADDR_X; no vectors."""
    x, y, t, p = fields(events)
    high, low = t >> 12, t & 0xFFF
    new_high = np.diff(high, prepend=high[:1] - 1) != 0
    new_low = new_high | (np.diff(low, prepend=low[:1] - 1) != 0)
    new_y = np.diff(y, prepend=y[:1] - 1) != 0
    at = np.arange(len(t)) + np.cumsum(new_high) + np.cumsum(new_low) + np.cumsum(new_y)
    words = np.zeros(len(t) + int(new_high.sum() + new_low.sum() + new_y.sum()), np.uint16)
    words[at] = 2 << 12 | p << 11 | x
    words[at[new_y] - 1] = y[new_y]
    before = at - new_y
    words[before[new_low] - 1] = 6 << 12 | low[new_low]
    words[before[new_high] - 2] = 8 << 12 | high[new_high] & 0xFFF
    return header.encode() + words.astype("<u2").tobytes()


def evt3_vectors(events: Array, header: str = EVT3_HEADER) -> bytes:
    """The same recording with a vector wherever neighbours in a row, of one time and polarity, follow each other."""
    words: list[int] = []
    high = low = y = None
    rows = events.tolist()
    n = 0
    while n < len(rows):
        x, row, t, p = rows[n]
        if t >> 12 != high:
            high, low = t >> 12, 0
            words.append(8 << 12 | high & 0xFFF)
        if t & 0xFFF != low:
            low = t & 0xFFF
            words.append(6 << 12 | low)
        if row != y:
            y = row
            words.append(y)
        run = [x]
        while n + len(run) < len(rows):
            after = rows[n + len(run)]
            if after[1:] != (row, t, p) or not run[-1] < after[0] < x + 32:
                break
            run.append(after[0])
        n += len(run)
        if len(run) == 1:
            words.append(2 << 12 | p << 11 | x)
            continue
        bits = sum(1 << (v - x) for v in run)
        words += [3 << 12 | p << 11 | x, 4 << 12 | bits & 0xFFF]
        if bits >> 12:
            words += [4 << 12 | bits >> 12 & 0xFFF, 5 << 12 | bits >> 24]
    return header.encode() + np.array(words, "<u2").tobytes()


def dat_bytes(events: Array, version: int = 2, header: str = "") -> bytes:
    """Pairs of stamp and word after lines of text and two bytes."""
    x, y, t, p = fields(events)
    word = p << 28 | y << 14 | x if version == 2 else p << 17 | y << 9 | x
    text = f"% Data file containing CD events.\n% Version {version}\n{header}"
    return text.encode() + bytes([12, 8]) + np.stack([t % 2**32, word], axis=1).astype("<u4").tobytes()


def es_bytes(events: Array, size: tuple[int, int] = (304, 240)) -> bytes:
    """Five bytes per event, with 0xFF for every 127 µs that passed."""
    out = [b"Event Stream", bytes([2, 0, 0, 1]), struct.pack("<HH", *size)]
    before = 0
    for x, y, t, p in events.tolist():
        laps, step = divmod(t - before, 127)
        out += [b"\xff" * laps, struct.pack("<BHH", step << 1 | p, x, y)]
        before = t
    return b"".join(out)


_BAG_TYPES = {
    "Event": "uint16 x\nuint16 y\ntime ts\nbool polarity\n",
    "EventArray": "Header header\nuint32 height\nuint32 width\nEvent[] events\n",
}


def bag_file(
    path: Path,
    events: Array,
    topics: Sequence[str] = ("/dvs/events",),
    size: tuple[int, int] = (346, 260),
    compression: str = "",
    each: int = 70,
    package: str = "dvs_msgs",
) -> None:
    """A ROS 1 bag of messages of up to `each` events in each topic, among messages of text; t in µs."""
    from rosbags import rosbag1, typesys

    types = typesys.get_typestore(typesys.Stores.ROS1_NOETIC)
    for name, definition in _BAG_TYPES.items():
        types.register(typesys.get_types_from_msg(definition, f"{package}/msg/{name}"))
    x, y, t, p = fields(events)
    record = np.dtype([("x", "<u2"), ("y", "<u2"), ("s", "<u4"), ("ns", "<u4"), ("p", "u1")])
    rows = np.zeros(len(t), record)
    rows["x"], rows["y"], rows["p"], rows["s"], rows["ns"] = x, y, p, t // 10**6, t % 10**6 * 1000
    path.unlink(missing_ok=True)
    writer = rosbag1.Writer(path)
    if compression:
        writer.set_compression(getattr(writer.CompressionFormat, compression))
    with writer:
        text = writer.add_connection("/log", "std_msgs/msg/String", typestore=types)
        name = f"{package}/msg/EventArray"
        connections = [
            writer.add_connection(topic, name, typestore=types, callerid=f"/writer_{n}")
            for n, topic in enumerate(topics)
        ]
        for n in range(0, max(len(rows), 1), each):
            part = rows[n : n + each]
            stamp = int(t[n]) * 1000 if len(part) else 0
            head = struct.pack("<III", n, stamp // 10**9, stamp % 10**9) + struct.pack("<I", 3) + b"dvs"
            message = head + struct.pack("<III", size[1], size[0], len(part)) + part.tobytes()
            writer.write(text, stamp, struct.pack("<I", 2) + b"ok")
            for connection in connections:
                writer.write(connection, stamp, message)
