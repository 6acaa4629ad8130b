"""Drop events that no neighbour supports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..._jit import jit
from ...config import Meta
from ...data import Events
from ...random import SampleKey
from .base import NEVER, EventTransform, Piece, empty_like


@jit
def _filter(events: Piece, tau: int, corners: bool, last: NDArray[np.int64], out: Piece) -> int:
    """Write supported events to `out`, return how many; `last` (row + 1, column + 1) has a border that never fires."""
    count = 0
    for n in range(events.size):
        event = events[n]
        x, y = np.int64(event.x), np.int64(event.y)  # the pixel is last[y + 1, x + 1]
        newest = max(max(last[y, x + 1], last[y + 2, x + 1]), max(last[y + 1, x], last[y + 1, x + 2]))
        if corners:
            newest = max(newest, max(last[y, x], last[y, x + 2]), max(last[y + 2, x], last[y + 2, x + 2]))
        last[y + 1, x + 1] = event.t
        out[count] = event
        count += newest > event.t - tau
    return count


@dataclass(frozen=True)
class BackgroundFilter(EventTransform):
    """Drop background activity: keep an event if a neighbouring pixel fired less than τ before it.

    The neighbour's event may be of either polarity, kept or dropped, and at the same stamp, if it is earlier in the
    recording; one exactly τ before does not count. A pixel does not support itself. Of two events that support each
    other the first has nothing before it, and is dropped.

    With ``neighbours=4`` this is the rule of tonic's `Denoise`, except that tonic takes every pixel to have fired at
    t = 0, and so keeps what comes before τ.

    Parameters
    ----------
    tau_us
        τ in µs.
    neighbours
        8, or the 4 that share an edge with the pixel.
    """

    name: ClassVar[str] = "background_filter"
    citation: ClassVar[str] = (
        "Delbruck 2008, Frame-free dynamic digital vision, Int. Symp. on Secure-Life Electronics, Tokyo"
    )

    tau_us: Annotated[int, Meta(ge=1, le=1 << 62)] = 10_000
    neighbours: Literal[4, 8] = 8

    def walk(self, events: Events, rng: SampleKey | None) -> Iterator[Piece]:
        """Yield the events that are supported."""
        width, height = events.size
        last = np.full((height + 2, width + 2), NEVER)
        for piece in events.pieces:
            out = empty_like(piece)
            yield out[: _filter(piece, self.tau_us, self.neighbours == 8, last, out)]


def background_reference(transform: BackgroundFilter, events: Events) -> list[tuple[Any, ...]]:
    """Return the events that `transform` keeps, as (x, y, t, p), by its definition."""
    around = [(-1, 0), (1, 0), (0, -1), (0, 1)]
    if transform.neighbours == 8:
        around += [(-1, -1), (-1, 1), (1, -1), (1, 1)]
    last: dict[tuple[int, int], int] = {}
    result = []
    for x, y, t, p in events.array.tolist():
        beside = [last[x + dx, y + dy] for dx, dy in around if (x + dx, y + dy) in last]
        if any(t - before < transform.tau_us for before in beside):
            result.append((x, y, t, p))
        last[x, y] = t
    return result
