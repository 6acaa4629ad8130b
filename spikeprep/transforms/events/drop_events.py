"""Drop events at random."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..._jit import jit
from ...config import Share
from ...data import Events
from ...random import DROP_EVENTS, SampleKey
from ..draws import draws, required_key
from .base import EventTransform, Piece, empty_like


@jit
def _keep(events: Piece, numbers: NDArray[np.uint64], least: Any, out: Piece) -> int:
    """Write events whose number is `least` or more to `out`; return how many."""
    count = 0
    for n in range(events.size):
        out[count] = events[n]
        count += numbers[n] >= least
    return count


@dataclass(frozen=True)
class DropEvents(EventTransform):
    """Drop each event with a given probability; its draw depends on its position in the recording alone.

    Parameters
    ----------
    probability
        Of being dropped; used to 64 binary digits.
    """

    name: ClassVar[str] = "drop_events"
    citation: ClassVar[str] = (
        "Gu, Sng, Hu & Yu 2021, EventDrop: data augmentation for event-based learning, IJCAI"
    )

    probability: Share = 0.1

    @property
    def least(self) -> int:
        """The least uniform number below 2⁶⁴ whose event is kept."""
        return int(Fraction(self.probability) * 2**64)

    def walk(self, events: Events, rng: SampleKey | None) -> Iterator[Piece]:
        """Yield the events that are kept."""
        key, count, least = required_key(rng, self.name), 0, np.uint64(self.least)
        for piece in events.pieces:
            out, numbers = empty_like(piece), draws(count, len(piece), DROP_EVENTS, key)
            count += len(piece)
            yield out[: _keep(piece, numbers, least, out)]
