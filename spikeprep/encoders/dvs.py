"""DVS events → spikes: a unit spikes in every bin of time in which its pixel has an event of its polarity.

The width of a bin is an exact fraction, see `_bins`; how bits reach their places, see `_sheet`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from math import prod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..data import EVENT, Bits, Events, SpikeTrain
from ..errors import DataError, UsageError
from ..random import SampleKey
from .base import Encoder
from .event_bits import new_sheet
from .event_checks import checked, pieces, recording, wrong_event
from .time_bins import Bins, scatter
from .unit_ranges import band

_MOST_STEPS = (1 << 32) - 1  # what a store can say
_FINEST = 10**6  # denominator of a width


@dataclass(frozen=True)
class DVS(Encoder):
    """Events of a DVS in bins of time: a bit a bin, ordered polarity, row, column.

    Bins tile the time axis from t = 0, without gaps, whatever their width: bin k is [k w, (k + 1) w), with
    ``closed="right"`` ((k − 1) w, k w]. The arithmetic is exact: a width is a fraction of whole numbers.

    Parameters
    ----------
    bin_us
        Width w of a bin in µs, at least 1; 1 000 where neither it nor `bins` is set. A whole number, a decimal that is
        taken as written, or a fraction as a string such as ``"1000/3"``.
    bins
        Number of bins over a recording's own duration D: w is D / `bins`, different for each recording. Used instead
        of `bin_us`, which is then 0; 0 where `bin_us` is set.
    steps
        Time steps kept of every recording: later events are dropped, a shorter recording ends in silence. 0: as
        many as the recording lasts.
    closed
        ``"left"`` or ``"right"``: the edge that belongs to a bin. The published N-MNIST runs use the right one,
        bin = ceil(t / 600), which leaves bin 0 to events at t = 0.
    levels
        How many events of a unit in a bin are kept apart. 1: they merge into one spike. n: `unit_shape` gets a first
        axis of n levels, and level j spikes where a unit has more than j events, so that the number of levels that
        spike is the number of events up to n.
    """

    name: ClassVar[str] = "dvs"
    citation: ClassVar[str] = (
        "Orchard, Jayawant, Cohen & Thakor 2015, Converting Static Image Datasets to Spiking Neuromorphic "
        "Datasets Using Saccades, Frontiers in Neuroscience 9:437"
    )

    bin_us: float | str | None = None
    bins: int | None = None
    steps: int = 0
    closed: str = "left"
    levels: int = 1

    def __post_init__(self) -> None:
        if self.bin_us is None and self.bins is None:
            object.__setattr__(self, "bin_us", 1000)
        for field in ("bin_us", "bins"):
            if getattr(self, field) is None:
                object.__setattr__(self, field, 0)
        for field, least in (("bins", 0), ("steps", 0), ("levels", 1)):
            value = getattr(self, field)
            if type(value) is not int or value < least:
                raise UsageError(f"dvs: got {field} {value!r}", f"a whole number of at least {least}")
        if self.closed not in ("left", "right"):
            raise UsageError(f"dvs: got closed {self.closed!r}", '"left" or "right"')
        width = _fraction(self.bin_us)
        if bool(width) == bool(self.bins):
            raise UsageError(
                f"dvs: got bin_us {self.bin_us!r} and bins {self.bins}",
                "a width of bins above 0, or a number of them above 0, and 0 for the other",
                "Set one of them to 0." if width else "A bin of no length holds nothing: set one of them.",
            )
        if width and not (width >= 1 and width.denominator <= _FINEST):
            raise UsageError(
                f"dvs: got bin_us {self.bin_us!r}",
                f"at least 1 µs, the resolution of stamps, with a denominator of at most {_FINEST}",
            )
        if self.bins and self.closed == "right":
            raise UsageError(
                "dvs: got bins that are closed on the right over a recording's own duration",
                'closed "left"',
                "The event at t = 0 would need a bin of its own: set bin_us instead.",
            )

    @property
    def ragged(self) -> bool:
        """Whether recordings keep lengths of their own: neither `steps` nor `bins` is set."""
        return not (self.steps or self.bins)

    @property
    def seconds_per_step(self) -> float:
        """Return the width of a bin; with `bins`, of a recording of 1 s: see `step_seconds`."""
        return 1 / self.bins if self.bins else float(_fraction(self.bin_us)) * 1e-6

    def step_seconds(self, signal: Any) -> float:
        """Return the width of a bin; with `bins` it is that of `signal`."""
        return float(self.binning(signal).width) * 1e-6

    def unit_shape(self, signal: Any) -> tuple[int, ...]:
        """Return (polarity, height, width), after (levels,) where they are more than one."""
        events = recording(signal, self.name)
        shape = (events.polarities, *events.size[::-1])
        return shape if self.levels == 1 else (self.levels, *shape)

    def max_steps(self, signal: Any) -> int:
        """Return how many steps `signal` becomes, from its duration alone: exact, an outline will do."""
        if fixed := self.steps or self.bins:
            return fixed
        return self._checked_steps(self.binning(signal).steps(recording(signal, self.name).length()))

    def binning(self, signal: Any) -> Bins:
        """Return the bins of `signal`; with `bins` its duration decides, for which it may have to be walked."""
        if self.bins:
            return Bins(Fraction(max(recording(signal, self.name).length(), 1), self.bins))
        return _by_width(self.bin_us, self.closed == "right")

    def _checked_steps(self, steps: int) -> int:
        if steps > _MOST_STEPS:
            raise DataError(
                f"dvs: got a recording of {steps} steps of {self.bin_us} µs",
                f"at most {_MOST_STEPS}",
                "Widen bin_us, or keep fewer by steps; or a stamp is wrong.",
            )
        return steps

    def encode(self, signal: Any, *, rng: SampleKey | None = None) -> SpikeTrain:
        """Return the packed spikes of one recording, whole or streamed.

        A recording without events is silence: of one step, where its duration is not known either.

        Raises
        ------
        DataError
            An event is off the sensor, of another polarity, earlier than the one before it, or past the duration.
        """
        events = recording(signal, self.name)
        if self.bins:
            events = replace(events, duration=events.length())
        bins, units = self.binning(events), prod(self.unit_shape(events))
        known = events.duration is not None or isinstance(events.pieces, tuple)
        latest = min(bins.latest, events.length() - 1) if known else bins.latest
        steps = self.max_steps(events) if known or self.steps else None
        sheet = new_sheet(units, steps)
        by_unit, by_step = sheet.strides
        strides, sensor = (
            (by_unit, by_step, units // self.levels * by_unit),
            (*events.size, events.polarities),
        )
        last = count = 0
        for piece in pieces(events, self.name):
            start = 0
            while True:
                start, last, sheet.fresh, wrong = scatter(
                    piece, start, last, sensor, bins.numbers, latest, sheet.first, sheet.stop, strides,
                    self.levels, sheet.fresh, sheet.block,
                )  # fmt: skip
                if wrong:
                    raise wrong_event(self.name, piece[start], count + start, last, events, latest)
                if start == len(piece):
                    break
                step = int(bins.of(piece["t"][start : start + 1])[0])
                if steps is not None and step >= steps:
                    return SpikeTrain(sheet.finish(steps), steps)
                sheet.turn_to(step)
            count += len(piece)
        if steps is None:
            steps = self._checked_steps(bins.steps(events.length(last + 1 if count else 0)))
        return SpikeTrain(sheet.finish(steps), steps)

    def counts(self, signal: Any) -> NDArray[np.uint32]:
        """Return how many events each unit has in each step, uint32 (time, polarity, height, width), unmerged."""
        events = recording(signal, self.name)
        bins, steps = self.binning(events), self.max_steps(events)
        shape = (steps, events.polarities, *events.size[::-1])
        counts = np.zeros(prod(shape), np.uint32)
        for piece in checked(events, self.name):
            step = bins.of(piece["t"])
            kept = step < steps
            place = np.ravel_multi_index((step[kept], *(piece[axis][kept] for axis in "pyx")), shape)
            np.add.at(counts, place, np.uint32(1))
        return counts.reshape(shape)

    def encode_parts(
        self, signal: Any, cuts: Sequence[tuple[int, int]], *, rng: SampleKey | None = None
    ) -> Iterator[SpikeTrain]:
        """Yield the spikes of the units [start, stop) of each cut, with a walk over the recording for each.

        What is held is the bits of one cut, `levels` times.
        """
        events = recording(signal, self.name)
        events = replace(events, duration=events.length())
        units = prod(self.unit_shape(events)) // self.levels
        for start, stop in cuts:
            parts, steps = [], self.max_steps(events)
            for level in range(start // units, -(-stop // units)):
                first, last = max(start - level * units, 0), min(stop - level * units, units)
                bits = self.encode(band(events, first, last, self.name)).bits
                each = len(bits) // self.levels
                parts.append(bits[level * each : level * each + last - first])
            yield SpikeTrain(parts[0] if len(parts) == 1 else np.concatenate(parts), steps)

    def decode(self, train: SpikeTrain, unit_shape: Sequence[int], *, duration: int | None = None) -> Events:
        """Return an event for every spike, at the resolution of bins.

        Its t is the stamp in the bin that is nearest to the closed edge: the first, or the last. Events of one stamp
        are in the order of units. Encoding the result gives the same spikes.

        Parameters
        ----------
        train
            What `encode` gave.
        unit_shape
            What `unit_shape` gave, as it is kept in a store.
        duration
            Of the recording, in µs; needed with `bins`. By default until the last step.
        """
        *levels, polarities, height, width = unit_shape
        if prod(unit_shape) != len(train.bits) or prod(levels) != self.levels:
            raise UsageError(
                f"dvs: got {len(train.bits)} units to decode as {tuple(unit_shape)} with levels {self.levels}",
                "as many units as the shape has",
                "Give the unit_shape and the settings that the recording was encoded with.",
            )
        if self.bins and duration is None:
            raise UsageError(
                "dvs: got spikes in bins of an unknown width to decode",
                "a duration",
                "Pass duration=, in µs.",
            )
        bins = Bins(Fraction(duration or 1, self.bins)) if self.bins else self.binning(None)
        step, unit = _spikes(train.bits)
        unit %= polarities * height * width
        events = np.zeros(len(step), EVENT)
        events["t"] = bins.stamps(step)
        events["p"], rest = np.divmod(unit, height * width)
        events["y"], events["x"] = np.divmod(rest, width)
        if duration is None:
            duration = int(bins.stamps(np.array([train.steps - 1]))[0]) + 1
        return Events((events,), (width, height), polarities, duration=duration)


def _spikes(bits: Bits) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return step and unit of every spike, sorted by step, then unit."""
    unit, byte = np.nonzero(bits)  # most bytes are zero
    row, bit = np.nonzero(np.unpackbits(bits[unit, byte][:, None], axis=1, bitorder="little"))
    step, unit = 8 * byte[row] + bit, unit[row]
    order = np.lexsort((unit, step))
    return step[order], unit[order]


def _fraction(value: float | str | None) -> Fraction:
    """Return a width as it is written: 0.1 is a tenth."""
    try:
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            return Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        pass
    raise UsageError(f"dvs: got bin_us {value!r}", 'µs: a number, or a fraction such as "1000/3"')


@lru_cache(64)
def _by_width(bin_us: float | str | None, right: bool) -> Bins:
    return Bins(_fraction(bin_us), right)


def dvs_reference(
    events: NDArray[np.void], shape: tuple[int, int, int], bins: Bins, steps: int
) -> NDArray[np.bool_]:
    """Bin events literally, in NumPy and Python's integers: bool (time, unit) of units (polarity, height, width)."""
    spikes = np.zeros((steps, *shape), bool)
    step = bins.of(events["t"])
    kept = step < steps
    spikes[step[kept], events["p"][kept], events["y"][kept], events["x"][kept]] = True
    return spikes.reshape(steps, -1)
