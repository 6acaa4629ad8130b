"""MATLAB's .mat of version 5 (also 6 and 7): the variables that are arrays of real numbers.

They are decoded here, in bounded memory: SciPy's reader ends the process at some damaged ones, and goes down into
cells and structures as deep as they are nested. Version 7.3 is HDF5.
Source: MATLAB MAT-File Format, R2022b, chapter 1.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..input_files import InputFile

SIGNATURE = b"MATLAB 5.0 MAT-file"

_HEADER = 128
_ORDERS = {b"IM": "<", b"MI": ">"}  # at byte 126: the byte order
_MATRIX, _COMPRESSED = 14, 15
_COMPLEX = 0x08  # in the second byte of the flags
STRUCTURE = "a structure"
_OTHERS = {1: "a cell array", 2: STRUCTURE, 3: "an object", 4: "text", 5: "a sparse array"}  # by class
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_MOST_AXES = 32
_COPIES = 3  # of the numbers in memory: unpacked, decoded, and the columns of them


@dataclass(frozen=True)
class MatFile:
    """The variables of a file.

    Attributes
    ----------
    arrays
        Name → array of two axes or more.
    others
        Name of a variable that is no array of real numbers → what it is.
    """

    arrays: Mapping[str, NDArray[Any]]
    others: Mapping[str, str] = field(default_factory=dict)


class _Part(NamedTuple):
    """An element inside another: its type, its bytes, and where the next one begins."""

    kind: int
    data: memoryview
    end: int


def read_mat(file: InputFile) -> MatFile:
    """Read the variables of a file that begins with `SIGNATURE`.

    Raises
    ------
    DataError
        It is damaged, expands beyond the limits, or has two variables of one name.
    """
    head = file.head(_HEADER)
    order = _ORDERS.get(head[126:128], "")
    if len(head) < _HEADER or not order:
        raise _damaged(file, f"its header has {len(head)} bytes" if order else "its byte order is unknown")
    arrays: dict[str, NDArray[Any]] = {}
    others: dict[str, str] = {}
    for at, element in _elements(file, order):
        try:
            name, values = _variable(element, order)
        except (struct.error, ValueError) as error:
            raise _damaged(file, f"the variable at byte {at:,} is damaged ({error})") from error
        if name in arrays or name in others:
            raise DataError(f"{file.path} has two variables {name!r}", "different names", "Save it again.")
        if isinstance(values, str):
            others[name] = values
        else:
            arrays[name] = values
    return MatFile(arrays, others)


def _elements(file: InputFile, order: str) -> Iterator[tuple[int, bytes]]:
    """Yield where each variable begins, and its element, unpacked."""
    stream, length = file.stream, file.length()
    at, total = _HEADER, 0
    while at < length:
        stream.seek(at)
        kind, size = _tag(file, stream.read(8), order)
        if kind not in (_MATRIX, _COMPRESSED) or at + 8 + size > length:
            cut = f", and {length - at - 8:,} are left" if kind in (_MATRIX, _COMPRESSED) else ""
            raise _damaged(file, f"the element at byte {at:,} is of type {kind} with {size:,} bytes{cut}")
        total += size
        if kind == _COMPRESSED:
            data, total = _unpacked(file, order, at, size, total - size)
        else:
            file.limits.check_bytes(f"{file.path}", _COPIES * total)
            stream.seek(at)
            data = stream.read(8 + size)
        yield at, data
        at += 8 + size


def _unpacked(file: InputFile, order: str, at: int, size: int, total: int) -> tuple[bytes, int]:
    """Return a compressed element, and `total` with its bytes: as many as its own tag states, within the limits."""
    unpacker = zlib.decompressobj()
    file.stream.seek(at + 8)
    packed = file.stream.read(size)
    try:
        start = unpacker.decompress(packed, 8)
        kind, stated = _tag(file, start, order)
        if kind != _MATRIX:
            raise _damaged(file, f"the element at byte {at:,} holds one of type {kind}")
        file.limits.check_ratio(f"{file.path}", total + stated, file.length(), so_far=True)
        file.limits.check_bytes(f"{file.path}", _COPIES * (total + stated), so_far=True)
        data = start + unpacker.decompress(unpacker.unconsumed_tail, stated + 1)
    except zlib.error as error:
        raise _damaged(file, f"the element at byte {at:,}: {error}") from error
    if len(data) != 8 + stated:
        more = "more than " if len(data) > 8 + stated else ""
        raise _damaged(
            file,
            f"the element at byte {at:,} expands to {more}{min(len(data) - 8, stated):,} bytes of {stated:,}",
        )
    return data, total + stated


def _tag(file: InputFile, raw: bytes, order: str) -> tuple[int, int]:
    """Return the type of an element and its number of bytes."""
    if len(raw) < 8:
        raise _damaged(file, "it ends within the tag of an element")
    kind, size = struct.unpack(f"{order}II", raw)
    return kind, size


def _variable(element: bytes, order: str) -> tuple[str, NDArray[Any] | str]:
    """Return the name of a variable, and its array, or what it is where that is none of real numbers.

    Raises `ValueError` or `struct.error` where it is damaged.
    """
    whole = memoryview(element)
    flags = _part(whole, 8, order)
    shape = _part(whole, flags.end, order)
    name = _part(whole, shape.end, order)
    bits = struct.unpack_from(f"{order}I", flags.data)[0]
    text = bytes(name.data).decode("latin-1")
    stored = _CLASSES.get(bits & 0xFF)
    if stored is None or bits >> 8 & _COMPLEX:
        return text, "complex" if stored else _OTHERS.get(bits & 0xFF, "no array")
    sides = np.frombuffer(shape.data, f"{order}i4").tolist()
    if not 2 <= len(sides) <= _MOST_AXES or min(sides) < 0:
        raise ValueError(f"the shape {sides[:_MOST_AXES]}")
    numbers = _part(whole, name.end, order)
    if numbers.kind not in _STORED:
        raise ValueError(f"numbers of type {numbers.kind}")
    values = np.frombuffer(numbers.data, order + _STORED[numbers.kind])
    if len(values) != math.prod(sides):
        raise ValueError(f"{len(values):,} numbers of {math.prod(sides):,}")
    with np.errstate(invalid="ignore", over="ignore"):
        return text, values.astype(stored).reshape(sides, order="F")


def _part(whole: memoryview, at: int, order: str) -> _Part:
    """Return the element at a byte of another."""
    kind, size = struct.unpack_from(f"{order}II", whole, at)
    begin, end = at + 8, at + 8 + -(-size // 8) * 8
    if short := kind >> 16:  # of up to four bytes, in its own tag
        kind, size, begin, end = kind & 0xFFFF, short, at + 4, at + 8
        if size > 4:
            raise ValueError(f"a short element of {size:,} bytes")
    if begin + size > len(whole):
        raise ValueError(f"{size:,} bytes at byte {begin:,} of {len(whole):,}")
    return _Part(kind, whole[begin : begin + size], end)


def _damaged(file: InputFile, what: str) -> DataError:
    return DataError(
        f"{file.path} cannot be read: {what}", "an undamaged MATLAB file", "Fetch or save it again."
    )
