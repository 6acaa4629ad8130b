"""Zarr v3 metadata of a split: composed by zarr-python, and checked as far as the reader relies on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import prod
from typing import Any, Literal

from ..config import Count, Natural
from ..errors import StoreError
from .attributes import WRITE_AGAIN
from .documents import check, parse_json
from .layout import OPTIONAL_ARRAYS, SAMPLE_ARRAYS, SPIKES, SplitLayout, metadata_key
from .shards import Compression

_HINT = f"Restore the file from a copy, or {WRITE_AGAIN}."
_INDEX_CODECS = ["bytes", "crc32c"]


def split_documents(split: str, layout: SplitLayout, compression: Compression) -> dict[str, bytes]:
    """Return key → metadata document of a split's group and arrays, as zarr-python composes them."""
    import zarr
    from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, ShardingCodec, VLenUTF8Codec, ZstdCodec
    from zarr.storage import MemoryStore

    compressors: list[Any] = [Crc32cCodec()]
    if compression.name == "zstd":
        compressors.insert(0, ZstdCodec(level=compression.level))
    elif compression.name == "lz4":
        compressors.insert(0, BloscCodec(**compression.codecs()[0]["configuration"]))
    documents: dict[str, Any] = {}
    group = zarr.create_group(MemoryStore(documents), path=split, zarr_format=3)
    group.create_array(
        SPIKES,
        shape=(layout.samples, layout.units, layout.unit_bytes),
        dtype="uint8",
        chunks=(layout.shard_samples, layout.unit_chunks * layout.chunk_shape[1], layout.unit_bytes),
        serializer=ShardingCodec(chunk_shape=layout.chunk_shape, codecs=[BytesCodec(), *compressors]),
        compressors=None,
        filters=None,
        fill_value=0,
        dimension_names=["sample", "unit", "byte"],
        attributes={"max_steps": layout.max_steps},
    )
    types = SAMPLE_ARRAYS | OPTIONAL_ARRAYS
    for name in layout.sample_arrays:
        group.create_array(
            name,
            shape=(layout.samples,),
            dtype=types[name],
            chunks=(layout.shard_samples,),
            serializer=VLenUTF8Codec() if types[name] == "string" else BytesCodec(),
            compressors=compressors,
            filters=None,
            fill_value="" if types[name] == "string" else 0,
            dimension_names=["sample"],
        )
    return {key: value.to_bytes() for key, value in documents.items() if key.startswith(f"{split}/")}


# The schema of the metadata of `spikes`: what `SplitReader` needs to find and decode a chunk.


@dataclass(frozen=True)
class _ChunkShape:
    chunk_shape: tuple[Count, Count, Count]


@dataclass(frozen=True)
class _ChunkGrid:
    name: Literal["regular"]
    configuration: _ChunkShape


@dataclass(frozen=True)
class _Separator:
    separator: Literal["/"] = "/"


@dataclass(frozen=True)
class _KeyEncoding:
    name: Literal["default"]
    configuration: _Separator = field(default_factory=_Separator)


@dataclass(frozen=True)
class _Codec:
    name: str
    configuration: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Sharding:
    chunk_shape: tuple[Count, Count, Count]
    codecs: list[_Codec]
    index_codecs: list[_Codec]
    index_location: Literal["end"] = "end"


@dataclass(frozen=True)
class _ShardingCodec:
    name: Literal["sharding_indexed"]
    configuration: _Sharding


@dataclass(frozen=True)
class _SpikesAttributes:
    max_steps: Count


@dataclass(frozen=True)
class SpikesMetadata:
    """Schema of the metadata document of a split's `spikes`; keys beside these are ignored."""

    zarr_format: Literal[3]
    node_type: Literal["array"]
    data_type: Literal["uint8"]
    shape: tuple[Natural, Count, Count]
    chunk_grid: _ChunkGrid
    chunk_key_encoding: _KeyEncoding
    codecs: tuple[_ShardingCodec]
    attributes: _SpikesAttributes


def parse_split(
    path: str, split: str, spikes: bytes | None, attributes: Mapping[str, Any], *, groups: bool = False
) -> tuple[SplitLayout, Compression]:
    """Return the layout and compression of a split.

    Parameters
    ----------
    path, split
        Of the store and in it, for messages.
    spikes
        The metadata document of the split's `spikes`.
    attributes
        The store's own, which must agree with it.
    groups
        Whether the split has the array `groups`.

    Raises
    ------
    StoreError
        The document is missing or damaged, describes an array that spikeprep does not write, or contradicts the
        store's attributes; the message has file and key.
    """
    file = f"{path}/{metadata_key(split, SPIKES)}"
    if spikes is None:
        raise StoreError(f"{file} is missing", "the metadata of the array", _HINT)
    array = check(file, parse_json(file, spikes, _HINT), SpikesMetadata, _HINT)
    (samples, units, unit_bytes), max_steps = array.shape, array.attributes.max_steps
    shard, sharding = array.chunk_grid.configuration.chunk_shape, array.codecs[0].configuration
    chunk = sharding.chunk_shape
    layout = SplitLayout(
        samples, units, max_steps, chunk[0], shard[0], chunk[1] if chunk[1] < units else 0, groups
    )

    def require(key: str, got: Any, expected: Any) -> None:
        if got != expected:
            raise StoreError(f"{file}: {key} is {got!r}", str(expected), _HINT)

    require("shape[0]", samples, attributes["samples"][split])
    require("shape[1]", units, prod(attributes["unit_shape"]))
    require("shape[2]", unit_bytes, layout.unit_bytes)
    require("codecs[0].configuration.chunk_shape", chunk, layout.chunk_shape)
    require("chunk_grid.configuration.chunk_shape[0]", shard[0], -(-shard[0] // chunk[0]) * chunk[0])
    require("chunk_grid.configuration.chunk_shape[1]", shard[1], layout.unit_chunks * chunk[1])
    require("chunk_grid.configuration.chunk_shape[2]", shard[2], unit_bytes)
    index_codecs = [codec.name for codec in sharding.index_codecs]
    require("codecs[0].configuration.index_codecs", index_codecs, _INDEX_CODECS)
    names = [codec.name for codec in sharding.codecs]
    try:
        require("codecs[0].configuration.codecs[0].name", names[0], "bytes")
        return layout, Compression.from_codecs([asdict(codec) for codec in sharding.codecs[1:]])
    except (LookupError, ValueError) as error:
        raise StoreError(
            f"{file}: codecs[0].configuration.codecs is {names}",
            "bytes, then zstd, blosc or nothing, then crc32c",
            _HINT,
        ) from error
