"""What an augmentation of sound is."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from ...data import Audio
from ...encoders.base import Augmentation
from ...errors import UsageError
from ...random import SampleKey
from ..draws import required_key
from .base import Samples, samples_of
from .samples import checked_samples


@dataclass(frozen=True)
class AudioAugmentation(Augmentation):
    """Audio → audio of the same rate, which varies copies at random and leaves originals as they are.

    A sample's key decides every draw.
    """

    @abstractmethod
    def vary(self, samples: Samples, rate: float, key: SampleKey) -> Samples:
        """Return a variant of samples (time,) that are checked, of the same dtype."""

    def __call__(self, signal: Audio, *, rng: SampleKey | None = None) -> Audio:
        """Return a variant.

        Raises
        ------
        DataError
            The signal is not finite `Audio` in about ±1.
        UsageError
            `rng` is None.
        """
        samples = checked_samples(signal, self.name)
        return Audio(self.vary(samples, signal.rate, required_key(rng, self.name)), signal.rate)

    def plain(self, signal: Audio) -> Audio:
        """Return an original's sound unchanged; raises `DataError` for anything else."""
        samples_of(signal, self.name)
        return signal

    def outline(self, signal: Audio, rng: SampleKey | None = None) -> Audio:
        """Return silence of the length that `signal`, or its outline, gets, at no cost."""
        samples = samples_of(signal, self.name)
        return Audio(np.broadcast_to(samples.dtype.type(0), samples.shape), signal.rate)


def in_range(fraction: float, bounds: tuple[float, float]) -> float:
    """Return the number that lies at a fraction in [0, 1) of a range."""
    low, high = bounds
    return low + fraction * (high - low)


def refuse_reversed(name: str, bounds: tuple[float, float]) -> None:
    """Raise `UsageError` where the range of a setting ends below its beginning."""
    if bounds[0] > bounds[1]:
        raise UsageError(f"got {name} = {list(bounds)}", "[least, most]", "Exchange the two.")
