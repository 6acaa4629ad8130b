"""Signals compared with each other and with their outlines."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import Events, Video
from .plugins import require


def arrays_of(signal: Any) -> list[NDArray[Any]]:
    """Return the arrays and numbers that a signal consists of."""
    if isinstance(signal, Events):
        numbers = (signal.size, signal.polarities, signal.start, signal.length())
        return [signal.array, *map(np.asarray, numbers)]
    if isinstance(signal, Video):
        return [signal.array, signal.times, np.asarray(signal.size), np.asarray(signal.duration)]
    if dataclasses.is_dataclass(signal):
        return [np.asarray(getattr(signal, field.name)) for field in dataclasses.fields(signal)]
    return [np.asarray(signal)]


def require_same(signal: Any, expected: Any, message: str) -> None:
    """Raise `AssertionError` unless two signals have the same type, dtypes, shapes and values."""
    same_kind = type(signal) is type(expected)
    require(same_kind, f"{message}: a {type(signal).__name__}, not a {type(expected).__name__}")
    for a, b in zip(arrays_of(signal), arrays_of(expected), strict=True):
        require(a.dtype == b.dtype, f"{message}: {a.dtype}, not {b.dtype}")
        require(a.shape == b.shape, f"{message}: the shape {a.shape}, not {b.shape}")
        require(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"), f"{message}: other values")


def cuttings(events: Events) -> dict[str, Events]:
    """Return a recording whose pieces are cut in other places, in memory and streamed, by what was done."""
    array = events.array
    # a reader may know the duration from elsewhere than from the last event
    duration = events.length() if hasattr(events.pieces, "length") else events.duration
    growing = np.cumsum(np.arange(1, 1 + int((2 * len(array)) ** 0.5)))  # pieces of 1, 2, 3, … events
    middle = len(array) // 2
    cuts = {
        "into pieces of 1, 2, 3, … events": tuple(np.split(array, growing[growing < len(array)])),
        "in the middle, with pieces of no events": (array[:0], array[:middle], array[:0], array[middle:]),
    }
    found = {f"cut {how}": replace(events, pieces=pieces) for how, pieces in cuts.items()}
    streamed = {f"streamed and {how}": replace(cut, pieces=list(cut.pieces)) for how, cut in found.items()}
    return {how: replace(cut, duration=duration) for how, cut in (found | streamed).items()}


def is_blank(signal: Any) -> bool:
    """Whether a signal has no events or only zeros: results on such a signal show nothing."""
    if isinstance(signal, Events):
        return not len(signal.array)
    return not any(array.any() for array in arrays_of(signal)[:1])


def outline_of(signal: Any) -> Any:
    """Return an outline of a signal: its shape without its values; of a recording, the sensor and the duration."""
    if isinstance(signal, Events):
        return dataclasses.replace(signal, pieces=(), duration=signal.length())
    if isinstance(signal, Video):
        return dataclasses.replace(signal, pieces=())
    if dataclasses.is_dataclass(signal) and not isinstance(signal, type):
        arrays = {f.name: getattr(signal, f.name) for f in dataclasses.fields(signal)}
        blank = {name: np.zeros_like(a) for name, a in arrays.items() if isinstance(a, np.ndarray)}
        return dataclasses.replace(signal, **blank)
    return np.zeros_like(signal)


def require_outline(outline: Any, signal: Any, message: str) -> None:
    """Raise `AssertionError` unless an outline has a signal's shape: of events and videos, size and times."""
    same_kind = type(outline) is type(signal)
    require(same_kind, f"{message}: a {type(outline).__name__}, not a {type(signal).__name__}")
    if isinstance(signal, Events | Video):
        of_events, of_video = ("size", "polarities", "start", "duration"), ("times", "size", "duration")
        names = of_events if isinstance(signal, Events) else of_video
        for name, a, b in zip(names, arrays_of(outline)[1:], arrays_of(signal)[1:], strict=True):
            require(np.array_equal(a, b), f"{message}: {name} {a.tolist()}, not {b.tolist()}")
        return
    for a, b in zip(arrays_of(outline), arrays_of(signal), strict=True):
        require(a.shape == b.shape, f"{message}: the shape {a.shape}, not {b.shape}")
