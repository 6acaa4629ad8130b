"""Keep a window of each image: a random one of copies, the middle one of originals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ...errors import UsageError
from ...random import CROP, SampleKey
from ..draws import uniforms
from .base import Image, ImageAugmentation, Intensity, Pixels, checked_image, in_dtype


@dataclass(frozen=True)
class Crop(ImageAugmentation):
    """Keep a window of `rows` × `columns` pixels: of copies at a random place, of originals in the middle.

    With `padding` and the size of the image a copy is moved by up to so many pixels.

    Parameters
    ----------
    rows, columns
        Size of the window; 0: that of the image.
    padding
        Pixels of background that are put around the image before.
    background
        Their intensity.
    """

    name: ClassVar[str] = "crop"
    citation: ClassVar[str] = (
        "Krizhevsky, Sutskever & Hinton 2012, ImageNet classification with deep convolutional neural networks, "
        "NeurIPS 25"
    )

    rows: Pixels = 0
    columns: Pixels = 0
    padding: Pixels = 0
    background: Intensity = field(default=0.0, kw_only=True)

    def size(self, rows: int, columns: int) -> tuple[int, int]:
        """Return the window's size; raises `UsageError` where it is larger than the padded image."""
        window = self.rows or rows, self.columns or columns
        padded = rows + 2 * self.padding, columns + 2 * self.padding
        if window[0] > padded[0] or window[1] > padded[1]:
            raise UsageError(
                f"crop: got a window of {window[0]} × {window[1]} pixels",
                f"one within the image of {padded[0]} × {padded[1]}",
                "Lower crop.rows and crop.columns, or raise crop.padding.",
            )
        return window

    def _window(self, image: Image, fractions: list[float] | None) -> Image:
        """Return the window at fractions of the way down and to the right; None: in the middle."""
        size, fill = self.size(*image.shape[:2]), in_dtype(self.background, image.dtype)
        free = [n + 2 * self.padding - m for n, m in zip(image.shape, size, strict=False)]
        places = [n // 2 for n in free]
        if fractions is not None:
            places = [int(fraction * (n + 1)) for fraction, n in zip(fractions, free, strict=True)]
        top, left = (place - self.padding for place in places)
        result = np.full((*size, *image.shape[2:]), fill, image.dtype)
        rows, columns = slice(max(top, 0), max(top + size[0], 0)), slice(max(left, 0), max(left + size[1], 0))
        part = image[rows, columns]
        down, right = max(-top, 0), max(-left, 0)
        result[down : down + part.shape[0], right : right + part.shape[1]] = part
        return result

    def vary(self, image: Image, key: SampleKey) -> Image:
        """Return a random window."""
        return self._window(image, uniforms(2, CROP, key))

    def plain(self, signal: Any) -> Image:
        """Return the window in the middle."""
        return self._window(checked_image(signal, self.name), None)
