import gzip
import hashlib

import numpy as np
import pytest

from spikeprep.errors import DataError, UsageError
from spikeprep.sources import published_digits
from spikeprep.sources.idx import Idx
from spikeprep.sources.published_digits import EMNIST, PUBLISHED, PublishedSet, emnist_findings, published_set

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


@pytest.mark.parametrize("gz", [False, True])
def test_content_says_whether_a_file_is_gzipped(tmp_path, gz):
    images, labels = pictures(6)
    write_idx(tmp_path, images, labels, gz=gz)
    for path in list(tmp_path.iterdir()):
        path.rename(path.with_name(path.name.removesuffix(".gz") if gz else f"{path.name}.gz"))
    np.testing.assert_array_equal(Idx(path=str(tmp_path)).read("train", 3).signal, images[3])


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
    write_idx(tmp_path / "b", *pictures(6, seed=1))
    text = message(tmp_path)
    assert "train images are in two files of different content" in text
    assert all(str(tmp_path / folder / "train-images-idx3-ubyte") in text for folder in "ab")


@pytest.mark.parametrize("spelling", [{"gz": True}, {"dot": "."}, {"dot": ".", "gz": True}])
def test_copies_of_a_file_count_as_one_and_different_ones_are_refused(tmp_path, spelling):
    images, labels = pictures(6)
    write_idx(tmp_path, images, labels)
    write_idx(tmp_path / "copies", images, labels, **spelling)
    assert Idx(path=str(tmp_path)).splits() == {"train": 6}
    write_idx(tmp_path / "copies", images, 2 - labels, **spelling)
    assert "train labels are in two files of different content" in message(tmp_path)


def test_folders_named_like_the_files_in_them(tmp_path):
    images, labels = pictures(6)
    for name in ("train", "t10k"):
        write_idx(tmp_path / "flat", images, labels, split=name)
    for file in list((tmp_path / "flat").iterdir()):
        folder = tmp_path / "nested" / file.name
        folder.mkdir(parents=True)
        file.rename(folder / file.name)
        (tmp_path / "nested" / file.name.replace("-idx", ".idx")).write_bytes(
            (folder / file.name).read_bytes()
        )
    source = Idx(path=str(tmp_path))
    assert dict(source.splits()) == {"train": 6, "test": 6}
    np.testing.assert_array_equal(source.read("test", 5).signal, images[5])


def test_a_prefix_that_is_missing_is_named(tmp_path):
    write_idx(tmp_path, *pictures(6), stem="emnist-letters-")
    text = message(tmp_path)
    assert "has IDX files of the prefixes emnist-letters" in text
    assert "source.prefix=emnist-letters" in text


LETTERS = tuple(f"{chr(65 + n)}{chr(97 + n)}" for n in range(26))


@pytest.mark.parametrize("mapping", [False, True])
def test_labels_of_emnist_letters_are_counted_from_1(tmp_path, mapping):
    images, _ = pictures(52, classes=26)
    labels = np.arange(52) % 26 + 1
    write_idx(tmp_path, images, labels, stem="emnist-letters-")
    if mapping:
        lines = (f"{n + 1} {65 + n} {97 + n}\n" for n in range(26))
        (tmp_path / "emnist-letters-mapping.txt").write_text("".join(lines))
    source = Idx(path=str(tmp_path), prefix="emnist-letters")
    assert source.classes == LETTERS
    assert [source.read("train", n).label for n in (0, 1, 25, 26)] == [0, 1, 25, 0]
    assert source.provenance()["note"] == "labels are counted from 1: label 1 is class Aa"
    write_idx(tmp_path, images, labels - 1, stem="emnist-letters-")
    text = message(tmp_path, prefix="emnist-letters")
    assert "label 0 for train sample 0; expected a label below 27, from 1" in text


def test_labels_from_1_to_the_number_of_names(tmp_path):
    images, labels = pictures(6)
    write_idx(tmp_path, images, labels + 1)
    source = Idx(path=str(tmp_path), class_names=("a", "b", "c"))
    assert [source.read("train", n).label for n in range(3)] == [0, 1, 2]
    assert Idx(path=str(tmp_path)).classes == ("0", "1", "2", "3")
    write_idx(tmp_path, images, 3 * (labels > 0))
    assert "label 3 for train sample 1" in message(tmp_path, class_names=("a", "b", "c"))


def test_a_mapping_that_is_counted_otherwise(tmp_path):
    write_idx(tmp_path, *pictures(6), stem="x-")
    (tmp_path / "x-mapping.txt").write_text("2 48\n3 49\n")
    assert "labels are not 0, 1, 2" in message(tmp_path, prefix="x")


@pytest.mark.parametrize(
    ("variant", "count", "some"),
    [
        ("balanced", 47, {10: "A", 36: "a", 38: "d", 46: "t"}),
        ("bymerge", 47, {35: "Z", 37: "b"}),
        ("byclass", 62, {9: "9", 10: "A", 61: "z"}),
        ("digits", 10, {9: "9"}),
        ("mnist", 10, {0: "0"}),
    ],
)
def test_classes_of_emnist_without_their_mapping(tmp_path, variant, count, some):
    write_idx(tmp_path, *pictures(6), stem=f"emnist-{variant}-")
    classes = Idx(path=str(tmp_path), prefix=f"emnist-{variant}").classes
    assert len(classes) == count
    assert {n: classes[n] for n in some} == some


def test_rows_of_labels_as_qmnist_has_them(tmp_path):
    images, labels = pictures(6)
    write_idx(tmp_path, images, labels, stem="qmnist-", gz=True)
    (tmp_path / "qmnist-train-labels-idx1-ubyte.gz").unlink()
    rows = np.zeros((6, 8), ">i4")
    rows[:, 0], rows[:, 2] = labels, 70_000
    content = b"\0\0\x0c\2" + np.array(rows.shape, ">u4").tobytes() + rows.tobytes()
    (tmp_path / "qmnist-train-labels-idx2-int").write_bytes(content)
    source = Idx(path=str(tmp_path), prefix="qmnist")
    assert [source.read("train", n).label for n in range(6)] == labels.tolist()
    assert source.classes == ("0", "1", "2")


@pytest.mark.parametrize("most", [1, 16])
def test_pixels_of_small_numbers_are_refused_until_white_is_stated(tmp_path, most):
    images, labels = pictures(6)
    images = np.where(images > 127, most, 0).astype(np.uint8)
    write_idx(tmp_path, images, labels)
    text = message(tmp_path)
    assert f"no pixel above {most}, where 255 is white" in text
    assert f"use source.white={most};" in text
    for white, expected in ((most, 255), (255, most)):
        signal = Idx(path=str(tmp_path), white=white).read("train", 2).signal
        np.testing.assert_array_equal(signal, np.where(images[2] > 0, expected, 0))
    assert "at most 0.5" in message(tmp_path, white=0.5)


def test_few_white_pixels_do_not_make_dark_images_bright(tmp_path):
    images, labels = pictures(6)
    images >>= 6
    images[:, 0, 0] = 255
    write_idx(tmp_path, images, labels)
    (finding,) = Idx(path=str(tmp_path)).provenance()["findings"]
    assert finding.startswith(
        "the images have no pixel above 3 but for a few of about 255, which is white: if 3 is "
    )
    assert "multiply their pixels by 85, up to 255, and write the file again" in finding
    assert "findings" not in Idx(path=str(tmp_path), white=255).provenance()


def test_a_split_of_another_white(tmp_path):
    images, labels = pictures(6)
    write_idx(tmp_path, images, labels)
    write_idx(tmp_path, images > 127, labels, split="test")
    text = message(tmp_path)
    assert "the test images of" in text
    assert "no pixel above 1, where 255 is white" in text
    assert (
        "multiply their pixels by 255, up to 255, and write the file again; if they are so dark, use source.white=255"
        in text
    )
    (finding,) = Idx(path=str(tmp_path), white=255).provenance()["findings"]
    assert finding.startswith("the test images have no pixel above 1, where 255 is white, unlike the others")
    write_idx(tmp_path, np.where(images > 127, 255, 0), labels, split="test")
    assert "findings" not in Idx(path=str(tmp_path)).provenance()


def test_a_class_and_images_of_another_white(tmp_path):
    images, labels = pictures(12)
    images[labels == 1] >>= 2
    images[3] = images[3] > 127
    write_idx(tmp_path, images, labels)
    dark, mask = Idx(path=str(tmp_path)).provenance()["findings"]
    assert dark.startswith(
        "the images of class 1 have no pixel above 63, where 255 is white, unlike the others"
    )
    assert (
        "1 image has no pixel above 1, where 255 is white, unlike the others, such as image 3 of train"
        in mask
    )


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize("order", ["magic", "sizes"])
@pytest.mark.parametrize("kind", ["images-idx3", "labels-idx1"])
def test_little_endian_numbers_are_named(tmp_path, order, kind, gz):
    images, labels = pictures(60)
    write_idx(tmp_path, images, labels)
    array = images if "images" in kind else labels
    magic = (0x800 + array.ndim).to_bytes(4, "little" if order == "magic" else "big")
    content = magic + np.array(array.shape, "<u4").tobytes() + array.tobytes()
    (tmp_path / f"train-{kind}-ubyte").write_bytes(gzip.compress(content) if gz else content)
    text = message(tmp_path)
    assert "in little-endian byte order" in text
    assert "in NumPy, as the type '>u4'" in text
    assert "max_ratio" not in text


@pytest.mark.parametrize(
    ("magic", "found"),
    [(0xD03, "32-bit floats in 3 dimensions"), (0x804, "unsigned bytes in 4 dimensions"),
     (0xB01, "16-bit integers in 1 dimension;"), (0x902, "signed bytes in 2 dimensions")],
)  # fmt: skip
def test_other_arrays_are_named(tmp_path, magic, found):
    write_idx(tmp_path, *pictures(6))
    (tmp_path / "train-images-idx3-ubyte").write_bytes(magic.to_bytes(4, "big") + bytes(500))
    text = message(tmp_path)
    assert f"has {found}" in text
    assert "expected unsigned bytes in 3 dimensions, as IDX files of images have" in text


@pytest.mark.parametrize("change", [str.upper, str.title])
def test_names_in_any_case(tmp_path, change):
    images, labels = pictures(6)
    write_idx(tmp_path, images, labels, gz=True, stem="emnist-letters-")
    (tmp_path / "emnist-letters-mapping.txt").write_text("0 97\n1 98\n2 99\n")
    for path in list(tmp_path.iterdir()):
        path.rename(tmp_path / change(path.name))
    source = Idx(path=str(tmp_path), prefix="emnist-letters")
    assert dict(source.splits()) == {"train": 6}
    assert source.classes == ("a", "b", "c")
    np.testing.assert_array_equal(source.read("train", 5).signal, images[5])


def test_sizes_of_emnist():
    assert emnist_findings("emnist-letters", {"train": 124_800, "test": 14_800}) == []
    assert emnist_findings("emnist-digits", {"train": 240_000, "test": 39_999}) == [
        "emnist-digits: test has 39,999 images, and was published with 40,000: these are a part of them, or others"
    ]
    assert emnist_findings("", {"train": 1}) == []


# ---------------------------------------------------------------- published data sets


@pytest.fixture
def known(monkeypatch):
    """Two data sets as if published: of the pictures of seeds 1 and 2."""

    def digests(seed):
        images, labels = pictures(6, seed=seed)
        labels = np.roll(labels, seed)
        contents = (images, labels, images[:3], labels[1:4])
        return tuple(hashlib.sha256(idx_bytes(content)).hexdigest() for content in contents)

    sets = (
        PublishedSet("Digits", ("0", "1", "2"), "digits", digests(1)),
        PublishedSet("Clothes", ("shirt", "coat", "bag"), "", digests(2)),
    )
    monkeypatch.setattr(published_digits, "PUBLISHED", sets)


def write_published(folder, train, test=None, **settings):
    for split, seed in (("train", train), ("t10k", test or train)):
        images, labels = pictures(6, seed=seed)
        labels = np.roll(labels, seed)
        if split == "t10k":
            images, labels = images[:3], labels[1:4]
        write_idx(folder, images, labels, split=split, **settings)


@pytest.mark.parametrize("gz", [False, True])
def test_files_of_a_published_data_set_are_refused_under_the_classes_of_another(tmp_path, known, gz):
    write_published(tmp_path, 2, gz=gz)
    assert Idx(path=str(tmp_path)).classes == ("shirt", "coat", "bag")
    assert Idx(path=str(tmp_path), class_names=("Hemd", "Mantel", "Tasche")).classes[0] == "Hemd"
    text = message(tmp_path, class_names=("0", "1", "2"))
    assert "is of Clothes, as its digest says; expected Digits" in text
    assert 'use source.class_names=["shirt","coat","bag"]' in text


def test_files_of_two_published_data_sets_are_refused(tmp_path, known):
    write_published(tmp_path, 1, test=2)
    assert "is of Digits and" in message(tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte").unlink(), (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    assert Idx(path=str(tmp_path)).splits() == {"train": 6}


def test_a_published_file_under_the_name_of_another_is_refused(tmp_path, known):
    write_published(tmp_path, 1)
    for kind in ("images-idx3", "labels-idx1"):
        (tmp_path / f"train-{kind}-ubyte").unlink()
        (tmp_path / f"t10k-{kind}-ubyte").rename(tmp_path / f"train-{kind}-ubyte")
    assert "is the file of Digits's test images, as its digest says; expected its train images" in message(
        tmp_path
    )


def test_digests_of_published_files():
    assert len({digest for published in PUBLISHED for digest in published.digests}) == 12
    assert all(len(published.classes) == 10 for published in PUBLISHED)


def test_reported_folders():
    folder = asset("cases/images_and_sound")
    for name, splits in (("kaggle_mnist", {"train": 40}), ("both_spellings", {"train": 40, "test": 20})):
        source = Idx(path=str(folder / f"idx_{name}"), class_names=tuple("0123456789"), shape=(28, 28))
        assert dict(source.splits()) == splits
        assert [source.read("train", n).label for n in range(12)] == [*range(10), 0, 1]
    letters = Idx(path=str(folder / "idx_emnist_letters"), prefix="emnist-letters", transpose=True)
    assert letters.classes == LETTERS
    assert {letters.read("train", n).label for n in range(letters.splits()["train"])} == set(range(26))


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
    assert not {"note", "findings"} & set(source.provenance())
    files = {("train", "labels"): (source._data["train"].paths[1], source._data["train"].files[1])}
    assert published_set(files, source.classes).name == "MNIST"
    with pytest.raises(
        DataError, match=r"is of MNIST, as its digest says; expected Fashion-MNIST.*recipe mnist"
    ):
        published_set(files, PUBLISHED[1].classes)


def test_real_emnist_is_upright_either_way(tmp_path):
    folder = asset("data/emnist")
    upright = Idx(path=str(folder), prefix="emnist-balanced", transpose="auto")
    assert dict(upright.splits()) == {"train": 9_120}
    assert len(upright.classes) == 47
    assert upright.classes == EMNIST["emnist-balanced"].names  # the mapping file's
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


def test_images_that_are_repeated(tmp_path):
    images, labels = pictures(9)
    write_idx(tmp_path, images, labels)
    assert "findings" not in Idx(path=str(tmp_path)).provenance()
    images[8], images[6], labels[6] = images[5], images[1], 2  # of its class, of another
    write_idx(tmp_path, images, labels)
    write_idx(tmp_path, images[:4], labels[:4], split="test")
    assert Idx(path=str(tmp_path)).provenance()["findings"] == [
        "one image repeats the pixels of images of another class, such as image 1 of train and image 6 of train",
        "4 images repeat the pixels of images in another split, such as image 0 of train and image 0 of test",
        "one image repeats the pixels of images of their class, such as image 5 of train and image 8 of train",
    ]


def test_splits_of_different_shapes(tmp_path):
    write_idx(tmp_path, *pictures(6))
    write_idx(tmp_path, *pictures(6, columns=7), split="test")
    for shape in ((), (5, 4)):
        text = message(tmp_path, shape=shape)
        assert "images of 5 × 7 pixels, and train-images-idx3-ubyte of 5 × 4" in text
        assert "expected test images of the size of the train images" in text


@pytest.mark.parametrize("names", ["[a,b,3]", ("a", "b", 3), "names.txt"])
def test_class_names_as_a_shell_gives_them(tmp_path, names):
    write_idx(tmp_path, *pictures(6))
    (tmp_path / "names.txt").write_text("a\nb\n3\n")
    assert Idx(path=str(tmp_path), class_names=names).classes == ("a", "b", "3")
