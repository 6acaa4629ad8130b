import os
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from spikeprep.errors import CapabilityError, DataError, UsageError
from spikeprep.eventfiles import read
from spikeprep.sources.tonic import TonicData
from spikeprep.sources.tonic_samples import as_events, transformed

from ..assets import asset
from .event_folders import moving_bar, poker_folder

tonic = pytest.importorskip("tonic")


def poker(path, **settings):
    return TonicData(path=str(path), dataset="POKERDVS", **settings)


def everything(source):
    return {split: [source.read(split, n) for n in range(size)] for split, size in source.splits().items()}


def test_the_two_parts_are_the_splits(tmp_path):
    source = poker(poker_folder(tmp_path, train=20, test=24))
    samples = everything(source)
    assert source.classes == ("cl", "he", "di", "sp")
    assert {split: len(s) for split, s in samples.items()} == {"train": 20, "test": 24}
    for split, found in samples.items():
        part = tonic.datasets.POKERDVS(str(tmp_path), train=split == "train")
        theirs = {events.tobytes(): target for events, target in part}
        assert len(theirs) == len(found)
        for sample in found:
            events = sample.signal.array
            plain = np.zeros(len(events), part.dtype)
            for axis in "txyp":
                plain[axis] = events[axis]
            assert theirs[plain.tobytes()] == sample.label
            assert sample.signal.size == (35, 35)
    assert len({s.label for s in samples["train"][:8]}) > 1  # shuffled
    facts = source.provenance()
    assert facts["tonic"] == tonic.__version__
    assert "note" not in facts
    again = poker(tmp_path / "POKERDVS")  # the data set's own folder is accepted
    assert [s.id for s in everything(again)["test"]] == [s.id for s in samples["test"]]


def test_where_only_the_training_part_exists(tmp_path, monkeypatch):
    poker_folder(tmp_path, train=20, test=0)

    def not_contained(dataset):  # some releases of tonic contain Poker-DVS
        dataset.download()

    monkeypatch.setattr(tonic.datasets.POKERDVS, "_copy_and_extract_local_data", not_contained, raising=False)
    source = poker(tmp_path)
    assert dict(source.splits()) == {"train": 16, "test": 4}
    assert sorted(s.label for s in everything(source)["test"]) == [0, 1, 2, 3]
    assert "no test part" in source.provenance()["note"]


def test_real_recordings_through_tonics_own_nmnist(tmp_path):
    archive = asset("data/nmnist/NMNISTsmall_train1K.tar.xz")
    home = tmp_path / "NMNIST"
    recordings = []
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.name.endswith(".bs2"):
                recordings.append(tmp_path / Path(member.name).name)
                recordings[-1].write_bytes(tar.extractfile(member).read())
                if len(recordings) == 20:
                    break
    for n in range(10_000):  # tonic takes fewer files for not unpacked
        file = home / f"Train/{n % 10}/{n:05}.bin"
        file.parent.mkdir(parents=True, exist_ok=True)
        os.link(recordings[n % 20], file)
    (home / "train.zip").write_bytes(b"the archive")
    source = TonicData(path=str(tmp_path), dataset="NMNIST")
    assert dict(source.splits()) == {"train": 8000, "test": 2000}
    assert source.classes[3] == "3 - three"
    for n in (0, 1, 1999):
        sample = source.read("test", n)
        assert str(sample.label) == sample.id.split("/")[2]
        ours = read(tmp_path / sample.id)
        assert ours.size == sample.signal.size == (34, 34)
        np.testing.assert_array_equal(ours.array, sample.signal.array)
    first = TonicData(path=str(tmp_path), dataset="NMNIST", options={"first_saccade_only": True})
    assert first.read("test", 0).signal.array["t"].max() < 100_000


def test_nothing_is_downloaded_by_default(tmp_path, monkeypatch):
    def fetch(*args, **kwargs):
        raise AssertionError("fetched")

    monkeypatch.setattr("urllib.request.urlopen", fetch)
    for dataset in (
        "NMNIST",
        "DVSGesture",
        "CIFAR10DVS",
        "SHD",
        "SSC",
        "NCALTECH101",
        "SMNIST",
        "ASLDVS",
        "NTIDIGITS18",
    ):
        source = TonicData(path=str(tmp_path), dataset=dataset)
        with pytest.raises(DataError, match=r"does not find.*source\.download=true"):
            source.splits()
    with pytest.raises(DataError, match="fetched"):
        TonicData(path=str(tmp_path), dataset="NMNIST", download=True).splits()


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        ("DVSGestur", "Did you mean 'DVSGesture'"),
        ("", "Known: ASLDVS"),
        ("DSEC", "no classes to learn"),
        ("MVSEC", "no classes to learn"),
    ],
)
def test_data_sets_that_cannot_be_used(tmp_path, dataset, words):
    with pytest.raises(UsageError, match=words):
        TonicData(path=str(tmp_path), dataset=dataset).splits()


def test_no_folder(tmp_path):
    for path in ("", str(tmp_path / "no")):
        with pytest.raises(DataError, match="source=FOLDER"):
            poker(path).splits()


def test_without_tonic_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tonic", None)
    with pytest.raises(CapabilityError, match=r"spikeprep\[tonic\]"):
        poker(tmp_path).splits()


def test_cochlea_channels_are_one_row(tmp_path):
    h5py = pytest.importorskip("h5py")
    home = tmp_path / "SHD"
    home.mkdir()
    rng = np.random.default_rng(0)
    for part, count in (("train", 8), ("test", 4)):
        (home / f"shd_{part}.h5.zip").write_bytes(b"the archive")
        with h5py.File(home / f"shd_{part}.h5", "w") as file:
            times = file.create_dataset("spikes/times", (count,), h5py.vlen_dtype(np.float16))
            units = file.create_dataset("spikes/units", (count,), h5py.vlen_dtype(np.uint16))
            for n in range(count):
                times[n], units[n] = np.sort(rng.uniform(0, 0.7, 90)), rng.integers(0, 700, 90)
            file["labels"] = np.arange(count) % 2
            file["extra/keys"] = np.array([b"zero", b"eins"])
            file["extra/speaker"] = np.zeros(count)
    source = TonicData(path=str(tmp_path), dataset="SHD")
    samples = everything(source)
    assert source.classes == ("zero", "eins")
    assert {split: len(s) for split, s in samples.items()} == {"train": 8, "test": 4}
    assert sorted(s.label for s in samples["train"]) == [0] * 4 + [1] * 4
    signal = samples["train"][0].signal
    assert (signal.size, signal.polarities, len(signal.array)) == ((700, 1), 1, 90)
    assert not signal.array["p"].any()


def raw(n=6, **changed):
    events = np.zeros(n, [("x", int), ("y", int), ("t", int), ("p", int)])
    events["x"], events["t"] = np.arange(n), 1000 * np.arange(n)
    for axis, value in changed.items():
        events[axis] = value
    return events


SENSOR = (8, 4, 2)


@pytest.mark.parametrize(
    ("value", "sensor", "words"),
    [
        (np.zeros((1, 16000), np.float32), SENSOR, r"an array float32 \(1, 16000\).*reads no sound"),
        ({"events": 1}, SENSOR, "is a dict"),
        (raw(x=[0, 1, 2, 8, 4, 5]), SENSOR, "event 3 of it has x 8; expected 0 to 7"),
        (raw(y=[0, 1, -2, 0, 0, 0]), SENSOR, "event 2 of it has y -2"),
        (raw(p=[0, 1, 0, 0, 2, 0]), SENSOR, "event 4 of it has p 2; expected 0 to 1"),
        (raw(t=[5, 6, 7, 6, 8, 9]), SENSOR, "event 3 of it is at t 6 µs, after one at 7"),
        (raw()[["x", "t", "p"]], SENSOR, "events without y"),
        (raw(), None, r"source\.size"),
        (raw(t=1_600_000_000_000_000 + np.arange(6)), SENSOR, r"source\.from_first=true"),
    ],
)
def test_samples_that_are_not_events(value, sensor, words):
    with pytest.raises(DataError, match=words):
        as_events(value, sensor, (), None, "it")


def test_clocks():
    late = raw(t=1_600_000_000_000_000 + np.arange(6))
    counted = as_events(late, SENSOR, (), True, "it")
    assert (counted.array["t"].tolist(), counted.start) == (list(range(6)), 1_600_000_000_000_000)
    unshifted = as_events(late, SENSOR, (), False, "it")
    assert (unshifted.array["t"][0], unshifted.start) == (1_600_000_000_000_000, 0)
    assert as_events(raw(t=raw()["t"] + 5), SENSOR, (), None, "it").array["t"][0] == 5


def test_transforms_of_tonic_are_applied(tmp_path):
    folder = poker_folder(tmp_path, test=20)
    plain = everything(poker(folder))["train"]
    config = [{"name": "Denoise", "filter_time": 10_000}]
    denoised = everything(poker(folder, transforms=config))["train"]
    denoise = tonic.transforms.Denoise(filter_time=10_000)
    for one, other in zip(plain, denoised, strict=True):
        expected = denoise(one.signal.array.copy())
        np.testing.assert_array_equal(other.signal.array, expected)
    assert sum(len(s.signal.array) for s in denoised) < sum(len(s.signal.array) for s in plain)
    cropped = poker(folder, transforms=[{"name": "CenterCrop", "size": [20, 20]}], size=(20, 20)).read(
        "train", 0
    )
    assert cropped.signal.size == (20, 20)
    assert cropped.signal.array["x"].max() < 20


def test_random_transforms_are_seeded_and_restore_the_generator(tmp_path):
    folder = poker_folder(tmp_path, test=20)
    drop = [{"name": "DropEvent", "p": 0.5}]
    one, again, other = (poker(folder, transforms=drop, seed=seed) for seed in (1, 1, 2))
    before = np.random.get_state()[1].copy()  # noqa: NPY002 tonic draws from it
    first = one.read("train", 3).signal.array
    again.read("train", 0)
    np.testing.assert_array_equal(again.read("train", 3).signal.array, first)
    assert len(first) < 400
    assert first.tobytes() != other.read("train", 3).signal.array.tobytes()
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize(
    ("transform", "error", "words"),
    [
        ({"name": "Denose"}, UsageError, "Did you mean 'Denoise'"),
        ({"name": "Denoise", "filter": 1}, UsageError, "Denoise has no argument 'filter'.*filter_time"),
        ({"name": "Denoise"}, UsageError, "does not take"),
        ({"name": "ToFrame", "time_window": 1000}, DataError, "encoder dvs does the binning"),
        ({"name": "Denoise", "filter_time": "long"}, DataError, "Denoise fail on"),
    ],
)
def test_transforms_that_are_not_allowed(tmp_path, transform, error, words):
    source = poker(poker_folder(tmp_path), transforms=[transform])
    with pytest.raises(error, match=words):
        source.read("train", 0)


def test_a_transform_does_not_change_its_input():
    events = raw()
    before = events.copy()
    config = [{"name": "TimeSkew", "coefficient": 3.0}]
    assert transformed(events, config, SENSOR, 0, "it")["t"][-1] == 15_000
    np.testing.assert_array_equal(events, before)


@pytest.mark.parametrize(
    "setting",
    [
        {"size": [3]},
        {"options": 3},
        {"transforms": "Denoise"},
        {"transforms": [{"filter_time": 1}]},
        {"test_share": 1.5},
    ],
)
def test_settings_that_are_not_allowed(setting):
    with pytest.raises(UsageError, match="tonic"):
        TonicData.from_config(setting)


def test_an_unknown_argument_of_the_data_set(tmp_path):
    with pytest.raises(UsageError, match=r"no argument 'stabilise'.*stabilize"):
        TonicData(path=str(tmp_path), dataset="NMNIST", options={"stabilise": True}).splits()


def test_the_bars_of_the_tests_are_valid_events():
    events = moving_bar(1, 4)
    assert (np.diff(events["t"]) >= 0).all()
    assert events["x"].max() < 34 > events["y"].max()


def test_a_validation_part(tmp_path, monkeypatch):
    h5py = pytest.importorskip("h5py")
    home = tmp_path / "SSC"
    home.mkdir()
    rng = np.random.default_rng(0)
    for part, n in (("train", 6), ("valid", 4), ("test", 2)):
        (home / f"ssc_{part}.h5.zip").write_bytes(b"the archive")
        with h5py.File(home / f"ssc_{part}.h5", "w") as file:
            times = file.create_dataset("spikes/times", (n,), h5py.vlen_dtype(np.float32))
            units = file.create_dataset("spikes/units", (n,), h5py.vlen_dtype(np.uint16))
            for i in range(n):
                times[i], units[i] = np.sort(rng.uniform(0, 0.5, 20)), rng.integers(0, 700, 20)
            file["labels"] = (np.arange(n) % 2).astype("u2")
            file["extra/keys"] = np.array([b"zero", b"eins"])
            file["extra/speaker"] = np.zeros(n, "u2")
    source = TonicData(path=str(tmp_path), dataset="SSC")
    decoded = []
    item = tonic.datasets.SSC.__getitem__
    monkeypatch.setattr(tonic.datasets.SSC, "__getitem__", lambda part, n: decoded.append(n) or item(part, n))
    assert dict(source.splits()) == {"train": 6, "validation": 4, "test": 2}
    assert source.classes == ("zero", "eins")
    assert decoded == []  # labels are known without decoding samples
    by_id = {sample.id: sample.label for sample in (source.read("train", n) for n in range(6))}
    assert by_id == {f"train/{n}": n % 2 for n in range(6)}
    assert {source.read("validation", n).id for n in range(4)} == {f"validation/{n}" for n in range(4)}
    with h5py.File(home / "ssc_test.h5", "r+") as file:
        del file["labels"]
    with pytest.raises(DataError, match=r"cannot read the labels of SSC .*Fetch the data set again"):
        TonicData(path=str(tmp_path), dataset="SSC").splits()


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (
            ValueError("Failed to read all data"),
            DataError,
            r"cannot read .* of tonic's POKERDVS .*Failed.*Fetch",
        ),
        (
            ModuleNotFoundError("No module", name="aedat"),
            CapabilityError,
            "needs a package.*pip install aedat",
        ),
    ],
)
def test_an_error_inside_of_a_sample_names_it(tmp_path, monkeypatch, error, kind, words):
    def fail(dataset, index):
        raise error

    source = poker(poker_folder(tmp_path, train=20, test=24))
    assert source.splits()
    monkeypatch.setattr(tonic.datasets.POKERDVS, "__getitem__", fail)
    with pytest.raises(kind, match=words):
        source.read("train", 0)


def test_sequences_of_digits_are_no_classes(tmp_path, monkeypatch):
    h5py = pytest.importorskip("h5py")
    home = tmp_path / "NTIDIGITS18"
    home.mkdir()
    with h5py.File(home / "n-tidigits.hdf5", "w") as file:
        for part in ("train", "test"):
            names = ["man-ac-1", "man-ac-o", "woman-bd-731z"]
            file[f"{part}_labels"] = np.array([name.encode() for name in names])
            for name in names:
                file[f"{part}_addresses/{name}"] = np.array([1, 63])
                file[f"{part}_timestamps/{name}"] = np.array([0.25, 0.5], "f4")
    with pytest.raises(
        DataError, match=r"sequences of digits such as '731z'.*source\.options\.single_digits=true"
    ):
        TonicData(path=str(tmp_path), dataset="NTIDIGITS18").splits()
    source = TonicData(path=str(tmp_path), dataset="NTIDIGITS18", options={"single_digits": True})
    item = tonic.datasets.NTIDIGITS18.__getitem__
    decoded = []
    monkeypatch.setattr(
        tonic.datasets.NTIDIGITS18, "__getitem__", lambda part, n: decoded.append(n) or item(part, n)
    )
    assert dict(source.splits()) == {"train": 2, "test": 2}
    assert source.classes == ("0", "1")  # tonic's number of "o" is 0
    assert decoded == []
    samples = [source.read("train", n) for n in range(2)]
    assert {sample.id: sample.label for sample in samples} == {"train/0": 1, "train/1": 0}
    assert samples[0].signal.array["t"].tolist() == [250_000, 500_000]
    monkeypatch.setitem(tonic.datasets.NTIDIGITS18.class_map, "o", 1)
    with pytest.raises(DataError, match=r"has the target '1'; expected '0', as the data set lists it"):
        [source.read("train", n) for n in range(2)]
