"""What a picture shows of a recording, counted in one walk over its pieces; plain NumPy, usable alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, log10
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import EVENT, Bits, Events
from ..errors import UsageError

MOST_DOTS = 50_000  # events that are kept one by one
_COLUMNS, _ROWS = 600, 240  # of the map of events over time
_DENSE = 1 << 24  # spikes that are unpacked at a time, a byte each


@dataclass(frozen=True)
class Seen:
    """A recording's events, added up in the ways that are drawn.

    Attributes
    ----------
    size, duration
        (width, height) in pixels, and µs.
    frame
        Events of each pixel, int64 (polarity, row, column).
    surface
        exp(−(at − t) / tau) with t each pixel's last event until `at`, 0 where there was none, float64 (polarity, row,
        column): the time surface of Lagorce et al. 2017, HOTS, IEEE TPAMI 39.
    at_us, tau_us
        Its moment and its time constant, in µs.
    rate
        Events in bins of `bin_us`, int64 (polarity, bin); the last bin may reach past the end.
    bin_us
        Their width, in µs.
    map
        Events by row of pixels and time, int64 (polarity, row bin, time bin), over the whole sensor and duration.
    events
        The events themselves, dtype `EVENT`, or None where they are more than `MOST_DOTS`.
    """

    size: tuple[int, int]
    duration: int
    frame: NDArray[np.int64]
    surface: NDArray[np.float64]
    at_us: float
    tau_us: float
    rate: NDArray[np.int64]
    bin_us: float
    map: NDArray[np.int64]
    events: NDArray[np.void] | None


def look_at_spikes(
    parts: Iterable[Bits],
    shape: Sequence[int],
    steps: int,
    step_us: float,
    *,
    tau_us: float = 0,
    at_us: float | None = None,
) -> Seen:
    """Add a stored sample's spikes up, each an event at the start of its step, without unpacking all at once.

    Parameters
    ----------
    parts
        uint8 (unit, byte), one run of units after another.
    shape
        (polarity, row, column) of the units, after levels of a count where there are some.
    steps, step_us
        How many steps, and how long one is in µs.
    tau_us, at_us
        See `look`. The bins of the rate are whole steps, about a hundred.
    """
    (polarities, height, width), pixels = shape[-3:], shape[-2] * shape[-1]
    duration = max(round(steps * step_us), 1)
    tau_us = tau_us or max(_round(duration / 10), 1)
    at_us = float(duration if at_us is None else at_us)
    until = min(int(at_us / step_us) + 1, steps)
    rows, columns, each = min(height, _ROWS), min(steps, _COLUMNS), max(round(steps / 100), 1)
    edges, bins = np.arange(columns) * steps // columns, np.arange(0, steps, each)
    frame, latest = np.zeros(polarities * pixels, np.int64), np.full(polarities * pixels, -1)
    rate = np.zeros((polarities, len(bins)), np.int64)
    over_time = np.zeros((polarities, rows, columns), np.int64)
    kept: list[NDArray[np.void]] | None = []
    for unit, bits in _blocks(parts, steps):
        unit %= polarities * pixels  # of any level
        p, (y, x) = unit // pixels, np.divmod(unit % pixels, width)
        np.add.at(frame, unit, bits.sum(axis=1, dtype=np.int64))
        back = bits[:, until - 1 :: -1] if until else bits[:, :0]
        some = back.any(axis=1)
        np.maximum.at(latest, unit[some], until - 1 - back[some].argmax(axis=1))
        np.add.at(rate, p, np.add.reduceat(bits, bins, axis=1, dtype=np.int64))
        np.add.at(over_time, (p, y * rows // height), np.add.reduceat(bits, edges, axis=1, dtype=np.int64))
        if kept is not None:
            where, step = np.nonzero(bits)
            own = np.zeros(len(step), EVENT)
            own["x"], own["y"], own["p"], own["t"] = x[where], y[where], p[where], step * step_us
            kept.append(own)
            kept = kept if sum(map(len, kept)) <= MOST_DOTS else None
    age = np.where(latest < 0, np.inf, at_us - latest * step_us)
    return Seen(
        size=(width, height),
        duration=duration,
        frame=frame.reshape(polarities, height, width),
        surface=np.exp(-age / tau_us).reshape(polarities, height, width),
        at_us=at_us,
        tau_us=tau_us,
        rate=rate,
        bin_us=each * step_us,
        map=over_time,
        events=None if kept is None else np.concatenate([np.empty(0, EVENT), *kept]),
    )


def _blocks(parts: Iterable[Bits], steps: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
    """Yield unit numbers (unit,) and their spikes, uint8 (unit, step), of units that spike, some at a time."""
    first, together = 0, max(_DENSE // max(steps, 1), 1)
    for part in parts:
        units = np.flatnonzero(part.any(axis=1))
        for n in range(0, len(units), together):
            some = units[n : n + together]
            yield first + some, np.unpackbits(part[some], axis=1, count=steps, bitorder="little")
        first += len(part)


def look(events: Events, *, bin_us: float = 0, tau_us: float = 0, at_us: float | None = None) -> Seen:
    """Walk a recording once and add its events up.

    Parameters
    ----------
    events
        The recording; streamed, its duration may need a walk more.
    bin_us
        Width of the bins of the rate in µs; 0: about a hundredth of the duration.
    tau_us
        Time constant of the time surface in µs; 0: about a tenth of the duration.
    at_us
        Moment of the time surface in µs; None: the end.
    """
    if min(bin_us, tau_us) < 0 or (at_us or 0) < 0:
        raise UsageError(
            f"got bin_us {bin_us}, tau_us {tau_us}, at_us {at_us}", "µs of 0 or more",
            "Leave them out to have them chosen.",
        )  # fmt: skip
    (width, height), duration = events.size, max(events.length(), 1)
    bin_us, tau_us = bin_us or max(_round(duration / 100), 1), tau_us or max(_round(duration / 10), 1)
    at_us = float(duration if at_us is None else at_us)
    pixels, polarities = width * height, events.polarities
    bins, rows = ceil(duration / bin_us), min(height, _ROWS)
    frame = np.zeros(polarities * pixels, np.int64)
    latest = np.full(polarities * pixels, -np.inf)
    rate = np.zeros(polarities * bins, np.int64)
    over_time = np.zeros(polarities * rows * _COLUMNS, np.int64)
    kept: list[NDArray[np.void]] | None = []
    for piece in events.pieces:
        x, y, t, p = (piece[axis].astype(np.int64) for axis in "xytp")
        pixel = p * pixels + y * width + x
        frame += np.bincount(pixel, minlength=frame.size)
        until = np.searchsorted(t, at_us, "right")
        latest[pixel[:until]] = t[:until]  # of several the last one stays
        rate += np.bincount(p * bins + (t / bin_us).astype(np.int64), minlength=rate.size)
        column = t * _COLUMNS // duration
        over_time += np.bincount(
            (p * rows + y * rows // height) * _COLUMNS + column, minlength=over_time.size
        )
        if kept is not None:
            kept.append(piece.copy())
            kept = kept if sum(map(len, kept)) <= MOST_DOTS else None
    return Seen(
        size=events.size,
        duration=duration,
        frame=frame.reshape(polarities, height, width),
        surface=np.exp((latest - at_us) / tau_us).reshape(polarities, height, width),
        at_us=at_us,
        tau_us=tau_us,
        rate=rate.reshape(polarities, bins),
        bin_us=bin_us,
        map=over_time.reshape(polarities, rows, _COLUMNS),
        events=None if kept is None else np.concatenate([np.empty(0, EVENT), *kept]),
    )


def _round(value: float) -> float:
    """Return the number 1, 2 or 5 times a power of ten that is nearest to `value`, by ratio."""
    power = 10.0 ** np.floor(log10(max(value, 1e-9)))
    choices = [factor * power for factor in (1, 2, 5, 10)]
    nearest: Any = min(choices, key=lambda choice: abs(log10(choice / max(value, 1e-9))))
    return float(nearest)
