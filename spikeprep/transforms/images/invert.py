"""Exchange black and white."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...random import SampleKey
from .base import Image, ImageTransform


@dataclass(frozen=True)
class Invert(ImageTransform):
    """Exchange black and white in every image: ink on white paper becomes strokes that spike."""

    name: ClassVar[str] = "invert"
    citation: ClassVar[str] = (
        "LeCun, Bottou, Bengio & Haffner 1998, Gradient-based learning applied to document recognition, Proc. IEEE 86"
    )

    def change(self, image: Image, rng: SampleKey | None) -> Image:
        """Return 255 − image, or 1 − image of floats."""
        return np.asarray(image.dtype.type(255 if image.dtype == np.uint8 else 1) - image)
