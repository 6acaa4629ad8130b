"""Intervals of event recordings as samples: tables, and recordings with a table beside each."""

import pickle

import numpy as np
import pytest

from spikeprep.encoding.reencode import encoder_of, reencode
from spikeprep.encoding.run import encode
from spikeprep.errors import DataError
from spikeprep.recipes import load_recipe
from spikeprep.sources import event_recordings
from spikeprep.sources.events import EventFolder
from spikeprep.store import SpikeStore

from ..eventfiles.writing import aedat3_bytes
from .event_folders import moving_bar, put
from .test_changes import Elsewhere

CLOCK = 80_000_000  # µs at the first event of each recording
GESTURES = [
    (1, CLOCK, CLOCK + 99_999),
    (2, CLOCK + 100_000, CLOCK + 199_999),
    (3, CLOCK + 190_000, CLOCK + 290_000),
]


def gestures(root, users=("user01_led", "user01_lab", "user02_led", "user03_led", "user04_led")):
    """DVS128 Gesture's layout; every recording has its three gestures."""
    root.mkdir(exist_ok=True)
    for n, name in enumerate(users):
        events = moving_bar(1, n)
        events["t"] += CLOCK - events["t"][0]
        (root / f"{name}.aedat").write_bytes(aedat3_bytes(events))
        lines = "".join("{},{},{}\n".format(*gesture) for gesture in GESTURES)
        (root / f"{name}_labels.csv").write_text("class,startTime_usec,endTime_usec\n" + lines)
    return root


def test_gestures(tmp_path):
    source = EventFolder(path=str(gestures(tmp_path)))
    assert source.classes == ("1", "2", "3")
    assert source.splits() == {"train": 12, "test": 3}  # one of four users
    samples = {
        s.id: s for split, n in source.splits().items() for s in (source.read(split, i) for i in range(n))
    }
    assert len(samples) == 15
    events = moving_bar(1, 2)
    events["t"] += CLOCK - events["t"][0]
    for label, start, stop in GESTURES:
        sample = samples[f"user02_led.aedat@{start}-{stop}"]
        wanted = events[(events["t"] >= start) & (events["t"] < stop)]
        wanted["t"] -= start
        np.testing.assert_array_equal(sample.signal.array, wanted)
        assert (sample.label, sample.signal.length()) == (label - 1, stop - start)
    test = {source.read("test", n).id[:6] for n in range(3)}
    assert len(test) == 1
    groups = {source.read("train", n).id[:6]: source.group("train", n) for n in range(12)}
    assert sorted(groups) == sorted({"user01", "user02", "user03", "user04"} - test)
    assert len(set(groups.values())) == 3
    assert [text for text in source.provenance()["findings"] if "overlap" in text] == [
        f"intervals that overlap: {name}_labels.csv line 3 and 4"
        for name in ("user01_lab", "user01_led", "user02_led", "user03_led", "user04_led")
    ]


def test_lists_and_names_of_gestures(tmp_path):
    folder = gestures(tmp_path)
    (folder / "gesture_mapping.csv").write_text(
        "action,label\nair_drums,2\nhand_clapping,1\narm_roll,3\nother,11\n"
    )
    (folder / "trials_to_train.txt").write_text("user01_led.aedat\nuser02_led.aedat\n\n")
    (folder / "trials_to_test.txt").write_text("user03_led.aedat\n")
    source = EventFolder(path=str(folder))
    assert source.classes == ("hand_clapping", "air_drums", "arm_roll")
    assert source.splits() == {"train": 6, "test": 3}
    assert (
        "left out, as neither trials_to_train.txt nor trials_to_test.txt lists them: user01_lab.aedat, user04_led.aedat"
        in source.provenance()["findings"]
    )
    (folder / "trials_to_test.txt").write_text("user03_led.aedat\nuser09_led.aedat\n")
    with pytest.raises(DataError, match=r"trials_to_test\.txt lists user09_led\.aedat, which does not exist"):
        EventFolder(path=str(folder)).splits()
    (folder / "trials_to_test.txt").write_text("user02_led.aedat\n")
    with pytest.raises(DataError, match=r"user02_led\.aedat in both"):
        EventFolder(path=str(folder)).splits()
    (folder / "gesture_mapping.csv").write_text("action,label\nhand_clapping,1\n")
    (folder / "trials_to_test.txt").write_text("")
    with pytest.raises(DataError, match="no name for the label 2"):
        EventFolder(path=str(folder)).splits()


def test_folders_beside_and_above_gestures(tmp_path):
    folder = gestures(tmp_path / "DvsGesture")
    with pytest.raises(
        DataError, match=r"DvsGesture has recordings with tables of intervals.*source='.*DvsGesture'"
    ):
        EventFolder(path=str(tmp_path)).splits()
    put(folder / "more" / "a.bin", moving_bar(0, 0))
    put(folder / "b.bin", moving_bar(0, 0))
    findings = EventFolder(path=str(folder)).listing().findings
    assert "left out, as they are in folders below: more/a.bin" in findings
    assert "left out, as no _labels.csv is beside them: b.bin" in findings


def test_a_recording_is_checked_once(tmp_path, monkeypatch):
    passes = []
    scan = event_recordings.scan_intervals
    monkeypatch.setattr(
        event_recordings,
        "scan_intervals",
        lambda file, *a, **k: passes.append(file.name) or scan(file, *a, **k),
    )
    source = EventFolder(path=str(gestures(tmp_path)), test_share=0)
    assert source.splits() == {"train": 15}
    assert len(passes) == 5
    digests = [source.read("train", n) and source.digest("train", n) for n in range(15)]
    copy = pickle.loads(pickle.dumps(source))  # as in another process, where nothing was scanned
    assert [copy.read("train", n) and copy.digest("train", n) for n in range(15)] == digests
    assert len(set(digests)) == 15
    assert len(passes) == 10
    assert source.limited(2).splits() == {"train": 2}
    assert len(passes) <= 12


def test_intervals_that_cannot_be_used(tmp_path):
    put(tmp_path / "a.bin", moving_bar(0, 0))  # to 300 ms
    table = tmp_path / "t.csv"
    table.write_text(
        "path,label,start_ms,stop_ms,split\na.bin,x,0,150,train\na.bin,y,150,400,train\na.bin,y,400,500,train\n"
        "a.bin,z,9,9,train\nb.bin,x,0,1,train\n"
    )
    with pytest.raises(DataError) as error:
        EventFolder(path=str(table)).splits()
    for words in (
        "t.csv line 5 has an interval from 9000 to 9000 µs",
        "a.bin (t.csv line 4) has no events from 400,000 to 500,000 µs",
        "b.bin does not exist",
        "source.skip_bad=true",
    ):
        assert words in str(error.value)
    source = EventFolder(path=str(table), skip_bad=True)
    assert source.splits() == {"train": 2}
    facts = source.provenance()
    assert len(facts["left_out"]) == 3
    (finding,) = [text for text in facts["findings"] if "after the last event" in text]
    assert finding.startswith(
        "intervals that end after the last event of their recording: a.bin@150000-400000 by 1"
    )
    (tmp_path / "a.bin").write_bytes((tmp_path / "a.bin").read_bytes()[:-1])
    with pytest.raises(DataError) as error:
        EventFolder(path=str(table)).splits()
    assert str(error.value).count("is truncated") == 1  # once for the file


def test_every_way_of_encoding_gives_the_same_store(tmp_path):
    folder = gestures(tmp_path / "data", ("user01_led", "user02_led"))
    recipe = load_recipe("dvs-gesture")
    options = {"source_path": folder, "seed": 1}
    encode(recipe, tmp_path / "here.zarr", workers=2, **options)
    encode(recipe, tmp_path / "elsewhere.zarr", executor=Elsewhere(), **options)
    stores = [SpikeStore.open(tmp_path / f"{name}.zarr") for name in ("here", "elsewhere")]
    assert stores[0].digest() == stores[1].digest()
    assert stores[0].attributes["samples"] == {"train": 3, "test": 3}
    assert stores[0]["train"].steps.tolist() == [300] * 3
    assert reencode(stores[0], encoder_of(stores[0], folder), 6) == []
