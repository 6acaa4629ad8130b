"""Compressed parts of files, expanded no further than they may."""

from __future__ import annotations

from bz2 import BZ2Decompressor
from collections.abc import Callable, Iterator
from typing import Any

from ..input_files import SMALL, Limits

_PIECE = 1 << 22  # bytes that are expanded at a time, where the content's size is not stated

Decompress = Callable[[bytes, int], bytes]
"""Compressed bytes, and the most that their content may have → the content; raises `TooLarge`, or what is damaged."""


class TooLarge(Exception):
    """A content has more bytes than it may have."""


def expand(data: bytes, decompress: Decompress, copies: int, limits: Limits, what: str) -> bytes:
    """Return the content of compressed bytes, which keeps to the limits of their file.

    Parameters
    ----------
    data
        The bytes.
    decompress
        How they are expanded; what it raises where they are damaged, this raises too.
    copies
        Of the content, that are in memory while it is decoded; that they fit where nothing expands was checked before.
    limits, what
        The limits, and what the bytes are, for messages.

    Raises
    ------
    DataError
        The content is beyond the limits.
    """
    most = min((limits.max_bytes - len(data)) // copies, max(SMALL, limits.max_ratio * len(data)))
    try:
        return decompress(data, most)
    except TooLarge:
        limits.check_ratio(what, most + 1, len(data), so_far=True)
        limits.check_bytes(what, len(data) + copies * (most + 1), so_far=True)
        raise


def plain(data: bytes, most: int) -> bytes:
    """Return bytes that are not compressed."""
    if len(data) > most:
        raise TooLarge
    return data


def lz4(data: bytes, most: int) -> bytes:
    """Expand a frame of LZ4; raises `ImportError` too."""
    from lz4.frame import LZ4FrameDecompressor

    return _joined(_pieces(LZ4FrameDecompressor(), data), most)


def bz2(data: bytes, most: int) -> bytes:
    """Expand a stream of bzip2."""
    return _joined(_pieces(BZ2Decompressor(), data), most)


def zstandard(data: bytes, most: int) -> bytes:
    """Expand a frame of Zstandard, which need not state its size; raises `ImportError` too."""
    from zstandard import ZstdDecompressor

    return _joined(_reads(ZstdDecompressor().stream_reader(data)), most)


def _pieces(decompressor: Any, data: bytes) -> Iterator[bytes]:
    yield decompressor.decompress(data, _PIECE)
    while not (decompressor.eof or decompressor.needs_input):
        yield decompressor.decompress(b"", _PIECE)
    if not decompressor.eof:
        raise ValueError("the compressed bytes are incomplete")


def _reads(stream: Any) -> Iterator[bytes]:
    while piece := stream.read(_PIECE):
        yield piece


def _joined(pieces: Iterator[bytes], most: int) -> bytes:
    """Return pieces joined; raises `TooLarge` as soon as they are more than `most` bytes."""
    parts: list[bytes] = []
    size = 0
    for piece in pieces:
        parts.append(piece)
        if (size := size + len(piece)) > most:
            raise TooLarge
    return parts[0] if len(parts) == 1 else b"".join(parts)
