"""Spiking pooling: ``P2`` in `arch` is one neuron for every 2 × 2 units of a channel."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

from ...backend import Array, ArraySpec
from ...errors import UsageError
from .spatial import WINDOW, Spatial, window_settings

_NOTATION = re.compile(rf"P{WINDOW}")


@dataclass(frozen=True)
class Pool(Spatial):
    """Neurons that sum over windows of one channel; nothing to learn, and a threshold of their own.

    Each spike of a window arrives with weight 1. The error goes back with the paper's weight, 1 / units of a window.
    Windows do not overlap unless a smaller stride is given: ``P3s2``; ``P2x3`` has 2 rows and 3 columns. Rows and
    columns at the end that fill no window are left out, and those between windows (``P2s3``), as `remark` says.
    """

    name: ClassVar[str] = "pool"
    notation: ClassVar[str] = "P2"

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(self.padding):
            raise UsageError(
                f"got a pool with a padding of {self.padding}", "none", "Pad a convolution ahead of it."
            )

    @classmethod
    def parse(cls, text: str) -> Mapping[str, Any] | None:
        """See `LayerKind.parse`."""
        match = _NOTATION.fullmatch(text)
        if match is None:
            return None
        window = window_settings(match, 1)
        return {
            "kernel": window["kernel"],
            "stride": window["stride"] if window["stride"][0] else window["kernel"],
        }

    @property
    def out_shape(self) -> tuple[int, int, int]:
        """See `LayerKind.out_shape`."""
        return (self.grid[0], *self.places)

    @property
    def backward_weight(self) -> float:
        """See `LayerKind.backward_weight`: the paper's weight, one over the units of a window."""
        return 1 / (self.kernel[0] * self.kernel[1])

    def specs(self) -> Mapping[str, ArraySpec]:
        """See `LayerKind.specs`: nothing."""
        return {}

    def apply(self, xp: ModuleType, arrays: Mapping[str, Array], x: Array) -> Array:
        """See `LayerKind.apply`."""
        images = self.images(xp, x)
        out = xp.zeros((images.shape[0], *self.out_shape), x.dtype)
        for _, _, seen in self.taps():
            out += images[seen]
        return out.reshape(*x.shape[:-1], self.units)

    def transpose(self, xp: ModuleType, arrays: Mapping[str, Array], y: Array) -> Array:
        """See `LayerKind.transpose`."""
        images = self.blank_images(xp, y)
        spread = y.reshape(images.shape[0], *self.out_shape)
        for _, _, seen in self.taps():
            images[seen] += spread
        return self.units_of(images, y.shape[:-1])

    def correlate(
        self, xp: ModuleType, arrays: Mapping[str, Array], y: Array, x: Array
    ) -> Mapping[str, Array]:
        """See `LayerKind.correlate`: nothing is learnt."""
        return {}
