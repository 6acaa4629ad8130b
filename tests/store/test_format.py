"""The format: any Zarr v3 reader sees the same spikes; stores of every released format keep decoding."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import zarr

from spikeprep.store import Compression, SpikeStore, SplitLayout, verify
from spikeprep.store.attributes import differences
from spikeprep.store.shards import DamageError, decode_index, encode_index, index_bytes

from .stores import LAYOUTS, content, make, unbind

FIXTURE = Path(__file__).parents[1] / "fixtures/format1.zarr"


@pytest.fixture(params=["zstd", "lz4", "none"])
def path(request, tmp_path):
    make(tmp_path / "s.zarr", compression=Compression(request.param))
    return tmp_path / "s.zarr"


@pytest.mark.parametrize("split", ["train", "test"])
def test_zarr_reads_the_same_arrays(path, split):
    group = zarr.open_group(path, mode="r")
    bits, steps, labels, ids = content(split)
    spikes = group[f"{split}/spikes"]
    np.testing.assert_array_equal(spikes[:], bits)
    assert spikes.metadata.dimension_names == ("sample", "unit", "byte")
    np.testing.assert_array_equal(group[f"{split}/steps"][:], steps)
    np.testing.assert_array_equal(group[f"{split}/labels"][:], labels)
    np.testing.assert_array_equal(group[f"{split}/counts"][:], np.bitwise_count(bits).sum(axis=(1, 2)))
    assert group[f"{split}/ids"][:].tolist() == ids
    types = {name: str(group[f"{split}/{name}"].dtype) for name in ("spikes", "steps", "labels", "counts")}
    assert types == {"spikes": "uint8", "steps": "uint32", "labels": "int32", "counts": "uint32"}
    assert group.attrs["spikeprep"]["complete"] is True


def test_our_reader_reads_what_zarr_writes(path):
    """zarr-python's own bytes for the same metadata decode here."""
    bits = content("train")[0]
    with zarr.config.set({"array.write_empty_chunks": True}):
        zarr.open_group(path, mode="r+")["train/spikes"][:] = bits[::-1]
    unbind(path)
    np.testing.assert_array_equal(SpikeStore.open(path)["train"].packed(slice(None)).bits, bits[::-1])


def test_every_chunk_is_stored_even_if_empty(path):
    reader = SpikeStore.open(path)["train"]
    assert not reader.packed(slice(2, 4)).bits.any()
    for shard in range(3):
        stored = (reader.shard_index(shard)[:, 0] != 2**64 - 1).tolist()
        assert stored == ([True, True] if shard < 2 else [True, False])  # the last one ends with the array


def test_only_codecs_of_the_specification(path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        zarr.open_group(path, mode="r")
    documents = [json.loads(f.read_text()) for f in path.rglob("zarr.json")]
    names = {codec["name"] for d in documents for codec in d.get("codecs", [])}
    assert names <= {"sharding_indexed", "bytes", "vlen-utf8", "zstd", "blosc", "crc32c"}


def test_the_store_of_format_1_still_decodes():
    """Written by the first release; it must read the same for ever."""
    store = SpikeStore.open(FIXTURE)
    assert verify(FIXTURE).ok
    assert store.splits == ("train", "test")
    assert store.attributes["classes"] == ["a", "b", "ç"]
    for split in store.splits:
        bits, steps, labels, ids = content(split)
        batch = store[split].packed(slice(None))
        np.testing.assert_array_equal(batch.bits, bits)
        np.testing.assert_array_equal(batch.steps, steps)
        np.testing.assert_array_equal(batch.labels, labels)
        assert store[split].ids.tolist() == ids
    assert store.fingerprint() == "a573173086374e9bc120faae228b2f86ae94f397c8c8ad3309216530339440fe"


@pytest.mark.parametrize(
    ("samples", "units", "steps"),
    [
        (60_000, 784, 400),
        (1, 1, 1),
        (1437, 64, 100),
        (9, 10**7, 400),
        (3, 5, 8),
        (7, 30_000, 5000),
        (40, 30_000, 20_000),
    ],
)
def test_sizes_of_chunks_and_shards(samples, units, steps):
    layout = SplitLayout.fit(samples, units, steps)
    if layout.unit_chunks > 1:
        assert units * layout.unit_bytes > 32 << 20 >= 16 * np.prod(layout.chunk_shape)
        assert (
            (layout.unit_chunks - 1) * layout.chunk_shape[1]
            < units
            <= layout.unit_chunks * layout.chunk_shape[1]
        )
        assert (layout.shard_samples, layout.chunks_per_shard) == (1, layout.unit_chunks)
        return
    size = layout.chunk_samples * units * layout.unit_bytes
    assert size <= 2 << 20 or layout.chunk_samples == 1
    assert size > 1 << 20 or layout.chunk_samples >= samples
    assert layout.shard_samples % layout.chunk_samples == 0
    assert layout.shard_samples * units * layout.unit_bytes <= 64 << 20 or layout.shard_samples == 1
    assert sum(stop - start for start, stop in map(layout.sample_range, range(layout.shards))) == samples


def test_the_index_of_a_shard_round_trips_and_detects_damage():
    data = b"abcde" + encode_index([3, 0, 2], 4)
    index = decode_index(data[-index_bytes(4) :], 4)
    assert index.tolist()[:3] == [[0, 3], [3, 0], [3, 2]]
    damaged = bytearray(data[-index_bytes(4) :])
    damaged[5] ^= 1
    for bad in (bytes(damaged), data[-index_bytes(3) :]):
        with pytest.raises(DamageError):
            decode_index(bad, 4)


def test_differences_name_the_key():
    stored = {"chain": [{"name": "poisson", "steps": 400}], "seed": 0, "old": 1}
    asked = {"chain": [{"name": "poisson", "steps": 200}], "seed": 0, "new": 2}
    assert differences(stored, asked) == [
        "chain[0].steps: 400 in the store, 200 requested",
        "old: 1 in the store, None requested",
        "new: None in the store, 2 requested",
    ]
    assert LAYOUTS["train"].shards == 3
