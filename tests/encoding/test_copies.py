"""Copies of training samples: their place, bits, groups and ids, and originals that stay as they are."""

import numpy as np
import pytest

from spikeprep.encoding.reencode import encoder_of, reencode
from spikeprep.encoding.run import encode
from spikeprep.errors import StoreError, UsageError
from spikeprep.packing import pack
from spikeprep.random import SampleKey
from spikeprep.recipes import Recipe, find_recipe, load_recipe
from spikeprep.store import SpikeStore, SplitLayout, verify
from spikeprep.train.splits import split_validation
from spikeprep.transforms import Elastic, Invert, Rotation

from ..sources.idx_files import pictures, write_idx
from ..store.stores import tree
from ..test_conformance import FOLDERS

CHAIN = [
    {"name": "invert"},
    {"name": "elastic", "sigma": 1.0, "alpha": 6.0},
    {"name": "rotation"},
    {"name": "poisson", "steps": 50, "rate_max": 0.3},
]
RECIPE = Recipe("made-up", "", "", {"name": "idx"}, CHAIN, copies=3)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(SplitLayout, "fit", staticmethod(lambda n, u, t: SplitLayout(n, u, t, 4, 8)))


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    path = tmp_path_factory.mktemp("raw")
    write_idx(path, *pictures(23))
    write_idx(path, *pictures(10, seed=1), split="test")
    return path


@pytest.fixture
def store(raw, tmp_path):
    encode(RECIPE, tmp_path / "s.zarr", source_path=raw, seed=5)
    return SpikeStore.open(tmp_path / "s.zarr")


def test_each_copy_is_its_original_varied(store):
    (images, labels), reader = pictures(23), store["train"]
    assert store.attributes["samples"] == {"train": 69, "test": 10}
    assert store.attributes["copies"] == 3
    poisson = RECIPE.build_chain().encoder
    for copy in range(3):
        for n, image in enumerate(images):
            key, at = SampleKey(5, "train", n, copy), copy * 23 + n
            signal = Invert()(image)
            if copy:
                signal = Rotation()(Elastic(6.0, 1.0)(signal, rng=key), rng=key)
            expected = poisson.encode(signal, rng=key)
            np.testing.assert_array_equal(reader.packed(np.array([at])).bits[0], expected.bits)
            assert reader.ids[at] == (f"{n}#{copy}" if copy else str(n))
    np.testing.assert_array_equal(reader.labels, np.tile(labels, 3))
    np.testing.assert_array_equal(reader.groups, np.tile(np.arange(23), 3))
    images, _ = pictures(10, seed=1)
    for n, image in enumerate(images):  # never copied, never varied
        expected = poisson(Invert()(image), rng=SampleKey(5, "test", n))
        np.testing.assert_array_equal(store["test"].packed(np.array([n])).bits[0], pack(expected))
    assert store["test"].groups is None
    assert verify(store.path).ok


def test_a_store_without_copies_is_the_beginning_of_one_with(raw, store, tmp_path):
    plain = Recipe("made-up", "", "", {"name": "idx"}, [CHAIN[0], CHAIN[-1]])
    encode(plain, tmp_path / "plain.zarr", source_path=raw, seed=5)
    first = SpikeStore.open(tmp_path / "plain.zarr")
    assert "copies" not in first.attributes
    np.testing.assert_array_equal(
        first["train"].packed(slice(None)).bits, store["train"].packed(slice(23)).bits
    )


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_and_resumption_change_no_byte(raw, store, tmp_path, workers):
    encode(RECIPE, tmp_path / "t.zarr", source_path=raw, seed=5, workers=workers)
    assert tree(tmp_path / "t.zarr") == tree(tmp_path / "s.zarr")
    damaged = tmp_path / "t.zarr/train/spikes/c/6/0/0"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    encode(RECIPE, tmp_path / "t.zarr", source_path=raw, seed=5, repair=True)
    assert tree(tmp_path / "t.zarr") == tree(tmp_path / "s.zarr")


def test_processes_write_the_same_bytes(raw, store, tmp_path):
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(2, get_context("spawn")) as executor:
        encode(RECIPE, tmp_path / "t.zarr", source_path=raw, seed=5, executor=executor)
    assert tree(tmp_path / "t.zarr") == tree(tmp_path / "s.zarr")


def test_another_number_of_copies_is_another_store(raw, store, tmp_path):
    with pytest.raises(StoreError, match=r"copies: 3 in the store, 2 requested.*samples\.train: 69 .*46"):
        encode(RECIPE.override({"copies": 2}), tmp_path / "s.zarr", source_path=raw, seed=5)


def test_copies_are_encoded_again_and_compared(raw, store):
    assert not reencode(store, encoder_of(store, raw), 79)
    recipe = find_recipe(store.path)
    assert (recipe.copies, recipe.build_chain()) == (3, RECIPE.build_chain())


def test_copies_of_a_limited_source_are_found_again(raw, tmp_path):
    encode(RECIPE, tmp_path / "few.zarr", source_path=raw, seed=5, limit=7)
    few = SpikeStore.open(tmp_path / "few.zarr")
    assert few["train"].ids.tolist()[6:8] == ["6", "0#1"]
    assert not reencode(few, encoder_of(few, raw), 99)


def test_copies_are_refused_where_there_is_no_training_split(tmp_path):
    write_idx(tmp_path, *pictures(4), split="test")
    with pytest.raises(UsageError, match="source without a split 'train'"):
        encode(RECIPE, tmp_path / "s.zarr", source_path=tmp_path)
    assert not (tmp_path / "s.zarr").exists()
    with pytest.raises(UsageError, match=r"recipe.copies = 0.*at least 1"):
        load_recipe("digits").override({"copies": "0"})


def test_a_chain_that_varies_nothing_says_so(raw, tmp_path):
    once = RECIPE.override({"copies": 1})
    summary = encode(once, tmp_path / "once.zarr", source_path=raw)
    assert "elastic, rotation: originals stay as they are" in summary.note
    assert not encode(RECIPE, tmp_path / "s.zarr", source_path=raw).note
    assert "copies" in once.to_toml()


@pytest.mark.parametrize("name", ["audio", "events"])
def test_an_image_transform_ahead_of_another_signal(name, tmp_path):
    (tmp_path / "raw").mkdir()
    recipe = load_recipe({"audio": "audio", "events": "events"}[name])
    chain = [{"name": "elastic"}, *recipe.chain]
    changed = Recipe(name, "", "", recipe.source, chain)
    kind = {"audio": "Audio", "events": "Events"}[name]
    words = {"audio": "sounds", "events": "recordings of events"}[name]
    message = rf"a source of {words}: .*elastic: got a signal of type {kind}; expected an image"
    with pytest.raises(UsageError, match=message):
        encode(changed, tmp_path / "s.zarr", source_path=FOLDERS[name](tmp_path / "raw")["path"])
    assert not (tmp_path / "s.zarr").exists()


# ---------------------------------------------------------------- validation


def test_a_validation_share_holds_whole_groups():
    labels, groups = np.tile(np.repeat([0, 1, 2], [100, 50, 4]), 4), np.tile(np.arange(154), 4)
    train, held = split_validation(labels, 0.1, 0, groups)
    assert not set(groups[train]) & set(groups[held])
    assert np.bincount(labels[held], minlength=3).tolist() == [40, 20, 0]
    assert sorted([*train, *held]) == list(range(4 * 154))
    # copies change nothing about which originals are held out
    np.testing.assert_array_equal(held[held < 154], split_validation(labels[:154], 0.1, 0)[1])


def test_speakers_are_held_out_as_a_whole():
    rng = np.random.default_rng(0)
    labels, speakers = rng.integers(0, 10, 500), rng.integers(-3, 5, 500)
    for share, expected in ((0.01, 1), (0.25, 2), (0.5, 4)):
        train, held = split_validation(labels, share, 3, speakers)
        assert len(set(speakers[held])) == expected
        assert not set(speakers[train]) & set(speakers[held])
    assert not len(split_validation(labels, 0.0, 0, speakers)[1])
