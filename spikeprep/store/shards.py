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
            from numcodecs import Zstd  # of the package; see `sample_arrays`

            return Zstd(self.level)
        from numcodecs import Blosc

        return Blosc("lz4", 5, Blosc.NOSHUFFLE)

    def encode(self, raw: Any) -> bytes:
        """Return the stored bytes of a chunk's content, any contiguous buffer."""
        data = bytes(memoryview(raw)) if self.name == "none" else bytes(self._codec().encode(raw))
        return data + int(google_crc32c.value(data)).to_bytes(4, "little")

    def decode_into(self, data: bytes | memoryview, out: NDArray[Any]) -> None:
        """Write a chunk's content to `out`, contiguous and of the chunk's size; raises `DamageError`."""
        content = self._content(data)
        if (size := self._content_bytes(content)) != out.nbytes:
            raise DamageError(f"holds {_count(size)} bytes, not {out.nbytes}")
        try:
            if self.name == "none":
                out.reshape(-1).view(np.uint8)[:] = np.frombuffer(content, np.uint8)
            else:
                self._codec().decode(content, out)
        except (ValueError, RuntimeError) as error:
            raise DamageError(f"does not decompress ({error})") from error

    def decode(self, data: bytes, largest: int | None = None) -> bytes:
        """Return the content of a chunk of at most `largest` bytes; raises `DamageError`."""
        content = self._content(data)
        size = self._content_bytes(content)
        if size is None or (largest is not None and size > largest):
            raise DamageError(f"holds {_count(size)} bytes, more than {largest}")
        out = np.empty(size, np.uint8)
        self.decode_into(data, out)
        return out.tobytes()

    @staticmethod
    def _content(data: bytes | memoryview) -> memoryview:
        """Return a stored chunk without its checksum, which is right; raises `DamageError`."""
        view = memoryview(data)
        # google_crc32c takes an object with a read-only buffer of bytes; NumPy makes one without a copy
        if len(view) < 4 or google_crc32c.value(np.frombuffer(view[:-4], np.uint8)) != int.from_bytes(
            view[-4:], "little"
        ):
            raise DamageError("has a wrong checksum")
        return view[:-4]

    def _content_bytes(self, content: memoryview) -> int | None:
        """Return the size of a compressed chunk's content as the chunk tells it; None where it does not."""
        if self.name == "none":
            return len(content)
        if self.name == "zstd":
            return _zstd_content_bytes(content)
        return int.from_bytes(content[4:8], "little") if len(content) >= 16 else None  # the header of Blosc 1


def _zstd_content_bytes(frame: memoryview) -> int | None:
    """Return the content size in the header of a Zstandard frame (RFC 8878, 3.1.1); None where it has none."""
    if len(frame) < 6 or bytes(frame[:4]) != b"\x28\xb5\x2f\xfd":
        return None
    descriptor = frame[4]
    single_segment, size_flag = descriptor >> 5 & 1, descriptor >> 6
    start = 5 + (not single_segment) + (0, 1, 2, 4)[descriptor & 3]
    length = (single_segment, 2, 4, 8)[size_flag]
    field = frame[start : start + length]
    if not length or len(field) < length:
        return None
    return int.from_bytes(field, "little") + (256 if length == 2 else 0)


def _count(size: int | None) -> str:
    return "an unknown number of" if size is None else f"{size:,}"


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


def largest_encoded(content: int) -> int:
    """Return the bytes that no stored chunk of `content` bytes exceeds, with any compression."""
    return content + content // 128 + 1024


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
