"""Drop the events of a pixel within τ of its last one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..._jit import jit
from ...data import Events
from ...random import SampleKey
from .base import NEVER, EventTransform, Microseconds, Piece, empty_like


@jit
def _filter(events: Piece, tau: int, apart: bool, last: NDArray[np.int64], out: Piece) -> int:
    """Write events `tau` or more after the `last` of their pixel to `out`; return how many.

    `last` is (polarity or one, row, column), in µs.
    """
    count = 0
    for n in range(events.size):
        event = events[n]
        group = event.p if apart else 0
        before = last[group, event.y, event.x]
        keeps = before <= event.t - tau
        last[group, event.y, event.x] = event.t if keeps else before
        out[count] = event
        count += keeps
    return count


@dataclass(frozen=True)
class RefractoryFilter(EventTransform):
    """Refractory filter: drop events less than τ after the pixel's last event that was kept.

    An event exactly τ later is kept. Dropped events do not prolong the pause: a pixel that fires all the time is
    thinned to one event every τ. (Tonic's `RefractoryPeriod` counts from dropped events too, which silences it.)

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

    tau_us: Microseconds = 1000
    per_polarity: bool = False

    def walk(self, events: Events, rng: SampleKey | None) -> Iterator[Piece]:
        """Yield the events that are kept."""
        groups = events.polarities if self.per_polarity else 1
        last = np.full((groups, *events.size[::-1]), NEVER)
        for piece in events.pieces:
            out = empty_like(piece)
            yield out[: _filter(piece, self.tau_us, self.per_polarity, last, out)]


def refractory_reference(transform: RefractoryFilter, events: Events) -> list[tuple[Any, ...]]:
    """Return the events that `transform` keeps, as (x, y, t, p), by its definition."""
    last: dict[Any, int] = {}
    result = []
    for x, y, t, p in events.array.tolist():
        pixel = (x, y, p) if transform.per_polarity else (x, y)
        if pixel not in last or t - last[pixel] >= transform.tau_us:
            last[pixel] = t
            result.append((x, y, t, p))
    return result
