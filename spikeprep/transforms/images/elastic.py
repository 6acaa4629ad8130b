"""Elastic distortion: every pixel is taken from a smooth random displacement away.

The displacement field of an axis is white noise, uniform in ±1, smoothed by a Gaussian and multiplied by α: its values
are nearly normal, of mean 0 and standard deviation α √(Σ k² / 3) pixels over the taps k of the kernel, whose sum is 1;
for a wide kernel that is α / (σ √(12 π)). The noise reaches beyond the image as far as the kernel does, so that the
field is the same everywhere.

Random numbers: a noise value is (h + ½) / 2¹⁵ − 1, where the 16-bit h are the quarters of the numbers of
`spikeprep.transforms.draws`, lowest first, in the order of (axis, row, column) over the image and a margin around it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from math import ceil, exp, prod
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..._jit import jit
from ...config import Meta, Share
from ...random import ELASTIC, ELASTIC_AFFINE, ELASTIC_OF_COPY, SampleKey
from ..draws import _draw, draws, uniforms
from .base import Image, spread
from .warp import STEPS, Positions, Warp, _affine, _resample, affine_matrix, edge

_TAPS_IN_SIGMAS = 2.5  # the kernel ends there: 21 taps for σ = 4, as in the published runs
_CENTRE = np.float32(1 / 65536)
_LOW = np.uint64(0xFFFF)


@functools.lru_cache(8)
def kernel(sigma: float) -> NDArray[np.float32]:
    """Return the Gaussian's taps, float32 (tap,), of sum 1.

    They are rounded to multiples of 2⁻²⁴, so that a last digit of the exponential function in which machines differ
    does not matter.
    """
    radius = ceil(_TAPS_IN_SIGMAS * sigma)
    taps = np.array([exp(-((n / sigma) ** 2) / 2) for n in range(-radius, radius + 1)])
    return np.asarray(np.rint(taps / taps.sum() * 2.0**24) / 2.0**24, np.float32)


@jit
def _noise(numbers: NDArray[np.uint64]) -> NDArray[np.float32]:
    """Return the noise of 64-bit numbers, four values of each."""
    noise = np.empty(4 * numbers.size, np.float32)
    for n in range(numbers.size):
        for quarter in range(4):
            h = np.int32(numbers[n] >> np.uint64(16 * quarter) & _LOW)
            noise[4 * n + quarter] = np.float32(2 * h - np.int32(65535)) * _CENTRE  # exact: 17 bits
    return noise


@jit
def _displace(
    noise: NDArray[np.float32], taps: NDArray[np.float32], alpha: Any, positions: Positions
) -> None:
    """Add the smoothed noise times `alpha`, in 1/4096 pixel, to `positions`; both axes take it if it is for one."""
    rows, columns = positions.shape[1:]
    wide = columns + taps.size - 1
    count, size = rows * wide, (rows + taps.size - 1) * wide
    smooth = np.empty(count, np.float32)
    field = np.empty(count, np.float32)
    for axis in range(2):
        if axis == 0 or noise.size >= 2 * size:
            # one loop over all rows for each tap: long enough to be worth vectorising
            smooth[:] = 0
            field[:] = 0
            for tap in range(taps.size):
                weight, lower = taps[tap], noise[axis * size + tap * wide :]
                for n in range(count):
                    smooth[n] += weight * lower[n]
            for tap in range(taps.size):
                weight, further = taps[tap], smooth[tap:]
                for n in range(count - taps.size + 1):
                    field[n] += weight * further[n]
        for i in range(rows):
            for j in range(columns):
                positions[axis, i, j] += np.int32(np.rint(field[i * wide + j] * alpha))


@jit
def _positions(
    purpose: Any, k0: Any, k1: Any, fields: int, matrix: Any, taps: Any, alpha: Any, positions: Positions
) -> None:
    """Write where the pixels of a variant are taken from."""
    rows, columns = positions.shape[1:]
    numbers = np.empty(_numbers(rows, columns, taps.size, fields), np.uint64)
    _draw(np.uint64(0), purpose, k0, k1, numbers)
    _affine((rows - 1) / 2, (columns - 1) / 2, matrix, positions)
    _displace(_noise(numbers), taps, alpha, positions)


@jit
def _numbers(rows: int, columns: int, taps: int, fields: int) -> int:
    """Return how many numbers the noise takes: an even one, and less than four values more than are needed."""
    return (fields * (rows + taps - 1) * (columns + taps - 1) + 7) // 8 * 2


@jit
def _distort(
    image: Image, purpose: Any, k0: Any, k1: Any, fields: int, matrix: Any, taps: Any, alpha: Any,
    fill: Any, half: float, out: Image,
) -> None:  # fmt: skip
    """Write a variant of `image`, (row, column, channel), to `out`."""
    positions = np.empty((2, image.shape[0], image.shape[1]), np.int32)
    _positions(purpose, k0, k1, fields, matrix, taps, alpha, positions)
    _resample(image, positions[0], positions[1], fill, half, out)


@dataclass(frozen=True)
class Elastic(Warp):
    """Distort copies elastically: each pixel is displaced by smoothed noise, optionally after a turn and a scaling.

    Simard et al. suggest α = 34 at σ = 4 for MNIST (displacements of 1.4 pixels, root mean square). HM2-BP's published
    runs multiply the noise by a kernel of amplitude 1 / (2 π σ) over 21 × 21 taps, whose sum is 3.93, and by 3.4: here
    that is α = 13.37 (0.55 pixels), the default. They also turn by up to 12° and scale by up to 12 %
    (``rotation = 12``, ``scale = 0.12``), all in one interpolation, and draw one field per epoch for all samples, the
    same for both axes (``field = "copy"``, ``same_axes = true``).

    Parameters
    ----------
    alpha
        Factor of the smoothed noise, in pixels.
    sigma
        Standard deviation of the Gaussian in pixels; it is cut at 2.5 σ, and its taps' sum is 1.
    rotation
        Also turn by an angle uniform in ± `rotation` degrees.
    scale
        Also enlarge by a factor uniform in 1 ± `scale`.
    field
        "sample": a field for every sample and copy. "copy": one field for all samples of a copy, or of an epoch.
    same_axes
        Whether rows and columns are displaced by the same field, so that everything moves along one diagonal.
    """

    name: ClassVar[str] = "elastic"
    citation: ClassVar[str] = (
        "Simard, Steinkraus & Platt 2003, Best practices for convolutional neural networks applied to visual document "
        "analysis, ICDAR"
    )

    alpha: Annotated[float, Meta(ge=0, le=1000)] = 13.37
    sigma: Annotated[float, Meta(ge=0.5, le=100)] = 4.0
    rotation: Annotated[float, Meta(ge=0, le=180)] = 0.0
    scale: Share = 0.0
    field: Literal["sample", "copy"] = "sample"
    same_axes: bool = False

    @property
    def fields(self) -> int:
        """The number of displacement fields of a variant."""
        return 1 if self.same_axes else 2

    def draw_key(self, key: SampleKey) -> tuple[int, SampleKey]:
        """Return the purpose and the key of the noise's numbers."""
        if self.field == "copy":
            return ELASTIC_OF_COPY, SampleKey(key.seed, key.split, 0, key.copy)
        return ELASTIC, key

    def _arguments(self, key: SampleKey) -> tuple[Any, ...]:
        """Return what `_positions` takes ahead of the array that it writes."""
        angle, factor = 0.0, 1.0
        if self.rotation or self.scale:
            first, second = uniforms(2, ELASTIC_AFFINE, key)
            angle, factor = spread(first, self.rotation), 1 + spread(second, self.scale)
        purpose, source = self.draw_key(key)
        k0, k1 = source.philox_key()
        matrix = affine_matrix(angle, (factor, factor))
        return (
            np.uint64(purpose), np.uint64(k0), np.uint64(k1), self.fields, matrix, kernel(self.sigma),
            np.float32(self.alpha * STEPS),
        )  # fmt: skip

    def positions(self, rows: int, columns: int, key: SampleKey) -> Positions:
        """Return where the pixels of a variant are taken from."""
        positions = np.empty((2, rows, columns), np.int32)
        _positions(*self._arguments(key), positions)
        return positions

    def vary(self, image: Image, key: SampleKey) -> Image:
        """Return the distorted image; positions and interpolation in one call of a kernel."""
        if image.dtype == np.float16:
            return super().vary(image, key)
        rows, columns = image.shape[:2]
        out = np.empty(image.shape, image.dtype)
        fill, half = edge(self.background, image.dtype)
        flat = image.reshape(rows, columns, -1), out.reshape(rows, columns, -1)
        _distort(flat[0], *self._arguments(key), fill, half, flat[1])
        return out


def displacement_reference(
    transform: Elastic, rows: int, columns: int, key: SampleKey
) -> NDArray[np.float64]:
    """Return the displacements of `transform` in pixels, float64 (2, row, column), in SciPy."""
    from scipy import ndimage

    radius = kernel(transform.sigma).size // 2
    shape = transform.fields, rows + 2 * radius, columns + 2 * radius
    purpose, source = transform.draw_key(key)
    numbers = draws(0, prod(shape) // 4 + 1, purpose, source)
    quarters = numbers.astype("<u8").view("<u2")[: prod(shape)].reshape(shape)
    noise = (quarters + 0.5) / 2.0**15 - 1
    field = ndimage.gaussian_filter(noise, transform.sigma, axes=(1, 2), radius=radius)
    field = field[:, radius : radius + rows, radius : radius + columns]
    return np.asarray(transform.alpha * np.broadcast_to(field, (2, rows, columns)))
