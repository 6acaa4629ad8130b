"""Encoders of series whose spikes are an array of bools before they are packed."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import Bits
from ..packing import pack
from .base import plugin_error
from .channel_encoder import ChannelEncoder
from .channels import finite_channels


@dataclass(frozen=True)
class DenseEncoder(ChannelEncoder):
    """An encoder of channels that returns the spikes of one signal."""

    def write(self, values: NDArray[Any], bits: Bits) -> None:
        """Write the spikes of values (time, channel) to zeroed `bits` (unit, byte).

        Raises
        ------
        PluginError
            `spikes` returned no array of as many steps, channels and units.
        """
        spikes, each = self.spikes(finite_channels(self.name, values)), self.units_per_channel
        shape = (*values.shape, each) if each > 1 else values.shape
        if not isinstance(spikes, np.ndarray) or spikes.shape != shape:
            got = f"shape {spikes.shape}" if isinstance(spikes, np.ndarray) else type(spikes).__name__
            axes = "time, channel, units_per_channel" if each > 1 else "time, channel"
            raise plugin_error(self, f"returned spikes of {got}", f"an array of shape {shape}: ({axes})")
        packed = pack(spikes.reshape(len(values), len(bits)))
        bits[:, : packed.shape[1]] = packed

    @abstractmethod
    def spikes(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return the spikes of finite, contiguous values (time, channel).

        They are bool (time, channel, `units_per_channel`), by default 2: up and down; of 1, (time, channel).
        """
