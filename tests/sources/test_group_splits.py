import numpy as np
import pytest

from spikeprep.errors import DataError
from spikeprep.sources.audio import AudioFiles
from spikeprep.sources.fsdd import Fsdd
from spikeprep.sources.series import SeriesSource
from spikeprep.sources.ti46 import Ti46

from .sound_files import put, spoken, ti46_corpus, wav


def by_split(source):
    return {
        split: {(source.read(split, n).id, source.group(split, n)) for n in range(size)}
        for split, size in source.splits().items()
    }


@pytest.fixture
def digits(tmp_path):
    for speaker in ("theo", "Lucas", "yweweler"):
        for n in (0, 7):
            put(tmp_path / f"1_{speaker}_{n}.wav", wav(spoken(1, n, 300), 8000))
    return tmp_path


def test_speakers_of_fsdd(digits):
    published = Fsdd(path=str(digits))
    assert {group for found in by_split(published).values() for _, group in found} == {None}
    assert {id_.rpartition("_")[2] for id_, _ in by_split(published)["test"]} == {"0.wav"}
    found = by_split(Fsdd(path=str(digits), test_speakers=("lucas",)))
    assert found["test"] == {("1_Lucas_0.wav", 0), ("1_Lucas_7.wav", 0)}
    assert {group for _, group in found["train"]} == {1, 2}


def test_speakers_of_ti46(tmp_path):
    root = ti46_corpus(tmp_path)
    found = by_split(Ti46(path=str(root), test_speakers=("M3",)))
    assert {id_.split("/")[-2] for id_, _ in found["test"]} == {"m3"}
    assert "m3" not in {id_.split("/")[-2] for id_, _ in found["train"]}
    assert len(found["train"]) + len(found["test"]) == 36
    with pytest.raises(DataError, match=r"names m9, which the data do not have.*m3"):
        Ti46(path=str(root), test_speakers=("m9",)).splits()


def test_groups_of_files_by_their_paths(tmp_path):
    for label in ("no", "yes"):
        for n in range(4):
            put(tmp_path / label / f"s{n}.wav", wav(spoken(1, n, 300), 8000))
    pattern = {"path": str(tmp_path), "group_pattern": "s([0-9])"}
    found = by_split(AudioFiles(**pattern, test_groups=(1, "3")))
    assert {id_[-6:] for id_, _ in found["test"]} == {"s1.wav", "s3.wav"}
    assert {id_[-6:] for id_, _ in found["train"]} == {"s0.wav", "s2.wav"}
    with pytest.raises(DataError, match="every group"):
        AudioFiles(**pattern, test_groups=("0", "1", "2", "3")).splits()
    with pytest.raises(DataError, match="the data have none"):
        AudioFiles(path=str(tmp_path), test_groups=("1",)).splits()


def test_groups_of_series(tmp_path):
    x = np.random.default_rng(0).normal(size=(6, 9))
    arrays = {"X": x, "y": [0, 1] * 3, "subject": [1, 1, 2, 2, 3, 3]}
    np.savez(tmp_path / "a.npz", **arrays)
    found = by_split(SeriesSource(path=str(tmp_path / "a.npz"), test_groups=(2,), window=3))
    assert {id_.partition("@")[0] for id_, _ in found["test"]} == {"a.npz:2", "a.npz:3"}
    assert {group for _, group in found["test"]} == {1}
    assert len(found["train"]) == 12
    np.savez(tmp_path / "b.npz", **arrays, split=["train", "test"] * 3)
    with pytest.raises(DataError, match=r"has splits of its own, and source\.test_groups gives others"):
        SeriesSource(path=str(tmp_path / "b.npz"), test_groups=(2,)).splits()
