"""Channels of series by their names, and channels of a recording that have rates of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, near_miss
from ..input_files import Limits
from ..text import listed
from .series_data import Annotation, Series, SeriesFile

MixedRates = Literal["refuse", "linear"]
"""What happens to channels of several rates, see `aligned`."""

_SHOWN = 8  # channels in a message


@dataclass(frozen=True, eq=False)
class Channel:
    """A channel of a recording: its name, its physical unit, its rate in Hz, and what reads its values.

    These are float64 (time,). Of channels that are not chosen, nothing is decoded.
    """

    name: str
    unit: str
    rate: float
    read: Callable[[], NDArray[np.float64]]


def chosen_channels(path: Path, names: Sequence[str], count: int, chosen: Sequence[str | int]) -> list[int]:
    """Return the numbers of the channels that a user chooses by name or by number, in that order; none: all.

    Raises
    ------
    DataError
        There is no such channel, or two have the name.
    """
    if not chosen:
        return [*range(count)]
    numbers = []
    for one in chosen:
        same = [n for n, name in enumerate(names) if name == str(one)]
        if not same and isinstance(one, int) and 0 <= one < count:
            same = [one]
        if len(same) != 1:
            has = f"the channels {listed([*names], _SHOWN)}" if names else f"{count} channels without names"
            raise DataError(
                f"{path} has {len(same) or 'no'} channel{'s' * (len(same) > 1)} {one!r}",
                f"one; it has {has}",
                near_miss(str(one), names) or "Correct source.channels; numbers from 0 choose channels too.",
            )
        if same[0] in numbers:
            raise DataError(f"source.channels names {one!r} twice", "different channels", "Remove one.")
        numbers += same
    return numbers


def with_channels(path: Path, file: SeriesFile, chosen: Sequence[str | int]) -> SeriesFile:
    """Return a file's series with the channels that a user chooses, see `chosen_channels`."""
    if not chosen or not file.series:
        return file
    count = min(one.values.shape[1] for one in file.series)
    numbers = chosen_channels(path, file.channels, count, chosen)
    series = [replace(one, values=np.ascontiguousarray(one.values[:, numbers])) for one in file.series]
    names, units = (tuple(of[n] for n in numbers) if of else () for of in (file.channels, file.units))
    return replace(file, series=series, channels=names, units=units)


def aligned(
    path: Path,
    channels: Sequence[Channel],
    chosen: Sequence[str | int],
    mixed: MixedRates,
    limits: Limits,
    annotations: Sequence[Annotation] = (),
) -> SeriesFile:
    """Return the channels of a recording as one series.

    Parameters
    ----------
    path
        The file, for messages.
    channels
        The channels, each of its own rate.
    chosen
        Names or numbers of those to take; none: all.
    mixed
        What happens to channels of several rates: ``"refuse"`` (an error), or ``"linear"``: the others are interpolated
        at the times of the highest rate, and hold their last value to the end.
    limits
        What the series may take.
    annotations
        What the recording says of times.

    Raises
    ------
    DataError
        There is no such channel, or they have several rates.
    """
    if not channels:
        return SeriesFile([], annotations=annotations)
    numbers = chosen_channels(path, [one.name for one in channels], len(channels), chosen)
    taken = [channels[n] for n in numbers]
    rates = sorted({one.rate for one in taken}, reverse=True)
    if len(rates) > 1 and mixed == "refuse":
        by_rate = [f"{rate:g} Hz ({listed([o.name for o in taken if o.rate == rate], 4)})" for rate in rates]
        highest = ",".join(f'"{one.name}"' for one in taken if one.rate == rates[0])
        raise DataError(
            f"{path} has channels of {' and of '.join(by_rate)}",
            "one rate",
            f"Choose channels: use source.channels=[{highest}]; or interpolate those of lower rates: use "
            "source.mixed_rates=linear.",
        )
    read = [one.read() for one in taken]
    steps = max(len(values) for one, values in zip(taken, read, strict=True) if one.rate == rates[0])
    limits.check_bytes(f"{path}", 8 * steps * len(taken))
    values = np.empty((steps, len(taken)))
    for n, (one, of_one) in enumerate(zip(taken, read, strict=True)):
        if one.rate != rates[0]:
            of_one = np.interp(np.arange(steps) / rates[0], np.arange(len(of_one)) / one.rate, of_one)
        values[:, n] = of_one
    names, units = tuple(one.name for one in taken), tuple(one.unit for one in taken)
    return SeriesFile([Series(values)], rates[0], channels=names, units=units, annotations=annotations)
