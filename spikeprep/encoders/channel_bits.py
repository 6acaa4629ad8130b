"""Kernels' spikes of eight channels per step, one byte, as packed bits of each channel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import jit
from .._simd import bit_of_bytes, load_word
from ..data import Bits

_TRANSPOSE = tuple(
    (np.uint64(shift), np.uint64(mask))
    for shift, mask in ((7, 0x00AA00AA00AA00AA), (14, 0x0000CCCC0000CCCC), (28, 0x00000000F0F0F0F0))
)


@jit
def write_channels(
    fired: NDArray[np.uint8], first: int, channels: int, bits: Bits, stride: int, offset: int
) -> None:
    """Write the spikes of up to 8 channels from `first` on to units `stride` · channel + `offset` of `bits`.

    `fired` (step,) has a bit per channel, the first one lowest; its length, rounded down, is in whole bytes of steps.
    """
    last = min(fired.size // 8, bits.shape[1])
    whole = last - last % 8
    for channel in range(first, min(first + 8, channels)):
        unit = bits[stride * channel + offset]
        for byte in range(0, whole, 8):
            word = bit_of_bytes(fired, 8 * byte, channel - first)
            for n in range(8):
                unit[byte + n] = word & np.uint64(255)
                word >>= np.uint64(8)
    for byte in range(whole, last):
        # 8 steps × 8 channels of bits, transposed (Warren, Hacker's Delight, 7-3)
        x = load_word(fired, 8 * byte)
        for shift, mask in _TRANSPOSE:
            t = (x ^ x >> shift) & mask
            x ^= t ^ t << shift
        for channel in range(first, min(first + 8, channels)):
            bits[stride * channel + offset, byte] = x & np.uint64(255)
            x >>= np.uint64(8)
