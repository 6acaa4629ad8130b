"""Images seen at other positions: bilinear interpolation in exact arithmetic.

Positions are fixed-point numbers, in 1/4096 of a pixel. So the weights of the four pixels around a position are
multiples of 2⁻²⁴ and a byte's interpolated value is exact until it is rounded, half up: the same on every machine.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from math import cos, radians, sin
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._jit import jit
from ...random import SampleKey
from .base import Image, ImageAugmentation, Intensity, in_dtype

Positions = NDArray[np.int32]
"""int32 (2, row, column): where an image's pixels are taken from, first rows and then columns, in 1/4096 pixel."""

FRACTION_BITS = 12
STEPS = 1 << FRACTION_BITS
"""Positions per pixel."""

_FARTHEST = 1 << 30  # in 1/4096 pixel
_SHARE = 2.0 ** (-2 * FRACTION_BITS)


_MARGIN = 2
"""Pixels of background around an image: a position outside of it is moved there, where all four neighbours are."""


@jit
def _resample(
    image: Image, rows: NDArray[np.int32], columns: NDArray[np.int32], fill: Any, half: float, out: Image
) -> None:
    """Write the values of `image` (row, column, channel) at the positions to `out`; outside of it is `fill`."""
    height, width, channels = image.shape
    padded = np.empty((height + 2 * _MARGIN, width + 2 * _MARGIN, channels), image.dtype)
    padded[:] = fill
    for i in range(height):
        for j in range(width):
            for k in range(channels):
                padded[i + _MARGIN, j + _MARGIN, k] = image[i, j, k]
    for i in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            # integers of 64 bits: for bytes all sums are below 2³², and exact
            down, right = np.int64(rows[i, j] & (STEPS - 1)), np.int64(columns[i, j] & (STEPS - 1))
            up, left = STEPS - down, STEPS - right
            y = min(max(np.int64(rows[i, j] >> FRACTION_BITS), -_MARGIN), height) + _MARGIN
            x = min(max(np.int64(columns[i, j] >> FRACTION_BITS), -_MARGIN), width) + _MARGIN
            for k in range(channels):
                upper = left * padded[y, x, k] + right * padded[y, x + 1, k]
                lower = left * padded[y + 1, x, k] + right * padded[y + 1, x + 1, k]
                # a byte's value is cut, so that half of one rounds it
                out[i, j, k] = (up * upper + down * lower) * _SHARE + half


def edge(background: float, dtype: np.dtype[Any]) -> tuple[Any, float]:
    """Return what `_resample` takes of an image's dtype: the value outside of it, and what rounds a result."""
    return in_dtype(background, dtype), 0.5 if dtype == np.uint8 else 0.0


def resample(image: Image, positions: Positions, background: float) -> Image:
    """Return the image's values at positions, of its dtype; what lies outside of it has the intensity `background`."""
    if image.dtype == np.float16:
        return resample(image.astype(np.float32), positions, background).astype(np.float16)
    rows, columns = positions
    out = np.empty((*rows.shape, *image.shape[2:]), image.dtype)
    fill, half = edge(background, image.dtype)
    flat = image.reshape(*image.shape[:2], -1)
    _resample(flat, rows, columns, fill, half, out.reshape(*rows.shape, -1))
    return out


def resample_reference(image: Image, positions: Positions, background: float) -> Image:
    """Return what `resample` does, in NumPy."""
    fill = in_dtype(background, image.dtype)
    padded = np.pad(image, ((2, 2), (2, 2), *((0, 0),) * (image.ndim - 2)), constant_values=fill)
    y, x = positions[0].astype(np.int64), positions[1].astype(np.int64)
    total = np.zeros((*y.shape, *image.shape[2:]))
    for dy in (0, 1):
        for dx in (0, 1):
            weight = np.abs((y & STEPS - 1) - STEPS * (1 - dy)) * np.abs((x & STEPS - 1) - STEPS * (1 - dx))
            row = np.clip((y >> FRACTION_BITS) + dy, -1, image.shape[0])
            column = np.clip((x >> FRACTION_BITS) + dx, -1, image.shape[1])
            values = padded[row + 2, column + 2].astype(np.float64)
            total += weight.reshape(weight.shape + (1,) * (image.ndim - 2)) * values
    total /= STEPS * STEPS
    return np.floor(total + 0.5).astype(np.uint8) if image.dtype == np.uint8 else total.astype(image.dtype)


@jit
def _affine(top: float, left: float, matrix: tuple[float, float, float, float], out: Positions) -> None:
    """Write the positions of a linear map about the point (top, left) to `out`."""
    for i in range(out.shape[1]):
        for j in range(out.shape[2]):
            y, x = i - top, j - left
            row, column = matrix[0] * y + matrix[1] * x + top, matrix[2] * y + matrix[3] * x + left
            out[0, i, j] = np.int32(min(max(np.rint(row * STEPS), -_FARTHEST), _FARTHEST))
            out[1, i, j] = np.int32(min(max(np.rint(column * STEPS), -_FARTHEST), _FARTHEST))


def affine_matrix(degrees: float, factors: tuple[float, float]) -> tuple[float, float, float, float]:
    """Return the linear map from a pixel's (row, column), about the centre, to where it is taken from; see `affine`."""
    turn_y, turn_x = cos(radians(degrees)), sin(radians(degrees))
    # rows count downwards: what turns counterclockwise is taken from where a clockwise turn leads
    return turn_y / factors[0], turn_x / factors[0], -turn_x / factors[1], turn_y / factors[1]


def affine(
    rows: int, columns: int, *, degrees: float = 0.0, factors: tuple[float, float] = (1.0, 1.0)
) -> Positions:
    """Return the positions that enlarge an image and then turn it about its centre.

    Parameters
    ----------
    rows, columns
        Size of the image.
    degrees
        Angle, counterclockwise as an image is looked at.
    factors
        Enlargement of rows and of columns.
    """
    positions = np.empty((2, rows, columns), np.int32)
    _affine((rows - 1) / 2, (columns - 1) / 2, affine_matrix(degrees, factors), positions)
    return positions


@dataclass(frozen=True)
class Warp(ImageAugmentation):
    """An image seen at other positions, by bilinear interpolation.

    Parameters
    ----------
    background
        Intensity of what lies outside of the image.
    """

    background: Intensity = field(default=0.0, kw_only=True)

    @abstractmethod
    def positions(self, rows: int, columns: int, key: SampleKey) -> Positions:
        """Return where the pixels of a variant of an image of this size are taken from."""

    def vary(self, image: Image, key: SampleKey) -> Image:
        """Return the image at other positions."""
        rows, columns = image.shape[:2]
        return resample(image, self.positions(rows, columns, key), self.background)
