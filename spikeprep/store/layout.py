"""The layout of a spike store, format version 1.

::

    NAME.zarr/                  attributes: "spikeprep": {…}
      train/  test/  …          one group a split
        spikes   uint8  (sample, unit, byte)   bit k of byte b = step 8 b + k; sharded
        steps    uint32 (sample,)              the sample's own length; bits at and past it are 0
        labels   int32  (sample,)
        counts   uint32 (sample,)              spikes in the sample
        ids      string (sample,)              where the sample came from

The attributes under ``"spikeprep"``: `format` (1), `version` (of the package), `recipe`, `title`, `citation`,
`chain` (config of every transform and the encoder), `seed`, `dt` (seconds a step), `unit_shape`, `classes`,
`source` (reader config, licence note, sha256 of the files), `samples` (split → number), and `complete` (false
until the last shard is in). There is no time of creation: two encodes of the same data are equal byte for
byte.

A chunk of `spikes` has several samples; of a sample that is larger than `_LARGE` it has some of the units.

A shard of `spikes` and the one chunk of each small array that covers the same samples are written by one
worker, `spikes` last: where that object exists, its samples are done.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import StoreError
from .shards import Compression

FORMAT = 1
SPIKES = "spikes"
SMALL = {"steps": "uint32", "labels": "int32", "counts": "uint32", "ids": "string"}
NEEDED = (
    "format",
    "version",
    "recipe",
    "chain",
    "seed",
    "dt",
    "unit_shape",
    "classes",
    "source",
    "samples",
    "complete",
)

_CHUNK_BYTES = 2 << 20  # decoded: stays in a core's cache, and small enough to shuffle by
_LARGE = 32 << 20  # decoded bytes of a sample whose units are cut into chunks
_CHUNKS_A_SHARD = 32
_SHARDS_A_SPLIT = 8


@dataclass(frozen=True)
class SplitLayout:
    """How the arrays of one split are cut.

    Attributes
    ----------
    samples, units, max_steps
        Size of the split.
    chunk_samples
        Samples that are compressed together.
    shard_samples
        Samples in one object, a multiple of `chunk_samples`.
    chunk_units
        Units that are compressed together; 0: all of a sample's.
    """

    samples: int
    units: int
    max_steps: int
    chunk_samples: int
    shard_samples: int
    chunk_units: int = 0

    @classmethod
    def fit(cls, samples: int, units: int, max_steps: int) -> SplitLayout:
        """Choose chunks of 1 to 2 MiB, less only where the split has no more, and shards of up to 32 chunks.

        A split of many chunks has 8 shards at least, so that as many workers can write it. A sample of more than
        2 MiB is a chunk of its own, and of such chunks a shard has fewer: a worker holds it until it is written. One of
        more than 32 MiB is a shard of its own, of chunks of up to 2 MiB, so that it need never be held.
        """
        sample = max(units * -(-max_steps // 8), 1)
        if sample > _LARGE:
            return cls(samples, units, max_steps, 1, 1, max(_CHUNK_BYTES // -(-max_steps // 8), 1))
        most = max(_CHUNK_BYTES // sample, 1)
        enough = 1 << max(samples - 1, 0).bit_length()
        chunk = min(1 << most.bit_length() - 1, enough)
        together = min(_CHUNKS_A_SHARD, max(enough // chunk // _SHARDS_A_SPLIT, 1))
        together = min(together, max(_CHUNKS_A_SHARD * _CHUNK_BYTES // (chunk * sample), 1))
        return cls(samples, units, max_steps, chunk, chunk * together)

    @property
    def width(self) -> int:
        """Bytes of one unit's train."""
        return -(-self.max_steps // 8)

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.samples // self.shard_samples)

    @property
    def parts(self) -> int:
        """Number of chunks that a sample's units are cut into."""
        return -(-self.units // (self.chunk_units or self.units))

    @property
    def chunk(self) -> tuple[int, int, int]:
        """Shape of a chunk: (sample, unit, byte). The last one of a sample may reach past its units."""
        return self.chunk_samples, self.chunk_units or self.units, self.width

    @property
    def places(self) -> int:
        """Number of chunks in a full shard, those of one sample one after another."""
        return self.shard_samples // self.chunk_samples * self.parts

    def span(self, shard: int) -> tuple[int, int]:
        """Return the first sample of a shard, and the one after its last."""
        return shard * self.shard_samples, min((shard + 1) * self.shard_samples, self.samples)


def shard_key(split: str, shard: int) -> str:
    """Return the key of a shard of spikes."""
    return f"{split}/{SPIKES}/c/{shard}/0/0"


def small_key(split: str, array: str, shard: int) -> str:
    """Return the key of the chunk of a small array that covers a shard's samples."""
    return f"{split}/{array}/c/{shard}"


def document(value: Mapping[str, Any]) -> bytes:
    """Return a metadata document's bytes."""
    return json.dumps(value, indent=2, ensure_ascii=False).encode()


def root_document(attributes: Mapping[str, Any]) -> bytes:
    """Return the root group's metadata document."""
    return document({"attributes": {"spikeprep": dict(attributes)}, "zarr_format": 3, "node_type": "group"})


def split_documents(split: str, layout: SplitLayout, compression: Compression) -> dict[str, bytes]:
    """Return key → metadata document of a split's group and arrays, as zarr-python composes them."""
    import zarr
    from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, ShardingCodec, VLenUTF8Codec, ZstdCodec
    from zarr.storage import MemoryStore

    packers: list[Any] = [Crc32cCodec()]
    if compression.name == "zstd":
        packers.insert(0, ZstdCodec(level=compression.level))
    elif compression.name == "lz4":
        packers.insert(0, BloscCodec(**compression.codecs()[0]["configuration"]))
    composed: dict[str, Any] = {}
    group = zarr.create_group(MemoryStore(composed), path=split, zarr_format=3)
    group.create_array(
        SPIKES,
        shape=(layout.samples, layout.units, layout.width),
        dtype="uint8",
        chunks=(layout.shard_samples, layout.parts * layout.chunk[1], layout.width),
        serializer=ShardingCodec(chunk_shape=layout.chunk, codecs=[BytesCodec(), *packers]),
        compressors=None,
        filters=None,
        fill_value=0,
        dimension_names=["sample", "unit", "byte"],
        attributes={"max_steps": layout.max_steps},
    )
    for name, dtype in SMALL.items():
        group.create_array(
            name,
            shape=(layout.samples,),
            dtype=dtype,
            chunks=(layout.shard_samples,),
            serializer=VLenUTF8Codec() if dtype == "string" else BytesCodec(),
            compressors=packers,
            filters=None,
            fill_value="" if dtype == "string" else 0,
            dimension_names=["sample"],
        )
    return {key: value.to_bytes() for key, value in composed.items() if key.startswith(f"{split}/")}


@functools.cache
def _vlen() -> Any:
    from numcodecs.vlen import VLenUTF8

    return VLenUTF8()


def encode_small(array: str, values: Any, layout: SplitLayout, compression: Compression) -> bytes:
    """Return the stored chunk of a small array, padded to a whole chunk as Zarr wants."""
    missing = layout.shard_samples - len(values)
    if SMALL[array] == "string":
        raw = bytes(_vlen().encode(np.array([*values, *[""] * missing], object)))
    else:
        raw = np.pad(np.asarray(values, SMALL[array]), (0, missing)).astype(f"<{SMALL[array][0]}4").tobytes()
    return compression.encode(raw)


def decode_small(array: str, data: bytes, count: int, compression: Compression) -> list[Any]:
    """Return the first `count` values of a stored chunk of a small array; raises `DamageError`."""
    raw = compression.decode(data)
    if SMALL[array] == "string":
        return _vlen().decode(raw)[:count].tolist()  # type: ignore[no-any-return]
    return np.frombuffer(raw, f"<{SMALL[array][0]}4")[:count].tolist()  # type: ignore[no-any-return]


def parse_attributes(path: str, root: bytes | None) -> dict[str, Any]:
    """Return the ``"spikeprep"`` attributes from a root metadata document.

    Raises
    ------
    StoreError
        There is no store, it is not a spike store, a needed key is missing, or its format is newer.
    """
    hint = "Check the path, or make a store with `spikeprep encode`."
    if root is None:
        raise StoreError(f"no store at {path}", "a Zarr v3 group made by spikeprep", hint)
    try:
        attributes = json.loads(root)["attributes"]["spikeprep"]
        missing = [key for key in NEEDED if key not in attributes]
    except (ValueError, KeyError, TypeError):
        raise StoreError(f"{path} is not a spike store", "a Zarr v3 group made by spikeprep", hint) from None
    found = attributes.get("format")
    if isinstance(found, int) and found > FORMAT:
        raise StoreError(
            f"{path} has format version {found}",
            f"at most {FORMAT}",
            "Update spikeprep: pip install -U spikeprep.",
        )
    if found != FORMAT or missing:
        lacks = f"lacks the attributes {', '.join(missing)}" if missing else f"has format version {found!r}"
        raise StoreError(
            f"{path} {lacks}", f"a store of format {FORMAT}", "Encode it again with --overwrite."
        )
    return dict(attributes)


def parse_split(path: str, split: str, spikes: bytes | None) -> tuple[SplitLayout, Compression]:
    """Return the layout of a split from its `spikes` array's metadata document; raises `StoreError`."""
    try:
        meta = json.loads(spikes or b"")
        samples, units, _ = meta["shape"]
        shard = meta["chunk_grid"]["configuration"]["chunk_shape"][0]
        (sharding,) = meta["codecs"]
        inner = sharding["configuration"]
        max_steps, cut = meta["attributes"]["max_steps"], inner["chunk_shape"][1]
        return (
            SplitLayout(samples, units, max_steps, inner["chunk_shape"][0], shard, cut if cut < units else 0),
            Compression.from_codecs(inner["codecs"][1:]),
        )
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise StoreError(
            f"{path}: the array {split}/{SPIKES} is missing or not laid out by spikeprep ({error})",
            f"the layout of format {FORMAT}",
            "Encode it again with --overwrite.",
        ) from error


def fingerprint(attributes: Mapping[str, Any]) -> str:
    """Return the sha256 over the attributes that decide the bits: all but `version` and `complete`."""
    identity = {k: v for k, v in attributes.items() if k not in ("version", "complete")}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def differences(stored: Any, asked: Any, where: str = "") -> list[str]:
    """Return a line for each leaf in which two JSON values differ.

    ``chain[0].steps: 400 in the store, 200 asked for``
    """
    if isinstance(stored, dict) and isinstance(asked, dict):
        keys = [*stored, *(key for key in asked if key not in stored)]
        pairs = [(f"{where}.{key}".lstrip("."), stored.get(key), asked.get(key)) for key in keys]
    elif isinstance(stored, list) and isinstance(asked, list) and len(stored) == len(asked):
        pairs = [(f"{where}[{i}]", a, b) for i, (a, b) in enumerate(zip(stored, asked, strict=True))]
    else:
        return [] if stored == asked else [f"{where}: {stored!r} in the store, {asked!r} asked for"]
    return [line for name, a, b in pairs for line in differences(a, b, name)]
