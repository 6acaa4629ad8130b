"""Training on stores with copies, and on variants that are encoded while it trains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spikeprep
from spikeprep.distributed.ranks import rank_range
from spikeprep.encoding.run import encode
from spikeprep.encoding.variants import Variants, variants_of
from spikeprep.errors import DataError, UsageError
from spikeprep.feed import variants as feed_variants
from spikeprep.feed.batches import BatchStream, HostStream
from spikeprep.feed.variants import VariantStream
from spikeprep.recipes import Recipe, load_recipe
from spikeprep.store import SpikeStore
from spikeprep.train.run_folder import RunFolder
from spikeprep.train.settings import TrainSettings
from spikeprep.train.trainer import Trainer

from ..sources.event_folders import class_folder
from ..sources.idx_files import pictures, write_idx
from ..sources.sound_files import ti46_corpus
from .test_trainer import SETTINGS, trainer, weights

RECIPE = load_recipe("digits").override(
    {"elastic.alpha": 3.0, "elastic.sigma": 1.0, "shift.pixels": 1, "poisson.steps": 60}
)
FEW = 90


def store_of(recipe: Recipe, path: Path, **more: int) -> SpikeStore:
    encode(recipe, path, limit=FEW, seed=3, **more)  # type: ignore[arg-type]
    return SpikeStore.open(path)


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> SpikeStore:
    """Three copies of 90 digits."""
    return store_of(RECIPE.override({"copies": 3}), tmp_path_factory.mktemp("copied") / "s.zarr")


def test_no_copy_of_a_held_out_sample_is_trained_on(copied: SpikeStore, tmp_path: Path) -> None:
    made = trainer(copied, tmp_path / "run")
    groups = copied["train"].groups
    assert groups is not None
    trained, held = made.train_samples, made.validation_samples
    assert len(held)
    assert (held < FEW).all()  # originals only
    assert not set(groups[trained]) & set(groups[held])
    assert len(trained) == 3 * (FEW - len(held))
    limited = trainer(copied, tmp_path / "limited", limit=FEW)  # the originals
    np.testing.assert_array_equal(limited.validation_samples, held)
    assert len(limited.train_samples) == FEW - len(held)


# ---------------------------------------------------------------- fresh variants


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SpikeStore:
    """The originals alone."""
    return store_of(RECIPE, tmp_path_factory.mktemp("originals") / "s.zarr")


AUGMENT = replace(SETTINGS, augment=True, epochs=3, arch="20")


def augmented(store: SpikeStore, folder: Path, settings: TrainSettings = AUGMENT, **more: Any) -> Trainer:
    return trainer(store, folder, settings, variants=variants_of(store, None), **more)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("window", [1, 10_000, 1 << 30])
def test_an_epoch_has_the_bits_of_a_stored_copy(
    store: SpikeStore, copied: SpikeStore, threads: int, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_variants, "_AHEAD_BYTES", window)  # one batch, several, or everything
    monkeypatch.setattr(feed_variants, "_PART_BYTES", window // 3)
    samples = np.sort(np.random.default_rng(0).permutation(FEW)[:70])
    more: dict[str, Any] = {"samples": samples, "seed": 4, "window_bytes": window}
    stream = VariantStream(store["train"], 16, variants_of(store, None), threads=threads, **more)
    plain = BatchStream(store["train"], 16, **more)
    for epoch in range(3):
        seen = []
        for batch, same in zip(stream.batches(), plain.batches(), strict=True):
            np.testing.assert_array_equal(batch.index, same.index)
            np.testing.assert_array_equal(batch.steps, same.steps)
            np.testing.assert_array_equal(batch.labels, same.labels)
            assert (batch.epoch, batch.position) == (epoch, same.position)
            np.testing.assert_array_equal(batch.bits, copied["train"].packed(batch.index + epoch * FEW).bits)
            np.testing.assert_array_equal(batch.bits, same.bits) if epoch == 0 else None
            seen += batch.index.tolist()
        assert sorted(seen) == samples.tolist()
    assert stream.get_state() == plain.get_state()


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 40), st.integers(1, 3), st.integers(0, 5))
def test_resuming_anywhere_and_on_several_ranks(batch: int, size: int, stop: int) -> None:
    """Each rank encodes its share alone; a stream that goes on from a state has the bits of one that never stopped."""
    store = STORES["originals"]
    variants = CountingVariants(variants_of(store, None))

    def stream(rank: int) -> VariantStream:
        return VariantStream(store["train"], batch, variants, seed=1, share=(rank, size), window_bytes=20_000)

    whole = VariantStream(store["train"], batch, variants_of(store, None), seed=1, window_bytes=20_000)
    whole.epoch = 1
    expected = list(copied_batches(whole))
    for rank in range(size):
        first = stream(rank)
        first.epoch = 1
        state, got = first.get_state(), []
        for part in copied_batches(first):
            if len(got) >= stop:
                break
            got.append(part)
            state = first.get_state()
        variants.encoded = 0
        rest = stream(rank)
        rest.set_state(state)
        if rest.epoch == 1:
            got += copied_batches(rest)
        assert len(got) == len(expected)
        for part, all_ranks in zip(got, expected, strict=True):
            own = slice(*rank_range(len(all_ranks[0]), rank, size))
            np.testing.assert_array_equal(part[0], all_ranks[0][own])
            np.testing.assert_array_equal(part[1], all_ranks[1][own])
        if rest.epoch == 2 and stop == 0:
            assert variants.encoded == sum(len(part[0]) for part in got)


STORES: dict[str, SpikeStore] = {}


@pytest.fixture(autouse=True)
def _stores(store: SpikeStore) -> None:
    STORES["originals"] = store


class CountingVariants:
    """Counts the samples that are encoded."""

    def __init__(self, variants: Variants) -> None:
        self._variants, self.source_path, self.encoded = variants, None, 0

    def encode(self, samples: Any, copy: int, steps: Any, out: Any) -> None:
        self.encoded += len(samples)
        self._variants.encode(samples, copy, steps, out)


def copied_batches(stream: HostStream) -> Iterator[tuple[Any, Any]]:
    for batch in stream.batches():
        yield batch.index.copy(), batch.bits.copy()


def test_it_trains_as_on_the_stored_copies(store: SpikeStore, copied: SpikeStore, tmp_path: Path) -> None:
    """Epoch by epoch: the weights are those of a trainer that is fed from the copies of a store."""

    class StoredCopies:
        source_path = None

        def encode(self, samples: Any, copy: int, steps: Any, out: Any) -> None:
            out[:] = copied["train"].bits(samples + copy * FEW)

    augmented(store, tmp_path / "fresh", threads=1).run()
    trainer(store, tmp_path / "stored", AUGMENT, variants=StoredCopies()).run()
    assert weights(tmp_path / "fresh") == weights(tmp_path / "stored")
    trainer(store, tmp_path / "plain", replace(AUGMENT, augment=False)).run()
    assert weights(tmp_path / "plain") != weights(tmp_path / "fresh")
    journal = RunFolder(tmp_path / "fresh").journal.records()
    assert {r["feed"] for r in journal if r["event"] == "epoch"} == {"encoded"}


@pytest.mark.parametrize("stop", [1, 4, 7])
def test_a_stopped_run_ends_with_the_same_weights(store: SpikeStore, tmp_path: Path, stop: int) -> None:
    assert augmented(store, tmp_path / "whole").run() is not None
    calls = iter(range(1000))
    assert augmented(store, tmp_path / "run").run(lambda: next(calls) >= stop) is None
    resolved = RunFolder(tmp_path / "run").config().settings
    assert augmented(store, tmp_path / "run", resolved, resume=True).run() is not None
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")


def test_copies_of_a_store_are_not_varied_twice(copied: SpikeStore, tmp_path: Path) -> None:
    made = augmented(copied, tmp_path / "run")
    assert made.train_samples.max() < FEW
    assert len(made.train_samples) + len(made.validation_samples) == FEW


def test_a_trainer_without_variants_says_so(store: SpikeStore, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="augment = true without variants"):
        trainer(store, tmp_path / "run", AUGMENT)
    assert not (tmp_path / "run").exists()


# ---------------------------------------------------------------- the source


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    (tmp_path / "raw").mkdir()
    write_idx(tmp_path / "raw", *pictures(40))
    write_idx(tmp_path / "raw", *pictures(10, seed=1), split="test")
    return tmp_path / "raw"


CHAIN = [{"name": "shift"}, {"name": "poisson", "steps": 40}]


def idx_store(raw: Path, chain: list[dict[str, Any]] = CHAIN) -> SpikeStore:
    recipe = Recipe("mine", "", "", {"name": "idx", "licence": "mine"}, chain)
    encode(recipe, raw.parent / "s.zarr", source_path=raw, limit=30)
    return SpikeStore.open(raw.parent / "s.zarr")


def train(store: SpikeStore, run: Path, **more: Any) -> Any:
    given = {
        "augment": True,
        "thresholds": [2, 2],
        "loss.target": 6,
        "loss.off_target": 1,
        **more.pop("settings", {}),
    }
    return spikeprep.train(store, run=run, arch="8", settings=given, device="cpu", progress=False, **more)


def test_the_source_is_remembered_and_may_move(raw: Path, tmp_path: Path) -> None:
    store = idx_store(raw)
    train(store, tmp_path / "run", source=raw, epochs=1)
    assert RunFolder(tmp_path / "run").config().source == str(raw)
    train(store, tmp_path / "run", epochs=2, resume=True)
    raw.rename(tmp_path / "moved")
    with pytest.raises(DataError, match="has no raw data"):
        train(store, tmp_path / "run", epochs=3, resume=True)
    train(store, tmp_path / "run", epochs=3, resume=True, source=tmp_path / "moved")
    for epochs in (1, 2, 3):  # the rates depend on the number of epochs
        train(store, tmp_path / "whole", epochs=epochs, resume=epochs > 1, source=tmp_path / "moved")
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")


def test_a_missing_or_changed_source_is_an_error_before_training(raw: Path, tmp_path: Path) -> None:
    store = idx_store(raw)
    with pytest.raises(UsageError, match=r"raw data are not named; .*source=FOLDER"):
        train(store, tmp_path / "run")
    with pytest.raises(DataError, match=r"has no raw data: .*nowhere"):
        train(store, tmp_path / "run", source=tmp_path / "nowhere")
    images, labels = pictures(40)
    images[35, 0, 0] ^= 1  # beyond the limit, in the same file
    write_idx(raw, images, labels)
    with pytest.raises(
        DataError, match=r"has not the data that .*s\.zarr was encoded from: source\.files\.train-ima"
    ):
        train(store, tmp_path / "run", source=raw)
    with pytest.raises(UsageError, match=r"Use augment=true, or leave source out"):
        train(store, tmp_path / "run", source=raw, settings={"augment": False})
    assert not (tmp_path / "run").exists()


def test_a_chain_that_varies_nothing(tmp_path: Path) -> None:
    class_folder(tmp_path / "raw", each=4)
    encode(
        load_recipe("events").override({"dvs.bin_us": 5000}),
        tmp_path / "s.zarr",
        source_path=tmp_path / "raw",
    )
    with pytest.raises(UsageError, match=r"chain \(dvs\) varies nothing"):
        train(SpikeStore.open(tmp_path / "s.zarr"), tmp_path / "run", source=tmp_path / "raw")


def test_poisson_trains_alone_vary(raw: Path, tmp_path: Path) -> None:
    store = idx_store(raw, CHAIN[1:])
    assert train(store, tmp_path / "run", source=raw, epochs=2).epochs == 2


def test_a_store_of_arrays_has_no_source(tmp_path: Path) -> None:
    path = tmp_path / "s.zarr"
    spikeprep.write_store(path, np.ones((20, 8, 3), bool), np.arange(20) % 2, dt=1e-3)
    with pytest.raises(UsageError, match=r"cannot be read again.*Leave augment out"):
        train(SpikeStore.open(path), tmp_path / "run")


def test_sounds_are_varied_too(tmp_path: Path) -> None:
    corpus = ti46_corpus(tmp_path / "raw")
    recipe = load_recipe("ti46").override(
        {"gain.use": True, "sound_noise.use": True, "time_shift.use": True, "speed.keep_length": True}
    )
    encode(recipe, tmp_path / "s.zarr", source_path=corpus)
    encode(recipe.override({"copies": 2}), tmp_path / "2.zarr", source_path=corpus)
    store, twice = (
        SpikeStore.open(tmp_path / "s.zarr")["train"],
        SpikeStore.open(tmp_path / "2.zarr")["train"],
    )
    samples = np.arange(len(store))
    out = np.zeros_like(store.bits(samples))
    variants_of(SpikeStore.open(tmp_path / "s.zarr"), corpus).encode(samples, 1, store.steps, out)
    np.testing.assert_array_equal(out, twice.bits(samples + len(store)))
    assert (out != store.bits(samples)).any(axis=(1, 2)).all()


def test_variants_of_other_lengths_are_refused(tmp_path: Path) -> None:
    corpus = ti46_corpus(tmp_path / "raw")
    encode(load_recipe("ti46").override({"speed.use": True}), tmp_path / "s.zarr", source_path=corpus)
    with pytest.raises(UsageError, match=r"chain \(speed\) changes the length .*speed\.keep_length=true"):
        train(SpikeStore.open(tmp_path / "s.zarr"), tmp_path / "run", source=corpus)
    fixed = load_recipe("ti46").override({"speed.use": True, "fix_length.seconds": 0.2})
    encode(fixed, tmp_path / "f.zarr", source_path=corpus)
    variants_of(SpikeStore.open(tmp_path / "f.zarr"), corpus)


def test_recordings_are_varied_too(tmp_path: Path) -> None:
    class_folder(tmp_path / "raw", each=4)
    recipe = load_recipe("events").override(
        {"dvs.bin_us": 5000, "event_jitter.use": True, "event_noise.use": True}
    )
    encode(recipe, tmp_path / "s.zarr", source_path=tmp_path / "raw")
    encode(recipe.override({"copies": 2}), tmp_path / "2.zarr", source_path=tmp_path / "raw")
    store, twice = (
        SpikeStore.open(tmp_path / "s.zarr")["train"],
        SpikeStore.open(tmp_path / "2.zarr")["train"],
    )
    samples, variants = (
        np.arange(len(store)),
        variants_of(SpikeStore.open(tmp_path / "s.zarr"), tmp_path / "raw"),
    )
    out = np.zeros_like(store.bits(samples))
    variants.encode(samples, 1, store.steps, out)
    np.testing.assert_array_equal(out, twice.bits(samples + len(store)))
    assert (out != store.bits(samples)).any()
