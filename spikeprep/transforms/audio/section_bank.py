"""What the banks of recursive filters share: an envelope of each channel, and frames of it."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .base import Samples
from .filter_bank import FilterBank
from .section_filters import block_means


@dataclass(frozen=True)
class SectionBank(FilterBank):
    """A `FilterBank` of cascades of second-order sections.

    Parameters
    ----------
    envelope
        What a frame takes of a channel's output y over its window: ``"power"``, twice the mean of y²; or
        ``"rectified"``, the mean of max(y, 0), a half-wave rectification and a low pass, as the amplitude a / π of a
        sine, squared. Of a sine both are the same.
    """

    envelope: Literal["power", "rectified"] = "power"

    @abstractmethod
    def sections(self, rate: float) -> NDArray[np.float64]:
        """Return the coefficients b0 b1 b2 a1 a2 (a0 is 1) of each channel, float64 (section, 5, channel)."""

    def power(self, samples: Samples, rate: float, frames: int) -> NDArray[Any]:
        """Return the power of each frame and channel relative to a sine of full scale, float64 (frame, channel)."""
        hop, window = self.hop_samples(rate), self.window_samples(rate)
        block = math.gcd(hop, window)
        used = max((frames - 1) * hop + window, 0) if frames else 0
        means = block_means(samples[:used], self.sections(rate), block, self.envelope == "power")
        step, width = hop // block, window // block
        power = np.zeros((frames, means.shape[1]))
        for first in range(width if frames else 0):
            power += means[first : first + (frames - 1) * step + 1 : step]
        if self.envelope == "power":
            power *= 2 / width
        else:
            power *= np.pi / width
            power *= power
        return power
