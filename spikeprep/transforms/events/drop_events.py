"""Drop events by chance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ...data import Events
from ...errors import UsageError
from ...random import DROP_EVENTS, SampleKey
from .base import EventTransform, Piece, like, needed
from .event_random import draws


@njit(nogil=True, cache=True)
def _keep(events: Piece, numbers: NDArray[np.uint64], least: Any, kept: Piece) -> int:
    """Write events whose number is `least` or more to `kept`; returns how many."""
    count = 0
    for n in range(events.size):
        kept[count] = events[n]
        count += numbers[n] >= least
    return count


@dataclass(frozen=True)
class DropEvents(EventTransform):
    """Drop each event with a probability of its own draw, which depends on its position in the recording alone.

    Parameters
    ----------
    probability
        Of being dropped, in [0, 1); used to 64 binary digits.
    """

    name: ClassVar[str] = "drop_events"
    citation: ClassVar[str] = (
        "Gu, Sng, Hu & Yu 2021, EventDrop: data augmentation for event-based learning, IJCAI"
    )

    probability: float = 0.1

    def __post_init__(self) -> None:
        if not (isinstance(self.probability, int | float) and 0 <= self.probability < 1):
            raise UsageError(f"drop_events: got probability {self.probability!r}", "a number in [0, 1)")

    @property
    def least(self) -> int:
        """What a uniform number below 2⁶⁴ must reach for its event to be kept."""
        return int(Fraction(self.probability) * 2**64)

    def walk(self, events: Events, rng: SampleKey | None) -> Iterator[Piece]:
        """Yield the events that are kept."""
        key, count, least = needed(rng, self.name), 0, np.uint64(self.least)
        for piece in events.pieces:
            kept, numbers = like(piece), draws(count, len(piece), DROP_EVENTS, key)
            count += len(piece)
            yield kept[: _keep(piece, numbers, least, kept)]
