"""Settings that are one value for all layers, or a list with one for each layer of `arch` and then the output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from ...config import Meta, Share
from ...errors import UsageError

_Positive = Annotated[float, Meta(gt=0, le=1e6)]
_NonNegative = Annotated[float, Meta(ge=0, le=1e6)]

PerLayer = _Positive | Annotated[tuple[_Positive, ...], Meta(min_length=1)]
"""Numbers above 0. The bound keeps sums over a layer's input finite in float32."""

_Spread = Annotated[float, Meta(gt=0, le=100)]

SpreadPerLayer = _Spread | Annotated[tuple[_Spread, ...], Meta(min_length=1)]
"""Spreads of initial weights; beyond the bound the regularisation overflows float32."""

SharePerLayer = Share | Annotated[tuple[Share, ...], Meta(min_length=1)]
"""Fractions of a whole."""

PerLayerOrZero = _NonNegative | Annotated[tuple[_NonNegative, ...], Meta(min_length=1)]
"""Numbers of at least 0, bounded alike."""


def at_layer(value: float | Sequence[float], layer: int) -> float:
    """Return the value of one layer, from 0."""
    return value if isinstance(value, float | int) else value[layer]


def check_layers(name: str, value: float | Sequence[float], layers: int) -> None:
    """Raise `UsageError` where a list has not one value for each of `layers` layers."""
    if not isinstance(value, float | int) and len(value) != layers:
        raise UsageError(
            f"got {name} {list(value)}",
            f"one value for all layers, or {layers}: one for each hidden layer, then the output's",
            f"Give {layers} values, or one.",
        )
