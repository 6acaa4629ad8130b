"""Play sounds faster or slower at random."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...config import Meta
from ...data import Audio
from ...random import SPEED, SampleKey
from ..draws import uniforms
from .augmentation import AudioAugmentation, refuse_reversed
from .base import Samples, samples_of

Percent = Annotated[int, Meta(ge=10, le=1000)]

_ZERO_CROSSINGS = 10  # of the low-pass filter to each side, at the lower of the two rates


@dataclass(frozen=True)
class Speed(AudioAugmentation):
    """Play copies faster or slower, by a whole percentage of a range, each as likely: pitch and length change.

    At 110 percent a sound of n samples has ⌈n / 1.1⌉, and every frequency is 1.1 times as high. What would be above
    half the rate is filtered out. Sounds of a store then differ in length from copy to copy.

    Parameters
    ----------
    percent
        Least and largest speed; 100 is the original's.
    keep_length
        Whether to cut the sound, or pad it with silence at its end, to the original's length. Training with ``augment``
        needs that, unless ``fix_length`` follows.
    """

    name: ClassVar[str] = "speed"
    citation: ClassVar[str] = (
        "Ko, Peddinti, Povey & Khudanpur 2015, Audio augmentation for speech recognition, Interspeech"
    )

    percent: tuple[Percent, Percent] = (90, 110)
    keep_length: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_reversed("speed.percent", self.percent)

    def outline(self, signal: Audio, rng: SampleKey | None = None) -> Audio:
        """Return silence of the length that `signal` gets, at no cost: a copy's differs from the original's."""
        samples = samples_of(signal, self.name)
        length = samples.size
        if rng is not None and (rng.copy or self.originals) and not self.keep_length:
            length = _length(length, self._drawn(rng))
        return Audio(np.broadcast_to(samples.dtype.type(0), (length,)), signal.rate)

    def _drawn(self, key: SampleKey) -> int:
        least, most = self.percent
        return least + int(uniforms(1, SPEED, key)[0] * (most - least + 1))

    def vary(self, samples: Samples, rate: float, key: SampleKey) -> Samples:
        """Return the faster or slower sound."""
        percent = self._drawn(key)
        varied = _at_speed(samples, percent)
        if not self.keep_length:
            return varied
        fixed = np.zeros_like(samples)
        part = varied[: samples.size]
        fixed[: part.size] = part
        return fixed


def _length(samples: int, percent: int) -> int:
    return -(-samples * 100 // percent)


def _at_speed(samples: Samples, percent: int) -> Samples:
    """Return `samples` at a speed, computed in float64."""
    from scipy.signal import resample_poly

    common = math.gcd(100, percent)
    up, down = 100 // common, percent // common
    if up == down or not samples.size:
        return samples.copy()
    resampled = resample_poly(samples.astype(np.float64), up, down, window=_low_pass(max(up, down)))
    return np.asarray(resampled.astype(samples.dtype))


@functools.lru_cache(256)  # `resample_poly` would design it anew for every sound
def _low_pass(ratio: int) -> NDArray[np.float64]:
    """Return the low-pass filter at 1 / `ratio` of half the rate that `scipy.signal.resample_poly` uses."""
    from scipy.signal import firwin

    taps = np.asarray(firwin(2 * _ZERO_CROSSINGS * ratio + 1, 1 / ratio, window=("kaiser", 5.0)))
    taps.setflags(write=False)
    return taps
