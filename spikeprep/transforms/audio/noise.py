"""Add noise to sounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from ...config import Meta
from ...random import SOUND_NOISE, SOUND_NOISE_RATIO, SampleKey
from ..draws import draws, uniforms
from .augmentation import AudioAugmentation, in_range, refuse_reversed
from .base import Samples

Decibels = Annotated[float, Meta(ge=-100, le=200)]


@dataclass(frozen=True)
class SoundNoise(AudioAugmentation):
    """Add white normal noise to copies, at a signal-to-noise ratio that is uniform in a range of decibels.

    The ratio is that of the power of the whole sound to that of the noise added, exactly. Silence stays silent: it has
    no ratio. Samples may leave ±1.

    Parameters
    ----------
    snr_db
        Least and largest signal-to-noise ratio in dB.
    """

    name: ClassVar[str] = "sound_noise"
    citation: ClassVar[str] = (
        "Sietsma & Dow 1991, Creating artificial neural networks that generalize, Neural Networks 4"
    )

    snr_db: tuple[Decibels, Decibels] = (10.0, 30.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_reversed("sound_noise.snr_db", self.snr_db)

    def vary(self, samples: Samples, rate: float, key: SampleKey) -> Samples:
        """Return the sound with noise; a sample's is the normal quantile of 32 random bits."""
        from scipy.special import ndtri

        numbers = draws(0, -(-samples.size // 2), SOUND_NOISE, key)
        words = numbers.astype("<u8", copy=False).view("<u4")[: samples.size]
        noise = ndtri((words + 0.5) / 2.0**32)
        sound = samples.astype(np.float64, copy=False)
        power = float(sound @ sound)
        if not power:
            return samples.copy()
        ratio = 10 ** (in_range(uniforms(1, SOUND_NOISE_RATIO, key)[0], self.snr_db) / 10)
        noise *= np.sqrt(power / (ratio * float(noise @ noise)))
        return np.asarray((sound + noise).astype(samples.dtype))
