"""Small recordings, written from each format's published description."""

from __future__ import annotations

import numpy as np


def nmnist_bytes(x, y, t, p) -> bytes:
    """Five bytes an event: x, y, then p in the top bit of a 24-bit big-endian word whose other bits are t."""
    x, y, t, p = (np.asarray(v, np.int64) for v in (x, y, t, p))
    return np.stack([x, y, p << 7 | t >> 16, t >> 8 & 255, t & 255], axis=1).astype(np.uint8).tobytes()
