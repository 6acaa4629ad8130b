"""The source of ready-made spikes: SHD's layout, arrays with an index, NWB, and a file per recording."""

from __future__ import annotations

import gzip

import h5py
import numpy as np
import pytest

from spikeprep.encoders import DVS
from spikeprep.errors import DataError, UsageError
from spikeprep.recipes import load_recipe
from spikeprep.sources.spikes import Spikes
from spikeprep.testing import check_source

from .spike_files import KEYS, indexed, labels_of, nwb_file, recording, shd_file, shd_folder


def spikes_of(events):
    """(t in µs, unit) of each spike."""
    return [(int(e["t"]), int(e["x"])) for e in events.array]


def expected(label, n):
    times, units = recording(label, n)
    return [(round(t * 1e6), int(u)) for t, u in zip(times.tolist(), units.tolist(), strict=True)]


def every(source):
    """Every sample of a source by its id."""
    return {
        (sample := source.read(split, n)).id: (split, source.classes[sample.label], spikes_of(sample.signal))
        for split, size in source.splits().items()
        for n in range(size)
    }


def test_ssc_as_published(tmp_path):
    source = Spikes(path=str(shd_folder(tmp_path)), units=20)
    assert source.splits() == {"train": 10, "validation": 10, "test": 10}
    assert source.classes == KEYS
    samples = every(source)
    for shift, split, name in ((0, "train", "train"), (100, "validation", "valid"), (200, "test", "test")):
        for n, label in enumerate(labels_of(10, shift)):
            assert samples[f"ssc_{name}.h5@{n}"] == (split, KEYS[label], expected(label, n + shift))
    assert [source.read("train", n).id for n in range(3)] == [f"ssc_train.h5@{n}" for n in range(3)]
    signal = source.read("train", 0).signal
    assert (signal.size, signal.polarities) == ((20, 1), 1)
    assert signal.duration == expected(0, 0)[-1][0] + 1 == source.outline("train", 0).duration
    # speakers are groups, the same in all files
    groups = [[source.group(split, n) for n in range(10)] for split in source.splits()]
    assert groups == [[0, 1, 2, 3, 4] * 2] * 3
    facts = source.provenance()
    assert "times are in s, as they are floating-point numbers" in facts["note"]
    assert facts["findings"] == [
        "in more than one split, as the data say: the groups " + ", ".join(f"speaker {n}" for n in range(5))
    ]


def test_spikes_become_bins(tmp_path):
    shd_file(tmp_path / "shd_train.h5", 5)
    source = Spikes(path=str(tmp_path), units=20, test_share=0)
    bits = DVS(bin_us=4000)(source.read("train", 1).signal)
    times, units = recording(1, 1)
    right = np.zeros((int(times[-1] / 0.004) + 1, 20), bool)
    right[(times / 0.004).astype(int), units] = True
    assert np.array_equal(bits, right)


def test_one_file_is_split_by_speakers(tmp_path):
    source = Spikes(path=str(shd_file(tmp_path / "all.h5", 20)), units=20, test_share=0.4)
    groups = {split: {source.group(split, n) for n in range(size)} for split, size in source.splits().items()}
    assert source.splits() == {"train": 12, "test": 8}
    assert not groups["train"] & groups["test"]
    assert "all.h5 is the only file: 40% of its groups are the test split" in source.provenance()["note"]


def test_files_whose_classes_lie_one_after_the_other_are_shuffled(tmp_path):
    path = shd_file(tmp_path / "train.h5", 20, labels=np.repeat(np.arange(4), 5))
    source = Spikes(path=str(path), units=20, test_share=0)
    assert len({source.read("train", n).label for n in range(8)}) > 2


@pytest.mark.parametrize("kind", ["npz", "h5", "csr"])
def test_arrays_with_an_index(tmp_path, kind):
    arrays = indexed()
    if kind == "csr":
        arrays["indptr"] = np.concatenate([[0], arrays.pop("index")])
    if kind == "h5":
        arrays["labels"] = arrays["labels"].astype("S")
        with h5py.File(tmp_path / "data.h5", "w") as file:
            for name, values in arrays.items():
                file.create_dataset(name, data=values, compression="gzip", chunks=(7,))
    else:
        np.savez_compressed(tmp_path / "data.npz", **arrays)
    source = Spikes(path=str(next(tmp_path.iterdir())), units=20)
    samples = every(source)
    assert source.classes == tuple(sorted(KEYS))
    for n, label in enumerate(labels_of(12)):
        assert samples[f"data.{'h5' if kind == 'h5' else 'npz'}@{n}"][1:] == (KEYS[label], expected(label, n))


def test_nwb_trials_are_recordings(tmp_path):
    source = Spikes(path=str(nwb_file(tmp_path / "session.nwb")), label_array="stimulus", test_share=0)
    samples = every(source)
    for n, label in enumerate(labels_of(8)):
        assert samples[f"session.nwb@{n}"][1:] == (KEYS[label], expected(label, n))
    signal = source.read("train", 3).signal
    assert (signal.size, signal.duration) == ((20, 1), 600_000)  # the trial's length
    with pytest.raises(
        DataError, match=r"no labels of its recordings.*label_array=NAME: intervals/trials/stimulus"
    ):
        Spikes(path=str(tmp_path / "session.nwb")).splits()


def test_a_file_per_recording(tmp_path):
    writers = {
        "npz": lambda f, t, u: np.savez(f, times=t, units=u),
        "npy": lambda f, t, u: np.save(f, np.stack([u, t], axis=1)),
        "csv": lambda f, t, u: f.write_text(
            "\n".join(f"{a},{b!r}" for a, b in zip(u, t.tolist(), strict=True))
        ),
        "txt": lambda f, t, u: f.write_text(
            "# comment\ntime_ms;unit\n"
            + "".join(f"{b * 1000!r};{a}\n" for a, b in zip(u, t.tolist(), strict=True))
        ),
        "h5": lambda f, t, u: nwb_units(f, t, u),
    }
    for label in range(2):
        for n, (ending, write) in enumerate(writers.items()):
            file = tmp_path / KEYS[label] / f"{n}.{ending}"
            file.parent.mkdir(exist_ok=True)
            write(file, *recording(label, n))
    source = Spikes(path=str(tmp_path), units=20, test_share=0)
    samples = every(source)
    assert len(samples) == 10
    for label in range(2):
        for n, ending in enumerate(writers):
            assert samples[f"{KEYS[label]}/{n}.{ending}"] == ("train", KEYS[label], expected(label, n))
    check_source(source)


def nwb_units(path, times, units):
    order = np.lexsort((times, units))
    with h5py.File(path, "w") as file:
        file["units/spike_times"] = times[order]
        file["units/spike_times_index"] = np.cumsum(np.bincount(units, minlength=20))


def test_signals_of_a_file_need_no_labels(tmp_path):
    path = shd_file(tmp_path / "new.h5", 3, labels=None, keys=None, speaker=None)
    signals = Spikes(units=20).signals_of(path, "")
    assert [spikes_of(s) for s in signals] == [expected(label, n) for n, label in enumerate(labels_of(3))]


def test_wrong_spikes_are_refused_or_dropped_and_reported(tmp_path):
    with np.errstate(over="ignore"):
        wrong = [(2, [0.1, 70000.0, 0.2], [1, 2, 3]), (4, [0.3, 0.2], [1, 19]), (5, [], []), (6, [0.1], [20])]
        path = shd_file(tmp_path / "train.h5", 10, recordings=wrong)
    source = Spikes(path=str(path), units=20, test_share=0)
    with pytest.raises(
        DataError, match=r"train.h5@2 spike 1 has time inf .*; train.h5@6 spike 0 has unit 20"
    ) as error:
        source.splits()
    assert "float16 ends at 65,504: save times as float32, in seconds" in str(error.value)
    assert "source.units=21" in str(error.value)
    dropping = Spikes(path=str(path), units=20, test_share=0, invalid="drop")
    samples = every(dropping)
    assert samples["train.h5@2"][2] == [(99976, 1), (199951, 3)]  # 0.1 and 0.2 in float16
    assert samples["train.h5@4"][2] == [(199951, 19), (300049, 1)]
    assert dropping.provenance()["findings"] == [
        "spikes dropped, of wrong times or units: 2, in train.h5@2, train.h5@6",
        "recordings with times out of order, which were sorted: train.h5@4 of 10",
        "recordings with no spikes: train.h5@5, train.h5@6 of 10",
    ]
    assert Spikes(path=str(path), units=20, test_share=0, skip_bad=True).splits() == {"train": 8}


def test_coarse_float16_times_are_a_finding(tmp_path):
    path = shd_file(tmp_path / "train.h5", 6, recordings=[(1, [3.0, 4.5], [1, 2])])
    (finding,) = Spikes(path=str(path), units=20, test_share=0).provenance()["findings"]
    assert finding == "recordings with float16 times with steps of more than 1 ms: train.h5@1 of 6"


@pytest.mark.parametrize(
    ("changes", "settings", "words"),
    [
        ({}, {"units": 0}, r"does not say how many units there are \(the largest is 19\).*source.units=20"),
        ({"labels": None}, {}, "no labels of its recordings, 12"),
        ({"labels": np.arange(12)}, {}, r"label 4 of recording 4; expected 0 to 3"),
        ({"labels": np.zeros(5, int)}, {}, "5 labels and 12 recordings"),
        ({"keys": np.array([b"a", b"a", b"b", b"c"])}, {}, "the classes a, a, b, c"),
        ({"recordings": [(0, [0.1], [1, 2])]}, {}, "recording 0 has 1 times and 2 units"),
        ({"recordings": [(0, [-0.5], [1])]}, {}, "spike 0 has time -0.5; expected a time of at least 0|at least 0"),
        ({}, {"label_array": "nothing"}, "no array 'nothing'.*source.label_array=NAME"),
        ({}, {"class_names": ("zero",)}, "source.class_names lacks"),
        ({}, {"time_unit": "s", "units": 3}, "has unit .*expected a whole number from 0 to 2"),
        ({"dtype": np.int64}, {}, "whole numbers of an unknown unit.*source.time_unit="),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(tmp_path, changes, settings, words):
    path = shd_file(tmp_path / "train.h5", **changes)
    with pytest.raises(DataError, match=words):
        Spikes(path=str(path), **({"units": 20} | settings)).splits()


def test_folders_of_files(tmp_path):
    (tmp_path / "shd_train.h5.gz").write_bytes(gzip.compress(b"x"))
    with pytest.raises(DataError, match=r"packed files: shd_train.h5.gz.*gunzip"):
        Spikes(path=str(tmp_path), units=20).splits()
    shd_file(tmp_path / "shd_train.h5"), shd_file(tmp_path / "ssc_train.h5")
    with pytest.raises(
        DataError, match=r"two files of the split train: shd_train.h5 and ssc_train.h5.*source.prefix"
    ):
        Spikes(path=str(tmp_path), units=20).splits()
    assert sum(Spikes(path=str(tmp_path), units=20, prefix="ssc").splits().values()) == 12
    with pytest.raises(DataError, match=r"no files tonic….h5 \(it has shd_train.h5, ssc_train.h5\)"):
        Spikes(path=str(tmp_path), units=20, prefix="tonic").splits()
    shd_file(tmp_path / "more.h5")
    with pytest.raises(DataError, match=r"more.h5 among 3 files, whose name says no split"):
        Spikes(path=str(tmp_path), units=20).splits()
    (tmp_path / "more.h5").unlink()
    shd_file(tmp_path / "shd_test.h5", keys=np.array([b"a", b"b", b"c", b"d"]))
    with pytest.raises(DataError, match=r"the classes a, b, c, d, and shd_train.h5 zero, one, null, eins"):
        Spikes(path=str(tmp_path), units=20, prefix="shd").splits()
    with pytest.raises(UsageError, match="beginning of a file's name"):
        Spikes(prefix="../shd")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.h5", b"\x89HDF\r\n\x1a\n" + bytes(50), "cannot be read"),
        ("a.npz", b"PK\x03\x04" + bytes(50), "cannot be read"),
        ("a.npz", b"", "is empty"),
        ("a.npz", b"1 0.1\n2\n", "line 2 is '2'"),
        ("a.npz", b"0.1 0.2 0.3\n", "3 columns without names"),
        ("a.npz", b"neurone,zeit\n1,0.5\n", r"no spikes among neurone, zeit"),
        ("a.npz", b"\x93NUMPY\x01\x00\x05\x00abcde", "cannot be read"),
    ],
)  # fmt: skip
def test_damaged_and_foreign_files_are_named(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=words):
        Spikes(path=str(tmp_path / name), units=20).splits()


def test_an_index_that_does_not_fit_is_named(tmp_path):
    arrays = indexed()
    for wrong in (arrays["index"][:-1], arrays["index"][::-1], arrays["index"] + 0.5):
        np.savez(tmp_path / "a.npz", **arrays | {"index": wrong})
        with pytest.raises(DataError, match=r"a.npz has .*index"):
            Spikes(path=str(tmp_path / "a.npz"), units=20).splits()


def test_a_file_with_objects_or_an_external_link_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", times=np.array([[1], [2, 3]], object), allow_pickle=True)
    with pytest.raises(DataError, match="Python objects, which are never read"):
        Spikes(path=str(tmp_path / "a.npz"), units=20).splits()
    with h5py.File(shd_file(tmp_path / "a.h5"), "a") as file:
        file["elsewhere"] = h5py.ExternalLink("/etc/passwd", "/")
    with pytest.raises(DataError, match="an external link"):
        Spikes(path=str(tmp_path / "a.h5"), units=20).splits()


@pytest.mark.parametrize("name", ["shd", "ssc", "spikes"])
def test_recipes(name, tmp_path):
    recipe = load_recipe(name)
    assert recipe.source["name"] == "spikes"
    if name != "spikes":
        for split in ("train", "valid", "test")[:: 1 if name == "ssc" else 2]:
            shd_file(tmp_path / f"{name}_{split}.h5")
        source = recipe.open_source(tmp_path)
        assert list(source.splits()) == (
            ["train", "validation", "test"] if name == "ssc" else ["train", "test"]
        )
        assert recipe.build_chain().describe(source.read("train", 0).signal).unit_shape == (1, 1, 700)


def test_a_heap_that_hdf5_would_walk_for_ever_is_refused(tmp_path):
    """The free space of a heap of values of variable length, with a size of 0."""
    path = shd_file(tmp_path / "a.h5", 3)
    data = bytearray(path.read_bytes())
    at = data.index(b"GCOL") + 16
    while any(data[at : at + 2]):
        at += 16 + -(-int.from_bytes(data[at + 8 : at + 16], "little") // 8) * 8
    data[at + 8 : at + 16] = bytes(8)
    path.write_bytes(data)
    with pytest.raises(DataError, match=f"an object of 0 bytes at byte {at:,} does not fit into its heap"):
        Spikes(path=str(path), units=20).splits()
