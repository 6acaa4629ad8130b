"""Still images → videos: the image moves as in front of N-MNIST's camera."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..._jit import jit
from ...config import Meta
from ...data import Video, frame_times
from ...encoders.base import Transform
from ...errors import DataError
from ...random import SampleKey
from ..images.base import Image, Intensity, checked_image

_CORNERS = np.array([(0.0, 0.0), (0.5, 1.0), (1.0, 0.0), (0.0, 0.0)])
"""(right, down) of the image at the beginning of each saccade and at the end, as shares of the reach."""

_SACCADES = len(_CORNERS) - 1
_PIECE_BYTES = 4 << 20


@dataclass(frozen=True)
class Saccades(Transform):
    """Image → video: the image moves along the sides of a triangle, as in N-MNIST's three saccades.

    The frames are larger than the image by `reach` on each side. With t as a share of a saccade and r the reach, the
    upper left corner of the image is at (column, row) = (r t / 2, r t), then (r (1 + t) / 2, r (1 − t)), then
    (r (1 − t), 0): at the defaults what `stabilise_saccades` takes back. Between pixels it is interpolated linearly.
    With ``motion="smooth"`` each saccade begins and ends at rest, as those of N-MNIST's camera do: t becomes
    10 t³ − 15 t⁴ + 6 t⁵, the movement of least jerk (Flash & Hogan 1985).

    Parameters
    ----------
    reach
        How far the image moves, in pixels; N-MNIST's images move by 7.
    saccade_s
        Duration of each of the three saccades, in seconds.
    rate
        Frames per second: the image should move by less than a pixel from one to the next.
    motion
        ``"linear"``: constant speed in each saccade, or ``"smooth"``.
    ground
        Brightness around the image, 0 black and 1 white.
    """

    name: ClassVar[str] = "saccades"
    citation: ClassVar[str] = (
        "Orchard, Jayawant, Cohen & Thakor 2015, Converting Static Image Datasets to Spiking Neuromorphic "
        "Datasets Using Saccades, Frontiers in Neuroscience 9:437"
    )

    reach: Annotated[int, Meta(ge=1, le=1 << 12)] = 7
    saccade_s: Annotated[float, Meta(ge=1e-3, le=100)] = 0.105
    rate: Annotated[float, Meta(ge=1, le=1e5)] = 200.0
    motion: Literal["linear", "smooth"] = "linear"
    ground: Intensity = 0.0

    def places(self) -> NDArray[np.float64]:
        """Return where the upper left corner of the image is in each frame, float64 (frame, 2): (column, row)."""
        frames = max(int(np.rint(_SACCADES * self.saccade_s * self.rate)), 1) + 1
        share = np.minimum(np.arange(frames) / (self.saccade_s * self.rate), _SACCADES)
        if self.motion == "smooth":
            whole, t = np.floor(share), share % 1
            share = whole + t**3 * (10 - 15 * t + 6 * t**2)
        moved = [np.interp(share, np.arange(len(_CORNERS)), corners) for corners in _CORNERS.T]
        return self.reach * np.stack(moved, axis=1)

    def __call__(self, signal: Any, *, rng: SampleKey | None = None) -> Video:
        """Return the video; one that takes more than a few MB of memory is made anew on every walk.

        Raises
        ------
        DataError
            `signal` is no image in grey levels.
        """
        image = self._grey(signal)
        frames = _Moved(image, self.places(), self.reach, self.ground)
        video = self.outline(image)
        pieces: Any = (
            frames if len(video.times) * frames.frame_bytes > _PIECE_BYTES else (next(iter(frames)),)
        )
        return Video(pieces, video.size, video.times, video.duration)

    def outline(self, signal: Any, rng: SampleKey | None = None) -> Video:
        """Return a video without frames, of the size and the times that the image gets."""
        rows, columns = self._grey(signal).shape
        times, duration = frame_times(len(self.places()), self.rate)
        return Video((), (columns + self.reach, rows + self.reach), times, duration)

    def _grey(self, signal: Any) -> Image:
        image = checked_image(signal, self.name)
        if image.ndim == 3:
            raise DataError(
                f"{self.name}: got an image of {image.shape[2]} channels",
                "grey levels, (row, column)",
                "Read the images with source.mode=grey.",
            )
        return image


class _Moved:
    """Frames of a moving image, in pieces."""

    def __init__(self, image: Image, places: NDArray[np.float64], reach: int, ground: float) -> None:
        self._dtype, self._places, self._reach = image.dtype, places, reach
        scale = 255.0 if image.dtype == np.uint8 else 1.0
        # one more row and column of ground: what is read beside the last ones
        self._padded = np.pad(image.astype(np.float64), reach + 1, constant_values=scale * ground)
        self._shape = tuple(size + reach for size in image.shape)
        self.frame_bytes = int(np.prod(self._shape)) * image.dtype.itemsize

    def __iter__(self) -> Iterator[NDArray[Any]]:
        count = max(_PIECE_BYTES // self.frame_bytes, 1)
        for first in range(0, len(self._places), count):
            places = self._places[first : first + count]
            frames = np.empty((len(places), *self._shape), self._dtype)
            _move(self._padded, places, self._reach + 1, self._dtype == np.uint8, frames)
            yield frames


@jit
def _move(
    padded: NDArray[np.float64], places: NDArray[np.float64], margin: int, whole: bool, frames: NDArray[Any]
) -> None:
    """Write the frames in which the corner of an image, with `margin` pixels around it, is at `places`."""
    for n in range(frames.shape[0]):
        column, row = np.int64(np.floor(places[n, 0])), np.int64(np.floor(places[n, 1]))
        right, down = places[n, 0] - column, places[n, 1] - row
        for y in range(frames.shape[1]):
            here = padded[margin - row + y]
            above = padded[margin - row + y - 1]
            for x in range(frames.shape[2]):
                at = margin - column + x
                upper = above[at] * (1.0 - right) + above[at - 1] * right
                lower = here[at] * (1.0 - right) + here[at - 1] * right
                value = lower * (1.0 - down) + upper * down
                frames[n, y, x] = np.rint(value) if whole else value
