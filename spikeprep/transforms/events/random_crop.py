"""Keep a window of the sensor: a random one of copies, the middle one of originals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from ...data import Events
from ...errors import UsageError
from ...random import EVENT_RANDOM_CROP, SampleKey
from ..draws import required_key, uniforms
from .base import EventAugmentation, EventTransform, Piece, Pixels


@dataclass(frozen=True)
class EventRandomCrop(EventAugmentation):
    """Keep a window of `width` × `height` pixels: of copies at a random place, of originals in the middle.

    Its corner becomes the origin, its size the sensor's; time stays. `event_crop` keeps a window that is named.

    Parameters
    ----------
    width, height
        Size of the window; 0: that of the sensor.
    """

    name: ClassVar[str] = "event_random_crop"
    citation: ClassVar[str] = "Lenz et al. 2021, Tonic: event-based datasets and transformations, Zenodo"

    width: Pixels = 0
    height: Pixels = 0

    def sensor(self, size: tuple[int, int], polarities: int) -> tuple[tuple[int, int], int]:
        """Return the window's size; raises `UsageError` where it is larger than the sensor."""
        width, height = self.width or size[0], self.height or size[1]
        if width > size[0] or height > size[1]:
            raise UsageError(
                f"event_random_crop: got a window of {width} × {height} pixels",
                f"one within the sensor of {size[0]} × {size[1]}",
            )
        return (width, height), polarities

    def corner(self, size: tuple[int, int], key: SampleKey | None) -> tuple[int, int]:
        """Return the column and row of the window's corner; without a key that of the window in the middle."""
        (width, height), _ = self.sensor(size, 1)
        free = size[0] - width, size[1] - height
        if key is None:
            return free[0] // 2, free[1] // 2
        x, y = uniforms(2, EVENT_RANDOM_CROP, key)
        return int(x * (free[0] + 1)), int(y * (free[1] + 1))

    def __call__(self, signal: Any, *, rng: SampleKey | None = None) -> Events:
        """Return the events of a random window; raises `UsageError` where `rng` is None."""
        return super().__call__(signal, rng=required_key(rng, self.name))

    def plain(self, signal: Any) -> Events:
        """Return the events of the window in the middle."""
        return EventTransform.__call__(self, signal)

    def walk(self, events: Events, rng: SampleKey | None) -> Iterator[Piece]:
        """Yield the events in the window."""
        (width, height), _ = self.sensor(events.size, events.polarities)
        x, y = self.corner(events.size, rng)
        for piece in events.pieces:
            columns, rows = piece["x"], piece["y"]
            inside = (columns >= x) & (columns < x + width) & (rows >= y) & (rows < y + height)
            kept = piece[inside]
            kept["x"] -= x
            kept["y"] -= y
            yield kept
