from dataclasses import replace

import numpy as np
import pytest

from spikeprep.errors import DataError, UsageError
from spikeprep.sources.audio import AudioFiles
from spikeprep.sources.events import EventFolder
from spikeprep.sources.fsdd import Fsdd
from spikeprep.sources.images import ImageFolder
from spikeprep.sources.series import SeriesSource
from spikeprep.sources.spikes import Spikes
from spikeprep.sources.ti46 import Ti46
from spikeprep.sources.tonic import TonicData

from .event_folders import gesture_folder, moving_bar
from .event_folders import put as put_events
from .sound_files import put, spoken, ti46_corpus, wav
from .spike_files import shd_file


def by_split(source):
    return {
        split: {(source.read(split, n).id, source.group(split, n)) for n in range(size)}
        for split, size in source.splits().items()
    }


@pytest.fixture
def digits(tmp_path):
    for speaker in ("theo", "Lucas", "yweweler"):
        for n in (0, 7):
            put(tmp_path / f"1_{speaker}_{n}.wav", wav(spoken(1, n, 300), 8000))
    return tmp_path


def test_speakers_of_fsdd(digits):
    published = Fsdd(path=str(digits))
    assert {group for found in by_split(published).values() for _, group in found} == {None}
    assert {id_.rpartition("_")[2] for id_, _ in by_split(published)["test"]} == {"0.wav"}
    found = by_split(Fsdd(path=str(digits), test_speakers=("lucas",)))
    assert found["test"] == {("1_Lucas_0.wav", 0), ("1_Lucas_7.wav", 0)}
    assert {group for _, group in found["train"]} == {1, 2}


def test_speakers_of_ti46(tmp_path):
    root = ti46_corpus(tmp_path)
    found = by_split(Ti46(path=str(root), test_speakers=("M3",)))
    assert {id_.split("/")[-2] for id_, _ in found["test"]} == {"m3"}
    assert "m3" not in {id_.split("/")[-2] for id_, _ in found["train"]}
    assert len(found["train"]) + len(found["test"]) == 36
    with pytest.raises(DataError, match=r"names m9, which the data do not have.*m3"):
        Ti46(path=str(root), test_speakers=("m9",)).splits()


def test_groups_of_files_by_their_paths(tmp_path):
    for label in ("no", "yes"):
        for n in range(4):
            put(tmp_path / label / f"s{n}.wav", wav(spoken(1, n, 300), 8000))
    pattern = {"path": str(tmp_path), "group_pattern": "s([0-9])"}
    found = by_split(AudioFiles(**pattern, test_groups=(1, "3")))
    assert {id_[-6:] for id_, _ in found["test"]} == {"s1.wav", "s3.wav"}
    assert {id_[-6:] for id_, _ in found["train"]} == {"s0.wav", "s2.wav"}
    with pytest.raises(DataError, match="every group"):
        AudioFiles(**pattern, test_groups=("0", "1", "2", "3")).splits()
    with pytest.raises(DataError, match="the data have none"):
        AudioFiles(path=str(tmp_path), test_groups=("1",)).splits()


def test_groups_of_series(tmp_path):
    x = np.random.default_rng(0).normal(size=(6, 9))
    arrays = {"X": x, "y": [0, 1] * 3, "subject": [1, 1, 2, 2, 3, 3]}
    np.savez(tmp_path / "a.npz", **arrays)
    found = by_split(SeriesSource(path=str(tmp_path / "a.npz"), test_groups=(2,), window=3))
    assert {id_.partition("@")[0] for id_, _ in found["test"]} == {"a.npz:2", "a.npz:3"}
    assert {group for _, group in found["test"]} == {1}
    assert len(found["train"]) == 12
    np.savez(tmp_path / "b.npz", **arrays, split=["train", "test"] * 3)
    with pytest.raises(DataError, match=r"has splits of its own, and source\.test_groups gives others"):
        SeriesSource(path=str(tmp_path / "b.npz"), test_groups=(2,)).splits()


# ------------------------------------------------------------ of every source: no group is cut

PEOPLE = r"s(\d)_"  # in the name of a file: s3_0.wav


def images(root):
    Image = pytest.importorskip("PIL.Image")
    for label in ("a", "b"):
        (root / label).mkdir(parents=True)
        for n in range(20):
            pixels = np.random.default_rng([n, label == "a"]).integers(0, 256, (4, 4), dtype=np.uint8)
            Image.fromarray(pixels).save(root / label / f"s{n % 5}_{n}.png")
    return ImageFolder(path=str(root), group_pattern=PEOPLE)


def image_table(root):
    images(root)
    rows = [
        f"{file.relative_to(root)},{file.parent.name},{file.name[1]}" for file in sorted(root.rglob("*.png"))
    ]
    (root / "list.csv").write_text("\n".join(["path,label,participant", *rows]))
    return ImageFolder(path=str(root / "list.csv"))


def sounds(root):
    for n in range(20):
        put(root / "ab"[n % 2] / f"s{n % 5}_{n}.wav", wav(spoken(n % 2, n, 300), 8000))
    return AudioFiles(path=str(root), group_pattern=PEOPLE)


def events(root):
    for label in ("a", "b"):
        for n in range(10):
            put_events(root / label / f"s{n % 5}_{n}.bin", moving_bar(n % 3, n + 10 * (label == "a")))
    return EventFolder(path=str(root), group_pattern=PEOPLE)


def series(root):
    subjects = np.arange(20) % 5
    x = np.random.default_rng(0).normal(size=(20, 9))
    np.savez(root / "a.npz", X=x, y=np.arange(20) // 10, subject=subjects)
    return SeriesSource(path=str(root / "a.npz"), window=4)


def spikes(root):
    return Spikes(path=str(shd_file(root / "shd.h5", 20)), units=20)


def gestures(root):
    return TonicData(path=str(gesture_folder(root, train=5, test=0)), dataset="DVSGesture")


@pytest.mark.parametrize("build", [images, image_table, sounds, events, series, spikes, gestures])
def test_no_group_is_cut(tmp_path, build):
    if build is gestures:
        pytest.importorskip("tonic")
    source = build(tmp_path)
    sizes = source.splits()
    of_split = {s: [source.group(s, n) for n in range(size)] for s, size in sizes.items()}
    assert {*sizes} == {"train", "test"}
    assert {*of_split["train"]} | {*of_split["test"]} == {*range(5)}
    assert not {*of_split["train"]} & {*of_split["test"]}
    name = {gestures: "user03", spikes: "speaker 3"}.get(build, "3")
    chosen = replace(source, test_groups=(name,))
    sizes = chosen.splits()
    of_split = {s: {chosen.group(s, n) for n in range(size)} for s, size in sizes.items()}
    assert len(of_split["test"]) == 1
    assert len(of_split["train"]) == 4
    assert not of_split["train"] & of_split["test"]
    ids = {chosen.read("test", n).id for n in range(sizes["test"])}
    if build in (images, image_table, sounds, events):
        assert all("/s3_" in id_ for id_ in ids)
    elif build is gestures:
        assert all("/user03_" in id_ for id_ in ids)
    else:  # numbered in the order of the file, whose groups are 0 to 4 in turn
        assert {int(id_.partition("@")[0].rpartition(":")[2]) % 5 for id_ in ids if ":" in id_} <= {3}
    with pytest.raises(DataError, match="which the data do not have"):
        replace(source, test_groups=("nobody",)).splits()


def test_persons_of_tonics_data_sets(tmp_path):
    pytest.importorskip("tonic")
    root = gesture_folder(tmp_path, train=3, test=2)
    published = TonicData(path=str(root), dataset="DVSGesture")
    found = {split: {group for _, group in of} for split, of in by_split(published).items()}
    assert found == {"train": {0, 1, 2}, "test": {3, 4}}
    assert "findings" not in published.provenance()
    # in place of the published split
    other = TonicData(path=str(root), dataset="DVSGesture", test_groups=("user01", "user05"))
    assert {id_.split("/")[2][:6] for id_, _ in by_split(other)["test"]} == {"user01", "user05"}
    assert {id_.split("/")[2][:6] for id_, _ in by_split(other)["train"]} == {"user02", "user03", "user04"}
    light = TonicData(path=str(root), dataset="DVSGesture", group_pattern="_(led|lab)")
    assert {group for of in by_split(light).values() for _, group in of} == {0, 1}
    (finding,) = light.provenance()["findings"]
    assert finding == "in more than one split, as the data say: the groups lab, led"
    with pytest.raises(UsageError, match=r"tonic\.group_pattern = '\['"):
        TonicData(path=str(root), dataset="DVSGesture", group_pattern="[")
