"""Move events in time by chance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, erfc, sqrt
from typing import ClassVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ...data import EVENT, Events
from ...errors import UsageError
from ...random import TIME_JITTER, SampleKey
from .base import EventTransform, Piece, needed, whole
from .event_random import draws

_LONGEST = 1 << 20  # µs; the table of shifts has two entries for each
_GUIDE = np.uint64(54)  # the ten leading digits of a number lead to its place in the table


@lru_cache(8)
def _table(std: float, most: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the upper bounds, below 2⁶⁴, of the shifts −most … most − 1, and where to look from the leading digits."""

    def below(x: float) -> float:
        return erfc(-x / std / sqrt(2)) / 2

    low, high = below(-most - 0.5), below(most + 0.5)
    shares = ((below(shift + 0.5) - low) / (high - low) for shift in range(-most, most))
    bounds = np.array([min(int(share * 2.0**64), 2**64 - 1) for share in shares], np.uint64)
    heads = np.arange(1024, dtype=np.uint64) << _GUIDE
    return bounds, np.searchsorted(bounds, heads, side="right")


@njit(nogil=True, cache=True)
def _shift(
    t: NDArray[np.int64], numbers: NDArray[np.uint64], bounds: NDArray[np.uint64], guide: NDArray[np.int64]
) -> None:
    """Move each t by the shift that its number falls to; never below 0."""
    most = bounds.size // 2
    for n in range(t.size):
        place = guide[numbers[n] >> _GUIDE]
        while place < bounds.size and bounds[place] <= numbers[n]:
            place += 1
        t[n] = max(t[n] + place - most, 0)


def _sorted(events: Piece) -> Piece:
    """Return events by t, equal ones in their order."""
    return events[np.argsort(events["t"], kind="stable")]


@dataclass(frozen=True)
class TimeJitter(EventTransform):
    """Move each event in time by whole µs of a normal distribution, and sort again; the duration stays.

    The distribution is cut at ± `most_us`, so that a streamed recording holds events back for no longer than that. What
    would leave the recording is put at its first or last µs. Events that come to one stamp keep their order. A shift
    depends on the event's position in the recording alone.

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

    std_us: float = 100.0
    most_us: int = 0

    def __post_init__(self) -> None:
        whole(self.name, most_us=self.most_us)
        if not (isinstance(self.std_us, int | float) and 0 < self.std_us < float("inf")):
            raise UsageError(f"time_jitter: got std_us {self.std_us!r}", "µs above 0")
        if self.most > _LONGEST:
            raise UsageError(f"time_jitter: got shifts of up to {self.most} µs", f"at most {_LONGEST}")

    @property
    def most(self) -> int:
        """The largest shift in µs."""
        return self.most_us or ceil(3 * self.std_us)

    def walk(self, events: Events, rng: SampleKey | None) -> Iterator[Piece]:
        """Yield the events in their new order, each as soon as none can come before it."""
        key, count = needed(rng, self.name), 0
        bounds, guide = _table(self.std_us, self.most)
        held = np.empty(0, EVENT)
        for piece in events.pieces:
            if not len(piece):
                continue
            t = piece["t"].copy()
            _shift(t, draws(count, len(piece), TIME_JITTER, key), bounds, guide)
            count += len(piece)
            both = np.empty(len(held) + len(piece), EVENT)
            both[: len(held)], both[len(held) :] = held, piece
            both["t"][len(held) :] = t
            ready = both["t"] <= piece["t"][-1] - self.most  # nothing that is still to come can be earlier
            held = both[~ready]  # in the order of recording, which decides between equal stamps
            yield _sorted(both[ready])
        held["t"] = np.minimum(held["t"], events.length() - 1)
        yield _sorted(held)


def jitter_reference(transform: TimeJitter, events: Events, rng: SampleKey) -> Piece:
    """Return what `transform` makes of events, in NumPy."""
    bounds, _ = _table(transform.std_us, transform.most)
    array = events.array.copy()
    numbers = draws(0, len(array), TIME_JITTER, rng)
    array["t"] += np.searchsorted(bounds, numbers, side="right") - transform.most
    array["t"] = np.clip(array["t"], 0, max(events.length() - 1, 0))
    return _sorted(array)
