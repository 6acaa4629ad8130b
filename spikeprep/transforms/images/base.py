"""What a transform of images is."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from ...config import Meta
from ...encoders.base import Augmentation, Transform
from ...errors import DataError, SignalError
from ...random import SampleKey
from ..draws import required_key

Image = NDArray[Any]
"""uint8, or floating point in [0, 1], (row, column) or (row, column, channel)."""

Intensity = Annotated[float, Meta(ge=0, le=1)]
"""A pixel's value, 0 black and 1 white; of an image of bytes 1 stands for 255."""

Pixels = Annotated[int, Meta(ge=0, le=1 << 16)]
"""A number of pixels, at least 0."""


def checked_image(signal: Any, who: str) -> Image:
    """Return `signal` as an array, one of bool as bytes of 0 and 255.

    Raises `SignalError` for what is no image, `DataError` for one that cannot be, in the name of the plugin `who`.
    """
    image = np.asarray(signal) if isinstance(signal, np.ndarray | list | tuple) else None
    if image is None:
        kind = type(signal).__name__
        hint = "Leave the transform out: it is one of images (`spikeprep list transforms`)."
        raise SignalError(f"{who}: got a signal of type {kind}", "an image", hint)
    if image.ndim not in (2, 3) or not image.size:
        raise DataError(
            f"{who}: got an array of shape {image.shape}",
            "an image: (row, column) or (row, column, channel), with at least one pixel",
            "Leave the transform out, or reshape the images.",
        )
    if image.dtype == np.bool_:
        return np.where(image, np.uint8(255), np.uint8(0))
    if image.dtype != np.uint8 and not np.issubdtype(image.dtype, np.floating):
        raise DataError(
            f"{who}: got an image of {image.dtype}",
            "uint8, bool, or floating point in [0, 1]",
            "Divide the image by its largest possible value.",
        )
    return image


@dataclass(frozen=True)
class ImageTransform(Transform):
    """Image → image of the same dtype; every channel is treated alike.

    A subclass has `change` and, where the size changes, `size`, which follows from size and settings alone.
    """

    @abstractmethod
    def change(self, image: Image, rng: SampleKey | None) -> Image:
        """Return a new image, (row, column[, channel]), from one that is checked."""

    def size(self, rows: int, columns: int) -> tuple[int, int]:
        """Return the (rows, columns) that an image of such becomes; raises `UsageError` where that cannot be."""
        return rows, columns

    def __call__(self, signal: Any, *, rng: SampleKey | None = None) -> Image:
        """Return the transformed image.

        Raises
        ------
        DataError
            `signal` is no image.
        """
        image = checked_image(signal, self.name)
        self.size(*image.shape[:2])
        return self.change(image, rng)

    def outline(self, signal: Any, rng: SampleKey | None = None) -> Image:
        """Return a black image of the shape that `signal`, or its outline, gets, at no cost."""
        image = checked_image(signal, self.name)
        return np.broadcast_to(image.dtype.type(0), (*self.size(*image.shape[:2]), *image.shape[2:]))


@dataclass(frozen=True)
class ImageAugmentation(Augmentation, ImageTransform):
    """An `ImageTransform` that varies copies at random and leaves originals; a sample's key decides every draw."""

    @abstractmethod
    def vary(self, image: Image, key: SampleKey) -> Image:
        """Return a variant of an image that is checked."""

    def change(self, image: Image, rng: SampleKey | None) -> Image:
        """Return a variant; raises `UsageError` where `rng` is None."""
        return self.vary(image, required_key(rng, self.name))

    def plain(self, signal: Any) -> Image:
        """Return an original's image unchanged; raises `DataError` for what is none."""
        return checked_image(signal, self.name)


def in_dtype(intensity: float, dtype: np.dtype[Any]) -> Any:
    """Return an intensity as a pixel's value in an image of `dtype`."""
    return dtype.type(round(255 * intensity) if dtype == np.uint8 else intensity)


def spread(fraction: float, most: float) -> float:
    """Return a number in [−most, most) from a fraction in [0, 1)."""
    return (2 * fraction - 1) * most
