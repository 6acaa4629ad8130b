"""What the front ends beside Lyon's ear share: their band of frequencies, their frames, and the compression."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..._jit import jit
from ..._simd import LINE, larger, load_line, logarithm, smaller, spread_line, store
from ...config import Meta, NonNegative, Positive
from ...data import Audio, Frames
from ...errors import UsageError
from ...random import SampleKey
from .base import FrontEnd, Samples
from .samples import checked_samples

Compression = Literal["none", "square_root", "cube_root", "log", "decibels"]
Seconds = Annotated[float, Meta(gt=0, le=3600)]

_LEVELS = {"none": 0.03, "square_root": 0.17, "cube_root": 0.3, "log": 1.0, "decibels": 1.0}

_QUANTITIES = {"none": "power", "square_root": "√ power", "cube_root": "∛ power", "log": "ln power"}


@dataclass(frozen=True)
class FilterBank(FrontEnd):
    """Audio → `Frames` of the power in bands of frequency, channel 0 the highest.

    Power is relative to that of a sine of full scale, so that values depend on the sound alone, then compressed.

    Parameters
    ----------
    channels
        Number of channels.
    low, high
        Band of frequencies in Hz; `high` 0 is half the rate of the sound.
    hop
        Seconds from one frame to the next, rounded to whole samples. 0.016 is HM2-BP's on TI46.
    window
        Seconds of sound that a frame summarises.
    compression
        Of the power p: ``"decibels"``: 1 + 10 log₁₀(p) / `range_db`, so 1 at full scale and 0 at the end of the range,
        and limited to these: louder than a sine of full scale, as square waves and noise may be, is 1 too;
        ``"log"``: its natural logarithm; ``"cube_root"``; ``"square_root"``, the amplitude; ``"none"``.
    range_db
        Dynamic range below full scale, in dB: what is softer counts as that soft, of ``"decibels"`` and ``"log"``.
    """

    channels: Annotated[int, Meta(ge=1, le=4096)] = 64
    low: NonNegative = 50.0
    high: NonNegative = 0.0
    hop: Seconds = 0.016
    window: Seconds = 0.032
    compression: Compression = "decibels"
    range_db: Annotated[float, Meta(gt=0, le=300)] = 60.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.high and self.high <= self.low:
            raise UsageError(
                f"got {self.name}.low = {self.low:g} and {self.name}.high = {self.high:g}", "low below high"
            )

    @property
    def level(self) -> float:  # type: ignore[override]
        """About the value of the loudest channels of speech."""
        return _LEVELS[self.compression]

    @property
    def quantity(self) -> str:
        """What its values are, with their unit, as pictures label it."""
        if self.compression == "decibels":
            return f"level (1: full scale, 0: −{self.range_db:g} dB)"
        return _QUANTITIES[self.compression]

    @property
    def most_decibels(self) -> float:
        """What ``"decibels"`` are limited to: 1, full scale."""
        return 1.0

    @abstractmethod
    def power(self, samples: Samples, rate: float, frames: int) -> NDArray[Any]:
        """Return the power of each frame and channel, (frame, channel), which the caller may change."""

    def band(self, rate: float) -> tuple[float, float]:
        """Return the lowest and the highest frequency in Hz; raises `UsageError` where the rate is too low for them."""
        high = self.high or rate / 2
        if high > rate / 2:
            raise UsageError(
                f"{self.name}: got {self.name}.high = {high:g} Hz for audio of {rate:g} Hz",
                f"at most half the rate, {rate / 2:g} Hz",
                f"Lower {self.name}.high, or leave it at 0, half the rate.",
            )
        if self.low >= high:
            raise UsageError(
                f"{self.name}: got {self.name}.low = {self.low:g} Hz for audio of {rate:g} Hz",
                f"less than half the rate, {high:g} Hz",
                f"Lower {self.name}.low.",
            )
        return float(self.low), float(high)

    def hop_samples(self, rate: float) -> int:
        """Return the samples from one frame to the next, at least 1."""
        return max(round(self.hop * rate), 1)

    def window_samples(self, rate: float) -> int:
        """Return the samples that a frame summarises, at least 1."""
        return max(round(self.window * rate), 1)

    def frame_grid(self, samples: int, rate: float) -> tuple[int, float]:
        """Return how many frames so many samples have, and the frames per second.

        Frame k summarises the samples from k hops on; a tail that fills no window is dropped.
        """
        hop = self.hop_samples(rate)
        return max((samples - self.window_samples(rate)) // hop + 1, 0), rate / hop

    def __call__(self, signal: Audio, *, rng: SampleKey | None = None) -> Frames:
        """Return the frames, floating point; a sound shorter than a window has none.

        Raises
        ------
        DataError
            The signal is not finite `Audio` in about ±1.
        UsageError
            The settings do not fit its rate, or the frames would take too much memory.
        """
        samples = checked_samples(signal, self.name)
        frames, _, rate = self.checked_grid(samples.size, signal.rate)
        power = self.power(samples, signal.rate, frames)
        return Frames(compress(power, self.compression, self.range_db, self.most_decibels), rate)


_LARGE = 1e20  # times the power of the loudest sound is near the largest float32


@jit
def _logarithms(values: NDArray[Any], scale: float, least: float, factor: float, most: float) -> None:
    """Replace each of the flat `values` v by `factor` · ln(max(v · `scale`, `least`)), at most `most`."""
    width, real = LINE // values.itemsize, values.dtype.type
    end = np.zeros(width, values.dtype)
    scales, leasts = spread_line(real(scale)), spread_line(real(least))
    factors, mosts = spread_line(real(factor)), spread_line(real(most))
    whole = values.size - values.size % width
    for n in range(0, whole, width):
        v = larger(load_line(values, n) * scales, leasts)
        store(values, n, smaller(logarithm(v) * factors, mosts))
    for n in range(whole, values.size):
        end[n - whole] = values[n]
    v = larger(load_line(end, 0) * scales, leasts)
    store(end, 0, smaller(logarithm(v) * factors, mosts))
    for n in range(whole, values.size):
        values[n] = end[n - whole]


def compress(
    power: NDArray[Any], compression: Compression, range_db: Positive, most_decibels: float = np.inf
) -> NDArray[Any]:
    """Return power compressed as `FilterBank` describes; `power`, contiguous, is overwritten."""
    if compression == "decibels":  # the end of the range becomes 1, whose logarithm is exactly 0
        scale, factor = 10.0 ** (range_db / 10), 10 / math.log(10) / range_db
        if scale > _LARGE and power.dtype == np.float32:  # their product could overflow
            wide = compress(power.astype(np.float64), compression, range_db, most_decibels)
            return wide.astype(np.float32)
        _logarithms(power.reshape(-1), scale, 1.0, factor, float(most_decibels))
    elif compression == "log":
        _logarithms(power.reshape(-1), 1.0, 10.0 ** (-range_db / 10), 1.0, math.inf)
    elif compression == "square_root":
        np.sqrt(power, out=power)
    elif compression == "cube_root":
        np.cbrt(power, out=power)
    return power
