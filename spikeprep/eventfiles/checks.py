"""What is wrong with a recording's events, and what becomes of them: an error, a hint, or their leaving.

The compiled check `kernels.all_sound` sees every event; this room sees only the pieces that it does not pass.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .base import Decoder

Invalid = Literal["fail", "clip", "drop"]
"""What is done about an event that cannot be: raise `DataError`; hint it; or leave it out.

Clipping takes a coordinate to the sensor's edge, a stamp that runs back to the latest seen, and p to 0 or 1. With
either of the two the whole records of a file that was cut off are kept, and a recording may have no events.
"""

MENDS = "or pass invalid='drop' to go on without such events, invalid='clip' to hint them."


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
        Events that were mended, and that were left out.
    undated
        Events ahead of the first word that tells the time: nobody knows when they were, so that they always leave.
    first
        The first thing that was wrong: which event, at which byte, and what.
    rest
        What was left of a record that was cut off.
    other
        What else the file is not as it should be.
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
            f"{self.undated} events left out ahead of the first word that tells the time"
            if self.undated
            else "",
            f"{self.rest}: left out" if self.rest else "",
        ]
        return f"{self.path}: {'; '.join(part for part in parts if part)}"


def warn(changes: Changes) -> None:
    """Say what was changed as a `ChangedEvents` warning."""
    warnings.warn(ChangedEvents(changes), stacklevel=2)


def hint(
    decoder: Decoder,
    events: NDArray[np.void],
    size: tuple[int, int],
    latest: int,
    invalid: Invalid,
    changes: Changes,
    index: int,
) -> int:
    """Mend the events of the decoder's last `fill` in place, or raise `DataError` at the first that is wrong.

    Parameters
    ----------
    events
        Dtype `EVENT`, (event,); the ones that are kept are moved to its front.
    latest
        The largest stamp of the events before, in µs from the recording's start.
    index
        How many events of the file came before.

    Returns
    -------
    int
        How many events are kept.
    """
    (width, height), t = size, events["t"]
    x, y, p = (decoder.stored(name, events) for name in "xyp")
    off = (x < 0) | (x >= width) | (y < 0) | (y >= height)
    sound = ~off & (p >= 0) & (p <= 1)
    # an event that is dropped, for whatever reason, says nothing about the time
    counted = np.where(sound, t, latest) if invalid == "drop" else t
    seen = np.maximum.accumulate(np.concatenate([[latest], counted]))
    wrong = ~sound | (t < seen[:-1])
    n = int(wrong.argmax())
    if not changes.first or invalid == "fail":
        if off[n]:
            what = f"x {x[n]}, y {y[n]} lies off the sensor"
            expected = f"x below {width} and y below {height}"
            advice = f"Give size=(width, height) if the sensor is not of {width} × {height}, {MENDS}"
        elif not sound[n]:
            what, expected = f"has polarity {p[n]}", "0 (OFF) or 1 (ON)"
            advice = f"Check that the file is of this format, {MENDS}"
        else:
            what = (
                f"t {t[n]} µs runs back from {seen[n]}" if seen[n] else f"t {t[n]} µs lies before the start"
            )
            expected, advice = "stamps that never decrease", f"Repair the recording, {MENDS}"
        at = decoder.offset(len(events), n)
        what = f"event {index + n}{f' at byte {at}' if at >= 0 else ''}: {what}"
        if invalid == "fail":
            raise DataError(f"{decoder.path}: {what}", expected, advice)
        changes.first = what
    if invalid == "drop":
        changes.dropped += int(wrong.sum())
        kept = events[~wrong]
        events[: len(kept)] = kept
        return len(kept)
    changes.clipped += int(wrong.sum())
    events["x"], events["y"] = x.clip(0, width - 1), y.clip(0, height - 1)
    events["p"], events["t"] = p.clip(0, 1), seen[1:]
    return len(events)
