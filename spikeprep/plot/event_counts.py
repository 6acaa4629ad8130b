"""The numbers behind a picture of a recording, counted in one pass over its events; plain NumPy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, log10
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import EVENT, Bits, Events
from ..errors import UsageError

MOST_DOTS = 50_000
"""Events that are kept one by one, at most."""

_COLUMNS, _ROWS = 600, 240  # of the map of events over time
_BLOCK = 1 << 24  # spikes that are unpacked at a time, one byte each


@dataclass(frozen=True)
class EventCounts:
    """A recording's events, summed in the ways that are drawn.

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
        Time and time constant of the surface, in µs.
    rate
        Events in bins of `bin_us`, int64 (polarity, bin); the last bin may extend past the end.
    bin_us
        Width of these bins, in µs.
    map
        Events by row of pixels and time, int64 (polarity, row bin, time bin), over the whole sensor and duration.
    events
        The events themselves, dtype `EVENT`, or None if there are more than `MOST_DOTS`.
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


def count_events(
    events: Events, *, bin_us: float = 0, tau_us: float = 0, at_us: float | None = None
) -> EventCounts:
    """Count a recording's events in one pass.

    Parameters
    ----------
    events
        The recording; where it is read from a file, finding its duration may take a second pass.
    bin_us
        Width of the bins of the rate in µs; 0: about a hundredth of the duration.
    tau_us
        Time constant of the time surface in µs; 0: about a tenth of the duration.
    at_us
        Time of the time surface in µs; None: the end.

    Raises
    ------
    UsageError
        A number is negative.
    """
    for name, value in (("bin_us", bin_us), ("tau_us", tau_us), ("at_us", at_us or 0)):
        if value < 0:
            raise UsageError(f"got {name} = {value}", "0 or more µs", "Leave it out to have it chosen.")
    (width, height), duration = events.size, max(events.length(), 1)
    bin_us, tau_us = bin_us or max(_rounded(duration / 100), 1), tau_us or max(_rounded(duration / 10), 1)
    at_us = float(duration if at_us is None else at_us)
    pixels, polarities = width * height, events.polarities
    bins, rows = ceil(duration / bin_us), min(height, _ROWS)
    frame = np.zeros(polarities * pixels, np.int64)
    latest = np.full(polarities * pixels, -np.inf)
    rate = np.zeros(polarities * bins, np.int64)
    over_time = np.zeros(polarities * rows * _COLUMNS, np.int64)
    dots: list[NDArray[np.void]] | None = []
    for piece in events.pieces:
        x, y, t, p = (piece[axis].astype(np.int64) for axis in "xytp")
        pixel = p * pixels + y * width + x
        frame += np.bincount(pixel, minlength=frame.size)
        until = np.searchsorted(t, at_us, "right")
        latest[pixel[:until]] = t[:until]  # of several events of a pixel the last one stays
        rate += np.bincount(p * bins + (t / bin_us).astype(np.int64), minlength=rate.size)
        column = t * _COLUMNS // duration
        over_time += np.bincount(
            (p * rows + y * rows // height) * _COLUMNS + column, minlength=over_time.size
        )
        dots = _with_dots(dots, piece.copy())
    return EventCounts(
        size=events.size,
        duration=duration,
        frame=frame.reshape(polarities, height, width),
        surface=np.exp((latest - at_us) / tau_us).reshape(polarities, height, width),
        at_us=at_us,
        tau_us=tau_us,
        rate=rate.reshape(polarities, bins),
        bin_us=bin_us,
        map=over_time.reshape(polarities, rows, _COLUMNS),
        events=None if dots is None else np.concatenate([np.empty(0, EVENT), *dots]),
    )


def count_spikes(
    slices: Iterable[Bits],
    shape: Sequence[int],
    steps: int,
    step_us: float,
    *,
    tau_us: float = 0,
    at_us: float | None = None,
) -> EventCounts:
    """Count a stored sample's spikes, each as an event at the start of its step, without unpacking all at once.

    Parameters
    ----------
    slices
        uint8 (unit, byte), consecutive slices of the units.
    shape
        (polarity, row, column) of the units; an axis of count levels may precede.
    steps, step_us
        Number of steps, and the length of one in µs.
    tau_us, at_us
        See `count_events`. The bins of the rate are whole steps; there are about a hundred.
    """
    (polarities, height, width), pixels = shape[-3:], shape[-2] * shape[-1]
    duration = max(round(steps * step_us), 1)
    tau_us = tau_us or max(_rounded(duration / 10), 1)
    at_us = float(duration if at_us is None else at_us)
    until = min(int(at_us / step_us) + 1, steps)
    rows, columns, each = min(height, _ROWS), min(steps, _COLUMNS), max(round(steps / 100), 1)
    edges, bins = np.arange(columns) * steps // columns, np.arange(0, steps, each)
    frame, latest = np.zeros(polarities * pixels, np.int64), np.full(polarities * pixels, -1)
    rate = np.zeros((polarities, len(bins)), np.int64)
    over_time = np.zeros((polarities, rows, columns), np.int64)
    dots: list[NDArray[np.void]] | None = []
    for unit, bits in spiking_units(slices, steps):
        unit %= polarities * pixels  # the same pixel at any level
        p, (y, x) = unit // pixels, np.divmod(unit % pixels, width)
        np.add.at(frame, unit, bits.sum(axis=1, dtype=np.int64))
        backwards = bits[:, until - 1 :: -1] if until else bits[:, :0]
        fired = backwards.any(axis=1)
        np.maximum.at(latest, unit[fired], until - 1 - backwards[fired].argmax(axis=1))
        np.add.at(rate, p, np.add.reduceat(bits, bins, axis=1, dtype=np.int64))
        np.add.at(over_time, (p, y * rows // height), np.add.reduceat(bits, edges, axis=1, dtype=np.int64))
        if dots is not None:
            which, step = np.nonzero(bits)
            events = np.zeros(len(step), EVENT)
            events["x"], events["y"], events["p"] = x[which], y[which], p[which]
            events["t"] = step * step_us
            dots = _with_dots(dots, events)
    age = np.where(latest < 0, np.inf, at_us - latest * step_us)
    return EventCounts(
        size=(width, height),
        duration=duration,
        frame=frame.reshape(polarities, height, width),
        surface=np.exp(-age / tau_us).reshape(polarities, height, width),
        at_us=at_us,
        tau_us=tau_us,
        rate=rate,
        bin_us=each * step_us,
        map=over_time,
        events=None if dots is None else np.concatenate([np.empty(0, EVENT), *dots]),
    )


def action_box(frame: NDArray[np.int64]) -> tuple[int, int, int, int]:
    """Return first row, end row, first column and end column of the pixels where almost all events are.

    Of each side at most 0.2 % of the events are left out, and a margin of a tenth is added. It is the whole sensor
    where that is hardly larger. `frame` is (polarity, row, column).
    """
    ranges: list[int] = []
    for axis in (1, 2):
        along = frame.sum(axis=(0, 3 - axis))
        size, total = len(along), along.sum()
        if not total:
            return 0, frame.shape[1], 0, frame.shape[2]
        share = np.cumsum(along) / total
        first, last = int(np.searchsorted(share, 0.002, "right")), int(np.searchsorted(share, 0.998))
        margin = max(2, (last - first) // 10)
        ranges += [max(first - margin, 0), min(last + 1 + margin, size)]
    top, bottom, left, right = ranges
    if (bottom - top) * (right - left) > 0.7 * frame.shape[1] * frame.shape[2]:
        return 0, frame.shape[1], 0, frame.shape[2]
    return top, bottom, left, right


def _with_dots(
    dots: list[NDArray[np.void]] | None, events: NDArray[np.void]
) -> list[NDArray[np.void]] | None:
    """Return the events to draw one by one with more added; None if they are more than `MOST_DOTS`."""
    if dots is None:
        return None
    dots.append(events)
    return dots if sum(map(len, dots)) <= MOST_DOTS else None


def spiking_units(
    slices: Iterable[Bits], steps: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
    """Yield unit numbers (unit,) and their spikes, uint8 (unit, step), of units that spike, a block at a time."""
    first, block = 0, max(_BLOCK // max(steps, 1), 1)
    for bits in slices:
        units = np.flatnonzero(bits.any(axis=1))
        for n in range(0, len(units), block):
            some = units[n : n + block]
            yield first + some, np.unpackbits(bits[some], axis=1, count=steps, bitorder="little")
        first += len(bits)


def _rounded(value: float) -> float:
    """Return the number 1, 2 or 5 times a power of ten that is nearest to `value`, by ratio."""
    power = 10.0 ** np.floor(log10(max(value, 1e-9)))
    choices = [factor * power for factor in (1, 2, 5, 10)]
    nearest: Any = min(choices, key=lambda choice: abs(log10(choice / max(value, 1e-9))))
    return float(nearest)
