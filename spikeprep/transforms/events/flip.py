"""Mirror recordings in space, time and polarity at random."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from ...config import Chance
from ...data import Events
from ...random import EVENT_FLIP, SampleKey
from ..draws import required_key, uniforms
from .base import EventAugmentation, Piece


@dataclass(frozen=True)
class EventFlip(EventAugmentation):
    """Mirror copies, each axis with its own probability, drawn once for a recording.

    What is played backwards darkens where it brightened, so a flip in time exchanges ON and OFF as well; `polarity`
    exchanges them on its own, as if a scene's contrast were inverted. Sensors of one polarity keep it. A flip in time
    takes the memory of the recording.

    Parameters
    ----------
    x, y
        Probability of exchanging left and right, and top and bottom.
    time
        Probability of playing it backwards: t becomes duration − 1 − t.
    polarity
        Probability of exchanging ON and OFF.
    """

    name: ClassVar[str] = "event_flip"
    citation: ClassVar[str] = "Lenz et al. 2021, Tonic: event-based datasets and transformations, Zenodo"

    x: Chance = 0.5
    y: Chance = 0.0
    time: Chance = 0.0
    polarity: Chance = 0.0

    def flips(self, key: SampleKey) -> tuple[bool, bool, bool, bool]:
        """Return whether a recording is mirrored in x, y, time and polarity."""
        x, y, time, polarity = uniforms(4, EVENT_FLIP, key)
        return x < self.x, y < self.y, time < self.time, polarity < self.polarity

    def walk(self, events: Events, rng: SampleKey | None) -> Iterator[Piece]:
        """Yield the mirrored events."""
        x, y, time, polarity = self.flips(required_key(rng, self.name))
        pieces = reversed(tuple(events.pieces)) if time else iter(events.pieces)
        for piece in pieces:
            flipped = piece[::-1].copy() if time else piece.copy()
            if x:
                flipped["x"] = events.size[0] - 1 - flipped["x"]
            if y:
                flipped["y"] = events.size[1] - 1 - flipped["y"]
            if time:
                flipped["t"] = events.length() - 1 - flipped["t"]
            if time != polarity and events.polarities == 2:
                flipped["p"] ^= 1
            yield flipped
