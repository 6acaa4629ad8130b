"""Samples too large for one chunk: they are divided along their units."""

import errno

import numpy as np
import pytest
import zarr

from spikeprep.errors import StoreError
from spikeprep.store import SpikeStore, SpikeWriter, SplitLayout, verify
from spikeprep.store.local_storage import LocalStorage

from .stores import ATTRIBUTES, content, tree

LARGE = SplitLayout(5, 6, 21, 1, 1, 4)  # 6 units as 4 + 2


def write(path, split_at=(), broken=None):
    """Write five samples, each one range of units at a time; the ranges end at `split_at`."""
    with SpikeWriter.open(path, ATTRIBUTES, {"test": LARGE}) as writer:
        bits, steps, labels, ids = content("test")
        for shard in writer.pending():
            here = slice(shard.start, shard.stop)

            def ranges(sample=bits[here], number=shard.number):
                for bits in np.split(sample, split_at, axis=1):
                    yield bits
                    if broken == number:
                        raise DISK_ERROR

            with writer.shard(shard) as out:
                out.append_by_units(ranges(), steps[here], labels[here], ids[here])
        writer.complete()


DISK_ERROR = OSError(errno.EIO, "the camera's disk")


@pytest.fixture(scope="module")
def large_store(tmp_path_factory):
    path = tmp_path_factory.mktemp("large") / "s.zarr"
    write(path)
    return path


def test_readers_see_complete_samples(large_store):
    bits, steps, labels, ids = content("test")
    np.testing.assert_array_equal(zarr.open_group(large_store, mode="r")["test/spikes"][:], bits)
    reader = SpikeStore.open(large_store)["test"]
    assert (reader.layout, reader.layout.unit_chunks) == (LARGE, 2)
    batch = reader.packed(slice(None))
    np.testing.assert_array_equal(batch.bits, bits)
    np.testing.assert_array_equal(batch.steps, steps)
    np.testing.assert_array_equal(batch.labels, labels)
    np.testing.assert_array_equal(reader.packed(np.array([4, 1, 4])).bits, bits[[4, 1, 4]])
    np.testing.assert_array_equal(reader.counts, np.bitwise_count(bits).sum(axis=(1, 2)))
    assert reader.ids.tolist() == ids
    assert [part.shape for part in reader.chunk_by_units(2)] == [(1, 4, 3), (1, 2, 3)]
    np.testing.assert_array_equal(np.concatenate([*reader.chunk_by_units(2)], axis=1), bits[2:3])
    np.testing.assert_array_equal(np.concatenate([*reader.sample_by_units(3)]), bits[3])
    assert verify(large_store).ok


def test_the_ranges_of_units_change_no_byte(large_store, tmp_path):
    write(tmp_path / "s.zarr", split_at=[4])
    assert tree(tmp_path / "s.zarr") == tree(large_store)


@pytest.mark.parametrize("split_at", [[3], [4, 5], [4, 6], [0]])
def test_ranges_of_units_that_do_not_fit(tmp_path, split_at):
    with pytest.raises(ValueError, match="expected uint8"):
        write(tmp_path / "s.zarr", split_at)
    assert not [file for file in tmp_path.rglob("c/**/*") if file.is_file()]


def test_too_few_units(tmp_path):
    writer = SpikeWriter.open(tmp_path / "s.zarr", ATTRIBUTES, {"test": LARGE})
    bits, steps, labels, ids = content("test")
    with pytest.raises(ValueError, match="got 4 units; expected 6"), writer.shard(writer.pending()[0]) as out:
        out.append_by_units([bits[:1, :4]], steps[:1], labels[:1], ids[:1])


def test_an_error_of_the_source_comes_through_and_leaves_no_unfinished_shard(large_store, tmp_path):
    with pytest.raises(OSError, match="camera's disk"):
        write(tmp_path / "s.zarr", [4], broken=3)
    assert not list(tmp_path.rglob("*.partial"))
    with SpikeWriter.open(tmp_path / "s.zarr", ATTRIBUTES, {"test": LARGE}) as writer:
        assert len(writer.pending()) == 2
    write(tmp_path / "s.zarr", [4])
    assert tree(tmp_path / "s.zarr") == tree(large_store)


def test_a_full_disk_is_reported(tmp_path, monkeypatch):
    def full(self, key):
        from contextlib import contextmanager

        from spikeprep.store.storage_contract import write_errors

        @contextmanager
        def writing():
            def write(data):
                with write_errors(f"{self.path}/{key}"):
                    raise OSError(errno.ENOSPC, "No space left on device")

            yield write

        return writing()

    monkeypatch.setattr(
        LocalStorage, "writing", lambda self, key: full(self, key) if "/c/" in key else real(self, key)
    )
    with pytest.raises(StoreError, match="Free some space"):
        write(tmp_path / "s.zarr")


real = LocalStorage.writing


def test_damage_names_the_sample(large_store, tmp_path):
    write(tmp_path / "s.zarr")
    shard = next((tmp_path / "s.zarr/test/spikes/c/2").rglob("0/0"))
    data = bytearray(shard.read_bytes())
    data[2] ^= 1
    shard.write_bytes(data)
    report = verify(tmp_path / "s.zarr")
    assert [problem.samples for problem in report.problems] == [(2,)]
    reader = SpikeStore.open(tmp_path / "s.zarr")["test"]
    with pytest.raises(StoreError, match="samples 2 to 2"):
        reader.packed(slice(2, 3))
    np.testing.assert_array_equal(reader.packed(slice(3, 4)).bits, content("test")[0][3:4])


def test_a_url():
    pytest.importorskip("fsspec")
    write("memory://large.zarr", [4])
    np.testing.assert_array_equal(
        SpikeStore.open("memory://large.zarr")["test"].packed(slice(None)).bits, content("test")[0]
    )
