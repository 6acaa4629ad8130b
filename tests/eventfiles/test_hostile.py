"""Event files that were made to do harm: links to other files, content that expands, rows that are not there."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from spikeprep import input_files
from spikeprep.data import Events
from spikeprep.errors import DataError
from spikeprep.eventfiles import open_events, outline, read, scan, scan_intervals, write
from spikeprep.eventfiles.base import LATEST
from spikeprep.input_files import Limits

from ..fuzz.fuzzing import memory_of
from . import writing
from .test_formats import FORMS, recording
from .writing import events_of

h5py = pytest.importorskip("h5py")

COLUMNS = {"x": [1, 2, 3], "y": [3, 2, 1], "t": [10, 20, 30], "p": [0, 1, 0]}
MB = 1 << 20


def columns(path: Path, skip: str = "", count: int = 0) -> Path:
    with h5py.File(path, "w") as file:
        for name, values in COLUMNS.items():
            if name != skip:
                file[f"events/{name}"] = values
        file.attrs["width"], file.attrs["height"] = 9, 9
    return path


def refused(path: Path, words: str, **options: object) -> None:
    for look in (read, scan):
        with pytest.raises(DataError, match=words):
            look(path, **options)


# ---------------------------------------------------------------- HDF5 that leads elsewhere


def test_a_plain_file_and_a_link_inside_it_are_read(tmp_path):
    path = columns(tmp_path / "a.h5", skip="p")
    with h5py.File(path, "r+") as file:
        file["elsewhere/p"] = [0, 1, 0]
        file["events/p"] = h5py.SoftLink("/elsewhere/p")
    assert read(path).array["p"].tolist() == [0, 1, 0]


def test_external_links_are_refused_before_they_are_followed(tmp_path):
    columns(tmp_path / "secret.h5")
    path = columns(tmp_path / "a.h5", skip="p")
    with h5py.File(path, "r+") as file:
        file["events/p"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/events/p")
    refused(path, "has an external link: events/p; expected a file that refers to no other")
    with h5py.File(path, "r+") as file:  # by a soft link through the external one
        del file["events/p"]
        file["out"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/")
        file["events/p"] = h5py.SoftLink("/out/events/p")
    refused(path, "has an external link: out")
    os.mkfifo(tmp_path / "fifo")  # following it would wait for ever
    with h5py.File(path, "r+") as file:
        del file["out"]
        file["out"] = h5py.ExternalLink(str(tmp_path / "fifo"), "/")
    refused(path, "has an external link: out")


def test_external_storage_is_refused(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(range(24)))
    path = columns(tmp_path / "a.h5", skip="p")
    with h5py.File(path, "r+") as file:
        file.create_dataset("events/p", (3,), "<i8", external=[(str(secret), 0, 24)])
    refused(path, "has a data set in external files: events/p")


def test_virtual_data_sets_are_refused(tmp_path):
    other = columns(tmp_path / "other.h5")
    path = columns(tmp_path / "a.h5", skip="p")
    with h5py.File(path, "r+") as file:
        layout = h5py.VirtualLayout((3,), "<i8")
        layout[:] = h5py.VirtualSource(str(other), "events/p", (3,))
        file.create_virtual_dataset("events/p", layout)
    refused(path, "has a virtual data set: events/p")


# ---------------------------------------------------------------- content that expands


@pytest.mark.parametrize("chunks", [None, (1000,)])
def test_rows_that_are_promised_and_not_there(tmp_path, chunks):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for name in "xytp":
            file.create_dataset(name, (10**12,), "<i8", chunks=chunks)
    took, error = memory_of(lambda: read(path, size=(9, 9)))
    assert "expands to 32,000,000,000,000 bytes" in error
    assert "max_ratio=" in error
    assert took < 64 * MB


def test_a_chunk_that_is_too_large(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for name in "xytp":
            file.create_dataset(name, (20_000_000,), "<i8", chunks=(20_000_000,), compression="gzip")
    refused(path, "a chunk of /p|a chunk of /x", size=(9, 9))
    assert "max_bytes=2560000000" in memory_of(lambda: read(path, size=(9, 9)))[1]


def test_a_chunk_that_expands_to_more_than_it_states(tmp_path):
    """HDF5 lets zlib write as much as it will."""
    path = tmp_path / "a.h5"
    bomb = zlib.compressobj(1)
    packed = b"".join([bomb.compress(bytes(16 * MB)) for _ in range(12)] + [bomb.flush()])
    with h5py.File(path, "w") as file:
        for name in "xytp":
            data = file.create_dataset(name, (1000,), "<i8", chunks=(1000,), compression="gzip")
            data[:] = 0
            if name == "t":
                data.id.write_direct_chunk((0,), packed)
    took, error = memory_of(lambda: read(path, size=(9, 9)))
    assert "the chunk of /t at event 0 expands to more than 8,000 bytes" in error
    assert took < 64 * MB


def test_a_large_chunk_is_expanded_once(tmp_path):
    count = 600_000  # rows are read in slices of 65 536
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for name, values in {
            "x": np.arange(count) % 9,
            "y": np.arange(count) % 7,
            "t": np.arange(count),
        }.items():
            file.create_dataset(name, data=values, chunks=(count,), compression="gzip")
        file.create_dataset("p", data=np.arange(count) % 2, chunks=(500,), compression="lzf")
    array = read(path, size=(9, 9), unit="us").array
    np.testing.assert_array_equal(array["t"], np.arange(count))


def test_data_sets_without_numbers(tmp_path):
    path = columns(tmp_path / "a.h5", skip="p")
    with h5py.File(path, "r+") as file:
        file["events"].create_dataset("p", data=[b"a", b"bc", b"d"])
    refused(path, "/events/p is .*expected numbers")


def test_a_width_that_is_no_number(tmp_path):
    path = columns(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        del file.attrs["width"], file.attrs["height"]
        file.create_dataset("events/width", (10**9,), "<i8", chunks=(1000,))
        file["events/height"] = 9
    refused(path, "does not state the size of its sensor")


def _packets(compression: int, packed: bytes) -> bytes:
    return writing.aedat4_bytes(
        recording(FORMS["aedat4"], 3), compression=compression, compress=lambda data: packed
    )


@pytest.mark.parametrize("library", ["lz4", "zstandard"])
def test_a_packet_that_expands(tmp_path, library):
    if library == "lz4":
        frame = pytest.importorskip("lz4.frame").LZ4FrameCompressor()
        parts = [frame.begin()] + [frame.compress(bytes(64 * MB)) for _ in range(6)] + [frame.flush()]
    else:
        frame = pytest.importorskip("zstandard").ZstdCompressor(write_content_size=False).compressobj()
        parts = [frame.compress(bytes(64 * MB)) for _ in range(3)] + [frame.flush()]
    path = tmp_path / "a.aedat4"
    path.write_bytes(_packets(1 if library == "lz4" else 3, b"".join(parts)))
    took, error = memory_of(lambda: read(path))
    assert "the packet at byte" in error
    assert "max_bytes=" in error or "max_ratio=" in error
    assert took < 450 * MB
    with pytest.raises(DataError, match="at most 1,000,000"):
        read(path, limits=Limits(max_bytes=1_000_000))


def test_a_header_with_entities(tmp_path):
    whole = writing.aedat4_bytes(recording(FORMS["aedat4"], 3))
    path = tmp_path / "a.aedat4"
    path.write_bytes(whole.replace(b"<dv version", b"<!DOCTYPE d", 1))
    refused(path, "document type")
    at = whole.index(b"IOHE") - 8
    path.write_bytes(whole[:at] + struct.pack("<I", 1 << 30) + whole[at + 4 :])
    refused(path, "it has 1,073,741,824 bytes")


def test_an_archive_that_expands(tmp_path, monkeypatch):
    """Members that are a thousand times larger than in the file are read in slices."""
    path = tmp_path / "a.npz"
    rows = 1 << 22
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in "xytp":
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array_header_1_0(
                    member, {"descr": "<i8", "fortran_order": False, "shape": (rows,)}
                )
                for _ in range(rows // (1 << 20)):
                    # identical events would be padding
                    member.write((np.arange(1 << 20) % 9).tobytes() if name == "x" else bytes(8 << 20))
    took, error = memory_of(
        lambda: sum(map(len, open_events(path, size=(9, 9), unit="us", piece_events=1000).pieces))
    )
    assert not error
    assert took < 64 * MB
    monkeypatch.setattr(input_files, "SMALL", 1 << 20)
    refused(path, r"x of .* expands to .*max_ratio=", size=(9, 9), limits=Limits(max_ratio=10))


def test_a_header_of_numpy_that_promises_rows(tmp_path):
    whole = tmp_path / "whole.npy"
    np.save(whole, np.zeros(3, [("x", "<u2"), ("y", "<u2"), ("t", "<i8"), ("p", "?")]))
    data = whole.read_bytes().replace(b"(3,)", b"(9999999999999,)", 1)
    (tmp_path / "a.npy").write_bytes(data[:8] + struct.pack("<H", len(data) - 10 - 39) + data[10:])
    refused(tmp_path / "a.npy", "cannot be read: it is truncated", size=(9, 9))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", (tmp_path / "a.npy").read_bytes())
    refused(tmp_path / "a.npz", "as its header states", size=(9, 9))
    wide = np.zeros(2, [("x", "<u2"), ("y", "<u2"), ("t", "<i8"), ("p", "?"), ("frame", "u1", 5000)])
    np.save(tmp_path / "wide.npy", wide)
    refused(tmp_path / "wide.npy", "5,013 bytes per event", size=(9, 9))


# ---------------------------------------------------------------- time stamps


def test_implausible_time_stamps(tmp_path):
    rows = np.zeros(4, [("x", "<u2"), ("y", "<u2"), ("t", "<i8"), ("p", "?")])
    path = tmp_path / "a.npy"
    rows["t"] = [0, 5, LATEST, LATEST]
    np.save(path, rows)
    assert read(path, size=(9, 9)).length() == LATEST + 1
    unix = 1_700_000_000_000_000
    rows["t"] = [unix, unix + 5, unix + 7, unix + 7]
    np.save(path, rows)
    assert read(path, size=(9, 9), origin="stored").array["t"].tolist() == rows["t"].tolist()
    assert read(path, size=(9, 9)).array["t"].tolist() == [0, 5, 7, 7]
    rows["t"] = [0, 5, 2**62, 9]
    np.save(path, rows)
    with pytest.warns(match="dropped"):
        assert read(path, size=(9, 9), invalid="drop").array["t"].tolist() == [0, 5, 9]
    with pytest.warns(match="clipped"):
        assert read(path, size=(9, 9), invalid="clip").array["t"].tolist() == [0, 5, 5, 9]
    rows["t"] = [0, 5, 2**62, 2**62]
    np.save(path, rows)
    refused(path, "event 2 has t .*expected a number of µs below", size=(9, 9), unit="s")
    path = tmp_path / "a.aedat4"
    path.write_bytes(writing.aedat4_bytes(events_of([1, 2], [1, 2], [5, 2 * LATEST], [1, 0])))
    refused(path, "days after the start")


UNIX = 1_605_537_493_718_345


@pytest.mark.parametrize("order", ["", "sort"])
@pytest.mark.parametrize("form", ["aedat4", "aedat3", "rosbag", "npy"])
def test_the_stamps_of_a_unix_clock_are_kept_in_any_format(tmp_path, form, order):
    events = recording(FORMS[form], 400)
    events["t"] += UNIX - events["t"][0]
    path = FORMS[form].put(tmp_path, events)
    settings = FORMS[form].settings(origin="stored", order=order)
    got = read(path, **settings)
    assert got.start == 0
    np.testing.assert_array_equal(got.array["t"], events["t"])
    np.testing.assert_array_equal(outline(path, **settings).array["t"], events["t"][-1:])
    interval = (UNIX, int(events["t"][300]))
    (scan,) = scan_intervals(path, [interval], **settings)
    assert scan.events == np.searchsorted(events["t"], interval[1])
    np.testing.assert_array_equal(
        np.concatenate(list(scan.open(7).pieces))["t"] + UNIX, events["t"][: scan.events]
    )


@pytest.mark.parametrize("wild", [0, 200, 399])
def test_a_wild_stamp_among_those_of_a_unix_clock(tmp_path, wild):
    events = recording(FORMS["aedat4"], 400)
    events["t"] += UNIX - events["t"][0]
    right = np.delete(events["t"], wild)
    events["t"][wild] = UNIX + 2 * LATEST
    path = FORMS["aedat4"].put(tmp_path, events)
    words = f"event {wild} .*: t {UNIX + 2 * LATEST} µs is 23 days after the first event; expected at most 1,606,53"
    refused(path, words, origin="stored")
    with pytest.warns(match="1 events dropped"):
        got = read(path, origin="stored", invalid="drop")
    np.testing.assert_array_equal(got.array["t"], right)
    last = write(tmp_path / "b.csv", Events.of(got.array, got.size)).path
    np.testing.assert_array_equal(read(last, origin="stored").array["t"], right)


def test_a_header_whose_line_begins_with_its_colon(tmp_path):
    path = tmp_path / "a.aedat"
    whole = writing.aedat3_bytes(recording(FORMS["aedat3"], 3))
    path.write_bytes(whole.replace(b"#Format: RAW", b": x", 1))
    assert len(read(path).array) == 3


def test_a_clock_that_begins_below_zero(tmp_path):
    path = tmp_path / "a.aedat4"
    path.write_bytes(writing.aedat4_bytes(events_of([1, 2], [1, 2], [-11_777_216, -11_777_200], [1, 0])))
    assert read(path).array["t"].tolist() == [0, 16]
    assert read(path).start == -11_777_216


def test_a_chunk_that_expands_to_less_than_it_states(tmp_path):
    """HDF5 would return uninitialised memory."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for name in "xytp":
            data = file.create_dataset(name, (1000,), "<i8", chunks=(1000,), compression="gzip")
            data[:] = 0
            if name == "t":
                data.id.write_direct_chunk((0,), zlib.compress(bytes(800)))
    refused(path, "the chunk of /t at event 0 expands to 800 bytes; expected 8,000", size=(9, 9))
    with h5py.File(path, "r+") as file:  # a chunk that skips the filter
        file["t"].id.write_direct_chunk((0,), bytes(700), filter_mask=1)
    refused(path, "the chunk of /t at event 0 expands to 700 bytes; expected 8,000", size=(9, 9))


def test_a_chunk_without_compression_that_is_too_short(tmp_path):
    """HDF5 reads what there is, and leaves the rest of the memory as it was."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for name in "xytp":
            data = file.create_dataset(name, (1000,), "<i8", chunks=(1000,), shuffle=True)
            data[:] = np.arange(1000) % 9 if name == "x" else 0
    assert len(read(path, size=(9, 9), unit="us").array) == 1000
    with h5py.File(path, "r+") as file:
        file["p"].id.write_direct_chunk((0,), bytes(800))
    refused(path, "the chunk of /p at event 0 expands to 800 bytes; expected 8,000", size=(9, 9))


@pytest.mark.parametrize("size", [0, 8, 1 << 20])
def test_an_attribute_in_a_heap_that_hdf5_would_walk_for_ever(tmp_path, size):
    """Texts of any length lie in a heap, whose free space is given a wrong size."""
    path = columns(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file["events/t"].attrs["units"] = "us"
    assert read(path).array["t"].tolist() == [10, 20, 30]
    data = bytearray(path.read_bytes())
    at = data.index(b"GCOL") + 16 + 16 + 8  # the heap's header, the text's, and "us", filled up
    data[at + 8 : at + 16] = size.to_bytes(8, "little")
    path.write_bytes(data)
    refused(
        path, f"an object of {size:,} bytes at byte {at:,} does not fit into its heap; expected 16 to 4,056"
    )
