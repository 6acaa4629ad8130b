"""Keep a window of the sensor and of time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..._jit import jit
from ...data import Events
from ...errors import UsageError
from ...random import SampleKey
from .base import EventTransform, Microseconds, Piece, Pixels, empty_like


@jit
def _crop(events: Piece, x: int, y: int, width: int, height: int, start: int, stop: int, out: Piece) -> int:
    """Write the events of the window to `out`, with its corner as the origin; return how many."""
    count = 0
    for n in range(events.size):
        event = events[n]
        column, row = event.x - x, event.y - y
        out[count].x, out[count].y, out[count].p, out[count].t = column, row, event.p, event.t - start
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        count += inside & (event.t >= start) & (event.t < stop)
    return count


@dataclass(frozen=True)
class EventCrop(EventTransform):
    """Keep a window of the sensor, and of time; its corner becomes the origin, its size the sensor's.

    The duration becomes that of the part of the recording which lies in the window.

    Parameters
    ----------
    x, y
        First column and row of the window.
    width, height
        Its size in pixels; 0: up to the edge of the sensor.
    start_us, stop_us
        The window in time, from `start_us` to before `stop_us`, in µs; a `stop_us` of 0: to the end.
    """

    name: ClassVar[str] = "event_crop"
    citation: ClassVar[str] = "Lenz et al. 2021, Tonic: event-based datasets and transformations, Zenodo"

    x: Pixels = 0
    y: Pixels = 0
    width: Pixels = 0
    height: Pixels = 0
    start_us: Microseconds = 0
    stop_us: Microseconds = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if 0 < self.stop_us <= self.start_us:
            raise UsageError(
                f"got event_crop.stop_us = {self.stop_us}",
                f"more than event_crop.start_us = {self.start_us}, or 0 for the end",
            )

    def sensor(self, size: tuple[int, int], polarities: int) -> tuple[tuple[int, int], int]:
        """Return the window's size; raises `UsageError` where it leaves the sensor."""
        width, height = self.width or size[0] - self.x, self.height or size[1] - self.y
        if self.x + width > size[0] or self.y + height > size[1] or width < 1 or height < 1:
            raise UsageError(
                f"event_crop: got a window of {self.width} × {self.height} pixels from ({self.x}, {self.y})",
                f"one within the sensor of {size[0]} × {size[1]}",
            )
        return (width, height), polarities

    def lasting(self, duration: int) -> int:
        """Return the part of the duration that lies in the window."""
        return max(min(duration, self.stop_us or duration) - self.start_us, 0)

    def starting(self, start: int) -> int:
        """Return what the file's clock shows at the window's start."""
        return start + self.start_us

    def walk(self, events: Events, rng: SampleKey | None) -> Iterator[Piece]:
        """Yield the events in the window."""
        (width, height), _ = self.sensor(events.size, events.polarities)
        stop = self.stop_us or (1 << 63) - 1
        for piece in events.pieces:
            out = empty_like(piece)
            yield out[: _crop(piece, self.x, self.y, width, height, self.start_us, stop, out)]
            if events.duration is not None and len(piece) and piece["t"][-1] >= stop:
                return  # where the duration is unknown the walk goes on, to find it


def crop_reference(crop: EventCrop, events: Events) -> Piece:
    """Return the events that `crop` keeps, in NumPy."""
    (width, height), _ = crop.sensor(events.size, events.polarities)
    array = events.array.copy()
    x, y, t = (array[axis].astype(np.int64) for axis in "xyt")
    inside = (
        (x >= crop.x) & (x < crop.x + width) & (y >= crop.y) & (y < crop.y + height) & (t >= crop.start_us)
    )
    if crop.stop_us:
        inside &= t < crop.stop_us
    for axis, origin in (("x", crop.x), ("y", crop.y), ("t", crop.start_us)):
        array[axis] -= array[axis].dtype.type(origin)
    return array[inside]
