"""Opening input files: regular ones only, within limits, and the same bytes in every pass."""

from __future__ import annotations

import hashlib
import os
import socket

import pytest

from spikeprep import input_files
from spikeprep.errors import DataError, UsageError, printable
from spikeprep.input_files import SMALL, InputFile, Limits, open_input, read_input


def test_files_that_are_not_regular_are_refused_without_waiting(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "folder").mkdir()
    server = socket.socket(socket.AF_UNIX)
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    server.bind("socket")
    expected = {
        "fifo": "is a FIFO; expected a regular file",
        "zero": "is a device",
        "folder": "is a folder",
        "socket": "is a socket",
        "loop": r"cannot be read \(Too many levels",
        "missing": r"cannot be read \(No such file",
        "nul\0": "cannot be read",
        "x" * 300: r"cannot be read \(File name too long",
    }
    for name, words in expected.items():
        for opened in (open_input, read_input, lambda path: InputFile(path).head()):
            with pytest.raises(DataError, match=words):
                opened(tmp_path / name)
    server.close()


def test_a_whole_file(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"abc" * 1000)
    data, sha256 = read_input(file)
    assert (data, sha256) == (b"abc" * 1000, hashlib.sha256(data).hexdigest())
    assert read_input(file, sha256=sha256).data == data
    with pytest.raises(DataError, match=r"3,000 bytes of memory; .* 2,999\. .*Limits\(max_bytes=3000\)\."):
        read_input(file, Limits(max_bytes=2999))
    file.write_bytes(b"abd" * 1000)
    with pytest.raises(DataError, match="has changed while it was read"):
        read_input(file, sha256=sha256)


def test_limits():
    limits = Limits(max_bytes=10, max_ratio=2, owner="source.")
    limits.check_bytes("x", 10)
    limits.check_ratio("x", SMALL, 0)
    limits.check_ratio("x", SMALL * 4, SMALL * 2)
    with pytest.raises(DataError, match=r"use source\.max_ratio=3\."):
        limits.check_ratio("x", SMALL * 4 + 1, SMALL * 2)
    for so_far, value in ((False, 2000), (True, 4000)):
        words = rf"use limits=spikeprep\.eventfiles\.Limits\(max_bytes=99, max_ratio={value}\)\."
        with pytest.raises(DataError, match=words):
            Limits(max_bytes=99).check_ratio("x", SMALL * 10_000, SMALL * 5, so_far=so_far)
        with pytest.raises(DataError, match=rf"use source\.max_bytes={11 + 11 * so_far}\."):
            limits.check_bytes("x", 11, so_far=so_far)
    with pytest.raises(UsageError, match="max_bytes"):
        Limits(max_bytes=0)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(input_files, "BLOCK", 10)


def test_a_stream_reads_what_the_file_has(tmp_path, small_blocks):
    data = bytes(range(95))
    (tmp_path / "a").write_bytes(data)
    file = InputFile(tmp_path / "a")
    assert not file.was_read
    assert file.head(7) == data[:7]
    assert file.was_read
    for start in (0, 3, 9, 10, 44, 94, 95, 100):
        for size in (0, 1, 5, 10, 11, 60, 200, -1, None):
            file.stream.seek(start)
            expected = data[start:] if size is None or size < 0 else data[start : start + size]
            assert file.stream.read(size) == expected
            assert file.stream.tell() == start + len(expected)
    assert file.stream.seek(-5, 2) == 90
    assert file.stream.seek(2, 1) == 92
    buffer = bytearray(10)
    assert file.stream.readinto(buffer) == 3
    with pytest.raises(ValueError, match="position -1"):
        file.stream.seek(-1)
    assert file.sha256() == hashlib.sha256(data).hexdigest()
    assert file.length() == 95
    file.close()


@pytest.mark.parametrize("change", ["bit", "cut", "longer", "gone"])
def test_a_change_between_two_passes_is_an_error(tmp_path, small_blocks, change):
    path, data = tmp_path / "a", bytes(range(95))
    path.write_bytes(data)
    file = InputFile(path)
    file.head(5)
    digests = file.digests()
    file.close()
    again = InputFile(path, expected=digests)
    assert again.stream.read() == data
    again.close()
    if change == "gone":
        path.unlink()
    else:
        path.write_bytes(
            {"bit": data[:77] + b"x" + data[78:], "cut": data[:50], "longer": data + b"x"}[change]
        )
    words = "cannot be read" if change == "gone" else "has changed while it was read"
    later = InputFile(path, expected=digests)
    with pytest.raises(DataError, match=words):
        later.stream.read()
    later.close()


def test_a_change_within_one_pass_is_an_error(tmp_path, small_blocks):
    path, data = tmp_path / "a", bytes(range(95))
    path.write_bytes(data)
    file = InputFile(path)
    file.stream.read()
    with path.open("r+b") as other:
        other.seek(33)
        other.write(b"x")
    file.stream.seek(30)
    with pytest.raises(DataError, match="has changed") as error:
        file.stream.read(5)
    assert file.stream.error is error.value
    with pytest.raises(DataError, match="has changed"):
        file.sha256()
    file.close()
    path.write_bytes(data)
    file = InputFile(path)
    file.stream.read()
    path.write_bytes(data + b"x")
    with pytest.raises(DataError, match="has changed"):
        file.digests()
    os.truncate(path, 20)
    file.stream.seek(50)
    with pytest.raises(DataError, match="has changed"):
        file.stream.read(5)
    file.close()


def test_errors_of_the_disk_are_ours(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(bytes(100))

    def refuse(*arguments: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(input_files.os, "read", refuse)
    file = InputFile(path)
    with pytest.raises(DataError, match=r"cannot be read \(Input/output error\)"):
        file.head()
    file.close()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"a\x1b[31mred", r"a\x1b[31mred"),
        (b"\xff\xfe", r"\xff\xfe"),
        (b"two\nlines", r"two\x0alines"),
        ("ü 漢 é".encode(), "ü 漢 é"),
        ("a\u202etxt.exe".encode(), r"a\u202etxt.exe"),
        (b"bell\x07", r"bell\x07"),
    ],
)
def test_names_are_shown_without_their_controls(tmp_path, name, shown):
    path = os.path.join(os.fsencode(tmp_path), name)
    with pytest.raises(DataError) as error:
        open_input(os.fsdecode(path))
    text = str(error.value)
    assert shown in text
    assert printable(text) == text
    text.encode()
