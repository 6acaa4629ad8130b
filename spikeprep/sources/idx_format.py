"""The IDX format, of MNIST and of data sets modelled on it (LeCun, Cortes & Burges 1998): plain or gzipped."""

from __future__ import annotations

import hashlib
import io
import itertools
import math
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..file_kinds import HEAD
from ..input_files import LIMITS, Limits, open_input
from .other_files import other_kind

IMAGES, LABELS, LABEL_ROWS = 0x00000803, 0x00000801, 0x00000C02
"""Magic numbers: unsigned bytes in three dimensions and in one, and 32-bit integers in two, as QMNIST's labels are."""

_TYPES: dict[int, np.dtype[Any]] = {0x08: np.dtype(np.uint8), 0x0C: np.dtype(">i4")}
_ELEMENTS = {
    0x08: "unsigned bytes", 0x09: "signed bytes", 0x0B: "16-bit integers", 0x0C: "32-bit integers",
    0x0D: "32-bit floats", 0x0E: "64-bit floats",
}  # fmt: skip
_KINDS = {IMAGES: "images", LABELS: "labels", LABEL_ROWS: "labels in rows of integers"}
_MOST_DIMENSIONS = 8  # that a file may have and be taken for IDX
_BIG_ENDIAN = (
    "Write its magic number, sizes and values in big-endian byte order; in NumPy, as the type '>u4'."
)
_PIECE = 1 << 20  # bytes that are read, or expanded, at a time
_GZIP = 31  # zlib's number for gzip's header and checksum
_EXPECTED = "an IDX file, plain or gzipped"
_GZIP_MAGIC = b"\x1f\x8b"


class IdxFile(NamedTuple):
    """The array of an IDX file, the sha256 of the file, and that of what it expands to where it is gzipped."""

    array: NDArray[Any]
    sha256: str
    content_sha256: str


class _Content:
    """The content of a file, plain or gzipped as its first bytes say, in pieces; digests what passes."""

    def __init__(self, file: io.FileIO) -> None:
        self._file, self._raw, self._expanded = file, hashlib.sha256(), hashlib.sha256()
        self._gzipped = False

    def __iter__(self) -> Iterator[bytes]:
        first = self._file.read(_PIECE) or b""
        self._gzipped = first.startswith(_GZIP_MAGIC)
        pieces = self._pieces(first)
        if not self._gzipped:
            yield from pieces
            return
        for piece in _inflated_pieces(pieces):
            self._expanded.update(piece)
            yield piece

    def _pieces(self, first: bytes) -> Iterator[bytes]:
        piece: bytes | None = first
        while piece:
            self._raw.update(piece)
            yield piece
            piece = self._file.read(_PIECE)

    def digests(self) -> tuple[str, str]:
        """Return the sha256 of the file, and of its content, once all was read."""
        return self._raw.hexdigest(), (self._expanded if self._gzipped else self._raw).hexdigest()


def read_idx(path: Path, magic: int, limits: Limits = LIMITS) -> IdxFile:
    """Read one IDX file, plain or gzipped as its content says, and return its array and digests.

    Raises
    ------
    DataError
        The file is not IDX of this `magic`, is truncated or too long, does not decompress, or goes beyond the limits.
    """
    again = "Fetch the file again from its publisher."
    try:
        with open_input(path) as file:
            content = _Content(file)
            array = _decode(path, iter(content), magic, limits, os.fstat(file.fileno()).st_size)
            return IdxFile(array, *content.digests())
    except (OSError, EOFError, zlib.error) as error:
        with open_input(path) as file:
            kind = other_kind(file.read(HEAD) or b"", "")
        if kind and "gzip" not in kind.name:
            raise DataError(f"{path} is {kind.name}", _EXPECTED, f"{kind.fix}.") from error
        raise DataError(f"cannot read {path} ({error})", _EXPECTED, again) from error


def content_sha256(path: Path) -> str:
    """Return the sha256 of a file's content, expanded where it is gzipped; raises `DataError` as `read_idx` does."""
    try:
        with open_input(path) as file:
            content = _Content(file)
            for _ in content:
                pass
            return content.digests()[1]
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"cannot read {path} ({error})", _EXPECTED, "Fetch it again, or remove it."
        ) from error


def _inflated_pieces(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the content of gzipped bytes, whatever they expand to no more than `_PIECE` bytes at a time."""
    inflater = zlib.decompressobj(_GZIP)
    begun = False  # whether a member of the file has begun
    for raw in pieces:
        while raw:
            if not begun and not (
                raw := raw.lstrip(b"\0")
            ):  # padding between members and behind the last one
                break
            begun = True
            piece = inflater.decompress(raw, _PIECE)
            yield piece
            raw = inflater.unconsumed_tail
            while len(piece) == _PIECE and not raw and not inflater.eof:
                piece = inflater.decompress(b"", _PIECE)  # what the inflater still holds
                yield piece
            if inflater.eof:
                raw, inflater, begun = inflater.unused_data, zlib.decompressobj(_GZIP), False
    if begun:
        raise EOFError("the compressed data end too early")


def _decode(path: Path, pieces: Iterator[bytes], magic: int, limits: Limits, stored: int) -> NDArray[Any]:
    """Return the array of an IDX file's content, allocated once its header has passed the limits."""
    rank = magic & 0xFF
    header, data = 4 + 4 * rank, b""
    while len(data) < header and (piece := next(pieces, None)) is not None:
        data += piece
    actual = int.from_bytes(data[:4], "big")
    if len(data) < 4 or actual != magic:
        if actual not in _KINDS:
            if found := _other_array(data):
                expected = f"{_array(magic)}, as IDX files of {_KINDS[magic]} have"
                raise DataError(f"{path} {found[0]}", expected, found[1])
            if other := other_kind(data, ""):
                raise DataError(f"{path} is {other.name}", f"an IDX file of {_KINDS[magic]}", f"{other.fix}.")
        kind = f" (the magic of {_KINDS[actual]})" if actual in _KINDS else ""
        raise DataError(
            f"{path} begins with {data[:4].hex() or 'nothing'}{kind}",
            f"the IDX magic {magic:08x} of {_KINDS[magic]}",
            "Check that images and labels are not interchanged, and that the file is not compressed otherwise.",
        )
    shape = tuple(int(n) for n in np.frombuffer(data[4:header].ljust(4 * rank, b"\0"), ">u4"))
    dtype = _TYPES[magic >> 8]
    size = math.prod(shape) * dtype.itemsize
    swapped = tuple(int.from_bytes(n.to_bytes(4, "big"), "little") for n in shape)
    if max(swapped, default=0) < min(shape, default=0) and not 0 < size <= 1000 * stored:
        raise _little_endian(path, swapped)
    limits.check_ratio(f"{path}", size, stored)
    limits.check_bytes(f"{path}", size)
    array, count = np.empty(size, np.uint8), 0
    for piece in itertools.chain((data[header:],), pieces):
        end = min(count + len(piece), size + 1)
        if end <= size:
            array[count:end] = np.frombuffer(piece, np.uint8)
        count = end
        if count > size:
            break
    if count != size or len(data) < header:
        what = "is longer than its header states" if count > size else "is truncated"
        length = f"more than {header + size}" if count > size else f"{min(len(data), header) + count}"
        raise DataError(
            f"{path} {what}: {length} bytes",
            f"{header + size} bytes for {' × '.join(map(str, shape))}",
            "Fetch the file again from its publisher.",
        )
    return array.view(dtype).reshape(shape)


def _array(magic: int) -> str:
    """Return what a magic number states: ``unsigned bytes in 3 dimensions``."""
    rank = magic & 0xFF
    return f"{_ELEMENTS[magic >> 8]} in {rank} dimension{'s' if rank > 1 else ''}"


def _other_array(data: bytes) -> tuple[str, str] | None:
    """Return what another IDX file is, and the fix; None where it is none."""
    zero, again, kind, rank = struct.unpack("4B", data[:4].ljust(4, b"\xff"))
    if not zero and not again and kind in _ELEMENTS and 0 < rank <= _MOST_DIMENSIONS:
        fix = "Convert them to unsigned bytes, from 0 to 255, of (image, row, column), and labels of (image)."
        return f"has {_array(kind << 8 | rank)}", fix
    rank, kind, again, zero = struct.unpack("4B", data[:4].ljust(4, b"\xff"))
    if not zero and not again and kind in _ELEMENTS and 0 < rank <= _MOST_DIMENSIONS:
        return f"has numbers in little-endian byte order: it begins with {data[:4].hex()}", _BIG_ENDIAN
    return None


def _little_endian(path: Path, shape: tuple[int, ...]) -> DataError:
    return DataError(
        f"{path} has sizes in little-endian byte order: {' × '.join(map(str, shape))}",
        "numbers in big-endian byte order, as IDX files have",
        _BIG_ENDIAN,
    )
