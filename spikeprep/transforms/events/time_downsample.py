"""Coarser time stamps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ...data import Events
from ...errors import UsageError
from ...random import SampleKey
from .base import EventTransform, Piece, like, whole


@njit(nogil=True, cache=True)
def _quantise(events: Piece, resolution: int, once: bool, last: NDArray[np.int64], kept: Piece) -> int:
    """Write events at the start of their interval to `kept`; `last` (polarity, row, column) has the one before."""
    count = 0
    stamp, after = np.int64(-1), np.int64(0)  # of the interval that the events are in
    for n in range(events.size):
        event = events[n]
        if event.t >= after:
            stamp = event.t // resolution * resolution
            after = stamp + resolution
        kept[count].x, kept[count].y, kept[count].p, kept[count].t = event.x, event.y, event.p, stamp
        if once:
            count += last[event.p, event.y, event.x] != stamp
            last[event.p, event.y, event.x] = stamp
        else:
            count += 1
    return count


@dataclass(frozen=True)
class EventTimeDownsample(EventTransform):
    """Coarser time stamps: each is rounded down to a multiple of the resolution; units stay µs.

    Parameters
    ----------
    resolution_us
        Interval between stamps in µs.
    once
        Whether to keep only the first event of a pixel and polarity in each interval, rather than all.
    """

    name: ClassVar[str] = "event_time_downsample"
    citation: ClassVar[str] = "Lenz et al. 2021, Tonic: event-based datasets and transformations, Zenodo"

    resolution_us: int = 1000
    once: bool = False

    def __post_init__(self) -> None:
        whole(self.name, 1, resolution_us=self.resolution_us)
        if type(self.once) is not bool:
            raise UsageError(f"event_time_downsample: got once {self.once!r}", "true or false")

    def walk(self, events: Events, rng: SampleKey | None) -> Iterator[Piece]:
        """Yield events with coarser stamps."""
        last = np.full((events.polarities, *events.size[::-1]), -1, np.int64)
        for piece in events.pieces:
            kept = like(piece)
            yield kept[: _quantise(piece, self.resolution_us, self.once, last, kept)]


def time_downsample_reference(transform: EventTimeDownsample, events: Events) -> list[tuple[Any, ...]]:
    """Return what `transform` makes of events, as (x, y, t, p), literally."""
    r = transform.resolution_us
    coarse = [(x, y, t // r * r, p) for x, y, t, p in events.array.tolist()]
    return list(dict.fromkeys(coarse)) if transform.once else coarse  # a dictionary keeps the first of equals
