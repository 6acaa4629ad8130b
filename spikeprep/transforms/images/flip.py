"""Mirror images at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...config import Chance
from ...random import FLIP, SampleKey
from ..draws import uniforms
from .base import Image, ImageAugmentation


@dataclass(frozen=True)
class Flip(ImageAugmentation):
    """Mirror copies, left to right and top to bottom, each with its own probability.

    Digits and letters change their meaning when mirrored: photographs of things do not.

    Parameters
    ----------
    horizontal, vertical
        Probability of exchanging left and right, and of exchanging top and bottom.
    """

    name: ClassVar[str] = "flip"
    citation: ClassVar[str] = (
        "Krizhevsky, Sutskever & Hinton 2012, ImageNet classification with deep convolutional neural networks, "
        "NeurIPS 25"
    )

    horizontal: Chance = 0.5
    vertical: Chance = 0.0

    def vary(self, image: Image, key: SampleKey) -> Image:
        """Return the image, mirrored or not."""
        first, second = uniforms(2, FLIP, key)
        rows = slice(None, None, -1 if second < self.vertical else 1)
        columns = slice(None, None, -1 if first < self.horizontal else 1)
        return image[rows, columns].copy()
