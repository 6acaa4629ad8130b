"""Invalid events of a recording: refused, clipped into range, or dropped.

The compiled check `kernels.all_valid` sees every event; this module sees only the blocks that fail it.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, printable
from .base import LATEST, Decoder

Invalid = Literal["fail", "clip", "drop"]
"""What happens to an invalid event: raise `DataError`, clip it into range, or drop it.

Clipping moves a coordinate to the sensor's edge, a time stamp that runs backwards to the latest one seen, and p to 0 or
1. With "clip" and "drop" a truncated file keeps its complete records, and a recording may have no events.
"""

REPAIR_HINT = "or pass invalid='drop' to leave such events out, invalid='clip' to move them into range."


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
    first
        The first invalid event: its number, its byte offset, and what is wrong with it.
    rest
        The incomplete record at the end of a truncated file.
    other
        What else is wrong with the file.
    """

    path: Path
    clipped: int = 0
    dropped: int = 0
    undated: int = 0
    first: str = ""
    rest: str = ""
    other: str = ""

    def __bool__(self) -> bool:
        return bool(self.clipped or self.dropped or self.undated or self.rest or self.other)

    def __str__(self) -> str:
        parts = [
            self.other,
            f"{self.clipped} events clipped" if self.clipped else "",
            f"{self.dropped} events dropped" if self.dropped else "",
            f"first {self.first}" if self.first else "",
            f"{self.undated} events left out before the first word that sets the time"
            if self.undated
            else "",
            f"{self.rest}: left out" if self.rest else "",
        ]
        return printable(f"{self.path}: {'; '.join(part for part in parts if part)}")


def warn(changes: Changes) -> None:
    """Report changes as a `ChangedEvents` warning."""
    warnings.warn(ChangedEvents(changes), stacklevel=2)


def repair(
    decoder: Decoder,
    events: NDArray[np.void],
    size: tuple[int, int],
    latest: int,
    invalid: Invalid,
    changes: Changes,
    index: int,
) -> int:
    """Clip or drop the invalid events of the decoder's last `fill` in place, or raise `DataError` at the first one.

    Parameters
    ----------
    events
        Dtype `EVENT`, (event,); the events that remain are moved to its front.
    size
        (width, height) of the sensor in pixels.
    latest
        The largest time stamp of the events before, in µs from the recording's start.
    index
        Number of events of the file that came before.

    Returns
    -------
    int
        How many events remain.
    """
    (width, height), t = size, events["t"]
    x, y, p = (decoder.raw_field(name, events) for name in "xyp")
    off_sensor = (x < 0) | (x >= width) | (y < 0) | (y >= height)
    late = t > LATEST
    valid = ~off_sensor & (p >= 0) & (p <= 1) & ~late
    # an event that is dropped, for whatever reason, does not move the latest time, nor does an impossible one
    clock = np.where(valid if invalid == "drop" else ~late, t, latest)
    latest_before = np.maximum.accumulate(np.concatenate([[latest], clock]))
    wrong = ~valid | (t < latest_before[:-1])
    n = int(wrong.argmax())
    if not changes.first or invalid == "fail":
        if off_sensor[n]:
            what = f"x {x[n]}, y {y[n]} lies off the sensor"
            expected = f"x below {width} and y below {height}"
            fix = f"Give size=(width, height) if the sensor is not {width} × {height}, {REPAIR_HINT}"
        elif late[n]:
            what = f"t {t[n]} µs is {t[n] / 86_400e6:,.0f} days after the start"
            expected, fix = f"at most {LATEST:,} µs, 11.6 days", f"{decoder.late_hint}, {REPAIR_HINT}"
        elif not valid[n]:
            what, expected = f"has polarity {p[n]}", "0 (OFF) or 1 (ON)"
            fix = f"Check that the file is of this format, {REPAIR_HINT}"
        else:
            back = latest_before[n]
            what = f"t {t[n]} µs is before {back}" if back else f"t {t[n]} µs is before the start"
            expected, fix = "time stamps that never decrease", f"Repair the recording, {REPAIR_HINT}"
        at = decoder.offset(len(events), n)
        what = f"event {index + n}{f' at byte {at}' if at >= 0 else ''}: {what}"
        if invalid == "fail":
            raise DataError(f"{decoder.path}: {what}", expected, fix)
        changes.first = what
    if invalid == "drop":
        changes.dropped += int(wrong.sum())
        remaining = events[~wrong]
        events[: len(remaining)] = remaining
        return len(remaining)
    changes.clipped += int(wrong.sum())
    events["x"], events["y"] = x.clip(0, width - 1), y.clip(0, height - 1)
    events["p"], events["t"] = p.clip(0, 1), latest_before[1:]
    return len(events)
