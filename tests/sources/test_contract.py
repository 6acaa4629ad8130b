"""What every source does: a limit before any file is opened, few openings, small pickles; and plugins that do not."""

from __future__ import annotations

import json
import pickle
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import soundfile

from spikeprep.data import Audio, Events, Frames, Sample, Video
from spikeprep.errors import DataError, PluginError, UsageError
from spikeprep.registry import SOURCES
from spikeprep.sources.audio import AudioFiles
from spikeprep.sources.base import CheckedSource, Source
from spikeprep.sources.events import EventFolder
from spikeprep.sources.images import ImageFolder
from spikeprep.sources.nmnist import Nmnist
from spikeprep.testing import check_source

from .event_folders import class_folder, moving_bar, nmnist_folder, poker_folder, put
from .idx_files import pictures, write_idx
from .sound_files import put as put_bytes
from .sound_files import spoken, ti46_corpus, wav
from .spike_files import shd_folder
from .video_folders import video_folder


def image_folder(root: Path) -> Path:
    image = pytest.importorskip("PIL.Image")
    for label in range(2):
        for n in range(10):
            file = root / f"class{label}" / f"{n}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            image.fromarray(np.full((4, 5), 20 * n + label, np.uint8)).save(file)
    return root


def sound_folder(root: Path) -> Path:
    for label, name in enumerate(("no", "yes")):
        for n in range(10):
            put_bytes(root / name / f"{n}.wav", wav(spoken(label, n, 300 + 10 * n), 8000))
    return root


def fsdd_folder(root: Path) -> Path:
    for digit in (0, 7):
        for n in range(9):
            put_bytes(root / f"{digit}_theo_{n}.wav", wav(spoken(digit, n), 8000))
    return root


def idx_folder(root: Path) -> Path:
    write_idx(root, *pictures(20))
    return root


def series_folder(root: Path) -> Path:
    for name in ("sit", "walk"):
        (root / name).mkdir(parents=True)
        for n in range(10):
            np.save(root / name / f"{n}.npy", np.random.default_rng(n).normal(size=(5 + n, 3)))
    return root


FOLDERS = {
    "audio": sound_folder,
    "events": class_folder,
    "fsdd": fsdd_folder,
    "idx": idx_folder,
    "images": image_folder,
    "nmnist": nmnist_folder,
    "series": series_folder,
    "spikes": shd_folder,
    "ti46": ti46_corpus,
    "tonic": poker_folder,
    "video": video_folder,
}
MORE: dict[str, dict[str, Any]] = {"spikes": {"units": 20}, "tonic": {"dataset": "POKERDVS"}}


@pytest.fixture(params=SOURCES.names())
def source(request, tmp_path):
    name = request.param
    if name == "tonic":
        pytest.importorskip("tonic")
    settings = MORE.get(name, {})
    if name in FOLDERS:
        settings = settings | {"path": str(FOLDERS[name](tmp_path))}
    return SOURCES.get(name)(**settings)


def same(one: Sample, other: Sample) -> bool:
    arrays = [
        s.signal.array
        if isinstance(s.signal, Events | Video)
        else s.signal.samples
        if isinstance(s.signal, Audio)
        else s.signal.values
        if isinstance(s.signal, Frames)
        else s.signal
        for s in (one, other)
    ]
    return (one.label, one.id) == (other.label, other.id) and np.array_equal(*arrays)


def test_every_source_passes_the_conformance_check(tmp_path, source):
    if source.name == "digits":
        pytest.skip("1 797 samples, read many times")
    check_source(source)


def test_a_limited_source_offers_the_first_samples_of_each_split(source):
    limited = source.limited(3).limited(7)
    assert limited.splits() == {split: min(n, 3) for split, n in source.splits().items()}
    assert limited.classes == source.classes
    assert limited.to_config() == source.to_config()
    for split, n in limited.splits().items():
        assert all(same(limited.read(split, k), source.read(split, k)) for k in range(n))
    assert source.limited(10_000).splits() == source.splits()
    with pytest.raises(UsageError, match="at least 1"):
        source.limited(0)


def test_a_source_pickles_small_after_use_and_reads_the_same(source):
    for used in (source, source.limited(2), CheckedSource(source)):
        samples = {(split, n): used.read(split, n) for split in used.splits() for n in range(2)}
        used.provenance(), used.classes
        pickled = pickle.dumps(used)
        assert len(pickled) < 10_000
        copied = pickle.loads(pickled)
        assert copied == used
        for (split, n), sample in samples.items():  # without splits() before, as a worker does
            assert same(copied.read(split, n), sample)
        assert copied.splits() == used.splits()


# ---------------------------------------------------------------- openings

OPENED: Counter[str] | None = None


def _count(event: str, arguments: tuple[Any, ...]) -> None:
    if OPENED is not None and event == "open" and isinstance(arguments[0], (str, Path)):
        OPENED[str(arguments[0])] += 1


sys.addaudithook(_count)


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """Openings of the files below `tmp_path`, by path inside it; libsndfile's own included."""
    global OPENED
    begin = soundfile.SoundFile.__init__

    def counted(self, file, *arguments, **settings):
        if isinstance(file, (str, Path)):
            OPENED[str(file)] += 1
        begin(self, file, *arguments, **settings)

    monkeypatch.setattr(soundfile.SoundFile, "__init__", counted)
    OPENED = Counter()

    def result() -> Counter[str]:
        inside = {name: n for name, n in OPENED.items() if name.startswith(str(tmp_path))}
        OPENED.clear()
        return Counter(inside)

    yield result
    OPENED = None


def encode(source: Source) -> None:
    """Use a source as encoding does."""
    source.splits(), source.classes, source.provenance()
    for split, samples in source.splits().items():
        for n in range(samples):
            source.outline(split, n)
            source.read(split, n)


@pytest.mark.parametrize("name", ["audio", "events", "fsdd", "nmnist", "ti46"])
def test_a_file_is_opened_once_to_check_and_once_to_encode(tmp_path, opened, name):
    source = SOURCES.get(name)(path=str(FOLDERS[name](tmp_path)))
    opened()
    encode(source)
    files = opened()
    assert len(files) == sum(source.splits().values())
    assert set(files.values()) == {2}


@pytest.mark.parametrize("name", ["audio", "events", "fsdd", "images", "nmnist", "ti46", "video"])
def test_a_limited_source_opens_no_other_file(tmp_path, opened, name):
    source = SOURCES.get(name)(path=str(FOLDERS[name](tmp_path))).limited(2)
    ids = {source.read(split, n).id for split in source.splits() for n in range(2)}
    opened()
    limited = SOURCES.get(name)(path=str(tmp_path)).limited(2)
    encode(limited)
    files = opened()
    opened_files = [Path(file).relative_to(tmp_path) for file in files]
    samples = {file.parent if file.parent.as_posix() in ids else file for file in opened_files}  # of frames
    assert {sample.as_posix() for sample in samples} == ids
    assert max(files.values()) <= 3  # of images the first one decides the shape


def test_a_large_recording_is_opened_once_per_pass(tmp_path, opened, monkeypatch):
    monkeypatch.setattr("spikeprep.sources.event_recordings.IN_MEMORY_EVENTS", 100)
    source = EventFolder(path=str(class_folder(tmp_path, each=1)), test_share=0)
    opened()
    signals = [source.read("train", n).signal for n in range(source.splits()["train"])]
    assert set(opened().values()) == {1}
    assert all(len(signal.array) == 400 for signal in signals)
    assert set(opened().values()) == {1}


def test_idx_files_are_read_once(tmp_path, opened):
    source = SOURCES.get("idx")(path=str(idx_folder(tmp_path)))
    opened()
    encode(source)
    assert set(opened().values()) == {1}


def test_with_a_limit_bad_files_are_replaced_by_the_next_ones(tmp_path):
    source = Nmnist(path=str(nmnist_folder(tmp_path, train=30)), skip_bad=True)
    for number in (1, 3):
        file = tmp_path / f"Train/{number - 1}/{number:05}.bin"
        file.write_bytes(file.read_bytes()[:-1])
    every = [source.read("train", n).id for n in range(4)]
    limited = source.limited(4)
    assert limited.splits() == {"train": 4, "test": 4}
    assert [limited.read("train", n).id for n in range(4)] == every
    assert len(limited.provenance()["left_out"]) == 2
    with pytest.raises(DataError, match="2 of the files cannot be used"):
        Nmnist(path=str(tmp_path)).limited(4).splits()


def test_with_a_limit_files_of_another_rate_are_replaced(tmp_path):
    sound_folder(tmp_path)
    plain = AudioFiles(path=str(tmp_path), test_share=0)
    first = plain.read("train", 1).id
    put_bytes(tmp_path / first, wav(spoken(0), 11025))
    source = AudioFiles(path=str(tmp_path), test_share=0, skip_bad=True)
    every = [source.read("train", n).id for n in range(5)]
    limited = source.limited(5)
    assert [limited.read("train", n).id for n in range(5)] == every
    assert first not in every


def test_the_digest_of_a_limited_source_covers_the_files_that_were_read(tmp_path):
    class_folder(tmp_path)
    source = EventFolder(path=str(tmp_path))
    before = source.limited(2).provenance()
    last = source.read("train", source.splits()["train"] - 1).id
    put(tmp_path / last, moving_bar(2, 77))
    assert EventFolder(path=str(tmp_path)).limited(2).provenance() == before
    first = source.read("train", 0).id
    put(tmp_path / first, moving_bar(2, 78))
    assert EventFolder(path=str(tmp_path)).limited(2).provenance()["sha256"] != before["sha256"]


def test_a_recording_that_changes_after_the_check_is_refused(tmp_path):
    source = EventFolder(path=str(class_folder(tmp_path, each=1)), test_share=0)
    source.splits()
    put(tmp_path / source.read("train", 0).id, moving_bar(2, 9, events=300))
    with pytest.raises(DataError, match="has changed while it was read"):
        source.read("train", 0)


def test_an_outline_of_an_image_decodes_one_file(tmp_path, opened):
    source = ImageFolder(path=str(image_folder(tmp_path)))
    opened()
    assert {source.outline("train", n).shape for n in range(16)} == {(4, 5)}
    assert sum(opened().values()) == 1
    assert ImageFolder(path=str(tmp_path), size=(7, 9), mode="rgb").outline("train", 0).shape == (7, 9, 3)
    assert not opened()


# ---------------------------------------------------------------- plugins that break the contract


@dataclass(frozen=True)
class Broken(Source):
    """A source with one fault."""

    name: ClassVar[str] = "broken"
    fault: str = ""

    def _or(self, fault: str, wrong: Any, right: Any) -> Any:
        if self.fault == f"{fault} raises":
            raise ZeroDivisionError("division by zero")
        return wrong if self.fault == fault else right

    @property
    def classes(self) -> tuple[str, ...]:
        return self._or("classes", ("a", "a"), self._or("no classes", (), ("a", "b")))

    def splits(self) -> Mapping[str, int]:
        splits = self._or("no splits", {}, self._or("splits", ["train"], {"train": 4}))
        return self._or("size", {"train": np.int64(4)}, self._or("empty split", {"train": 0}, splits))

    def read(self, split: str, index: int) -> Sample:
        label = self._or("label", 2, self._or("label type", np.int64(1), self._or("negative", -1, 1)))
        id_ = self._or("id", index, self._or("no id", "", str(index)))
        return self._or("read", np.zeros((2, 2)), Sample(np.zeros((2, 2)), label, id_))

    def provenance(self) -> dict[str, Any]:
        return self._or("provenance", {"sha256": ""}, {"licence": self._or("json", {1, 2}, "")})


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("read", r"sample 3 of train: the source broken returned ndarray; expected a Sample"),
        ("label", r"sample 3 of train: the source broken returned the label 2; expected an int from 0 to 1"),
        ("label type", r"sample 3 of train: .* returned the label np\.int64\(1\)"),
        ("negative", r"sample 3 of train: .* returned the label -1"),
        ("id", r"sample 3 of train: .* returned the id 3; expected a text"),
        ("no id", r"sample 3 of train: .* returned the id ''"),
        ("read raises", r"sample 3 of train: the source broken raised ZeroDivisionError: division by zero"),
        ("splits", r"returned \['train'\] as splits"),
        ("size", r"returned np\.int64\(4\) as the size of the split 'train'"),
        ("splits raises", r"the source broken raised ZeroDivisionError"),
        ("classes", r"has the classes \('a', 'a'\)"),
        ("no classes", r"has the classes \(\)"),
        ("provenance", r"as provenance; expected a mapping with \"licence\""),
        ("json", r"raised TypeError: Object of type set is not JSON"),
    ],
)
def test_a_plugin_that_breaks_the_contract_is_named(fault, words):
    for source in (CheckedSource(Broken(fault)), Broken(fault).limited(4)):
        with pytest.raises(PluginError, match=words) as caught:
            source.splits(), source.classes, source.provenance(), source.read("train", 3)
        assert "the source broken" in str(caught.value)
        assert "Correct tests.sources.test_contract.Broken" in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "words"), [("no splits", "no samples; "), ("empty split", "no samples in the split 'train'")]
)
def test_a_source_without_samples(fault, words):
    with pytest.raises(DataError, match=f"the source broken has {words}"):
        CheckedSource(Broken(fault)).splits()


def test_a_plugin_that_keeps_the_contract():
    source = CheckedSource(Broken())
    assert source.splits() == {"train": 4}
    assert source.read("train", 3).id == "3"
    assert source.outline("train", 3).shape == (2, 2)
    assert (source.name, source.to_config()) == ("broken", {"name": "broken", "fault": ""})


def test_errors_of_ours_pass_as_they_are(tmp_path, monkeypatch):
    source = CheckedSource(Nmnist(path=str(tmp_path)))
    with pytest.raises(DataError, match="no folder Train"):
        source.splits()
    monkeypatch.setattr(Nmnist, "splits", lambda self: 1 // 0)
    with pytest.raises(ZeroDivisionError):  # a bug of ours is shown as one
        source.splits()


# ---------------------------------------------------------------- settings

CASES = [
    (name, {setting: value})
    for names, setting, values in [
        (
            ("audio", "events", "nmnist", "images", "tonic"),
            "test_share",
            (-0.1, 1, 1.0, float("nan"), "0.2", True),
        ),
        (("audio", "fsdd", "ti46", "events", "nmnist", "images"), "skip_bad", (1, "yes")),
        (("audio", "fsdd", "ti46"), "rate", (-1, 0.5, 768_001, True)),
        (("audio", "fsdd", "ti46"), "channel", (-2, 1024, "left")),
        (
            ("events", "nmnist", "tonic", "images", "video"),
            "size",
            ([34], [0, 34], [34, 65_536], [1, 2, 3], [3.5, 4], 34),
        ),
        (("events", "nmnist"), "invalid", ("ignore",)),
        (("events", "nmnist"), "format", ("nmist", 3)),
        (("events", "nmnist"), "options", (3, {"camer": "DVS128"}, {"size": [3, 4]})),
        (("images",), "mode", ("gray", 3)),
        (("images", "video"), "alpha", ("transparent", True)),
        (("video",), "rate", (-1, "fast", float("nan"))),
        (("images", "idx", "video"), "white", (-1, float("nan"), "255")),
        (("idx",), "transpose", ("yes", 1)),
        (("idx",), "shape", ([28], [0, 28])),
        (("idx",), "class_names", (["a", "a"],)),
        (("ti46",), "subset", ("letters",)),
        (("tonic",), "transforms", ("Denoise", [{"filter_time": 1}], [{"name": 3}])),
        (("tonic",), "options", (3,)),
        (("tonic",), "from_first", ("yes", 1)),
        (("audio", "events", "images", "tonic"), "split_seed", (0.5, "0")),
        (("audio", "digits", "idx"), "colour", ("red",)),
        (("audio", "idx", "nmnist"), "path", (3,)),
    ]
    for name in names
    for value in values
]


@pytest.mark.parametrize(("name", "settings"), CASES, ids=str)
def test_settings_that_cannot_work_are_refused(name, settings):
    with pytest.raises(UsageError, match=next(iter(settings)) if "format" not in settings else "format"):
        SOURCES.get(name).from_config(settings)


def test_stored_configurations_are_unchanged():
    """The bytes of a store hold these: names, order and types of values."""
    expected = {
        "audio": '{"name": "audio", "path": "", "skip_bad": false, "licence": "", "rate": 0, "channel": -1, '
        '"test_list": "", "test_share": 0.2, "split_seed": 0}',
        "digits": '{"name": "digits"}',
        "events": '{"name": "events", "path": "", "skip_bad": false, "licence": "", "size": [], "invalid": "fail", '
        '"format": "", "options": {}, "test_share": 0.2, "split_seed": 0}',
        "fsdd": '{"name": "fsdd", "path": "", "skip_bad": false, "licence": "", "rate": 0, "channel": -1}',
        "idx": '{"name": "idx", "path": "", "prefix": "", "class_names": [], "shape": [], "transpose": false, '
        '"licence": ""}',
        "images": '{"name": "images", "path": "", "licence": "", "size": [], "mode": "grey", "test_share": 0.2, '
        '"split_seed": 0}',
        "nmnist": '{"name": "nmnist", "path": "", "skip_bad": false, "licence": "", "size": [], "invalid": "fail", '
        '"format": "nmnist", "options": {}, "test_share": 0.2}',
        "series": '{"name": "series", "path": "", "skip_bad": false, "licence": "", "test_list": "", '
        '"test_share": 0.2, "split_seed": 0, "rate": 0.0, "time_axis": "first", "missing": "refuse", "window": 0, '
        '"overlap": 0, "problem": "", "arrays": {}}',
        "spikes": '{"name": "spikes", "path": "", "skip_bad": false, "licence": "", "test_share": 0.2, '
        '"split_seed": 0, "units": 0, '
        '"time_unit": "", "invalid": "fail", "label_array": "", "group_array": "", "prefix": ""}',
        "ti46": '{"name": "ti46", "path": "", "skip_bad": false, "licence": "", "rate": 0, "channel": -1, '
        '"subset": "alphabet"}',
        "tonic": '{"name": "tonic", "path": "", "dataset": "", "options": {}, "transforms": [], "size": [], '
        '"from_first": null, "download": false, "test_share": 0.2, "split_seed": 0, "seed": 0, "licence": ""}',
        "video": '{"name": "video", "path": "", "skip_bad": false, "licence": "", "test_list": "", '
        '"test_share": 0.2, "split_seed": 0, "rate": 0.0, "size": [], "white": 0, "alpha": "auto"}',
    }

    def stored(source: Source) -> str:
        config = {"path": "", "licence": ""} | CheckedSource(source).stored_config()
        return json.dumps({key: config[key] for key in source.to_config() if key in config})

    assert {name: stored(SOURCES.get(name)()) for name in SOURCES.names()} == expected
    classes = CheckedSource(AudioFiles(class_names=("b", "a"))).stored_config()["class_names"]
    assert json.dumps(classes) == '["b", "a"]'
    assert json.dumps(AudioFiles(test_share=0).to_config()["test_share"]) == "0"  # an int stays one
