"""HDF5 files of many event recordings: torchneuromorphic's and aertb's, and files that are unclear or wrong."""

from __future__ import annotations

import pickle
import tarfile

import h5py
import numpy as np
import pytest

from spikeprep.errors import DataError, UsageError
from spikeprep.eventfiles import read
from spikeprep.sources.events import EventFolder

from ..assets import asset
from .event_folders import aertb_file, moving_bar, torchneuromorphic_file

SIZE = (34, 34)


def source_of(path, **settings):
    return EventFolder(path=str(path), **{"size": SIZE, **settings})


def samples(source):
    return {s: {(x := source.read(s, n)).id: x for n in range(size)} for s, size in source.splits().items()}


@pytest.mark.parametrize("order", ["pxy", "xyp"])
def test_torchneuromorphic(tmp_path, order):
    source = source_of(torchneuromorphic_file(tmp_path / "n_mnist.hdf5", order=order))
    found = samples(source)
    assert {split: sorted(ids) for split, ids in found.items()} == {
        "train": sorted(f"n_mnist.hdf5@data/{key}" for key in range(8)),
        "test": [f"n_mnist.hdf5@data/{key}" for key in (10, 11, 8, 9)],
    }
    for ids in found.values():
        for id_, sample in ids.items():
            key = int(id_.rpartition("/")[2])
            assert source.classes[sample.label] == str(key % 3)
            np.testing.assert_array_equal(sample.signal.array, moving_bar(key % 3, key))
    assert [source.group("train", n) for n in range(8)] == [
        0,
        1,
        2,
        3,
        4,
        0,
        1,
        2,
    ]  # user00 to user04, in order
    facts = source.provenance()
    assert "addrs" in facts["note"]
    assert any("in more than one split, as the data say: the groups user00" in f for f in facts["findings"])
    copy = pickle.loads(pickle.dumps(source))  # another process
    for n in range(4):
        assert copy.read("test", n).signal.array.tobytes() == source.read("test", n).signal.array.tobytes()
        assert copy.digest("test", n) == source.digest("test", n) != b""


def test_names_of_classes(tmp_path):
    with h5py.File(torchneuromorphic_file(tmp_path / "a.hdf5"), "a") as file:
        file["extra"].create_dataset("label_order", data=np.array(["walk", "run", "sit"], "S10"))
    source = source_of(tmp_path)
    assert source.classes == ("run", "sit", "walk")
    sample = source.read("train", 1)
    assert (sample.id, source.classes[sample.label]) == ("a.hdf5@data/1", "run")


@pytest.mark.parametrize("off", [0, -1])
def test_aertb(tmp_path, off):
    """Times are seconds in 32 bits: a stamp differs by less than 0.02 µs here, and is rounded."""
    source = source_of(aertb_file(tmp_path / "cars.h5", off=off), test_share=0.4)
    found = samples(source)
    assert source.classes == ("bar", "dot")
    assert {split: len(ids) for split, ids in found.items()} == {"train": 6, "test": 4}
    for id_, sample in (item for ids in found.values() for item in ids.items()):
        name, n = id_.removeprefix("cars.h5@").split("/obj_")
        assert source.classes[sample.label] == name
        np.testing.assert_array_equal(sample.signal.array, moving_bar(sample.label, int(n)))
    assert "cars.h5 is the only file: 40% of each class are the test split" in source.provenance()["note"]


def test_a_file_for_each_split(tmp_path):
    for name, each in (("TRAIN.h5", 3), ("TEST.h5", 2)):
        aertb_file(tmp_path / name, each=each)
    source = source_of(tmp_path)
    assert source.splits() == {"train": 6, "test": 4}
    assert source.provenance()["findings"]  # the test recordings repeat those of training
    (tmp_path / "TEST.h5").rename(tmp_path / "train2.h5")
    with pytest.raises(DataError, match=r"two files of the split train: TRAIN\.h5 and train2\.h5"):
        source_of(tmp_path).splits()


def test_splits_labels_and_groups_that_a_file_states(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["sensor_resolution"] = [34, 34]
        for split in ("train", "val", "TEST"):
            for n in range(3):
                events = moving_bar(n % 2, n)
                group = file.create_group(f"{split}/{n}")
                for column, values in zip(("xs", "ys", "ts", "ps"), "xytp", strict=True):
                    group[column] = events[values]
                group["label"] = ["sit", "run", "walk"][n]
                group.attrs["subject"] = f"s{n}"
    source = source_of(tmp_path / "a.h5", size=())
    assert source.splits() == {"train": 3, "validation": 3, "test": 3}
    assert source.classes == ("run", "sit", "walk")
    assert source.group("train", 0) is not None
    np.testing.assert_array_equal(samples(source)["test"]["a.h5@TEST/1"].signal.array, moving_bar(1, 1))
    with h5py.File(tmp_path / "a.h5", "a") as file:  # two levels: a split and a class
        for node in [node for group in file.values() for node in group.values()]:
            del node["label"]
        for split in ("train", "val", "TEST"):
            file.move(split, f"{split}_/bar")
            file.move(f"{split}_", split)
    assert source_of(tmp_path / "a.h5", size=()).classes == ("bar",)


def test_settings(tmp_path):
    path = aertb_file(tmp_path / "a.h5", each=4)
    assert source_of(path, group_pattern=r"obj_(\d)").group("train", 0) is not None
    source = source_of(path, class_names=("dot", "bar"))
    assert source.classes == ("dot", "bar")
    assert source_of(path, test_groups=("3",), group_pattern=r"obj_(\d)").splits() == {"train": 6, "test": 2}
    assert source.limited(1).splits() == {"train": 1, "test": 1}
    with pytest.raises(UsageError, match=r"source\.test_list"):
        source_of(path, test_list="a.txt").splits()
    with h5py.File(path, "a") as file:
        file.move("bar", "inner/bar")
        file.move("dot", "inner/dot")
    with pytest.raises(DataError, match=r"recording inner/bar/obj_0 without a class"):
        source_of(path).splits()
    assert source_of(path, options={"group": "inner"}).classes == ("bar", "dot")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f["extra/test_keys"].__setitem__(0, 0), "recording 0 in two splits"),
        (lambda f: f["extra/test_keys"].__setitem__(0, 99), "no recording '99'"),
        (lambda f: f.move("data/3", "other"), "no recording '3'"),
        (lambda f: f["data/3"].__delitem__("labels"), "without a class"),
        (lambda f: [f["data/3"].__delitem__("times"), f["data/3"].__setitem__("times", [1, 2])], "different lengths"),
        (lambda f: f["data/3/addrs"].__setitem__((5, 1), 40), "x 40.*off the sensor|x = 40|event 5"),
        (lambda f: f["data/3/addrs"].__setitem__((5, 0), 9), "polarity|p"),
        (lambda f: f.__setitem__("data/3/link", h5py.ExternalLink("/etc/passwd", "/")), "an external link"),
        (lambda f: [f["extra"].__delitem__("test_keys")], "splits of some recordings only: 4 have none"),
    ],
)  # fmt: skip
def test_torchneuromorphic_files_that_are_wrong(tmp_path, change, words):
    with h5py.File(torchneuromorphic_file(tmp_path / "a.hdf5"), "a") as file:
        change(file)
    with pytest.raises(DataError, match=words) as caught:
        source_of(tmp_path / "a.hdf5").splits()
    assert "a.hdf5" in str(caught.value)


def test_bad_recordings_are_named_and_may_be_left_out(tmp_path):
    with h5py.File(torchneuromorphic_file(tmp_path / "a.hdf5"), "a") as file:
        file["data/3/addrs"][5, 1] = 40
    with pytest.raises(DataError, match=r"one file cannot be used: a\.hdf5@data/3 ") as caught:
        source_of(tmp_path / "a.hdf5").splits()
    assert "source.skip_bad=true" in str(caught.value)
    assert source_of(tmp_path / "a.hdf5", skip_bad=True).splits() == {"train": 7, "test": 4}


def test_polarity_that_is_not_clear(tmp_path):
    path = torchneuromorphic_file(tmp_path / "a.hdf5")
    with h5py.File(path, "a") as file:
        for group in file["data"].values():
            group["addrs"][:, 2] = 1  # all in one row
    with pytest.raises(DataError, match=r"the column of polarity is not clear.*columns=tpxy or"):
        source_of(path).splits()
    source = source_of(path, options={"columns": "tpxy"})
    assert set(source.read("train", 0).signal.array["y"]) == {1}


def test_other_files(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["frames"] = np.zeros((3, 5, 5))
    with pytest.raises(DataError, match=r"a\.h5 has no recordings of events: the data sets frames"):
        source_of(tmp_path / "a.h5").splits()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in "xytp":
            file[f"events/{name}"] = np.arange(5) % 2
    with pytest.raises(DataError, match=r"the recording events without a class, of 1"):
        source_of(tmp_path / "a.h5").splits()
    aertb_file(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file.copy("bar", "root")
        file["about"] = np.zeros(3)
    findings = " ".join(source_of(tmp_path / "a.h5").provenance()["findings"])
    assert "5 recordings in root of a.h5, of no class" in findings
    assert "no events: the data sets about" in findings


def test_a_file_that_changes(tmp_path):
    path = torchneuromorphic_file(tmp_path / "a.hdf5")
    source = source_of(path)
    source.splits()
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 3] ^= 1
    path.write_bytes(whole[:-8])
    copy = pickle.loads(pickle.dumps(source))
    with pytest.raises(DataError):
        copy.splits()


def test_real_recordings_in_one_file_are_those_of_their_own_files(tmp_path):
    """N-MNIST, as torchneuromorphic stores it."""
    wanted = {}
    with (
        tarfile.open(asset("data/nmnist/NMNISTsmall_train1K.tar.xz")) as tar,
        h5py.File(tmp_path / "n_mnist.hdf5", "w") as file,
    ):
        for member in tar:
            if len(wanted) == 20 or not member.name.endswith(".bs2"):
                continue
            recording = tmp_path / f"{len(wanted)}.bin"
            recording.write_bytes(tar.extractfile(member).read())
            events = read(recording).array
            group = file.create_group(f"data/{len(wanted)}")
            group.create_dataset("times", data=events["t"], dtype=np.uint32)
            group.create_dataset("addrs", data=np.stack([events[c] for c in "pxy"], 1), dtype=np.uint8)
            group.create_dataset("labels", data=len(wanted) % 10, dtype=np.uint8)
            wanted[f"n_mnist.hdf5@data/{len(wanted)}"] = events
        file["extra/train_keys"] = np.arange(20)
    for id_, sample in samples(source_of(tmp_path / "n_mnist.hdf5"))["train"].items():
        np.testing.assert_array_equal(sample.signal.array, wanted[id_])


def test_signals_of_a_file(tmp_path):
    """As `predict` reads a file: all of its recordings, or its only one."""
    source = source_of(tmp_path)
    found = source.signals_of(aertb_file(tmp_path / "a.h5", each=2), "")
    assert [len(signal.array) for signal in found] == [400] * 4
    with h5py.File(tmp_path / "b.h5", "w") as file:
        for column in "xytp":
            file[f"events/{column}"] = moving_bar(0, 0)[column]
        file.copy("events", "other")
    (one,) = source_of(tmp_path, options={"group": "other"}).signals_of(tmp_path / "b.h5", "")
    np.testing.assert_array_equal(one.array, moving_bar(0, 0))
    with h5py.File(tmp_path / "b.h5", "a") as file:
        file["other/x"][3] = 40
    with pytest.raises(DataError, match=r"one file cannot be used: b\.h5@other .*event 3"):
        source.signals_of(tmp_path / "b.h5", "")


def test_one_recording_of_many(tmp_path):
    path = torchneuromorphic_file(tmp_path / "a.hdf5")
    found = read(path, size=SIZE, group="data/2")
    np.testing.assert_array_equal(found.array, moving_bar(2, 2))


def test_recordings_in_several_files(tmp_path):
    """EVIMO2's folders, one for each recording, with frames and depth beside the events."""
    for label, name in enumerate(("bar", "dot")):
        for n in range(5):
            folder = tmp_path / name / f"scene_{label}{n}"
            folder.mkdir(parents=True)
            events = moving_bar(label, n)
            np.save(folder / "dataset_events_t.npy", events["t"][:, None] / 1e6)
            np.save(folder / "dataset_events_xy.npy", np.stack([events["x"], events["y"]], 1))
            np.save(folder / "dataset_events_p.npy", events["p"][:, None])
            np.savez(folder / "dataset_depth.npz", depth_0=np.zeros((4, 4)))
            np.savez(folder / "dataset_info.npz", meta=np.array({"a": 1}, object))
    source = source_of(tmp_path)
    found = samples(source)
    assert {split: len(ids) for split, ids in found.items()} == {"train": 8, "test": 2}
    for id_, sample in (item for ids in found.values() for item in ids.items()):
        name, folder, file = id_.split("/")
        assert file == "dataset_events_t.npy"
        assert source.classes[sample.label] == name
        np.testing.assert_array_equal(sample.signal.array, moving_bar(sample.label, int(folder[-1])))
    findings = " ".join(source.provenance()["findings"])
    assert "left out, beside recordings in several files: bar/scene_00/dataset_depth.npz" in findings
