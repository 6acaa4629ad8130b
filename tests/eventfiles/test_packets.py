"""Packets of AEDAT 3.1 and 4: of other cameras and types, empty and damaged ones."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from spikeprep.errors import DataError
from spikeprep.eventfiles import ChangedEvents, outline, read

from . import writing
from .test_formats import FORMS, recording
from .writing import events_of

HEADER = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n"
SOME = events_of([3, 4, 5], [1, 2, 3], [1000, 2000, 3000], [1, 0, 1])


def put(tmp_path, name: str, raw: bytes):
    path = tmp_path / name
    path.write_bytes(raw)
    return path


def test_valid_events_of_one_camera_are_read(tmp_path):
    packets = [
        writing.aedat3_packet(SOME[:0]),
        writing.aedat3_packet(SOME, source=4, valid=[1, 0, 1]),
        writing.aedat3_packet(SOME, source=5),
        writing.aedat3_packet(SOME, kind=6, source=4),
        writing.aedat3_packet(SOME[:1], source=4, valid=0),
    ]
    path = put(tmp_path, "a.aedat", HEADER + b"".join(packets))
    events = read(path)
    assert (events.start, events.size) == (1000, (128, 128))
    assert events.array.tolist() == [(3, 1, 0, 1), (5, 3, 2000, 1)]
    assert outline(path).array.tolist() == [(5, 3, 2000, 1)]


def test_the_byte_offset_of_an_aedat3_event(tmp_path):
    events = SOME.copy()
    events["x"][2] = 200
    path = put(tmp_path, "a.aedat", HEADER + writing.aedat3_packet(SOME[:1]) + writing.aedat3_packet(events))
    with pytest.raises(DataError, match=rf"event 3 at byte {len(HEADER) + 28 + 8 + 28 + 16}: x 200, y 3"):
        read(path)


@pytest.mark.parametrize("field", [0, 2, 5])
def test_a_damaged_header_of_a_packet(tmp_path, field):
    numbers = list(struct.unpack_from("<hhiiiiii", writing.aedat3_packet(SOME)))
    numbers[field] = -1
    raw = HEADER + writing.aedat3_packet(SOME) + struct.pack("<hhiiiiii", *numbers)
    path = put(tmp_path, "a.aedat", raw)
    at = len(HEADER) + 28 + 24
    for invalid in ("fail", "drop"):
        with pytest.raises(DataError, match=f"the packet at byte {at} has type"):
            read(path, invalid=invalid)


def test_a_packet_of_aedat4_that_cannot_be_decoded(tmp_path):
    form = FORMS["aedat4 LZ4"]
    raw = bytearray(form.write(recording(form, 300)))
    at = raw.rindex(struct.pack("<I", 0x184D2204)) - 8  # LZ4's signature
    raw[at + 30 : at + 60] = bytes(30)
    path = put(tmp_path, "a.aedat4", bytes(raw))
    for invalid in ("fail", "clip"):
        with pytest.raises(DataError, match=rf"the packet at byte {at} cannot be decoded \("):
            read(path, invalid=invalid)


@pytest.mark.parametrize("size", [0, 3, 8, 11, 20, 40])
def test_packets_of_aedat4_that_are_too_short(tmp_path, size):
    packet = writing.aedat4_packet(SOME)[:size]
    raw = writing.aedat4_bytes(SOME) + struct.pack("<ii", 0, size) + packet
    path = put(tmp_path, "a.aedat4", raw)
    with pytest.raises(DataError, match=rf"the packet at byte {len(raw) - size - 8} cannot be decoded"):
        read(path)


@pytest.mark.parametrize("end", [20, 60, 300])
def test_a_truncated_header_of_aedat4(tmp_path, end):
    path = put(tmp_path, "a.aedat4", writing.aedat4_bytes(SOME)[:end])
    with pytest.raises(DataError, match="the header cannot be decoded"):
        read(path)


def test_a_stream_of_aedat4_is_chosen(tmp_path):
    path = put(tmp_path, "a.aedat4", writing.aedat4_bytes(SOME))
    assert len(read(path, stream=0).array) == 3
    with pytest.raises(DataError, match=r"has the event streams \[0\]; expected stream 1"):
        read(path, stream=1)
    path = put(tmp_path, "b.aedat4", writing.aedat4_bytes(SOME).replace(b">EVTS<", b">XXXX<"))
    with pytest.raises(DataError, match="has the event streams none; expected at least one"):
        read(path)


def test_data_after_the_packets_is_not_read(tmp_path):
    raw = writing.aedat4_bytes(SOME)
    table = struct.pack("<q", len(raw))
    raw = raw.replace(struct.pack("<q", -1), table, 1) + b"a table of the packets"
    assert len(read(put(tmp_path, "a.aedat4", raw)).array) == 3


def test_negative_coordinates_are_named(tmp_path):
    raw = bytearray(writing.aedat4_bytes(SOME))
    at = raw.rindex(struct.pack("<qhh", 2000, 4, 2))
    raw[at + 8 : at + 12] = struct.pack("<hh", -1, 500)
    path = put(tmp_path, "a.aedat4", bytes(raw))
    with pytest.raises(DataError, match=r"event 1 at byte \d+: x -1, y 500 lies off"):
        read(path)
    with pytest.warns(ChangedEvents):
        np.testing.assert_array_equal(read(path, invalid="clip").array[["x", "y"]].tolist()[1], (0, 259))
