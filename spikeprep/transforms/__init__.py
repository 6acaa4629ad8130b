"""Transforms: signal → signal. ``from spikeprep.transforms import EventCrop`` imports only the module of that class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .audio.augmentation import AudioAugmentation
    from .audio.base import FrontEnd
    from .audio.butterworth import Butterworth
    from .audio.fix_length import FixLength
    from .audio.gain import Gain
    from .audio.gammatone import Gammatone
    from .audio.lyon import Lyon
    from .audio.mel import Mel
    from .audio.noise import SoundNoise
    from .audio.speed import Speed
    from .audio.time_shift import TimeShift
    from .events.background_filter import BackgroundFilter
    from .events.base import EventAugmentation, EventTransform
    from .events.crop import EventCrop
    from .events.downsample import EventDownsample
    from .events.drop_events import DropEvents
    from .events.flip import EventFlip
    from .events.hot_pixels import HotPixels
    from .events.jitter import EventJitter
    from .events.merge_polarity import MergePolarity
    from .events.noise import EventNoise
    from .events.random_crop import EventRandomCrop
    from .events.refractory_filter import RefractoryFilter
    from .events.stabilise_saccades import StabiliseSaccades
    from .events.time_downsample import EventTimeDownsample
    from .events.time_jitter import TimeJitter
    from .images.base import ImageAugmentation, ImageTransform
    from .images.crop import Crop
    from .images.elastic import Elastic
    from .images.flip import Flip
    from .images.invert import Invert
    from .images.noise import Noise
    from .images.rotation import Rotation
    from .images.scale import Scale
    from .images.shift import Shift
    from .series.deltas import Deltas
    from .series.rectify import Rectify
    from .series.resample import Resample
    from .series.standardise import Standardise
    from .videos.saccades import Saccades
    from .videos.video_to_events import VideoToEvents

__all__ = [
    "AudioAugmentation",
    "BackgroundFilter",
    "Butterworth",
    "Crop",
    "Deltas",
    "DropEvents",
    "Elastic",
    "EventAugmentation",
    "EventCrop",
    "EventDownsample",
    "EventFlip",
    "EventJitter",
    "EventNoise",
    "EventRandomCrop",
    "EventTimeDownsample",
    "EventTransform",
    "FixLength",
    "Flip",
    "FrontEnd",
    "Gain",
    "Gammatone",
    "HotPixels",
    "ImageAugmentation",
    "ImageTransform",
    "Invert",
    "Lyon",
    "Mel",
    "MergePolarity",
    "Noise",
    "Rectify",
    "RefractoryFilter",
    "Resample",
    "Rotation",
    "Saccades",
    "Scale",
    "Shift",
    "SoundNoise",
    "Speed",
    "StabiliseSaccades",
    "Standardise",
    "TimeJitter",
    "TimeShift",
    "VideoToEvents",
]


_BASES = {
    "AudioAugmentation": "audio.augmentation",
    "EventAugmentation": "events.base",
    "EventTransform": "events.base",
    "FrontEnd": "audio.base",
    "ImageAugmentation": "images.base",
    "ImageTransform": "images.base",
}  # base class → its module


def __getattr__(name: str) -> Any:
    # numba is slow to import: a transform's module is imported when its class is first used
    import importlib
    import re

    from ..registry import TRANSFORMS

    if module := _BASES.get(name):
        return getattr(importlib.import_module(f".{module}", __name__), name)
    if name in __all__:
        return TRANSFORMS.get(re.sub(r"(?<=.)(?=[A-Z])", "_", name).lower())
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
