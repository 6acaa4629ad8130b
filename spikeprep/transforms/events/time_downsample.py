"""Coarser time stamps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..._jit import jit
from ...config import Meta
from ...data import Events
from ...random import SampleKey
from .base import EventTransform, Piece, empty_like


@jit
def _quantise(events: Piece, resolution: int, once: bool, last: NDArray[np.int64], out: Piece) -> int:
    """Write events with the start of their interval as t to `out`; `last` (polarity, row, column): the one before."""
    count = 0
    stamp, after = np.int64(-1), np.int64(0)  # of the interval that the events are in
    for n in range(events.size):
        event = events[n]
        if event.t >= after:
            stamp = event.t // resolution * resolution
            after = stamp + resolution
        out[count].x, out[count].y, out[count].p, out[count].t = event.x, event.y, event.p, stamp
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

    resolution_us: Annotated[int, Meta(ge=1, le=1 << 62)] = 1000
    once: bool = False

    def walk(self, events: Events, rng: SampleKey | None) -> Iterator[Piece]:
        """Yield events with coarser stamps."""
        last = np.full((events.polarities, *events.size[::-1]), -1, np.int64)
        for piece in events.pieces:
            out = empty_like(piece)
            yield out[: _quantise(piece, self.resolution_us, self.once, last, out)]


def time_downsample_reference(transform: EventTimeDownsample, events: Events) -> list[tuple[Any, ...]]:
    """Return the events of `transform`, as (x, y, t, p), by its definition."""
    r = transform.resolution_us
    coarse = [(x, y, t // r * r, p) for x, y, t, p in events.array.tolist()]
    return list(dict.fromkeys(coarse)) if transform.once else coarse  # a dictionary keeps the first of equals
