"""Folders and files that were made to do harm, or that only look like it."""

from __future__ import annotations

import gzip
import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from spikeprep.encoding.run import encode
from spikeprep.errors import DataError, UsageError, printable
from spikeprep.recipes import Recipe, load_recipe
from spikeprep.registry import SOURCES
from spikeprep.sources.audio import AudioFiles
from spikeprep.sources.idx import Idx
from spikeprep.sources.idx_format import read_idx
from spikeprep.sources.image_files import FORMATS
from spikeprep.sources.images import ImageFolder
from spikeprep.sources.nmnist import Nmnist
from spikeprep.store import SpikeStore

from ..fuzz.fuzzing import memory_of
from .event_folders import class_folder
from .idx_files import idx_bytes, pictures, write_idx
from .sound_files import put, spoken, wav
from .test_contract import FOLDERS, MORE, image_folder, sound_folder

MB = 1 << 20

# ---------------------------------------------------------------- images


def image_bytes(form: str, **settings: object) -> bytes:
    image = pytest.importorskip("PIL.Image")
    stream = io.BytesIO()
    image.fromarray(np.arange(20, dtype=np.uint8).reshape(4, 5)).save(stream, form, **settings)
    return stream.getvalue()


@pytest.mark.parametrize("form", FORMATS)
def test_content_decides_whatever_the_name(tmp_path, form):
    put(tmp_path / "a" / "1.png", image_bytes(form))
    assert ImageFolder(path=str(tmp_path), test_share=0).read("train", 0).signal.shape == (4, 5)


@pytest.mark.parametrize("form", ["EPS", "TGA", "PDF", "PCX", "SGI", "ICO", "JPEG2000", "DDS"])
def test_other_formats_are_refused(tmp_path, form, monkeypatch):
    """EPS would run Ghostscript."""
    try:
        put(tmp_path / "a" / "1.png", image_bytes(form))
    except (KeyError, OSError):
        pytest.skip(f"Pillow writes no {form} here")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DataError, match=r"a/1\.png is (no image|an? .*) \(expected PNG, JPEG"):
        ImageFolder(path=str(tmp_path), test_share=0).read("train", 0)


def png_header(side: int) -> bytes:
    """A PNG of `side` × `side` bits whose data end after the header."""
    chunk = b"IHDR" + struct.pack(">2I5B", side, side, 1, 0, 0, 0, 0)
    data = struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data


def test_an_image_of_many_pixels(tmp_path):
    for side, words in (
        (9200, r"takes 1,015,6.* bytes of memory; expected at most 1,000,000,000"),
        (20_000, "pixels"),
    ):
        put(tmp_path / "a" / "1.png", png_header(side))
        with pytest.raises(DataError, match=words):
            ImageFolder(path=str(tmp_path), test_share=0).read("train", 0)
    put(tmp_path / "a" / "1.png", png_header(3000))
    source = ImageFolder(path=str(tmp_path), test_share=0, max_bytes=10_000_000)
    with pytest.raises(DataError, match=r"use source\.max_bytes=108"):
        source.read("train", 0)


# ---------------------------------------------------------------- sounds


def with_rate(data: bytes, rate: int) -> bytes:
    return data[:24] + struct.pack("<II", rate, 2 * rate) + data[32:]


@pytest.mark.parametrize(
    ("rate", "good"), [(1, False), (999, False), (1000, True), (768_000, True), (16_000_000, False)]
)
def test_implausible_rates(tmp_path, rate, good):
    put(tmp_path / "a" / "1.wav", with_rate(wav(spoken(1)), rate))
    source = AudioFiles(path=str(tmp_path), test_share=0)
    if good:
        assert source.read("train", 0).signal.rate == rate
        return
    words = rf"a/1\.wav has a rate of {rate} Hz \(expected 1000 to 768000\).*sox -r RATE"
    with pytest.raises(DataError, match=words):
        source.splits()


def test_rates_to_resample_to():
    for rate in (1, 999, 768_001):
        with pytest.raises(UsageError, match="rate"):
            AudioFiles(rate=rate)
    assert AudioFiles(rate=1000).rate == 1000


def test_a_sound_that_expands(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    put(tmp_path / "a" / "1.flac", b"")
    with soundfile.SoundFile(tmp_path / "a" / "1.flac", "w", 8000, 8, "PCM_16") as file:
        for _ in range(3):
            file.write(np.zeros((1 << 20, 8), np.int16))
        file.write(np.full((8, 8), 1000, np.int16))
    source = AudioFiles(path=str(tmp_path), test_share=0, channel=3)
    took, error = memory_of(lambda: source.read("train", 0))
    assert not error
    assert took < 300 * MB  # one channel of 64 MB, its copies, and a few samples of all
    small = AudioFiles(path=str(tmp_path), test_share=0, channel=3, max_bytes=20_000_000)
    took, error = memory_of(lambda: small.splits())
    assert "the sound takes" in error
    assert "source.max_bytes=" in error
    assert took < 150 * MB


def test_other_sounds_are_refused(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    for form in ("AVR", "IRCAM", "PVF"):
        stream = io.BytesIO()
        soundfile.write(stream, spoken(1), 8000, format=form, subtype="PCM_16")
        put(tmp_path / "a" / "1.wav", stream.getvalue())
        with pytest.raises(DataError, match="is no audio: it is no WAV, FLAC, MP3, SPHERE"):
            AudioFiles(path=str(tmp_path), test_share=0).splits()


# ---------------------------------------------------------------- IDX


def test_gzipped_bytes_that_expand(tmp_path):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    zeros = gzip.compress(bytes(16 * MB), 1, mtime=0)
    for shape, words in (
        ((60_000, 28, 28), "is longer than its header states: more than 47040016 bytes"),
        ((1_000_000, 64, 64), "takes 4,096,000,000 bytes of memory"),
    ):
        path.write_bytes(gzip.compress(struct.pack(">4I", 0x803, *shape), mtime=0) + zeros * 64)
        took, error = memory_of(lambda: read_idx(path, 0x803))
        assert words in error
        assert took < 128 * MB


def test_members_padding_and_ends_of_gzip(tmp_path):
    path, data = tmp_path / "a-ubyte.gz", idx_bytes(pictures(900, 60, 60)[0])
    half = len(data) // 2
    parts = [gzip.compress(data[:half], mtime=0), gzip.compress(data[half:], mtime=0)]
    path.write_bytes(parts[0] + bytes(5) + parts[1] + bytes(300))
    np.testing.assert_array_equal(read_idx(path, 0x803)[0], pictures(900, 60, 60)[0])
    for damaged in (
        parts[0] + parts[1][:-9],
        parts[0] + parts[1] + b"junk",
        parts[0] + b"\x1f",
        b"",
        parts[0][:9],
    ):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"a-ubyte\.gz"):
            read_idx(path, 0x803)


# ---------------------------------------------------------------- folders and names


def test_things_that_are_no_files(tmp_path):
    sound_folder(tmp_path)
    os.mkfifo(tmp_path / "no" / "pipe.wav")
    (tmp_path / "no" / "zero.wav").symlink_to("/dev/zero")
    source = AudioFiles(path=str(tmp_path))
    with pytest.raises(DataError, match=r"2 of the files cannot be used") as error:
        source.splits()
    assert "no/pipe.wav is a FIFO" in str(error.value)
    assert "no/zero.wav is a device" in str(error.value)
    assert sum(AudioFiles(path=str(tmp_path), skip_bad=True).splits().values()) == 20
    image_folder(tmp_path / "images")
    os.mkfifo(tmp_path / "images" / "class0" / "pipe.png")
    with pytest.raises(DataError, match=r"pipe\.png is a FIFO"):
        ImageFolder(path=str(tmp_path / "images")).provenance()
    class_folder(tmp_path / "events")
    os.mkfifo(tmp_path / "events" / "bar" / "pipe.bin")
    with pytest.raises(DataError, match=r"pipe\.bin is a FIFO"):
        SOURCES.get("events")(path=str(tmp_path / "events")).splits()


# spikes: files of many recordings are looked for in the folder itself, and nowhere below
@pytest.mark.parametrize("name", sorted(FOLDERS.keys() - {"spikes", "tonic"}))
def test_folders_that_cannot_be_read_are_errors(tmp_path, monkeypatch, name):
    source = SOURCES.get(name)(path=str(FOLDERS[name](tmp_path)), **MORE.get(name, {}))
    locked = tmp_path / ("Train/5" if name == "nmnist" else "zz_locked")
    locked.mkdir(exist_ok=True, parents=True)
    scan = os.scandir

    def refuse(path: object = ".") -> object:
        if os.fspath(path) == str(locked):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=f"cannot read the folder {locked} "):
        source.splits()


@pytest.mark.parametrize("raw", [b"caf\xe9", b"\x1b[31mred", b"two\nlines", "é 漢".encode()])
def test_names_of_any_bytes_are_stored_as_texts(tmp_path, raw):
    data = os.fsencode(tmp_path / "data")
    for label in (raw, b"other"):
        os.makedirs(os.path.join(data, label))
        for n in range(2):
            with open(os.path.join(data, label, raw + b"%d.wav" % n), "wb") as file:
                file.write(wav(spoken(n, n, 900), 8000))
    recipe = Recipe(
        name="test", title="", citation="", source={"name": "audio", "test_share": 0},
        chain=[{"name": "lyon"}, {"name": "bsa"}],
    )  # fmt: skip
    encode(recipe, tmp_path / "store.zarr", source_path=tmp_path / "data")
    classes = SpikeStore.open(tmp_path / "store.zarr").attributes["classes"]
    assert printable(os.fsdecode(raw)) in classes
    assert all(printable(name) == name for name in classes)


def test_home_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_idx(tmp_path / "digits", *pictures(20))
    assert Idx(path="~/digits").splits() == {"train": 20}
    assert load_recipe("mnist").build_source("~/digits").path == str(tmp_path / "digits")
    assert load_recipe("mnist").override({"source.path": "~/digits"}).build_source().path == str(
        tmp_path / "digits"
    )
    with pytest.raises(DataError, match=r"~nobody_of_this_name/x"):
        Nmnist(path="~nobody_of_this_name/x").splits()


def test_a_table_that_is_too_large(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("path,label\n" + "a/1.wav,x\n" * 1000)
    with pytest.raises(DataError, match=r"the table .*table\.csv takes .*source\.max_bytes="):
        AudioFiles(path=str(table), max_bytes=100_000).splits()
    table.write_bytes(b"path,label\na\0b.wav,x\n")
    with pytest.raises(DataError, match=r"line 2 has a line break, or another control, in a\\x00b\.wav"):
        AudioFiles(path=str(table)).splits()


def test_limits_are_no_part_of_a_store(tmp_path):
    data = Path(FOLDERS["idx"](tmp_path / "data"))
    recipe = Recipe(
        name="test", title="", citation="", source={"name": "idx"}, chain=[{"name": "poisson", "steps": 8}]
    )
    encode(recipe, tmp_path / "store.zarr", source_path=data)
    raised = recipe.override({"source.max_bytes": "2_000_000_000", "source.max_ratio": 5000})
    assert encode(raised, tmp_path / "store.zarr", source_path=data).encoded == 0  # the same store
