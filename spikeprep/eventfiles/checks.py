"""What happens to invalid events, and the report of it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from ..errors import DataError, printable
from .kernels import AHEAD, BACK

Invalid = Literal["fail", "clip", "drop"]
"""What happens to an invalid event: raise `DataError`, clip it into range, or drop it.

Clipping moves a coordinate to the sensor's edge, a wrong time stamp to the latest right one, and p to 0 or 1. Where
more than 10 events and 5 % would be changed for one reason, the recording is refused: they mean something else.
Padding, events of x, y and t 0 that are out of order or many at the beginning, is dropped by both, however much it is.
With "clip" and "drop" a truncated file keeps its complete records, and a recording may have no events.
"""


class Reason(NamedTuple):
    """Why events are invalid: in a report, and what many of them mean."""

    words: str
    many: str


OFF_SENSOR, POLARITY, LATE, PADDED = 3, 4, 5, 6
"""Why an event is invalid, beside `BACK` and `AHEAD`."""

REASONS = {
    BACK: Reason("with a stamp before an earlier one", "{order}."),
    AHEAD: Reason("with a stamp that those after it do not go on from", "{order}."),
    OFF_SENSOR: Reason("off the sensor", "The sensor is larger: {other}give size=(width, height)."),
    POLARITY: Reason("whose polarity is neither 0 nor 1", "{polarity}."),
    LATE: Reason("too late", "{late}."),
    PADDED: Reason("padding", ""),
}


class NoEvents(DataError):
    """A recording without events, which is silence where that is asked for."""


class ChangedEvents(UserWarning):
    """A recording was read with events changed or left out; ``warning.args[0]`` is the `Changes`."""


@dataclass
class Changes:
    """What was changed in one recording; false where nothing was.

    Attributes
    ----------
    path
        The file.
    clipped, dropped
        Number of events that were clipped, and dropped.
    undated
        Number of events before the first word that sets the time. Their time is unknown, so they are always left out.
    sorted
        Number of events that were out of order, and were sorted.
    first
        The first invalid event: its number, its byte offset, and what is wrong with it.
    rest
        The incomplete record at the end of a truncated file.
    other
        What else is wrong with the file.
    reasons
        Number of events that were clipped or dropped, by what was wrong with them.
    """

    path: Path
    clipped: int = 0
    dropped: int = 0
    undated: int = 0
    sorted: int = 0
    first: str = ""
    rest: str = ""
    other: str = ""
    reasons: dict[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.clipped or self.dropped or self.undated or self.sorted or self.rest or self.other)

    def __str__(self) -> str:
        parts = [
            self.other,
            f"{self.clipped} events clipped" if self.clipped else "",
            f"{self.dropped} events dropped" if self.dropped else "",
            f"first {self.first}" if self.first else "",
            f"{self.undated} events left out before the first word that sets the time"
            if self.undated
            else "",
            f"{self.sorted} events sorted" if self.sorted else "",
            f"{self.rest}: left out" if self.rest else "",
        ]
        return printable(f"{self.path}: {'; '.join(part for part in parts if part)}")


def warn(changes: Changes) -> None:
    """Report changes as a `ChangedEvents` warning."""
    warnings.warn(ChangedEvents(changes), stacklevel=2)
