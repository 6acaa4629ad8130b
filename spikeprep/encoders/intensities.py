"""Values in a range, as intensities: what an encoder of values needs that is not indifferent to their scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import Real
from ..data import Frames
from ..errors import DataError, UsageError
from .windows import WindowEncoder

_BYTES = np.arange(256)


@dataclass(frozen=True)
class IntensityEncoder(WindowEncoder):
    """A `WindowEncoder` of values in a range.

    Parameters
    ----------
    low
        The value that stands for intensity 0. The value of a pixel of a uint8 image is its byte / 255.
    high
        The value that stands for intensity 1.
    clip
        Whether values beyond `low` and `high` are encoded as these; without it they are refused.
    """

    low: Real = field(default=0.0, kw_only=True)
    high: Real = field(default=1.0, kw_only=True)
    clip: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.low < self.high:
            raise UsageError(f"got {self.name}.low = {self.low:g} and high = {self.high:g}", "low below high")

    def table(self, values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Return (index, rows) such that rows[index] are the values (sample, frame, value), float64 (row,).

        Rows lie between `low` and `high`. Of uint8 images they are those of all bytes, each encoded once.

        Raises
        ------
        DataError
            A value is NaN, or beyond `low` or `high` where `clip` is not set.
        """
        of_bytes = values.dtype == np.uint8
        least, most = (float(values.min()), float(values.max())) if values.size else (self.low, self.high)
        if of_bytes:
            least, most = least / 255, most / 255
        if not (self.low <= least and most <= self.high):  # a NaN fails both
            self._refuse_or_clip(least, most)
        rows = _BYTES / 255 if of_bytes else values.reshape(-1)
        index = values if of_bytes else np.arange(values.size).reshape(values.shape)
        return index, np.clip(rows, self.low, self.high)

    def _refuse_or_clip(self, least: float, most: float) -> None:
        if np.isnan(least) or np.isnan(most):
            raise DataError(f"{self.name}: got values that are NaN", "numbers", "Repair the signal.")
        if not self.clip:
            raise DataError(
                f"{self.name}: got values from {least:g} to {most:g}",
                f"{self.low:g} to {self.high:g}",
                f"Set {self.name}.low and {self.name}.high to the range of the data, or {self.name}.clip=true.",
            )

    def intensities(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (value − low) / (high − low), in [0, 1], of values between `low` and `high`."""
        if self.low == 0 and self.high == 1:
            return values
        return np.asarray(np.clip((values - self.low) / (self.high - self.low), 0.0, 1.0))

    def candidates(self, signals: Sequence[Any]) -> dict[str, list[Any]]:
        """Return setting → values worth trying: here the range of `signals`, where it is beyond `low` and `high`."""
        values = [np.asarray(s.values if isinstance(s, Frames) else s) for s in signals]
        floats = [v for v in values if v.dtype.kind == "f" and v.size]
        least = min((float(v.min()) for v in floats), default=self.low)
        most = max((float(v.max()) for v in floats), default=self.high)
        if (self.low <= least and most <= self.high) or not np.isfinite(most - least):
            return {}
        return {"low": [min(self.low, least)], "high": [max(self.high, most)], "clip": [True]}

    def restored(self, intensities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return intensities as values between `low` and `high`."""
        return np.asarray(self.low + (self.high - self.low) * intensities)
