"""Fewer, larger pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ...data import Events
from ...errors import UsageError
from ...random import SampleKey
from .base import EventTransform, Piece, like, whole


@njit(nogil=True, cache=True)
def _downsample(
    events: Piece,
    columns: NDArray[np.uint16],
    rows: NDArray[np.uint16],
    signed: bool,
    threshold: int,
    sums: NDArray[np.int64],
    kept: Piece,
) -> int:
    """Write the events of larger pixels, of sums (row, column), to `kept`; returns how many."""
    count = 0
    for n in range(events.size):
        event = events[n]
        column, row = columns[event.x], rows[event.y]
        total = sums[row, column] + (2 * np.int64(event.p) - 1 if signed else 1)
        fires = abs(total) >= threshold
        sums[row, column] = 0 if fires else total
        kept[count].x, kept[count].y, kept[count].t = column, row, event.t
        kept[count].p = signed & (total > 0)
        count += fires
    return count


@dataclass(frozen=True)
class EventDownsample(EventTransform):
    """Fewer, larger pixels: each takes the events of the pixels that it covers.

    With a threshold of 1 every event is kept, at its own time and with its own polarity; those that meet in a pixel
    and a bin are merged or counted by the encoder. A higher one integrates: a large pixel adds 1 for an ON event and
    takes 1 off for an OFF event (with one polarity it adds 1 for each), and when its sum comes to ± the threshold it
    has one event, of that polarity and the time of the event that completed it, and starts again from 0.

    Parameters
    ----------
    factor
        Pixels a side that become one; at the right and lower edge there may be fewer.
    width, height
        Pixels of the new sensor, instead of `factor`: column x of W becomes floor(x · width / W), so that large
        pixels differ by a pixel at most. 0, the default: `factor` decides.
    threshold
        Events, ON less OFF, that make one.
    """

    name: ClassVar[str] = "event_downsample"
    citation: ClassVar[str] = (
        "Gruel, Martinet, Serrano-Gotarredona & Linares-Barranco 2022, Event data downscaling for embedded computer "
        "vision, VISAPP"
    )

    factor: int = 2
    width: int = 0
    height: int = 0
    threshold: int = 1

    def __post_init__(self) -> None:
        whole(self.name, 1, factor=self.factor, threshold=self.threshold)
        whole(self.name, width=self.width, height=self.height)
        if bool(self.width) != bool(self.height):
            raise UsageError(
                f"event_downsample: got width {self.width}, height {self.height}", "both, or 0 for both"
            )

    def sensor(self, size: tuple[int, int], polarities: int) -> tuple[tuple[int, int], int]:
        """Return the new size; raises `UsageError` where it is larger than the sensor."""
        if not self.width:
            return (-(-size[0] // self.factor), -(-size[1] // self.factor)), polarities
        if self.width > size[0] or self.height > size[1]:
            raise UsageError(
                f"event_downsample: got {self.width} × {self.height} pixels",
                f"no more than the sensor's {size[0]} × {size[1]}",
            )
        return (self.width, self.height), polarities

    def tables(self, size: tuple[int, int]) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
        """Return the new column of each column, and the new row of each row."""
        if self.width:
            columns, rows = (
                np.arange(size[0]) * self.width // size[0],
                np.arange(size[1]) * self.height // size[1],
            )
        else:
            columns, rows = (np.arange(pixels) // self.factor for pixels in size)
        return columns.astype(np.uint16), rows.astype(np.uint16)

    def walk(self, events: Events, rng: SampleKey | None) -> Iterator[Piece]:
        """Yield the events of the larger pixels."""
        (width, height), polarities = self.sensor(events.size, events.polarities)
        columns, rows = self.tables(events.size)
        sums = np.zeros((height, width), np.int64)
        for piece in events.pieces:
            kept = like(piece)
            yield kept[: _downsample(piece, columns, rows, polarities == 2, self.threshold, sums, kept)]


def downsample_reference(downsample: EventDownsample, events: Events) -> list[tuple[Any, ...]]:
    """Return what `downsample` makes of events, as (x, y, t, p), literally: a list of sums."""
    columns, rows = (table.tolist() for table in downsample.tables(events.size))
    sums: dict[tuple[int, int], int] = {}
    kept = []
    for x, y, t, p in events.array.tolist():
        at = columns[x], rows[y]
        sums[at] = sums.get(at, 0) + (1 if p or events.polarities == 1 else -1)
        if abs(sums[at]) == downsample.threshold:
            kept.append((*at, t, int(sums[at] > 0 and events.polarities == 2)))
            sums[at] = 0
    return kept
