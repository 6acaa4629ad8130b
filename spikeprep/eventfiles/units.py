"""The unit of a column of times: given, or recognised where only one can be meant."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

Unit = Literal["", "us", "ms", "s", "ns"]
"""Unit of t; empty: recognised."""

_MICROSECONDS: Mapping[Unit, tuple[int, int]] = {  # of a unit, as a fraction
    "s": (1_000_000, 1),
    "ms": (1000, 1),
    "us": (1, 1),
    "ns": (1, 1000),
}
LARGEST = 1 << 62
"""µs that a stamp may have: differences then fit into 64 bits."""

# What a whole recording tells about its unit, by its events per second and pixel. Between the limits of a rate that is
# plausible it is taken for what it seems to be: a finding names the other unit where this is unusual.
_MANY = 100  # events that are enough to judge a rate: of fewer, an implausible one is a finding
_FASTEST = 100  # more is implausible: cameras of 10⁵ pixels transmit some 10⁷ events per second, for moments
_SLOWEST = 0.002  # less is implausible: the noise of a still scene alone is more
_SHORT = 50_000  # µs; less is unusual: it can be a recording of up to 50 s in ms
_LONG = 5_000_000  # µs; more is unusual at a rate that is slow: it can be a recording in ns
_SLOW, _SLOW_LARGE = 0.05, 0.01  # below these a rate is slow: of a small and of a large sensor
_SLOW_ALL = 1000  # events per second of all pixels: more is not slow, but for `_SLOW_LARGE`

_CLEAR_SECONDS = 10  # with fractions: of ms it would be less than `_SHORT`
_MOST_SECONDS = 3600
_EPOCH = (10**9, 3 * 10**9)  # Unix time in seconds, from 2001 to 2065
_COARSEST = 1000  # µs between neighbouring numbers of 16 or 32 bits

_WORDS: Mapping[Unit, str] = {"s": "s", "ms": "ms", "us": "µs", "ns": "ns"}


def recognised(path: Path, stamps: NDArray[Any]) -> tuple[Unit, str]:
    """Return the unit of the first stamps of a file, and what tells it, in words.

    Whole numbers are µs, or ns where they would be Unix time in ns. Fractions are seconds where these stamps last at
    most 10 s; or where they are finer than a ms, and either Unix time or at least 1000 per second.

    Raises
    ------
    DataError
        Another unit can be meant.
    """
    if not len(stamps) or (stamps.dtype.kind == "f" and not np.isfinite(stamps).all()):
        return "us", ""
    fractions = stamps != np.rint(stamps) if stamps.dtype.kind == "f" else np.zeros(1, bool)
    if not fractions.any():
        return _of_whole_numbers(path, int(stamps[0]))
    values = stamps.astype(np.float64)
    low, high = float(values.min()), float(values.max())
    lasts = high - low
    fine = not coarse(values)
    epoch = _EPOCH[0] < low and high < _EPOCH[1]
    if lasts <= _CLEAR_SECONDS or (
        fine and lasts <= _MOST_SECONDS and (epoch or len(values) >= _SLOW_ALL * lasts)
    ):
        return "s", "as it has fractions"
    n = int(fractions.argmax())
    raise DataError(
        f"{path}: event {n} has t {stamps[n]}, and {len(stamps):,} events last {lasts:.6g}, in an unknown unit",
        "whole µs, or seconds",
        "Give the unit of t: unit='s', unit='ms' or unit='us'.",
    )


def _of_whole_numbers(path: Path, first: int) -> tuple[Unit, str]:
    """Return the unit of whole numbers, of which `first` is the first, and what tells it."""
    if _EPOCH[0] <= first // 10**9 < _EPOCH[1]:
        return "ns", "as it begins like Unix time in ns"
    if _EPOCH[0] <= first // 1000 < _EPOCH[1]:
        raise DataError(
            f"{path}: event 0 has t {first}, which is Unix time in ms, or {first / 86_400e6:,.0f} days in µs",
            "a unit that is clear",
            "Give the unit of t: unit='ms' or unit='us'.",
        )
    return "us", "as it has whole numbers"


def coarse(stamps: NDArray[Any]) -> bool:
    """Return whether stamps are multiples of 0.001: ms in seconds, or µs in ms."""
    milliseconds = stamps.astype(np.float64) * 1000
    return not bool((np.abs(milliseconds - np.rint(milliseconds)) > 0.01).any())


def check_rate(
    path: Path, events: int, duration: int, pixels: int, unit: Unit = "us", in_steps: bool = False
) -> str:
    """Return what is strange about a recording whose unit was recognised; empty where nothing is.

    Parameters
    ----------
    path
        The file, for errors.
    events
        Number of its events.
    duration
        In µs, where t is in `unit`.
    pixels
        Of the sensor.
    unit
        What was recognised: µs or seconds.
    in_steps
        Whether seconds are `coarse`.

    Raises
    ------
    DataError
        Its rate is implausible, and it has enough events to judge that; or all their times are equal.
    """
    if events < 2:
        return ""
    if not duration:
        if events < _MANY:
            return ""
        fix = f"Give unit='{unit}' to keep them at one time; else name the column of t as t=…."
        raise DataError(f"{path}: all {events:,} events have the same t", "times that go on", fix)
    rate = events * 1e6 / duration  # per second
    per_pixel = rate / pixels
    slow = min(_SLOW * pixels, max(_SLOW_ALL, _SLOW_LARGE * pixels))
    fast = unit == "us" and per_pixel > _FASTEST
    slowest = duration > _LONG and per_pixel < _SLOWEST
    short = unit == "us" and duration < _SHORT
    # steps of a ms are seldom in seconds, and µs usual in ms, unless that makes events too many
    steps = unit == "s" and in_steps and per_pixel * 1000 <= _FASTEST
    if not (fast or slowest or short or steps or (duration > _LONG and rate < slow)):
        return ""
    other: Unit = "ms" if fast or short or unit == "s" else "ns"
    lasts = duration * np.divide(*_MICROSECONDS[other]) / np.divide(*_MICROSECONDS[unit]) / 1e6
    got = (
        f"{events:,} events last {duration / 1e6:,.6g} s if t is in {_WORDS[unit]}, {per_pixel:,.3g} per second and "
        f"pixel, and {lasts:,.6g} s if it is in {other}"
    )
    implausible, few = fast or slowest, events < _MANY
    if few and not implausible:
        return ""
    if few or not implausible:
        return f"{got}; unit='{unit}' if the first is right, unit='{other}' if the second is"
    expected = f"{_SLOWEST} to {_FASTEST} per second and pixel, or a unit that is given"
    rest = " or ".join(f"unit='{u}'" for u in _MICROSECONDS if u not in (unit, other))
    fix = f"Give unit='{unit}' if that is right, else the unit of t: unit='{other}', {rest}."
    raise DataError(f"{path}: {got}", expected, fix)


def base_of(stamps: NDArray[Any], unit: Unit) -> int:
    """Return what to subtract from integers that are too large for 64 bits with a sign, by the first one; else 0.

    A whole number of µs.
    """
    times, over = _MICROSECONDS[unit]
    if stamps.dtype.kind == "u" and times == 1 and len(stamps) and int(stamps[0]) > LARGEST:
        return int(stamps[0]) // over * over
    return 0


def microseconds(
    path: Path, values: NDArray[Any], unit: Unit, index: int, whole: bool, base: int = 0
) -> NDArray[np.int64]:
    """Return stamps in µs, int64 (event,): fractions are rounded, integers in ns rounded down.

    Parameters
    ----------
    path
        The file, for errors.
    values
        Integers or floating-point numbers (event,).
    unit
        Their unit, not empty.
    index
        Number of events before.
    whole
        Whether a fraction is an error.
    base
        What is subtracted from integers, see `base_of`.

    Raises
    ------
    DataError
        A stamp is not finite, beyond `LARGEST`, has a fraction, or is stored too coarsely.
    """
    times, over = _MICROSECONDS[unit]
    if values.dtype.kind in "iu":
        largest = LARGEST // times
        if base:
            values = (values - np.uint64(base)).view(np.int64)  # wraps around: exact
        if len(values) and (int(values.max()) > largest or int(values.min()) < -largest):
            raise _too_late(path, values, index, np.abs(values.astype(np.float64)) > largest)
        integers = values.astype(np.int64)
        return integers if times == over else integers * times // over
    stamps = values.astype(np.float64)
    if times != over:
        stamps = stamps * times / over
    wrong = ~(np.abs(stamps) < float(LARGEST))
    if wrong.any():
        raise _too_late(path, values, index, wrong)
    if values.dtype.itemsize < 8:
        _check_spacing(path, values, times / over)
    rounded = np.rint(stamps)
    if whole and (fractions := rounded != stamps).any():
        n = int(fractions.argmax())
        raise DataError(
            f"{path}: event {index + n} has t {values[n]}, after whole numbers",
            "whole µs, or seconds",
            "Give the unit of t: unit='s', unit='ms' or unit='us'.",
        )
    return rounded.astype(np.int64)


def _check_spacing(path: Path, values: NDArray[Any], scale: float) -> None:
    largest = np.abs(values).max(initial=0)
    spacing = float(np.spacing(largest)) * scale
    if spacing > _COARSEST:
        raise DataError(
            f"{path}: t is {values.dtype}, which at {largest} only has every {spacing:,.0f} µs",
            f"a step between neighbouring numbers of at most {_COARSEST:,} µs",
            "Save t as float64 or int64, from the original recording.",
        )


def _too_late(path: Path, values: NDArray[Any], index: int, wrong: NDArray[np.bool_]) -> DataError:
    n = int(wrong.argmax())
    if not np.isfinite(values[n]):
        what = f"{path}: event {index + n} has t {values[n]}"
        return DataError(what, "a time", "Remove such events from the file.")
    return DataError(
        f"{path}: event {index + n} has t {values[n]}",
        "a number of µs below 2⁶²",
        "Give the unit of t: unit='ns', unit='us' or unit='ms'; or repair the file.",
    )
