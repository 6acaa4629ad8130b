"""Settings that are one value for all layers, or a list with one for each layer of `arch` and then the output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from ...config import Meta, NonNegative, Positive
from ...errors import UsageError

PerLayer = Positive | Annotated[tuple[Positive, ...], Meta(min_length=1)]
"""Numbers above 0."""

PerLayerOrZero = NonNegative | Annotated[tuple[NonNegative, ...], Meta(min_length=1)]
"""Numbers of at least 0."""


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
