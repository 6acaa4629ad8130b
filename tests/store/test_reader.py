import json
import os
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeprep.errors import CapabilityError, StoreError, UsageError
from spikeprep.store import SpikeStore, SplitReader, verify

from .stores import content, make


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("reader") / "s.zarr"
    make(path)
    return path


@pytest.fixture
def reader(path):
    return SpikeStore.open(path)["train"]


def test_properties_of_stores_and_splits(path):
    store = SpikeStore.open(path)
    assert store.path == str(path)
    assert store.splits == tuple(store) == ("train", "test")
    assert (len(store["train"]), len(store["test"])) == (10, 5)
    reader = store["train"]
    assert (reader.units, reader.unit_shape, reader.max_steps, reader.chunk_samples) == (6, (2, 3), 21, 2)
    assert (reader.steps.dtype, reader.labels.dtype, reader.counts.dtype) == (np.uint32, np.int32, np.uint32)
    assert store["train"] is reader
    assert store.stored_bytes() == sum(f.stat().st_size for f in path.rglob("*") if f.is_file())
    assert store.stored_bytes("test") < store.stored_bytes()
    with pytest.raises(UsageError, match="Did you mean 'train'") as caught:
        store["trian"]
    assert str(caught.value).startswith(f"{path} has no split 'trian'")  # no quotation marks as of a KeyError
    assert ("train" in store, "trian" in store, store.get("trian")) == (True, False, None)
    assert (
        repr(store) == f"<SpikeStore {path}: made-up, train 10, test 5, units (2, 3), 3 classes, dt 0.001 s>"
    )
    assert repr(reader) == f"<SplitReader {path}/train: 10 samples, units (2, 3), up to 21 steps>"


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), max_size=12))
def test_numbers_in_any_order(path, numbers):
    bits, steps, labels, _ = content("train")
    batch = SpikeStore.open(path)["train"].packed(np.array(numbers, int))
    np.testing.assert_array_equal(batch.bits, bits[numbers])
    np.testing.assert_array_equal(batch.steps, steps[numbers])
    np.testing.assert_array_equal(batch.labels, labels[numbers])
    np.testing.assert_array_equal(batch.index, numbers)
    assert batch.bits.flags.c_contiguous


@settings(deadline=None)
@given(st.slices(10))
def test_slices(path, index):
    bits = content("train")[0]
    np.testing.assert_array_equal(SpikeStore.open(path)["train"].packed(index).bits, bits[index])


def test_one_sample_as_spikes(reader):
    bits, steps, _, _ = content("train")
    for n in (0, 1, 9, -1):
        dense = np.unpackbits(bits[n], axis=-1, bitorder="little")[:, : steps[n]].T
        np.testing.assert_array_equal(reader[n], dense)
        assert reader[n].dtype == bool
    for n in (10, -11):
        with pytest.raises(IndexError):
            reader[n]


def test_into_a_given_array(reader):
    out = np.full((4, 6, 3), 255, np.uint8)
    assert reader.packed(slice(3, 7), out=out).bits is out
    np.testing.assert_array_equal(out, content("train")[0][3:7])
    for bad in (out[:3], out.astype(np.int8), np.zeros((4, 6, 6), np.uint8)[:, :, ::2]):
        with pytest.raises(UsageError, match="contiguous"):
            reader.packed(slice(3, 7), out=bad)


@pytest.mark.parametrize("index", [[10], [-1], [0, 99]])
def test_numbers_out_of_range(reader, index):
    with pytest.raises(IndexError):
        reader.packed(np.array(index))


def test_many_threads(path):
    bits, reader, wrong = content("train")[0], SpikeStore.open(path)["train"], []

    def read(seed):
        rng = np.random.default_rng(seed)
        for _ in range(50):
            numbers = rng.integers(0, 10, 5)
            if not (reader.packed(numbers).bits == bits[numbers]).all():
                wrong.append(seed)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize(
    "index", [np.arange(10) % 2 == 0, [True, False], [1.5], 3, "a", np.zeros((2, 2), int), [None]]
)
def test_an_index_that_is_no_numbers(reader, index):
    with pytest.raises(UsageError, match=r"got an index of .*whole numbers of samples"):
        reader.packed(index)


@pytest.mark.parametrize("sample", [1.5, "1", [1], np.array([1, 2]), slice(0, 3)])
def test_a_sample_that_is_no_number(reader, sample):
    with pytest.raises(TypeError, match=r"as the number of a sample; .*Use packed\(index\)") as caught:
        reader[sample]
    assert isinstance(caught.value, UsageError)


def test_lists_and_no_samples(reader):
    assert reader.packed([1, 3]).index.tolist() == [1, 3]
    assert len(reader.packed([])) == len(reader.packed(np.array([], bool).nonzero()[0])) == 0


@pytest.mark.parametrize("threads", [1, 2, 7, None])
@pytest.mark.parametrize("few", [0, 4])
def test_threads_read_the_same(path, threads, few, monkeypatch):
    monkeypatch.setattr("spikeprep.store.reader._FEW_CHUNKS", few)
    numbers = np.array([9, 0, 1, 5, 4, 2, 3, 9, 7])
    batch = SpikeStore.open(path)["train"].packed(numbers, threads=threads)
    np.testing.assert_array_equal(batch.bits, content("train")[0][numbers])


def test_threads_that_do_not_fit(reader):
    with pytest.raises(UsageError, match="got threads = 0"):
        reader.packed(slice(0, 2), threads=0)


def test_which_chunk_is_compared_does_not_depend_on_threads(path, monkeypatch):
    compared = []
    monkeypatch.setattr(
        SplitReader, "_compare", lambda self, shard, first, bits: compared.append((shard, first))
    )

    def backwards(function, items):
        return [function(item) for item in reversed(list(items))]

    for each in (map, backwards):
        reader = SpikeStore.open(path)["train"]
        reader.bits(np.array([9, 3, 0, 6, 5, 4, 2]), each=each)
        assert sorted(compared) == [(0, 0), (1, 4), (2, 8)]
        reader.bits(np.arange(10), each=each)  # compared once
        assert len(compared) == 3
        compared.clear()


# damage


@pytest.fixture
def fresh(tmp_path):
    make(tmp_path / "s.zarr")
    return tmp_path / "s.zarr"


def flip(file, at):
    data = bytearray(file.read_bytes())
    data[at] ^= 0x10
    file.write_bytes(bytes(data))


def test_a_damaged_chunk_names_its_samples_and_leaves_the_others(fresh):
    reader = SpikeStore.open(fresh)["train"]
    flip(fresh / "train/spikes/c/1/0/0", int(reader.shard_index(1)[1, 0]) + 3)
    with pytest.raises(StoreError, match=r"train samples 6 to 7 .* checksum.*verify"):
        reader.packed(slice(0, 10))
    np.testing.assert_array_equal(reader.packed(slice(0, 6)).bits, content("train")[0][:6])
    report = verify(fresh)
    assert not report.ok
    assert [(p.split, p.shard, p.samples) for p in report.problems] == [("train", 1, (6, 7))]


def test_every_damaged_byte_of_a_shard_is_detected(fresh):
    """Whichever byte of a shard is changed, reading its samples raises."""
    file = fresh / "train/spikes/c/0/0/0"
    original = file.read_bytes()
    for at in range(len(original)):
        flip(file, at)
        with pytest.raises(StoreError):
            SpikeStore.open(fresh)["train"].packed(slice(0, 4))
        file.write_bytes(original)


@pytest.mark.parametrize("array", ["labels", "steps", "counts", "ids"])
def test_damaged_arrays_with_one_value_per_sample(fresh, array):
    file = fresh / f"train/{array}/c/2"
    flip(file, 8)
    with pytest.raises(StoreError, match=f"train samples 8 to 9 .*{array} of shard 2"):
        getattr(SpikeStore.open(fresh)["train"], array)
    assert verify(fresh).problems[0].samples == (8, 9)
    file.unlink()  # zarr would read its fill value
    with pytest.raises(StoreError, match="missing"):
        getattr(SpikeStore.open(fresh)["train"], array)
    assert "missing" in str(verify(fresh).problems[0])


def test_a_missing_shard_is_an_error_not_silence(fresh):
    (fresh / "train/spikes/c/1/0/0").unlink()
    with pytest.raises(StoreError, match=r"train samples 4 to 7 .*shard 1 is missing"):
        SpikeStore.open(fresh)["train"].packed(slice(3, 5))
    problems = verify(fresh).problems
    assert sorted(n for p in problems for n in p.samples) == [4, 5, 6, 7]


@pytest.mark.parametrize("keep", [0, 10, 40, -1])
def test_a_truncated_shard(fresh, keep):
    file = fresh / "train/spikes/c/1/0/0"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(StoreError, match="train samples"):
        SpikeStore.open(fresh)["train"].packed(slice(4, 8))


def edit(path, change):
    document = json.loads((path / "zarr.json").read_text())
    change(document["attributes"]["spikeprep"])
    (path / "zarr.json").write_text(json.dumps(document))


def test_a_newer_format(fresh):
    edit(fresh, lambda a: a.update(format=2))
    with pytest.raises(StoreError, match=r"zarr\.json: format version 2; expected at most 1.*pip install -U"):
        SpikeStore.open(fresh)


@pytest.mark.parametrize("key", ["chain", "seed", "unit_shape", "complete", "format"])
def test_a_needed_attribute_is_missing(fresh, key):
    edit(fresh, lambda a: a.pop(key))
    with pytest.raises(StoreError, match=key):
        SpikeStore.open(fresh)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_store_without_read_permission(fresh):
    (fresh / "zarr.json").chmod(0)
    with pytest.raises(CapabilityError, match="permissions"):
        SpikeStore.open(fresh)


def test_incomplete(fresh):
    edit(fresh, lambda a: a.update(complete=False))
    with pytest.raises(StoreError, match=r"not complete.*Repeat"):
        SpikeStore.open(fresh)
    assert not SpikeStore.open(fresh, incomplete=True).complete
    assert not verify(fresh).ok


@pytest.mark.parametrize(
    "text", [None, "{", "[]", "{}", '{"attributes": {}}', '{"attributes": {"spikeprep": 3}}']
)
def test_something_that_is_no_store(tmp_path, text):
    if text is not None:
        (tmp_path / "zarr.json").write_text(text)
    with pytest.raises(StoreError, match=r"spikeprep encode"):
        SpikeStore.open(tmp_path)


@pytest.mark.parametrize(
    "change", [lambda f: f.unlink(), lambda f: f.write_text("{}"), lambda f: f.write_text("{")]
)
def test_damaged_array_metadata(fresh, change):
    change(fresh / "train/spikes/zarr.json")
    with pytest.raises(StoreError, match="train/spikes"):
        SpikeStore.open(fresh)["train"]
    assert verify(fresh).problems


def test_verify_counts_labels_and_padding(fresh):
    import zarr

    group = zarr.open_group(fresh, mode="r+")
    group["train/labels"][5] = 3
    group["train/labels"][7] = -1
    group["train/counts"][9] = 77
    group["test/steps"][1] = 12
    group["test/steps"][2] = 22
    calls = []
    report = verify(fresh, progress=lambda done, total: calls.append((done, total)))
    reported = {(p.split, n): p.what for p in report.problems for n in p.samples}
    assert set(reported) == {("train", 5), ("train", 7), ("train", 9), ("test", 1), ("test", 2)}
    assert "classes" in reported["train", 5]
    assert "counts" in reported["train", 9]
    assert "own steps" in reported["test", 1]
    assert "more steps" in reported["test", 2]
    assert calls[-1] == (15, 15)
    assert json.loads(json.dumps(report.to_json()))["ok"] is False


def test_verify_passes_a_good_store(path):
    report = verify(path)
    assert report.ok
    assert repr(report) == f"<VerifyReport {path}: OK, 15 samples read>"
    assert report.samples == 15
    assert report.to_json() == {
        "ok": True,
        "path": str(path),
        "complete": True,
        "samples": 15,
        "problems": [],
        "digest": SpikeStore.open(path).digest(),
    }


def test_urls(tmp_path):
    pytest.importorskip("fsspec")
    make("memory://spikeprep-test/s.zarr")
    store = SpikeStore.open("memory://spikeprep-test/s.zarr")
    np.testing.assert_array_equal(store["train"].packed(slice(None)).bits, content("train")[0])
    assert verify("memory://spikeprep-test/s.zarr").ok
    assert store.fingerprint() == SpikeStore.open(make_at(tmp_path)).fingerprint()
    with pytest.raises(StoreError, match="no store"):
        SpikeStore.open("memory://spikeprep-test/none.zarr")
    with pytest.raises(UsageError, match="nosuch"):
        SpikeStore.open("nosuch://x")


def make_at(tmp_path):
    make(tmp_path / "s.zarr")
    return tmp_path / "s.zarr"


def test_fsspec_missing(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(CapabilityError, match=r"spikeprep\[remote\]"):
        SpikeStore.open("s3://bucket/s.zarr")
