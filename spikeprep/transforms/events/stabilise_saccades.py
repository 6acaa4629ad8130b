"""Remove the camera's saccades from N-MNIST."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..._jit import jit
from ...data import Events
from ...random import SampleKey
from .base import EventTransform, Piece, empty_like

_SACCADE = 105_000  # µs
_PIXEL = 30_000  # µs in which the image moves sideways by a pixel; vertically it moves twice as fast
_LATE = 1 << 40  # µs, after which every position is far off the sensor


@jit
def _stabilise(events: Piece, width: int, height: int, out: Piece) -> int:
    """Write moved events to `out`, in whole numbers: positions in pixels / 2 / `_PIXEL`; return how many."""
    count = 0
    for n in range(events.size):
        event = events[n]
        t = min(event.t, _LATE)
        right, down = t, 2 * t
        if t > _SACCADE:
            down = 4 * _SACCADE - 2 * t
        if t > 2 * _SACCADE:
            right, down = 6 * _SACCADE - 2 * t, np.int64(0)
        x = 2 * (np.int64(event.x) * _PIXEL - right) + _PIXEL
        y = 2 * (np.int64(event.y) * _PIXEL - down) + _PIXEL
        # halves are rounded away from zero: −1/2 is off the sensor
        inside = (x > 0) & (y > 0) & (x < 2 * _PIXEL * width) & (y < 2 * _PIXEL * height)
        out[count].x, out[count].y = x // (2 * _PIXEL), y // (2 * _PIXEL)
        out[count].p, out[count].t = event.p, event.t
        count += inside
    return count


@dataclass(frozen=True)
class StabiliseSaccades(EventTransform):
    """Remove the camera's three saccades from an N-MNIST recording, so that the digit stands still.

    With t in µs from the start of the file, the position (x, y) becomes, rounded, halves away from zero:

    - up to 105 000: (x − 3.5 t / 105e3, y − 7 t / 105e3)
    - up to 210 000: (x − 3.5 − 3.5 (t − 105e3) / 105e3, y − 7 + 7 (t − 105e3) / 105e3)
    - later: (x − 7 + 7 (t − 210e3) / 105e3, y)

    Events that leave the sensor are dropped. The published HM2-BP runs do this; the paper does not mention it.
    """

    name: ClassVar[str] = "stabilise_saccades"
    citation: ClassVar[str] = (
        "Orchard, Jayawant, Cohen & Thakor 2015, Converting Static Image Datasets to Spiking Neuromorphic "
        "Datasets Using Saccades, Frontiers in Neuroscience 9:437"
    )

    def walk(self, events: Events, rng: SampleKey | None) -> Iterator[Piece]:
        """Yield the events that stay on the sensor, moved."""
        for piece in events.pieces:
            out = empty_like(piece)
            yield out[: _stabilise(piece, *events.size, out)]


def stabilise_reference(events: Events) -> Piece:
    """Return the moved events by the equations as written, in float64: exact except for ties."""
    array = events.array.copy()
    t, part = array["t"] / 1.0, _SACCADE / 1.0
    first, second = t <= part, (t > part) & (t <= 2 * part)
    right = np.where(first | second, 3.5 * t / part, 7 - 7 * (t - 2 * part) / part)
    down = np.where(first, 7 * t / part, np.where(second, 7 - 7 * (t - part) / part, 0))
    x, y = np.rint(array["x"] - right), np.rint(array["y"] - down)
    inside = (x >= 0) & (y >= 0) & (x < events.size[0]) & (y < events.size[1])
    array["x"], array["y"] = np.where(inside, x, 0), np.where(inside, y, 0)
    return np.asarray(array[inside])
