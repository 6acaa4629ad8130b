"""Transforms of event recordings. ``from spikeprep.transforms import EventCrop`` loads only what it names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .base import EventTransform
    from .crop import EventCrop

_PLUGINS = {"EventCrop": "event_crop"}
__all__ = ["EventCrop", "EventTransform"]


def __getattr__(name: str) -> Any:
    # numba is slow to import: a transform's module is loaded when its class is first asked for
    from ..registry import ENCODERS

    if name in _PLUGINS:
        return ENCODERS.get(_PLUGINS[name])
    if name == "EventTransform":
        from .base import EventTransform

        return EventTransform
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
