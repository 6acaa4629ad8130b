"""Recordings that are written: they read back equal, here and by other libraries, or are refused with the fix."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikeprep.data import EVENT, Events
from spikeprep.errors import CapabilityError, DataError, UsageError
from spikeprep.eventfiles import EventWriter, evt3, open_events, read, write
from spikeprep.eventfiles.base import BLOCK
from spikeprep.eventfiles.dat import Dat
from spikeprep.eventfiles.dat_writer import DatWriter
from spikeprep.eventfiles.evt3_writer import Evt3Writer
from spikeprep.eventfiles.flatbuffer import Table
from spikeprep.eventfiles.writing import writable_formats
from spikeprep.registry import EVENT_FORMATS
from spikeprep.testing import check_event_format

from ..assets import asset
from .test_formats import FORMS, recording
from .writing import events_of, fields

FORMATS = ("aedat4", "dat", "evt2", "evt3", "hdf5", "text")
CLOCKS = {
    "aedat4": 0,
    "evt2": 1 << 34,
    "evt3": 1 << 24,
}  # the stamps are those of the camera's clock, modulo this
SIDES = {"evt2": 2048, "evt3": 2048, "dat": 16384, "aedat4": 32768}
ANY = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def path_of(folder: Path, name: str) -> Path:
    return folder / f"recording{writable_formats()[name].extensions[0]}"


def clock(name: str, stamp: int) -> int:
    """Return what a file of the format keeps of a stamp of the recording's clock, in µs."""
    if name in ("aedat4", "hdf5"):
        return stamp
    return stamp % CLOCKS[name] if name in CLOCKS else 0


def same(got: np.ndarray, expected: np.ndarray) -> None:
    for field in "xypt":
        np.testing.assert_array_equal(got[field], expected[field])


def some(count: int = 500, size: tuple[int, int] = (640, 480), seed: int = 0) -> Events:
    """Return a recording with runs along rows, corners and equal times."""
    form = FORMS["evt3 vectors"]
    events = recording(form, count, seed)
    events["t"] -= events["t"][0]
    events["x"], events["y"] = events["x"] % size[0], events["y"] % size[1]
    return Events.of(events, size)


def test_every_format_that_is_written_is_tested():
    assert set(writable_formats()) == set(FORMATS)


@st.composite
def recordings(draw, most_t: int, side: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Random events: runs along rows, equal times, silence, all corners, or one pixel alone."""
    size = tuple(draw(st.sampled_from([1, 34, 346, side])) for _ in range(2))
    count = draw(st.integers(1, 300))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    gap = draw(st.sampled_from([0, 1, 5, 5000, 3 * 10**6, 10**8]))
    quiet = draw(st.sampled_from([0.0, 0.5, 0.95]))
    t = np.cumsum(rng.integers(0, gap + 1, count) * (rng.random(count) > quiet)) + draw(
        st.sampled_from([0, 7, 2 * 10**6])
    )
    t = np.minimum(t, most_t)
    x, y = rng.integers(0, size[0], count), rng.integers(0, size[1], count)
    p = rng.integers(0, 2, count)
    runs = draw(st.booleans())
    for n in range(1, count if runs else 0):
        if rng.random() < 0.9:  # a neighbour to the right, perhaps beyond the last column of another polarity
            step = x[n - 1] + rng.integers(1, 5)
            if step < size[0]:
                x[n], y[n], p[n], t[n:] = step, y[n - 1], p[n - 1], t[n:] - (t[n] - t[n - 1])
    return events_of(x, y, t, p), size


@ANY
@pytest.mark.parametrize("name", FORMATS)
@given(data=st.data())
def test_what_is_written_is_read(tmp_path, name, data):
    most_t = 2**32 - 1 if name == "dat" else 10**11
    events, size = data.draw(recordings(most_t, SIDES.get(name, 65535)))
    start = data.draw(st.sampled_from([0, 5, 2**24 - 3, 2**34 + 12345, 1_605_537_493_718_345, -3_000_000]))
    path = path_of(tmp_path, name)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=3)))
    pieces = np.split(events, cuts)
    written = write(path, Events(iter(pieces), size, start=start), format=name, overwrite=True)
    assert (written.path, written.format, written.events) == (path, name, len(events))
    assert written.bytes == path.stat().st_size
    # what t counts from is the first event where stamps are a clock's; otherwise it is asked for
    origin = "first" if name in CLOCKS else "stored"
    got = read(path, format=name, origin=origin, gaps=True)
    expected, first = events.copy(), 0
    if name in CLOCKS:
        first = int(events["t"][0])
        expected["t"] -= first
    same(got.array, expected)
    assert got.size == size
    assert got.start == clock(name, start + first)


@pytest.mark.parametrize("start", [0, 5, 1_605_537_493_718_345, -3_000_000])
@pytest.mark.parametrize("name", FORMATS)
def test_the_clock_is_kept_where_the_format_has_one(tmp_path, name, start):
    events = some()
    path = path_of(tmp_path, name)
    write(path, Events(events.pieces, events.size, start=start), format=name)
    got = read(path, format=name)
    same(got.array, events.array)
    assert got.start == clock(name, start)


@pytest.mark.parametrize("start", [2**53 + 1, 2**62 - 1, 2**62, -(2**62)])
@pytest.mark.parametrize("name", FORMATS)
def test_the_largest_clocks(tmp_path, name, start):
    """HDF5 keeps all of their bits; what is beyond is refused where it is written."""
    path, events = path_of(tmp_path, name), some()
    write(path, Events(events.pieces, events.size, start=start), format=name)
    got = read(path, format=name)
    same(got.array, events.array)
    assert got.start == clock(name, start)
    beyond = Events(events.pieces, events.size, start=start + (1 if start > 0 else -1) * 2**62)
    with pytest.raises(DataError, match="a number that fits into 62 bits"):
        write(path, beyond, format=name, overwrite=True)


@pytest.mark.parametrize("name", FORMATS)
def test_pieces_of_any_length_give_the_same_bytes(tmp_path, name):
    events = some(2 * BLOCK + 1234)
    path = path_of(tmp_path, name)
    contents = set()
    for pieces in (
        (events.array,),
        np.array_split(events.array, 7),
        [events.array[:1], events.array[1:1], events.array[1:]],
        [np.repeat(events.array, 2)[::2]],  # not contiguous
    ):
        write(path, Events(iter(pieces), events.size), format=name, overwrite=True)
        contents.add(path.read_bytes())
    assert len(contents) == 1
    same(read(path, format=name).array, events.array)


# ---------------------------------------------------------------- bytes, worked out by hand

THREE = events_of([5, 6, 300], [7, 7, 1], [4096 + 2, 4096 + 2, 3 * 4096], [1, 1, 0])
FOUR_IN_A_ROW = events_of([20, 21, 25, 33], [9] * 4, [1] * 4, [1] * 4)


def content(folder: Path, name: str, events: np.ndarray, size=(320, 240), **options: Any) -> bytes:
    path = path_of(folder, name)
    write(path, Events.of(events, size), format=name, overwrite=True, **options)
    return path.read_bytes()


def test_the_bytes_of_dat(tmp_path):
    header = b"% Data file containing CD events.\n% Version 2\n% Height 240\n% Width 320\n\x0c\x08"
    words = [4098, 5 | 7 << 14 | 1 << 28, 4098, 6 | 7 << 14 | 1 << 28, 12288, 300 | 1 << 14]
    assert content(tmp_path, "dat", THREE) == header + np.array(words, "<u4").tobytes()


def raw_header(encoding: str) -> bytes:
    return (
        f"% evt {encoding}\n% format EVT{encoding[0]};height=240;width=320\n% geometry 320x240\n"
        "% plugin_integrator_name Prophesee\n% plugin_name hal_plugin_prophesee\n% end\n"
    ).encode()


def test_the_bytes_of_evt2(tmp_path):
    words = [
        0x80000040,  # TIME_HIGH: 4096 / 64
        1 << 28 | 2 << 22 | 5 << 11 | 7,
        1 << 28 | 2 << 22 | 6 << 11 | 7,
        0x800000C0,
        300 << 11 | 1,
    ]
    assert content(tmp_path, "evt2", THREE) == raw_header("2.0") + np.array(words, "<u4").tobytes()


def test_the_bytes_of_evt3(tmp_path):
    # TIME_HIGH 1, TIME_LOW 2, row 7, x 5 ON, x 6 ON; TIME_HIGH 2 and 3, TIME_LOW 0, row 1, x 300 OFF
    words = [0x8001, 0x6002, 0x0007, 0x2805, 0x2806, 0x8002, 0x8003, 0x6000, 0x0001, 0x2000 | 300]
    assert content(tmp_path, "evt3", THREE) == raw_header("3.0") + np.array(words, "<u2").tobytes()
    # a vector from 20 on with bits 0, 1 and 5, then one from 32 on with bit 1
    words = [0x8000, 0x6001, 0x0009, 0x3800 | 20, 0x4000 | 0b100011, 0x4000 | 0b10]
    assert content(tmp_path, "evt3", FOUR_IN_A_ROW) == raw_header("3.0") + np.array(words, "<u2").tobytes()


def highs(raw: bytes, dtype: str, shift: int) -> np.ndarray:
    """Return the values of the words TIME_HIGH behind a header."""
    words = np.frombuffer(raw[raw.index(b"% end\n") + 6 :], dtype).astype(np.int64)
    return words[words >> shift == 8] & ((1 << shift) - 1)


@pytest.mark.parametrize("t", [[0, 3 * 2**24 + 5], [2**24 - 30_000, 2**24 + 30_000]])
def test_evt3_has_every_word_for_the_time_in_silence(tmp_path, t):
    """As cameras write them: Metavision counts a lap only where TIME_HIGH falls by at least 4095 − 10."""
    raw = content(tmp_path, "evt3", events_of([1, 1], [1, 1], t, [0, 0]))
    np.testing.assert_array_equal(highs(raw, "<u2", 12), np.arange(t[0] >> 12, (t[1] >> 12) + 1) % 4096)
    words = np.frombuffer(raw[len(raw_header("3.0")) :], "<u2")
    assert evt3.decode_reference(words)["t"].tolist() == t


def test_evt2_has_the_words_around_a_wrap(tmp_path):
    """Metavision counts a lap only where TIME_HIGH falls by at least 2²⁸ − 1 − 10; half a lap forward is one back."""
    last, step = 2**28 - 1, 2**26
    for t, expected in {
        (0, 1, 2**34 - 3000, 2**34 + 3000): [0, step, 2 * step, 3 * step, last - 46, last, 0, 46],
        (5, 2 * 2**34 + 64): [0, *[step, 2 * step, 3 * step, last, 0] * 2, 1],
        (2**34 - 1, 2**34): [last, 0],
        (2**34 - 7 * 64, 2**34 - 64): [last - 6, last],
    }.items():
        events = events_of([1] * len(t), [1] * len(t), list(t), [0] * len(t))
        raw = content(tmp_path, "evt2", events)
        assert highs(raw, "<u4", 28).tolist() == expected
        same(read(path_of(tmp_path, "evt2"), format="evt2", origin="stored", gaps=True).array, events)


def test_the_bytes_of_text(tmp_path):
    lines = "5,7,1,4098\n6,7,1,4098\n300,1,0,12288\n"
    assert content(tmp_path, "text", THREE).decode() == "%geometry:320,240\n%x,y,p,t_us\n" + lines
    named = content(tmp_path, "text", THREE, columns="txyp", names=True).decode()
    assert named.splitlines()[:3] == ["%geometry:320,240", "t_us,x,y,p", "4098,5,7,1"]


LARGEST = events_of([65534, 0], [65534, 0], [10**12 - 1, 10**12], [1, 0])


def test_the_largest_numbers_as_text(tmp_path):
    text = content(tmp_path, "text", LARGEST, (65535, 65535)).decode()
    assert text.splitlines()[2:] == ["65534,65534,1,999999999999", "0,0,0,1000000000000"]


def test_the_bytes_of_aedat4(tmp_path):
    raw = content(tmp_path, "aedat4", THREE, compression="none")
    assert raw.startswith(b"#!AER-DAT4.0\r\n")
    size = int.from_bytes(raw[14:18], "little")
    header = Table.root(raw[14 : 18 + size], b"IOHE")
    assert header.scalar(0, "<i") == 0
    table_at = header.scalar(1, "<q")
    at = 18 + size  # 4098 and 12288 µs are in different packets of 10 ms
    first, second = 32 + 2 * 16, 32 + 16
    packets = [(0, first), (0, second)]
    for (stream, length), rows in zip(packets, (THREE[:2], THREE[2:]), strict=True):
        assert raw[at : at + 8] == np.array([stream, length], "<i4").tobytes()
        content_ = raw[at + 8 : at + 8 + length]
        # size, root at 20 from byte 4, EVTS; a vtable of 6 bytes with one field at 4; its table; a vector
        head = np.array([length - 4, 16], "<u4").tobytes() + b"EVTS" + np.array([6, 8, 4, 0], "<u2").tobytes()
        head += np.array([8, 4, len(rows)], "<u4").tobytes()
        assert content_[:32] == head
        for n, (x, y, t, p) in enumerate(rows.tolist()):
            event = int(t).to_bytes(8, "little") + x.to_bytes(2, "little") + y.to_bytes(2, "little")
            assert content_[32 + 16 * n : 48 + 16 * n] == event + bytes([p, 0, 0, 0])
        at += 8 + length
    assert at == table_at
    table = Table.root(raw[table_at:], b"FTAB")
    begin, count = table.vector(0, 4)
    assert count == 2
    places = [18 + size + 8, 18 + size + 8 + first + 8]
    for n, rows in enumerate((THREE[:2], THREE[2:])):
        entry = Table(table.data, begin + 4 * n + int.from_bytes(table.data[begin + 4 * n :][:4], "little"))
        numbers = [entry.scalar(slot, "<q") for slot in (0, 2, 3, 4)]
        assert numbers == [places[n], len(rows), rows["t"][0], rows["t"][-1]]
        assert entry.scalar(1, "<q") == packets[n][1] << 32  # stream 0, and the size behind it


@pytest.mark.parametrize("identifier", [b"EVTS", b"FTAB"])
def test_numbers_of_eight_bytes_are_aligned_in_flatbuffers(tmp_path, identifier):
    """Verifiers of FlatBuffers refuse others."""
    raw = content(tmp_path, "aedat4", some(5000).array, (640, 480), compression="none")
    at = raw.index(identifier, raw.index(b"</dv>")) - 8
    buffer = raw[at:]
    begin, count = Table.root(buffer, identifier).vector(0, 4)
    assert begin % 8 == 0
    if identifier == b"FTAB":
        for n in range(count):
            table = begin + 4 * n + int.from_bytes(buffer[begin + 4 * n :][:4], "little")
            assert (table + 4) % 8 == 0
            assert Table(buffer, table).scalar(2, "<q") > 0


def test_hdf5_is_that_of_dsec_and_rvt(tmp_path):
    h5py = pytest.importorskip("h5py")
    events = some(BLOCK + 4321)
    path = tmp_path / "events.h5"
    write(path, Events(events.pieces, events.size, start=58_375_000_000))
    with h5py.File(path) as file:
        for name, dtype in {"x": "u2", "y": "u2", "t": "i8", "p": "u1"}.items():
            assert file[f"events/{name}"].dtype == dtype
            np.testing.assert_array_equal(file[f"events/{name}"], events.array[name])
        assert file["t_offset"][()] == 58_375_000_000
        assert (file["events/width"][()], file["events/height"][()]) == (640, 480)
        t, index = events.array["t"], file["ms_to_idx"][:]
    assert len(index) == t[-1] // 1000 + 1
    for ms, n in enumerate(index):  # DSEC's own definition
        assert t[n] >= 1000 * ms
        assert n == 0 or t[n - 1] < 1000 * ms


@pytest.mark.parametrize("count", [1, 2000, BLOCK, 2 * BLOCK - 1, 2 * BLOCK, 2 * BLOCK + 1, 300_000])
@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_hdf5_takes_the_room_of_its_events(tmp_path, count, compression):
    """Columns of 13 bytes per event and 8 per ms; without compression a last chunk is filled up, to 8192 rows."""
    h5py = pytest.importorskip("h5py")
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, 10**6, count))
    events = events_of(rng.integers(0, 640, count), rng.integers(0, 480, count), t, rng.integers(0, 2, count))
    path = tmp_path / "events.h5"
    written = write(path, Events.of(events, (640, 480)), compression=compression)
    same(read(path, origin="stored").array, events)
    data = 13 * count + 8 * (int(t[-1]) // 1000 + 1)
    filled_up = 13 * (-count % 8192) if compression == "none" and count >= 2 * BLOCK else 0
    assert written.bytes < data + filled_up + 20_000
    with h5py.File(path) as file:
        assert len(file["events/t"]) == count
        assert file["events/t"].attrs["units"] == "us"
        for name in ("events/x", "events/t", "ms_to_idx"):
            assert (file[name].chunks or (1,))[0] <= len(file[name])
            assert file[name].compression == ("gzip" if compression == "gzip" else None)


def test_compression_is_a_choice(tmp_path):
    for name, choices in {"aedat4": ("lz4", "zstd", "none"), "hdf5": ("gzip", "none")}.items():
        events = some(20_000)
        sizes = []
        for choice in choices:
            path = path_of(tmp_path, name)
            sizes.append(write(path, events, overwrite=True, compression=choice).bytes)
            same(read(path).array, events.array)
        assert max(sizes) == sizes[-1]
        assert len(set(sizes)) == len(choices)


# ---------------------------------------------------------------- what is refused

BAD = {
    "x": ({"x": 640}, r"event 3 has x 640, y \d+; expected x below 640 and y below 480"),
    "y": ({"y": 480}, r"event 3 has x \d+, y 480; expected x below 640 and y below 480"),
    "p": ({"p": 2}, r"event 3 has p 2; expected 0 \(OFF\) or 1 \(ON\)"),
    "p of −1": ({"p": 255}, r"event 3 has p 255; expected 0"),
    "unsorted": ({"t": 1}, r"event 3 has t 1 µs; expected at least 200 µs, .*Sort the events"),
    "negative": ({"t": -5}, r"event 3 has t -5 µs; expected at least 200 µs.*Events.start"),
    "too late": (
        {"t": 10**12 + 1},
        r"event 3 has t 1,000,000,000,001 µs, 12 days after the first event; expected at most",
    ),
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("name", FORMATS)
def test_an_event_that_none_should_have_is_refused(tmp_path, name, what):
    events = events_of(np.arange(10), np.arange(10), 100 * np.arange(10), [0, 1] * 5)
    changed, message = BAD[what]
    for field, value in changed.items():
        events[field][3] = value
    for pieces in ((events,), (events[:3], events[3:])):
        with pytest.raises(DataError, match=message):
            write(path_of(tmp_path, name), Events(pieces, (640, 480)), format=name)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", SIDES)
def test_a_sensor_that_the_fields_cannot_hold_is_refused(tmp_path, name):
    side = SIDES[name]
    corner = events_of([side - 1], [side - 1], [0], [1])
    same(
        read(write(path_of(tmp_path, name), Events.of(corner, (side, side)), format=name).path).array, corner
    )
    for size in ((side + 1, 10), (10, side + 1)):
        with pytest.raises(DataError, match=rf"sides up to {side:,}: .* bits.*Write HDF5") as caught:
            write(path_of(tmp_path, name), Events.of(corner, size), format=name, overwrite=True)
        assert "format='hdf5'" in caught.value.hint


def test_times_that_dat_cannot_hold_are_refused(tmp_path):
    path = tmp_path / "late.dat"
    last = events_of([0, 0], [0, 0], [2**31, 2**32 - 1], [0, 0])
    write(path, Events.of(last, (304, 240)))
    same(read(path, origin="stored", gaps=True).array, last)
    late = events_of([0, 0], [0, 0], [2**31, 2**32], [0, 0])
    with pytest.raises(
        DataError, match=r"event 1 has t 4,294,967,296 µs; expected at most 4,294,967,295.*AEDAT 4"
    ):
        write(path, Events.of(late, (304, 240)), overwrite=True)
    silent = events_of([0, 0], [0, 0], [1, 2**32 - 1], [0, 0])
    with pytest.raises(
        DataError, match=r"silent from t 1 to 4,294,967,295 µs; expected at most 4,026,531,839"
    ):
        write(path, Events.of(silent, (304, 240)), overwrite=True)
    silent["t"] = 1, 15 * 2**28
    write(path, Events.of(silent, (304, 240)), overwrite=True)
    same(read(path, origin="stored", gaps=True).array, silent)


@pytest.mark.parametrize("size", [(0, 10), (10, -1), (70_000, 10), (), None, "10x10"])
def test_a_sensor_without_a_size_is_refused(tmp_path, size):
    with pytest.raises(DataError, match=r"size|sensor"):
        write(tmp_path / "a.dat", Events(some().pieces, size))


@pytest.mark.parametrize(
    "piece", [np.zeros(3), np.zeros((2, 2), EVENT), "events", np.zeros(2, [("x", "<u2"), ("t", "<i8")])]
)
def test_a_piece_of_something_else_is_refused(tmp_path, piece):
    with pytest.raises(DataError, match=r"expected an array of spikeprep\.data\.EVENT"):
        write(tmp_path / "a.dat", Events((piece,), (10, 10)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", FORMATS)
def test_a_recording_without_events_is_refused(tmp_path, name):
    for pieces in ((), (np.empty(0, EVENT),)):
        with pytest.raises(DataError, match="would have no events"):
            write(path_of(tmp_path, name), Events(pieces, (10, 10)), format=name)
        assert list(tmp_path.iterdir()) == []


def test_a_format_has_to_be_known(tmp_path):
    with pytest.raises(
        UsageError, match=r"ending of no format that is written; expected \.aedat4 \(aedat4\)"
    ):
        write(tmp_path / "a.xyz", some())
    with pytest.raises(UsageError, match=r"ending of no format"):
        write(tmp_path / "a.npy", some())
    with pytest.raises(UsageError, match="numpy is read, but not written"):
        write(tmp_path / "a.npy", some(), format="numpy")
    with pytest.raises(UsageError, match=r"no event format 'evt9'\. Did you mean 'evt"):
        write(tmp_path / "a.raw", some(), format="evt9")
    with pytest.raises(UsageError, match=r"a\.dat ends like Prophesee \.dat, and evt3 is to be written"):
        write(tmp_path / "a.dat", some(), format="evt3")
    with pytest.raises(UsageError, match=r"a\.dat ends like Prophesee \.dat, and evt3 is to be written"):
        write(tmp_path / "a.dat", some(), format=Evt3Writer())
    with pytest.raises(UsageError, match="no setting 'colour'"):
        write(tmp_path / "a.dat", some(), colour="red")
    with pytest.raises(UsageError, match="compression"):
        write(tmp_path / "a.aedat4", some(), compression="rar")
    with pytest.raises(UsageError, match="x, y, p and t once each"):
        write(tmp_path / "a.csv", some(), columns="xyp")
    with pytest.raises(UsageError, match="beside a writer that is built"):
        write(tmp_path / "a.raw", some(), format=Evt3Writer(), compression="none")
    with pytest.raises(UsageError, match="a path of this machine"):
        write("s3://bucket/a.dat", some())
    with pytest.raises(UsageError, match="there is no folder"):
        write(tmp_path / "no" / "a.dat", some())
    assert list(tmp_path.iterdir()) == []


def test_the_ending_or_a_name_chooses_the_format(tmp_path):
    assert write(tmp_path / "a.RAW", some()).format == "evt3"
    assert write(tmp_path / "b.raw", some(), format="evt2").format == "evt2"
    assert write(tmp_path / "c.txt", some()).format == "text"
    assert write(tmp_path / "d.rec", some(), format="dat").format == "dat"  # the content decides
    assert write(tmp_path / "e.raw", some(), format=Evt3Writer()).format == "evt3"
    for path in tmp_path.iterdir():
        same(read(path).array, some().array)


# ---------------------------------------------------------------- whole, or not at all


def test_a_file_is_replaced_only_where_that_is_said(tmp_path):
    path = tmp_path / "a.dat"
    path.write_bytes(b"precious")
    with pytest.raises(UsageError, match="is there already"):
        write(path, some())
    assert path.read_bytes() == b"precious"
    write(path, some(), overwrite=True)
    same(read(path).array, some().array)
    (tmp_path / "b.dat").mkdir()
    with pytest.raises(UsageError, match="is no file"):
        write(tmp_path / "b.dat", some(), overwrite=True)
    (tmp_path / "c.dat").symlink_to(path)
    with pytest.raises(UsageError, match="is no file"):
        write(tmp_path / "c.dat", some(), overwrite=True)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("error", [KeyboardInterrupt, DataError("wrong")])
def test_an_interruption_leaves_what_was_there(tmp_path, name, error):
    path = path_of(tmp_path, name)
    path.write_bytes(b"precious")

    def pieces():
        yield some(BLOCK + 5).array
        raise error

    with pytest.raises(type(error) if isinstance(error, Exception) else error):
        write(path, Events(pieces(), (640, 480)), format=name, overwrite=True)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == b"precious"


@pytest.mark.parametrize("name", FORMATS)
def test_a_full_disk_is_said(tmp_path, name, monkeypatch):
    opened = Path.open

    class Full:
        def __init__(self, file: IO[bytes]) -> None:
            self._file, self._left = file, 20_000

        def write(self, data: Any) -> int:
            self._left -= len(data)
            if self._left < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return self._file.write(data)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *args: object) -> None:
            self._file.close()

    def full(path: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
        file = opened(path, mode, *args, **options)
        return Full(file) if ".partial" in path.name else file

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(CapabilityError, match=r"could not be written .No space left.*Free some space"):
        write(path_of(tmp_path, name), some(3 * BLOCK), format=name)
    assert list(tmp_path.iterdir()) == []


LIMITED = """
import resource, sys
import numpy as np
from spikeprep.data import EVENT, Events
from spikeprep.errors import CapabilityError
from spikeprep.eventfiles import write

resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
options = {} if sys.argv[2] != "hdf5" else {"compression": "none"}
try:
    write(sys.argv[1], Events.of(np.zeros(1 << 17, EVENT), (10, 10)), format=sys.argv[2], **options)
except CapabilityError as error:
    print(error)
"""


@pytest.mark.skipif(os.name != "posix", reason="limits of processes")
@pytest.mark.parametrize("name", ["dat", "hdf5"])
def test_a_file_that_is_too_large_for_its_disk_is_said(tmp_path, name):
    """As on FAT32, which takes 4 GiB."""
    path = path_of(tmp_path, name)
    command = [sys.executable, "-c", LIMITED, str(path), name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "could not be written (File too large). Write it to a file system that takes larger" in done.stdout
    assert list(tmp_path.iterdir()) == []


SLOW = """
import signal, sys, time
import numpy as np
from spikeprep.data import EVENT, Events
from spikeprep.eventfiles import write

def pieces():
    print("begun", flush=True)
    while True:
        yield np.zeros(1 << 16, EVENT)
        time.sleep(0.01)

signal.signal(signal.SIGINT, signal.default_int_handler)  # a process in the background ignores it
write(sys.argv[1], Events(pieces(), (10, 10)))
"""


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("ending", [".dat", ".h5"])
def test_ctrl_c_leaves_no_partial_file(tmp_path, ending):
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(tmp_path / f"a{ending}")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    deadline = time.monotonic() + 60
    while not any(tmp_path.iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert b"KeyboardInterrupt" in errors
    assert list(tmp_path.iterdir()) == []


INTERRUPTED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from spikeprep.data import EVENT, Events
from spikeprep.eventfiles import write

class Interrupting:  # the signal is handled at the next step of Python, within HDF5's call
    def __init__(self, file, after):
        self._file, self._after = file, after

    def write(self, data):
        self._after -= 1
        if self._after in (0, 1):
            os.kill(os.getpid(), signal.SIGINT)
        return self._file.write(data)

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self._file.close()

opened = Path.open

def interrupting(path, mode="r", *args, **options):
    file = opened(path, mode, *args, **options)
    return Interrupting(file, int(sys.argv[2])) if ".partial" in path.name else file

Path.open = interrupting
signal.signal(signal.SIGINT, signal.default_int_handler)
before = signal.getsignal(signal.SIGINT)
events = np.zeros(1 << 17, EVENT)
try:
    write(sys.argv[1], Events.of(events, (10, 10)), compression="none")
except KeyboardInterrupt:
    print("interrupted")
assert signal.getsignal(signal.SIGINT) is before
print(os.listdir(Path(sys.argv[1]).parent))
"""


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("after", [1, 2, 4, 8])
def test_ctrl_c_while_hdf5_calls_the_file(tmp_path, after):
    """An exception in HDF5's calls would leave its file open, and crash the process at its end."""
    pytest.importorskip("h5py")
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "a.h5"), str(after)]
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout.decode().splitlines()) == (0, ["interrupted", "[]"]), done.stderr


def test_signals_wait_for_hdf5_but_not_for_the_events(tmp_path):
    """A recording that takes long to read is interrupted at once, and a thread has no signals to hold."""
    pytest.importorskip("h5py")

    def pieces():
        yield some(BLOCK + 5).array
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("not interrupted")

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path / "a.h5", Events(pieces(), (640, 480)))
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert list(tmp_path.iterdir()) == []
    thread = threading.Thread(target=write, args=(tmp_path / "b.h5", some()))
    thread.start()
    thread.join()
    same(read(tmp_path / "b.h5").array, some().array)


@pytest.mark.parametrize("name", FORMATS)
def test_memory_does_not_grow_with_the_recording(tmp_path, name):
    events, count = np.zeros(1 << 18, EVENT), 16

    def pieces():
        for n in range(count):
            events["t"] = np.arange(len(events)) + n * len(events)
            yield events

    write(path_of(tmp_path, name), some(), format=name)  # compiles, and imports libraries
    tracemalloc.start()
    try:
        write(path_of(tmp_path, name), Events(pieces(), (10, 10)), format=name, overwrite=True)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < count * events.nbytes / 4  # of 67 MB


def test_a_recording_is_converted_in_pieces(tmp_path):
    events = some(BLOCK + 77)
    write(tmp_path / "a.aedat4", events)
    write(tmp_path / "b.raw", open_events(tmp_path / "a.aedat4", piece_events=1000))
    same(read(tmp_path / "b.raw").array, events.array)


# ---------------------------------------------------------------- plugins


@dataclass(frozen=True)
class PluginWriter(DatWriter):
    """Writes .dat under another name."""

    name: ClassVar[str] = "plugin"
    extensions: ClassVar[tuple[str, ...]] = (".plug",)

    def header(self, size):
        return b"%% plugin\n%% Height %d\n%% Width %d\n\x0c\x08" % size[::-1]


class Careless(PluginWriter):
    """Loses the last event of every block."""

    def encode(self, events, out, state):
        _, length = super().encode(events, out, state)
        return len(events), length - 8


class Impatient(PluginWriter):
    """Writes something else for every piece."""

    def write(self, file, blocks, size, start):
        super().write(file, blocks, size, start)
        if not hasattr(type(self), "again"):
            type(self).again = True
            file.write(bytes(8))


@dataclass(frozen=True)
class Plugin(Dat):
    """A format of another package."""

    name: ClassVar[str] = "plugin"
    title: ClassVar[str] = "a plugin's"
    extensions: ClassVar[tuple[str, ...]] = (".plug",)
    begins: ClassVar[tuple[bytes, ...]] = (b"% plugin",)
    writer: ClassVar[type[EventWriter] | None] = PluginWriter

    @classmethod
    def matches(cls, head):
        return head.startswith(b"% plugin")


def test_a_plugin_may_write_too(tmp_path, monkeypatch):
    monkeypatch.setitem(EVENT_FORMATS._registered, "plugin", Plugin)
    events = some(60)
    path = write(tmp_path / "a.plug", events).path
    same(read(path).array, events.array)
    check_event_format(Plugin(), path, events.array)
    for writer, message in ((Careless, "has 59 events; expected 60|other bytes"), (Impatient, "other bytes")):
        monkeypatch.setattr(Plugin, "writer", writer)
        with pytest.raises(AssertionError, match=message):
            check_event_format(Plugin(), path, events.array)


# ---------------------------------------------------------------- other libraries


@pytest.fixture
def written(tmp_path):
    """Write a recording, from t 0 on, in a format; return it with the path."""

    def put(name: str, start: int = 0) -> tuple[Path, np.ndarray]:
        events = some(3000)
        path = path_of(tmp_path, name)
        write(path, Events(events.pieces, events.size, start=start), format=name)
        return path, events.array

    return put


def agree(ours: np.ndarray, x: Any, y: Any, t: Any, p: Any) -> None:
    for values, expected in zip((x, y, t, p), fields(ours), strict=True):
        np.testing.assert_array_equal(np.asarray(values).astype(np.int64), expected)


def test_dv_processing_reads_aedat4(written):
    dv = pytest.importorskip("dv_processing")
    path, ours = written("aedat4")
    file = dv.io.MonoCameraRecording(str(path))
    assert file.getEventResolution() == (640, 480)
    assert file.getTimeRange() == (ours["t"][0], ours["t"][-1])
    store = dv.EventStore()
    while (batch := file.getNextEventBatch()) is not None:
        store.add(batch)
    theirs = store.numpy()
    agree(ours, theirs["x"], theirs["y"], theirs["timestamp"], theirs["polarity"])
    low, high = int(ours["t"][1000]), int(ours["t"][2000])  # by the table of packets
    part = file.getEventsTimeRange(low, high)
    assert part.size() == np.count_nonzero((ours["t"] >= low) & (ours["t"] < high))


def test_aedat_reads_aedat4(written):
    aedat = pytest.importorskip("aedat")
    path, ours = written("aedat4", start=1_605_537_493_718_345)
    decoder = aedat.Decoder(str(path))
    assert decoder.id_to_stream() == {0: {"type": "events", "width": 640, "height": 480}}
    theirs = np.concatenate([packet["events"] for packet in decoder])
    agree(ours, theirs["x"], theirs["y"], theirs["t"] - 1_605_537_493_718_345, theirs["on"])


@pytest.mark.parametrize("name", ["dat", "evt2"])
def test_expelliarmus_reads(written, name):
    expelliarmus = pytest.importorskip("expelliarmus")
    path, ours = written(name)
    theirs = expelliarmus.Wizard(encoding=name).read(str(path))
    agree(ours, theirs["x"], theirs["y"], theirs["t"], theirs["p"])


def test_expelliarmus_reads_evt3_but_its_times(written):
    """It takes a smaller TIME_LOW for a wrap also where a TIME_HIGH stands ahead of it: times are then too late."""
    expelliarmus = pytest.importorskip("expelliarmus")
    path, ours = written("evt3")
    theirs = expelliarmus.Wizard(encoding="evt3").read(str(path))
    agree(ours, theirs["x"], theirs["y"], ours["t"], theirs["p"])


def test_evt3_reads_evt3(written):
    library = pytest.importorskip("evt3")
    path, ours = written("evt3", start=2**24 - 300)
    theirs = library.decode_file(str(path))
    t = np.asarray(theirs.timestamp)
    agree(ours, theirs.x, theirs.y, t - t[0], theirs.polarity)


SILENT = {
    "around a wrap": [-30_000, -29_999, 30_000, 30_001],
    "half a lap": [-9_000_000, 9_000_000],
    "far ahead of a wrap": [-8_000_000, 100],
    "far behind a wrap": [-100, 8_000_000],
    "three laps": [-5, 5, 40_000_000],
}


def silent(folder: Path, name: str, around: list[int]) -> tuple[Path, np.ndarray]:
    """Write a recording that begins at 0 of the clock and is silent around its first wrap."""
    t = np.array([0, 100, *(CLOCKS[name] + np.array(around))])
    events = events_of([1] * len(t), [2] * len(t), t, [1] * len(t))
    path = path_of(folder, name)
    write(path, Events.of(events, (320, 240)), format=name)
    return path, t


@pytest.mark.parametrize("what", SILENT)
def test_evt3_counts_the_laps_of_silence(tmp_path, what):
    library = pytest.importorskip("evt3")
    path, t = silent(tmp_path, "evt3", SILENT[what])
    np.testing.assert_array_equal(np.asarray(library.decode_file(str(path)).timestamp), t)


@pytest.mark.parametrize("what", SILENT)
@pytest.mark.parametrize("name", ["evt2", "evt3"])
def test_faery_counts_the_laps_of_silence(tmp_path, name, what):
    faery = pytest.importorskip("faery")
    path, t = silent(tmp_path, name, SILENT[what])
    theirs = np.concatenate(list(faery.events_stream_from_file(path)))["t"]
    np.testing.assert_array_equal(theirs.astype(np.int64), t)


@pytest.mark.parametrize("name", ["aedat4", "dat", "evt2", "evt3", "text"])
def test_faery_reads(written, name):
    faery = pytest.importorskip("faery")
    path, ours = written(name)
    options: dict[str, Any] = {}
    if name == "text":
        columns = {"x_index": 0, "y_index": 1, "on_index": 2, "t_index": 3, "t_scale": 0.0}
        form = faery.CsvProperties(
            has_header=False, separator=b",", on_value=b"1", off_value=b"0", skip_errors=True, **columns
        )
        options = {"csv_properties": form, "dimensions_fallback": (640, 480)}
    theirs = np.concatenate(list(faery.events_stream_from_file(path, **options)))
    agree(ours, theirs["x"], theirs["y"], theirs["t"], theirs["on"])


def test_pandas_reads_text(written, tmp_path):
    pandas = pytest.importorskip("pandas")
    path, ours = written("text")
    theirs = pandas.read_csv(path, comment="%", names=["x", "y", "p", "t"])
    agree(ours, theirs["x"], theirs["y"], theirs["t"], theirs["p"])
    write(tmp_path / "named.csv", Events.of(ours, (640, 480)), names=True)
    theirs = pandas.read_csv(tmp_path / "named.csv", comment="%")
    agree(ours, theirs["x"], theirs["y"], theirs["t_us"], theirs["p"])


# ---------------------------------------------------------------- real recordings

SAMPLES = (
    "tonic_sample.aedat4", "tonic_sample_ncars.dat", "expelliarmus_evt2_sample.raw",
    "expelliarmus_evt3_test_pedestrians.raw", "loris_NCARS_obj_004397_td.dat", "loris_test.es",
    "PyAedatTools_IMU_translBoxes.aedat", "jAER_DVS128-2017-03-21-short.aedat",
)  # fmt: skip


@pytest.mark.parametrize("sample", SAMPLES)
def test_real_recordings_pass_through_every_format(tmp_path, sample):
    path = asset(f"data/event_files/{sample}")
    expected = json.loads((path.parent / "EXPECTED.json").read_text())[sample]
    recorded = open_events(path)
    for name in FORMATS:
        target = path_of(tmp_path, name)
        write(target, recorded, format=name, overwrite=True)
        events = read(target, format=name)
        assert events.size == recorded.size
        for field in "txyp":
            values = events.array[field].astype("<i8") + (recorded.start if field == "t" else 0)
            digest = hashlib.sha256(values.tobytes()).hexdigest()
            assert digest == expected["sha256_int64le"][field], (name, field)
        assert events.start == clock(name, recorded.start)
