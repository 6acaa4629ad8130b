"""Spikes as bools ↔ spikes as bits; the one place that knows the bit order (little: bit k is step 8 b + k)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .data import Bits


def pack(spikes: NDArray[Any]) -> Bits:
    """Pack spikes (…, time, unit), any dtype, nonzero meaning a spike, into bits (…, unit, ceil(time / 8))."""
    return np.packbits(np.moveaxis(spikes, -2, -1) != 0, axis=-1, bitorder="little")


def unpack(bits: Bits, steps: int) -> NDArray[np.bool_]:
    """Unpack bits (…, unit, byte) into bool spikes (…, time, unit) of the first `steps` steps."""
    dense = np.unpackbits(bits, axis=-1, count=steps, bitorder="little").view(np.bool_)
    return np.ascontiguousarray(np.moveaxis(dense, -1, -2))


def popcount(bits: NDArray[Any]) -> NDArray[np.int64]:
    """Count the spikes of bits (…, byte) along the last axis."""
    width = bits.shape[-1]
    if width % 8 == 0 and bits.flags.c_contiguous and width:
        bits = bits.view(np.uint64)
    counts: NDArray[np.int64] = np.bitwise_count(bits).sum(axis=-1, dtype=np.int64)
    return counts


def padding_mask(steps: NDArray[np.integer[Any]], width: int) -> Bits:
    """Return uint8 (sample, width) with ones at every bit at or past each sample's `steps`."""
    first = np.arange(width, dtype=np.int64)[None, :] * 8
    kept = np.clip(np.asarray(steps, np.int64)[:, None] - first, 0, 8)
    mask: Bits = (0xFF << kept & 0xFF).astype(np.uint8)
    return mask


def overrun(bits: Bits, steps: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
    """Return which samples of bits (sample, unit, byte) have a spike at or past their own `steps`, bool (sample,)."""
    width = bits.shape[-1]
    found = np.zeros(len(bits), bool)
    for n in np.flatnonzero(np.asarray(steps) < 8 * width):  # of most samples only the last byte is looked at
        first, bit = divmod(int(steps[n]), 8)
        found[n] = (bits[n, :, first] >> bit).any() or bits[n, :, first + 1 :].any()
    return found
