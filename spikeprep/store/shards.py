"""Arrays to and from the bytes of Zarr v3 chunks and shards; pure functions, no files.

A chunk is C-order little-endian bytes, compressed (zstd, lz4 inside Blosc, or not at all), then their CRC-32C. A shard
is its chunks end to end, then an index of one (offset, length) pair of uint64 per chunk, then the index's CRC-32C: the
codecs ``sharding_indexed``, ``bytes``, ``zstd`` or ``blosc``, and ``crc32c`` of the Zarr v3 specification, which any
Zarr v3 reader has. Implemented here so that a chunk decodes straight into its place in a batch, without zarr-python's
2 ms per chunk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError, near_miss

_ABSENT = 0xFFFFFFFFFFFFFFFF  # the specification's offset and length of a chunk that is not stored


class DamageError(Exception):
    """A chunk or shard index with a wrong checksum, length or content."""


@dataclass(frozen=True)
class Compression:
    """How chunks are compressed.

    Parameters
    ----------
    name
        ``"zstd"``, ``"lz4"`` or ``"none"``.
    level
        Level of zstd, 1 to 22; the others have none.
    """

    name: str = "zstd"
    level: int = 1

    def __post_init__(self) -> None:
        if self.name not in ("zstd", "lz4", "none"):
            raise UsageError(
                f"unknown compression {self.name!r}", "", near_miss(self.name, ("zstd", "lz4", "none"))
            )
        if self.name == "zstd" and not (isinstance(self.level, int) and 1 <= self.level <= 22):
            raise UsageError(f"got zstd level {self.level!r}", "1 to 22")

    def codecs(self) -> list[dict[str, Any]]:
        """Return the Zarr v3 metadata of the bytes-to-bytes codecs."""
        zstd = {"name": "zstd", "configuration": {"level": self.level, "checksum": False}}
        blosc = {"typesize": 1, "cname": "lz4", "clevel": 5, "shuffle": "noshuffle", "blocksize": 0}
        lz4 = {"name": "blosc", "configuration": blosc}
        return [*{"zstd": [zstd], "lz4": [lz4], "none": []}[self.name], {"name": "crc32c"}]

    @classmethod
    def from_codecs(cls, codecs: Sequence[Mapping[str, Any]]) -> Compression:
        """Return the compression whose metadata `codecs` is; raises ValueError for any other."""
        names = [codec["name"] for codec in codecs]
        if names == ["zstd", "crc32c"]:
            level = codecs[0].get("configuration", {}).get("level", 1)
            # other writers use levels of 0 and below too; decoding is the same for all of them
            return cls("zstd", level if isinstance(level, int) and 1 <= level <= 22 else 1)
        for compression in (cls("lz4"), cls("none")):
            if names == [codec["name"] for codec in compression.codecs()]:
                return compression
        raise ValueError(f"codecs {names}")

    def _codec(self) -> Any:
        if self.name == "zstd":
            from numcodecs.zstd import Zstd

            return Zstd(self.level)
        from numcodecs.blosc import Blosc

        return Blosc("lz4", 5, Blosc.NOSHUFFLE)

    def encode(self, raw: Any) -> bytes:
        """Return the stored bytes of a chunk's content, any contiguous buffer."""
        data = bytes(memoryview(raw)) if self.name == "none" else bytes(self._codec().encode(raw))
        return data + int(google_crc32c.value(data)).to_bytes(4, "little")

    def decode_into(self, data: bytes | memoryview, out: NDArray[Any]) -> None:
        """Write a chunk's content to `out`, contiguous and of the chunk's size; raises `DamageError`."""
        view = memoryview(data)
        self._check(view)
        try:
            if self.name == "none":
                out.reshape(-1).view(np.uint8)[:] = np.frombuffer(view[:-4], np.uint8)
            else:
                self._codec().decode(view[:-4], out)
        except (ValueError, RuntimeError) as error:
            raise DamageError(f"does not decompress ({error})") from error

    def decode(self, data: bytes) -> bytes:
        """Return the content of a chunk of any size; raises `DamageError`."""
        view = memoryview(data)
        self._check(view)
        try:
            return bytes(view[:-4] if self.name == "none" else self._codec().decode(view[:-4]))
        except (ValueError, RuntimeError) as error:
            raise DamageError(f"does not decompress ({error})") from error

    @staticmethod
    def _check(view: memoryview) -> None:
        # google_crc32c takes an object with a read-only buffer of bytes; NumPy makes one without a copy
        if len(view) < 4 or google_crc32c.value(np.frombuffer(view[:-4], np.uint8)) != int.from_bytes(
            view[-4:], "little"
        ):
            raise DamageError("has a wrong checksum")


def encode_index(lengths: Sequence[int], chunks: int) -> bytes:
    """Return the index that ends a shard, with its checksum.

    Parameters
    ----------
    lengths
        Bytes of each stored chunk; they lie end to end.
    chunks
        Chunks of a full shard; those that `lengths` lacks lie past the end of the array.
    """
    sizes = np.array(lengths, np.uint64)
    index = np.full((chunks, 2), _ABSENT, "<u8")
    index[: len(sizes), 0] = np.cumsum(sizes) - sizes
    index[: len(sizes), 1] = sizes
    raw = index.tobytes()
    return raw + int(google_crc32c.value(raw)).to_bytes(4, "little")


def index_bytes(chunks: int) -> int:
    """Return the bytes of the index, its checksum included, of a shard of so many chunks."""
    return 16 * chunks + 4


def decode_index(tail: bytes, chunks: int) -> NDArray[np.uint64]:
    """Return (offset, length) of each chunk, uint64 (chunk, 2), from a shard's end; raises `DamageError`."""
    if len(tail) != index_bytes(chunks):
        raise DamageError("is too short")
    if google_crc32c.value(tail[:-4]) != int.from_bytes(tail[-4:], "little"):
        raise DamageError("has an index with a wrong checksum")
    return np.frombuffer(tail[:-4], "<u8").reshape(chunks, 2)


def is_absent(entry: NDArray[np.uint64]) -> bool:
    """Whether an index entry stands for a chunk that is not stored."""
    return int(entry[0]) == _ABSENT
