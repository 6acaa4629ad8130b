"""Spikes of a file, checked, as `Events` of a sensor of one row: a column per unit, one polarity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..data import EVENT
from ..errors import DataError
from ..eventfiles.base import LATEST
from .spike_layouts import RawSpikes

Unit = Literal["", "s", "ms", "us", "ns"]
"""Unit of times; empty: what the file states, or seconds where they are floating-point numbers."""

SCALES = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}
"""Unit → its µs."""

MOST_UNITS = 1 << 16
"""Units whose numbers fit into `EVENT`."""

_COARSE = 1000.0  # µs between neighbouring float16 that deserve a finding


class SpikeFacts(NamedTuple):
    """What the check of a recording finds.

    `length` in µs, the number of spikes, the largest unit (−1: no spikes), the units that the file states (0: none),
    spikes that were dropped, whether times were out of order, the largest step of float16 times, in µs,
    and what was decided from the data.
    """

    length: int
    spikes: int
    largest: int
    units: int
    dropped: int
    unsorted: bool
    step: float
    note: str


@dataclass(frozen=True)
class Rules:
    """How spikes are checked: the number of units (0: any), the unit of times, whether wrong spikes are dropped."""

    units: int
    unit: str
    drop: bool


def events_of(raw: RawSpikes, rules: Rules, where: str) -> tuple[NDArray[np.void], SpikeFacts]:
    """Return the spikes in order of time, dtype `EVENT`, and facts.

    Times are rounded to µs; spikes of equal times keep their order.

    Raises
    ------
    DataError
        A time is not finite, before the recording's start or implausibly late, or a unit is none; unless these are
        dropped.
    """
    times, units = raw.times, raw.units
    for what, values in (("times", times), ("units", units)):
        if values.ndim != 1 or values.dtype.kind not in "iuf":
            got = f"{where} has {what} of {values.dtype} {values.shape}"
            raise DataError(got, "numbers (spike,)", "Save them as numbers.")
    step = 0.0
    if times.dtype == np.float16:
        finite = times[np.isfinite(times)]
        step = float(np.spacing(np.abs(finite).max(initial=np.float16(0)))) * SCALES[rules.unit]
    with np.errstate(over="ignore", invalid="ignore"):
        stamps = np.rint((times.astype(np.float64) - raw.start) * SCALES[rules.unit])
    numbers = units.astype(np.float64)
    most = rules.units or MOST_UNITS
    good = (
        (stamps >= 0) & (stamps <= LATEST) & (numbers >= 0) & (numbers < most) & (np.rint(numbers) == numbers)
    )
    dropped = len(good) - int(np.count_nonzero(good))
    if dropped:
        if not rules.drop:
            raise _wrong(raw, rules, where, int(good.argmin()))
        stamps, numbers = stamps[good], numbers[good]
    unsorted = bool((np.diff(stamps) < 0).any())
    if unsorted:
        order = np.argsort(stamps, kind="stable")
        stamps, numbers = stamps[order], numbers[order]
    events = np.zeros(len(stamps), EVENT)
    events["x"], events["t"] = numbers, stamps
    length = int(events["t"][-1]) + 1 if len(events) else 0
    if raw.length is not None:
        length = max(length, round(raw.length * SCALES[rules.unit]))
    largest = int(numbers.max(initial=-1))
    return events, SpikeFacts(length, len(events), largest, 0, dropped, unsorted, step, "")


def coarse(facts: SpikeFacts) -> bool:
    """Return whether times are stored so coarsely that it deserves a finding."""
    return facts.step > _COARSE


def _wrong(raw: RawSpikes, rules: Rules, where: str, n: int) -> DataError:
    """Return the error for spike `n`."""
    time, unit = raw.times[n], raw.units[n]
    drop = 'Or leave such spikes out: use source.invalid="drop".'
    if not np.isfinite(time):
        fix = "Remove it from the file."
        if raw.times.dtype == np.float16:
            fix = "float16 ends at 65,504: save times as float32, in seconds."
        return DataError(f"{where}: spike {n:,} has time {time}", "a finite time", f"{fix} {drop}")
    if float(time) < raw.start:
        return DataError(
            f"{where}: spike {n:,} has time {time}", "a time of at least 0", f"Shift the times. {drop}"
        )
    if (float(time) - raw.start) * SCALES[rules.unit] > LATEST:
        others = " or ".join(f'source.time_unit="{u}"' for u in SCALES if u != rules.unit)
        got = f"{where}: spike {n:,} has time {time}, in {rules.unit}"
        return DataError(
            got, f"at most {LATEST / 1e6:,.0f} s", f"If it is in another unit, use {others}. {drop}"
        )
    most = rules.units or MOST_UNITS
    fix = (
        f"If there are more units, use source.units={int(unit) + 1}."
        if most <= unit < np.inf
        else "Correct the file."
    )
    if not rules.units:
        fix = "Number the units from 0."
    return DataError(
        f"{where}: spike {n:,} has unit {unit}", f"a whole number from 0 to {most - 1}", f"{fix} {drop}"
    )
