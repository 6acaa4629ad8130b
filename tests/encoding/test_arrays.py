"""Arrays and iterables in hand become complete stores, or nothing at all."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from spikeprep.data import Audio, SpikeTrain
from spikeprep.encoders.base import Chain
from spikeprep.encoders.bsa import BSA
from spikeprep.encoders.poisson import Poisson
from spikeprep.encoding.arrays import write_store
from spikeprep.errors import CapabilityError, DataError, PluginError, StoreError, UsageError
from spikeprep.packing import pack
from spikeprep.random import SampleKey
from spikeprep.store import Compression, SpikeStore, SpikeWriter, verify
from spikeprep.store.local_storage import LocalStorage
from spikeprep.transforms.audio.lyon import Lyon

from ..store.stores import tree

RNG = np.random.default_rng(0)
SPIKES = RNG.random((12, 21, 2, 3)) < 0.3
LABELS = np.arange(12) % 3
RAGGED = [spikes[: 5 + 3 * (n % 4)] for n, spikes in enumerate(SPIKES)]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "s.zarr"


def read(path, split="train"):
    """The spikes of every sample, after the store was verified."""
    assert verify(path).ok
    reader = SpikeStore.open(path)[split]
    return [reader[n].reshape(-1, *reader.unit_shape) for n in range(len(reader))]


def same(got, expected):
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b)


# What is written


def test_arrays(out):
    summary = write_store(out, SPIKES, LABELS, dt=0.002, title="Dots", citation="Me 2026", licence="CC0")
    same(read(out), SPIKES)
    store = SpikeStore.open(out)
    np.testing.assert_array_equal(store["train"].labels, LABELS)
    assert store["train"].ids.tolist() == [str(n) for n in range(12)]
    assert store["train"].groups is None
    about = dict(store.attributes)
    assert len(about.pop("source").pop("sha256")) == 64
    assert about.pop("version")
    assert about.pop("contents").startswith("sha256:")
    assert about == {
        "format": 1,
        "recipe": "arrays",
        "title": "Dots",
        "citation": "Me 2026",
        "chain": [],
        "seed": 0,
        "dt": 0.002,
        "unit_shape": [2, 3],
        "classes": ["0", "1", "2"],
        "samples": {"train": 12},
        "complete": True,
    }
    assert (summary.path, summary.samples, summary.encoded) == (str(out), {"train": 12}, 12)
    assert summary.stored_bytes == store.stored_bytes()
    assert len(repr(summary)) < 200


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float32"])
@pytest.mark.parametrize("form", [np.array, list])
def test_type_and_form_of_the_arrays_change_nothing(tmp_path, dtype, form):
    write_store(tmp_path / "a.zarr", SPIKES, LABELS, dt=0.001)
    write_store(tmp_path / "b.zarr", form(SPIKES.astype(dtype)), form(LABELS), dt=0.001)
    assert tree(tmp_path / "a.zarr") == tree(tmp_path / "b.zarr")


def test_ragged_lengths_are_padded_and_kept(out):
    write_store(out, RAGGED, LABELS, dt=0.001)
    same(read(out), RAGGED)
    reader = SpikeStore.open(out)["train"]
    assert reader.max_steps == 14
    assert reader.steps.tolist() == [len(spikes) for spikes in RAGGED]


def test_splits_ids_and_groups(out):
    split = np.array(["test", "train", "train"] * 4)
    write_store(
        out, SPIKES, LABELS, split=split, ids=[f"é{n}" for n in range(12)], groups=np.arange(12) // 2, dt=1.0
    )
    store = SpikeStore.open(out)
    assert store.splits == ("test", "train")  # in the order of their first samples
    for name in store.splits:
        rows = np.flatnonzero(split == name)
        same(read(out, name), SPIKES[rows])
        assert store[name].ids.tolist() == [f"é{n}" for n in rows]
        assert store[name].groups.tolist() == (rows // 2).tolist()
        assert store[name].labels.tolist() == LABELS[rows].tolist()


def test_tuples_of_every_length(out):
    names = ["cat", "dog", "bee"]

    def samples():
        yield SPIKES[0], "dog"
        yield [SPIKES[1], "bee", "test"]
        yield SPIKES[2], "cat", None, "second.png"
        yield SPIKES[3].reshape(21, 2, 3).tolist(), "bee", "train", None, None
        yield SPIKES[4], np.str_("dog"), np.str_("extra"), 7, np.int16(9)

    write_store(out, samples(), dt=0.001, split="train")
    store = SpikeStore.open(out)
    assert store.attributes["classes"] == sorted(names)
    assert store.attributes["samples"] == {"train": 3, "test": 1, "extra": 1}
    assert store["train"].labels.tolist() == [2, 1, 0]
    assert store["train"].ids.tolist() == ["0", "second.png", "2"]
    assert (store["test"].labels.tolist(), store["extra"].labels.tolist()) == ([0], [2])
    assert (store["extra"].ids.tolist(), store["extra"].groups.tolist()) == (["7"], [9])
    same(read(out), SPIKES[[0, 2, 3]])


def test_classes_order_the_labels_whether_names_or_numbers(out):
    labels = ["dog", 1, "bee", np.int64(0), "cat", 2]
    write_store(out, SPIKES[:6], labels, classes=["cat", "dog", "bee"], dt=0.001)
    assert SpikeStore.open(out)["train"].labels.tolist() == [1, 1, 2, 0, 0, 2]
    assert SpikeStore.open(out).attributes["classes"] == ["cat", "dog", "bee"]


def test_both_forms_and_any_number_of_workers_give_the_same_bytes(tmp_path):
    write_store(tmp_path / "a.zarr", RAGGED, LABELS, ids=LABELS, groups=LABELS, dt=0.001, workers=1)
    tuples = ((spikes, n, "train", n, n) for spikes, n in zip(RAGGED, LABELS.tolist(), strict=True))
    write_store(tmp_path / "b.zarr", tuples, dt=0.001, workers=4)
    assert tree(tmp_path / "a.zarr") == tree(tmp_path / "b.zarr")


def test_unit_shape_names_the_order_of_flat_units(tmp_path):
    flat = SPIKES.reshape(12, 21, 6)
    write_store(tmp_path / "a.zarr", flat, LABELS, dt=0.001, unit_shape=np.array([2, 3]))
    write_store(tmp_path / "b.zarr", SPIKES, LABELS, dt=0.001)
    assert tree(tmp_path / "a.zarr") == tree(tmp_path / "b.zarr")


def test_packed_spikes(out):
    trains = [SpikeTrain(pack(spikes.reshape(len(spikes), 6)), len(spikes)) for spikes in RAGGED]
    write_store(out, trains, LABELS, dt=0.001, unit_shape=[2, 3])
    same(read(out), RAGGED)


def test_a_buffer_that_the_iterable_fills_again(out):
    def samples():
        buffer = np.zeros((21, 2, 3), bool)
        for spikes in SPIKES:
            buffer[:] = spikes
            yield buffer, 0

    write_store(out, samples(), dt=0.001)
    same(read(out), SPIKES)


def test_many_shards_and_another_compression(out, monkeypatch):
    monkeypatch.setattr("spikeprep.store.layout._CHUNK_BYTES", 64)
    write_store(out, RAGGED * 5, np.tile(LABELS, 5), dt=0.001, compression=Compression("lz4"))
    assert SpikeStore.open(out)["train"].layout.shards > 4
    same(read(out), RAGGED * 5)


def test_large_samples_are_divided_along_their_units(out, monkeypatch):
    monkeypatch.setattr("spikeprep.store.layout._LARGE_SAMPLE", 8)
    monkeypatch.setattr("spikeprep.store.layout._CHUNK_BYTES", 8)
    write_store(out, RAGGED, LABELS, dt=0.001)
    assert SpikeStore.open(out)["train"].layout.unit_chunks == 2
    same(read(out), RAGGED)


def test_memory_does_not_grow_with_the_number_of_samples(out):
    import tracemalloc

    def samples(count):
        for n in range(count):
            bits = np.frombuffer(RNG.bytes(4096 * 64), np.uint8)
            yield (
                np.unpackbits(bits).view(bool).reshape(4096, 512),
                n % 2,
            )  # 2 MiB, 256 KiB packed, incompressible

    peaks = []
    for count in (40, 160):
        tracemalloc.start()
        write_store(out.with_name(f"{count}.zarr"), samples(count), dt=0.001, workers=2)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0] + (8 << 20)


# Encoders


def images(count=7):
    return np.random.default_rng(1).integers(0, 256, (count, 4, 5), dtype=np.uint8)


def test_an_encoder_draws_by_seed_split_and_number(out):
    poisson, pictures = Poisson(steps=30), images()
    splits = ["train", "test"] * 3 + ["train"]
    write_store(out, pictures, [0] * 7, split=splits, encoder=poisson, seed=5)
    store = SpikeStore.open(out)
    assert store.attributes["chain"] == [poisson.to_config()]
    assert (store.attributes["seed"], store.attributes["dt"]) == (5, poisson.dt)
    assert store.attributes["unit_shape"] == [4, 5]
    for split, rows in (("train", [0, 2, 4, 6]), ("test", [1, 3, 5])):
        for n, row in enumerate(rows):
            expected = poisson(pictures[row], rng=SampleKey(5, split, n))
            np.testing.assert_array_equal(store[split][n], expected)
    assert verify(out).ok


def test_a_chain_of_ragged_sounds(out):
    rng = np.random.default_rng(2)
    sounds = [Audio(0.1 * rng.standard_normal(1500 + 300 * n), 12500.0) for n in range(3)]
    chain = Chain((Lyon(decimation=200),), BSA())
    write_store(out, [(sound, "hm") for sound in sounds], encoder=chain)
    reader = SpikeStore.open(out)["train"]
    assert len(set(reader.steps.tolist())) == 3
    for n, sound in enumerate(sounds):
        key = SampleKey(0, "train", n)
        train = chain.encoder.encode(chain.prepare(sound, rng=key), rng=key)
        np.testing.assert_array_equal(
            reader.packed(np.array([n])).bits[0, :, : train.bits.shape[1]], train.bits
        )
        assert reader.steps[n] == train.steps
    assert SpikeStore.open(out).attributes["dt"] == pytest.approx(
        200 / 12500 / 10
    )  # frames are held 10 steps
    assert verify(out).ok


def test_the_store_of_a_recipe_has_the_same_shards(tmp_path):
    """Written from the recipe's samples and chain, every object but the root's attributes is equal."""
    from spikeprep.encoding.run import encode
    from spikeprep.recipes import load_recipe

    pytest.importorskip("sklearn")
    recipe = load_recipe("digits")
    encode(recipe, tmp_path / "a.zarr", limit=60)
    source = recipe.open_source()

    def samples():
        for split in source.splits():
            for n in range(60):
                sample = source.read(split, n)
                yield sample.signal, sample.label, split, sample.id

    write_store(tmp_path / "b.zarr", samples(), classes=source.classes, encoder=recipe.build_chain())
    a, b = tree(tmp_path / "a.zarr"), tree(tmp_path / "b.zarr")
    assert a.pop("zarr.json") != b.pop("zarr.json")
    assert a.pop("manifest.json") != b.pop("manifest.json")
    assert a == b


@dataclass(frozen=True)
class Broken(Poisson):
    """An encoder that fails for dark images, or returns something else."""

    name: ClassVar[str] = "broken"
    returns: str = ""

    def encode_batch(self, signals, *, rngs):
        if self.returns:
            return [self.returns for _ in signals]
        if any(signal.max() == 0 for signal in signals):
            raise ZeroDivisionError("too dark")
        return super().encode_batch(signals, rngs=rngs)


def test_an_encoder_that_raises(out):
    pictures = images(50)
    pictures[37] = 0
    message = "sample 37 of train: the encoder broken raised ZeroDivisionError: too dark"
    with pytest.raises(PluginError, match=message):
        write_store(out, pictures, [0] * 50, encoder=Broken(steps=9), workers=2)
    assert not out.exists()


def test_an_encoder_that_returns_no_spikes(out):
    message = "sample 0 of train: the encoder broken returned an object of type str; expected a .*SpikeTrain"
    with pytest.raises(PluginError, match=message):
        write_store(out, images(), [0] * 7, encoder=Broken(steps=9, returns="x"))
    assert not out.exists()


# Errors: a clear message, and nothing written


def changed(row, value):
    samples = [spikes.astype(float) for spikes in SPIKES]
    samples[row][3, 1, 2] = value
    return samples


def raising():
    yield SPIKES[0], 0
    yield SPIKES[1], 0
    raise OSError("the disk of the camera")


ARRAYS = {"samples": SPIKES, "labels": LABELS, "dt": 0.001}
BAD = [
    (ARRAYS | {"labels": LABELS[:-1]}, UsageError, "got 12 samples and 11 labels"),
    (ARRAYS | {"ids": ["a"]}, UsageError, "got 12 samples and 1 ids"),
    (ARRAYS | {"groups": np.zeros(13, int)}, UsageError, "12 samples and 13 groups"),
    (ARRAYS | {"split": ["train"]}, UsageError, "12 samples and 1 split"),
    (ARRAYS | {"labels": np.eye(12)}, UsageError, r"labels of shape \(12, 12\)"),
    (ARRAYS | {"labels": LABELS - 1}, DataError, "sample 0 of train has the label -1; expected 0 to"),
    (
        ARRAYS | {"labels": LABELS * 0.5},
        DataError,
        "sample 0 of train has the label 0.0; expected a class index",
    ),
    (ARRAYS | {"labels": LABELS + 10**9}, DataError, "label 1000000000.*Give classes"),
    (
        ARRAYS | {"labels": [0] * 11 + ["a"]},
        DataError,
        "sample 11 of train has the label 'a' after labels of the other",
    ),
    (ARRAYS | {"labels": [None] * 12}, DataError, "the label None"),
    (ARRAYS | {"classes": ["a", "b"]}, DataError, "sample 2 of train has the label 2; expected 0 to 1"),
    (ARRAYS | {"labels": ["cat"] * 11 + ["dgo"], "classes": ["cat", "dog"]}, DataError, "Did you mean 'dog'"),
    (ARRAYS | {"classes": []}, UsageError, "no classes"),
    (ARRAYS | {"classes": ["a", 3]}, UsageError, "class 3"),
    (ARRAYS | {"classes": ["a", ""]}, UsageError, "class ''"),
    (ARRAYS | {"classes": ["a", "b", "a"]}, UsageError, "class 'a' twice"),
    (ARRAYS | {"classes": "abc"}, UsageError, "classes = 'abc'"),
    (
        ARRAYS | {"samples": changed(7, 2)},
        DataError,
        r"sample 7 of train has 2.0 at step 3, unit \(1, 2\).*0 or 1",
    ),
    (ARRAYS | {"samples": changed(4, -1)}, DataError, "sample 4 of train has -1.0"),
    (ARRAYS | {"samples": changed(11, np.nan)}, DataError, "sample 11 of train has nan at step 3"),
    (ARRAYS | {"samples": SPIKES.astype(str)}, DataError, "sample 0 of train is of dtype <U5"),
    (
        ARRAYS | {"samples": [Audio(np.zeros(9), 8000)] * 12},
        DataError,
        "sample 0 of train is of Audio.*Give encoder=",
    ),
    (
        ARRAYS | {"samples": [*SPIKES[:11], SPIKES[0, :, :1]]},
        DataError,
        r"sample 11 of train has units \(1, 3\).*first",
    ),
    (ARRAYS | {"samples": [*SPIKES[:11], [[1], [1, 0]]]}, DataError, "sample 11 of train is no array"),
    (ARRAYS | {"samples": SPIKES[:, :, 0, 0]}, DataError, r"sample 0 of train has the shape \(21,\)"),
    (ARRAYS | {"samples": [*SPIKES[:11], SPIKES[0, :0]]}, DataError, "sample 11 of train has 0 time steps"),
    (ARRAYS | {"samples": SPIKES[:, :, :0]}, DataError, r"units \(0, 3\)"),
    (ARRAYS | {"samples": SPIKES[:0], "labels": []}, DataError, "got no samples"),
    (ARRAYS | {"samples": iter(SPIKES)}, UsageError, "samples with a length.*tuples"),
    (
        ARRAYS | {"samples": [SpikeTrain(np.full((6, 1), 255, np.uint8), 5)] * 12},
        DataError,
        "past its 5 steps",
    ),
    (ARRAYS | {"dt": None}, UsageError, "without dt"),
    (ARRAYS | {"dt": 0}, UsageError, "dt = 0"),
    (ARRAYS | {"dt": float("nan")}, UsageError, "dt = nan"),
    (ARRAYS | {"dt": "1ms"}, UsageError, "dt = '1ms'"),
    (ARRAYS | {"unit_shape": (7,)}, DataError, r"units \(2, 3\); expected 7 units"),
    (ARRAYS | {"unit_shape": (0,)}, UsageError, "unit_shape"),
    (ARRAYS | {"unit_shape": 6}, UsageError, "unit_shape = 6"),
    (ARRAYS | {"seed": -1}, UsageError, "seed = -1"),
    (ARRAYS | {"seed": 2**64}, UsageError, "below 2⁶⁴"),
    (ARRAYS | {"workers": 0}, UsageError, "workers = 0"),
    (ARRAYS | {"title": 3}, UsageError, "title = 3"),
    (ARRAYS | {"ids": [None] * 11 + [b"x"]}, DataError, "sample 11 of train has the id b'x'"),
    (ARRAYS | {"ids": ["\ud800"] * 12}, DataError, "valid Unicode"),
    (ARRAYS | {"groups": [0] * 11 + [None]}, DataError, "sample 11 of train has no group, unlike"),
    (ARRAYS | {"groups": [0.5] * 12}, DataError, "sample 0 of train has the group 0.5"),
    (ARRAYS | {"groups": [2**31] * 12}, DataError, "32 bits"),
    (ARRAYS | {"split": "../other.zarr/train"}, DataError, "got the split '../other.zarr/train'"),
    (ARRAYS | {"split": [3] * 12}, DataError, "got the split 3"),
    (ARRAYS | {"encoder": Poisson()}, UsageError, "an encoder and dt"),
    (ARRAYS | {"dt": None, "encoder": "poison"}, UsageError, "unknown encoder 'poison'"),
    ({"samples": SPIKES, "dt": 0.001}, UsageError, "ndarray without labels; expected tuples"),
    ({"samples": 3, "dt": 0.001}, UsageError, "type int without labels"),
    ({"samples": list(SPIKES), "dt": 0.001}, UsageError, "a ndarray as item 0"),
    ({"samples": [(SPIKES[0],)], "dt": 0.001}, UsageError, "got 1 values as item 0"),
    ({"samples": [], "dt": 0.001}, DataError, "got no samples"),
    ({"samples": [(SPIKES[0], 0)], "ids": ["a"], "dt": 0.001}, UsageError, "ids, groups .* without labels"),
    ({"samples": raising(), "dt": 0.001}, OSError, "disk of the camera"),
    (
        {"samples": images() / 255.0 + np.nan, "labels": [0] * 7, "encoder": Poisson()},
        DataError,
        "sample 0 of train has values that are not finite",
    ),
    (
        {"samples": [*images(3), images()[0, :2]], "labels": [0] * 4, "encoder": Poisson()},
        DataError,
        r"sample 3 of train has units \(2, 5\); expected \(4, 5\), like the first",
    ),
    (
        {
            "samples": [Audio(np.ones(3000) * 0.1, rate) for rate in (12500.0, 8000.0)],
            "labels": [0, 0],
            "encoder": Chain((Lyon(),), BSA()),
        },
        DataError,
        "sample 1 of train has",
    ),
]


@pytest.mark.parametrize(("arguments", "kind", "message"), BAD, ids=[message[:40] for _, _, message in BAD])
def test_bad_input_is_named_and_nothing_written(tmp_path, arguments, kind, message):
    if "raising" in repr(arguments["samples"]):
        arguments = arguments | {"samples": raising()}
    with pytest.raises(kind, match=message):
        write_store(tmp_path / "s.zarr", **arguments)
    assert os.listdir(tmp_path) == []


def test_bad_input_leaves_the_store_that_is_there(out):
    write_store(out, SPIKES, LABELS, dt=0.001)
    before = tree(out)
    for samples, labels in ((changed(11, 2), LABELS), (raising(), None)):
        with pytest.raises((DataError, OSError)):
            write_store(out, samples, labels, dt=0.001, overwrite=True)
        assert tree(out) == before
    assert os.listdir(out.parent) == ["s.zarr"]


def test_what_is_there_is_refused_before_the_first_sample(tmp_path, out):
    def never():
        pytest.fail("asked for a sample")
        yield

    write_store(out, SPIKES, LABELS, dt=0.001)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/a.txt").write_text("mine")
    for place, message in (
        (out, "there is a store.*overwrite=True"),
        (tmp_path / "notes", "no spike store"),
        (tmp_path / "notes/a.txt", "is a file"),
    ):
        before = tree(tmp_path)
        with pytest.raises(StoreError, match=message):
            write_store(place, never(), dt=0.001)
        assert tree(tmp_path) == before


def test_overwrite_replaces_a_store_and_nothing_else(tmp_path, out):
    write_store(tmp_path / "new.zarr", RAGGED, LABELS, dt=0.001)
    write_store(out, SPIKES, LABELS, dt=0.002)
    write_store(out, RAGGED, LABELS, dt=0.001, overwrite=True)
    assert tree(out) == tree(tmp_path / "new.zarr")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/a.txt").write_text("mine")
    with pytest.raises(StoreError, match="no spike store"):
        write_store(tmp_path / "notes", RAGGED, LABELS, dt=0.001, overwrite=True)
    assert (tmp_path / "notes/a.txt").read_text() == "mine"


def test_an_interrupted_call_is_resumed_by_the_same_and_refused_by_another(tmp_path, out, monkeypatch):
    monkeypatch.setattr("spikeprep.store.layout._CHUNK_BYTES", 64)
    write_store(tmp_path / "whole.zarr", RAGGED, LABELS, dt=0.001)
    put, calls = LocalStorage.put, []

    def failing(self, key, data):
        calls.append(key)
        if len(calls) > 22:  # a shard is finished
            raise StoreError("the disk is full")
        put(self, key, data)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "put", failing)
        with pytest.raises(StoreError, match="disk is full"):
            write_store(out, RAGGED, LABELS, dt=0.001)
    assert not SpikeStore.open(out, incomplete=True).complete
    before = tree(out)
    with pytest.raises(StoreError, match=r"another configuration \(seed: 0 in the store, 1 requested\)"):
        write_store(out, raising(), dt=0.001, seed=1)  # before the first sample
    with pytest.raises(StoreError, match=r"another configuration \(source\.sha256"):
        write_store(out, RAGGED, LABELS[::-1], dt=0.001)
    assert tree(out) == before
    write_store(out, RAGGED, LABELS, dt=0.001)
    assert tree(out) == tree(tmp_path / "whole.zarr")


def test_no_room_for_the_temporary_file(out, monkeypatch):
    class Full:
        def write(self, data):
            raise OSError(28, "No space left on device")

        def close(self):
            pass

    monkeypatch.setattr("spikeprep.encoding.spool.tempfile.TemporaryFile", lambda dir: Full())
    with pytest.raises(
        CapabilityError, match=r"temporary file in .* \(No space left on device\).*Free some space"
    ):
        write_store(out, SPIKES, LABELS, dt=0.001)
    assert not out.exists()


def test_the_temporary_file_lies_on_the_disk_of_the_store(tmp_path, monkeypatch):
    folders = []
    import tempfile

    temporary = tempfile.TemporaryFile

    def watched(dir):
        folders.append(dir)
        return temporary(dir=dir)

    monkeypatch.setattr("spikeprep.encoding.spool.tempfile.TemporaryFile", watched)
    write_store(tmp_path / "not/yet/s.zarr", SPIKES, LABELS, dt=0.001)
    monkeypatch.chdir(tmp_path)
    write_store("s.zarr", SPIKES, LABELS, dt=0.001)
    assert [Path(folder) for folder in folders] == [tmp_path, tmp_path]


def test_a_url():
    pytest.importorskip("fsspec")
    write_store("memory://arrays.zarr", RAGGED, LABELS, dt=0.001)
    same(read("memory://arrays.zarr"), RAGGED)


# What others do with such a store


def test_another_library_reads_it(out):
    import zarr

    write_store(out, RAGGED, LABELS, dt=0.001)
    array = zarr.open_group(out, mode="r")["train/spikes"]
    bits = np.unpackbits(array[:], axis=-1, bitorder="little")
    for n, spikes in enumerate(RAGGED):
        np.testing.assert_array_equal(bits[n, :, : len(spikes)].T.reshape(spikes.shape), spikes)
        assert not bits[n, :, len(spikes) :].any()


def test_every_value_of_the_source_counts(tmp_path):
    """The digest tells apart stores that differ in one spike, label, id, group or class."""
    groups = np.zeros(12, int)
    base = {"samples": SPIKES, "labels": LABELS, "groups": groups, "dt": 0.001}
    other = SPIKES.copy()
    other[5, 7, 1, 1] ^= True
    variants = [
        {},
        {"samples": other},
        {"labels": LABELS[::-1]},
        {"groups": groups + 1},
        {"ids": [f"x{n}" for n in range(12)]},
        {"classes": ["x", "y", "z"]},
    ]
    digests = set()
    for n, change in enumerate(variants):
        write_store(tmp_path / f"{n}.zarr", **base | change)
        digests.add(
            json.loads((tmp_path / f"{n}.zarr/zarr.json").read_text())["attributes"]["spikeprep"]["source"][
                "sha256"
            ]
        )
    assert len(digests) == len(variants)


def test_it_is_resumed_by_no_encode(out):
    write_store(out, SPIKES, LABELS, dt=0.001)
    attributes = SpikeStore.open(out).attributes
    layouts = {"train": SpikeStore.open(out)["train"].layout}
    attributes = {
        k: v for k, v in attributes.items() if k not in ("format", "samples", "complete", "contents")
    }
    assert SpikeWriter.open(out, attributes, layouts).pending() == []
    shutil.rmtree(out / "train/spikes/c")
    with SpikeWriter.open(out, attributes, layouts) as writer:
        assert len(writer.pending()) == 1
