"""Add noise events to recordings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...config import Meta
from ...data import EVENT, Events
from ...random import EVENT_NOISE, EVENT_NOISE_PIXELS, SampleKey
from ..draws import draws, required_key
from .base import EventAugmentation, Piece

_BLOCK = 1024  # noise events that are drawn together
_TICKS = 1024.0  # per µs: gaps are rounded to them, so that sums of gaps are exact
_HALF, _ONE, _LOW = np.uint64(32), np.uint64(1), np.uint64(11)


@dataclass(frozen=True)
class EventNoise(EventAugmentation):
    """Add events to copies at `rate_hz` per pixel: a Poisson process, alike over sensor, time and polarities.

    Noise comes until the end of the recording; of equal stamps the recorded events come first.

    Parameters
    ----------
    rate_hz
        Noise events per pixel and second.
    """

    name: ClassVar[str] = "event_noise"
    citation: ClassVar[str] = (
        "Hu, Liu & Delbruck 2021, v2e: From video frames to realistic DVS events, CVPR workshops"
    )

    rate_hz: Annotated[float, Meta(ge=0, le=1e5)] = 1.0

    def walk(self, events: Events, rng: SampleKey | None) -> Iterator[Piece]:
        """Yield the recording's events and those of the noise, in order."""
        noise = _Noise(self.rate_hz, events, required_key(rng, self.name))
        for piece in events.pieces:
            if len(piece):
                # noise of the last stamp waits: events of that stamp may follow in the next piece
                yield _merged(piece, noise.before(int(piece["t"][-1])))
        yield noise.before(events.length())


def _merged(events: Piece, noise: Piece) -> Piece:
    both = np.empty(len(events) + len(noise), EVENT)
    both[: len(events)], both[len(events) :] = events, noise
    return both[np.argsort(both["t"], kind="stable")]


class _Noise:
    """Noise events in order: number n follows n − 1 after a gap of an exponential distribution."""

    def __init__(self, rate_hz: float, events: Events, key: SampleKey) -> None:
        self._size, self._polarities, self._key = events.size, events.polarities, key
        self._rate = rate_hz * events.size[0] * events.size[1] / 1e6 / _TICKS  # per tick
        self._count, self._at = 0, 0.0  # drawn so far, and the last one's tick
        self._waiting = np.empty(0, EVENT)

    def before(self, stop: int) -> Piece:
        """Return the next events, those with t below `stop` µs."""
        blocks = [self._waiting]
        while self._rate and self._at < stop * _TICKS:
            blocks.append(self._next())
        drawn = np.empty(sum(map(len, blocks)), EVENT)
        np.concatenate(blocks, out=drawn)
        ready = int(np.searchsorted(drawn["t"], stop))
        self._waiting = drawn[ready:]
        return drawn[:ready]

    def _next(self) -> Piece:
        block = noise_events(
            self._count, _BLOCK, self._at, self._rate, self._size, self._polarities, self._key
        )
        self._count += _BLOCK
        self._at, piece = block
        return piece


def noise_events(
    first: int,
    count: int,
    at: float,
    rate: float,
    size: tuple[int, int],
    polarities: int,
    key: SampleKey,
) -> tuple[float, Piece]:
    """Return the tick of the last of `count` noise events, and the events, from number `first` on, after tick `at`.

    Number n waits −ln(1 − u) / `rate` ticks, u from 53 bits of its draw, and has the pixel (the upper word of its
    other draw, as a fraction) × pixels, and the polarity of the lowest bit.
    """
    fractions = (draws(first, count, EVENT_NOISE, key) >> _LOW) * 2.0**-53
    ticks: NDArray[np.float64] = np.cumsum([at, *np.rint(-np.log1p(-fractions) / rate)])[1:]
    numbers = draws(first, count, EVENT_NOISE_PIXELS, key)
    pixels = (numbers >> _HALF) * np.uint64(size[0] * size[1]) >> _HALF
    piece = np.empty(count, EVENT)
    piece["x"], piece["y"] = pixels % np.uint64(size[0]), pixels // np.uint64(size[0])
    piece["t"] = np.minimum(ticks / _TICKS, 2.0**62)
    piece["p"] = numbers & _ONE if polarities == 2 else 0
    return float(ticks[-1]), piece


def noise_reference(transform: EventNoise, events: Events, key: SampleKey) -> Piece:
    """Return the recording with noise, all at once."""
    pixels, length = events.size[0] * events.size[1], events.length()
    rate = transform.rate_hz * pixels / 1e6 / _TICKS
    count = int(2 * rate * _TICKS * length + 100)
    noise = (
        noise_events(0, count, 0.0, rate, events.size, events.polarities, key)[1]
        if rate
        else events.array[:0]
    )
    noise = noise[noise["t"] < length]
    both = np.concatenate([events.array.copy(), noise])
    return both[np.lexsort((np.arange(len(both)), both["t"]))]
