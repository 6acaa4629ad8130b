"""Move images at random."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from ...random import SHIFT, SampleKey
from ..draws import uniforms
from .base import Image, ImageAugmentation, Intensity, Pixels, in_dtype


@dataclass(frozen=True)
class Shift(ImageAugmentation):
    """Move copies by whole pixels, up to `pixels` along rows and along columns, every shift as likely.

    Parameters
    ----------
    pixels
        The largest shift.
    background
        Intensity of what comes in at the edge.
    """

    name: ClassVar[str] = "shift"
    citation: ClassVar[str] = (
        "Simard, Steinkraus & Platt 2003, Best practices for convolutional neural networks applied to visual document "
        "analysis, ICDAR"
    )

    pixels: Pixels = 2
    background: Intensity = field(default=0.0, kw_only=True)

    def vary(self, image: Image, key: SampleKey) -> Image:
        """Return the moved image."""
        moved = np.full_like(image, in_dtype(self.background, image.dtype))
        places, origins = [], []
        for size, fraction in zip(image.shape, uniforms(2, SHIFT, key), strict=False):
            by = int(fraction * (2 * self.pixels + 1)) - self.pixels
            by = min(max(by, -size), size)
            places.append(slice(max(by, 0), size + min(by, 0)))
            origins.append(slice(max(-by, 0), size - max(by, 0)))
        moved[tuple(places)] = image[tuple(origins)]
        return moved
