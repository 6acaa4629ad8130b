import pickle

import numpy as np
import pytest

import spikeprep
from spikeprep.encoding.plan import StorePlan
from spikeprep.encoding.run import encode
from spikeprep.errors import DataError, UsageError
from spikeprep.recipes import load_recipe
from spikeprep.sources.series import SeriesSource
from spikeprep.store import SpikeStore

HEADER = (
    "# a comment\n@problemName X\n@timeStamps false\n@univariate false\n@dimensions 2\n@equalLength false\n"
)
TRAIN = "1,2,3:4,5,6:b\n7,8:9,10:a\n-1,-2,-3,-4:5,6,7,8:a\n"
TEST = "0.5,1e1:2,-3:b\n"


def ts(path, lines, classes="b a", header=HEADER):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{header}@classLabel true {classes}\n@data\n{lines}")
    return path


@pytest.fixture
def problem(tmp_path):
    ts(tmp_path / "deep/P_TRAIN.ts", TRAIN)
    ts(tmp_path / "deep/P_TEST.ts", TEST)
    return tmp_path


def samples(source):
    return {
        split: {s.id: s for s in (source.read(split, n) for n in range(size))}
        for split, size in source.splits().items()
    }


def source_of(path, **settings):
    return SeriesSource(path=str(path), **settings)


# ------------------------------------------------------------ .ts


def test_ts_files_are_splits(problem):
    source = source_of(problem, rate=100.0)
    found = samples(source)
    assert source.classes == ("b", "a")  # in the order of the header
    assert dict(source.splits()) == {"train": 3, "test": 1}
    first = found["train"]["P_TRAIN.ts:0"]
    np.testing.assert_array_equal(first.signal.values, [[1, 4], [2, 5], [3, 6]])
    assert (first.label, first.signal.rate) == (0, 100)
    np.testing.assert_array_equal(found["test"]["P_TEST.ts:0"].signal.values, [[0.5, 2], [10, -3]])
    assert source.group("train", 0) is None
    copy = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(copy.read("train", 1).signal.values, source.read("train", 1).signal.values)
    assert copy.digest("train", 1) == source.digest("train", 1)
    nearer = source_of(problem / "deep", rate=100.0)
    assert [nearer.read("train", n).id for n in range(3)] == [source.read("train", n).id for n in range(3)]
    assert nearer.provenance() == source.provenance()


def test_several_problems_need_a_name(problem):
    ts(problem / "deep/Q_TRAIN.ts", TRAIN)
    with pytest.raises(DataError, match=r"'P', 'Q'.*source.problem=P"):
        source_of(problem).splits()
    assert dict(source_of(problem, problem="P").splits()) == {"train": 3, "test": 1}
    with pytest.raises(DataError, match="no data set 'R', but 'P', 'Q'"):
        source_of(problem, problem="R").splits()
    ts(problem / "other/P_TEST.ts", TEST)
    with pytest.raises(DataError, match="both of the split test"):
        source_of(problem, problem="P").splits()


@pytest.mark.parametrize(
    ("lines", "header", "words"),
    [
        ("1,2:3,4:c\n", HEADER, "line 9 ends in the class 'c'"),
        ("1,2:a\n", HEADER, "line 9 has 1 channels; expected 2"),
        ("1,2:3:a\n", HEADER, "channels of 1 to 2 values"),
        ("1,x:3,4:a\n", HEADER, "line 9 has 'x' in channel 0"),
        ("", HEADER, "no series"),
        ("1,inf:3,4:a\n", HEADER, "infinite at step 1 of channel 0"),
        (TRAIN, HEADER.replace("timeStamps false", "timeStamps true"), "has time stamps"),
        (TRAIN, HEADER.replace("dimensions 2", "dimensions two"), "@dimensions two"),
        (
            TRAIN,
            HEADER + "@equalLength true\n@seriesLength 3\n",
            "line 12 has 2 values in each channel; expected 3",
        ),
        (TRAIN, HEADER + "hello\n", "line 7 is 'hello'"),
    ],
)
def test_ts_files_that_are_wrong(tmp_path, lines, header, words):
    path = ts(tmp_path / "P_TRAIN.ts", lines, header=header)
    with pytest.raises(DataError, match=words):
        source_of(path).splits()


def test_ts_files_without_classes(tmp_path):
    path = tmp_path / "P_TRAIN.ts"
    path.write_text("@targetLabel true\n@data\n1,2:0.5\n")
    with pytest.raises(DataError, match="no classes but a target of regression"):
        source_of(path).splits()


# ------------------------------------------------------------ missing values


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("linear", [2, 2, 3, 4, 4]),
        ("previous", [2, 2, 2, 4, 4]),
        ("zero", [0, 2, 0, 4, 0]),
    ],
)
def test_missing_values_are_filled_as_chosen(tmp_path, how, expected):
    path = ts(tmp_path / "P_TRAIN.ts", "?,2,NaN,4,?:1,1,1,1,1:a\n1:1:b\n")
    with pytest.raises(
        DataError, match=r"lacks 3 of 10 values, the first at step 0 of channel 0.*missing=linear"
    ):
        source_of(path, test_share=0).splits()
    source = source_of(path, missing=how, test_share=0)
    sample = samples(source)["train"]["P_TRAIN.ts:0"]
    np.testing.assert_array_equal(sample.signal.values[:, 0], expected)
    (finding,) = source.provenance()["findings"]
    assert finding.startswith(f"missing values filled ({how}): 3 in 1 series: P_TRAIN.ts:0")


@pytest.mark.parametrize("how", ["linear", "previous"])
def test_a_channel_without_any_value(tmp_path, how):
    path = ts(tmp_path / "P_TRAIN.ts", "?,?:1,1:a\n")
    with pytest.raises(DataError, match="no value at all in channel 0"):
        source_of(path, missing=how).splits()


# ------------------------------------------------------------ archives

X = np.arange(4 * 5 * 2, dtype=np.float32).reshape(4, 5, 2)


def test_an_archive_with_splits_groups_lengths_and_rate(tmp_path):
    lengths, groups = [5, 2, 3, 4], ["ann", "ben", "ann", "ben"]
    splits = ["train", "test", "train", "test"]
    np.savez(tmp_path / "g.npz", X=X, y=[3, 1, 1, 3], groups=groups, lengths=lengths, split=splits, fs=50)
    source = source_of(tmp_path / "g.npz")
    found = samples(source)
    assert source.classes == ("1", "3")
    assert set(found["test"]) == {"g.npz:1", "g.npz:3"}
    np.testing.assert_array_equal(found["test"]["g.npz:1"].signal.values, X[1, :2])
    assert found["test"]["g.npz:1"].signal.rate == 50
    assert {source.group("train", n) for n in range(2)} == {0}
    assert {source.group("test", n) for n in range(2)} == {1}


def test_whole_groups_are_chosen_for_the_test_split(tmp_path):
    groups = np.repeat(np.arange(5), 8)
    x = np.random.default_rng(0).normal(size=(40, 6))
    np.savez(tmp_path / "g.npz", X=x, y=np.arange(40) % 2, subject=groups)
    source = source_of(tmp_path / "g.npz")
    in_split = {s: {source.group(s, n) for n in range(size)} for s, size in source.splits().items()}
    assert dict(source.splits()) == {"train": 32, "test": 8}
    assert not in_split["train"] & in_split["test"]


def test_arrays_named_by_split_and_time_last(tmp_path):
    turned = X.swapaxes(1, 2)
    np.savez(tmp_path / "g.npz", X_train=turned, y_train=list("abab"), X_test=turned[:1], y_test=["b"])
    found = samples(source_of(tmp_path / "g.npz", time_axis="last"))
    np.testing.assert_array_equal(found["train"]["g.npz:3"].signal.values, X[3])
    np.testing.assert_array_equal(found["test"]["g.npz:4"].signal.values, X[0])


def test_hdf5_with_other_names(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "g.h5", "w") as file:
        file.create_dataset("set/eeg", data=X, chunks=(2, 5, 2), compression="gzip")
        file["set/words"] = ["no", "yes", "no", "yes"]
        file.attrs["sfreq"] = 250.0
    with pytest.raises(DataError, match=r"source.arrays.values=NAME"):
        source_of(tmp_path / "g.h5").splits()
    arrays = {"values": "set/eeg", "labels": "set/words"}
    source = source_of(tmp_path / "g.h5", arrays=arrays, test_share=0)
    found = samples(source)["train"]
    np.testing.assert_array_equal(found["g.h5:2"].signal.values, X[2])
    assert (source.classes, found["g.h5:2"].signal.rate) == (("no", "yes"), 250)
    with pytest.raises(UsageError, match=r"source.arrays.label = 'y'"):
        source_of(tmp_path / "g.h5", arrays={"label": "y"})


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"X": X, "y": [1, 2]}, "4 series and 2 labels"),
        ({"X": X}, "4 series and no labels"),
        ({"X": X, "y": [1, 2, 3, 0.5]}, "fractions"),
        ({"X": X, "y": np.eye(4)}, "one-hot"),
        ({"X": X.astype(complex), "y": [1, 2, 3, 4]}, "complex"),
        (
            {"X": X, "y": [1, 2, 3, 4], "lengths": [1, 2, 9, 4]},
            "from 1 to 9; expected whole numbers from 1 to 5",
        ),
        ({"X": X, "data": X, "y": [1, 2, 3, 4]}, "two arrays of values"),
        ({"X": X, "y": [1, 2, 3, 4], "split": ["a"] * 4}, "the split 'a'"),
        ({"X": X, "y": [1, 2, 3, 4], "rate": -1.0}, "the rate -1"),
        ({"X": np.array([X[0], None], object), "y": [1, 2]}, "Python objects.*lengths"),
    ],
)
def test_archives_that_are_wrong(tmp_path, arrays, words):
    np.savez(tmp_path / "g.npz", **arrays)
    with pytest.raises(DataError, match=words):
        source_of(tmp_path / "g.npz").splits()


def test_labels_that_differ_by_spaces_are_refused(tmp_path):
    np.savez(tmp_path / "g.npz", X=X, y=["a", "a ", "b ", "b "])
    with pytest.raises(
        DataError, match=r"the array of labels has classes whose names differ in spelling alone: 'a', 'a '"
    ):
        source_of(tmp_path / "g.npz").splits()
    np.savez(tmp_path / "g.npz", X=X, y=["a ", "a ", "b ", "b "])  # padded alike
    assert source_of(tmp_path / "g.npz").classes == ("a", "b")


@pytest.mark.parametrize("shape", [(0, 5), (0, 5, 2), (3, 0)])
def test_archives_without_series(tmp_path, shape):
    np.savez(tmp_path / "g.npz", X=np.zeros(shape), y=np.zeros(shape[0]))
    with pytest.raises(DataError, match="is empty: the series have the shape"):
        source_of(tmp_path / "g.npz").splits()


def test_damaged_files(tmp_path):
    np.savez(tmp_path / "g.npz", X=X, y=[1, 2, 3, 4])
    whole = (tmp_path / "g.npz").read_bytes()
    for content in (whole[:-30], whole[:100], b"PK\x03\x04", b"text"):
        (tmp_path / "g.npz").write_bytes(content)
        with pytest.raises(DataError, match=r"g\.npz"):
            source_of(tmp_path / "g.npz").splits()
    np.save(tmp_path / "a.npy", X[0])
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content.replace(b"(5, 2)", b"(9, 9)"))
    with pytest.raises(DataError, match=r"40 bytes of values; expected 324"):
        source_of(tmp_path).signals_of(tmp_path / "a.npy", "")


# ------------------------------------------------------------ a file per series


def folder(root, rows=12):
    """Write a folder per class with a file of each kind."""
    for label in ("run", "walk"):
        (root / label).mkdir(parents=True)
        values = np.arange(2.0 * rows).reshape(rows, 2) + (label == "run")
        np.save(root / label / "a.npy", values)
        np.savez(root / label / "b.npz", values)
        times = "\n".join(f"{n},{n / 8},{x},{y}" for n, (x, y) in enumerate(values))
        (root / label / "c.csv").write_text(f"index,time_s,ax,ay\n{times}\n")
        (root / label / "d.txt").write_text("\n".join(f"{x}  {y}" for x, y in values))
    return root


def test_a_folder_per_class(tmp_path):
    folder(tmp_path)
    with pytest.raises(DataError, match=r"c\.csv states 8 Hz, and most others no rate.*source.rate=HZ"):
        source_of(tmp_path).splits()
    source = source_of(tmp_path, rate=8.0, test_share=0)
    found = samples(source)["train"]
    assert len(found) == 8
    for sample in found.values():
        shift = source.classes[sample.label] == "run"
        np.testing.assert_array_equal(sample.signal.values, np.arange(24.0).reshape(12, 2) + shift)
    findings = source.provenance()["findings"]
    assert any("repeat the bytes of files of their class" in text for text in findings)


@pytest.mark.parametrize(
    ("text", "values", "rate"),
    [
        ("1;2,5\n3;4,25\n", [[1, 2.5], [3, 4.25]], 1),
        ("t (ms)\tv\n0\t5\n2\t6\n4\t7\n", [[5], [6], [7]], 500),
        ('"x","y"\n1,2\n', [[1, 2]], 1),
        ("# made by hand\n1 2\n\n3 4\n", [[1, 2], [3, 4]], 1),
    ],
)
def test_text_files(tmp_path, text, values, rate):
    (tmp_path / "a.csv").write_text(text)
    (signal,) = source_of(tmp_path).signals_of(tmp_path / "a.csv", "")
    np.testing.assert_array_equal(signal.values, values)
    assert signal.rate == rate


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x,y\n1,2\n3\n", "line 3 has 1 fields; expected 2"),
        ("x,kind\n1,walk\n", "line 2 has 'walk' in column kind"),
        ("time,x\n0,1\n1,1\n5,1\n", "not equally far apart"),
        ("time,x\n1,1\n0,1\n", "not equally far apart"),
        ("x,y\n", "no values"),
        ("", "no lines"),
        ("x,y\n1,\n", "lacks 1 of 2 values"),
        ("\x00\x01\x02", "text|number|UTF"),
    ],
)
def test_text_files_that_are_wrong(tmp_path, text, words):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=words):
        source_of(tmp_path).signals_of(tmp_path / "a.csv", "")


def test_series_that_do_not_fit_each_other(tmp_path):
    for name, channels in (("a/1", 2), ("a/2", 2), ("b/1", 3)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        np.save(tmp_path / f"{name}.npy", np.ones((4, channels)) * channels)
    with pytest.raises(DataError, match=r"b/1\.npy has 3 channels, not 2"):
        source_of(tmp_path).splits()
    np.save(tmp_path / "b/1.npy", np.ones((7, 4, 2)))
    with pytest.raises(DataError, match=r"b/1\.npy has 7 series, not one"):
        source_of(tmp_path).splits()


def test_a_folder_of_something_else(tmp_path):
    (tmp_path / "notes.md").touch()
    with pytest.raises(DataError, match=r"no class folders; .*PROBLEM_TRAIN\.ts .*HDF5 file of X and y"):
        source_of(tmp_path).splits()


def test_time_on_the_other_axis_is_a_finding(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "g.npz", X=rng.normal(size=(4, 2, 30)), y=[0, 1, 0, 1])
    (finding,) = source_of(tmp_path / "g.npz", test_share=0).provenance()["findings"]
    assert "source.time_axis=last" in finding


def test_a_channel_that_is_a_time_is_a_finding_or_taken_as_said(tmp_path):
    rng = np.random.default_rng(0)
    for label in "ab":
        (tmp_path / label).mkdir()
        lines = [
            f"{n / 10:.1f};{a:.3f};{b:.3f}".replace(".", ",")
            for n, (a, b) in enumerate(rng.normal(size=(20, 2)))
        ]
        (tmp_path / label / "0.csv").write_text("Zeit;eins;zwei\n" + "\n".join(lines))
    plain = source_of(tmp_path, test_share=0)
    (finding,) = plain.provenance()["findings"]
    assert (
        "rise evenly in every series, as times and counters do: Zeit: source.channels=[1,2] leaves" in finding
    )
    assert plain.read("train", 0).signal.values.shape == (20, 3)
    timed = source_of(tmp_path, test_share=0, columns={"Zeit": "time"})
    assert "findings" not in timed.provenance()
    signal = timed.read("train", 0).signal
    assert (signal.rate, signal.values.shape) == (10, (20, 2))
    for settings, width in (
        ({"columns": {"Zeit": "channel"}}, 3),
        ({"columns": {"Zeit": "ignore"}}, 2),
        ({"channels": (0, 1)}, 2),
    ):
        source = source_of(tmp_path, test_share=0, **settings)
        assert "findings" not in source.provenance()
        assert source.read("train", 0).signal.values.shape == (20, width)
    with pytest.raises(DataError, match=r"has no column 'Zit'.*Did you mean 'Zeit'\?$"):
        source_of(tmp_path, columns={"Zit": "time"}).splits()
    with pytest.raises(UsageError, match="is no table"):
        source_of(tmp_path, columns={"Zeit": "label"}).splits()


def test_channels_that_do_not_rise_evenly_in_every_series_are_no_finding(tmp_path):
    rise, rng = np.arange(30.0), np.random.default_rng(0)
    np.savez(
        tmp_path / "g.npz",
        X=[np.stack([rise * 2 + 5, rise], 1), np.stack([rise, rng.normal(size=30)], 1)],
        y=[0, 1],
    )
    (finding,) = source_of(tmp_path / "g.npz", test_share=0).provenance()["findings"]
    assert "do: number 0: source.channels=[1] leaves" in finding
    for other in (-rise, np.zeros(30), rise**2):
        np.savez(tmp_path / "h.npz", X=np.stack([rise, other])[:, :, None], y=[0, 1])
        assert "findings" not in source_of(tmp_path / "h.npz", test_share=0).provenance()


# ------------------------------------------------------------ windows


def test_windows_of_a_series_are_one_group(tmp_path):
    x = np.arange(6 * 11.0).reshape(6, 11, 1)
    np.savez(tmp_path / "g.npz", X=x, y=[0, 1] * 3)
    source = source_of(tmp_path / "g.npz", window=4, overlap=1, test_share=0.34)
    assert dict(source.splits()) == {"train": 12, "test": 6}  # at 0, 3 and 6: the last step is left out
    groups = {}
    for split, found in samples(source).items():
        for n, (id_, sample) in enumerate((id_, s) for id_, s in found.items()):
            series, _, place = id_.partition("@")
            start, stop = map(int, place.split("-"))
            number = int(series.rpartition(":")[2])
            np.testing.assert_array_equal(sample.signal.values, x[number, start:stop])
            assert sample.label == number % 2
            groups.setdefault(series, set()).add((split, source.group(split, n)))
    assert all(len(of_series) == 1 for of_series in groups.values())
    assert len({next(iter(of_series)) for of_series in groups.values()}) == 6
    assert dict(source.limited(2).splits()) == {"train": 2, "test": 2}


def test_windows_that_do_not_fit(tmp_path):
    np.savez(tmp_path / "g.npz", X=np.ones((2, 5, 1)) * [[[1]], [[2]]], y=[0, 1])
    with pytest.raises(DataError, match="has 5 steps, fewer than a window's 6"):
        source_of(tmp_path / "g.npz", window=6).splits()
    with pytest.raises(UsageError, match="fewer steps than the window"):
        source_of(tmp_path / "g.npz", window=4, overlap=4)


def test_intervals_of_recordings_that_a_table_lists(tmp_path):
    values = np.random.default_rng(2).normal(size=(100, 2))
    np.save(tmp_path / "a.npy", values)
    lines = "path,label,start_s,stop_s\na.npy,rest,0,0.5\na.npy,walk,0.5,1.54\na.npy,rest,1.54,2\n"
    (tmp_path / "list.csv").write_text(lines)
    with pytest.raises(DataError, match=r"a\.npy states no rate, and the table has times.*source\.rate=HZ"):
        source_of(tmp_path / "list.csv").splits()
    source = source_of(tmp_path / "list.csv", rate=50.0, test_share=0)
    found = samples(source)["train"]
    for start, stop, label in ((0, 25, "rest"), (25, 77, "walk"), (77, 100, "rest")):
        sample = found[f"a.npy@{start * 20000}-{stop * 20000}"]
        np.testing.assert_array_equal(sample.signal.values, values[start:stop])
        assert source.classes[sample.label] == label
    cut = samples(source_of(tmp_path / "list.csv", rate=50.0, test_share=0, window=20))["train"]
    assert len(cut) == 4
    np.testing.assert_array_equal(cut["a.npy@500000-1540000@20-40"].signal.values, values[45:65])
    (tmp_path / "list.csv").write_text(lines.replace("1.54,2", "1.54,2.1"))
    with pytest.raises(DataError, match=r"ends at step 105, and the recording has 100"):
        source_of(tmp_path / "list.csv", rate=50.0).splits()
    left = source_of(tmp_path / "list.csv", rate=50.0, test_share=0, skip_bad=True)
    assert len(samples(left)["train"]) == 2


# ------------------------------------------------------------ stores


@pytest.fixture
def gait(tmp_path):
    """A file of two classes, of unlike scales in training and test."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(12, 20, 2)) * [5.0, 0.1] + [100.0, 0.0]
    x[8:] *= 10
    np.savez(tmp_path / "g.npz", X=x, y=[0, 1] * 6, split=["train"] * 8 + ["test"] * 4, rate=20.0)
    return tmp_path / "g.npz", x


def test_statistics_are_of_the_training_samples_and_kept_with_the_store(gait, tmp_path):
    path, x = gait
    recipe = load_recipe("series")
    encode(recipe, tmp_path / "a.zarr", source_path=path)
    attributes = SpikeStore.open(tmp_path / "a.zarr").attributes
    (step,) = (step for step in attributes["chain"] if step["name"] == "standardise")
    np.testing.assert_allclose(step["mean"], x[:8].mean(axis=(0, 1)))
    np.testing.assert_allclose(step["deviation"], x[:8].std(axis=(0, 1)))
    again = encode(recipe, tmp_path / "a.zarr", source_path=path)
    assert not again.changed
    plan = StorePlan(recipe, path)
    assert StorePlan(plan.recipe, path).attributes() == plan.attributes()
    assert plan.recipe.build_chain() == plan.encoder.chain


@pytest.mark.parametrize(("settings", "units"), [({}, (4, 2)), ({"rectify.use": False}, (2, 2))])
def test_other_encoders_keep_rectify_until_it_is_turned_off(gait, tmp_path, settings, units):
    out = tmp_path / "a.zarr"
    spikeprep.encode("series", out, source=gait[0], encoder="lif", settings=settings, progress=False)
    assert tuple(SpikeStore.open(out).attributes["unit_shape"]) == units


def test_a_picture_of_series_with_their_source(gait, tmp_path):
    pytest.importorskip("matplotlib")
    spikeprep.encode("series", tmp_path / "a.zarr", source=gait[0], progress=False)
    with pytest.raises(UsageError, match=r"does not contain sound.*Leave source out.*kind=encoders"):
        spikeprep.draw(tmp_path / "a.zarr", source=gait[0])


def test_statistics_need_training_samples(tmp_path):
    np.savez(tmp_path / "g.npz", X_test=X, y_test=[0, 1, 0, 1])
    with pytest.raises(UsageError, match="standardise needs the statistics of training samples"):
        StorePlan(load_recipe("series"), tmp_path / "g.npz")


def test_an_image_encoder_does_not_fit_series(gait):
    path, _ = gait
    with pytest.raises(UsageError, match="series, a source of series"):
        StorePlan(load_recipe("series").with_encoder("dvs"), path)
