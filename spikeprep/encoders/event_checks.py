"""Checks of event recordings, made once before kernels rely on them; for transforms and the encoder of events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._jit import jit
from ..data import EVENT, Events
from ..errors import DataError, SignalError

Piece = NDArray[np.void]
"""Events, dtype `EVENT`, (event,)."""

_LATEST = (1 << 62) - 1  # µs; differences of stamps up to here fit into 64 bits
_READ_AGAIN = 'Read the file with invalid="drop" or "clip".'


def recording(signal: Any, who: str) -> Events:
    """Return `signal`; raises `SignalError` for anything but `Events`, in the name of the plugin `who`."""
    if isinstance(signal, Events):
        return signal
    raise SignalError(
        f"{who}: got a signal of type {type(signal).__name__}",
        "Events",
        "Read a recording with spikeprep.eventfiles, or pass spikeprep.data.Events.of(array, size).",
    )


def wrong_event(
    who: str, event: Any, number: int, last: int, events: Events, latest: int, hint: str = _READ_AGAIN
) -> DataError:
    """Return the error for event `number`, which is off the sensor, or not between `last` and `latest` (µs)."""
    x, y, t, p = (int(event[axis]) for axis in "xytp")
    width, height = events.size
    if x >= width or y >= height:
        got, expected = f"at x {x}, y {y}", f"x below {width} and y below {height}"
    elif p >= events.polarities:
        got, expected = f"of polarity {p}", f"below {events.polarities}"
    elif t < last:
        got, expected = f"at t {t} µs, after one at {last} µs", "stamps that never decrease, from 0 on"
    else:
        got, expected = f"at t {t} µs", f"at most {latest} µs"
        hint = "The stamp is wrong, or the duration that was given."
    return DataError(f"{who}: got event {number} {got}", expected, hint)


@jit
def _first_wrong(events: Piece, last: int, latest: int, width: int, height: int, polarities: int) -> int:
    """Return the number of the first event that is off the sensor or not in `last` … `latest`, or −1."""
    for n in range(events.size):
        event = events[n]
        if (event.x >= width) | (event.y >= height) | (event.p >= polarities):
            return n
        if (event.t < last) | (event.t > latest):
            return n
        last = event.t
    return -1


def pieces(events: Events, who: str) -> Iterator[Piece]:
    """Yield the pieces; raises `DataError` at one of another dtype or shape."""
    for piece in events.pieces:
        if not isinstance(piece, np.ndarray) or piece.dtype != EVENT or piece.ndim != 1:
            raise DataError(
                f"{who}: got a piece of dtype {getattr(piece, 'dtype', type(piece))} and shape {np.shape(piece)}",
                "spikeprep.data.EVENT, (event,)",
                "Copy the fields into np.empty(n, EVENT): NumPy's promotion loses the alignment.",
            )
        yield piece


def checked(events: Events, who: str, hint: str = _READ_AGAIN) -> Iterator[Piece]:
    """Yield the pieces, checked unless `events.checked` says that they are.

    Raises
    ------
    DataError
        An event is off the sensor, out of order, or past the duration; or a piece has another dtype.
    """
    last, count = 0, 0
    latest = _LATEST if events.duration is None else min(events.duration - 1, _LATEST)
    for piece in pieces(events, who):
        if not events.checked:
            n = _first_wrong(piece, last, latest, *events.size, events.polarities)
            if n >= 0:
                before = int(piece["t"][n - 1]) if n else last
                raise wrong_event(who, piece[n], count + n, before, events, latest, hint)
            last, count = int(piece["t"][-1]) if len(piece) else last, count + len(piece)
        yield piece
