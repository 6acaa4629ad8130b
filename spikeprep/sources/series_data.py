"""Series as files hold them: values, and what a file says of each; missing values; windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

_FEW = 8  # steps in which a channel may rise evenly by chance

Missing = Literal["refuse", "linear", "previous", "zero"]
"""What is put in place of missing values, see `filled`."""


@dataclass(frozen=True, eq=False)
class Series:
    """One series of a file.

    Attributes
    ----------
    values
        float64 (time, channel); NaN where a value is missing.
    label, split, group
        As the file names them; empty where it does not.
    """

    values: NDArray[np.float64]
    label: str = ""
    split: str = ""
    group: str = ""


class Annotation(NamedTuple):
    """What a recording says of a time: start and duration in s, a duration of 0 being a moment; and a label."""

    start: float
    duration: float
    label: str


@dataclass(frozen=True, eq=False)
class SeriesFile:
    """The series of a file, in its order.

    Attributes
    ----------
    series
        At least one; none in a file of annotations alone.
    rate
        Steps per second, in Hz; 0 where the file does not state it.
    classes
        Names of the classes, where the file lists them, in their order.
    labelled
        Whether its series have labels: else it is one series, or several without a class.
    channels, units
        Names of the channels and their physical units, where the file has them.
    annotations
        Of the only series, in the order of their start.
    rate_note
        From what the rate was taken, where the file does not say it clearly.
    table_note
        What a table was taken for, where it is one of many series.
    """

    series: Sequence[Series]
    rate: float = 0.0
    classes: tuple[str, ...] = ()
    labelled: bool = False
    channels: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    annotations: Sequence[Annotation] = ()
    rate_note: str = ""
    table_note: str = ""

    @property
    def nbytes(self) -> int:
        """Bytes of all values."""
        return sum(one.values.nbytes for one in self.series)


def oriented(values: NDArray[np.float64], time_axis: str, what: str) -> NDArray[np.float64]:
    """Return one series as (time, channel): of an array (time,), or with time first or last, as `time_axis` says."""
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2:
        shape = "(time, channel)" if time_axis == "first" else "(channel, time)"
        raise DataError(
            f"{what} has the shape {values.shape}",
            f"(time,) or {shape} for one series",
            "Store labels beside several series, or one series per file.",
        )
    return np.ascontiguousarray(values if time_axis == "first" else values.T)


def filled(values: NDArray[np.float64], how: Missing, what: str) -> tuple[NDArray[np.float64], int]:
    """Return values without missing ones, and how many were missing.

    Parameters
    ----------
    values
        float64 (time, channel), NaN where a value is missing.
    how
        ``"linear"``: between the neighbours in time, which also stand for what is missing before the first and after
        the last. ``"previous"``: the value before, or the first one ahead of it. ``"zero"``: 0. ``"refuse"``: an error.
    what
        The series, for messages.

    Raises
    ------
    DataError
        A value is infinite; or one is missing and `how` is ``"refuse"``; or a channel has no value to fill it from.
    """
    absent = np.isnan(values)
    if np.isinf(values).any():
        step, channel = np.argwhere(np.isinf(values))[0]
        raise DataError(
            f"{what} is infinite at step {step} of channel {channel}", "finite values", "Correct the value."
        )
    count = int(absent.sum())
    if not count:
        return values, 0
    if how == "refuse":
        step, channel = np.argwhere(absent)[0]
        raise DataError(
            f"{what} lacks {count:,} of {values.size:,} values, the first at step {step} of channel {channel}",
            "a value for every step and channel",
            "Use source.missing=linear, previous or zero to fill them.",
        )
    result = np.where(absent, 0.0, values)
    if how == "zero":
        return result, count
    steps = np.arange(len(values))
    for channel in np.flatnonzero(absent.any(axis=0)):
        known = np.flatnonzero(~absent[:, channel])
        if not len(known):
            raise DataError(
                f"{what} has no value at all in channel {channel}",
                "at least one, to fill it from",
                "Remove the channel or the series, or use source.missing=zero.",
            )
        if how == "linear":
            result[:, channel] = np.interp(steps, known, values[known, channel])
        else:
            last = np.maximum(np.searchsorted(known, steps, side="right") - 1, 0)
            result[:, channel] = values[known[last], channel]
    return result, count


def rising_evenly(values: NDArray[np.float64]) -> tuple[int, ...]:
    """Return which channels of values (time, channel) rise by the same in every step, as times and counters do.

    Written with few digits, a time may be off by a tenth of a step.
    """
    if len(values) < _FEW:
        return ()
    steps = (values[-1] - values[0]) / (len(values) - 1)
    uneven = np.abs(values - (values[0] + steps * np.arange(len(values))[:, None])).max(axis=0)
    return tuple(np.flatnonzero((steps > 0) & (uneven <= steps / 10)).tolist())


class Window(NamedTuple):
    """Steps [start, stop) of a series."""

    start: int
    stop: int


def windows(steps: int, length: int, overlap: int) -> list[Window]:
    """Return the windows of a series: whole ones alone, each `length` steps, the next one `length - overlap` later."""
    starts = range(0, steps - length + 1, length - overlap)
    return [Window(start, start + length) for start in starts]


def check_limit(values: int, path: Path, limit: int) -> None:
    """Raise `DataError` where float64 values take more than `limit` bytes."""
    if 8 * values > limit:
        raise DataError(
            f"{path} takes {8 * values:,} bytes of memory as float64",
            f"at most {limit:,}",
            f"If the file is what it should be, use source.max_bytes={8 * values}.",
        )
