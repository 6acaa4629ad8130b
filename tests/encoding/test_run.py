import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from spikeprep.encoders.poisson import poisson_reference
from spikeprep.encoding import plan as encoding_plan
from spikeprep.encoding import run as encoding_run
from spikeprep.encoding.plan import plan
from spikeprep.encoding.run import encode
from spikeprep.errors import DataError, StoreError, UsageError
from spikeprep.packing import pack
from spikeprep.random import SampleKey
from spikeprep.recipes import Recipe, load_recipe
from spikeprep.store import SpikeStore, SplitLayout, verify
from spikeprep.store.local_storage import LocalStorage

from ..assets import asset
from ..sources.event_folders import class_folder
from ..sources.idx_files import pictures, write_idx
from ..sources.sound_files import ti46_corpus
from ..store.stores import tree

RECIPE = Recipe(
    name="made-up",
    title="Made-up pictures",
    citation="nobody",
    source={"name": "idx", "licence": "none"},
    chain=[{"name": "poisson", "steps": 50, "rate_max": 0.3}],
    obtain="Made-up pictures: fold them out of paper.",
)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    """Chunks of 4 samples, shards of 8: so that little data makes many shards."""

    def fit(samples, units, max_steps):
        return SplitLayout(samples, units, max_steps, 4, 8)

    monkeypatch.setattr(SplitLayout, "fit", staticmethod(fit))


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    path = tmp_path_factory.mktemp("raw")
    write_idx(path, *pictures(43))
    write_idx(path, *pictures(10, seed=1), split="test")
    return path


@pytest.fixture(scope="module")
def whole(raw, tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "s.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SplitLayout, "fit", staticmethod(lambda n, u, t: SplitLayout(n, u, t, 4, 8)))
        encode(RECIPE, path, source_path=raw, workers=1)
    return tree(path)


def test_the_store_holds_the_encoded_samples(raw, tmp_path):
    summary = encode(RECIPE, tmp_path / "s.zarr", source_path=raw, seed=5)
    assert summary.samples == {"train": 43, "test": 10}
    assert summary.encoded == 53
    assert summary.stored_bytes == sum(
        f.stat().st_size for f in (tmp_path / "s.zarr").rglob("*") if f.is_file()
    )
    assert summary.bytes_per_sample == summary.stored_bytes / 53
    store = SpikeStore.open(tmp_path / "s.zarr")
    encoder = RECIPE.build_chain().encoder
    for split, (images, labels) in {"train": pictures(43), "test": pictures(10, seed=1)}.items():
        reader = store[split]
        for n, image in enumerate(images):
            p = encoder.probabilities(image).ravel()
            bits = pack(poisson_reference(p, 50, SampleKey(5, split, n)))
            np.testing.assert_array_equal(reader.packed(np.array([n])).bits[0], bits)
            assert reader.counts[n] == np.bitwise_count(bits).sum()
        np.testing.assert_array_equal(reader.labels, labels)
        assert reader.ids.tolist() == [str(n) for n in range(len(images))]
        assert (reader.steps == 50).all()
        assert reader.unit_shape == (5, 4)
    assert verify(tmp_path / "s.zarr").ok


def test_attributes_record_recipe_chain_and_source(raw, tmp_path):
    encode(RECIPE, tmp_path / "s.zarr", source_path=raw, seed=5)
    attributes = SpikeStore.open(tmp_path / "s.zarr").attributes
    assert attributes["recipe"] == "made-up"
    assert attributes["citation"] == "nobody"
    assert attributes["chain"] == [{"name": "poisson", "steps": 50, "rate_max": 0.3, "dt": 0.001}]
    assert (attributes["seed"], attributes["dt"], attributes["unit_shape"]) == (5, 0.001, [5, 4])
    assert attributes["classes"] == ["0", "1", "2"]
    assert attributes["samples"] == {"train": 43, "test": 10}
    assert attributes["source"]["licence"] == "none"
    assert len(attributes["source"]["files"]) == 4
    assert attributes["source"]["reader"]["name"] == "idx"
    assert str(raw) not in (tmp_path / "s.zarr/zarr.json").read_text()


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_workers_and_place_of_the_data_change_no_byte(raw, whole, tmp_path, workers):
    os.symlink(raw, tmp_path / "elsewhere")
    encode(RECIPE, tmp_path / "s.zarr", source_path=tmp_path / "elsewhere", workers=workers)
    assert tree(tmp_path / "s.zarr") == whole


def test_a_shorter_store_begins_like_the_longer_one(raw, tmp_path):
    encode(RECIPE, tmp_path / "all.zarr", source_path=raw)
    summary = encode(RECIPE, tmp_path / "few.zarr", source_path=raw, limit=9)
    assert summary.samples == {"train": 9, "test": 9}
    for split in ("train", "test"):
        few, full = (
            SpikeStore.open(tmp_path / name)[split].packed(slice(9)) for name in ("few.zarr", "all.zarr")
        )
        np.testing.assert_array_equal(few.bits, full.bits)
    with pytest.raises(StoreError, match=r"samples\.train: 9 in the store, 43 requested"):
        encode(RECIPE, tmp_path / "few.zarr", source_path=raw)


def test_a_finished_store_is_left_alone(raw, whole, tmp_path):
    encode(RECIPE, tmp_path / "s.zarr", source_path=raw)
    assert encode(RECIPE, tmp_path / "s.zarr", source_path=raw).encoded == 0
    assert tree(tmp_path / "s.zarr") == whole


def test_progress_is_monotonic_and_counts_finished_shards(raw, tmp_path, monkeypatch):
    calls = []
    encode(RECIPE, tmp_path / "s.zarr", source_path=raw, workers=3, progress=lambda *call: calls.append(call))
    done = [d for d, _ in calls]
    assert done == sorted(done)
    assert (calls[0], calls[-1]) == ((0, 53), (53, 53))
    (tmp_path / "s.zarr/train/spikes/c/2/0/0").unlink()
    calls.clear()
    encode(RECIPE, tmp_path / "s.zarr", source_path=raw, progress=lambda *call: calls.append(call))
    assert (calls[0], calls[-1]) == ((45, 53), (53, 53))


SCRIPT = """
import os, signal, sys
from spikeprep.encoding.run import encode
from spikeprep.store import SplitLayout
from spikeprep.store.local_storage import LocalStorage
from tests.encoding.test_run import RECIPE

SplitLayout.fit = staticmethod(lambda n, u, t: SplitLayout(n, u, t, 4, 8))
out, raw, left, workers = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
fsync = os.fsync

def dying(descriptor):
    global left
    fsync(descriptor)
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

os.fsync = dying  # twice an object: once before its rename, once after
encode(RECIPE, out, source_path=raw, workers=workers)
"""


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX")
@pytest.mark.parametrize(
    ("at", "workers"),
    [
        (30, 2),
        (107, 1),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in [(3, 1), (55, 1), (70, 3)]),
    ],
)
def test_killed_and_resumed(raw, whole, tmp_path, at, workers):
    """kill -9 in the middle; the same call finishes, and the store is the uninterrupted one byte for byte."""
    path = tmp_path / "s.zarr"
    command = [sys.executable, "-c", SCRIPT, str(path), str(raw), str(at), str(workers)]
    for again in range(2):
        killed = subprocess.run(command, cwd=Path(__file__).parents[2], check=False, capture_output=True)
        assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
        assert path.exists()
        if at > 60 or again:
            break
    with pytest.raises(StoreError):
        SpikeStore.open(path)
    encode(RECIPE, path, source_path=raw)
    assert tree(path) == whole
    assert verify(path).ok


def test_an_error_in_a_worker_reaches_the_caller_and_the_rest_stays(raw, whole, tmp_path, monkeypatch):
    put, threads = LocalStorage.put, set(threading.enumerate())

    def failing(self, key, data):
        if key == "train/spikes/c/3/0/0":
            raise StoreError("the disk caught fire")
        put(self, key, data)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "put", failing)
        with pytest.raises(StoreError, match="caught fire"):
            encode(RECIPE, tmp_path / "s.zarr", source_path=raw, workers=2)
    until = time.monotonic() + 10
    while set(threading.enumerate()) - threads and time.monotonic() < until:
        time.sleep(0.01)  # the thread that renews the lease ends a moment after it is released
    assert set(threading.enumerate()) <= threads
    encode(RECIPE, tmp_path / "s.zarr", source_path=raw)
    assert tree(tmp_path / "s.zarr") == whole


def test_interrupted_by_the_keyboard(raw, whole, tmp_path, monkeypatch):
    def interrupt(*arguments, **settings):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(encoding_run, "wait", interrupt)
        with pytest.raises(KeyboardInterrupt):
            encode(RECIPE, tmp_path / "s.zarr", source_path=raw, workers=1)
    with pytest.raises(StoreError, match="not complete"):
        SpikeStore.open(tmp_path / "s.zarr")
    encode(RECIPE, tmp_path / "s.zarr", source_path=raw)
    assert tree(tmp_path / "s.zarr") == whole


def test_samples_of_different_sizes(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    (tmp_path / "raw/a").mkdir(parents=True)
    for n in range(12):
        Image.fromarray(np.full((3, 4 + (n == 7)), 99, np.uint8)).save(tmp_path / f"raw/a/{n}.png")
    with pytest.raises(DataError, match=r"source\.size"):
        encode(load_recipe("images"), tmp_path / "s.zarr", source_path=tmp_path / "raw")


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    return ti46_corpus(tmp_path_factory.mktemp("speech"))


def test_ragged_samples_keep_their_own_length(speech, tmp_path):
    recipe = load_recipe("ti46")
    summary = encode(recipe, tmp_path / "s.zarr", source_path=speech, workers=3)
    assert summary.samples == {"train": 24, "test": 12}
    assert "24 of 4,142 train" in summary.note
    store = SpikeStore.open(tmp_path / "s.zarr")
    source, chain = recipe.build_source(speech), recipe.build_chain()
    lengths = set()
    for split in store.splits:
        reader = store[split]
        assert (reader.unit_shape, reader.max_steps) == ((78,), 150)  # the longest of both splits
        for n in range(len(reader)):
            sample = source.read(split, n)
            frames = len(sample.signal.samples) // 200
            lengths.add(10 * frames)
            assert reader.steps[n] == 10 * frames
            assert (reader.ids[n], reader.labels[n]) == (sample.id, sample.label)
            expected = chain.encoder(chain.prepare(sample.signal))
            assert expected.any()
            np.testing.assert_array_equal(reader[n], expected)
    assert len(lengths) > 3
    assert store.attributes["dt"] == 200 / 12500 / 10
    assert store.attributes["source"]["reader"]["subset"] == "alphabet"
    assert verify(tmp_path / "s.zarr").ok
    planned = plan(recipe, tmp_path / "t.zarr", source_path=speech)
    assert (planned.steps, planned.unit_shape, planned.dt) == (150, (78,), 0.0016)
    assert planned.raw_bytes == 36 * 78 * 19


def test_ragged_samples_are_the_same_for_any_workers_and_after_a_resumption(speech, tmp_path):
    for workers in (1, 4):
        encode(load_recipe("ti46"), tmp_path / f"{workers}.zarr", source_path=speech, workers=workers)
    assert tree(tmp_path / "1.zarr") == tree(tmp_path / "4.zarr")
    (tmp_path / "4.zarr/train/spikes/c/1/0/0").unlink()
    assert encode(load_recipe("ti46"), tmp_path / "4.zarr", source_path=speech).encoded == 8
    assert tree(tmp_path / "1.zarr") == tree(tmp_path / "4.zarr")


def test_files_left_out_are_recorded(speech, tmp_path):
    path = shutil.copytree(speech, tmp_path / "speech")
    (path / "0zf1set0.wav").write_bytes(b"\1no sound")
    with pytest.raises(DataError, match=r"0zf1set0\.wav is no audio"):
        encode(load_recipe("ti46"), tmp_path / "s.zarr", source_path=path)
    assert not (tmp_path / "s.zarr").exists()
    recipe = load_recipe("ti46").override({"source.skip_bad": "true"})
    summary = encode(recipe, tmp_path / "s.zarr", source_path=path)
    assert "left out: 0zf1set0.wav is no audio" in summary.findings[0]
    (left_out,) = SpikeStore.open(tmp_path / "s.zarr").attributes["source"]["left_out"]
    assert left_out.startswith("0zf1set0.wav is no audio")


def test_a_plan_writes_nothing(raw, tmp_path):
    planned = plan(RECIPE, tmp_path / "s.zarr", source_path=raw, limit=20)
    assert list(tmp_path.iterdir()) == []
    assert planned.samples == {"train": 20, "test": 10}
    assert (planned.unit_shape, planned.steps, planned.dt) == ((5, 4), 50, 0.001)
    assert planned.raw_bytes == 30 * 20 * 7
    assert planned.classes == ("0", "1", "2")
    assert 0 < planned.estimated_bytes <= 1.2 * planned.raw_bytes


@pytest.mark.parametrize("path", [None, "/no/such/folder"])
def test_missing_data_are_answered_with_where_to_get_them(tmp_path, path):
    for recipe in (RECIPE, load_recipe("mnist")):
        with pytest.raises(DataError) as caught:
            encode(recipe, tmp_path / "s.zarr", source_path=path)
        assert recipe.obtain.strip() in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_limit_of_nothing(raw, tmp_path):
    with pytest.raises(UsageError, match="at least 1"):
        encode(RECIPE, tmp_path / "s.zarr", source_path=raw, limit=0)


def test_real_spoken_digits(tmp_path):
    with tarfile.open(asset("data/fsdd/fsdd_jackson.tar.gz")) as archive:
        archive.extractall(tmp_path / "raw", filter="data")
    encode(load_recipe("fsdd"), tmp_path / "s.zarr", source_path=tmp_path / "raw", limit=60)
    store = SpikeStore.open(tmp_path / "s.zarr")
    assert verify(tmp_path / "s.zarr").ok
    for split in ("train", "test"):
        reader = store[split]
        assert reader.unit_shape == (78,)
        assert len({*reader.labels}) > 5
        density = reader.counts.sum() / (78 * reader.steps.sum())
        assert 0.02 < density < 0.2


def test_real_speech_commands(tmp_path):
    with tarfile.open(asset("data/speech_commands/speech_commands_v0.01_10perword.tar.gz")) as archive:
        archive.extractall(tmp_path, filter="data")
    recipe = load_recipe("speech-commands")
    planned = plan(recipe, tmp_path / "s.zarr", source_path=tmp_path / "speech_commands_v0.01")
    assert (len(planned.classes), planned.unit_shape, planned.dt) == (30, (86,), 0.0016)
    assert planned.samples == {"train": 205, "validation": 44, "test": 51}


def test_urls(raw, tmp_path):
    pytest.importorskip("fsspec")
    encode(RECIPE, "memory://pipeline/s.zarr", source_path=raw)
    encode(RECIPE, tmp_path / "s.zarr", source_path=raw)
    there, here = SpikeStore.open("memory://pipeline/s.zarr"), SpikeStore.open(tmp_path / "s.zarr")
    assert there.fingerprint() == here.fingerprint()
    np.testing.assert_array_equal(
        there["train"].packed(slice(None)).bits, here["train"].packed(slice(None)).bits
    )


def test_real_mnist(tmp_path):
    path = asset("data/mnist")
    encode(load_recipe("mnist"), tmp_path / "s.zarr", source_path=path, limit=200)
    store = SpikeStore.open(tmp_path / "s.zarr")
    density = store["train"].counts.mean() / (784 * 400)
    assert 0.018 < density < 0.026  # mean intensity 0.13 × 1/5.5 = 0.024, from few samples
    assert verify(tmp_path / "s.zarr").ok


def test_real_emnist(tmp_path):
    encode(load_recipe("emnist-balanced"), tmp_path / "s.zarr", source_path=asset("data/emnist"), limit=60)
    store = SpikeStore.open(tmp_path / "s.zarr")
    assert len(store.attributes["classes"]) == 47
    assert store.splits == ("train",)
    assert "as in the files" in store.attributes["source"]["note"]


def test_samples_too_large_for_a_chunk_give_the_same_spikes(tmp_path, monkeypatch):
    """Made and stored a run of units at a time, in several shards, by several workers."""
    raw = class_folder(tmp_path / "raw", each=2)
    recipe = load_recipe("events").override({"dvs.bin_us": "5000", "event_downsample.factor": "2"})
    encode(recipe, tmp_path / "whole.zarr", source_path=raw)
    monkeypatch.setattr(SplitLayout, "fit", staticmethod(lambda n, u, t: SplitLayout(n, u, t, 1, 1, 100)))
    monkeypatch.setattr(encoding_plan, "_RANGE_BYTES", 200 * 8)
    planned = plan(recipe, tmp_path / "cut.zarr", source_path=raw)
    summary = encode(recipe, tmp_path / "cut.zarr", source_path=raw, workers=3)
    whole, cut = (SpikeStore.open(tmp_path / name) for name in ("whole.zarr", "cut.zarr"))
    for split in whole:
        one, other = whole[split], cut[split]
        assert (one.layout.unit_chunks, other.layout.unit_chunks) == (1, 6)  # 2 × 17 × 17 units
        np.testing.assert_array_equal(one.packed(slice(None)).bits, other.packed(slice(None)).bits)
        for name in ("steps", "labels", "counts", "ids"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert verify(tmp_path / "cut.zarr").ok
    assert planned.raw_bytes == 6 * 578 * other.layout.unit_bytes
    assert 0.1 < planned.estimated_bytes / summary.stored_bytes < 5


def test_workers_wait_while_memory_is_short():
    memory, most, now, lock = encoding_run._Memory(100), [], [0], threading.Lock()

    def work(size):
        with memory.reserve(size):
            with lock:
                now[0] += size
                most.append(now[0])
            time.sleep(0.005)
            with lock:
                now[0] -= size

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, [60, 30, 30, 30, 250, 10, 60, 60]))
    assert max(size for size in most if size != 250) <= 100
    assert 250 in most  # alone
