"""Plugins that break their contract: an error names plugin and sample, no half a shard is written, encode resumes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest

from spikeprep.data import EVENT, Events, Sample, SpikeTrain
from spikeprep.encoders import Description, Encoder, Transform
from spikeprep.encoding.arrays import write_store
from spikeprep.encoding.plan import plan
from spikeprep.encoding.run import encode
from spikeprep.errors import CapabilityError, DataError, PluginError, SpikeprepError, UsageError
from spikeprep.packing import pack
from spikeprep.random import SampleKey
from spikeprep.recipes import Recipe
from spikeprep.registry import ENCODERS, SOURCES, TRANSFORMS
from spikeprep.sources.base import Source
from spikeprep.store import SpikeStore, SplitLayout, verify
from spikeprep.testing import check_transform
from spikeprep.transforms import AudioAugmentation, EventTransform, FrontEnd

from ..store.stores import tree

FAULTY = 6  # the sample for which a plugin breaks its contract
SAMPLES = {"train": 11, "test": 4}


OF_OTHER_SIGNALS = [
    "fix_length",
    *(
        name
        for name in TRANSFORMS.names()
        if issubclass(TRANSFORMS.get(name), EventTransform | FrontEnd | AudioAugmentation)
    ),
]


@dataclass(frozen=True)
class Counting(Source):
    """Images of which sample n has n + 1 bright pixels in its first row; records what is read and outlined."""

    name: ClassVar[str] = "counting"
    reads: ClassVar[list[tuple[str, int]]] = []
    outlines: ClassVar[list[tuple[str, int]]] = []
    fault: str = ""
    first: int = 0

    @property
    def classes(self) -> tuple[str, ...]:
        return ("a", "b")

    def splits(self) -> dict[str, int]:
        return {split: min(n, self.first or n) for split, n in SAMPLES.items()}

    def limited(self, samples: int) -> Source:
        return replace(self, first=samples)

    def read(self, split: str, index: int) -> Sample:
        self.reads.append((split, index))
        if index == FAULTY and self.fault == "raises":
            raise KeyError("lost")
        if index == FAULTY and self.fault == "none":
            return None  # type: ignore[return-value]
        return Sample(self.image(index), index % 2, f"{split}-{index}")

    def image(self, index: int) -> Any:
        image = np.zeros((3, 20), np.uint8)
        image[0, : index + 1] = 255
        return image

    def outline(self, split: str, index: int) -> Any:
        self.outlines.append((split, index))
        return self.image(index)

    def provenance(self) -> dict[str, Any]:
        return {"licence": "none", "sha256": "0" * 64}


def faulty(image: Any) -> bool:
    return int((image[0] > 0).sum()) == FAULTY + 1


@dataclass(frozen=True)
class Bright(Encoder):
    """A bright pixel spikes in every step; with `fault` something is wrong with sample 6."""

    name: ClassVar[str] = "bright"
    fault: str = ""
    steps: int = 12

    def describe(self, signal: Any, rng: SampleKey | None = None) -> Description:
        if self.fault == "described":
            return (signal.shape, self.steps, 1e-3)  # type: ignore[return-value]
        if self.fault == "dt":
            return Description(signal.shape, self.steps, float("nan"))
        return Description(signal.shape, self.steps, 1e-3)

    def encode(self, signal: Any, *, rng: SampleKey | None = None) -> SpikeTrain:
        spikes = np.tile(signal.ravel() > 0, (self.steps, 1))
        if not faulty(signal):
            return SpikeTrain(pack(spikes), self.steps)
        match self.fault:
            case "raises":
                raise ZeroDivisionError("no reason")
            case "dtype":
                return SpikeTrain(pack(spikes).astype(np.float32), self.steps)
            case "array":
                return spikes  # type: ignore[return-value]
            case "units":
                return SpikeTrain(pack(spikes[:, :1]), self.steps)
            case "longer":
                return SpikeTrain(pack(np.tile(spikes, (2, 1))), 2 * self.steps)
            case "shorter":
                return SpikeTrain(pack(spikes[:5]), 5)
            case "padding":
                return SpikeTrain(np.full((signal.size, 2), 255, np.uint8), self.steps)
        return SpikeTrain(pack(spikes), self.steps)


@dataclass(frozen=True)
class Batched(Bright):
    """`Bright` with a batch form of its own."""

    name: ClassVar[str] = "batched"

    def encode_into(self, signals, out, *, rngs):
        if self.fault == "few":
            next(signals)
            return np.full(1, self.steps)
        if self.fault == "steps":
            return np.full((len(list(signals)), 2), self.steps)
        if self.fault == "batch":
            list(signals)
            raise IndexError("only in a batch")
        return super().encode_into(list(signals), out, rngs=rngs)


@dataclass(frozen=True)
class Noise(Transform):
    """Adds random pixels; with `fault` something is wrong with sample 6."""

    name: ClassVar[str] = "grain"
    fault: str = ""

    def __call__(self, signal: Any, *, rng: SampleKey | None = None) -> Any:
        if faulty(signal):
            if self.fault == "raises":
                raise RuntimeError("no reason")
            if self.fault == "none":
                return None
            if self.fault == "dtype":
                return signal.astype(np.int64)
            if self.fault == "shape":
                return signal[:, :-1]
        assert rng is not None
        pixels = rng.generator("grain").integers(0, 256, signal.shape)
        return np.maximum(signal, pixels).astype(np.uint8)


@dataclass(frozen=True)
class Ragged(Bright):
    """`Bright` of as many steps as the sample has bright pixels."""

    name: ClassVar[str] = "ragged"

    def describe(self, signal: Any, rng: SampleKey | None = None) -> Description:
        return Description(signal.shape, int((signal > 0).sum()) + 3, 1e-3, ragged=True)

    def encode(self, signal: Any, *, rng: SampleKey | None = None) -> SpikeTrain:
        steps = self.describe(signal).steps - (self.fault == "short" and faulty(signal))
        return SpikeTrain(pack(np.tile(signal.ravel() > 0, (steps, 1))), steps)


@dataclass(frozen=True)
class Lookalike(Transform):
    """Leaves the signal alone; its outline has a bright pixel too many."""

    name: ClassVar[str] = "lookalike"

    def __call__(self, signal: Any, *, rng: SampleKey | None = None) -> Any:
        return signal

    def outline(self, signal: Any, rng: SampleKey | None = None) -> Any:
        return np.full_like(signal, 255)


@dataclass(frozen=True)
class Centred(Transform):
    """The image less the mean of the training samples, which `fit` finds; the tests replace its methods."""

    name: ClassVar[str] = "centred"
    citation: ClassVar[str] = "none"
    mean: float | None = None

    @property
    def is_fitted(self) -> bool:
        return self.mean is not None

    def fit(self, signals: Any) -> Any:
        return replace(self, mean=float(np.mean([signal.mean() for signal in signals])))

    def __call__(self, signal: Any, *, rng: SampleKey | None = None) -> Any:
        return np.abs(signal - (self.mean or 0.0))


@pytest.fixture(autouse=True)
def plugins(monkeypatch):
    """The plugins above, known by name; chunks of 4 samples, shards of 4: sample 6 is in the second one."""
    for registry, classes in (
        (SOURCES, [Counting]),
        (ENCODERS, [Bright, Batched, Ragged]),
        (TRANSFORMS, [Noise, Lookalike, Centred]),
    ):
        for cls in classes:
            monkeypatch.setitem(registry._registered, cls.name, cls)
    monkeypatch.setattr(SplitLayout, "fit", staticmethod(lambda n, u, t: SplitLayout(n, u, t, 4, 4)))
    Counting.reads.clear()
    Counting.outlines.clear()


def recipe(*chain: dict[str, Any], **source: Any) -> Recipe:
    return Recipe("made-up", "Made up", "nobody", {"name": "counting", **source}, list(chain))


def sound() -> Recipe:
    return recipe({"name": "bright"})


def broken(owner: str, fault: str) -> Recipe:
    """The recipe in which one plugin has a fault."""
    if owner == "counting":
        return recipe({"name": "bright"}, fault=fault)
    if owner == "grain":
        return recipe({"name": "grain", "fault": fault}, {"name": "poisson", "steps": 12})
    return recipe({"name": owner, "fault": fault})


@pytest.mark.parametrize("name", OF_OTHER_SIGNALS)
def test_a_chain_for_another_kind_of_signal_is_refused_by_name(tmp_path, name):
    # not the data are wrong: the step is named, and the kind of signal that the source gives
    words = rf"^the chain {name} → bright does not fit counting, a source of images: {name}: got a signal of"
    for call in (plan, encode):
        with pytest.raises(UsageError, match=words):
            call(recipe({"name": name}, {"name": "bright"}), tmp_path / "s.zarr")
    assert not list(tmp_path.iterdir())
    # to arrays in hand there is no source: the error names the sample
    chain = recipe({"name": name}, {"name": "bright"}).build_chain()
    with pytest.raises(DataError, match=f"{name}: got a signal of type ndarray"):
        write_store(tmp_path / "s.zarr", np.zeros((2, 3, 3), np.uint8), [0, 1], encoder=chain)


@pytest.mark.parametrize(
    ("owner", "fault", "words"),
    [
        ("bright", "raises", "sample train-6: the encoder bright raised ZeroDivisionError: no reason. Correct"),
        ("bright", "dtype", "sample train-6: the encoder bright raised ValueError: got bits float32"),
        ("bright", "array", "sample train-6: the encoder bright returned an array bool .*SpikeTrain"),
        ("bright", "units", "sample train-6: the encoder bright returned 1 units of 12 steps; expected 60 units"),
        ("bright", "longer", "sample train-6: the encoder bright returned 60 units of 24 steps; expected 60 units"),
        ("bright", "shorter", "sample train-6: the encoder bright returned 60 units of 5 steps; expected 60 units"),
        ("bright", "padding", "sample train-6: the encoder bright set bits at or past step 12"),
        ("batched", "raises", "sample train-6: the encoder batched raised ZeroDivisionError"),
        ("batched", "padding", "sample train-6: the encoder batched set bits at or past step 12"),
        ("batched", "few", "the encoder batched encoded 1 of 4 signals"),
        ("batched", "steps", r"the encoder batched encoded 4 of 4 signals and returned steps of shape \(4, 2\)"),
        ("batched", "batch", "sample 0 to 3 of train: the encoder batched raised IndexError: only in a batch"),
        ("ragged", "short", "sample train-6: the encoder ragged returned 60 units of 9 steps; expected 60 units of 10"),
        ("grain", "raises", "sample train-6: the transform grain raised RuntimeError"),
        ("grain", "none", "sample train-6: the transform grain returned None"),
        ("grain", "dtype", r"sample train-6 \(after grain\): poisson: got an image of int64"),
        ("grain", "shape", "sample train-6 became 57 units of 12 steps; expected 60 units of 12 steps, like the first"),
        ("counting", "raises", "source '?counting'? raised KeyError.*lost"),
        ("counting", "none", "source '?counting'? returned None.*Sample"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("chunk", [4, 1])
def test_a_broken_plugin_is_named_and_nothing_is_half_written(
    owner, fault, words, chunk, tmp_path, monkeypatch
):
    if chunk == 1 and owner == "batched":
        pytest.skip("one sample is no batch")
    monkeypatch.setattr(SplitLayout, "fit", staticmethod(lambda n, u, t: SplitLayout(n, u, t, chunk, 4)))
    path, plugin = tmp_path / "s.zarr", broken(owner, fault)
    with pytest.raises(SpikeprepError, match=words):
        encode(plugin, path, workers=1)
    with pytest.raises(SpikeprepError, match="not complete"):
        SpikeStore.open(path)
    assert not list(path.rglob("*.partial"))


@pytest.mark.parametrize("detail", ["Unable to allocate 8.00 EiB for an array", ""])
def test_an_encoder_that_runs_out_of_memory_is_no_mistake_of_its_authors(tmp_path, monkeypatch, detail):
    def hungry(self, signal, *, rng=None, encode=Bright.encode):
        if faulty(signal):
            raise MemoryError(detail)
        return encode(self, signal, rng=rng)

    monkeypatch.setattr(Bright, "encode", hungry)
    with pytest.raises(CapabilityError, match=f"train-6: bright ran out of memory \\({detail}") as caught:
        encode(sound(), tmp_path / "s.zarr")
    assert type(caught.value) is CapabilityError
    assert caught.value.hint.startswith("Free some memory")


def test_after_the_correction_encoding_goes_on(tmp_path, monkeypatch):
    encode(sound(), tmp_path / "sound.zarr")
    calls = []

    def once(self, signal, *, rng=None, encode=Bright.encode):
        calls.append(1)
        if faulty(signal) and len(calls) < 20:
            raise ZeroDivisionError
        return encode(self, signal, rng=rng)

    with monkeypatch.context() as patch:
        patch.setattr(Bright, "encode", once)
        with pytest.raises(PluginError, match="train-6"):
            encode(sound(), tmp_path / "s.zarr", workers=1)
    assert encode(sound(), tmp_path / "s.zarr").encoded == 11  # the first shard of 4 was there
    assert tree(tmp_path / "s.zarr") == tree(tmp_path / "sound.zarr")
    assert verify(tmp_path / "s.zarr").ok


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("described", "sample 0 of train: the encoder bright describes it by an object of type tuple"),
        ("dt", "sample 0 of train: the encoder bright raised ValueError: got Description.*dt=nan"),
    ],
)
def test_a_wrong_description_leaves_no_store(fault, words, tmp_path):
    with pytest.raises(PluginError, match=words):
        encode(recipe({"name": "bright", "fault": fault}), tmp_path / "s.zarr")
    assert list(tmp_path.iterdir()) == []


def test_an_outline_that_differs_from_the_signal(tmp_path):
    with pytest.raises(PluginError, match=r"of 4 steps.*as its outline.*one of: counting, lookalike"):
        encode(recipe({"name": "lookalike"}, {"name": "ragged"}), tmp_path / "s.zarr", workers=1)


UNFITTED = "centred has is_fitted = False after fit; expected fit to return a copy whose is_fitted is True"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fit": Transform.fit}, UNFITTED),  # missing or misspelt
        ({"fit": lambda self, signals: self}, UNFITTED),
        ({"fit": lambda self, signals: None}, "centred returned None from fit"),
        ({"fit": lambda self, signals: Lookalike()}, "centred returned an object of type Lookalike from fit"),
        ({"is_fitted": lambda self: self.mean is not None}, "centred has a method as is_fitted; expected a property"),
        ({"is_fitted": property(lambda self: self.mean)}, "centred has None as is_fitted; expected a property"),
        (
            {
                "is_fitted": property(lambda self: hasattr(self, "found")),
                "fit": lambda self, signals: object.__setattr__(self, "found", 1.0) or self,
            },
            "centred has its statistics outside its settings after fit",
        ),
    ],
)  # fmt: skip
def test_a_transform_that_is_not_fitted_is_named(tmp_path, monkeypatch, changes, words):
    for name, value in changes.items():
        monkeypatch.setattr(Centred, name, value)
    with pytest.raises(PluginError, match=words) as caught:
        encode(recipe({"name": "centred"}, {"name": "bright"}), tmp_path / "s.zarr")
    assert "Correct tests.encoding.test_contract.Centred" in caught.value.hint
    assert list(tmp_path.iterdir()) == []
    signals = [np.full((3, 20), n, np.uint8) for n in (90, 200)]
    with pytest.raises(AssertionError, match=words):
        check_transform(Centred(), signals)


def test_a_transform_that_is_fitted(tmp_path):
    encode(recipe({"name": "centred"}, {"name": "bright"}), tmp_path / "s.zarr")
    chain = SpikeStore.open(tmp_path / "s.zarr").attributes["chain"]
    assert chain[0]["mean"] == pytest.approx(255 * 66 / 11 / 60)
    check_transform(Centred(), [np.full((3, 20), n, np.uint8) for n in (90, 200)])


def test_arrays_in_hand_need_a_fitted_transform(tmp_path):
    chain = recipe({"name": "centred"}, {"name": "bright"}).build_chain()
    with pytest.raises(UsageError, match=r"whose transform centred is not fitted.* Give what centred.fit"):
        write_store(tmp_path / "s.zarr", np.zeros((2, 3, 3), np.uint8), [0, 1], encoder=chain)


def test_errors_pickle_whole():
    import pickle

    error = pickle.loads(pickle.dumps(PluginError("got", "expected", "Hint.")))
    assert (type(error), error.got, error.expected, error.hint) == (PluginError, "got", "expected", "Hint.")


# ---------------------------------------------------------------- random transforms


def test_a_random_transform_ahead_of_poisson(tmp_path):
    noisy = recipe({"name": "grain"}, {"name": "poisson", "steps": 30})
    for workers in (1, 3):
        encode(noisy, tmp_path / f"{workers}.zarr", workers=workers, seed=5)
    assert tree(tmp_path / "1.zarr") == tree(tmp_path / "3.zarr")
    chain, source, reader = (
        noisy.build_chain(),
        noisy.build_source(),
        SpikeStore.open(tmp_path / "1.zarr")["train"],
    )
    for n in range(SAMPLES["train"]):
        signal, key = source.read("train", n).signal, SampleKey(5, "train", n)
        noised = Noise()(signal, rng=key)
        assert (noised != signal).any()
        np.testing.assert_array_equal(reader[n], chain.encoder(noised, rng=key))
    assert plan(noisy, tmp_path / "t.zarr").steps == 30


def test_a_random_transform_may_decide_the_steps(tmp_path):
    """Its outline, which is the signal, is made with the sample's own key: so steps are those that encoding gives."""

    @dataclass(frozen=True)
    class Blank(Transform):
        """Darkens a random part of the image."""

        name: ClassVar[str] = "blank"

        def __call__(self, signal, *, rng=None):
            return np.where(rng.generator("blank").random(signal.shape) < 0.5, 0, signal)

    class Whole(Counting):
        outline = Source.outline

    TRANSFORMS._registered["blank"] = Blank
    SOURCES._registered["counting"] = dataclass(frozen=True)(Whole)
    blanked = recipe({"name": "blank"}, {"name": "ragged"})
    encode(blanked, tmp_path / "s.zarr", seed=3)
    reader = SpikeStore.open(tmp_path / "s.zarr")["train"]
    assert len(set(reader.steps)) > 3
    del TRANSFORMS._registered["blank"]


def test_jitter_ahead_of_dvs(tmp_path, monkeypatch):
    rng, array = np.random.default_rng(0), np.zeros(60, EVENT)
    array["x"], array["y"], array["t"] = *rng.integers(0, 5, (2, 60)), np.sort(rng.integers(0, 50_000, 60))
    events = Events((array,), (5, 5), duration=50_000)

    class Recordings(Counting):
        def read(self, split, index):
            return Sample(events, index % 2, f"{split}-{index}")

        def outline(self, split, index):
            return self.read(split, index).signal

    monkeypatch.setitem(SOURCES._registered, "counting", dataclass(frozen=True)(Recordings))
    chain = [{"name": "time_jitter", "std_us": 3000.0}, {"name": "dvs", "bin_us": 500}]
    encode(recipe(*chain), tmp_path / "s.zarr", seed=2)
    reader, jittered = SpikeStore.open(tmp_path / "s.zarr")["train"], recipe(*chain).build_chain()
    for n in range(SAMPLES["train"]):
        train = jittered.encode(events, rng=SampleKey(2, "train", n))
        assert train.steps == 100
        np.testing.assert_array_equal(reader.packed(slice(n, n + 1)).bits[0], train.bits)


# ---------------------------------------------------------------- how often a source is read


def test_a_limit_reads_the_limited_samples_once(tmp_path):
    encode(sound(), tmp_path / "s.zarr", limit=2)
    assert sorted(Counting.reads) == [("test", 0), ("test", 1), ("train", 0), ("train", 1)]
    assert Counting.outlines == [("train", 0)]


def test_ragged_samples_are_described_by_outlines_of_the_limited_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(
        Ragged, "describe", lambda self, signal, rng=None: Description(signal.shape, 7, 1e-3, ragged=True)
    )
    monkeypatch.setattr(
        Ragged, "encode", lambda self, signal, *, rng=None: SpikeTrain(np.zeros((60, 1), np.uint8), 7)
    )
    encode(recipe({"name": "ragged"}), tmp_path / "s.zarr", limit=2)
    assert sorted(Counting.reads) == [("test", 0), ("test", 1), ("train", 0), ("train", 1)]
    assert sorted(set(Counting.outlines)) == sorted(Counting.reads)
    assert len(Counting.outlines) == 5  # the first one tells that samples are ragged


def test_a_finished_store_reads_no_sample(tmp_path):
    encode(sound(), tmp_path / "s.zarr")
    Counting.reads.clear()
    assert encode(sound(), tmp_path / "s.zarr").encoded == 0
    assert Counting.reads == []


def test_a_source_without_samples(tmp_path, monkeypatch):
    monkeypatch.setattr(Counting, "splits", lambda self: {"train": 0})
    with pytest.raises(SpikeprepError, match=r"counting'? has (no|0) samples"):
        encode(sound(), tmp_path / "s.zarr")
