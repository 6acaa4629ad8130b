"""The paper's notation for hidden layers: ``800-800``, ``15C5-P2-300``; the output comes from the store's classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...config import excerpt
from ...errors import UsageError
from ...registry import LAYERS
from .base import LayerKind
from .dense import Dense
from .spatial import Channels, Spatial, channel_axis


@dataclass(frozen=True)
class LayerNotation:
    """One part of `arch`: a layer kind and its settings, not yet behind units of a shape."""

    text: str
    kind: type[LayerKind]
    settings: Mapping[str, Any]


def parse_arch(arch: str) -> tuple[LayerNotation, ...]:
    """Return the hidden layers that `arch` lists, input side first.

    Raises
    ------
    UsageError
        A part is in no layer kind's notation, or in that of two.
    """
    kinds = {name: LAYERS.get(name) for name in LAYERS.names()}
    layers = []
    for text in str(arch).split("-"):
        matches = [(kind, found) for kind in kinds.values() if (found := kind.parse(text)) is not None]
        if not matches:
            known = ", ".join(f"{kind.notation} ({name})" for name, kind in kinds.items())
            raise UsageError(
                f"got {excerpt(text)} in arch {excerpt(arch)}",
                f"the notation of a layer: {known}",
                "Write the hidden layers joined by dashes, for example 800-800 or 15C5-P2-300.",
            )
        if len(matches) > 1:
            names = " and ".join(kind.name for kind, _ in matches)
            raise UsageError(f"{text!r} in arch {arch!r} is in the notation of {names}", "of one layer kind")
        layers.append(LayerNotation(text, *matches[0]))
    return tuple(layers)


def build_layers(
    arch: str, in_shape: tuple[int, ...], classes: int, channels: Channels = "auto"
) -> tuple[LayerKind, ...]:
    """Return the layers of `arch` behind units of a shape, and a fully connected output layer of `classes` units.

    `channels` tells where the channels are among the axes of the input's units; see `channel_axis`. For a convolution
    or a pool, units along a single axis (the frequencies of an ear) are rows of one column.

    Raises
    ------
    UsageError
        `arch` is not in the notation, or a layer does not fit behind the one before it.
    """
    layers: list[LayerKind] = []
    shape = in_shape
    for part in parse_arch(arch):
        settings = dict(part.settings)
        try:
            if not layers and issubclass(part.kind, Spatial):
                shape = shape if len(shape) > 1 else (*shape, 1)
                settings["channels"] = channel_axis(shape, channels)
            layers.append(part.kind.bound(settings, shape))
            shape = layers[-1].out_shape
        except UsageError as error:
            raise UsageError(
                f"{part.text!r} in arch {arch!r}: {error.got}", error.expected, error.hint
            ) from error
    return (*layers, Dense(shape, classes))
