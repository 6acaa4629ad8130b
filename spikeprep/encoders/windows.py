"""Codes of single values: each value becomes spikes within a window of time, of an image or of every frame of a series.

An array is one image: a window, with a value per pixel. `Frames` are a series: a window per frame, one after another,
with a value per channel.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._jit import jit
from ..config import Positive
from ..data import Bits, Frames, SpikeTrain
from ..errors import DataError, SignalError, UsageError
from ..random import SampleKey
from .base import Description, Encoder

LONGEST = 65_536
"""Most steps of a window."""
SILENT = -1
"""The time of a value that does not spike."""
_BLOCK = (
    1 << 17
)  # values encoded by one call: enough that a call's own time does not count, and few megabytes
_ONE, _THREE, _SEVEN, _BYTE = np.uint64(1), np.uint64(3), np.uint64(7), np.uint32(8)


@jit
def write_times(
    index: NDArray[Any], times: NDArray[np.int32], window: int, value_units: int, bits: Bits
) -> None:
    """Set one bit per unit and window in zeroed `bits` (sample, unit, byte), none where the time is negative.

    `index` (sample, frame, value) selects a row of `times` (row, value_units): the times within the window, in steps,
    of a value's units.
    """
    for n in range(index.shape[0]):
        for frame in range(index.shape[1]):
            start = frame * window
            for value in range(index.shape[2]):
                row = np.uint64(
                    index[n, frame, value]
                )  # unsigned: indices are not checked for being negative
                if value_units == 1 and times[row, 0] < 0:
                    continue
                unit = np.uint64(value * value_units)
                for k in range(np.uint64(value_units)):
                    time = times[row, k]
                    if time >= 0:
                        t = np.uint64(start + time)
                        bits[n, unit + k, t >> _THREE] |= np.uint8(1 << (t & _SEVEN))


def write_codes(index: NDArray[Any], codes: Bits, window: int, value_units: int, bits: Bits) -> None:
    """Copy the packed spikes of each value's units and window to zeroed `bits` (sample, unit, byte).

    `index` (sample, frame, value) selects a row of `codes` (row, value_units · byte), whose bits at and past `window`
    are 0.
    """
    if index.shape[1] == 1:  # whole bytes, which NumPy copies several times as fast as the kernel
        width = codes.shape[1] // value_units
        if width == bits.shape[2] and bits.flags.c_contiguous:
            codes.take(index, axis=0, out=bits.reshape(*index.shape, -1), mode="clip")  # "raise" makes a copy
        else:
            bits[:, :, :width] = codes.take(index, axis=0).reshape(*bits.shape[:2], width)
    else:
        _shift_codes(index, codes, window, value_units, bits)


@jit
def _shift_codes(index: NDArray[np.int64], codes: Bits, window: int, value_units: int, bits: Bits) -> None:
    width, last = np.uint64(codes.shape[1] // value_units), np.uint64(bits.shape[2] - 1)
    for n in range(index.shape[0]):
        for frame in range(index.shape[1]):
            start = np.uint64(frame * window)
            first, shift = start >> _THREE, np.uint32(start & _SEVEN)
            for value in range(index.shape[2]):
                row, unit = np.uint64(index[n, frame, value]), np.uint64(value * value_units)
                for k in range(np.uint64(value_units)):
                    for byte in range(width):
                        code = np.uint32(codes[row, k * width + byte]) << shift
                        at = first + byte
                        bits[n, unit + k, at] |= np.uint8(code & np.uint32(255))
                        if shift and at < last:
                            bits[n, unit + k, at + _ONE] |= np.uint8(code >> _BYTE)


@dataclass(frozen=True)
class WindowEncoder(Encoder):
    """Each value's spikes lie within a window of time: an image is one window, `Frames` are a window per frame.

    Parameters
    ----------
    dt
        Length of a step in seconds, of images; a frame of `Frames` lasts for one window whatever its rate, so there
        the step is 1 / (rate · window).
    """

    dt: Positive = field(default=0.001, kw_only=True)

    @property
    @abstractmethod
    def window(self) -> int:
        """Steps of a window."""

    @property
    def value_units(self) -> int:
        """Units that one value has."""
        return 1

    @abstractmethod
    def write(self, values: NDArray[Any], bits: Bits, rngs: Sequence[SampleKey | None]) -> None:
        """Write the spikes of `values` (sample, frame, value) to zeroed `bits` (sample, unit, byte).

        Values are all uint8 (of images), or float64 and then not yet checked.
        """

    def describe(self, signal: Any, rng: SampleKey | None = None) -> Description:
        """Return the units of an image's or a frame's values and the steps of its windows.

        Raises
        ------
        SignalError
            The signal is neither an array nor `Frames`.
        """
        fields = () if self.value_units == 1 else (self.value_units,)
        if isinstance(signal, Frames):
            frames, channels = _frame_values(self.name, signal).shape
            dt = 1 / (signal.rate * self.window)
            return Description((channels, *fields), frames * self.window, dt, ragged=True)
        shape = np.shape(signal) if isinstance(signal, np.ndarray | list | tuple) else ()
        if not shape:
            raise SignalError(
                f"{self.name}: got a signal of type {type(signal).__name__}",
                "an image, an array (row, column[, channel]), or a series, Frames",
                "Choose an encoder for such signals (`spikeprep list encoders`).",
            )
        if 0 in shape:
            raise SignalError(f"{self.name}: got an image {shape}", "at least one value")
        return Description((*shape, *fields), self.window, self.dt)

    def encode(self, signal: Any, *, rng: SampleKey | None = None) -> SpikeTrain:
        """Return the packed spikes of one image or series; raises `DataError` for values that it cannot encode."""
        description = self.describe(signal, rng)
        bits = np.zeros((1, description.units, -(-description.steps // 8)), np.uint8)
        self.encode_into([signal], bits, rngs=[rng])
        return SpikeTrain(bits[0], description.steps)

    def encode_into(
        self, signals: Iterable[Any], out: Bits, *, rngs: Sequence[SampleKey | None]
    ) -> NDArray[np.uint32]:
        """Write the spikes that `encode` returns for each signal to `out`, many images by one call."""
        steps, start = np.zeros(len(rngs), np.uint32), 0
        for values in self._blocks(signals, out):
            stop = start + len(values)
            self.write(values, out[start:stop], rngs[start:stop])
            steps[start:stop] = values.shape[1] * self.window
            start = stop
        return steps

    def _blocks(self, signals: Iterable[Any], out: Bits) -> Iterator[NDArray[Any]]:
        """Yield values (sample, frame, value) of signals in order, those of like shape and type together."""
        block: list[NDArray[Any]] = []
        kind: Any = None
        for signal in signals:
            series = isinstance(signal, Frames)
            array = _frame_values(self.name, signal) if series else np.asarray(signal)
            if (series, array.dtype, array.shape) != kind or len(block) * array.size >= _BLOCK:
                if block:
                    yield self._values(block, *kind)
                kind, block = (series, array.dtype, array.shape), []
                frames, size = array.shape if series else (1, array.size)
                self._check_size(frames, size, out)
            block.append(array)
        if block:
            yield self._values(block, *kind)

    def _check_size(self, frames: int, values: int, out: Bits) -> None:
        if values * self.value_units != out.shape[1]:
            raise DataError(
                f"{self.name}: got a signal of {values} values",
                f"{out.shape[1] // self.value_units}, like the first one",
                "Bring all images to one size, or all series to the same channels.",
            )
        if frames * self.window > 8 * out.shape[2]:
            raise DataError(
                f"{self.name}: got a series of {frames} frames", f"at most {8 * out.shape[2] // self.window}"
            )

    def _values(
        self, block: list[NDArray[Any]], series: bool, dtype: np.dtype[Any], shape: tuple[int, ...]
    ) -> NDArray[Any]:
        """Return signals of one shape and type as values (sample, frame, value): uint8 of such images, else float64."""
        if not (series or dtype in (np.uint8, np.bool_) or np.issubdtype(dtype, np.floating)):
            raise DataError(
                f"{self.name}: got an image of {dtype}",
                "uint8, bool, or floating point",
                "Divide the image by its largest possible value.",
            )
        values = np.concatenate(block).reshape(len(block), *(shape if series else (1, -1)))
        with np.errstate(over="ignore"):  # of wider floats, which become infinite
            return values if dtype == np.uint8 and not series else values.astype(np.float64)

    def windows(self, spikes: NDArray[Any]) -> NDArray[np.bool_]:
        """Return spikes (time, unit) by window, bool (frame, step, value, unit of the value).

        Raises
        ------
        UsageError
            The spikes are no whole number of windows, or no whole number of values.
        """
        spikes = np.asarray(spikes) != 0
        if spikes.ndim != 2 or len(spikes) % self.window or spikes.shape[1] % self.value_units:
            raise UsageError(
                f"{self.name}: got spikes {spikes.shape} to decode",
                f"(time, unit), a multiple of {self.window} steps and of {self.value_units} units",
            )
        return spikes.reshape(-1, self.window, spikes.shape[1] // self.value_units, self.value_units)


def _frame_values(owner: str, signal: Frames) -> NDArray[Any]:
    values = np.asarray(signal.values)
    if values.ndim != 2 or not (np.issubdtype(values.dtype, np.number) and np.isrealobj(values)):
        raise SignalError(f"{owner}: got Frames of {values.dtype} {values.shape}", "numbers (frame, channel)")
    if not (values.shape[1] and 0 < signal.rate < float("inf")):
        raise SignalError(
            f"{owner}: got Frames of {values.shape[1]} channels at {signal.rate:g} Hz",
            "at least one channel, and a rate above 0",
        )
    return values
