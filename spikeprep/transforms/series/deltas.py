"""Channels → channels and their changes over time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import numpy as np

from ...config import Meta
from ...data import Frames
from ...encoders.base import Transform
from ...encoders.channels import channels_of
from ...random import SampleKey


@dataclass(frozen=True)
class Deltas(Transform):
    """Add the slope of each channel over time as further channels: of `Frames`, or of an array (time, channel).

    The slope at step t is that of the line through steps t − `width` … t + `width`, by least squares: the sum of
    n (c[t + n] − c[t − n]) over n = 1 … `width`, divided by 2 Σ n²; past the ends the first and the last value stay.
    Slopes have either sign: `rectify` behind it suits encoders that need values of at least 0.

    Parameters
    ----------
    order
        1: the slopes; 2: the slopes of these too. All channels come first, then all slopes, then all of theirs.
    width
        Steps to each side.
    """

    name: ClassVar[str] = "deltas"
    citation: ClassVar[str] = "Young et al. 2006, The HTK Book (equation 5.16)"

    order: Annotated[int, Meta(ge=1, le=2)] = 1
    width: Annotated[int, Meta(ge=1, le=1000)] = 2

    def outline(self, signal: Any, rng: SampleKey | None = None) -> Any:
        """Return channels of the shape that `signal` gives, all zero, at no cost."""
        steps, channels = channels_of(self.name, signal).shape
        return _with_values(signal, np.broadcast_to(0.0, (steps, channels * (1 + self.order))))

    def __call__(self, signal: Any, *, rng: SampleKey | None = None) -> Any:
        """Return channels and slopes, float64 (time, channel); raises `SignalError` for anything else."""
        parts = [channels_of(self.name, signal).astype(np.float64)]
        for _ in range(self.order):
            parts.append(self._slopes(parts[-1]))
        return _with_values(signal, np.concatenate(parts, axis=1))

    def _slopes(self, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        slopes = np.zeros_like(values)
        if not len(values):
            return slopes
        padded = np.pad(values, ((self.width, self.width), (0, 0)), mode="edge")
        for n in range(1, self.width + 1):
            after = padded[self.width + n : self.width + n + len(values)]
            slopes += n * (after - padded[self.width - n : self.width - n + len(values)])
        return slopes / (2 * sum(n * n for n in range(1, self.width + 1)))


def _with_values(signal: Any, values: np.ndarray[Any, Any]) -> Any:
    return replace(signal, values=values) if isinstance(signal, Frames) else values
