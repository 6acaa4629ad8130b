"""The chunk layout of a spike store, format version 1: its arrays, and how they are cut into chunks and shards.

::

    NAME.zarr/                  Zarr v3 group; attributes "spikeprep": {…}, see `spikeprep.store.attributes`
      train/  test/  …          one group per split
        spikes   uint8  [sample, unit, byte]   bit k of byte b is time step 8 b + k (little bit order)
        steps    uint32 [sample]               the sample's own length in steps; bits at and past it are 0
        labels   int32  [sample]               class index
        counts   uint32 [sample]               number of spikes
        groups   int32  [sample]               optional: speaker, subject, source image of a copy
        ids      string [sample]               where the sample came from

The brackets hold the dimension names that the metadata carries. Time is the packed, fastest axis of `spikes`; a step
lasts `dt` seconds; units are in C order over `unit_shape`.

A chunk of `spikes` is compressed alone and has several samples; a sample larger than `_LARGE_SAMPLE` is divided into
chunks along its units. A shard is one file of many chunks. One worker writes a shard together with the one chunk of
each other array that covers the same samples, then the shard's record, which marks its samples as complete.

A store that is being written also has a folder `.spikeprep`: the lease of the process that writes it, and a record with
the digests of each finished shard. A complete store has ``manifest.json`` instead, with the digest of every file.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

ROOT = "zarr.json"
"""Key of the root group's metadata document."""

MANIFEST = "manifest.json"
"""Key of the digests of a complete store."""

LEASE = ".spikeprep/lease.json"
"""Key of the lease of the process that is writing the store."""

SPIKES = "spikes"
SAMPLE_ARRAYS = {"steps": "uint32", "labels": "int32", "counts": "uint32", "ids": "string"}
"""Arrays of every split with one value per sample: name → Zarr data type."""

OPTIONAL_ARRAYS = {"groups": "int32"}
"""Arrays with one value per sample that a split may have."""

_CHUNK_BYTES = 2 << 20  # decoded: fits in a core's cache, and is small enough to shuffle by
_LARGE_SAMPLE = 32 << 20  # decoded bytes above which a sample is divided along its units
_MAX_CHUNKS_PER_SHARD = 32
_MIN_SHARDS_PER_SPLIT = 8


@dataclass(frozen=True)
class SplitLayout:
    """Shape of one split and the sizes of its chunks and shards.

    Attributes
    ----------
    samples, units, max_steps
        Size of the split: samples, units per sample, time steps of the longest sample of the store.
    chunk_samples
        Samples that are compressed together.
    shard_samples
        Samples per shard, a multiple of `chunk_samples`.
    chunk_units
        Units that are compressed together; 0: all of a sample's.
    groups
        Whether the split has the optional array `groups`.
    """

    samples: int
    units: int
    max_steps: int
    chunk_samples: int
    shard_samples: int
    chunk_units: int = 0
    groups: bool = False

    @classmethod
    def fit(cls, samples: int, units: int, max_steps: int, *, groups: bool = False) -> SplitLayout:
        """Choose chunks of 1 to 2 MiB (smaller only if the split is) and shards of up to 32 chunks.

        A split of many chunks gets at least 8 shards, so that as many workers can write it. A sample of more than
        2 MiB is a chunk of its own, with fewer chunks per shard, because a worker holds a shard until it is written. A
        sample of more than 32 MiB is a shard of its own, of chunks of up to 2 MiB, so that it need never be held.
        """
        sample_bytes = max(units * -(-max_steps // 8), 1)
        if sample_bytes > _LARGE_SAMPLE:
            chunk_units = max(_CHUNK_BYTES // -(-max_steps // 8), 1)
            return cls(samples, units, max_steps, 1, 1, chunk_units, groups)
        largest = max(_CHUNK_BYTES // sample_bytes, 1)
        enough = 1 << max(samples - 1, 0).bit_length()
        chunk = min(1 << largest.bit_length() - 1, enough)
        chunks = min(_MAX_CHUNKS_PER_SHARD, max(enough // chunk // _MIN_SHARDS_PER_SPLIT, 1))
        chunks = min(chunks, max(_MAX_CHUNKS_PER_SHARD * _CHUNK_BYTES // (chunk * sample_bytes), 1))
        return cls(samples, units, max_steps, chunk, chunk * chunks, 0, groups)

    @property
    def unit_bytes(self) -> int:
        """Packed bytes of one unit of one sample."""
        return -(-self.max_steps // 8)

    @property
    def shards(self) -> int:
        """Number of shards of the split."""
        return -(-self.samples // self.shard_samples)

    @property
    def unit_chunks(self) -> int:
        """Number of chunks along a sample's units; 1 unless samples are large."""
        return -(-self.units // (self.chunk_units or self.units))

    @property
    def chunk_shape(self) -> tuple[int, int, int]:
        """Shape of a chunk: (sample, unit, byte). The last one of a sample may reach past its units."""
        return self.chunk_samples, self.chunk_units or self.units, self.unit_bytes

    @property
    def chunks_per_shard(self) -> int:
        """Number of chunks in a full shard; those of one sample follow one another."""
        return self.shard_samples // self.chunk_samples * self.unit_chunks

    @property
    def sample_arrays(self) -> tuple[str, ...]:
        """Names of the split's arrays with one value per sample."""
        return (*SAMPLE_ARRAYS, *OPTIONAL_ARRAYS) if self.groups else tuple(SAMPLE_ARRAYS)

    def sample_range(self, shard: int) -> tuple[int, int]:
        """Return the first sample of a shard, and the one after its last."""
        return shard * self.shard_samples, min((shard + 1) * self.shard_samples, self.samples)


def metadata_key(split: str, array: str) -> str:
    """Return the key of an array's metadata document."""
    return f"{split}/{array}/zarr.json"


def shard_key(split: str, shard: int) -> str:
    """Return the key of a shard of spikes."""
    return f"{split}/{SPIKES}/c/{shard}/0/0"


def sample_array_key(split: str, array: str, shard: int) -> str:
    """Return the key of the chunk of an array with one value per sample that covers a shard's samples."""
    return f"{split}/{array}/c/{shard}"


def shard_keys(split: str, shard: int, layout: SplitLayout) -> list[str]:
    """Return the keys of all files that hold a shard's samples, `spikes` last."""
    return [
        *(sample_array_key(split, array, shard) for array in layout.sample_arrays),
        shard_key(split, shard),
    ]


def sample_keys(layouts: Mapping[str, SplitLayout]) -> list[str]:
    """Return the keys of all files that hold samples."""
    return [
        key
        for split, layout in layouts.items()
        for number in range(layout.shards)
        for key in shard_keys(split, number, layout)
    ]


def record_key(split: str, shard: int) -> str:
    """Return the key of the record of a finished shard."""
    return f".spikeprep/{split}/{shard}.json"


def is_record(key: str) -> bool:
    """Whether a key is that of the record of a finished shard, of any split."""
    return re.fullmatch(rf"\.spikeprep/[^/]+/{_NUMBER}\.json", key) is not None


_NUMBER = "(?:0|[1-9][0-9]*)"
_ARRAYS = "|".join((SPIKES, *SAMPLE_ARRAYS, *OPTIONAL_ARRAYS))


def foreign_keys(keys: Collection[str], splits: Collection[str]) -> list[str]:
    """Return the keys, sorted, that no store with these splits has: files of someone else."""
    names = "|".join(map(re.escape, splits))
    ours = re.compile(
        rf"{re.escape(ROOT)}|{re.escape(MANIFEST)}|{re.escape(LEASE)}(?:\.takeover)?|\.spikeprep/(?:{names})/{_NUMBER}\.json"
        rf"|(?:{names})/(?:zarr\.json|(?:{_ARRAYS})/(?:zarr\.json|c/{_NUMBER})|{SPIKES}/c/{_NUMBER}/0/0)"
    )
    return sorted(key for key in keys if not ours.fullmatch(key))
