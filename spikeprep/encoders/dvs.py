"""DVS events → spikes: a unit spikes in every time bin in which its pixel has an event of its polarity.

The width of a bin is an exact fraction, see `time_bins`; how bits are written in order of time, see `event_bits`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from math import prod
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..config import Meta, NonNegative
from ..data import EVENT, Bits, Events, SpikeTrain
from ..errors import DataError, UsageError
from ..random import SampleKey
from .base import Description, Encoder
from .event_bits import DirectBits, StagedBits, bit_writer
from .event_checks import checked, pieces, recording, wrong_event
from .spilled_bits import SpilledBits
from .time_bins import Bins, scatter

_MOST_STEPS = (1 << 32) - 1  # that a store can hold
_WIDEST, _LARGEST_DENOMINATOR = (
    1 << 40,
    10**6,
)  # of a width in µs: with them stamps of 60 days fit into 64 bits
_Writer = TypeVar("_Writer", DirectBits | StagedBits, SpilledBits)
_Steps = Annotated[int, Meta(ge=0, le=_MOST_STEPS)]


@dataclass(frozen=True)
class DVS(Encoder):
    """Events of a DVS in time bins, one step per bin; units are ordered (polarity, row, column).

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
        Time steps of every recording: later events are dropped, a shorter recording ends in silence. 0: as many as
        the recording lasts.
    closed
        ``"left"`` or ``"right"``: the edge that belongs to a bin. The published N-MNIST runs use the right one,
        bin = ceil(t / 600), which leaves bin 0 to events at t = 0.
    levels
        How many events of a unit in a bin are told apart. 1: they merge into one spike. n: `unit_shape` gets a first
        axis of n levels, and level j spikes where a unit has more than j events, so that the number of levels that
        spike is the number of events up to n.
    """

    name: ClassVar[str] = "dvs"
    citation: ClassVar[str] = (
        "Orchard, Jayawant, Cohen & Thakor 2015, Converting Static Image Datasets to Spiking Neuromorphic "
        "Datasets Using Saccades, Frontiers in Neuroscience 9:437"
    )

    bin_us: NonNegative | str | None = None
    bins: _Steps | None = None
    steps: _Steps = 0
    closed: Literal["left", "right"] = "left"
    levels: Annotated[int, Meta(ge=1, le=65_536)] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bin_us is None and self.bins is None:
            object.__setattr__(self, "bin_us", 1000)
        for field in ("bin_us", "bins"):
            if getattr(self, field) is None:
                object.__setattr__(self, field, 0)
        width = _fraction(self.bin_us)
        if bool(width) == bool(self.bins):
            raise UsageError(
                f"got dvs.bin_us = {self.bin_us!r} and dvs.bins = {self.bins}",
                "a width of bins above 0, or a number of them above 0, and 0 for the other",
                "Set one of them to 0." if width else "Set one of them above 0.",
            )
        if width and not (1 <= width <= _WIDEST and width.denominator <= _LARGEST_DENOMINATOR):
            raise UsageError(
                f"got dvs.bin_us = {self.bin_us!r}",
                f"1 µs, the resolution of stamps, to {_WIDEST} µs, and a denominator of at most {_LARGEST_DENOMINATOR}",
            )
        if self.bins and self.closed == "right":
            raise UsageError(
                f"got dvs.bins = {self.bins}, bins of a recording's own duration, closed on the right",
                'dvs.closed = "left"',
                "The event at t = 0 would need a bin of its own: set dvs.bin_us instead.",
            )

    def describe(self, signal: Any, rng: SampleKey | None = None) -> Description:
        """Return the units (polarity, height, width), with more than one level (level, …), and the steps.

        They depend on the sensor and the duration alone, so an outline is enough; a recording of unknown duration is
        walked. A step is as long as a bin, with `bins` one of this recording.
        """
        events = recording(signal, self.name)
        bins = self.binning(events)
        fixed = self.steps or self.bins
        steps = fixed or self._checked_steps(bins.steps(events.length()))
        return Description(self._unit_shape(events), steps, float(bins.width) * 1e-6, ragged=not fixed)

    def _unit_shape(self, events: Events) -> tuple[int, ...]:
        shape = (events.polarities, *events.size[::-1])
        return shape if self.levels == 1 else (self.levels, *shape)

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
                "Widen dvs.bin_us, or limit dvs.steps; or a stamp is wrong.",
            )
        return steps

    def encode(self, signal: Any, *, rng: SampleKey | None = None) -> SpikeTrain:
        """Return the packed spikes of one recording, in memory or streamed.

        A recording without events is silent; where its duration is unknown too, it has one step.

        Raises
        ------
        DataError
            An event is off the sensor, of another polarity, earlier than the one before it, or past the duration.
        """
        return self._encode(recording(signal, self.name), None)

    def encode_into(
        self, signals: Iterable[Any], out: Bits, *, rngs: Sequence[SampleKey | None]
    ) -> NDArray[np.uint32]:
        """Write the spikes that `encode` returns for each recording to `out`, which is C-contiguous."""
        if not out.flags.c_contiguous:
            return super().encode_into(signals, out, rngs=rngs)
        steps = np.zeros(len(out), np.uint32)
        for row, signal in enumerate(signals):
            train = self._encode(recording(signal, self.name), out[row])
            if not np.may_share_memory(train.bits, out):
                self._check_fit(len(train.bits), train.bits.shape[1], out[row])
                out[row, :, : train.bits.shape[1]] = train.bits
            steps[row] = train.steps
        return steps

    def _check_fit(self, units: int, width: int, out: Bits) -> None:
        if units != len(out) or width > out.shape[1]:
            raise DataError(
                f"dvs: got a recording of {units} units and {8 * width} steps",
                f"{len(out)} units and at most {8 * out.shape[1]} steps",
                "Bring all recordings to one sensor, and limit dvs.steps.",
            )

    def _encode(self, events: Events, out: Bits | None) -> SpikeTrain:
        """Encode a recording, into zeroed `out` (unit, byte) where it is given and the duration is known."""

        def writer_of(units: int, steps: int | None) -> DirectBits | StagedBits:
            if out is not None and steps is not None:
                self._check_fit(units, -(-steps // 8), out)
            return bit_writer(units, steps, out)

        writer, steps = self._write(events, writer_of)
        return SpikeTrain(_whole_bytes(writer.finish(steps), steps), steps)

    def _write(self, events: Events, writer_of: Callable[[int, int | None], _Writer]) -> tuple[_Writer, int]:
        """Write a recording to what is returned for units and steps; return it, and the number of steps."""
        if self.bins:
            events = replace(events, duration=events.length())
        bins, units = self.binning(events), prod(self._unit_shape(events))
        has_length = events.duration is not None or isinstance(events.pieces, tuple)
        length = events.length() if has_length else 0
        latest = min(bins.latest, length - 1) if has_length else bins.latest
        steps: int | None = (
            self.steps or self.bins or (self._checked_steps(bins.steps(length)) if has_length else None)
        )
        writer = writer_of(units, steps)
        by_unit, by_step = writer.strides
        strides = by_unit, by_step, units // self.levels * by_unit
        sensor = *events.size, events.polarities
        last = count = 0
        for piece in pieces(events, self.name):
            start = 0
            while True:
                start, last, writer.cleared, wrong = scatter(
                    piece, start, last, sensor, bins.numbers, latest, writer.first, writer.stop, strides,
                    self.levels, writer.cleared, writer.block,
                )  # fmt: skip
                if wrong:
                    raise wrong_event(self.name, piece[start], count + start, last, events, latest)
                if start == len(piece):
                    break
                step = int(bins.of(piece["t"][start : start + 1])[0])
                if steps is not None and step >= steps:
                    return writer, steps
                writer.advance(step)
            count += len(piece)
        if steps is None:
            steps = self._checked_steps(bins.steps(events.length(last + 1 if count else 0)))
        return writer, steps

    def counts(self, signal: Any) -> NDArray[np.uint32]:
        """Return how many events each unit has in each step, uint32 (time, polarity, height, width), unmerged."""
        events = recording(signal, self.name)
        bins, steps = self.binning(events), self.describe(events).steps
        shape = (steps, events.polarities, *events.size[::-1])
        counts = np.zeros(prod(shape), np.uint32)
        for piece in checked(events, self.name):
            step = bins.of(piece["t"])
            early = step < steps
            place = np.ravel_multi_index((step[early], *(piece[axis][early] for axis in "pyx")), shape)
            np.add.at(counts, place, np.uint32(1))
        return counts.reshape(shape)

    def encode_parts(
        self, signal: Any, ranges: Sequence[tuple[int, int]], *, rng: SampleKey | None = None
    ) -> Iterator[SpikeTrain]:
        """Yield the spikes of each range [start, stop) of units; one walk writes those of all to a temporary file.

        Memory holds the bits of one range, and of all units in some hundred steps, twice.
        """
        events = recording(signal, self.name)
        events = replace(events, duration=events.length())

        with ExitStack() as stack:

            def writer_of(units: int, steps: int | None) -> SpilledBits:
                assert steps is not None  # the duration is known
                return stack.enter_context(SpilledBits(units, steps, ranges))

            writer, steps = self._write(events, writer_of)
            writer.finish(steps)
            for number in range(len(ranges)):
                yield SpikeTrain(writer.range(number, steps), steps)

    def decode(self, train: SpikeTrain, unit_shape: Sequence[int], *, duration: int | None = None) -> Events:
        """Return one event per spike, at the resolution of bins.

        Its t is the stamp in the bin that is nearest to the closed edge: the first, or the last. Events of one stamp
        are in the order of units. Encoding the result gives the same spikes.

        Parameters
        ----------
        train
            What `encode` returned.
        unit_shape
            `Description.unit_shape`, which a store has among its attributes.
        duration
            Of the recording, in µs; needed with `bins`. By default up to the last step.

        Raises
        ------
        UsageError
            `train` has another number of units, or `duration` is missing.
        """
        *levels, polarities, height, width = unit_shape
        if prod(unit_shape) != len(train.bits) or prod(levels) != self.levels:
            raise UsageError(
                f"dvs: got {len(train.bits)} units to decode as {tuple(unit_shape)} with levels {self.levels}",
                "as many units as the shape has",
                "Give the unit_shape and the settings with which the recording was encoded.",
            )
        if self.bins and duration is None:
            raise UsageError(
                "dvs: got spikes of dvs.bins to decode, whose width is unknown",
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


def _whole_bytes(bits: Bits, steps: int) -> Bits:
    """Return the bytes of `steps` steps of bits (unit, byte), which may have more."""
    return bits[:, : -(-steps // 8)]


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
        return Fraction(str(value))
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(
            f"got dvs.bin_us = {value!r}", 'µs: a number, or a fraction such as "1000/3"'
        ) from error


@lru_cache(64)
def _by_width(bin_us: float | str | None, right: bool) -> Bins:
    return Bins(_fraction(bin_us), right)


def dvs_reference(
    events: NDArray[np.void], shape: tuple[int, int, int], bins: Bins, steps: int
) -> NDArray[np.bool_]:
    """Bin events as defined, in NumPy and Python's integers: bool (time, unit) of units (polarity, height, width)."""
    spikes = np.zeros((steps, *shape), bool)
    step = bins.of(events["t"])
    early = step < steps
    spikes[step[early], events["p"][early], events["y"][early], events["x"][early]] = True
    return spikes.reshape(steps, -1)
