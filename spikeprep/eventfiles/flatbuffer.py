"""The part of FlatBuffers that AEDAT 4 needs: tables with scalars, a string, a vector of structs or of tables.

Source: https://flatbuffers.dev/internals/
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table in `data`, one size-prefixed buffer; offsets that point outside it raise `struct.error`."""

    data: bytes
    at: int

    @classmethod
    def root(cls, data: bytes, identifier: bytes) -> Table:
        """Return the root table of a size-prefixed buffer; raises `ValueError` unless it has `identifier`."""
        if data[8:12] != identifier:
            raise ValueError(f"identifier {data[8:12]!r}, not {identifier!r}")
        return cls(data, 4 + struct.unpack_from("<I", data, 4)[0])

    def _field(self, slot: int) -> int:
        """Return the offset of field `slot`, 0 where it is absent."""
        vtable = self.at - self._unpack("<i", self.at)
        if vtable < 0 or 4 + 2 * slot >= self._unpack("<H", vtable):
            return 0
        offset = self._unpack("<H", vtable + 4 + 2 * slot)
        return self.at + offset if offset else 0

    def _unpack(self, form: str, at: int) -> int:
        return int(struct.unpack_from(form, self.data, at)[0])

    def scalar(self, slot: int, form: str, default: int = 0) -> int:
        """Return a number, `form` as in `struct`."""
        at = self._field(slot)
        return self._unpack(form, at) if at else default

    def vector(self, slot: int, itemsize: int) -> tuple[int, int]:
        """Return the offset of a vector's first item and their number; raises `ValueError` where they do not fit."""
        at = self._field(slot)
        if not at:
            return 0, 0
        at += self._unpack("<I", at)
        count = self._unpack("<I", at)
        if at + 4 + count * itemsize > len(self.data):
            raise ValueError(f"{count} items of {itemsize} bytes in {len(self.data)} bytes")
        return at + 4, count

    def string(self, slot: int) -> str:
        """Return a string."""
        at, count = self.vector(slot, 1)
        return self.data[at : at + count].decode("utf-8")


def table_buffer(identifier: bytes, fields: Sequence[tuple[int, bytes]], tail: bytes, more: int = 0) -> bytes:
    """Return a size-prefixed buffer: a root table, then what its last field, an offset, points to.

    Parameters
    ----------
    identifier
        Four bytes.
    fields
        Slot and value of each field but the last, in the order in which they are stored; those of 8 bytes first.
    tail
        A vector, or a string: its length in 4 bytes and its items, which begin at a multiple of 8 bytes. The slot that
        points to it is the first one that `fields` does not have.
    more
        Bytes that the caller adds behind it: a multiple of 8.
    """
    slots = [slot for slot, _ in fields]
    last = next(slot for slot in range(len(slots) + 1) if slot not in slots)
    offsets, size = [0] * (len(slots) + 1), 4
    for slot, value in fields:
        offsets[slot], size = size, size + len(value)
    offsets[last], size = size, size + 4
    vtable = struct.pack(f"<HH{len(offsets)}H", 4 + 2 * len(offsets), size, *offsets)
    table = _aligned(_VTABLE + len(vtable))
    vector = _aligned(table + size)
    values = b"".join(value for _, value in fields)
    body = (
        struct.pack("<I4s", table - 4, identifier) + vtable.ljust(table - _VTABLE, b"\0")
        + struct.pack("<i", table - _VTABLE) + values
        + struct.pack("<I", vector - (table + offsets[last])).ljust(vector - table - offsets[last], b"\0")
        + tail
    )  # fmt: skip
    body += bytes(-(len(body) + 4) % 8)
    return struct.pack("<I", len(body) + more) + body


_VTABLE = 12  # offset of the root table's vtable: behind size, root and identifier


def _aligned(at: int) -> int:
    """Return the first offset from `at` on that is 4 more than a multiple of 8: what follows 4 bytes is aligned."""
    return at + (4 - at) % 8
