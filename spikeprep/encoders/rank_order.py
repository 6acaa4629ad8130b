"""Values → the order of their sizes: the largest spikes first, one spike per unit (rank order coding).

Of the n values of a window that are above the threshold, one with r larger ones spikes in step ⌊r T / n⌋ of T. Equal
values have the same rank and so the same step. Neither scale nor offset of the values matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .._jit import jit
from ..config import Meta, Real
from ..data import Bits
from ..errors import DataError
from ..random import SampleKey
from .windows import LONGEST, SILENT, WindowEncoder, write_times


def rank_order_reference(values: NDArray[np.float64], steps: int, threshold: float) -> list[int]:
    """Return the step in which each of the values of one window spikes, as the definition says it; −1 for none."""
    fire = [x for x in values.tolist() if x > threshold]
    return [
        sum(y > x for y in fire) * steps // len(fire) if x > threshold else SILENT for x in values.tolist()
    ]


@jit
def _times(values: NDArray[Any], order: NDArray[np.int64], threshold: float, steps: int) -> NDArray[np.int32]:
    """Return the times of values (window, value), whose ascending order is `order`, int32 (window · value, 1)."""
    windows, size = values.shape
    times = np.full((windows * size, 1), -1, np.int32)
    for w in range(windows):
        firing = 0
        for place in range(size - 1, -1, -1):
            if not values[w, order[w, place]] > threshold:
                break
            firing += 1
        rank = 0
        for r in range(firing):
            value = order[w, size - 1 - r]
            if r and values[w, value] < values[w, order[w, size - r]]:
                rank = r
            times[w * size + value, 0] = rank * steps // firing
    return times


@jit
def _times_of_bytes(
    values: NDArray[np.uint8], fires: NDArray[np.bool_], steps: int, times: NDArray[np.int32]
) -> None:
    """Write the times of values (window, value) to `times` (window · 256, 1), one per window and byte."""
    windows, size = values.shape
    count = np.zeros(256, np.int64)
    for w in range(windows):
        count[:] = 0
        for n in range(size):
            count[values[w, n]] += 1
        firing = 0
        for level in range(256):
            firing += count[level] if fires[level] else 0
        rank = 0
        for level in range(255, -1, -1):
            if fires[level] and count[level]:
                times[w * 256 + level, 0] = rank * steps // firing
                rank += count[level]


@dataclass(frozen=True)
class RankOrder(WindowEncoder):
    """Rank order: one spike per unit, in the order of the values' sizes, the largest first.

    Encodes an image, an array of uint8, bool or finite floats (a unit per pixel), or `Frames` (a unit per channel, a
    window of `steps` steps per frame, ranked by itself). There is no `decode`: the order does not tell the values.

    Parameters
    ----------
    steps
        Steps of a window. With fewer values that spike than steps, every rank has a step of its own.
    threshold
        Only larger values spike, of uint8 images than its share of 255: a background of zeros is silent.
    """

    name: ClassVar[str] = "rank_order"
    citation: ClassVar[str] = (
        "Thorpe & Gautrais 1998, Rank order coding, in: Computational Neuroscience: Trends in Research, Plenum"
    )

    steps: Annotated[int, Meta(ge=1, le=LONGEST)] = 100
    threshold: Real = 0.0

    @property
    def window(self) -> int:
        """Steps of a window."""
        return self.steps

    def write(self, values: NDArray[Any], bits: Bits, rngs: Sequence[SampleKey | None]) -> None:
        """Write the spikes of `values` (sample, frame, value) to zeroed `bits` (sample, unit, byte)."""
        windows = values.reshape(-1, values.shape[2])
        if values.dtype == np.uint8:
            times = np.full((len(windows) * 256, 1), SILENT, np.int32)
            _times_of_bytes(windows, np.arange(256) / 255 > self.threshold, self.steps, times)
            row = np.arange(len(windows)).reshape(*values.shape[:2], 1) * 256
            write_times(row + values, times, self.steps, 1, bits)
            return
        if not np.isfinite(values).all():
            raise DataError(
                "rank_order: got values that are NaN or infinite", "finite ones", "Repair the signal."
            )
        times = _times(windows, np.argsort(windows, axis=1), float(self.threshold), self.steps)
        write_times(np.arange(values.size).reshape(values.shape), times, self.steps, 1, bits)
