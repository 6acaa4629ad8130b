import numpy as np
import pytest
import soundfile
from scipy.signal import resample_poly

from spikeprep.errors import DataError, UsageError
from spikeprep.sources.audio import AudioFiles
from spikeprep.sources.fsdd import Fsdd

from ..assets import asset
from .sound_files import put, sphere, spoken, wav


def folder(root, classes=("no", "yes"), each=10):
    for label, name in enumerate(classes):
        for n in range(each):
            put(root / name / f"{n}.wav", wav(spoken(label, n, 300 + 10 * n), 8000))
    return root


def everything(source):
    return {split: [source.read(split, n) for n in range(size)] for split, size in source.splits().items()}


def test_a_folder_is_split_by_class_and_shuffled(tmp_path):
    folder(tmp_path)
    put(tmp_path / "_background_noise_/hum.wav", wav(spoken(3), 8000))
    source = AudioFiles(path=str(tmp_path))
    samples = everything(source)
    assert source.classes == ("no", "yes")
    assert {split: len(s) for split, s in samples.items()} == {"train": 16, "test": 4}
    assert [sum(s.label == c for s in samples["test"]) for c in range(2)] == [2, 2]
    assert len({s.label for s in samples["train"][:8]}) == 2
    for s in samples["train"] + samples["test"]:
        name, n = s.id.removesuffix(".wav").split("/")
        assert source.classes[s.label] == name
        np.testing.assert_array_equal(s.signal.samples, spoken(s.label, int(n), 300 + 10 * int(n)) / 32768)
    other = AudioFiles(path=str(tmp_path), split_seed=1)
    assert {s.id for s in everything(other)["test"]} != {s.id for s in samples["test"]}


def test_a_folder_with_a_split(tmp_path):
    folder(tmp_path / "train", each=3)
    folder(tmp_path / "test", classes=("yes",), each=2)
    samples = everything(AudioFiles(path=str(tmp_path)))
    assert {split: len(s) for split, s in samples.items()} == {"train": 6, "test": 2}
    assert {s.label for s in samples["test"]} == {1}


def test_a_list_of_test_files(tmp_path):
    folder(tmp_path)
    (tmp_path / "testing.txt").write_text("yes/3.wav\nno/9.wav\nno/not_carried_here.wav\n")
    samples = everything(AudioFiles(path=str(tmp_path), test_list="testing.txt"))
    assert sorted(s.id for s in samples["test"]) == ["no/9.wav", "yes/3.wav"]
    assert len(samples["train"]) == 18
    with pytest.raises(DataError, match=r"elsewhere\.txt does not exist"):
        AudioFiles(path=str(tmp_path), test_list="elsewhere.txt").splits()


def test_a_table(tmp_path):
    folder(tmp_path / "sounds")
    table = tmp_path / "table.csv"
    table.write_text(
        "path,label,split\nsounds/no/0.wav,NO,train\nsounds/yes/1.wav,JA,test\nsounds/no/2.wav,NO,test\n"
    )
    source = AudioFiles(path=str(table))
    samples = everything(source)
    assert source.classes == ("JA", "NO")
    assert [(s.id, s.label) for s in samples["train"]] == [("sounds/no/0.wav", 1)]
    assert {(s.id, s.label) for s in samples["test"]} == {("sounds/yes/1.wav", 0), ("sounds/no/2.wav", 1)}
    table.write_text("path,label\n" + "".join(f"sounds/no/{n}.wav,NO\n" for n in range(10)))
    assert dict(AudioFiles(path=str(table)).splits()) == {"train": 8, "test": 2}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no rows"),
        ("file,class\na.wav,x\n", "columns"),
        ("path,label,split\nsounds/no/0.wav,NO,extra\n", "line 2"),
        ("path,label\nsounds/no/0.wav,NO\nsounds/no/1.wav,\n", "line 3"),
        ("path,label\nsounds/no/0.wav,NO\nsounds/no/0.wav,YES\n", "names sounds/no/0.wav again"),
        ("path,label\nsounds/no/77.wav,NO\n", "sounds/no/77.wav cannot be read"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, text, words):
    folder(tmp_path / "sounds", each=2)
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(DataError, match=words):
        AudioFiles(path=str(tmp_path / "table.csv")).splits()


@pytest.mark.parametrize(("rate", "to"), [(8000, 12500), (16000, 12500), (11025, 12500), (44100, 8000)])
def test_resampling_equals_scipy(tmp_path, rate, to):
    for n, length in enumerate((501, 1000, 1003)):
        put(tmp_path / f"a/{n}.wav", wav(spoken(2, n, length), rate))
    source = AudioFiles(path=str(tmp_path), rate=to, test_share=0)
    for n in range(3):
        sample, outline = source.read("train", n), source.outline("train", n)
        own = soundfile.read(tmp_path / sample.id)[0]
        np.testing.assert_array_equal(sample.signal.samples, resample_poly(own, to, rate))
        assert (sample.signal.rate, outline.rate) == (to, to)
        assert outline.samples.shape == sample.signal.samples.shape


@pytest.mark.parametrize(("suffix", "subtype"), [("flac", "PCM_16"), ("wav", "FLOAT"), ("aiff", "PCM_24")])
def test_formats(tmp_path, suffix, subtype):
    (tmp_path / "a").mkdir()
    sound = spoken(0) / 32768
    soundfile.write(tmp_path / f"a/x.{suffix}", sound, 8000, subtype=subtype)
    found = AudioFiles(path=str(tmp_path), test_share=0).read("train", 0).signal
    np.testing.assert_allclose(found.samples, sound, atol=1e-7)
    assert found.rate == 8000


def test_without_files_in_memory(tmp_path, monkeypatch):
    put(tmp_path / "a/0.wav", wav(spoken(1), 8000))
    source = AudioFiles(path=str(tmp_path), test_share=0)
    expected = source.read("train", 0).signal.samples
    monkeypatch.delattr("os.memfd_create", raising=False)
    np.testing.assert_array_equal(source.read("train", 0).signal.samples, expected)


def test_channels(tmp_path):
    both = np.stack([spoken(0), spoken(1)], axis=1)
    put(tmp_path / "a/x.wav", wav(both))
    put(tmp_path / "a/y.sph", sphere(both))
    with pytest.raises(DataError, match=r"has 2 channels.*source\.channel=0"):
        AudioFiles(path=str(tmp_path)).splits()
    for channel in (0, 1):
        samples = everything(AudioFiles(path=str(tmp_path), channel=channel, test_share=0))["train"]
        for sample in samples:
            np.testing.assert_array_equal(sample.signal.samples, both[:, channel] / 32768)
    with pytest.raises(DataError, match="none of number 2"):
        AudioFiles(path=str(tmp_path), channel=2).splits()


def test_rates_that_differ(tmp_path):
    folder(tmp_path)
    put(tmp_path / "no/other.wav", wav(spoken(0), 11025))
    with pytest.raises(DataError, match=r"no/other\.wav has 11025 Hz, not 8000.*source\.rate=8000"):
        AudioFiles(path=str(tmp_path)).splits()
    assert sum(AudioFiles(path=str(tmp_path), skip_bad=True).splits().values()) == 20
    assert sum(AudioFiles(path=str(tmp_path), rate=8000).splits().values()) == 21


def test_samples_that_are_not_finite(tmp_path):
    folder(tmp_path, each=2)
    sound = spoken(0) / 32768
    sound[7] = np.nan
    soundfile.write(tmp_path / "no/nan.wav", sound, 8000, subtype="FLOAT")
    with pytest.raises(DataError, match=r"no/nan\.wav holds NaN"):
        AudioFiles(path=str(tmp_path)).splits()


def test_a_file_that_changes_after_it_was_checked(tmp_path):
    source = AudioFiles(path=str(folder(tmp_path)), test_share=0)
    first = source.read("train", 0).id
    put(tmp_path / first, b"gone")
    with pytest.raises(DataError, match=first):
        source.read("train", 0)


def test_the_digest_covers_content_and_names_but_not_the_folder(tmp_path):
    digests = {AudioFiles(path=str(folder(tmp_path / str(n)))).provenance()["sha256"] for n in range(2)}
    assert len(digests) == 1
    put(tmp_path / "1/no/3.wav", wav(spoken(5), 8000))
    digests.add(AudioFiles(path=str(tmp_path / "1")).provenance()["sha256"])
    (tmp_path / "0/no/3.wav").rename(tmp_path / "0/no/33.wav")
    digests.add(AudioFiles(path=str(tmp_path / "0")).provenance()["sha256"])
    assert len(digests) == 3


def test_nothing_to_read(tmp_path):
    with pytest.raises(DataError, match="no class folders"):
        AudioFiles(path=str(tmp_path)).splits()
    with pytest.raises(DataError, match="no folder"):
        AudioFiles().splits()
    with pytest.raises(DataError, match="no recordings of FSDD"):
        Fsdd(path=str(tmp_path)).splits()


@pytest.mark.parametrize("chosen", [{"test_share": 1}, {"rate": -1}, {"rate": 0.5}, {"channel": "left"}])
def test_settings_that_are_not_allowed(chosen):
    with pytest.raises(UsageError, match=next(iter(chosen))):
        AudioFiles(**chosen)


def test_fsdd(tmp_path):
    for digit in (0, 7):
        for n in range(8):
            put(tmp_path / f"recordings/{digit}_theo_{n}.wav", wav(spoken(digit, n), 8000))
    samples = everything(Fsdd(path=str(tmp_path)))
    assert {split: len(s) for split, s in samples.items()} == {"train": 6, "test": 10}
    for s in samples["train"] + samples["test"]:
        digit, _, number = s.id.removeprefix("recordings/").removesuffix(".wav").split("_")
        assert s.label == int(digit)
        assert (int(number) < 5) == (s in samples["test"])
    put(tmp_path / "recordings/noise.wav", wav(spoken(0), 8000))
    put(tmp_path / "again/7_theo_2.wav", wav(spoken(0), 8000))
    with pytest.raises(DataError) as caught:
        Fsdd(path=str(tmp_path)).splits()
    assert "recordings/7_theo_2.wav is the same recording as again/7_theo_2.wav" in str(caught.value)
    assert "recordings/noise.wav is not named DIGIT_SPEAKER_NUMBER.wav" in str(caught.value)


def test_real_sphere_files(tmp_path):
    for name in ("derived_dd_1233a_pcm_le", "123_2alaw"):
        put(tmp_path / f"a/{name}.sph", asset(f"data/nist_sphere/{name}.sph").read_bytes())
    source = AudioFiles(path=str(tmp_path), channel=0, test_share=0)
    sounds = {s.id: s.signal for s in everything(source)["train"]}
    pcm, alaw = sounds["a/derived_dd_1233a_pcm_le.sph"], sounds["a/123_2alaw.sph"]
    assert pcm.rate == alaw.rate == 20000
    assert (pcm.samples.min() * 32768, pcm.samples.max() * 32768) == (-2677, 2234)  # as its header states
    assert np.corrcoef(pcm.samples, alaw.samples)[0, 1] > 0.999  # the same utterance, companded
