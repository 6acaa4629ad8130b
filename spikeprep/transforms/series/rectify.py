"""Signed channels → channels of at least 0, as encoders by spike rates need them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ...config import Real
from ...data import Frames
from ...encoders.base import Transform
from ...encoders.channels import channels_of
from ...random import SampleKey


@dataclass(frozen=True)
class Rectify(Transform):
    """Rectify `Frames`, or an array (time, channel) or (time,): nothing below 0 is left.

    Of a sine of ±1, BSA (preset schrauwen2003) would rebuild 3 dB; of its two parts it rebuilds 26 dB, and 17 dB where
    it is shifted into [0, 1].

    Parameters
    ----------
    keep
        ``"both"``: the positive parts of all channels, then the negative parts of all as positive values: twice as many
        channels. ``"positive"``: the positive parts. ``"absolute"``: the absolute values.
    offset
        Is added first. ``offset=1`` and ``keep="positive"`` shift a signal in ±1 to [0, 2].
    """

    name: ClassVar[str] = "rectify"
    citation: ClassVar[str] = (
        "Slaney 1998, Auditory Toolbox version 2, Interval Research TR 1998-010 (half-wave rectification)"
    )

    keep: Literal["both", "positive", "absolute"] = "both"
    offset: Real = 0.0

    def outline(self, signal: Any, rng: SampleKey | None = None) -> Any:
        """Return channels of the shape that `signal` gives, all zero, at no cost."""
        frames, channels = channels_of(self.name, signal).shape
        return _with_values(
            signal, np.broadcast_to(0.0, (frames, channels * (2 if self.keep == "both" else 1)))
        )

    def __call__(self, signal: Any, *, rng: SampleKey | None = None) -> Any:
        """Return the rectified channels, float64 (time, channel); raises `SignalError` for anything else."""
        values = channels_of(self.name, signal) + np.float64(self.offset)
        if self.keep == "absolute":
            return _with_values(signal, np.abs(values))
        positive = np.maximum(values, 0)
        if self.keep == "positive":
            return _with_values(signal, positive)
        return _with_values(signal, np.concatenate([positive, np.maximum(-values, 0)], axis=1))


def _with_values(signal: Any, values: NDArray[np.float64]) -> Any:
    return replace(signal, values=values) if isinstance(signal, Frames) else values
