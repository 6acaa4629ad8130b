import numpy as np
import pytest

from spikeprep.errors import DataError, UsageError
from spikeprep.sources.idx import Idx

from ..assets import asset
from .idx_files import idx_bytes, pictures, write_idx


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize("dot", ["-", "."])
@pytest.mark.parametrize("test", ["test", "t10k"])
def test_files_are_found_by_the_names_of_mnist(tmp_path, gz, dot, test):
    images, labels = pictures(7)
    write_idx(tmp_path / "deep/er", images, labels, gz=gz, dot=dot)
    write_idx(tmp_path, images[:3], labels[:3], split=test, gz=gz, dot=dot)
    source = Idx(path=str(tmp_path))
    assert dict(source.splits()) == {"train": 7, "test": 3}
    assert source.classes == ("0", "1", "2")
    sample = source.read("train", 4)
    np.testing.assert_array_equal(sample.signal, images[4])
    assert (sample.label, sample.id) == (1, "4")


def test_names_parts_and_mapping_of_emnist(tmp_path):
    images, labels = pictures(6)
    write_idx(tmp_path, images, labels, stem="emnist-balanced-", part="-100-105", gz=True)
    write_idx(tmp_path, images[:2], labels[:2], stem="emnist-letters-")
    (tmp_path / "emnist-balanced-mapping.txt").write_text("0 48\n2 97\n1 65 66\n")
    source = Idx(path=str(tmp_path), prefix="emnist-balanced")
    assert dict(source.splits()) == {"train": 6}
    assert source.classes == ("0", "AB", "a")
    assert set(source.provenance()["files"]) == {
        "emnist-balanced-train-100-105-images-idx3-ubyte.gz",
        "emnist-balanced-train-100-105-labels-idx1-ubyte.gz",
        "emnist-balanced-mapping.txt",
    }


def test_a_file_and_its_gz_count_as_one(tmp_path):
    images, labels = pictures(6)
    write_idx(tmp_path, images, labels)
    write_idx(tmp_path, images, labels, gz=True)
    source = Idx(path=str(tmp_path))
    assert source.splits()["train"] == 6
    assert not any(name.endswith(".gz") for name in source.provenance()["files"])


def vertical_strokes(n=20):
    """Images of a vertical stroke, labelled 1, and random images, labelled 0."""
    images, labels = pictures(n, rows=28, columns=28, classes=2)
    images[1::2] = 0
    images[1::2, 4:24, 12:15] = 255
    return images, labels


@pytest.mark.parametrize("transposed", [False, True])
def test_orientation_is_detected_and_recorded(tmp_path, transposed):
    images, labels = vertical_strokes()
    write_idx(tmp_path, images.transpose(0, 2, 1) if transposed else images, labels)
    source = Idx(path=str(tmp_path), transpose="auto")
    np.testing.assert_array_equal(source.read("train", 0).signal, images[0])
    assert ("transposed" in source.provenance()["note"]) == transposed
    fixed = Idx(path=str(tmp_path), transpose=transposed)
    np.testing.assert_array_equal(fixed.read("train", 0).signal, images[0])
    assert "note" not in fixed.provenance()


def test_orientation_needs_a_class_named_1(tmp_path):
    images, labels = vertical_strokes()
    write_idx(tmp_path, images, labels)
    source = Idx(path=str(tmp_path), transpose="auto", class_names=("a", "b"))
    source.splits()
    with pytest.raises(DataError, match=r"source\.transpose"):
        source.read("train", 0)


def message(tmp_path, **settings):
    source = Idx(path=str(tmp_path), **settings)
    with pytest.raises(DataError) as caught:
        source.splits(), source.classes
    return str(caught.value)


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize("keep", [0, 3, 10, 16, 50])
def test_truncated(tmp_path, gz, keep):
    images, labels = pictures(6)
    write_idx(tmp_path, images, labels, gz=gz)
    path = next(tmp_path.glob("*images*"))
    path.write_bytes(path.read_bytes()[:keep])
    text = message(tmp_path)
    assert path.name in text
    assert "again" in text or "not compressed" in text


def test_longer_than_stated(tmp_path):
    images, labels = pictures(6)
    write_idx(tmp_path, images, labels)
    path = next(tmp_path.glob("*images*"))
    path.write_bytes(path.read_bytes() + b"\0")
    assert "longer than its header states" in message(tmp_path)


def test_images_and_labels_interchanged(tmp_path):
    images, labels = pictures(6)
    write_idx(tmp_path, images, labels)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx_bytes(labels))
    text = message(tmp_path)
    assert "the magic of labels" in text
    assert "interchanged" in text


def test_not_gzip(tmp_path):
    images, labels = pictures(6)
    write_idx(tmp_path, images, labels, gz=True)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(idx_bytes(labels))
    assert "train-labels" in message(tmp_path)


def test_more_images_than_labels(tmp_path):
    images, labels = pictures(6)
    write_idx(tmp_path, images, labels[:5])
    assert "6 images" in message(tmp_path)
    assert "5 labels" in message(tmp_path)


def test_no_images(tmp_path):
    images, labels = pictures(6)
    write_idx(tmp_path, images[:0], labels[:0])
    assert "has no images" in message(tmp_path)


def test_wrong_image_size(tmp_path):
    write_idx(tmp_path, *pictures(6))
    text = message(tmp_path, shape=(28, 28))
    assert "(5, 4)" in text
    assert "source.shape=[5, 4]" in text


def test_label_outside_the_classes(tmp_path):
    images, labels = pictures(6)
    labels[4] = 7
    write_idx(tmp_path, images, labels)
    text = message(tmp_path, class_names=("a", "b", "c"))
    assert "label 7 for train sample 4" in text


def test_no_files(tmp_path):
    assert "source=FOLDER" in message(tmp_path)
    assert "source=FOLDER" in message(tmp_path / "no")
    assert "source=FOLDER" in message("")


def test_labels_missing(tmp_path):
    write_idx(tmp_path, *pictures(6))
    next(tmp_path.glob("*labels*")).unlink()
    assert "no train labels" in message(tmp_path)


def test_two_data_sets_in_one_folder(tmp_path):
    write_idx(tmp_path / "a", *pictures(6))
    write_idx(tmp_path / "b", *pictures(6))
    assert "2 files of train images" in message(tmp_path)


def test_a_damaged_mapping(tmp_path):
    write_idx(tmp_path, *pictures(6), stem="x-")
    (tmp_path / "x-mapping.txt").write_text("0 48\nzero\n")
    assert "x-mapping.txt" in message(tmp_path, prefix="x")


def test_transpose_has_three_values():
    with pytest.raises(UsageError, match="auto"):
        Idx(transpose="maybe")


def test_real_mnist():
    source = Idx(path=str(asset("data/mnist")), shape=(28, 28))
    assert dict(source.splits()) == {"train": 60_000, "test": 10_000}
    assert source.classes == tuple("0123456789")
    assert [source.read("train", n).label for n in range(8)] == [5, 0, 4, 1, 9, 2, 1, 3]
    assert int(source.read("test", 0).signal.astype(int).sum()) == 18_454
    assert "note" not in source.provenance()


def test_real_emnist_is_upright_either_way(tmp_path):
    folder = asset("data/emnist")
    upright = Idx(path=str(folder), prefix="emnist-balanced", transpose="auto")
    assert dict(upright.splits()) == {"train": 9_120}
    assert len(upright.classes) == 47
    assert upright.classes[10:13] == ("A", "B", "C")
    assert "as in the files" in upright.provenance()["note"]
    images = np.stack([upright.read("train", n).signal for n in range(9_120)])
    labels = np.array([upright.read("train", n).label for n in range(9_120)])
    write_idx(tmp_path, images.transpose(0, 2, 1), labels, stem="emnist-balanced-")
    (tmp_path / "emnist-balanced-mapping.txt").write_text(
        (folder / "emnist-balanced-mapping.txt").read_text()
    )
    as_published = Idx(path=str(tmp_path), prefix="emnist-balanced", transpose="auto")
    np.testing.assert_array_equal(as_published.read("train", 5).signal, images[5])
    assert "transposed" in as_published.provenance()["note"]
