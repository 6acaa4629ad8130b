"""Kernels' spikes of eight channels per step, one byte, as packed bits of each channel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import jit
from .._simd import bit_of_bytes
from ..data import Bits


@jit
def write_channels(
    fired: NDArray[np.uint8], first: int, channels: int, bits: Bits, stride: int, offset: int
) -> None:
    """Write the spikes of up to 8 channels from `first` on to units `stride` · channel + `offset` of `bits`.

    `fired` (step,) has a bit per channel, the first one lowest, and zeros after the last step; it is read in whole 64
    steps.
    """
    last = min(fired.size // 64 * 8, bits.shape[1])
    for channel in range(first, min(first + 8, channels)):
        unit = bits[stride * channel + offset]
        for byte in range(0, last, 8):
            word = bit_of_bytes(fired, 8 * byte, channel - first)
            for n in range(byte, min(byte + 8, last)):
                unit[n] = word & np.uint64(255)
                word >>= np.uint64(8)
