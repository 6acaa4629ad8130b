"""Files are named as what they are, by every source that reads files."""

from __future__ import annotations

import io
import pickle
import zipfile

import numpy as np
import pytest
from PIL import Image

from spikeprep.errors import DataError
from spikeprep.eventfiles import read
from spikeprep.file_kinds import kind_of
from spikeprep.sources.audio import AudioFiles
from spikeprep.sources.events import EventFolder
from spikeprep.sources.idx import Idx
from spikeprep.sources.images import ImageFolder


def zipped(name: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, b"content")
    return packed.getvalue()


def image(form: str) -> bytes:
    packed = io.BytesIO()
    Image.new("L", (4, 4)).save(packed, form)
    return packed.getvalue()


KINDS = {
    b"": "empty",
    b"version https://git-lfs.github.com/spec/v1\n": "a pointer of Git LFS",
    b"/annex/objects/MD5E-s1": "a pointer of git-annex",
    b"#ROSBAG V2.0\n": "a ROS bag",
    b"#ROSBAG V1.2\n": "a ROS bag of an old version",
    b"\x89MCAP0\r\n": "a ROS bag (MCAP)",
    b"SQLite format 3\0": "an SQLite database",
    b"MATLAB 5.0 MAT-file Platform: posix": r"a MATLAB file (version 5)",
    b"MATLAB 7.3 MAT-file Platform: posix": r"a MATLAB file (version 7.3)",
    zipped("events.txt"): "a ZIP archive",
    zipped("archive/data.pkl"): "a file of PyTorch",
    zipped("[Content_Types].xml"): "a document of Microsoft Office",
    b"7z\xbc\xaf\x27\x1c\0\4": "a 7z archive",
    b"Rar!\x1a\x07\x01\0": "a RAR archive",
    b"\x1f\x8b\x08\0\0\0\0\0": "a gzip archive",
    b"events".ljust(257, b"\0") + b"ustar\x0000": "a tar archive",
    b"%PDF-1.7\n": "a PDF document",
    b"\n<!DOCTYPE HTML>\n<html>": "a web page",
    b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>': "an XML document",
    b'{"message": "Not Found"}': "a JSON text",
    b"\0\0\0\x18ftypmp42\0\0\0\0": "an MPEG-4 video",
    b"RIFF\x10\0\0\0AVI LIST": "an AVI video",
    pickle.dumps({"x": 1}, 2): "a pickle of Python",
    pickle.dumps({"x": 1}): "a pickle of Python",
    bytes(4096): "nothing but zeros",
    "täglich ein Satz\n".encode(): "a text file",
    "x,y,p,t\n1,2,1,5\n".encode("utf-16"): "a text file in UTF-16",
    bytes([0, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0])
    + b"x\0"
    + bytes(72): "a MATLAB file (version 4)",
}


@pytest.mark.parametrize(("data", "name"), KINDS.items(), ids=range(len(KINDS)))
def test_kinds_of_files(data, name):
    kind = kind_of(data)
    assert kind
    assert kind.name.startswith(name)
    assert kind.fix


def test_bytes_without_a_meaning_have_no_kind():
    rng = np.random.default_rng(0)
    for _ in range(200):
        assert kind_of(rng.integers(0, 34, 500, np.uint8).tobytes()) is None
    assert kind_of(bytes(5)) is None  # an event of N-MNIST


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_images_are_known(form):
    kind = kind_of(image(form))
    assert kind
    assert kind.group == "image"


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


def folder(tmp_path, name: str, data: bytes):
    for label in "ab":
        (tmp_path / label).mkdir()
        (tmp_path / label / name).write_bytes(data)
    return str(tmp_path)


@pytest.mark.parametrize(
    ("source", "name"),
    [(ImageFolder, "0.png"), (AudioFiles, "0.wav"), (EventFolder, "0.npz"), (EventFolder, "0.bin")],
)
def test_a_pointer_is_named_by_every_source(tmp_path, source, name):
    data = source(path=folder(tmp_path, name, LFS))
    with pytest.raises(DataError, match=r"is a pointer of Git LFS.*Run git lfs pull"):
        [data.read(split, 0) for split in data.splits()]


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_pointer_is_named_in_place_of_an_idx_file(tmp_path, ending):
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        (tmp_path / f"{name}{ending}").write_bytes(LFS)
    with pytest.raises(DataError, match=r"is a pointer of Git LFS.*Run git lfs pull"):
        Idx(path=str(tmp_path)).splits()


@pytest.mark.parametrize(
    ("source", "name", "data", "words"),
    [
        (
            EventFolder,
            "0.sqlite",
            b"SQLite format 3\0",
            r"a has no recordings: it has 0.sqlite, an SQLite database.*rosbag",
        ),
        (EventFolder, "0.txt", b"0.1 1 2 1\n", r"it has 0.txt, a text file.*use source.format=text"),
        (ImageFolder, "0.npy", b"\x93NUMPY\1\0", r"a has no images: it has 0.npy, an array of NumPy"),
        (
            AudioFiles,
            "0.mp4",
            b"\0\0\0\x18ftypmp42",
            r"a has no recordings: it has 0.mp4, an MPEG-4 video.*ffmpeg",
        ),
    ],
)
def test_what_a_class_holds_instead_is_named(tmp_path, source, name, data, words):
    with pytest.raises(DataError, match=words):
        source(path=folder(tmp_path, name, data)).splits()


def test_text_events_of_a_folder_are_read_where_the_format_is_named(tmp_path):
    path = folder(tmp_path, "0.txt", b"0.1 1 2 1\n0.2 3 4 0\n")
    source = EventFolder(path=path, format="text", size=(9, 9), test_share=0.0)
    assert source.read("train", 0).signal.array.tolist() == [(1, 2, 100_000, 1), (3, 4, 200_000, 0)]


def test_zeros_are_no_events_of_nmnist(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(5000))
    for settings in ({}, {"format": "nmnist"}):
        with pytest.raises(DataError, match="is nothing but zeros"):
            read(path, **settings)
