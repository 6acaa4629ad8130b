import re

import numpy as np
import pytest

from spikeprep.errors import DataError, UsageError
from spikeprep.recipes import load_recipe
from spikeprep.sources import event_recordings
from spikeprep.sources.events import EventFolder

from ..assets import asset
from ..eventfiles.writing import aedat2_bytes
from .event_folders import class_folder, moving_bar, put


def everything(source):
    return {split: [source.read(split, n) for n in range(size)] for split, size in source.splits().items()}


def test_a_folder_is_split_by_class_and_shuffled(tmp_path):
    source = EventFolder(path=str(class_folder(tmp_path)))
    (tmp_path / "bar/notes.txt").write_text("ignored")
    samples = everything(source)
    assert source.classes == ("bar", "dot", "wave")
    assert {split: len(s) for split, s in samples.items()} == {"train": 24, "test": 6}
    assert [sum(s.label == c for s in samples["test"]) for c in range(3)] == [2, 2, 2]
    assert len({s.label for s in samples["train"][:8]}) == 3
    for sample in (*samples["train"], *samples["test"]):
        name, n = sample.id.removesuffix(".bin").split("/")
        assert source.classes[sample.label] == name
        np.testing.assert_array_equal(sample.signal.array, moving_bar(sample.label, int(n)))
    other = EventFolder(path=str(tmp_path), split_seed=1)
    assert {s.id for s in everything(other)["test"]} != {s.id for s in samples["test"]}


def test_a_table_with_a_split(tmp_path):
    class_folder(tmp_path / "all", each=2)
    table = tmp_path / "table.csv"
    table.write_text("file,label,split\nall/bar/0.bin,line,train\nall/dot/1.bin,point,test\n")
    samples = everything(EventFolder(path=str(table)))
    assert {split: [(s.id, s.label) for s in found] for split, found in samples.items()} == {
        "train": [("all/bar/0.bin", 0)],
        "test": [("all/dot/1.bin", 1)],
    }
    table.write_text("file,label\nall/bar/7.bin,line\n")
    with pytest.raises(DataError, match=r"all/bar/7\.bin does not exist"):
        EventFolder(path=str(table)).splits()


def test_large_recordings_are_streamed_and_read_the_same(tmp_path, monkeypatch):
    class_folder(tmp_path, each=2)
    whole = everything(EventFolder(path=str(tmp_path), test_share=0))["train"]
    monkeypatch.setattr(event_recordings, "IN_MEMORY_EVENTS", 150)
    streamed = everything(EventFolder(path=str(tmp_path), test_share=0))["train"]
    for one, other in zip(whole, streamed, strict=True):
        assert len(one.signal.pieces) == 1
        assert [len(piece) for piece in other.signal.pieces] == [150, 150, 100]
        np.testing.assert_array_equal(one.signal.array, other.signal.array)
        assert one.signal.length() == other.signal.length() == other.signal.duration


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: None, "no class folders"),
        (lambda p: (p / "bar").mkdir(), "bar has no recordings"),
        (lambda p: (class_folder(p), (p / "dot/0.bin").write_bytes(b"")), r"dot/0\.bin is empty"),
        (lambda p: (class_folder(p), (p / "dot/0.bin").write_bytes(b"#!AER-DAT2.0\r\nx\r\n")), "AEDAT 2"),
        (lambda p: put(p / "a/x.bin", np.roll(moving_bar(0, 1), 5)), " is before "),
    ],
)  # fmt: skip
def test_data_that_cannot_be_used(tmp_path, make, words):
    make(tmp_path)
    with pytest.raises(DataError, match=words):
        EventFolder(path=str(tmp_path)).splits()


def test_no_folder(tmp_path):
    for path in ("", str(tmp_path / "no")):
        with pytest.raises(DataError, match="source=FOLDER"):
            EventFolder(path=path).splits()


def test_arguments_of_the_format_are_named_as_settings(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x.aedat").write_bytes(aedat2_bytes(moving_bar(1, 0), "DAVIS999"))
    with pytest.raises(
        DataError, match=r"use source\.options\.camera=NAME .*source\.size=\[width,height\] if"
    ):
        EventFolder(path=str(tmp_path), test_share=0).splits()
    recipe = load_recipe("events").override({"source.options.camera": "DAVIS346", "source.test_share": "0"})
    assert recipe.open_source(tmp_path).read("train", 0).signal.size == (346, 260)


def test_settings_reach_the_format(tmp_path):
    put(tmp_path / "a/x.bin", moving_bar(1, 0, size=(60, 60)))
    with pytest.raises(
        DataError, match=r"off the sensor.*use source\.size=\[width,height\].*use source\.invalid=drop"
    ):
        EventFolder(path=str(tmp_path), test_share=0).splits()
    source = EventFolder(path=str(tmp_path), test_share=0, size=(60, 60))
    assert source.read("train", 0).signal.size == (60, 60)
    assert source.outline("train", 0).size == (60, 60)
    (tmp_path / "a/x.bin").rename(tmp_path / "a/x.recording")
    named = EventFolder(path=str(tmp_path), test_share=0, size=(60, 60), format="nmnist")
    assert named.splits() == {"train": 1}
    with pytest.raises(UsageError, match="no setting 'camera'"):
        EventFolder(path=str(tmp_path), format="nmnist", options={"camera": "x"}).splits()
    with pytest.raises(UsageError, match="unknown event format"):
        EventFolder(path=str(tmp_path), format="nmist").splits()


@pytest.mark.parametrize(
    ("columns", "fix"),
    [
        ({"p": [0, -1, 1]}, "source.options.off=-1 if 0 is an error"),
        ({"t": [1e6, 1e6 + 30.5, 1e6 + 60]}, "source.options.unit=ms"),
        ({"t": [3, 1, 2]}, "source.options.order=sort"),
    ],
)
def test_a_fix_is_a_setting(tmp_path, columns, fix):
    (tmp_path / "a").mkdir()
    rows = {"x": [1, 2, 3], "y": [1, 2, 3], "t": [10, 20, 30], "p": [1, 0, 1]} | columns
    np.savez(tmp_path / "a/x.npz", **rows)
    with pytest.raises(DataError) as caught:
        EventFolder(path=str(tmp_path), test_share=0, size=(9, 9)).splits()
    assert fix in str(caught.value)
    assert str(caught.value).count("source.invalid=drop") == ("order" in fix)  # each fix is named once


def test_what_the_data_decide_is_noted(tmp_path):
    for n, start in enumerate((0, 5_000_000, 6_000_000)):
        bar = moving_bar(1, n)
        bar["t"] += start
        (tmp_path / "a").mkdir(exist_ok=True)
        np.savez(tmp_path / f"a/{n}.npz", **{name: bar[name] for name in "xytp"})
    source = EventFolder(path=str(tmp_path), test_share=0, size=(34, 34))
    note = source.provenance()["note"]
    assert "source.options.origin=stored keeps them (a/" in note
    assert "t is in µs, as it has whole numbers (a/" in note
    assert note.endswith(" of 3 files: 0.2988 to 0.3006 s)")
    assert all(source.read("train", n).signal.array["t"][0] < 10_000 for n in range(3))


def test_real_recordings_of_several_formats(tmp_path):
    folder = asset("data/event_files")
    for name in ("loris_test.es", "tonic_sample_ncars.dat", "expelliarmus_evt2_sample.raw"):
        (tmp_path / "a").mkdir(exist_ok=True)
        (tmp_path / "a" / name).write_bytes((folder / name).read_bytes())
    source = EventFolder(path=str(tmp_path), test_share=0)
    for sample in everything(source)["train"]:
        events = sample.signal.array
        assert len(events)
        assert events["x"].max() < sample.signal.size[0]
        assert events["y"].max() < sample.signal.size[1]


def test_one_finding_of_many_files_is_one_text(tmp_path):
    events = moving_bar(0, 0)
    events[:5] = events[0]
    for n in range(5):
        put(tmp_path / f"a/{n}.bin", events)
    (finding,) = [
        text for text in EventFolder(path=str(tmp_path)).provenance()["findings"] if "padded" in text
    ]
    assert re.match(
        r"(a/\d.bin, ){2}a/\d.bin and 2 more: the first 5 events are one event \(x 6, y 30\)", finding
    )
