"""Convolutions: ``15C5`` in `arch` is 15 channels of 5 × 5 windows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Annotated, Any, ClassVar

from ...backend import Array, ArraySpec
from ...config import Meta
from .spatial import WINDOW, Spatial, window_settings

_NOTATION = re.compile(rf"([1-9][0-9]{{0,7}})C{WINDOW}(?:p([0-9]{{1,5}})(?:x([0-9]{{1,5}}))?)?")


@dataclass(frozen=True)
class Conv(Spatial):
    """A convolution: every post unit sees one window, and those of a channel share their weights.

    It is the cross-correlation of deep learning, without padding and with stride 1 unless they are given: ``15C5s2p1``
    has stride 2 and one row and column of padding on each side, ``15C3x5`` a window of 3 rows and 5 columns. Its array
    is `weight` (channel, channel of the input, row, column).

    Parameters
    ----------
    channels_out
        Channels of the output.
    """

    name: ClassVar[str] = "conv"
    notation: ClassVar[str] = "15C5"
    has_slack: ClassVar[bool] = False

    channels_out: Annotated[int, Meta(ge=1, le=2**24)] = 1

    @classmethod
    def parse(cls, text: str) -> Mapping[str, Any] | None:
        """See `LayerKind.parse`."""
        match = _NOTATION.fullmatch(text)
        if match is None:
            return None
        window = window_settings(match, 2)
        stride = window["stride"] if window["stride"][0] else (1, 1)
        padding = int(match[6] or 0), int(match[7] or match[6] or 0)
        return {
            "channels_out": int(match[1]),
            "kernel": window["kernel"],
            "stride": stride,
            "padding": padding,
        }

    @property
    def out_shape(self) -> tuple[int, int, int]:
        """See `LayerKind.out_shape`."""
        return (self.channels_out, *self.places)

    def specs(self) -> Mapping[str, ArraySpec]:
        """See `LayerKind.specs`."""
        return {"weight": ArraySpec((self.channels_out, self.grid[0], *self.kernel))}

    def apply(self, xp: ModuleType, arrays: Mapping[str, Array], x: Array) -> Array:
        """See `LayerKind.apply`."""
        images, weight = self.images(xp, x), arrays["weight"]
        count, channels = images.shape[:2]
        rows, columns = self.places
        out = xp.zeros((count, self.channels_out, rows * columns), x.dtype)
        for a, b, seen in self.taps():
            out += xp.matmul(weight[:, :, a, b], images[seen].reshape(count, channels, rows * columns))
        return out.reshape(*x.shape[:-1], self.units)

    def transpose(self, xp: ModuleType, arrays: Mapping[str, Array], y: Array) -> Array:
        """See `LayerKind.transpose`."""
        images, weight = self.blank_images(xp, y), arrays["weight"]
        count, channels = images.shape[:2]
        rows, columns = self.places
        flat = y.reshape(count, self.channels_out, rows * columns)
        for a, b, seen in self.taps():
            images[seen] += xp.matmul(weight[:, :, a, b].T, flat).reshape(count, channels, rows, columns)
        return self.units_of(images, y.shape[:-1])

    def correlate(
        self, xp: ModuleType, arrays: Mapping[str, Array], y: Array, x: Array
    ) -> Mapping[str, Array]:
        """See `LayerKind.correlate`."""
        images, gradient = self.images(xp, x), xp.zeros(self.specs()["weight"].shape, y.dtype)
        count, channels = images.shape[:2]
        rows, columns = self.places
        places = count * rows * columns
        flat = y.reshape(count, self.channels_out, rows * columns).transpose(1, 0, 2)
        flat = flat.reshape(self.channels_out, places)
        for a, b, seen in self.taps():
            gradient[:, :, a, b] = flat @ images[seen].transpose(0, 2, 3, 1).reshape(places, channels)
        return {"weight": gradient}
