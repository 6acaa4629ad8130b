"""Drop what a pixel says too soon after it has spoken."""

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
def _filter(events: Piece, tau: int, apart: bool, last: NDArray[np.int64], kept: Piece) -> int:
    """Write events to `kept` that come `tau` or more after `last` (polarity or one, row, column) of their pixel."""
    count = 0
    for n in range(events.size):
        event = events[n]
        group = event.p if apart else 0
        before = last[group, event.y, event.x]
        keeps = before <= event.t - tau
        last[group, event.y, event.x] = event.t if keeps else before
        kept[count] = event
        count += keeps
    return count


@dataclass(frozen=True)
class RefractoryFilter(EventTransform):
    """Drop the events of a pixel that come less than τ after the last one of it that was kept.

    An event exactly τ later is kept. What was dropped does not prolong the pause: a pixel that fires all the time is
    thinned to an event every τ. (Tonic's `RefractoryPeriod` counts from dropped events too, which silences it.)

    Parameters
    ----------
    tau_us
        τ in µs.
    per_polarity
        Whether ON and OFF events of a pixel have pauses of their own, rather than one for both.
    """

    name: ClassVar[str] = "refractory_filter"
    citation: ClassVar[str] = (
        "Delbruck 2008, Frame-free dynamic digital vision, Int. Symp. on Secure-Life Electronics, Tokyo"
    )

    tau_us: int = 1000
    per_polarity: bool = False

    def __post_init__(self) -> None:
        whole(self.name, tau_us=self.tau_us)
        if type(self.per_polarity) is not bool:
            raise UsageError(f"refractory_filter: got per_polarity {self.per_polarity!r}", "true or false")

    def walk(self, events: Events, rng: SampleKey | None) -> Iterator[Piece]:
        """Yield the events that are kept."""
        groups = events.polarities if self.per_polarity else 1
        last = np.full((groups, *events.size[::-1]), NEVER)
        for piece in events.pieces:
            kept = like(piece)
            yield kept[: _filter(piece, self.tau_us, self.per_polarity, last, kept)]


def refractory_reference(transform: RefractoryFilter, events: Events) -> list[tuple[Any, ...]]:
    """Return what `transform` keeps of events, as (x, y, t, p), literally."""
    last: dict[Any, int] = {}
    kept = []
    for x, y, t, p in events.array.tolist():
        pixel = (x, y, p) if transform.per_polarity else (x, y)
        if pixel not in last or t - last[pixel] >= transform.tau_us:
            last[pixel] = t
            kept.append((x, y, t, p))
    return kept
