"""What a transform of event recordings is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...data import EVENT, Events
from ...encoders.base import Transform
from ...encoders.event_checks import Piece as Piece
from ...encoders.event_checks import checked, recording
from ...errors import UsageError
from ...random import SampleKey

NEVER = np.int64(-(1 << 62))
"""The stamp of a pixel that has not fired."""


@dataclass(frozen=True)
class EventTransform(Transform):
    """Recording → recording, piece after piece: what comes out does not depend on how the pieces were cut.

    A recording in memory (its pieces are a tuple) is transformed at once, a streamed one anew on every walk of its
    pieces. Events that come in are checked against the sensor and the order of time.

    A subclass says in `walk` what happens to the events, and in `sensor` and `lasting` what becomes of the sensor and
    of the duration, which must follow from the sensor, the duration and the settings alone: so an outline costs
    nothing and is exact. Dropping events does not shorten a recording.
    """

    @abstractmethod
    def walk(self, events: Events, rng: SampleKey | None) -> Iterator[Piece]:
        """Yield new pieces for those of `events`, which have been checked; writes to none of them."""

    def sensor(self, size: tuple[int, int], polarities: int) -> tuple[tuple[int, int], int]:
        """Return what a sensor of that (width, height) and number of polarities becomes."""
        return size, polarities

    def lasting(self, duration: int) -> int:
        """Return what a duration in µs becomes."""
        return duration

    def starting(self, start: int) -> int:
        """Return what the file's clock, in µs, shows where t is 0 afterwards."""
        return start

    def __call__(self, signal: Any, *, rng: SampleKey | None = None) -> Events:
        """Return the transformed recording, streamed if `signal` is.

        Raises
        ------
        DataError
            `signal` is no `Events`, or has events off its sensor or out of order; of a streamed one, on the walk.
        """
        events = recording(signal, self.name)
        size, polarities = self.sensor(events.size, events.polarities)
        result = Events(_Walks(self, events, rng), size, polarities, self.starting(events.start))
        if isinstance(events.pieces, tuple):
            return replace(result, pieces=(result.array,), duration=self.lasting(events.length()))
        known = events.duration
        return replace(result, duration=None if known is None else self.lasting(known))

    def outline(self, signal: Any) -> Events:
        """Return a recording without events, of the sensor and the duration that `signal`, or its outline, gets."""
        events = recording(signal, self.name)
        size, polarities = self.sensor(events.size, events.polarities)
        return Events((), size, polarities, self.starting(events.start), self.lasting(events.length()))


class _Walks:
    """The pieces of a transformed recording, made anew on every walk."""

    def __init__(self, transform: EventTransform, events: Events, rng: SampleKey | None) -> None:
        self._transform, self._rng = transform, rng
        self._checked = _Checked(events, transform.name)
        self._events = replace(events, pieces=self._checked)

    def __iter__(self) -> Iterator[Piece]:
        return self._transform.walk(self._events, self._rng)

    def length(self) -> int:
        """Return how long the transformed recording lasts, in µs."""
        return self._transform.lasting(self._checked.length())


class _Checked:
    """The pieces of a recording, checked on every walk; remembers how long it lasts, so that one walk is enough."""

    def __init__(self, events: Events, who: str) -> None:
        self._events, self._who = events, who
        self._length = events.duration

    def __iter__(self) -> Iterator[Piece]:
        walked = 0
        for piece in checked(self._events, self._who):
            walked = int(piece["t"][-1]) + 1 if len(piece) else walked
            yield piece
        if self._length is None:
            self._length = self._events.length(walked)

    def length(self) -> int:
        if self._length is None:
            self._length = self._events.length()
        return self._length


def needed(rng: SampleKey | None, who: str) -> SampleKey:
    """Return `rng`; raises `UsageError` where it is None."""
    if rng is None:
        raise UsageError(
            f"{who}: got no random numbers", "a SampleKey", "Pass rng=SampleKey(seed, split, n)."
        )
    return rng


def whole(who: str, least: int = 0, **settings: Any) -> None:
    """Check settings that are whole numbers of at least `least`; raises `UsageError`."""
    for name, value in settings.items():
        if type(value) is not int or value < least:
            raise UsageError(f"{who}: got {name} {value!r}", f"a whole number of at least {least}")


def like(piece: Piece) -> Piece:
    """Return an array for as many events as `piece` has, not yet written."""
    return np.empty(len(piece), EVENT)
