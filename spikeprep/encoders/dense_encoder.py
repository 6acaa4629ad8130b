"""Encoders of series whose spikes are an array of bools before they are packed."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import Bits
from ..packing import pack
from .channel_encoder import ChannelEncoder
from .channels import finite_channels


@dataclass(frozen=True)
class DenseEncoder(ChannelEncoder):
    """An encoder of channels that returns the spikes of one signal."""

    def write(self, values: NDArray[Any], bits: Bits) -> None:
        """Write the spikes of values (time, channel) to zeroed `bits` (unit, byte)."""
        spikes = self.spikes(finite_channels(self.name, values))
        packed = pack(spikes.reshape(len(values), len(bits)))
        bits[:, : packed.shape[1]] = packed

    @abstractmethod
    def spikes(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return the spikes of finite, contiguous values (time, channel), bool (time, channel[, units per channel])."""
