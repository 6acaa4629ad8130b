"""Merge ON and OFF events into one polarity."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from ...data import Events
from ...random import SampleKey
from .base import EventTransform, Piece


@dataclass(frozen=True)
class MergePolarity(EventTransform):
    """Merge ON and OFF events into one polarity: every event is kept, with p = 0."""

    name: ClassVar[str] = "merge_polarity"
    citation: ClassVar[str] = "Lenz et al. 2021, Tonic: event-based datasets and transformations, Zenodo"

    def sensor(self, size: tuple[int, int], polarities: int) -> tuple[tuple[int, int], int]:
        """Return the same size, and one polarity."""
        return size, 1

    def walk(self, events: Events, rng: SampleKey | None) -> Iterator[Piece]:
        """Yield events without polarity."""
        for piece in events.pieces:
            merged = piece.copy()
            merged["p"] = 0
            yield merged
