"""What a transform of event recordings is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np

from ...config import Meta
from ...data import EVENT, Events
from ...encoders.base import Augmentation, Transform, plugin_error
from ...encoders.event_checks import Piece as Piece
from ...encoders.event_checks import checked, recording
from ...errors import SpikeprepError
from ...random import SampleKey

Microseconds = Annotated[int, Meta(ge=0, le=1 << 62)]
"""Whole µs, at least 0; sums and differences with stamps fit into 64 bits."""

Pixels = Annotated[int, Meta(ge=0, le=1 << 16)]
"""A number of pixels, at least 0, of the coordinates that an event can have."""

NEVER = np.int64(-(1 << 62))
"""The stamp of a pixel that has not fired."""


@dataclass(frozen=True)
class EventTransform(Transform):
    """Recording → recording, piece after piece; the result does not depend on how the pieces are cut.

    A recording in memory (its pieces are a tuple) is transformed at once, a streamed one anew on every walk over its
    pieces. Events that come in are checked against the sensor and the order of time, unless `Events.checked` says that
    they are; what comes out is marked as checked.

    A subclass defines in `walk` what happens to the events, and in `sensor`, `lasting` and `starting` what becomes of
    the sensor, the duration and the clock. These must follow from sensor, duration and settings alone: so an outline
    costs nothing and is exact. Dropping events does not shorten a recording.
    """

    @abstractmethod
    def walk(self, events: Events, rng: SampleKey | None) -> Iterator[Piece]:
        """Yield new pieces for those of `events`, which have been checked; write to none of them."""

    def sensor(self, size: tuple[int, int], polarities: int) -> tuple[tuple[int, int], int]:
        """Return the (width, height) and the number of polarities that a sensor becomes."""
        return size, polarities

    def lasting(self, duration: int) -> int:
        """Return the duration, in µs, that `duration` becomes."""
        return duration

    def starting(self, start: int) -> int:
        """Return what the file's clock shows, in µs, where t is 0 in the result."""
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
        pieces = _Transformed(self, events, rng)
        result = Events(pieces, size, polarities, self.starting(events.start), checked=True)
        if isinstance(events.pieces, tuple):
            return replace(result, pieces=(result.array,), duration=self.lasting(events.length()))
        return replace(result, duration=None if events.duration is None else self.lasting(events.duration))

    def outline(self, signal: Any, rng: SampleKey | None = None) -> Events:
        """Return a recording without events, of the sensor and the duration that `signal`, or its outline, gets."""
        events = recording(signal, self.name)
        size, polarities = self.sensor(events.size, events.polarities)
        return Events((), size, polarities, self.starting(events.start), self.lasting(events.length()))

    @property
    def _built_in(self) -> bool:
        """Whether `walk` is one of this package, whose tests show that its events are on the sensor and in order."""
        return type(self).__module__.startswith(f"{__package__}.")


@dataclass(frozen=True)
class EventAugmentation(Augmentation, EventTransform):
    """An `EventTransform` that varies copies at random and leaves originals; a sample's key decides every draw."""

    def plain(self, signal: Any) -> Events:
        """Return an original's recording unchanged; raises `DataError` for what is none."""
        return recording(signal, self.name)


class _Transformed:
    """The pieces of a transformed recording, made anew on every walk."""

    def __init__(self, transform: EventTransform, events: Events, rng: SampleKey | None) -> None:
        self._transform, self._rng = transform, rng
        self._checked = _Checked(events, transform.name)
        self._events = replace(events, pieces=self._checked, checked=True)

    def __iter__(self) -> Iterator[Piece]:
        transform, events = self._transform, self._events
        if transform._built_in:
            return transform.walk(events, self._rng)
        # the kernels of the next step index with these events
        size, polarities = transform.sensor(events.size, events.polarities)
        duration = None if events.duration is None else transform.lasting(events.duration)
        result = Events(_PluginWalk(transform, events, self._rng), size, polarities, duration=duration)
        return checked(result, f"the result of {transform.name}", "Correct the transform.")

    def length(self) -> int:
        """Return how long the transformed recording lasts, in µs."""
        return self._transform.lasting(self._checked.length())


class _PluginWalk:
    """The pieces that a plugin's `walk` yields; its exceptions become errors that name the plugin."""

    def __init__(self, transform: EventTransform, events: Events, rng: SampleKey | None) -> None:
        self._transform, self._events, self._rng = transform, events, rng

    def __iter__(self) -> Iterator[Piece]:
        try:
            yield from self._transform.walk(self._events, self._rng)
        except (SpikeprepError, MemoryError):
            raise
        except Exception as error:
            raise plugin_error(self._transform, f"raised {type(error).__name__}: {error}") from error


class _Checked:
    """The pieces of a recording, checked on the first walk; keeps how long it lasts, so that one walk is enough."""

    def __init__(self, events: Events, who: str) -> None:
        self._events, self._who = events, who
        self._length = events.duration

    def __iter__(self) -> Iterator[Piece]:
        length = 0
        for piece in checked(self._events, self._who):
            length = int(piece["t"][-1]) + 1 if len(piece) else length
            yield piece
        self._events = replace(self._events, checked=True)
        if self._length is None:
            self._length = self._events.length(length)

    def length(self) -> int:
        if self._length is None:
            self._length = self._events.length()
        return self._length


def empty_like(piece: Piece) -> Piece:
    """Return an array for as many events as `piece` has, not yet written."""
    return np.empty(len(piece), EVENT)
