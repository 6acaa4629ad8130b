"""The part of FlatBuffers that AEDAT 4 needs: tables with scalars, a string, a vector of structs.

Source: https://flatbuffers.dev/internals/
"""

from __future__ import annotations

import struct
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
