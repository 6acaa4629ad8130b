"""Move events in time at random."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..._jit import jit
from ...config import Meta
from ...data import EVENT, Events
from ...errors import UsageError
from ...random import TIME_JITTER, SampleKey
from ..draws import draws, required_key
from .base import EventTransform, Piece
from .rounded_normal import GUIDE, rounded_normal

_LARGEST_SHIFT = 1 << 20  # µs; the table of shifts has two entries for each


@jit
def _shift(
    t: NDArray[np.int64], numbers: NDArray[np.uint64], bounds: NDArray[np.uint64], guide: NDArray[np.int64]
) -> None:
    """Move each t by the shift of its number; never below 0."""
    most = bounds.size // 2
    for n in range(t.size):
        place = guide[numbers[n] >> GUIDE]
        while place < bounds.size and bounds[place] <= numbers[n]:
            place += 1
        t[n] = max(t[n] + place - most, 0)


def _sorted(events: Piece) -> Piece:
    """Return events by t, equal ones in their order."""
    return events[np.argsort(events["t"], kind="stable")]


@dataclass(frozen=True)
class TimeJitter(EventTransform):
    """Move each event in time by whole µs of a normal distribution, and sort again; the duration stays.

    The distribution is cut at ± `most_us`, so that a streamed recording delays events by no more than that. Events that
    would leave the recording get its first or last µs. Events of one stamp keep their order. A shift depends on the
    event's position in the recording alone.

    Parameters
    ----------
    std_us
        Standard deviation in µs, before the cut.
    most_us
        The largest shift in µs, at most 2²⁰; 0: three standard deviations, which 0.3 % of a normal distribution
        exceed.
    """

    name: ClassVar[str] = "time_jitter"
    citation: ClassVar[str] = "Lenz et al. 2021, Tonic: event-based datasets and transformations, Zenodo"

    std_us: Annotated[float, Meta(gt=0, le=_LARGEST_SHIFT)] = 100.0
    most_us: Annotated[int, Meta(ge=0, le=_LARGEST_SHIFT)] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.most > _LARGEST_SHIFT:
            raise UsageError(
                f"got time_jitter.std_us = {self.std_us}, shifts of up to {self.most} µs",
                f"at most {_LARGEST_SHIFT} µs",
                "Set time_jitter.most_us.",
            )

    @property
    def most(self) -> int:
        """The largest shift in µs."""
        return self.most_us or ceil(3 * self.std_us)

    def walk(self, events: Events, rng: SampleKey | None) -> Iterator[Piece]:
        """Yield the events in their new order, each as soon as no later one can come before it."""
        key, count = required_key(rng, self.name), 0
        bounds, guide = rounded_normal(self.std_us, self.most)
        waiting = np.empty(0, EVENT)
        for piece in events.pieces:
            if not len(piece):
                continue
            t = piece["t"].copy()
            _shift(t, draws(count, len(piece), TIME_JITTER, key), bounds, guide)
            count += len(piece)
            both = np.empty(len(waiting) + len(piece), EVENT)
            both[: len(waiting)], both[len(waiting) :] = waiting, piece
            both["t"][len(waiting) :] = t
            ready = both["t"] <= piece["t"][-1] - self.most  # no event after this piece can be earlier
            waiting = both[~ready]  # in the order of recording, which orders equal stamps
            yield _sorted(both[ready])
        waiting["t"] = np.minimum(waiting["t"], events.length() - 1)
        yield _sorted(waiting)


def jitter_reference(transform: TimeJitter, events: Events, rng: SampleKey) -> Piece:
    """Return the events of `transform`, in NumPy."""
    bounds, _ = rounded_normal(transform.std_us, transform.most)
    array = events.array.copy()
    numbers = draws(0, len(array), TIME_JITTER, rng)
    array["t"] += np.searchsorted(bounds, numbers, side="right") - transform.most
    array["t"] = np.clip(array["t"], 0, max(events.length() - 1, 0))
    return _sorted(array)
