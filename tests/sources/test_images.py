import numpy as np
import pytest

from spikeprep.errors import DataError, UsageError
from spikeprep.sources.audio import AudioFiles
from spikeprep.sources.events import EventFolder
from spikeprep.sources.images import ImageFolder

Image = pytest.importorskip("PIL.Image")


def folder(root, classes=("cat", "dog", "eel"), each=10, shape=(4, 6), suffix="png", mode="L"):
    rng = np.random.default_rng(0)
    for name in classes:
        (root / name).mkdir(parents=True)
        for n in range(each):
            size = (*shape, 3) if mode == "RGB" else shape
            Image.fromarray(rng.integers(0, 256, size, dtype=np.uint8)).save(root / name / f"{n}.{suffix}")
    return root


def everything(source):
    return {split: [source.read(split, n) for n in range(size)] for split, size in source.splits().items()}


def test_a_folder_is_split_by_class_and_shuffled(tmp_path):
    source = ImageFolder(path=str(folder(tmp_path)))
    assert source.classes == ("cat", "dog", "eel")
    assert dict(source.splits()) == {"train": 24, "test": 6}
    samples = everything(source)
    ids = [s.id for split in samples.values() for s in split]
    assert len(set(ids)) == 30
    for s in samples["train"] + samples["test"]:
        assert s.id.split("/")[0] == source.classes[s.label]
        np.testing.assert_array_equal(s.signal, np.asarray(Image.open(tmp_path / s.id)))
    assert [sum(s.label == c for s in samples["test"]) for c in range(3)] == [2, 2, 2]
    assert len({s.label for s in samples["train"][:8]}) == 3  # shuffled, not class after class


def test_the_split_depends_on_names_and_seed_alone(tmp_path):
    one, other = folder(tmp_path / "a"), folder(tmp_path / "b")
    ids = [[s.id for s in everything(ImageFolder(path=str(p)))["test"]] for p in (one, other)]
    assert ids[0] == ids[1]
    assert ids[0] != [s.id for s in everything(ImageFolder(path=str(one), split_seed=1))["test"]]


def test_a_folder_with_a_split_keeps_it(tmp_path):
    folder(tmp_path / "train", each=3)
    folder(tmp_path / "test", classes=("cat", "eel"), each=2)
    source = ImageFolder(path=str(tmp_path))
    assert source.classes == ("cat", "dog", "eel")
    samples = everything(source)
    assert {split: len(s) for split, s in samples.items()} == {"train": 9, "test": 4}
    assert {s.label for s in samples["test"]} == {0, 2}
    assert all(s.id.startswith("test/") for s in samples["test"])


def test_a_test_share_of_0(tmp_path):
    assert dict(ImageFolder(path=str(folder(tmp_path)), test_share=0).splits()) == {"train": 30}


def test_colour_and_size(tmp_path):
    folder(tmp_path, mode="RGB", suffix="bmp")
    assert ImageFolder(path=str(tmp_path)).read("train", 0).signal.shape == (4, 6)
    assert ImageFolder(path=str(tmp_path), mode="rgb").read("train", 0).signal.shape == (4, 6, 3)
    assert ImageFolder(path=str(tmp_path), mode="rgb", size=(7, 5)).read("test", 0).signal.shape == (7, 5, 3)


def test_an_image_of_another_size(tmp_path):
    folder(tmp_path)
    Image.fromarray(np.full((9, 9), 255, np.uint8)).save(tmp_path / "cat/odd.png")
    with pytest.raises(DataError, match=r"cat/odd\.png has 9 × 9 pixels, not 4 × 6.*source\.size=\[4,6\]"):
        ImageFolder(path=str(tmp_path)).splits()
    assert len(everything(ImageFolder(path=str(tmp_path), test_share=0, size=(4, 6)))["train"]) == 31
    left = ImageFolder(path=str(tmp_path), test_share=0, skip_bad=True)
    assert left.splits() == {"train": 30}
    assert left.provenance()["left_out"] == ["cat/odd.png has 9 × 9 pixels, not 4 × 6"]


def test_bad_files_are_named_together_or_left_out(tmp_path):
    folder(tmp_path)
    (tmp_path / "cat/1.png").write_bytes(b"")
    (tmp_path / "cat/2.png").write_bytes(b"<!DOCTYPE html>")
    image = tmp_path / "dog/3.png"
    image.write_bytes(image.read_bytes()[:-30])
    with pytest.raises(DataError) as caught:
        ImageFolder(path=str(tmp_path)).splits()
    text = str(caught.value)
    assert "3 of the files cannot be used" in text
    assert all(name in text for name in ("cat/1.png is empty", "cat/2.png is a web page", "dog/3.png cannot"))
    assert "source.skip_bad=true" in text
    source = ImageFolder(path=str(tmp_path), skip_bad=True)
    samples = everything(source)
    ids = {sample.id for split in samples.values() for sample in split}
    assert len(ids) == 27
    assert not ids & {"cat/1.png", "cat/2.png", "dog/3.png"}
    assert len(source.provenance()["left_out"]) == 3


@pytest.mark.parametrize("cls", [ImageFolder, EventFolder, AudioFiles])
@pytest.mark.parametrize("skip_bad", [False, True])
def test_leaving_files_out_is_no_fix_where_all_are_bad(tmp_path, cls, skip_bad):
    (tmp_path / "a").mkdir()
    name = {ImageFolder: "1.png", EventFolder: "1.npz", AudioFiles: "1.wav"}[cls]
    (tmp_path / "a" / name).write_bytes(b"\x89PNG\r\n")
    with pytest.raises(DataError, match=f"one file cannot be used: a/{name}") as caught:
        cls(path=str(tmp_path), skip_bad=skip_bad).splits()
    assert "skip_bad" not in str(caught.value)


@pytest.mark.parametrize("make", [lambda p: None, lambda p: (p / "train").mkdir()])
def test_empty_folder(tmp_path, make):
    make(tmp_path)
    with pytest.raises(DataError, match="no class folders"):
        ImageFolder(path=str(tmp_path)).splits()


def test_empty_class(tmp_path):
    folder(tmp_path)
    (tmp_path / "fox").mkdir()
    (tmp_path / "fox/notes.txt").write_text("none yet")
    with pytest.raises(DataError, match="fox has no images"):
        ImageFolder(path=str(tmp_path)).splits()


def test_a_table(tmp_path):
    folder(tmp_path / "pictures", each=2)
    table = tmp_path / "table.csv"
    table.write_text("file,label,split\npictures/cat/0.png,pet,train\npictures/eel/1.png,fish,test\n")
    source = ImageFolder(path=str(table))
    assert source.classes == ("fish", "pet")
    found = {split: [(s.id, s.label) for s in samples] for split, samples in everything(source).items()}
    assert found == {"train": [("pictures/cat/0.png", 1)], "test": [("pictures/eel/1.png", 0)]}
    table.write_text("path,label\npictures/cat/0.png,pet\npictures/cat/0.png,cat\n")
    with pytest.raises(DataError, match=r"line 3 names pictures/cat/0\.png again"):
        ImageFolder(path=str(table)).splits()


def test_no_folder(tmp_path):
    for path in ("", str(tmp_path / "no")):
        with pytest.raises(DataError, match="source=FOLDER"):
            ImageFolder(path=path).splits()


@pytest.mark.parametrize("setting", [{"mode": "cmyk"}, {"size": [3]}, {"size": [0, 3]}, {"test_share": 1}])
def test_settings_that_are_not_allowed(setting):
    with pytest.raises(UsageError, match="images"):
        ImageFolder.from_config(setting)


def test_provenance_covers_every_file(tmp_path):
    source = ImageFolder(path=str(folder(tmp_path)))
    before = source.provenance()["sha256"]
    assert before == ImageFolder(path=str(tmp_path)).provenance()["sha256"]
    Image.fromarray(np.full((4, 6), 9, np.uint8)).save(tmp_path / "eel/7.png")
    assert ImageFolder(path=str(tmp_path)).provenance()["sha256"] != before
