"""Encoders of series whose kernels take `WIDTH` channels at a time and write packed bits."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._jit import jit
from .._simd import LINE
from ..data import Bits
from .channel_bits import write_channels
from .channel_encoder import ChannelEncoder
from .channels import finite_channels

WIDTH = LINE // 8
"""Channels that a kernel takes at a time: the float64 of one cache line, and the bits of a byte."""


@jit
def write_bits(fired: NDArray[np.uint8], first: int, channels: int, bits: Bits) -> None:
    """Write up (half 0) and down (half 1) of `WIDTH` channels from `first` on to units 2 c and 2 c + 1 of `bits`."""
    for half in range(2):
        write_channels(fired[half], first, channels, bits, 2, half)


@jit
def scratch(values: NDArray[np.float64], steps: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Return zeros (2, step) for a byte of channels that go up and down in each step, and what `load_padded` needs.

    That is the last `WIDTH` flat values, or all of fewer, and zeros.
    """
    fired, tail = np.zeros((2, (steps + 63) // 64 * 64), np.uint8), np.zeros(2 * WIDTH)
    begin = max(values.size - WIDTH, 0)
    for n in range(begin, values.size):
        tail[n - begin] = values[n]
    return fired, tail


@dataclass(frozen=True)
class LaneEncoder(ChannelEncoder):
    """A signed encoder whose kernel writes the bits of one signal."""

    def write(self, values: NDArray[Any], bits: Bits) -> None:
        """Write the spikes of values (time, channel) to zeroed `bits` (unit, byte)."""
        steps, channels = values.shape
        if values.dtype == np.float64 and values.flags.carray:
            flat = values.reshape(-1)
        else:
            with np.errstate(over="ignore"):  # what float64 cannot hold becomes infinite
                flat = np.array(values, np.float64, order="C").reshape(-1)
        if not self.run(flat, (steps, channels), bits):
            finite_channels(self.name, values)  # raises, and says where

    @abstractmethod
    def run(self, values: NDArray[np.float64], shape: tuple[int, int], bits: Bits) -> bool:
        """Write the spikes of values of a shape (time, channel); return whether all are finite.

        `values` is flat and may be the caller's.
        """
