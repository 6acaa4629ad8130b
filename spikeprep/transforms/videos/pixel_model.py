"""The model of an event camera's pixels: their response to brightness, and their thresholds.

Responses and thresholds are multiples of 2⁻³², so that sums of thresholds are exact: a pixel that returns to its first
brightness gives as many events down as up.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._jit import inline
from ...random import VIDEO_THRESHOLDS, SampleKey
from ..draws import draws

GRID = 2.0**32
"""Steps per unit of logarithm: sums of such numbers are exact in float64."""

NO_DEAD_TIME = -1.0
"""The end of a dead time, in µs, of a pixel that is in none."""

_LINEAR = 20.0  # grey level up to which the response is linear
_SLOPE = np.log(_LINEAR) / _LINEAR
_LEAST = 0.01  # of a threshold that mismatch has made small
_CAMERA = "camera"
_LOW = np.uint64(11)


@inline
def on_grid(value: Any) -> Any:
    """Return a number rounded to the grid."""
    return np.rint(value * GRID) / GRID


@inline
def response(level: Any) -> Any:
    """Return the logarithm of a grey level, 0 to 255; linear up to `_LINEAR`."""
    return on_grid(level * _SLOPE if level <= _LINEAR else np.log(level))


@lru_cache(1)
def responses() -> NDArray[np.float64]:
    """Return the response of each grey level, (256,)."""
    levels = np.arange(256.0)
    values = np.where(levels <= _LINEAR, levels * _SLOPE, np.log(np.maximum(levels, 1)))
    return np.asarray(np.rint(values * GRID) / GRID)


@lru_cache(4)
def thresholds(
    on: float, off: float, sigma: float, camera: int, pixels: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the thresholds of each pixel: normal, by the transform of Box and Muller of the pixel's two numbers."""
    normals = np.zeros((2, pixels))
    if sigma:
        key = SampleKey(camera, _CAMERA, 0)
        u = (draws(0, 2 * pixels, VIDEO_THRESHOLDS, key) >> _LOW).reshape(pixels, 2).T * 2.0**-53
        radius, angle = np.sqrt(-2 * np.log1p(-u[0])), 2 * np.pi * u[1]
        normals = np.stack([radius * np.cos(angle), radius * np.sin(angle)])
    values = np.maximum(np.array([[on], [off]]) + sigma * normals, _LEAST)
    values = np.rint(values * GRID) / GRID
    values.flags.writeable = False
    return values[0], values[1]


def response_of(frame: NDArray[Any], responses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the response of each pixel of a frame, uint8 or float64 in grey levels."""
    if frame.dtype == np.uint8:
        return np.asarray(responses[frame])
    values = np.where(frame <= _LINEAR, frame * _SLOPE, np.log(np.maximum(frame, 1)))
    return np.asarray(np.rint(values * GRID) / GRID)
