"""The checks of `spikeprep.testing`: every plugin of spikeprep passes them, and broken plugins fail with a reason."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

import spikeprep.encoders
import spikeprep.eventfiles
import spikeprep.sources
import spikeprep.transforms
from spikeprep import testing
from spikeprep.config import Count, Positive
from spikeprep.data import EVENT, Audio, Events, Frames, Sample, SpikeTrain, Video
from spikeprep.encoders import Encoder, Transform
from spikeprep.encoders.base import Description
from spikeprep.eventfiles import EventFormat
from spikeprep.packing import pack
from spikeprep.registry import ENCODERS, EVENT_FORMATS, REGISTRIES, SOURCES, TRANSFORMS, Plugin, register
from spikeprep.sources.base import Source
from spikeprep.testing import (
    check_encoder,
    check_event_format,
    check_plugin,
    check_source,
    check_transform,
)
from spikeprep.transforms import EventTransform, ImageTransform

from .eventfiles.test_formats import FORMS, recording, relative
from .sources.event_folders import class_folder, nmnist_folder, poker_folder
from .sources.idx_files import pictures, write_idx
from .sources.sound_files import put, spoken, ti46_corpus, wav
from .sources.spike_files import shd_folder
from .sources.video_folders import video_folder


def image_folder(path):
    Image = pytest.importorskip("PIL.Image")
    images, _ = pictures(9)
    for n, image in enumerate(images):
        (path / f"class {n % 3}").mkdir(exist_ok=True)
        Image.fromarray(image).save(path / f"class {n % 3}/{n}.png")
    return {"path": str(path)}


def idx_folder(path):
    write_idx(path, *pictures(9))
    write_idx(path, *pictures(4), split="t10k", gz=True)
    return {"path": str(path)}


def audio_folder(path):
    for n in range(9):
        put(path / f"class {n % 3}/{n}.wav", wav(spoken(n % 3, n, 900 + 50 * n)))
    return {"path": str(path)}


def fsdd_folder(path):
    for n in range(9):
        put(path / f"recordings/{n % 3}_theo_{n}.wav", wav(spoken(n % 3, n, 900 + 50 * n), 8000))
    return {"path": str(path)}


def ti46_folder(path):
    return {"path": str(ti46_corpus(path))}


def event_files(path):
    return {"path": str(class_folder(path, each=3))}


def series_file(path):
    rng = np.random.default_rng(3)
    np.savez(path / "gait.npz", X=rng.normal(size=(9, 30, 3)), y=np.arange(9) % 3, fs=100)
    return {"path": str(path / "gait.npz"), "window": 12, "overlap": 4}


def spike_files(path):
    pytest.importorskip("h5py")
    return {"path": str(shd_folder(path)), "units": 30}


def nmnist_files(path):
    return {"path": str(nmnist_folder(path, train=20, test=10))}


def video_files(path):
    return {"path": str(video_folder(path)), "rate": 50}


def tonic_files(path):
    pytest.importorskip("tonic")
    return {"path": str(poker_folder(path)), "dataset": "POKERDVS"}


def no_files(path):
    pytest.importorskip("sklearn")
    return {}


IMAGES = [np.arange(20, dtype=np.uint8).reshape(4, 5) * 12, np.linspace(0, 1, 20).reshape(4, 5)]
SOUNDS = [Audio(np.random.default_rng(n).uniform(-0.5, 0.5, n), 8000) for n in (1700, 2345)]
CHANNELS = [Frames(np.random.default_rng(n).uniform(0, 1e-3, (n, 9)), 100.0) for n in (8, 13)]


VALUES = [Frames(np.random.default_rng(n).uniform(0, 1, (n, 20)), 100.0) for n in (3, 5)]


def recordings() -> list[Events]:
    """Two recordings of unlike sensors, one of them streamed, in which every transform has something to do."""
    made = []
    for n, (width, height) in ((400, (9, 6)), (300, (5, 8))):
        rng = np.random.default_rng(n)
        events = np.zeros(n, EVENT)
        events["x"], events["y"] = rng.integers(0, width, n), rng.integers(0, height, n)
        events["t"], events["p"] = np.sort(rng.integers(0, 40_000, n)), rng.integers(0, 2, n)
        made.append(Events.of(events, (width, height)))
    return [made[0], Events([made[1].array[:100], made[1].array[100:]], made[1].size)]


VIDEOS = [
    Video.of(np.random.default_rng(1).integers(0, 256, (5, 6, 7), np.uint8), 100),
    Video.of(np.random.default_rng(2).uniform(0, 1, (4, 7, 3)).astype(np.float32), 25),
]
EVENTS = recordings()
SERIES = [Frames(np.random.default_rng(n).normal(0, 0.3, (n, 3)).clip(-1, 1), 100.0) for n in (48, 33)]
POSITIVE = [Frames(0.2 + np.abs(series.values) / 2, series.rate) for series in SERIES]
SIGNALS = dict.fromkeys(("delta", "lif", "moving_window", "sigma_delta", "step_forward"), SERIES) | {
    "bsa": CHANNELS,
    "burst": VALUES,
    "butterworth": SOUNDS,
    "deltas": CHANNELS,
    "dvs": EVENTS,
    "fix_length": SOUNDS,
    "gain": SOUNDS,
    "gammatone": SOUNDS,
    "gaussian_receptive_fields": VALUES,
    "hsa": POSITIVE,
    "latency": VALUES,
    "lyon": SOUNDS,
    "mel": SOUNDS,
    "phase": VALUES,
    "poisson": IMAGES,
    "pulse_width": POSITIVE,
    "rank_order": VALUES,
    "rectify": CHANNELS,
    "resample": CHANNELS,
    "saccades": IMAGES,
    "sound_noise": SOUNDS,
    "speed": SOUNDS,
    "standardise": CHANNELS,
    "time_shift": SOUNDS,
    "video_to_events": VIDEOS,
    "zero_crossing_step_forward": SERIES,
}
FOLDERS = {
    "audio": audio_folder,
    "digits": no_files,
    "events": event_files,
    "fsdd": fsdd_folder,
    "idx": idx_folder,
    "images": image_folder,
    "nmnist": nmnist_files,
    "series": series_file,
    "spikes": spike_files,
    "ti46": ti46_folder,
    "tonic": tonic_files,
    "video": video_files,
}


@pytest.mark.parametrize("name", ENCODERS.names())
def test_encoder(name):
    check_encoder(ENCODERS.get(name)(), SIGNALS[name])


@pytest.mark.parametrize("name", TRANSFORMS.names())
def test_transform(name):
    transform = TRANSFORMS.get(name)()
    kinds = {
        EventTransform: EVENTS,
        ImageTransform: [*IMAGES, IMAGES[0][..., None] // np.uint8([[[1, 2, 3]]])],
    }
    signals = next((given for kind, given in kinds.items() if isinstance(transform, kind)), None)
    signals = signals or SIGNALS[name]
    check_transform(transform if transform.is_fitted else transform.fit(signals), signals)


@pytest.mark.parametrize("name", SOURCES.names())
def test_source(name, tmp_path):
    check_source(SOURCES.get(name)(**FOLDERS[name](tmp_path)))


@pytest.mark.parametrize("name", FORMS)
def test_event_format(name, tmp_path):
    form = FORMS[name]
    events = recording(form, 25)
    options = dict(form.options)
    format = EVENT_FORMATS.get(options.pop("format", form.name))(**options)
    check_event_format(
        format, form.put(tmp_path, events), relative(form, events), form.size if form.given_size else None
    )


def test_every_event_format_is_tested():
    # a text that is cut between two lines cannot be told from a whole one; tests/eventfiles/test_text.py tests it
    tested = {form.options.get("format", form.name) for form in FORMS.values()}
    assert tested == set(EVENT_FORMATS.names()) - {"text"}


# ------------------------------------------------------------ what is registered


def finished(package: Any, base: type) -> Iterator[type[Plugin]]:
    """Yield every plugin class in the modules of a package."""
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        for cls in vars(importlib.import_module(module.name)).values():
            if (
                inspect.isclass(cls)
                and issubclass(cls, base)
                and not inspect.isabstract(cls)
                and "name" in vars(cls)
            ):
                yield cls


@pytest.mark.parametrize(
    ("registry", "package"),
    [
        (ENCODERS, spikeprep.encoders),
        (TRANSFORMS, spikeprep.transforms),
        (SOURCES, spikeprep.sources),
        (EVENT_FORMATS, spikeprep.eventfiles),
    ],
)
def test_every_plugin_of_spikeprep_is_registered(registry, package):
    plugins = {cls.name: cls for cls in finished(package, registry.base)}
    assert plugins == {name: registry.get(name) for name in registry.names()}


@pytest.mark.parametrize(
    ("registry", "package"), [(ENCODERS, spikeprep.encoders), (TRANSFORMS, spikeprep.transforms)]
)
def test_plugins_are_public(registry, package):
    for name in registry.names():
        cls = registry.get(name)
        assert getattr(package, cls.__name__) is cls
        assert cls.__name__ in package.__all__


# ------------------------------------------------------------ broken plugins


@dataclass(frozen=True)
class First(Encoder):
    """A spike per pixel, the brighter the earlier."""

    name: ClassVar[str] = "first_spike"
    citation: ClassVar[str] = "none"
    steps: Count = 20
    dt: Positive = 1e-3

    def describe(self, signal, rng=None):
        return Description(np.shape(signal), self.steps, self.dt)

    def encode(self, signal, *, rng=None):
        values = np.ravel(signal) / (255 if signal.dtype == np.uint8 else 1)
        steps = np.rint((1 - values) * (self.steps - 1)).astype(int)
        return SpikeTrain(pack(np.arange(self.steps)[:, None] == steps), self.steps)


@dataclass(frozen=True)
class Half(Transform):
    """Half of an image."""

    name: ClassVar[str] = "half"
    citation: ClassVar[str] = "none"

    def __call__(self, signal, *, rng=None):
        return signal[::2] * np.asarray(0.5, np.float32)


@dataclass(frozen=True)
class Stripes(Source):
    """Stripes, drawn anew for every sample."""

    name: ClassVar[str] = "stripes"
    classes = ("rows", "columns")

    def splits(self):
        return {"train": 4, "test": 2}

    def read(self, split, index):
        image = np.full((4, 4), 10 + index, np.uint8)
        image[::2] = 200
        return Sample(image.T if index % 2 else image, index % 2, f"{split} {index}")

    def provenance(self):
        return {"licence": "CC0-1.0", "sha256": 64 * "0"}


def broken(base: type, **changes: Any) -> type:
    """Return a subclass with other attributes, decorated as a plugin is."""
    names = {"__doc__": "Broken.", "__module__": __name__, "__qualname__": "Broken"}
    globals()["Broken"] = dataclass(frozen=True)(type("Broken", (base,), names | changes))
    return globals()["Broken"]  # pickle looks it up by its name


def test_correct_plugins_pass():
    check_encoder(First(), IMAGES)
    check_transform(Half(), IMAGES)
    check_source(Stripes())


def changed(method, change):
    """Return a method whose result is changed."""
    return lambda self, *args, **kwargs: change(method(self, *args, **kwargs))


def writes_to_its_signal(self, signal, *, rng=None):
    train = First.encode(self, signal, rng=rng)
    signal[0, 0] = 1
    return train


def counts_its_calls(self, signal, *, rng=None):
    CALLS.append(0)
    return SpikeTrain(np.roll(First.encode(self, signal).bits, len(CALLS), 0), self.steps)


def one_by_one(self, signals, *, rngs):
    return [self.encode(signal) for signal in signals]


CALLS: list[int] = []
RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "has name = ''"),
        ({"__doc__": " "}, "first_spike: the class has no docstring"),
        ({"citation": ""}, "first_spike: it has no citation"),
        ({"to_config": lambda self: {"name": self.name}}, r"to_config\(\) has the keys \['name'\]"),
        ({"to_config": changed(First.to_config, lambda c: c | {"dt": 1j})}, r"to_config\(\) is not JSON"),
        ({"from_config": classmethod(lambda cls, config: cls(steps=3))}, "expected an equal Broken"),
        ({"from_config": classmethod(lambda cls, config: cls())}, "the unknown setting 'stepsx' is accepted"),
        ({"__post_init__": lambda self: None}, r"an object\(\) is accepted for 'steps'; __post_init__ must call"),
        ({"__annotations__": {"slope": "Any"}, "slope": 1}, "any value is accepted for 'slope'"),
        ({"__getstate__": lambda self: {"ballast": bytes(99_999)}}, "its pickled copy is another|bytes pickled"),
        ({"encode": writes_to_its_signal}, "encode or describe changed signal 0: other values"),
        ({"encode": counts_its_calls}, "other|gives other spikes"),
        ({"encode": lambda self, signal, *, rng=None: None}, "signal 0: encode returned a NoneType, no SpikeTrain"),
        ({"encode": changed(First.encode, lambda t: SpikeTrain(t.bits[1:], t.steps))}, "19 units and 20 steps, desc"),
        ({"encode": changed(First.encode, lambda t: SpikeTrain(t.bits | 255, t.steps))}, "at and past step 20 are set"),
        ({"encode": changed(First.encode, lambda t: SpikeTrain(t.bits * 0, t.steps))}, "signal 0: no spikes"),
        ({"describe": lambda self, signal, rng=None: ((4, 5), 20, 1e-3)}, "describe returned .*, no Description"),
        ({"describe": lambda self, signal, rng=None: Description((4, 5), 20, signal.max() + 1)}, "its outline is desc"),
        ({"__call__": changed(First.__call__, np.logical_not)}, "calling the encoder gives other spikes"),
        ({"encode_parts": lambda self, signal, ranges, *, rng=None: [self.encode(signal)] * 2}, "encode_parts gives"),
        ({"encode_batch": lambda self, signals, *, rngs: [self.encode(signals[0])] * len(signals)}, "in a batch than"),
        ({"encode_batch": one_by_one, "encode_into": lambda *_, **__: np.full(2, 20)}, "encode_into writes other bits"),
        ({"encode_batch": one_by_one, "encode_into": lambda *_, **__: np.full(2, 19)}, "encode_into returned .*steps"),
    ],
)  # fmt: skip
def test_a_broken_encoder_fails_with_the_reason(changes, message):
    with pytest.raises(AssertionError, match=message):
        check_encoder(broken(First, **changes)(), [image.copy() for image in IMAGES])


def test_an_encoder_of_unlike_steps_says_so():
    def describe(self, signal, rng=None):
        return Description((signal.size,), 10 * len(signal), self.dt, self.ragged)

    def encode(self, signal, *, rng=None):
        return SpikeTrain(pack(np.ones((10 * len(signal), signal.size), bool)), 10 * len(signal))

    signals = [np.ones((2, 3)), np.ones((3, 2))]
    check_encoder(broken(First, describe=describe, encode=encode, ragged=True)(), signals)
    with pytest.raises(AssertionError, match=r"signals get \[20, 30\] steps, but ragged is false"):
        check_encoder(broken(First, describe=describe, encode=encode, ragged=False)(), signals)


def darkens(self, signal, *, rng=None):
    signal[:] = (signal / 2).astype(signal.dtype)
    return signal[::2].copy()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"citation": ""}, "half: it has no citation"),
        ({"__call__": darkens}, "half: it changed signal 0: other values"),
        ({"__call__": lambda self, signal, *, rng=None: signal * 0}, "signal 0: the result is empty"),
        ({"__call__": lambda self, signal, *, rng=None: signal[::2] + RANDOM.random()}, "from another thread"),
        ({"outline": lambda self, signal, rng=None: signal}, r"the outline of the signal .* \(4, 5\), not \(2,"),
        ({"outline": lambda self, signal, rng=None: signal.tolist()}, "a list, not a ndarray"),
        ({"outline": lambda self, signal, rng=None: signal[: 2 if signal.any() else 1]}, "the outline of its outline"),
    ],
)  # fmt: skip
def test_a_broken_transform_fails_with_the_reason(changes, message):
    with pytest.raises(AssertionError, match=message):
        check_transform(broken(Half, **changes)(), [image.copy() for image in IMAGES])


@dataclass(frozen=True)
class LeftHalf(EventTransform):
    """The left half of the sensor."""

    name: ClassVar[str] = "left_half"
    citation: ClassVar[str] = "none"

    def walk(self, events, rng):
        for piece in events.pieces:
            yield piece[piece["x"] < (events.size[0] + 1) // 2]


def the_first_piece(self, events, rng):
    yield next(iter(events.pieces))


def each_piece(change):
    """Return a `walk` that changes each piece by itself."""
    return lambda self, events, rng: map(change, events.pieces)


@pytest.mark.parametrize(
    ("walk", "words"),
    [
        (the_first_piece, "the recording cut into pieces of 1, 2, 3, … events: the shape"),
        (each_piece(lambda piece: piece[::2]), "the recording cut into pieces of 1, 2, 3, … events: "),
        (each_piece(lambda piece: piece[1:]), "the recording cut into pieces of 1, 2, 3, … events: the shape"),
        (each_piece(lambda piece: piece[piece["t"] >= piece["t"][0]]), "IndexError: index 0 is out of bounds"),
    ],
)  # fmt: skip
def test_a_transform_that_depends_on_how_the_pieces_are_cut(walk, words):
    check_transform(LeftHalf(), EVENTS)
    with pytest.raises(AssertionError, match=words):
        check_transform(broken(LeftHalf, walk=walk)(), EVENTS)


def reading(**changes):
    """Return a `read` whose sample has other attributes."""
    return {"read": changed(Stripes.read, lambda sample: dataclasses.replace(sample, **changes))}


def keeps_what_it_reads(self, split, index):
    object.__setattr__(self, "kept", bytes(99_999))
    return Stripes.read(self, split, index)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"splits": lambda self: {"training": 4}}, r"it has the splits \['training'\]; expected train, validation"),
        ({"splits": lambda self: {"train": 4.0}}, "it has splits of"),
        ({"classes": ["rows", "columns"]}, "its classes are .*; expected a tuple of texts"),
        ({"classes": ("rows", "rows")}, "two classes have one name"),
        (reading(label=2), "train sample 0: its label is 2; expected one of 2 classes"),
        (reading(label=np.int64(0)), r"its label is .*0.*; expected an int"),
        (reading(id=""), "its id is ''; expected a text"),
        (reading(id="one"), "two train samples have one id"),
        (reading(signal=[1, 2]), "its signal is a list"),
        (reading(signal=np.zeros(4)), r"an image of shape \(4,\); expected \(row, column"),
        (reading(signal=np.zeros((4, 4), np.int32)), "its values are int32; expected floats, or uint8"),
        (reading(signal=np.full((4, 4), 2.0)), "its values go from 2.0 to 2.0; expected 0 to 1"),
        (reading(signal=np.full((4, 4), np.nan)), "some values are not finite"),
        (reading(signal=Audio(np.zeros((4, 1)), 8000)), "its values have 2 axes; expected 1"),
        (reading(signal=Audio(np.zeros(4), 0)), "its rate is 0 Hz"),
        (reading(signal=Audio(np.full(4, -1.5), 8000)), "from -1.5 to -1.5; expected -1 to 1"),
        (reading(signal=Events.of(np.zeros(2, [("x", "i4"), ("t", "i8")]), (4, 4))), "expected spikeprep.data.EVENT"),
        ({"read": lambda self, split, index: None}, "read returned a NoneType, no Sample"),
        ({"read": changed(Stripes.read, lambda s: dataclasses.replace(s, signal=RANDOM.random((4, 4))))}, "another"),
        ({"read": keeps_what_it_reads, "__getstate__": lambda self: vars(self)}, "bytes pickled after its samples are"),
        ({"outline": lambda self, split, index: np.zeros((2, 2))}, r"its outline differs .*: the shape \(2, 2\), not"),
        ({"limited": lambda self, samples: self}, r"limited\(1\) has .*; expected {'train': 1, 'test': 1}"),
        ({"provenance": lambda self: {"sha256": 64 * "0"}}, 'its provenance lacks "licence"'),
        ({"provenance": lambda self: {"licence": "x"}}, 'expected one of "files" and "sha256"'),
        ({"provenance": lambda self: {"licence": "x", "files": {"a": "0x1"}}}, "the sha256 of a is '0x1'; expected 64"),
        ({"provenance": lambda self: {"licence": 1j}}, "its provenance is not JSON"),
        ({"path": "/data", "provenance": lambda self: Stripes.provenance(self) | {"note": "/data/x"}}, "has the path"),
    ],
)  # fmt: skip
def test_a_broken_source_fails_with_the_reason(changes, message):
    with pytest.raises(AssertionError, match=message):
        check_source(broken(Stripes, **changes)())


def test_a_plugin_of_no_kind_fails():
    @dataclass(frozen=True)
    class Lonely(Plugin):
        """Of no kind."""

        name: ClassVar[str] = "lonely"

    with pytest.raises(AssertionError, match="Lonely inherits from no base class of plugins"):
        check_plugin(Lonely())


@pytest.mark.parametrize("check", [check_plugin, check_event_format, check_transform])
def test_a_plugin_without_a_name_fails_with_the_reason(check):
    class Nameless(Plugin):
        """Without a name."""

    with pytest.raises(AssertionError, match=r"Nameless: it has no name; write name: ClassVar"):
        check(Nameless(), *[[]] * (2 if check is check_event_format else check is check_transform))


@pytest.fixture
def fresh(monkeypatch):
    """Leave no registered class behind."""
    for registry in REGISTRIES:
        monkeypatch.setattr(registry, "_registered", dict(registry._registered))


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (None, None),
        ("matches", "matches.. denies the file"),
        ("claims", "matches.. claims the bytes b''"),
        ("unregistered", "it is not registered: call spikeprep.register"),
        ("events", "x differs, first of event .3"),
        ("time", "t differs"),
        ("fewer", "it has 25 events; expected 24"),
    ],
)
def test_a_broken_event_format_fails_with_the_reason(tmp_path, change, message):
    form = FORMS["nmnist"]
    events = recording(form, 25)
    path = form.put(tmp_path, events)
    expected = relative(form, events)
    base = EVENT_FORMATS.get("nmnist")
    answers = {"matches": False, "claims": True}
    matches = {"matches": classmethod(lambda cls, head: answers[change])} if change in answers else {}
    cls = broken(base, name="other_nmnist", **matches)
    if change != "unregistered":
        register(cls)
    if change == "events":
        expected["x"][3] += 1
    if change == "time":
        expected["t"][3:] += 1
    if message is None:
        return check_event_format(cls(), path, expected)
    with pytest.raises(AssertionError, match=message):
        check_event_format(cls(), path, expected[: 24 if change == "fewer" else 25])
    return None


def test_the_public_checks_are_documented():
    for name in testing.__all__:
        assert "Raises" in getattr(testing, name).__doc__
    assert inspect.isabstract(EventFormat)
