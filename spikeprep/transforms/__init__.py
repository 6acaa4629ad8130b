"""Transforms of event recordings. ``from spikeprep.transforms import EventCrop`` loads only what it names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .background import BackgroundFilter
    from .base import EventTransform
    from .crop import EventCrop
    from .downsample import EventDownsample
    from .drop import DropEvents
    from .hot_pixels import HotPixels
    from .jitter import TimeJitter
    from .merge_polarity import MergePolarity
    from .refractory import RefractoryFilter
    from .stabilise import StabiliseSaccades
    from .time_downsample import EventTimeDownsample

__all__ = [
    "BackgroundFilter",
    "DropEvents",
    "EventCrop",
    "EventDownsample",
    "EventTimeDownsample",
    "EventTransform",
    "HotPixels",
    "MergePolarity",
    "RefractoryFilter",
    "StabiliseSaccades",
    "TimeJitter",
]


def __getattr__(name: str) -> Any:
    # numba is slow to import: a transform's module is loaded when its class is first asked for
    import re

    from ..registry import ENCODERS

    if name == "EventTransform":
        from .base import EventTransform

        return EventTransform
    if name in __all__:
        return ENCODERS.get(re.sub(r"(?<=.)(?=[A-Z])", "_", name).lower())
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
