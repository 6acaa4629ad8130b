"""Samples that are too large for a chunk: their units are cut into several."""

import errno

import numpy as np
import pytest
import zarr

from spikeprep.errors import StoreError
from spikeprep.store import SpikeStore, SpikeWriter, SplitLayout, verify
from spikeprep.store.storage import LocalStorage

from .stores import ATTRIBUTES, content, tree

CUT = SplitLayout(5, 6, 21, 1, 1, 4)  # 6 units as 4 + 2


def write(path, split_at=(), broken=None):
    """Write five samples, each by runs of units that end at `split_at`."""
    writer = SpikeWriter.open(path, ATTRIBUTES, {"test": CUT})
    bits, steps, labels, ids = content("test")
    for shard in writer.pending():
        here = slice(shard.start, shard.stop)

        def parts(sample=bits[here], number=shard.number):
            for part in np.split(sample, split_at, axis=1):
                yield part
                if broken == number:
                    raise broken_by

        with writer.shard(shard) as out:
            out.append_by_units(parts(), steps[here], labels[here], ids[here])
    writer.complete()


broken_by = OSError(errno.EIO, "the camera's disk")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("parts") / "s.zarr"
    write(path)
    return path


def test_any_reader_sees_whole_samples(whole):
    bits, steps, labels, ids = content("test")
    np.testing.assert_array_equal(zarr.open_group(whole, mode="r")["test/spikes"][:], bits)
    reader = SpikeStore.open(whole)["test"]
    assert (reader.layout, reader.layout.unit_chunks) == (CUT, 2)
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
    assert verify(whole).ok


def test_how_it_was_handed_over_changes_no_byte(whole, tmp_path):
    write(tmp_path / "s.zarr", split_at=[4])
    assert tree(tmp_path / "s.zarr") == tree(whole)


@pytest.mark.parametrize("split_at", [[3], [4, 5], [4, 6], [0]])
def test_runs_of_units_that_do_not_fit(tmp_path, split_at):
    with pytest.raises(ValueError, match="expected uint8"):
        write(tmp_path / "s.zarr", split_at)
    assert not [file for file in tmp_path.rglob("c/**/*") if file.is_file()]


def test_too_few_units(tmp_path):
    writer = SpikeWriter.open(tmp_path / "s.zarr", ATTRIBUTES, {"test": CUT})
    bits, steps, labels, ids = content("test")
    with pytest.raises(ValueError, match="got 4 units; expected 6"), writer.shard(writer.pending()[0]) as out:
        out.append_by_units([bits[:1, :4]], steps[:1], labels[:1], ids[:1])


def test_an_error_of_the_source_is_its_own_and_leaves_no_half_shard(whole, tmp_path):
    with pytest.raises(OSError, match="camera's disk"):
        write(tmp_path / "s.zarr", [4], broken=3)
    assert not list(tmp_path.rglob("*.partial"))
    assert len(SpikeWriter.open(tmp_path / "s.zarr", ATTRIBUTES, {"test": CUT}).pending()) == 2
    write(tmp_path / "s.zarr", [4])
    assert tree(tmp_path / "s.zarr") == tree(whole)


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    def full(self, key):
        from contextlib import contextmanager

        from spikeprep.store import storage

        @contextmanager
        def writing():
            def write(data):
                with storage._write_errors(f"{self.path}/{key}"):
                    raise OSError(errno.ENOSPC, "No space left on device")

            yield write

        return writing()

    monkeypatch.setattr(
        LocalStorage, "writing", lambda self, key: full(self, key) if "/c/" in key else real(self, key)
    )
    with pytest.raises(StoreError, match="Free some space"):
        write(tmp_path / "s.zarr")


real = LocalStorage.writing


def test_damage_names_the_sample(whole, tmp_path):
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


def test_behind_a_url():
    pytest.importorskip("fsspec")
    write("memory://parts.zarr", [4])
    np.testing.assert_array_equal(
        SpikeStore.open("memory://parts.zarr")["test"].packed(slice(None)).bits, content("test")[0]
    )
