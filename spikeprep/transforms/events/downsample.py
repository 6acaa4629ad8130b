"""Fewer, larger pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..._jit import jit
from ...config import Meta
from ...data import Events
from ...errors import UsageError
from ...random import SampleKey
from .base import EventTransform, Piece, Pixels, empty_like


@jit
def _downsample(
    events: Piece,
    columns: NDArray[np.uint16],
    rows: NDArray[np.uint16],
    signed: bool,
    threshold: int,
    sums: NDArray[np.int64],
    out: Piece,
) -> int:
    """Write the events of larger pixels, whose sums are (row, column), to `out`; return how many."""
    count = 0
    for n in range(events.size):
        event = events[n]
        column, row = columns[event.x], rows[event.y]
        total = sums[row, column] + (2 * np.int64(event.p) - 1 if signed else 1)
        fires = abs(total) >= threshold
        sums[row, column] = 0 if fires else total
        out[count].x, out[count].y, out[count].t = column, row, event.t
        out[count].p = signed & (total > 0)
        count += fires
    return count


@dataclass(frozen=True)
class EventDownsample(EventTransform):
    """Fewer, larger pixels: each takes the events of the pixels that it covers.

    With a threshold of 1 every event is kept, at its own time and with its own polarity; those that meet in a pixel
    and a bin are merged or counted by the encoder. A higher threshold integrates: a large pixel adds 1 for an ON event
    and subtracts 1 for an OFF event (with one polarity it adds 1 for each). When its sum reaches ± the threshold it has
    one event, of that polarity and the time of the event that completed it, and starts again from 0.

    Parameters
    ----------
    factor
        Pixels per side that become one; at the right and lower edge there may be fewer.
    width, height
        Pixels of the new sensor, instead of `factor`: column x of W becomes floor(x · width / W), so that large
        pixels differ by a pixel at most. 0, the default: `factor` decides.
    threshold
        Number of events, ON minus OFF, that become one.
    """

    name: ClassVar[str] = "event_downsample"
    citation: ClassVar[str] = (
        "Gruel, Martinet, Serrano-Gotarredona & Linares-Barranco 2022, Event data downscaling for embedded computer "
        "vision, VISAPP"
    )

    factor: Annotated[int, Meta(ge=1, le=1 << 16)] = 2
    width: Pixels = 0
    height: Pixels = 0
    threshold: Annotated[int, Meta(ge=1, le=1 << 62)] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.width) != bool(self.height):
            raise UsageError(
                f"got event_downsample.width = {self.width} and event_downsample.height = {self.height}",
                "both above 0, or both 0",
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
            out = empty_like(piece)
            yield out[: _downsample(piece, columns, rows, polarities == 2, self.threshold, sums, out)]


def downsample_reference(downsample: EventDownsample, events: Events) -> list[tuple[Any, ...]]:
    """Return the events of `downsample`, as (x, y, t, p), by its definition."""
    columns, rows = (table.tolist() for table in downsample.tables(events.size))
    sums: dict[tuple[int, int], int] = {}
    result = []
    for x, y, t, p in events.array.tolist():
        at = columns[x], rows[y]
        sums[at] = sums.get(at, 0) + (1 if p or events.polarities == 1 else -1)
        if abs(sums[at]) == downsample.threshold:
            result.append((*at, t, int(sums[at] > 0 and events.polarities == 2)))
            sums[at] = 0
    return result
