import numpy as np
import pytest

from spikeprep.errors import DataError, UsageError
from spikeprep.eventfiles import read
from spikeprep.sources.nmnist import Nmnist

from ..assets import asset
from .event_folders import moving_bar, nmnist_folder, put


def everything(source):
    return {split: [source.read(split, n) for n in range(size)] for split, size in source.splits().items()}


def test_the_publishers_folders(tmp_path):
    source = Nmnist(path=str(nmnist_folder(tmp_path, train=21, test=11)))
    samples = everything(source)
    assert source.classes == tuple("0123456789")
    assert {split: len(s) for split, s in samples.items()} == {"train": 21, "test": 11}
    for split, found in samples.items():
        for n, sample in enumerate(found):
            assert sample.id == f"{split.title()}/{n % 10}/{n + 1:05}.bin"
            assert sample.label == n % 10
            assert sample.signal.size == (34, 34)
            np.testing.assert_array_equal(sample.signal.array, moving_bar(n % 3, n))
            outline = source.outline(split, n)
            assert (len(outline.array), outline.length()) == (1, sample.signal.length())
    facts = source.provenance()
    assert facts["note"] == "21 of 60,000 train and 11 of 10,000 test recordings"


def test_without_a_test_folder_the_last_by_number_are_test(tmp_path):
    source = Nmnist(path=str(nmnist_folder(tmp_path, train=30)))
    samples = everything(source)
    assert [int(s.id[-9:-4]) for s in samples["train"]] == list(range(1, 25))
    assert [int(s.id[-9:-4]) for s in samples["test"]] == list(range(25, 31))
    assert "the last 6 of 30 recordings are the test split" in source.provenance()["note"]
    assert dict(Nmnist(path=str(tmp_path), test_share=0).splits()) == {"train": 30}
    assert "note" not in Nmnist(path=str(tmp_path), test_share=0).provenance()


def test_the_case_of_folders_does_not_matter(tmp_path):
    nmnist_folder(tmp_path, train=20)
    (tmp_path / "Train").rename(tmp_path / "TRAIN")
    assert Nmnist(path=str(tmp_path)).read("train", 0).id == "TRAIN/0/00001.bin"


def test_missing_data(tmp_path):
    for path in ("", str(tmp_path / "no"), str(tmp_path)):
        with pytest.raises(DataError, match=r"no folder Train.*source=FOLDER"):
            Nmnist(path=path).splits()
    nmnist_folder(tmp_path, train=30)
    for file in (tmp_path / "Train/7").iterdir():
        file.unlink()
    nmnist_folder(tmp_path, train=0, test=20)
    with pytest.raises(DataError, match=r"Train has no recordings of 7, which other folders have.*Copy"):
        Nmnist(path=str(tmp_path)).splits()


def test_some_digits_alone(tmp_path):
    for name in ("Train/3/00004.bin", "Train/7/00008.bin", "Test/7/00001.bin"):
        put(tmp_path / name, moving_bar(0, 0))
    source = Nmnist(path=str(tmp_path))
    found = {split: [s.label for s in samples] for split, samples in everything(source).items()}
    assert found == {"train": [3, 7], "test": [7]}
    for file in (*tmp_path.glob("Train/*/*.bin"),):
        file.unlink()
    with pytest.raises(DataError, match="Train has no recordings; expected Train/DIGIT"):
        Nmnist(path=str(tmp_path)).splits()


def test_files_that_are_not_of_the_data_set(tmp_path):
    nmnist_folder(tmp_path, train=20)
    put(tmp_path / "Train/3/00001.bin", moving_bar(0, 0))
    put(tmp_path / "Train/seven/00099.bin", moving_bar(0, 0))
    with pytest.raises(DataError, match="2 of the files") as caught:
        Nmnist(path=str(tmp_path)).splits()
    assert "Train/3/00001.bin has the number of Train/0/00001.bin" in str(caught.value)
    assert "Train/seven/00099.bin is not DIGIT/NUMBER.bin" in str(caught.value)
    source = Nmnist(path=str(tmp_path), skip_bad=True)
    assert sum(source.splits().values()) == 20
    assert len(source.provenance()["left_out"]) == 2


def test_every_damaged_file_is_named_with_offset_and_fix(tmp_path):
    nmnist_folder(tmp_path, train=20)
    off = moving_bar(0, 0)
    off["x"][7] = 40
    put(tmp_path / "Train/4/00005.bin", off)
    file = tmp_path / "Train/9/00010.bin"
    file.write_bytes(file.read_bytes()[:-2])
    with pytest.raises(DataError, match="2 of the files") as caught:
        Nmnist(path=str(tmp_path)).splits()
    text = str(caught.value)
    assert "Train/4/00005.bin event 7 at byte 35: x 40" in text
    assert "Train/9/00010.bin is truncated: the record at byte 1995" in text
    assert "source.invalid=drop" in text
    assert str(tmp_path / "Train") not in text  # the file's name inside the source is enough
    source = Nmnist(path=str(tmp_path), invalid="drop")
    (note,) = source.provenance()["findings"]
    assert "events dropped: 2" not in note
    assert "events dropped: 1, files cut off: 1 (in Train/4/00005.bin, Train/9/00010.bin)" in note
    assert len(source.read("train", 4).signal.array) == len(off) - 1


def test_a_change_after_the_check_is_refused(tmp_path):
    source = Nmnist(path=str(nmnist_folder(tmp_path, train=20)))
    source.splits()
    (tmp_path / "Train/2/00003.bin").write_bytes(b"12")
    with pytest.raises(DataError, match=r"Train/2/00003\.bin"):
        source.read("train", 2)


@pytest.mark.parametrize(
    "setting", [{"size": [34]}, {"size": [0, 34]}, {"options": 3}, {"test_share": 1}, {"invalid": "hint"}]
)
def test_settings_that_are_not_allowed(tmp_path, setting):
    nmnist_folder(tmp_path, train=20)
    with pytest.raises(UsageError):
        Nmnist.from_config({"path": str(tmp_path), **setting}).splits()


def test_provenance_covers_every_byte(tmp_path):
    before = Nmnist(path=str(nmnist_folder(tmp_path, train=20))).provenance()
    assert before == Nmnist(path=str(tmp_path)).provenance()
    put(tmp_path / "Train/0/00011.bin", moving_bar(1, 5))
    assert Nmnist(path=str(tmp_path)).provenance()["sha256"] != before["sha256"]


def test_a_real_recording(tmp_path):
    real = asset("data/nmnist/tonic_sample_nmnist.bin")
    nmnist_folder(tmp_path, train=20)
    (tmp_path / "Train/0/00001.bin").write_bytes(real.read_bytes())
    found = Nmnist(path=str(tmp_path)).read("train", 0).signal
    np.testing.assert_array_equal(found.array, read(real).array)
    assert len(found.array) == real.stat().st_size // 5
