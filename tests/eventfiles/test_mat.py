"""MATLAB's .mat: the layouts of events, and files that are damaged or hostile."""

from __future__ import annotations

import struct
import zlib

import h5py
import numpy as np
import pytest
import scipy.io

from spikeprep import input_files
from spikeprep.errors import DataError
from spikeprep.eventfiles import read
from spikeprep.input_files import Limits
from spikeprep.sources.events import EventFolder

SIZE = (240, 180)
ROWS = [(3, 4, 10, 1), (5, 6, 20, 0), (239, 179, 30, 1)]
X, Y, T, P = (np.array(column) for column in zip(*ROWS, strict=True))


def asl(path, **how):
    """Write a file as those of ASL-DVS: x, y, ts and pol, (event, 1)."""
    columns = {"x": X, "y": Y, "ts": T, "pol": P}
    scipy.io.savemat(path, {name: c.astype(np.int32) for name, c in columns.items()}, oned_as="column", **how)
    return path


def rows_of(path, **options):
    return read(path, **{"size": SIZE, **options}).array.tolist()


@pytest.mark.parametrize("packed", [False, True])
def test_asl_dvs(tmp_path, packed):
    assert rows_of(asl(tmp_path / "a.mat", do_compression=packed)) == ROWS


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("count", [1, 4, 5])
def test_four_events_are_no_table_of_one(tmp_path, turned, count):
    rows = [(n, 2 * n, 10 * n, n % 2) for n in range(count)]
    columns = dict(zip(("x", "y", "ts", "pol"), np.array(rows).T.reshape(4, count, 1), strict=True))
    scipy.io.savemat(tmp_path / "a.mat", {name: c.T if turned else c for name, c in columns.items()})
    assert rows_of(tmp_path / "a.mat") == rows


@pytest.mark.parametrize("turned", [False, True])
def test_a_table_of_one_event(tmp_path, turned):
    row = np.array([[3, 4, 0, 1]])
    scipy.io.savemat(tmp_path / "a.mat", {"events": row.T if turned else row})
    assert rows_of(tmp_path / "a.mat", columns="xytp") == [(3, 4, 0, 1)]


@pytest.mark.parametrize("turned", [False, True])
def test_a_matrix(tmp_path, turned):
    table = np.stack([T, X, Y, np.where(P, 1, -1)], axis=1).astype(float)
    scipy.io.savemat(tmp_path / "a.mat", {"events": table.T if turned else table, "n": 3.0, "about": "text"})
    assert rows_of(tmp_path / "a.mat", columns="txyp") == ROWS
    with pytest.raises(DataError, match="columns='xytp' or columns='txyp'"):
        rows_of(tmp_path / "a.mat")


def test_big_endian_as_old_workstations_wrote(tmp_path):
    """A file that is put together from the description of the format alone."""
    parts = []
    for name, values in (("x", X), ("y", Y), ("ts", T), ("pol", P)):
        padded = name.encode().ljust(8, b"\0")
        data = values.astype(">f8").tobytes()
        body = struct.pack(">IIII", 6, 8, 6, 0)  # flags: double
        body += struct.pack(">IIii", 5, 8, len(values), 1)  # dimensions
        body += struct.pack(">II", 1, len(name)) + padded
        body += struct.pack(">II", 9, len(data)) + data
        parts.append(struct.pack(">II", 14, len(body)) + body)
    head = b"MATLAB 5.0 MAT-file, by hand".ljust(124) + b"\x01\x00MI"
    (tmp_path / "a.mat").write_bytes(head + b"".join(parts))
    assert rows_of(tmp_path / "a.mat") == ROWS


def test_version_73_is_hdf5(tmp_path):
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        for name, values in (("x", X), ("y", Y), ("ts", T), ("pol", P)):
            file[name] = values.reshape(1, -1).astype(float)
        file["table"] = np.stack([X, Y, T, P]).astype(float)
    with (tmp_path / "a.mat").open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64")
    assert rows_of(tmp_path / "a.mat") == ROWS
    assert rows_of(tmp_path / "a.mat", columns="xytp", group="table") == ROWS


def test_what_is_no_array_is_named(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"TD": {"x": X, "y": Y, "ts": T, "p": P}, "z": np.array([1 + 2j])})
    with pytest.raises(
        DataError, match=r"TD is a structure; z is complex.*save\('events\.mat', '-struct', 'TD'\)"
    ):
        rows_of(tmp_path / "a.mat")


def test_cells_are_never_unpacked(tmp_path):
    """A reader that goes down into them would run out of stack; beside them, events are read."""
    nested = b""
    for _ in range(20_000):  # cells in cells, of one value
        nested = _matrix(b"", 1, (1, 1), nested)
    path = asl(tmp_path / "a.mat")
    path.write_bytes(path.read_bytes() + _matrix(b"deep", 1, (1, 1), nested))
    assert rows_of(path) == ROWS


def _matrix(name: bytes, kind: int, shape: tuple[int, int], data: bytes) -> bytes:
    body = struct.pack("<IIII", 6, 8, kind, 0) + struct.pack("<IIii", 5, 8, *shape)
    body += struct.pack("<II", 1, len(name)) + name.ljust(-(-len(name) // 8) * 8, b"\0") + data
    return struct.pack("<II", 14, len(body)) + body


@pytest.mark.parametrize("packed", [False, True])
def test_damaged_files(tmp_path, packed):
    whole = asl(tmp_path / "a.mat", do_compression=packed).read_bytes()
    changes = [whole[:-5], whole[:200], whole[:130], whole[:100], whole[:126] + b"??" + whole[128:]]
    changes += [whole[:128] + struct.pack("<II", 3, 8) + bytes(8)]
    changes += [whole[:132] + b"\xff\xff\xff\xff" + whole[136:]]
    changes += [whole[:150] + bytes(40) + whole[190:]]
    for content in changes:
        (tmp_path / "a.mat").write_bytes(content)
        with pytest.raises(DataError, match=r"a\.mat"):
            rows_of(tmp_path / "a.mat")
    (tmp_path / "a.mat").write_bytes(whole + whole[128:])
    with pytest.raises(DataError, match="two variables 'x'"):
        rows_of(tmp_path / "a.mat")


def test_a_file_that_expands(tmp_path, monkeypatch):
    monkeypatch.setattr(input_files, "SMALL", 1 << 16)
    body = _matrix(b"x", 9, (1 << 20, 1), struct.pack("<II", 2, 1 << 20) + bytes(1 << 20))
    packed = zlib.compress(body)
    head = asl(tmp_path / "a.mat").read_bytes()[:128]
    (tmp_path / "a.mat").write_bytes(head + struct.pack("<II", 15, len(packed)) + packed)
    with pytest.raises(DataError, match=r"expands to more than 1,048,632 bytes.*max_ratio="):
        rows_of(tmp_path / "a.mat", limits=Limits(max_ratio=10))
    with pytest.raises(DataError, match=r"of memory; expected at most 1,000,000"):
        rows_of(tmp_path / "a.mat", limits=Limits(max_bytes=1_000_000))
    less = zlib.compress(body[:2000])
    (tmp_path / "a.mat").write_bytes(head + struct.pack("<II", 15, len(less)) + less)
    with pytest.raises(DataError, match=r"expands to 1,992 bytes of 1,048,6"):
        rows_of(tmp_path / "a.mat", limits=Limits(max_ratio=10**6))
    hostile = _matrix(b"x", 6, (1 << 30, 1 << 30), struct.pack("<II", 9, 8) + bytes(8))
    (tmp_path / "a.mat").write_bytes(head + hostile)
    with pytest.raises(DataError, match=r"a\.mat cannot be read"):
        rows_of(tmp_path / "a.mat")


def test_asl_dvs_as_a_data_set(tmp_path):
    for letter in "ab":
        (tmp_path / letter).mkdir()
        for n in range(5):
            asl(tmp_path / letter / f"{letter}_{n:04}.mat")
    source = EventFolder(path=str(tmp_path), size=SIZE)
    assert source.splits() == {"train": 8, "test": 2}
    assert source.classes == ("a", "b")
    assert source.read("train", 0).signal.array.tolist() == ROWS
