"""Make sounds louder or softer at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from ...config import Meta
from ...random import GAIN, SampleKey
from ..draws import uniforms
from .augmentation import AudioAugmentation, in_range, refuse_reversed
from .base import Samples

Decibels = Annotated[float, Meta(ge=-200, le=20)]


@dataclass(frozen=True)
class Gain(AudioAugmentation):
    """Multiply copies by a gain that is uniform in a range of decibels. Samples may leave ±1; nothing is clipped.

    Parameters
    ----------
    decibels
        Least and largest gain in dB: 20 log₁₀ of the factor.
    """

    name: ClassVar[str] = "gain"
    citation: ClassVar[str] = (
        "Salamon & Bello 2017, Deep convolutional neural networks and data augmentation for environmental sound "
        "classification, IEEE Signal Processing Letters 24"
    )

    decibels: tuple[Decibels, Decibels] = (-6.0, 6.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_reversed("gain.decibels", self.decibels)

    def vary(self, samples: Samples, rate: float, key: SampleKey) -> Samples:
        """Return the louder or softer sound."""
        factor = 10 ** (in_range(uniforms(1, GAIN, key)[0], self.decibels) / 20)
        return np.asarray(samples * samples.dtype.type(factor))
