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


@dataclass(frozen=True)
class LaneEncoder(ChannelEncoder):
    """A signed encoder whose kernel writes the bits of one signal."""

    def write(self, values: NDArray[Any], bits: Bits) -> None:
        """Write the spikes of values (time, channel) to zeroed `bits` (unit, byte)."""
        steps, channels = values.shape
        flat = np.empty(values.size + WIDTH)
        flat[values.size :] = 0.0
        shaped = flat[: values.size].reshape(steps, channels)
        if values.dtype.itemsize <= shaped.itemsize:
            shaped[...] = values
        else:
            with np.errstate(over="ignore"):  # what float64 cannot hold becomes infinite
                shaped[...] = values
        fired = np.zeros((2, 8 * -(-steps // 8)), np.uint8)
        if not self.run(flat, (steps, channels), fired, bits):
            finite_channels(self.name, values)  # raises, and says where

    @abstractmethod
    def run(
        self, values: NDArray[np.float64], shape: tuple[int, int], fired: NDArray[np.uint8], bits: Bits
    ) -> bool:
        """Write the spikes of values of a shape (time, channel); return whether all are finite.

        `values` is flat, with `WIDTH` zeros after the last; `fired` (2, step) is scratch, all zero: a byte of channels
        that go up, and of channels that go down, in each step.
        """
