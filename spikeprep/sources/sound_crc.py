"""The checksum that encoders of MP3 put into the first frame."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._jit import jit


def _table() -> NDArray[np.uint16]:
    table = np.arange(256, dtype=np.uint16)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ 0xA001, table >> 1).astype(np.uint16)
    return table


_TABLE = _table()


def crc16(data: bytes) -> int:
    """Return CRC-16/ARC: the polynomial 0x8005, bits from the lowest on, from 0."""
    return int(_crc16(np.frombuffer(data, np.uint8), _TABLE))


@jit
def _crc16(data: Any, table: Any) -> Any:
    crc = np.uint16(0)
    for byte in data:
        crc = np.uint16(crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return crc
