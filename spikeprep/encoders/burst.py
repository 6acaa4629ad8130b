"""Values → bursts: the larger a value, the more spikes and the shorter the intervals between them.

Intensity x in [0, 1] has N = ⌈N_max x⌉ spikes, the first in step 0 of the window, with intervals of
⌈I_max − (I_max − I_min) x⌉ steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..config import Meta
from ..data import Bits
from ..errors import UsageError
from ..packing import pack
from ..random import SampleKey
from .intensities import IntensityEncoder
from .windows import LONGEST, write_codes


def burst_reference(x: float, steps: int, most: int, shortest: int, longest: int) -> list[bool]:
    """Return the spikes of one window of intensity x, as the paper writes it."""
    interval = math.ceil(longest - (longest - shortest) * x)
    times = [n * interval for n in range(math.ceil(most * x))]
    return [t in times for t in range(steps)]


@lru_cache(8)
def _codes(steps: int, most: int, shortest: int, longest: int) -> Bits:
    """Return the packed spikes of every number of spikes with every interval, uint8 (code, byte).

    Code (interval − shortest) · (most + 1) + number; combinations that do not fit are cut, and do not occur.
    """
    spikes = np.zeros((longest - shortest + 1, most + 1, steps), np.bool_)
    for row, interval in enumerate(range(shortest, longest + 1)):
        for number in range(1, most + 1):
            spikes[row, number, : (number - 1) * interval + 1 : interval] = True
    return np.ascontiguousarray(pack(spikes.reshape(-1, steps).T))


@dataclass(frozen=True)
class Burst(IntensityEncoder):
    """Burst: a value's spikes begin the window, the larger the value the more and the denser.

    Encodes an image, an array of uint8, bool or floats (a unit per pixel), or `Frames` (a unit per channel, a window of
    `steps` steps per frame).

    Parameters
    ----------
    steps
        Steps of a window: enough for the longest burst.
    spikes
        N_max, spikes at intensity 1; the paper's is 5.
    shortest
        I_min, steps from one spike to the next at intensity 1; the paper's is 2.
    longest
        I_max, steps from one spike to the next towards intensity 0.
    """

    name: ClassVar[str] = "burst"
    citation: ClassVar[str] = (
        "Guo, Fouda, Eltawil & Salama 2021, Neural coding in spiking neural networks: a comparative study for robust "
        "neuromorphic systems, Frontiers in Neuroscience 15"
    )

    steps: Annotated[int, Meta(ge=1, le=LONGEST)] = 32
    spikes: Annotated[int, Meta(ge=1, le=256)] = 5
    shortest: Annotated[int, Meta(ge=1, le=256)] = 2
    longest: Annotated[int, Meta(ge=1, le=256)] = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shortest > self.longest:
            raise UsageError(
                f"got burst.shortest = {self.shortest} and burst.longest = {self.longest}",
                "shortest at most longest",
            )
        least = self._longest_burst()
        if self.steps < least:
            raise UsageError(
                f"got burst.steps = {self.steps}",
                f"at least {least}, the longest burst of these settings",
                "Raise burst.steps, or lower burst.spikes or burst.longest.",
            )

    @property
    def window(self) -> int:
        """Steps of a window."""
        return self.steps

    def _longest_burst(self) -> int:
        """Return the steps of the longest burst; n spikes need x > (n − 1) / N_max, which bounds the interval."""
        difference, most = self.longest - self.shortest, self.spikes
        intervals = [self.longest - difference * (n - 1) // most for n in range(1, most + 1)]
        return max(n * interval + 1 for n, interval in enumerate(intervals))

    def write(self, values: NDArray[Any], bits: Bits, rngs: Sequence[SampleKey | None]) -> None:
        """Write the spikes of `values` (sample, frame, value) to zeroed `bits` (sample, unit, byte)."""
        index, rows = self.table(values)
        x = self.intensities(rows)
        number = np.ceil(self.spikes * x)
        interval = np.ceil(self.longest - (self.longest - self.shortest) * x)
        rows_of_codes = ((interval - self.shortest) * (self.spikes + 1) + number).astype(np.int64)
        codes = _codes(self.steps, self.spikes, self.shortest, self.longest)
        if index.dtype == np.uint8:
            codes = codes[rows_of_codes]
        else:
            index = rows_of_codes.reshape(index.shape)
        write_codes(index, codes, self.steps, 1, bits)

    def candidates(self, signals: Sequence[Any]) -> dict[str, list[Any]]:
        """Return numbers of spikes, and the range of `signals` where it is needed."""
        return super().candidates(signals) | {"spikes": [2, 3, 5, 8], "steps": [64]}

    def decode(self, spikes: NDArray[Any]) -> NDArray[np.float64]:
        """Return the middle of the values that have such a burst, float64 (window, unit), from spikes (time, unit).

        The number of spikes and the interval each leave a range of intensities; the value is the middle of both ranges'
        intersection, and `low` for a silent unit.
        """
        fired = self.windows(spikes)[..., 0]
        number = fired.sum(axis=1)
        low, high = np.maximum(number - 1, 0) / self.spikes, number / self.spikes
        last = fired.shape[1] - 1 - fired[:, ::-1].argmax(axis=1)
        difference = self.longest - self.shortest
        if difference:
            interval = (last - fired.argmax(axis=1)) / np.maximum(number - 1, 1)
            of_interval = (self.longest - interval) / difference
            low = np.where(number > 1, np.maximum(low, of_interval), low)
            high = np.where(number > 1, np.minimum(high, of_interval + 1 / difference), high)
        return self.restored((low + np.minimum(high, 1)) / 2)
