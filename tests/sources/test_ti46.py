import shutil

import numpy as np
import pytest

from spikeprep.errors import DataError, UsageError
from spikeprep.recipes import load_recipe
from spikeprep.sources.ti46 import PROMPTS, Ti46

from .sound_files import put, sphere, spoken, ti46_corpus, wav


@pytest.fixture
def corpus(tmp_path):
    return ti46_corpus(tmp_path / "TI46")


def everything(source):
    return [source.read(split, n) for split, size in source.splits().items() for n in range(size)]


def test_splits_labels_and_speakers_come_from_the_names(corpus):
    source = Ti46(path=str(corpus))
    assert source.classes == tuple("abcdefghijklmnopqrstuvwxyz")
    assert dict(source.splits()) == {"train": 24, "test": 12}
    for split, n in source.splits().items():
        for sample in (source.read(split, i) for i in range(n)):
            folder, split_there, speaker, name = sample.id.split("/")
            assert (folder, split_there, speaker) == ("ti_alpha", split, name[2:4])
            assert source.classes[sample.label] == name[1]


@pytest.mark.parametrize("order", ["01", "10"])
def test_samples_are_the_same_in_wav_and_in_both_byte_orders(tmp_path, order):
    sound = spoken(1)
    put(tmp_path / "0af1set0.wav", wav(sound))
    put(tmp_path / "0af1set1.wav", sphere(sound, order=order))
    a, b = everything(Ti46(path=str(tmp_path)))
    for sample in (a, b):
        np.testing.assert_array_equal(sample.signal.samples, sound / 32768)
        assert sample.signal.samples.dtype == np.float64
        assert sample.signal.rate == 12500


@pytest.mark.parametrize(
    "name",
    [
        "TI46/TI_ALPHA/TRAIN/F1/0AF1SET0.WAV",
        "ti_alpha/train/f1/0af1set0.sph",
        "0Af1SeT0.Sph",
        "x/y/z/w/0af1set0.wav",
    ],
)
def test_any_layout_and_case(tmp_path, name):
    put(tmp_path / name, sphere(spoken(0)))
    put(tmp_path / "train/._0af1set1.wav", b"what a Mac leaves behind")
    put(tmp_path / "readme.txt", b"not a sound")
    source = Ti46(path=str(tmp_path))
    assert dict(source.splits()) == {"train": 1}
    assert source.read("train", 0).id == name


def test_subsets(tmp_path):
    for code in ("00", "07", "0o", "0a", "en", "ys"):
        put(tmp_path / f"{code}m8s3t1.wav", wav(spoken(0)))
    labels = {}
    for subset in PROMPTS:
        source = Ti46(path=str(tmp_path), subset=subset)
        labels[subset] = {s.id[:2]: source.classes[s.label] for s in everything(source)}
    assert labels["alphabet"] == {"0o": "o", "0a": "a"}
    assert labels["digits"] == {"00": "0", "07": "7"}
    assert labels["words"] == {"en": "enter", "ys": "yes"}
    assert labels["all"] == labels["alphabet"] | labels["digits"] | labels["words"]
    assert [len(prompts) for prompts in PROMPTS.values()] == [26, 10, 10, 46]
    with pytest.raises(UsageError, match=r'got ti46\.subset = .*"digits"'):
        Ti46(subset="digit")


def test_the_recipe_reaches_the_subset_by_either_name():
    for name in ("ti46.subset", "source.subset"):
        assert load_recipe("ti46").override({name: "words"}).source["subset"] == "words"


def test_a_subset_without_utterances(corpus):
    with pytest.raises(DataError, match=r"36 utterances of TI46, none of the subset digits.*ti20"):
        Ti46(path=str(corpus), subset="digits").splits()


def test_an_incomplete_corpus_is_noted(corpus):
    note = Ti46(path=str(corpus)).provenance()["note"]
    assert "24 of 4,142 train and 12 of 6,628 test" in note
    assert "no speaker f2, f3" in note
    assert "f1" not in note


def test_a_complete_corpus_needs_no_note(tmp_path, monkeypatch):
    sound = wav(spoken(0, samples=40))
    put(tmp_path / "01f1set0.wav", sound)
    note = Ti46(path=str(tmp_path), subset="digits").provenance()["note"]
    assert note.startswith("1 of at most 1,600 train and 0 of at most 2,560 test utterances")
    monkeypatch.setitem(PROMPTS, "digits", dict([*PROMPTS["digits"].items()][:2]))  # ten are too many files
    for code in PROMPTS["digits"]:
        for speaker in (f"{sex}{n}" for sex in "fm" for n in range(1, 9)):
            for token in range(10):
                put(tmp_path / f"{code}{speaker}set{token}.wav", sound)
            for session in range(1, 9):
                for token in range(2):
                    put(tmp_path / f"{code}{speaker}s{session}t{token}.wav", sound)
    source = Ti46(path=str(tmp_path), subset="digits")
    assert dict(source.splits()) == {"train": 320, "test": 512}
    assert "note" not in source.provenance()
    (tmp_path / "01m4s2t1.wav").unlink()
    note = Ti46(path=str(tmp_path), subset="digits").provenance()["note"]
    assert note == "320 of at most 320 train and 511 of at most 512 test utterances of TI46's digits are here"


BAD = {
    "0zf2set0.wav": (sphere(spoken(0), coding="pcm,embedded-shorten-v2.00"), "shorten", "sph2pipe"),
    "0zf2set1.wav": (b"\1no sound at all", "is no audio", "replace or remove"),
    "0zf2set2.wav": (
        sphere(spoken(0))[:3000],
        "truncated: 1,976 bytes of sound, the header states 5,000",
        "copy",
    ),
    "0zf2set3.wav": (wav(spoken(0))[:3000], "truncated: 2,956 bytes", "copy it again"),
    "0zf2set4.wav": (b"", "is empty", "copy it again"),
    "0zf2set5.sph": (sphere(np.zeros(0, np.int16)), "has no samples", "remove it"),
    "0zf2set6.sph": (sphere(np.zeros(900, np.int16)), "is silent", "remove it"),
    "0zf2set7.sph": (sphere(np.stack([spoken(0)] * 2, axis=1)), "has 2 channels", "source.channel=0"),
    "0zf2set8.sph": (sphere(spoken(0), rate=16000), "has 16000 Hz, not 12500", "source.rate=12500"),
    "hello.wav": (wav(spoken(0)), "has no TI46 name", "0af1set0"),
    "copy/0AF1SET0.SPH": (sphere(spoken(0)), "is the same utterance as", "remove one of the two"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_named_with_its_fix(corpus, name):
    data, what, hint = BAD[name]
    put(corpus / name, data)
    with pytest.raises(DataError) as caught:
        Ti46(path=str(corpus)).splits()
    for words in (what, hint, "skip_bad=true", name.lower() if "copy" not in name else "0af1set0"):
        assert words.lower() in str(caught.value).lower()


def test_no_other_file_is_left_out(corpus):
    for name, (data, *_) in BAD.items():
        put(corpus / name, data)
    with pytest.raises(DataError, match=r"11 of the files cannot be used.*and 6 more"):
        Ti46(path=str(corpus)).splits()
    source = Ti46(path=str(corpus), skip_bad=True)
    assert dict(source.splits()) == {"train": 24, "test": 12}
    facts = source.provenance()
    assert len(facts["left_out"]) == len(BAD)
    for _, what, _ in BAD.values():
        assert any(what in line for line in facts["left_out"])
    assert "left out: " in facts["findings"][0]


def test_a_real_file_compressed_with_shorten(tmp_path):
    from ..assets import asset

    shutil.copy(asset("data/nist_sphere/123_1pcle_shn.sph"), tmp_path / "0af1set0.sph")
    with pytest.raises(DataError, match=r"0af1set0\.sph is SPHERE compressed with shorten.*sph2pipe"):
        Ti46(path=str(tmp_path)).splits()


def test_a_folder_without_the_corpus(tmp_path):
    with pytest.raises(DataError, match=r"no utterances of TI46.*\{ti20,ti_alpha\}"):
        Ti46(path=str(tmp_path)).splits()
    with pytest.raises(DataError, match="no folder"):
        Ti46(path=str(tmp_path / "nowhere")).splits()


def test_without_data_the_recipe_states_where_to_get_them(tmp_path):
    from spikeprep.encoding.run import encode

    with pytest.raises(DataError) as caught:
        encode(load_recipe("ti46"), tmp_path / "s.zarr")
    for words in ("LDC93S9", "catalog.ldc.upenn.edu", "ti_alpha", "source=FOLDER"):
        assert words in str(caught.value)
