"""Stores, splits and writers in several processes, forked and spawned."""

import contextlib
import multiprocessing
import os
import pickle
import signal
import warnings
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

from spikeprep.errors import StoreError
from spikeprep.store import SpikeStore, SpikeWriter, SplitLayout, verify

from .stores import ATTRIBUTES, LAYOUTS, content, make, tree, write_shard

METHODS = [m for m in ("fork", "spawn") if m in multiprocessing.get_all_start_methods()]
LARGE = SplitLayout(5, 6, 21, 1, 1, 4)  # its shards go to the disk chunk by chunk


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("processes") / "s.zarr"
    make(path)
    return path


@contextlib.contextmanager
def pool(method, workers=2):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of fork beside threads
        with ProcessPoolExecutor(workers, multiprocessing.get_context(method)) as executor:
            yield executor


def read(source, numbers):
    reader = source["train"] if isinstance(source, SpikeStore) else source
    batch = reader.packed(numbers)
    return batch.bits, batch.labels, reader.unit_shape


@pytest.mark.parametrize("method", METHODS)
def test_stores_and_splits_travel_to_other_processes(path, method):
    bits, _, labels, _ = content("train")
    numbers = np.array([7, 0, 3])
    store = SpikeStore.open(path)
    store["train"].packed(numbers)  # used here before
    with pool(method) as executor:
        for source in (store, store["train"]):
            got, got_labels, shape = executor.submit(read, source, numbers).result()
            np.testing.assert_array_equal(got, bits[numbers])
            np.testing.assert_array_equal(got_labels, labels[numbers])
            assert shape == (2, 3)


def test_a_pickle_is_small_and_opened_when_first_used(path, tmp_path, monkeypatch):
    monkeypatch.chdir(path.parent)
    store = SpikeStore.open("s.zarr")
    for source in (store, store["train"]):
        data = pickle.dumps(source)
        assert len(data) < 300
        monkeypatch.chdir(tmp_path)  # a relative path does not depend on where it is opened again
        copy = pickle.loads(data)
        assert set(vars(copy)) & {"attributes", "layout", "_metadata", "_attributes"} == set()
        np.testing.assert_array_equal(read(copy, slice(2, 4))[0], content("train")[0][2:4])
        monkeypatch.chdir(path.parent)


def test_a_copy_of_what_is_gone_says_so_when_it_is_used(tmp_path):
    make(tmp_path / "s.zarr")
    data = pickle.dumps(SpikeStore.open(tmp_path / "s.zarr")["train"])
    os.rename(tmp_path / "s.zarr", tmp_path / "t.zarr")
    reader = pickle.loads(data)
    with pytest.raises(StoreError, match=r"no store at .*s\.zarr"):
        len(reader)


def test_an_incomplete_store_stays_refused_in_copies(tmp_path):
    SpikeWriter.open(tmp_path / "s.zarr", ATTRIBUTES, LAYOUTS)
    store = SpikeStore.open(tmp_path / "s.zarr", incomplete=True)
    assert not pickle.loads(pickle.dumps(store)).complete
    with pytest.raises(StoreError, match="not complete"):
        _ = SpikeStore._reopen(str(tmp_path / "s.zarr"), False).attributes


def test_errors_travel(path):
    reader = SpikeStore.open(path)["train"]
    error = pickle.loads(pickle.dumps(reader._damage("key", 2, 4, "shard 1 is missing")))
    assert (str(error), error.what) == (
        str(reader._damage("key", 2, 4, "shard 1 is missing")),
        "shard 1 is missing",
    )


def test_a_forked_copy_of_a_url_connects_anew(monkeypatch):
    pytest.importorskip("fsspec")
    make("memory://forked.zarr")
    reader = SpikeStore.open("memory://forked.zarr")["train"]
    len(reader)
    reader._storage._connection = "the parent's"
    monkeypatch.setattr(reader._storage, "_pid", -1)  # as a fork leaves it
    np.testing.assert_array_equal(reader.packed(slice(None)).bits, content("train")[0])
    assert reader._storage._connection != "the parent's"


# Several writers


def write(writer, shard):
    write_shard(writer, shard)
    return os.getpid()


@pytest.mark.parametrize("method", METHODS)
def test_processes_write_disjoint_shards(path, tmp_path, method):
    writer = SpikeWriter.open(tmp_path / "s.zarr", ATTRIBUTES, LAYOUTS)
    with pool(method) as executor:
        list(executor.map(write, [writer] * 5, writer.pending()))
    writer.complete()
    assert tree(tmp_path / "s.zarr") == tree(path)


def write_slowly(writer, connection):
    """Begin the first shard of a large sample, report, and finish it on demand."""
    bits, steps, labels, ids = content("test")
    shard = writer.pending()[0]

    def ranges():
        yield bits[:1, :4]
        connection.send("begun")
        connection.recv()
        yield bits[:1, 4:]

    with writer.shard(shard) as out:
        out.append_by_units(ranges(), steps[:1], labels[:1], ids[:1])


@pytest.mark.parametrize("killed", [False, True])
def test_a_second_writer_takes_over_from_workers_that_are_left_behind(tmp_path, killed, capfd):
    """Unfinished files of living workers stay, those of dead ones go; a worker left behind writes nothing more."""
    path, context = tmp_path / "s.zarr", multiprocessing.get_context("spawn")
    first = SpikeWriter.open(path, ATTRIBUTES, {"test": LARGE})
    here, there = context.Pipe()
    process = context.Process(target=write_slowly, args=(first, there))
    process.start()
    try:
        assert here.poll(60)
        assert here.recv() == "begun"
        (partial,) = path.rglob("*.partial")
        SpikeWriter.join(path, ATTRIBUTES, {"test": LARGE})
        with pytest.raises(StoreError, match=r"is in use by process \d+ on .*lease\.json"):
            SpikeWriter.open(path, ATTRIBUTES, {"test": LARGE})
        assert partial.exists()
        if killed:
            os.kill(process.pid, signal.SIGKILL)
            process.join(60)
            SpikeWriter.join(path, ATTRIBUTES, {"test": LARGE})
            assert partial.exists()  # joining removes nothing
        first.close()
        with pytest.raises(StoreError, match="not open for writing"):
            SpikeWriter.join(path, ATTRIBUTES, {"test": LARGE})
        second = SpikeWriter.open(path, ATTRIBUTES, {"test": LARGE})
        assert partial.exists() is not killed
        if not killed:
            here.send("go on")
            process.join(60)
            assert process.exitcode == 1
            assert "no longer held" in capfd.readouterr().err
            assert not partial.exists()
    finally:
        process.kill()
        process.join(60)
    pending = second.pending()
    assert [shard.number for shard in pending] == [0, 1, 2, 3, 4]
    bits, steps, labels, ids = content("test")
    for shard in pending:
        rows = slice(shard.start, shard.stop)
        with second.shard(shard) as out:
            out.append(bits[rows], steps[rows], labels[rows], ids[rows])
    second.complete()
    assert verify(path).ok
    np.testing.assert_array_equal(SpikeStore.open(path)["test"].packed(slice(None)).bits, bits)


def test_joining_needs_the_same_store(tmp_path):
    path = tmp_path / "s.zarr"
    with pytest.raises(StoreError, match="no store"):
        SpikeWriter.join(path, ATTRIBUTES, LAYOUTS)
    assert not path.exists()
    make(path)
    before = tree(path)
    with pytest.raises(StoreError, match=r"seed: 3 in the store, 4 requested.*Stop this worker"):
        SpikeWriter.join(path, ATTRIBUTES | {"seed": 4}, LAYOUTS)
    writer = pickle.loads(pickle.dumps(SpikeWriter.join(path, ATTRIBUTES, LAYOUTS)))
    assert writer.pending() == []
    writer.complete()
    assert tree(path) == before
