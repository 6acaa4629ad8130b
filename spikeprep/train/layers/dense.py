"""Fully connected layers: ``800`` in `arch`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from types import ModuleType
from typing import Annotated, Any, ClassVar

from ...backend import Array, ArraySpec
from ...config import Meta
from .base import LayerKind


@dataclass(frozen=True)
class Dense(LayerKind):
    """Every pre unit is connected to every post unit.

    Its array is `weight` (post, pre).

    Parameters
    ----------
    units_out
        Number of post units.
    """

    name: ClassVar[str] = "dense"
    notation: ClassVar[str] = "800"

    units_out: Annotated[int, Meta(ge=1, le=2**24)] = 1

    @classmethod
    def parse(cls, text: str) -> Mapping[str, Any] | None:
        """See `LayerKind.parse`."""
        return {"units_out": int(text)} if re.fullmatch(r"[1-9][0-9]*", text) else None

    @property
    def out_shape(self) -> tuple[int, ...]:
        """See `LayerKind.out_shape`."""
        return (self.units_out,)

    def specs(self) -> Mapping[str, ArraySpec]:
        """See `LayerKind.specs`."""
        return {"weight": ArraySpec((self.units_out, prod(self.in_shape)))}

    def apply(self, xp: ModuleType, arrays: Mapping[str, Array], x: Array) -> Array:
        """See `LayerKind.apply`."""
        return x @ arrays["weight"].T

    def transpose(self, xp: ModuleType, arrays: Mapping[str, Array], y: Array) -> Array:
        """See `LayerKind.transpose`."""
        return y @ arrays["weight"]

    def correlate(
        self, xp: ModuleType, arrays: Mapping[str, Array], y: Array, x: Array
    ) -> Mapping[str, Array]:
        """See `LayerKind.correlate`."""
        return {"weight": y.reshape(-1, y.shape[-1]).T @ x.reshape(-1, x.shape[-1])}
