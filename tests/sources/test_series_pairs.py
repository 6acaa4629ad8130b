"""Values and labels in files of their own, and the folders of UCI HAR."""

import numpy as np
import pytest

from spikeprep.errors import DataError
from spikeprep.sources.series import SeriesSource

RNG = np.random.default_rng(3)
X = RNG.normal(size=(10, 6, 2)).astype(np.float32)
Y = np.arange(10) % 2


def source_of(path, **settings):
    return SeriesSource(path=str(path), **settings)


def samples(source):
    """Return id → (split, values, name of the class)."""
    return {
        s.id: (split, s.signal.values, source.classes[s.label])
        for split, size in source.splits().items()
        for s in (source.read(split, n) for n in range(size))
    }


@pytest.mark.parametrize(
    "names",
    [
        {"train": ("X_train.npy", "y_train.npy"), "test": ("X_test.npy", "y_test.npy")},
        {"train": ("train_data.npy", "train_labels.npy"), "test": ("test_data.npy", "test_labels.npy")},
        {"train": ("train/X.npy", "train/y.npy"), "test": ("test/X.npy", "test/y.npy")},
        {"train": ("trainX.npy", "trainY.npy"), "validation": ("valX.npy", "valY.npy")},
    ],
)
def test_pairs_of_splits(tmp_path, names):
    for split, (values, labels) in names.items():
        (tmp_path / values).parent.mkdir(exist_ok=True)
        np.save(tmp_path / values, X if split == "train" else -X)
        np.save(tmp_path / labels, Y.astype(float) + 1)
    source = source_of(tmp_path)
    found = samples(source)
    assert dict(source.splits()) == dict.fromkeys(names, 10)
    assert source.classes == ("1", "2")
    for n in range(10):
        split, values, label = found[f"{names['train'][0]}:{n}"]
        np.testing.assert_array_equal(values, X[n])
        assert (split, label) == ("train", str(Y[n] + 1))
    assert {split for split, _, _ in found.values()} == {*names}


def test_one_pair_with_groups_and_lengths(tmp_path):
    np.save(tmp_path / "X.npy", X.swapaxes(1, 2))
    np.save(tmp_path / "y.npy", np.array(["no", "yes"])[Y])
    np.save(tmp_path / "subjects.npy", np.arange(10) // 2)
    np.save(tmp_path / "lengths.npy", np.arange(10) % 3 + 4)
    source = source_of(tmp_path, time_axis="last", test_groups=(1, 3))
    found = samples(source)
    for n in range(10):
        split, values, label = found[f"X.npy:{n}"]
        np.testing.assert_array_equal(values, X[n][: n % 3 + 4])
        assert (split, label) == ("test" if n // 2 in (1, 3) else "train", ["no", "yes"][Y[n]])


def test_texts_of_values_and_labels(tmp_path):
    np.savetxt(tmp_path / "X_train.txt", X[:, :, 0])
    (tmp_path / "y_train.txt").write_text("\n".join(map(str, Y)))
    found = samples(source_of(tmp_path, test_share=0))
    np.testing.assert_array_equal(found["X_train.txt:3"][1][:, 0], X[3, :, 0])


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"X_test": X}, r"has values of the split test in X_test\.npy, and no labels of these"),
        ({"y_test": Y}, r"has labels of the split test in y_test\.npy, and no values"),
        ({"train_labels": Y}, r"both of the labels of the split train"),
        ({"y_train": Y[:4]}, "10 series and 4 labels"),
        ({"X": X, "y": Y}, r"X\.npy beside files of splits"),
        ({"X_train": np.where(X.max() == X, np.inf, X)}, "infinite at step"),
        ({"X_train": np.array([X[0], None], object)}, "Python objects"),
    ],
)
def test_pairs_that_do_not_fit(tmp_path, files, words):
    for name, array in {"X_train": X, "y_train": Y, **files}.items():
        np.save(tmp_path / f"{name}.npy", array, allow_pickle=True)
    with pytest.raises(DataError, match=words):
        source_of(tmp_path).splits()


def test_missing_values_of_pairs(tmp_path):
    gaps = X.copy()
    gaps[2, 1:3, 1] = np.nan
    np.save(tmp_path / "X.npy", gaps)
    np.save(tmp_path / "y.npy", Y)
    with pytest.raises(DataError, match="lacks 2 of 12 values, the first at step 1 of channel 1"):
        source_of(tmp_path).splits()
    source = source_of(tmp_path, missing="previous", test_share=0)
    np.testing.assert_array_equal(samples(source)["X.npy:2"][1][1:3, 1], [X[2, 0, 1]] * 2)


def test_a_file_that_changes_in_between(tmp_path):
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", Y)
    source = source_of(tmp_path)
    source.splits()
    source._reader._held.clear()
    np.save(tmp_path / "y.npy", 1 - Y)
    with pytest.raises(DataError, match=r"y\.npy has changed while it was read"):
        source.read("train", 0)


@pytest.fixture
def har(tmp_path):
    """Write a small copy of UCI HAR's folders; return it, and its values by split."""
    root, values = tmp_path / "UCI HAR Dataset", {}
    for split, number in (("train", 12), ("test", 6)):
        folder = root / split / "Inertial Signals"
        folder.mkdir(parents=True)
        values[split] = RNG.normal(size=(number, 8, 3))
        for c, name in enumerate(("body_acc_x", "body_gyro_y", "total_acc_z")):
            np.savetxt(folder / f"{name}_{split}.txt", values[split][:, :, c], fmt="% .7e")
        np.savetxt(root / split / f"X_{split}.txt", RNG.normal(size=(number, 5)))
        np.savetxt(root / split / f"y_{split}.txt", np.arange(number) % 3 + 1, fmt="%d")
        np.savetxt(
            root / split / f"subject_{split}.txt", np.arange(number) // 3 + 10 * (split == "test"), fmt="%d"
        )
    (root / "activity_labels.txt").write_text("1 WALKING\n2 SITTING\n3 LAYING\n")
    (root / "features.txt").write_text("1 tBodyAcc-mean()-X\n")
    (root / "README.txt").write_text("Human Activity Recognition\n")
    return root, values


def test_har(har):
    root, values = har
    source = source_of(root)
    found = samples(source)
    assert source.classes == ("WALKING", "SITTING", "LAYING")
    assert dict(source.splits()) == {"train": 12, "test": 6}
    for split, of_split in values.items():
        for n, one in enumerate(of_split):
            np.testing.assert_allclose(found[f"{split}:{n}"][1], one, rtol=1e-6)
            assert found[f"{split}:{n}"][2] == source.classes[n % 3]
    assert source.read("train", 0).signal.rate == 50
    assert len({source.group("train", n) for n in range(12)}) == 4
    chosen = samples(source_of(root, channels=("total_acc_z", "body_acc_x")))
    np.testing.assert_array_equal(chosen["test:2"][1], found["test:2"][1][:, [2, 0]])
    (root / "test" / "Inertial Signals" / "body_acc_x_test.txt").write_text("1 2\n")
    with pytest.raises(DataError, match=r"has files of body_acc_x_test\.txt \(1, 2\)"):
        source_of(root).splits()
