"""What a transform of sound takes, and what a front end is; without kernels, so that recipes are read at once."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from math import isfinite
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...data import Audio, Frames
from ...encoders.base import Transform
from ...errors import DataError, SignalError, UsageError
from ...random import SampleKey

_MOST_VALUES = 1 << 30  # of one sound's frames, 8 GB

Samples = NDArray[np.floating[Any]]
"""Sound, floating point (time,), full scale is ±1."""


def samples_of(signal: Any, who: str) -> Samples:
    """Return the samples of `Audio`; raises `SignalError`, in the name of the plugin `who`, for anything else."""
    if isinstance(signal, Audio):
        if not (isfinite(signal.rate) and signal.rate > 0):
            raise DataError(f"{who}: got audio of {signal.rate:g} Hz", "a rate above 0")
        if signal.samples.ndim == 1 and signal.samples.dtype.kind == "f":
            return signal.samples
        got = f"Audio of {signal.samples.dtype} {signal.samples.shape}"
    else:
        got = f"a signal of type {type(signal).__name__}"
    raise SignalError(
        f"{who}: got {got}",
        "Audio with floating-point samples (time,) in ±1",
        "Pass spikeprep.data.Audio(samples, rate); divide int16 samples by 32768.",
    )


@dataclass(frozen=True)
class FrontEnd(Transform):
    """Audio → `Frames` of frequency channels, channel 0 the highest: what `Recipe.with_front_end` exchanges."""

    level: ClassVar[float] = 1.0
    """About the value of the loudest channels of speech, by which the scale of an encoder follows a front end."""

    picture: ClassVar[str] = "channels"
    """What pictures call its frames."""

    @property
    def quantity(self) -> str:
        """What its values are, with their unit, as pictures label it."""
        return "activity"

    @abstractmethod
    def centres(self, rate: float) -> NDArray[np.float64]:
        """Return each channel's centre frequency in Hz, decreasing, for audio of `rate` Hz.

        Raises
        ------
        UsageError
            The settings do not fit the rate.
        """

    @abstractmethod
    def frame_grid(self, samples: int, rate: float) -> tuple[int, float]:
        """Return how many frames so many samples have, and the frames per second."""

    def width(self, rate: float) -> int:
        """Return how many channels frames have: one per centre, and others where a subclass adds them."""
        return self.centres(rate).size

    def checked_grid(self, samples: int, rate: float) -> tuple[int, int, float]:
        """Return the frames and channels that samples make, and the frames per second.

        Raises
        ------
        UsageError
            They would take too much memory, or the settings do not fit the rate.
        """
        (frames, frame_rate), width = self.frame_grid(samples, rate), self.width(rate)
        if frames * width > _MOST_VALUES:
            raise UsageError(
                f"{self.name}: got {samples / rate:g} s of sound, which makes {frames:,} frames of {width:,} channels",
                f"at most {_MOST_VALUES:,} values",
                "Take frames further apart, or fewer channels, or cut the sound.",
            )
        return frames, width, frame_rate

    def outline(self, signal: Audio, rng: SampleKey | None = None) -> Frames:
        """Return frames of the shape that `signal` gives, all zero, at no cost."""
        frames, width, rate = self.checked_grid(samples_of(signal, self.name).size, signal.rate)
        return Frames(np.broadcast_to(0.0, (frames, width)), rate)
