"""Drop events that no neighbour supports."""

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
from .base import NEVER, EventTransform, Piece, like, whole


@njit(nogil=True, cache=True)
def _filter(events: Piece, tau: int, corners: bool, last: NDArray[np.int64], kept: Piece) -> int:
    """Write supported events to `kept`; `last` (row + 1, column + 1) has a frame of pixels that never fire."""
    count = 0
    for n in range(events.size):
        event = events[n]
        x, y = np.int64(event.x), np.int64(event.y)  # the pixel is last[y + 1, x + 1]
        newest = max(max(last[y, x + 1], last[y + 2, x + 1]), max(last[y + 1, x], last[y + 1, x + 2]))
        if corners:
            newest = max(newest, max(last[y, x], last[y, x + 2]), max(last[y + 2, x], last[y + 2, x + 2]))
        last[y + 1, x + 1] = event.t
        kept[count] = event
        count += newest > event.t - tau
    return count


@dataclass(frozen=True)
class BackgroundFilter(EventTransform):
    """Drop background activity: keep an event if a neighbouring pixel fired less than τ ago, of whatever polarity.

    A neighbour supports by what came before in the recording, kept or not, at the same stamp too; one exactly τ ago
    does not. A pixel does not support itself. Of two supporting events the first has nothing before it, and is dropped.

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

    tau_us: int = 10_000
    neighbours: int = 8

    def __post_init__(self) -> None:
        whole(self.name, 1, tau_us=self.tau_us)
        if self.neighbours not in (4, 8):
            raise UsageError(f"background_filter: got neighbours {self.neighbours!r}", "4 or 8")

    def walk(self, events: Events, rng: SampleKey | None) -> Iterator[Piece]:
        """Yield the events that are supported."""
        width, height = events.size
        last = np.full((height + 2, width + 2), NEVER)
        for piece in events.pieces:
            kept = like(piece)
            yield kept[: _filter(piece, self.tau_us, self.neighbours == 8, last, kept)]


def background_reference(transform: BackgroundFilter, events: Events) -> list[tuple[Any, ...]]:
    """Return what `transform` keeps of events, as (x, y, t, p), literally."""
    around = [(-1, 0), (1, 0), (0, -1), (0, 1)]
    if transform.neighbours == 8:
        around += [(-1, -1), (-1, 1), (1, -1), (1, 1)]
    last: dict[tuple[int, int], int] = {}
    kept = []
    for x, y, t, p in events.array.tolist():
        beside = [last[x + dx, y + dy] for dx, dy in around if (x + dx, y + dy) in last]
        if any(t - before < transform.tau_us for before in beside):
            kept.append((x, y, t, p))
        last[x, y] = t
    return kept
