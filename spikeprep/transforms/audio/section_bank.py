"""What the banks of recursive filters share: an envelope of each channel, and frames of it."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .base import Samples
from .filter_bank import FilterBank
from .section_filters import block_sums


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
        whole, rest = divmod(window, hop)  # hops of a window, and samples beyond
        lengths = (rest, hop - rest) if rest else (hop, hop)
        used = (frames - 1) * hop + window if frames else 0
        sums = block_sums(samples[:used], self.sections(rate), lengths, self.envelope == "power")
        # frame k begins with block `step` · k, and ends with the block of `rest` samples if there is one
        step = 2 if rest else 1
        power = np.zeros((frames, sums.shape[1]))
        for first in range(step * whole + (rest > 0) if frames else 0):
            power += sums[first : first + (frames - 1) * step + 1 : step]
        if self.envelope == "power":
            power *= 2 / window
        else:
            power *= np.pi / window
            power *= power
        return power
