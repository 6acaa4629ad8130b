"""The optional array `groups` of a split."""

import dataclasses

import numpy as np
import pytest
import zarr

from spikeprep.errors import StoreError
from spikeprep.store import SpikeStore, SpikeWriter, verify

from .stores import ATTRIBUTES, LAYOUTS, content, make, tree

GROUPED = LAYOUTS | {"train": dataclasses.replace(LAYOUTS["train"], groups=True)}
GROUPS = np.array([5, 5, -2, 7, 7, 7, 2**31 - 1, 0, 0, -(2**31)])


def write(path, layouts=GROUPED, shards=None):
    writer = SpikeWriter.open(path, ATTRIBUTES, layouts)
    for shard in writer.pending()[:shards]:
        columns = (*content(shard.split), GROUPS)
        with writer.shard(shard) as out:
            for start in range(shard.start, shard.stop, 2):
                *rows, groups = (column[start : min(start + 2, shard.stop)] for column in columns)
                out.append(*rows, groups if layouts[shard.split].groups else None)
    if shards is None:
        writer.complete()


@pytest.fixture
def path(tmp_path):
    write(tmp_path / "s.zarr")
    return tmp_path / "s.zarr"


def test_groups_are_read_and_verified(path):
    store = SpikeStore.open(path)
    np.testing.assert_array_equal(store["train"].groups, GROUPS)
    assert store["train"].groups.dtype == np.int32
    assert store["train"].layout == GROUPED["train"]
    assert store["test"].groups is None
    array = zarr.open_group(path, mode="r")["train/groups"]
    np.testing.assert_array_equal(array[:], GROUPS)
    assert (str(array.dtype), array.metadata.dimension_names) == ("int32", ("sample",))
    assert verify(path).ok
    (path / "train/groups/c/1").unlink()
    assert [(p.samples, p.what) for p in verify(path).problems] == [
        ((4, 5, 6, 7), "the groups of shard 1 are missing")
    ]
    with pytest.raises(StoreError, match="groups of shard 1 are missing"):
        _ = SpikeStore.open(path)["train"].groups


def test_a_store_with_groups_is_one_without_and_three_more_objects(path, tmp_path):
    make(tmp_path / "plain.zarr")
    grouped, plain = tree(path), tree(tmp_path / "plain.zarr")
    assert sorted(set(grouped) - set(plain)) == [
        *(f"train/groups/c/{n}" for n in range(3)),
        "train/groups/zarr.json",
    ]
    bound = {"manifest.json", "zarr.json"}  # they have the digests of all files
    assert {key: grouped[key] for key in set(plain) - bound} == {
        key: plain[key] for key in set(plain) - bound
    }
    assert SpikeStore.open(tmp_path / "plain.zarr")["train"].groups is None


def test_a_store_is_not_resumed_with_groups_or_without(path, tmp_path):
    with pytest.raises(StoreError, match="train/groups: in the store, not requested"):
        SpikeWriter.open(path, ATTRIBUTES, LAYOUTS)
    write(tmp_path / "t.zarr", LAYOUTS, shards=1)
    with pytest.raises(StoreError, match="train/groups: requested, not in the store"):
        SpikeWriter.open(tmp_path / "t.zarr", ATTRIBUTES, GROUPED)


def test_an_interrupted_store_with_groups_is_resumed(path, tmp_path):
    other = tmp_path / "t.zarr"
    write(other, shards=0)
    (other / "train/groups/zarr.json").unlink()  # interrupted while the metadata were written
    write(other, shards=2)
    write(other)
    assert tree(other) == tree(path)


def test_groups_that_do_not_fit_the_layout(tmp_path):
    writer = SpikeWriter.open(tmp_path / "s.zarr", ATTRIBUTES, GROUPED)
    bits, steps, labels, ids = (column[:2] for column in content("train"))
    for groups in (None, [1]):
        with (
            pytest.raises(ValueError, match="expected 2 groups"),
            writer.shard(writer.pending()[0]) as out,
        ):
            out.append(bits, steps, labels, ids, groups)
    with pytest.raises(ValueError, match="expected no groups"), writer.shard(writer.pending()[-1]) as out:
        out.append(*(column[:1] for column in content("test")), [1])
