"""Values → the binary digits of the value, most significant first, repeated over time (weighted phase coding).

A period has K phases; a spike in phase k = 1 … K weighs 2⁻ᵏ. An intensity x in [0, 1] spikes in the phases in which
min(⌊x 2ᴷ⌋, 2ᴷ − 1), written in binary with K digits, has a 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..config import Meta
from ..data import Bits
from ..packing import pack
from ..random import SampleKey
from .intensities import IntensityEncoder
from .windows import write_codes


def phase_reference(x: float, phases: int) -> list[bool]:
    """Return the spikes of one period of intensity x, as the paper writes it: what is left is compared with 2⁻ᵏ."""
    spikes, rest = [], min(x, 1 - 2.0**-phases)
    for k in range(1, phases + 1):
        spikes.append(rest >= 2.0**-k)
        rest -= 2.0**-k if spikes[-1] else 0.0
    return spikes


@lru_cache(4)
def _codes(phases: int, periods: int) -> Bits:
    """Return the packed spikes of a window for each of the 2^phases levels, uint8 (level, byte)."""
    level, digit = np.arange(1 << phases)[:, None], np.arange(phases)[::-1]
    period = (level >> digit & 1).astype(np.bool_)
    return np.ascontiguousarray(pack(np.tile(period, periods).T))


@dataclass(frozen=True)
class Phase(IntensityEncoder):
    """Weighted phase: a value's binary digits, most significant first, in every period.

    Encodes an image, an array of uint8, bool or floats (a unit per pixel), or `Frames` (a unit per channel, a window of
    phases · periods steps per frame). With 8 phases the spikes of a uint8 pixel are its own eight bits.

    Parameters
    ----------
    phases
        Phases of a period, a step each: the binary digits that are kept.
    periods
        How often the period is repeated.
    """

    name: ClassVar[str] = "phase"
    citation: ClassVar[str] = (
        "Kim, Kim, Huh, Lee & Choi 2018, Deep neural networks with weighted spikes, Neurocomputing 311"
    )

    phases: Annotated[int, Meta(ge=1, le=16)] = 8
    periods: Annotated[int, Meta(ge=1, le=1024)] = 8

    @property
    def window(self) -> int:
        """Steps of a window."""
        return self.phases * self.periods

    def levels(self, intensities: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the whole numbers whose binary digits intensities in [0, 1] are encoded as."""
        return np.minimum(intensities * (1 << self.phases), (1 << self.phases) - 1).astype(np.int64)

    def write(self, values: NDArray[Any], bits: Bits, rngs: Sequence[SampleKey | None]) -> None:
        """Write the spikes of `values` (sample, frame, value) to zeroed `bits` (sample, unit, byte)."""
        index, rows = self.table(values)
        levels, codes = self.levels(self.intensities(rows)), _codes(self.phases, self.periods)
        if index.dtype == np.uint8:
            codes = codes[levels]
        else:
            index = levels.reshape(index.shape)
        write_codes(index, codes, self.window, 1, bits)

    def candidates(self, signals: Sequence[Any]) -> dict[str, list[Any]]:
        """Return numbers of phases, and the range of `signals` where it is needed."""
        return super().candidates(signals) | {"phases": [2, 3, 4, 6, 8], "periods": [1]}

    def decode(self, spikes: NDArray[Any]) -> NDArray[np.float64]:
        """Return the sum of a period's weights, float64 (window, unit), from spikes (time, unit).

        The mean over periods, at most (high − low) · 2⁻ᴷ below the encoded value.
        """
        fired = self.windows(spikes)[..., 0]
        periods = fired.reshape(len(fired), self.periods, self.phases, -1).mean(axis=1)
        weights = 2.0 ** -np.arange(1, self.phases + 1)
        return self.restored(np.einsum("fpu,p->fu", periods, weights))
