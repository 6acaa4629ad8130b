import errno
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from spikeprep.errors import CapabilityError, StoreError, UsageError
from spikeprep.lease import Holder
from spikeprep.partial_files import new_partial_name, release
from spikeprep.store import Compression, SpikeStore, SpikeWriter, SplitLayout, verify
from spikeprep.store.layout import LEASE
from spikeprep.store.local_storage import LocalStorage

from .stores import ATTRIBUTES, LAYOUTS, begin, content, finish, make, pending, tree, write_shard


@pytest.fixture(scope="module")
def expected_tree(tmp_path_factory):
    """The bytes of an uninterrupted store."""
    path = tmp_path_factory.mktemp("writer") / "s.zarr"
    make(path)
    return tree(path)


def test_two_stores_of_the_same_are_equal(tmp_path, expected_tree):
    make(tmp_path / "s.zarr")
    assert tree(tmp_path / "s.zarr") == expected_tree


def test_order_of_shards_does_not_matter(tmp_path, expected_tree):
    writer = SpikeWriter.open(tmp_path / "s.zarr", ATTRIBUTES, LAYOUTS)
    for shard in writer.pending()[::-1]:
        write_shard(writer, shard)
    writer.complete()
    assert tree(tmp_path / "s.zarr") == expected_tree


@pytest.mark.parametrize(
    ("changes", "stays"),
    [
        ({"pid": 2**31 - 1}, False),  # no process has this number
        ({"boot": "an earlier one"}, False),
        ({"process_started": 1}, False),  # another process had this number
        ({}, True),
        ({"host": "another"}, True),
    ],
)
def test_the_lease_of_a_process_that_ended_after_the_last_file(tmp_path, expected_tree, changes, stays):
    path = tmp_path / "s.zarr"
    make(path)
    (path / LEASE).parent.mkdir(exist_ok=True)
    holder = replace(Holder.this_process(), pid=os.getppid(), process_started=None)
    (path / LEASE).write_bytes(replace(holder, **changes).to_bytes())
    assert SpikeWriter.open(path, ATTRIBUTES, LAYOUTS).pending() == []
    assert (path / LEASE).exists() == stays
    (path / LEASE).unlink(missing_ok=True)
    assert tree(path) == expected_tree


class Crash(BaseException):
    """Stands for the end of the process."""


PUTS = 1 + 2 * (1 + 5) + 5 * 6 + 2  # root, documents, five objects and a record a shard, manifest, root again


@pytest.mark.parametrize("at", range(PUTS))
def test_interrupted_at_any_write(tmp_path, expected_tree, monkeypatch, at):
    """Stop in the middle of the n-th write, for every n; the same call then gives the same bytes."""
    path, put, done = tmp_path / "s.zarr", LocalStorage.put, []

    def crashing(self, key, data):
        if len(done) == at:
            file = self.root / key  # half a file under another name: what a kill leaves
            file = file.with_name(new_partial_name(file.name))
            release(file.name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data[: len(data) // 2])
            raise Crash
        done.append(key)
        put(self, key, data)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "put", crashing)
        with pytest.raises(Crash):
            make(path)
    assert len(done) == at
    with pytest.raises(StoreError):
        SpikeStore.open(path)
    make(path)
    assert tree(path) == expected_tree
    assert verify(path).ok


def test_complete_shards_are_not_written_again(tmp_path):
    with SpikeWriter.open(tmp_path / "s.zarr", ATTRIBUTES, LAYOUTS) as writer:
        first, *rest = writer.pending()
        write_shard(writer, first)
    with SpikeWriter.open(tmp_path / "s.zarr", ATTRIBUTES, LAYOUTS) as writer:
        assert writer.pending() == rest
        with pytest.raises(StoreError, match="lacks 4 shards"):
            writer.complete()
        for shard in rest:
            write_shard(writer, shard)
        writer.complete()
    assert pending(tmp_path / "s.zarr") == 0
    assert SpikeStore.open(tmp_path / "s.zarr").complete


@pytest.mark.parametrize("at", range(0, PUTS, 3))
def test_full_disk(tmp_path, expected_tree, monkeypatch, at):
    """The error is clear, no unfinished file stays, and with space the same call finishes."""
    path, sync, left = tmp_path / "s.zarr", os.fsync, [at]

    def full(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):  # the folder's sync after a rename
            return sync(descriptor)
        if left[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        left[0] -= 1
        return sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(CapabilityError, match=r"No space left on device.*Free some space"):
            make(path)
    assert not list(path.rglob("*.partial"))
    make(path)
    assert tree(path) == expected_tree


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chain": [{"name": "poisson", "steps": 22}]}, r"chain\[0\]\.steps: 21 in the store, 22 requested"),
        ({"seed": 4}, "seed: 3 in the store, 4 requested"),
        ({"source": {"licence": "none", "sha256": "1"}}, r"source\.sha256"),
        ({"classes": ["a", "b"]}, "classes"),
    ],
)
@pytest.mark.parametrize("finished", [True, False])
def test_another_configuration_is_refused_and_nothing_touched(tmp_path, changes, message, finished):
    path = tmp_path / "s.zarr"
    if finished:
        make(path)
    else:
        begin(path)
    before = tree(path)
    with pytest.raises(StoreError, match=f"{message}.*overwrite=True"):
        make(path, **changes)
    assert tree(path) == before


def test_another_layout_or_compression_is_refused(tmp_path):
    make(tmp_path / "s.zarr")
    before = tree(tmp_path / "s.zarr")
    for layouts, compression in [
        ({"train": SplitLayout(10, 6, 21, 4, 4), "test": LAYOUTS["test"]}, None),
        ({"train": LAYOUTS["train"]}, None),
        (LAYOUTS, Compression("zstd", 3)),
        (LAYOUTS, Compression("none")),
    ]:
        with pytest.raises(StoreError, match="another configuration"):
            SpikeWriter.open(tmp_path / "s.zarr", ATTRIBUTES, layouts, compression=compression)
    assert tree(tmp_path / "s.zarr") == before


def test_a_store_without_a_finished_shard_is_replaced(tmp_path, expected_tree):
    path = tmp_path / "s.zarr"
    layouts = {"train": SplitLayout(9, 5, 30, 3, 3), "spare": SplitLayout(2, 5, 30, 2, 2)}
    SpikeWriter.open(path, ATTRIBUTES | {"seed": 99}, layouts).close()
    assert SpikeWriter.existing(path) is None
    (path / "train/spikes/c/0/0").mkdir(parents=True)
    (path / "train/spikes/c/0/0/0").write_bytes(b"of a shard that was not finished")
    (path / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"files that are no part of the store: 'notes\.txt'"):
        finish(path)
    (path / "notes.txt").unlink()
    finish(path)
    assert tree(path) == expected_tree


def test_overwrite_replaces(tmp_path, expected_tree):
    path = tmp_path / "s.zarr"
    make(path, seed=99, chain=[])
    assert pending(path, overwrite=True) == 5
    with pytest.raises(StoreError, match="not complete"):
        SpikeStore.open(path)
    finish(path)
    assert tree(path) == expected_tree


def test_overwrite_repairs_a_damaged_store_of_the_same_configuration(tmp_path, expected_tree):
    path = tmp_path / "s.zarr"
    make(path)
    (path / "train/spikes/c/0/0/0").write_bytes(b"damage")
    assert pending(path, overwrite=True) == 5
    begin(path)
    assert pending(path, overwrite=True) == 4  # interrupted and repeated, it resumes
    make(path)
    assert tree(path) == expected_tree


def test_an_interrupted_replacement_is_refused(tmp_path, expected_tree, monkeypatch):
    path = tmp_path / "s.zarr"
    for at in range(12):
        shutil.rmtree(path, ignore_errors=True)
        make(path)
        delete, done = LocalStorage.delete, []

        def crashing(self, key, at=at, delete=delete, done=done):
            if len(done) == at:
                raise Crash
            done.append(key)
            delete(self, key)

        with monkeypatch.context() as patch:
            patch.setattr(LocalStorage, "delete", crashing)
            with pytest.raises(Crash):
                pending(path, overwrite=True)
        for use in (lambda: SpikeStore.open(path), lambda: make(path)):
            with pytest.raises(StoreError):
                use()
        finish(path, overwrite=True)
        assert tree(path) == expected_tree


def test_a_store_with_damaged_metadata_is_not_resumed(tmp_path, expected_tree):
    path = tmp_path / "s.zarr"
    make(path)
    (path / "train/spikes/zarr.json").write_text("{")
    with pytest.raises(StoreError, match=r"is damaged \(train/spikes/zarr\.json\).*repair=True"):
        make(path)
    finish(path, overwrite=True)
    assert tree(path) == expected_tree


def test_files_of_others_are_never_deleted(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(StoreError, match="not empty and no spike store"):
        SpikeWriter.open(tmp_path, ATTRIBUTES, LAYOUTS, overwrite=True)
    (tmp_path / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    with pytest.raises(StoreError, match="not a spike store"):
        SpikeWriter.open(tmp_path, ATTRIBUTES, LAYOUTS, overwrite=True)
    with pytest.raises(StoreError, match="is a file"):
        SpikeWriter.open(tmp_path / "thesis.tex", ATTRIBUTES, LAYOUTS, overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_an_empty_folder_is_used(tmp_path, expected_tree):
    (tmp_path / "s.zarr").mkdir()
    make(tmp_path / "s.zarr")
    assert tree(tmp_path / "s.zarr") == expected_tree


def test_samples_that_do_not_fit(tmp_path):
    writer = SpikeWriter.open(tmp_path / "s.zarr", ATTRIBUTES, LAYOUTS)
    shard = writer.pending()[0]
    bits, steps, labels, ids = (value[:2] for value in content("train"))
    wrong = [
        (bits[:1], steps[:1], labels[:1], ids[:1]),
        (bits[:, :5], steps, labels, ids),
        (bits.astype(np.int8), steps, labels, ids),
        (bits, steps[:1], labels, ids),
        (bits | 0x80, steps, labels, ids),
    ]
    for arguments in wrong:
        with pytest.raises(ValueError, match="expected"), writer.shard(shard) as out:
            out.append(*arguments)
    with pytest.raises(ValueError, match="expected all of"), writer.shard(shard) as out:
        out.append(bits, steps, labels, ids)
    assert len(writer.pending()) == 5


def test_compression_settings():
    with pytest.raises(UsageError, match="Did you mean 'zstd'"):
        Compression("zst")
    with pytest.raises(UsageError, match="1 to 22"):
        Compression("zstd", 23)
