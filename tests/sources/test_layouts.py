"""Folders of splits and of classes, lists of files, the order of classes, and groups: understood or refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spikeprep.encoding.reencode import encoder_of, reencode
from spikeprep.encoding.run import encode
from spikeprep.errors import DataError, UsageError
from spikeprep.recipes import Recipe
from spikeprep.sources.audio import AudioFiles
from spikeprep.sources.class_names import naming, sorted_classes
from spikeprep.sources.events import EventFolder
from spikeprep.sources.idx import Idx
from spikeprep.sources.images import ImageFolder
from spikeprep.sources.labelled_source import find_labelled_files
from spikeprep.sources.nmnist import Nmnist
from spikeprep.sources.split_names import is_split_like, split_named
from spikeprep.store import SpikeStore
from spikeprep.train.splits import split_validation

from .event_folders import nmnist_folder
from .idx_files import pictures, write_idx

SOURCES = (AudioFiles, EventFolder, ImageFolder)
ENDINGS = {AudioFiles: "wav", EventFolder: "npz", ImageFolder: "png"}


def put(root: Path, *files: str, ending: str = "wav") -> Path:
    for file in files:
        path = root / f"{file}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not opened")
    return root


def listed(root: Path, cls=AudioFiles, **settings):
    """Return classes, split → number of files, and findings, of names alone."""
    source = cls(path=str(root), **settings)
    listing = source.listing()
    return source.classes, dict(Counter(r.split for r in listing.recordings)), list(listing.findings)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *[
            (name, "train")
            for name in ("train", "TRAIN", "Training", "n-cars_train", "TrainSet", "train2017")
        ],
        *[(name, "validation") for name in ("val", "Valid", "validation", "DEV", "imagenet_val")],
        *[(name, "test") for name in ("test", "Testing", "ibmGestureTest", "test_set", "testdata")],
        *[
            (name, None)
            for name in (
                "train_val",
                "trainval",
                "eval",
                "holdout",
                "not_test",
                "NotTrain",
                "nontest",
                "pre_train",
                "contest",
                "strain",
                "validated",
                "7",
            )
        ],
    ],
)
def test_names_of_splits(name, split):
    assert split_named(name) == split
    assert is_split_like(name) == (name not in ("contest", "strain", "validated", "7"))


@pytest.mark.parametrize("cls", SOURCES)
def test_folders_of_splits_by_any_of_their_names(tmp_path, cls):
    files = [
        f"{split}/{name}/{n}" for split in ("Training", "val", "TEST") for name in "ab" for n in range(2)
    ]
    put(tmp_path, *files, "TEST/b/more", "_notes/x", ending=ENDINGS[cls])
    (tmp_path / "doc").mkdir()
    assert listed(tmp_path, cls) == (("a", "b"), {"train": 4, "validation": 4, "test": 5}, [])
    source = cls(path=str(tmp_path))
    assert {r.split: r.id.split("/")[0] for r in source.listing().recordings} == {
        "train": "Training", "validation": "val", "test": "TEST",
    }  # fmt: skip


UNDERSTOOD = [
    (["n-cars_train/car/1", "n-cars_train/no/1", "n-cars_test/car/1"], {}, {"train": 2, "test": 1}, "car no"),
    (["train/1", "bus/1", "bus/2"], {"test_share": 0.5}, {"train": 2, "test": 1}, "bus train"),
    (["train/1", "test/1"], {"class_names": ("test", "train")}, {"train": 2}, "test train"),
    (["data/a/1", "data/b/1"], {"class_names": "[data]"}, {"train": 2}, "data"),
    (["train/a/1", "test/b/1"], {"class_names": ["b", "a"]}, {"train": 1, "test": 1}, "b a"),
    (["a/train/1", "b/1"], {"class_names": "a,b"}, {"train": 2}, "a b"),
    (["train/train/a/1", "train/train/b/1", "test/test/a/1"], {}, {"train": 2, "test": 1}, "a b"),
    (["traindata/a/1", "traindata/b/1", "testdata/a/1"], {}, {"train": 2, "test": 1}, "a b"),
    (["train/train/1", "test/train/1"], {"class_names": ["train"]}, {"train": 1, "test": 1}, "train"),
]


@pytest.mark.parametrize(("files", "settings", "splits", "classes"), UNDERSTOOD)
def test_what_is_understood(tmp_path, files, settings, splits, classes):
    found = listed(put(tmp_path, *files), **settings)
    assert (found[0], found[1]) == (tuple(classes.split()), splits)


REFUSED = [
    (["train/a/1", "eval/b/1"], "has the folders eval, train.*Rename eval.*class_names=.eval,train"),
    (["train/a/1", "eval/a/1"], r"the folders eval, train.*to train, validation or test, or move it away\.$"),
    (["train/a/1", "train_val/a/1"], "Rename train_val to train, validation or test"),
    (["Train/a/1", "training/a/1"], "has the folders Train, training; .*one folder for each split"),
    (["train/a/1", "more/1"], "the folders train beside more.*class_names=.more,train"),
    (["train/a/1", "more/a/1"], r"the folders train beside more.*the folders of splits alone\.$"),
    (
        ["train/1", "test/1"],
        "test has (recordings|images) and no folders of classes.*path,label,split.*class_names=.test,train",
    ),
    (["train/a/1", "test/A/1"], "test has the classes A, which .*train lacks.*class_names=.A,a"),
    (["a/train/1", "b/1"], r"a/train is a folder 'train' below a.*class_names=\[a,b\]"),
    (
        ["a/train/1", "b/train/1", "a/test/1", "b/test/1"],
        r"a/test is a folder 'test' below a.*class_names=\[a,b\]",
    ),
    (["train/a/train/1", "test/b/1"], r"a/train is a folder .*class_names=\[a,b\]"),
    (
        ["train/a/1", "not_test/a/1"],
        "the folders not_test, train.*Rename not_test to train, validation or test",
    ),
    (["train_0/a/1", "train_1/a/1"], "the folders train_0, train_1; .*one folder for each split"),
    (
        ["train/x/a/1", "train/x/b/1", "train/y/a/1", "train/y/b/1"],
        r"train has the folders x, y, and each of them has a, b.*move them one level up.*class_names=\[x,y\]",
    ),
    (["Cat/1", "cat/1", "dog/1"], r"spelling alone: Cat, cat; .*class_names=\[Cat,cat,dog\]"),
    (["train/Cat/1", "test/cat/1"], r"spelling alone: Cat, cat; .*class_names=\[Cat,cat\]"),
    (["train/cat/1", "test/cat /1"], r"spelling alone: 'cat', 'cat '; .*folders and tables\.$"),
    (["train/caf\u00e9/1", "test/cafe\u0301/1"], r"spelling alone: 'cafe\\u0301', 'caf\\xe9'"),
    (["s1/1", "s01/1", "s2/1"], r"spelling alone: s01, s1; .*class_names=\[s01,s1,s2\]"),
    (
        ["data/a/1", "data/b/1"],
        "one folder, data, which has the folders a, b.*source=.*data.*class_names=.data",
    ),
    (
        ["data/train/a/1", "data/test/a/1"],
        "one folder, data, which has the folders test, train.*source=.*data",
    ),
    (["train/x/a/1", "test/x/b/1"], "has one folder, x, which has the folders b.*move them to .*test"),
]


@pytest.mark.parametrize("cls", SOURCES)
@pytest.mark.parametrize(("files", "message"), REFUSED)
def test_what_is_refused(tmp_path, cls, files, message):
    with pytest.raises(DataError, match=f"(?s){message}"):
        listed(put(tmp_path, *files, ending=ENDINGS[cls]), cls)


def test_what_is_left_out_is_reported(tmp_path):
    put(tmp_path, "train/a/1", "train/b/1", "train/loose", "test/a/1", "x", "y")
    (tmp_path / "val").mkdir()
    assert listed(tmp_path)[2] == [
        f"left out: 2 of the recordings, directly in {tmp_path.name}, in no folder of a class",
        "val has no recordings",
        "left out: one of the recordings, directly in train, in no folder of a class",
    ]
    (tmp_path / "train").rename(tmp_path / "moved")
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match="moved"):
        listed(tmp_path)


# ---------------------------------------------------------------- lists


def test_lists_of_validation_and_test_files(tmp_path):
    put(tmp_path, *[f"{name}/{n}" for name in ("no", "yes") for n in range(5)])
    (tmp_path / "val.txt").write_text("no/0.wav\nyes/1.wav\n\n")
    (tmp_path / "test.txt").write_text("no/4.wav\r\nno/9.wav\n")
    both = {"validation_list": "val.txt", "test_list": "test.txt"}
    assert listed(tmp_path, **both) == (
        ("no", "yes"),
        {"train": 7, "validation": 2, "test": 1},
        ["not there: 1 of the 2 files that test.txt names, such as no/9.wav"],
    )
    assert listed(tmp_path, test_list="test.txt")[1] == {"train": 9, "test": 1}
    assert listed(tmp_path, validation_list="val.txt")[1] == {"train": 6, "validation": 2, "test": 2}
    for change, message in (
        ({"test_list": "val.txt"}, "val.txt both name no/0.wav, yes/1.wav"),
        ({"validation_list": "none.txt"}, "none.txt does not exist.*source.validation_list"),
    ):
        with pytest.raises(DataError, match=message):
            listed(tmp_path, **both | change)
    (tmp_path / "val.txt").write_bytes("./no/0.wav\r\nyes\\1.wav\nno/../no/0.wav".encode("utf-16"))
    assert listed(tmp_path, validation_list="val.txt", test_list="test.txt")[1] == {
        "train": 7, "validation": 2, "test": 1,
    }  # fmt: skip
    (tmp_path / "testing_list.txt").write_text("no/4.wav")
    assert listed(tmp_path)[2] == [
        f"testing_list.txt, val.txt in {tmp_path.name}: not used; to take the splits from lists, use "
        "source.validation_list=val.txt source.test_list=testing_list.txt"
    ]
    (tmp_path / "val.txt").write_text("\n")
    assert listed(tmp_path, **both)[2][0] == "val.txt names no files"
    (tmp_path / "val.txt").write_text("audio/no/0.wav\n")
    with pytest.raises(DataError, match=r"none of which is there, such as audio/no/0.wav.*such as no/0.wav"):
        listed(tmp_path, **both)
    put(tmp_path / "splits", "train/a/1", "test/a/1")
    with pytest.raises(DataError, match="has splits of its own"):
        listed(tmp_path / "splits", test_list="test.txt")


def test_comments_and_names_of_columns_in_lists_are_no_files(tmp_path):
    put(tmp_path, "a/1", "a/2", "b/#1", "b/path")
    for text in ("# of test\na/1.wav\n\n# more\nb/#1.wav", "path\na/1.wav\nb/#1.wav", "#\nFile\na/1\nb/#1"):
        (tmp_path / "t.csv").write_text(text)
        assert listed(tmp_path, test_list="t.csv")[1:] == ({"train": 2, "test": 2}, []), text
    (tmp_path / "t.csv").write_text("a/1.wav\npath\n")
    assert listed(tmp_path, test_list="t.csv")[2] == [
        "not there: 1 of the 2 files that t.csv names, such as path"
    ]


@pytest.mark.parametrize("cls", SOURCES)
def test_lists_and_tables_in_the_folder_are_reported(tmp_path, cls):
    ending = ENDINGS[cls]
    put(tmp_path, "a/1", "a/2", "b/1", "b/2", ending=ending)
    for name, text in {
        "README.txt": "Pictures of a and b.\na/1 is one of them.\n", "classes.txt": "a\nb\n", "LICENSE.txt": "MIT",
        "sizes.csv": "label,mean\na,1\nb,2\n", "numbers.csv": "1,2\n1,2\n", "Thumbs.db": "x", "none.txt": "",
        "train.txt": f"a/1.{ending}\nb/1.{ending}\n", "test.txt": "a/2\nb/2\n",
        "split.csv": f"path;split\na/1.{ending};test\n", "val.csv": f"1.{ending},0\n2.{ending},1\n",
    }.items():  # fmt: skip
        (tmp_path / name).write_text(text)
    where = tmp_path.name
    assert listed(tmp_path, cls, test_share=0.5)[2] == [
        f"test.txt, train.txt in {where}: not used; to take the splits from lists, use source.test_list=test.txt",
        f"split.csv in {where}: not used; to take labels from it, give it in place of the folder: "
        f"source={tmp_path}/split.csv",
        f"val.csv in {where}: not used; to take labels or splits from it, make it a CSV file of path,label,split, and "
        "give that as source=FILE",
    ]
    assert listed(tmp_path, cls, test_list="test.txt") == (("a", "b"), {"train": 2, "test": 2}, [])


def test_a_folder_with_a_table_alone_names_it(tmp_path):
    (put(tmp_path, "1", "2") / "t.csv").write_text("path,label\n1.wav,a\n2.wav,b\n")
    with pytest.raises(DataError, match=rf"no class folders.*source={tmp_path}/t\.csv\.$"):
        listed(tmp_path)
    assert listed(tmp_path / "t.csv", test_share=0) == (("a", "b"), {"train": 2}, [])


def test_folders_of_splits_that_are_doubled_are_noted(tmp_path):
    put(tmp_path, "seg_train/seg_train/a/1", "seg_train/seg_train/b/1", "seg_test/seg_test/a/1", "seg_test/x")
    source = AudioFiles(path=str(tmp_path))
    assert source.listing().note == (
        "the classes of seg_test are read from seg_test/seg_test; the classes of seg_train are read from "
        "seg_train/seg_train"
    )
    assert sorted((r.split, r.label, r.id) for r in source.listing().recordings) == [
        ("test", 0, "seg_test/seg_test/a/1.wav"), ("train", 0, "seg_train/seg_train/a/1.wav"),
        ("train", 1, "seg_train/seg_train/b/1.wav"),
    ]  # fmt: skip
    assert source.listing().findings == [
        "left out: one of the recordings, directly in seg_test, in no folder of a class"
    ]


def test_a_table_has_the_same_names_of_splits(tmp_path):
    rows = [
        f"{name}.wav,{name[0]},{split}"
        for name, split in (("a1", "Training"), ("b1", "train"), ("a2", "val"))
    ]
    (tmp_path / "table.csv").write_text("\n".join(["path,label,split", *rows, "b2.wav,b,TEST"]))
    assert listed(tmp_path / "table.csv")[1] == {"train": 2, "validation": 1, "test": 1}
    (tmp_path / "table.csv").write_text("\n".join(["path,label,split", *rows, "b2.wav,b,eval"]))
    assert [str(bad)[:18] for bad in AudioFiles(path=str(tmp_path / "table.csv")).listing().bad] == [
        "table.csv line 5 h"
    ]


# ---------------------------------------------------------------- classes


def test_numbers_are_in_the_order_of_numbers():
    assert sorted_classes(str(n) for n in range(12)) == tuple(map(str, range(12)))
    assert sorted_classes(["10", "-2", "9.5", "007", "7"]) == ("-2", "007", "7", "9.5", "10")
    assert sorted_classes(["10", "9", "a"]) == ("10", "9", "a")


def test_the_order_of_classes_can_be_given(tmp_path):
    put(tmp_path, *[f"{name}/{n}" for name in ("10", "2", "no") for n in range(2)])
    (tmp_path / "classes.txt").write_text("no\n2\n10\n")
    expected = {"no": 0, "2": 1, "10": 2}
    for given in ("classes.txt", ["no", "2", "10"], ["no", 2, 10], "[no,2,10]", "no, 2, 10"):
        source = AudioFiles(path=str(tmp_path), class_names=given)
        assert source.classes == ("no", "2", "10")
        assert all(r.label == expected[r.id.split("/")[0]] for r in source.listing().recordings)
    assert AudioFiles(path=str(tmp_path)).classes == ("10", "2", "no")
    for given, message in (
        ("[no,2]", "the class 10, which source.class_names lacks"),
        (["no", "2", "10", "yes"], "no samples of yes"),
        (["no", "no"], "has no twice"),
        (
            ["No", "2", "10"],
            r"the class no, which source.class_names lacks \(No, no differ in spelling alone\)",
        ),
        ("missing.txt", "missing.txt does not exist"),
    ):
        with pytest.raises(DataError, match=message):
            AudioFiles(path=str(tmp_path), class_names=given).listing()


# ---------------------------------------------------------------- groups


def test_a_test_share_cuts_through_no_group(tmp_path):
    put(tmp_path, *[f"{name}/user{s}_{n}" for name in ("no", "yes") for s in range(10) for n in range(3)])
    test = {}
    for share in (0.01, 0.2):
        source = AudioFiles(path=str(tmp_path), group_pattern="user([0-9]+)", test_share=share)
        splits = Counter((r.group, r.split) for r in source.listing().recordings)
        assert set(splits.values()) == {6}  # all recordings of a speaker are of one split
        test[share] = {group for group, split in splits if split == "test"}
    assert [len(groups) for groups in test.values()] == [1, 2]
    assert test[0.01] < test[0.2]
    one_class = AudioFiles(path=str(tmp_path), group_pattern="[a-z]+/user[0-9]+", test_share=0.2).listing()
    assert Counter((r.label, r.split) for r in one_class.recordings) == {
        (0, "train"): 24, (0, "test"): 6, (1, "train"): 24, (1, "test"): 6,
    }  # fmt: skip
    with pytest.raises(DataError, match=r"no/user0_0.wav has nothing that source.group_pattern=x matches"):
        AudioFiles(path=str(tmp_path), group_pattern="x").listing()
    with pytest.raises(UsageError, match="group_pattern"):
        AudioFiles(path=str(tmp_path), group_pattern="(")


def test_groups_that_are_spelled_alike_are_reported(tmp_path):
    put(tmp_path, "a/G1-1", "a/g1-2", "b/G2-3")
    assert listed(tmp_path, group_pattern="[gG][0-9]", test_share=0)[2] == [
        "groups whose names differ in spelling alone are different groups: G1, g1"
    ]


def test_groups_that_the_data_cut_are_reported(tmp_path):
    put(tmp_path, "train/a/u1", "train/b/u2", "test/a/u1", "test/b/u3")
    assert listed(tmp_path, group_pattern="u[0-9]")[2] == [
        "in more than one split, as the data say: the groups u1"
    ]


def test_a_store_keeps_the_groups(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    for name in "ab":
        for n in range(12):
            file = tmp_path / f"raw/{name}/s{n % 4}-{n}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((2, 3), 20 * n + 3, np.uint8)).save(file)
    source = {"name": "images", "group_pattern": "s[0-9]", "test_share": 0.25}
    for copies in (1, 2):
        recipe = Recipe("made-up", "", "", source, [{"name": "poisson", "steps": 8}], copies=copies)
        encode(recipe, tmp_path / f"{copies}.zarr", source_path=tmp_path / "raw")
        store = SpikeStore.open(tmp_path / f"{copies}.zarr")
        numbers = {}
        for split, size in {"train": 18 * copies, "test": 6}.items():
            reader = store[split]
            assert len(reader) == size
            numbers[split] = set(reader.groups.tolist())
            assert [int(id_[3]) for id_ in reader.ids] == reader.groups.tolist()
        assert (len(numbers["train"]), len(numbers["test"])) == (3, 1)
        train, held = split_validation(store["train"].labels, 0.05, 0, store["train"].groups)
        assert (len(train), len(held)) == (12 * copies, 6 * copies)
        again = reencode(store, encoder_of(store, tmp_path / "raw"), 5)
        assert again == []


def test_folds_of_classes_are_refused(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    for n in range(8):
        file = tmp_path / f"fold{n % 2}" / "ab"[n // 4] / f"{n}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((2, 3), 30 * n + 3, np.uint8)).save(file)
    with pytest.raises(DataError, match="the folders fold0, fold1, and each of them has a, b") as caught:
        ImageFolder(path=str(tmp_path)).splits()
    assert "source.class_names=[fold0,fold1]" in str(caught.value)
    assert ImageFolder(path=str(tmp_path), class_names=("fold0", "fold1")).classes == ("fold0", "fold1")
    assert ImageFolder(path=str(tmp_path / "fold0")).classes == ("a", "b")


def test_classes_that_have_folders_alone_are_reported(tmp_path):
    put(tmp_path, "x/a/1", "x/b/1", "y/a/1", "y/b/1", "y/c/1")
    (finding,) = listed(tmp_path, test_share=0)[2]
    assert finding == (
        f"x, y are taken as the classes of {tmp_path.name}; all of them have folders alone: a, b, c"
    )
    assert listed(tmp_path, class_names=("x", "y"), test_share=0)[2] == []
    for names in (["eval", "train"], ["testdata", "traindata"], ["n_test", "n_train"]):
        root = put(tmp_path / names[0], f"{names[0]}/a/1", f"{names[1]}/a/1", f"{names[1]}/b/1")
        assert listed(root, class_names=names, test_share=0)[1:] == (
            {"train": 3},
            [
                f"{', '.join(names)} are taken as the classes of {root.name}; all of them have folders alone: a, b"
            ],
        )


def test_what_names_all_classes():
    assert naming(["2", "a"]) == "use source.class_names=[2,a]"
    assert (
        naming(["1.0", "true", "New York", "a,b"]) == 'use source.class_names=["1.0","true","New York","a,b"]'
    )
    assert "one per line, and use source.class_names=classes.txt" in naming([str(n) for n in range(30)])


def test_files_of_other_endings_are_reported(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    for n in range(4):
        file = tmp_path / "ab"[n % 2] / f"{n}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((2, 3), 60 * n + 3, np.uint8)).save(file)
    (tmp_path / "b/x.jfif").write_bytes((tmp_path / "a/0.png").read_bytes())
    (finding,) = ImageFolder(path=str(tmp_path), test_share=0).provenance()["findings"]
    assert finding.startswith("left out: one of the files in b, of other endings than .png")
    assert finding.endswith("such as x.jfif")
    (tmp_path / "b/x.jfif").unlink()
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store"):
        (tmp_path / "b" / name).write_bytes(b"not opened")
        (tmp_path / name).write_bytes(b"not opened")
    assert "findings" not in ImageFolder(path=str(tmp_path), test_share=0).provenance()
    files = find_labelled_files(str(tmp_path), "files", ())
    assert [entry.id for entry in files.entries] == ["a/0.png", "a/2.png", "b/1.png", "b/3.png"]


# ---------------------------------------------------------------- other sources


def test_files_with_the_bytes_of_others_are_reported(tmp_path):
    def grey(name: str, level: int) -> None:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), level, np.uint8)).save(tmp_path / name)

    for n in range(4):
        grey(f"train/{'ab'[n % 2]}/{n}.png", 200 + n)
        grey(f"test/{'ab'[n % 2]}/{n}.png", 210 + n)
    source = ImageFolder(path=str(tmp_path))
    assert "findings" not in source.provenance()
    grey("test/a/4.png", 200)  # train/a/0.png
    grey("test/a/6.png", 202)  # train/a/2.png
    grey("train/b/7.png", 202)
    grey("train/b/5.png", 201)  # train/b/1.png
    assert ImageFolder(path=str(tmp_path)).provenance()["findings"] == [
        "one file repeats the bytes of files of another class, such as train/a/2.png and train/b/7.png",
        "2 files repeat the bytes of files in another split, such as train/a/0.png and test/a/4.png",
        "one file repeats the bytes of files of their class, such as train/b/1.png and train/b/5.png",
    ]


def test_folders_of_nmnist(tmp_path):
    nmnist_folder(tmp_path, train=20, test=10)
    (tmp_path / "Train").rename(tmp_path / "training")
    (tmp_path / "Test").rename(tmp_path / "val")
    assert dict(Nmnist(path=str(tmp_path)).splits()) == {"train": 16, "validation": 10, "test": 4}
    (tmp_path / "Train").mkdir()
    with pytest.raises(DataError, match="two train folders, Train and training"):
        Nmnist(path=str(tmp_path)).splits()


def test_idx_files_of_a_validation_split(tmp_path):
    images, labels = pictures(9)
    for split, stop in (("training", 9), ("val", 4), ("t10k", 3)):
        write_idx(tmp_path, images[:stop], labels[:stop], split=split)
    source = Idx(path=str(tmp_path))
    assert dict(source.splits()) == {"train": 9, "validation": 4, "test": 3}
    np.testing.assert_array_equal(source.read("validation", 3).signal, images[3])
