"""Move events on the sensor at random."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Annotated, ClassVar

import numpy as np

from ...config import Meta
from ...data import Events
from ...random import EVENT_JITTER, SampleKey
from ..draws import draws, required_key
from .base import EventAugmentation, Piece
from .rounded_normal import rounded_normal

_WORD = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


@dataclass(frozen=True)
class EventJitter(EventAugmentation):
    """Move each event of copies by whole pixels of a normal distribution, in x and in y; drop what leaves the sensor.

    The distribution is cut at three standard deviations. A shift depends on the event's position in the recording
    alone. `time_jitter` moves events in time.

    Parameters
    ----------
    std_pixels
        Standard deviation in pixels, before rounding and the cut.
    """

    name: ClassVar[str] = "event_jitter"
    citation: ClassVar[str] = "Lenz et al. 2021, Tonic: event-based datasets and transformations, Zenodo"

    std_pixels: Annotated[float, Meta(gt=0, le=1000)] = 1.0

    def walk(self, events: Events, rng: SampleKey | None) -> Iterator[Piece]:
        """Yield the events that stay on the sensor."""
        key, count, most = required_key(rng, self.name), 0, ceil(3 * self.std_pixels)
        bounds, _ = rounded_normal(self.std_pixels, most)
        for piece in events.pieces:
            numbers = draws(count, len(piece), EVENT_JITTER, key)
            count += len(piece)
            # the upper half of a number moves x, the lower half y
            x = piece["x"] + np.searchsorted(bounds, numbers & ~_WORD, side="right") - most
            y = piece["y"] + np.searchsorted(bounds, numbers << _HALF, side="right") - most
            inside = (x >= 0) & (x < events.size[0]) & (y >= 0) & (y < events.size[1])
            moved = piece[inside]
            moved["x"], moved["y"] = x[inside], y[inside]
            yield moved
