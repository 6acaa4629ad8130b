"""Add noise to images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from ...config import Meta
from ...random import NOISE, SampleKey
from ..draws import draws
from .base import Image, ImageAugmentation


@dataclass(frozen=True)
class Noise(ImageAugmentation):
    """Add normal noise to every pixel and channel of copies, and cut the result to [0, 1] (bytes: 0 to 255).

    Parameters
    ----------
    std
        Standard deviation as an intensity: 0.1 is 25.5 levels of a byte.
    """

    name: ClassVar[str] = "noise"
    citation: ClassVar[str] = (
        "Sietsma & Dow 1991, Creating artificial neural networks that generalize, Neural Networks 4"
    )

    std: Annotated[float, Meta(ge=0, le=1)] = 0.1

    def vary(self, image: Image, key: SampleKey) -> Image:
        """Return the image with noise; a pixel's is the normal quantile of 32 random bits."""
        from scipy.special import ndtri

        numbers = draws(0, -(-image.size // 2), NOISE, key)
        words = numbers.astype("<u8", copy=False).view("<u4")[: image.size].reshape(image.shape)
        noise = self.std * ndtri((words + 0.5) / 2.0**32)
        if image.dtype == np.uint8:
            return np.asarray(np.clip(np.rint(image + 255 * noise), 0, 255).astype(np.uint8))
        return np.asarray(np.clip(image + noise, 0, 1).astype(image.dtype))
