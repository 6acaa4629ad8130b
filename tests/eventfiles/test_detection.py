"""Detection of formats, and settings that are not allowed."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from spikeprep.errors import CapabilityError, DataError, UsageError
from spikeprep.eventfiles import ChangedEvents, Changes, detect, open_events, outline, read

from . import writing
from .test_formats import FORMS, recording


@pytest.mark.parametrize("name", FORMS)
def test_content_decides_under_an_unknown_ending(tmp_path, name):
    form = FORMS[name]
    path = form.put(tmp_path, recording(form, 50))
    if form.name in ("nmnist", "ncaltech101"):
        with pytest.raises(
            DataError,
            match=r"expected an event recording\. Fetch it again, or pass its format.*format='ncaltech101'",
        ):
            read(path.rename(tmp_path / "recording.events"))
        return
    expected = read(path, **form.settings()).array
    path = path.rename(tmp_path / "RECORDING.events")
    np.testing.assert_array_equal(read(path, **form.settings()).array, expected)


def test_another_format_under_a_known_ending_is_named(tmp_path):
    events = recording(FORMS["aedat4"], 50)
    path = tmp_path / "00001.bin"
    path.write_bytes(writing.aedat4_bytes(events))
    with pytest.raises(
        DataError, match=r"holds AEDAT 4, but its name ends like N-MNIST .bin.*format='aedat4'"
    ):
        read(path)
    with pytest.raises(
        DataError, match=r"begins with .*: AEDAT 4; expected N-MNIST .bin. Pass format='aedat4'"
    ):
        read(path, format="nmnist")
    assert len(read(path, format="aedat4").array) == 50
    changes: list[Changes] = []
    assert len(read(path, invalid="clip", report=changes.append).array) == 50
    assert "holds AEDAT 4" in str(changes[0])
    with pytest.warns(ChangedEvents, match="holds AEDAT 4"):
        assert len(open_events(path, invalid="drop").array) == 50


def test_a_file_of_another_format_than_named(tmp_path):
    path = tmp_path / "a.raw"
    path.write_bytes(writing.evt3_bytes(recording(FORMS["evt3"], 50)))
    with pytest.raises(
        DataError,
        match=r"begins with '% evt 3.0.*: Prophesee EVT3 .raw; expected Prophesee EVT2 .raw. Pass format='evt3'",
    ):
        read(path, format="evt2")


def test_words_of_evt2_under_a_header_of_evt3(tmp_path):
    path = tmp_path / "a.raw"
    events = recording(FORMS["evt2"], 50)
    path.write_bytes(writing.evt2_bytes(events, "% evt 3.0\n% geometry 64x48\n% end\n"))
    words = "or state EVT 2.0 in the header if the words are of that, not EVT 3.0, or pass invalid='drop'"
    with pytest.raises(DataError, match=rf"lies off the sensor.* is not 64 × 48, {words}"):
        read(path)


@pytest.mark.parametrize("suffix", [".aedat", ".aedat4", ".raw", ".dat", ".es", ".h5", ".npz", ".npy"])
def test_bytes_that_are_not_a_recording(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(bytes(range(200)))
    with pytest.raises(
        DataError, match=r"a\.\w+ begins with .*; expected .*pass its format.*format='nmnist'"
    ):
        read(path)


@pytest.mark.parametrize("name", [".bin", ".aedat", ".raw", ".h5", ".anything"])
def test_an_empty_file(tmp_path, name):
    path = tmp_path / f"a{name}"
    path.touch()
    for look in (read, outline, open_events):
        with pytest.raises(DataError, match=r"is empty \(0 bytes\)"):
            look(path, invalid="drop")


def test_no_file(tmp_path):
    with pytest.raises(DataError, match=r"gone\.bin cannot be read \(No such file"):
        read(tmp_path / "gone.bin")
    with pytest.raises(DataError, match="is a folder; expected a regular file"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "evt5"}, "unknown event format 'evt5'.*Did you mean"),
        ({"camera": "DVS128"}, "nmnist has no setting 'camera'"),
        ({"invalid": "ignore"}, "got invalid 'ignore'; expected one of fail, clip, drop"),
        ({"size": (0, 34)}, r"got size \(0, 34\)"),
        ({"size": (34, 65536)}, r"got size \(34, 65536\)"),
    ],
)
def test_settings_that_are_not_allowed(tmp_path, options, message):
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(5))
    with pytest.raises(UsageError, match=message):
        read(path, **options)


def test_pieces_have_at_least_one_event(tmp_path):
    with pytest.raises(UsageError, match="got piece_events 0"):
        open_events(tmp_path / "a.bin", piece_events=0)


@pytest.mark.parametrize(
    ("name", "library"), [("aedat4 LZ4", "lz4"), ("aedat4 Zstandard", "zstandard"), ("hdf5", "h5py")]
)
def test_a_missing_library_is_named(tmp_path, monkeypatch, name, library):
    form = FORMS[name]
    path = form.put(tmp_path, recording(form, 50))
    for module in (library, f"{library}.frame"):
        monkeypatch.setitem(importlib.sys.modules, module, None)
    with pytest.raises(CapabilityError, match=rf"{library} is not installed.*spikeprep\[events\]"):
        read(path)


def test_a_format_of_another_package(tmp_path, monkeypatch):
    info = tmp_path / "texts-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: texts\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[spikeprep.event_formats]\nlines = event_texts:Text\nbroken = no_such_module:Nothing\n"
    )
    (tmp_path / "event_texts.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    detect._formats.cache_clear()
    try:
        (tmp_path / "a.txt").write_text("t x y p\n10 1 2 1\n20 3 4 0\n")
        events = read(tmp_path / "a.txt")
        assert events.size == (5, 5)
        assert events.array.tolist() == [(1, 2, 10, 1), (3, 4, 20, 0)]
        with pytest.raises(DataError, match="event 1: x 3, y 4 lies off"):
            read(tmp_path / "a.txt", size=(3, 3))
    finally:
        detect._formats.cache_clear()


PLUGIN = '''
from dataclasses import dataclass
import numpy as np
from spikeprep.data import EVENT
from spikeprep.eventfiles import Chunk, ChunkDecoder, EventFormat


class Lines(ChunkDecoder):
    size = (5, 5)

    def __init__(self, path):
        self.path = path
        super().__init__()

    def chunks(self):
        for line in self.path.read_text().splitlines()[1:]:
            t, x, y, p = map(int, line.split())
            yield Chunk(np.array([(x, y, t, p)], EVENT))

    def max_events(self):
        return None

    def incomplete_end(self):
        return ""


@dataclass(frozen=True)
class Text(EventFormat):
    """A line per event."""

    name = "lines"
    title = "lines"
    extensions = (".txt",)

    @classmethod
    def matches(cls, head):
        return head.startswith(b"t x y p")

    def decoder(self, file):
        return Lines(file.path)
'''
