"""Analogue channels, which encoders and transforms of series take."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import Frames
from ..errors import DataError, SignalError, UsageError

_NEGATIVE = (
    0.01  # of a signal's power: what is lost of it is as much as the error of a good reconstruction, 20 dB
)


def channels_of(owner: str, signal: Any) -> NDArray[Any]:
    """Return a signal's values (time, channel), of `Frames` or of an array (time, channel) or (time,).

    Raises `SignalError`, in which `owner` is named, for anything but analogue channels.
    """
    values = np.asarray(signal.values if isinstance(signal, Frames) else signal)
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or values.dtype.kind not in "iuf":
        raise SignalError(
            f"{owner}: got {type(signal).__name__}, {values.dtype} {values.shape}",
            "Frames, or numbers (time, channel)",
            "Put a transform that makes channels ahead of it, such as lyon.",
        )
    return values


def finite_channels(owner: str, signal: Any) -> NDArray[np.float64]:
    """Return a signal's values as contiguous float64 (time, channel).

    Raises `SignalError` as `channels_of`, and `DataError` for values that are NaN or infinite.
    """
    values = channels_of(owner, signal)
    with np.errstate(over="ignore"):  # of wider floats, which become infinite
        values = np.ascontiguousarray(values, np.float64)
    if not (np.isfinite(values.min(initial=0)) and np.isfinite(values.max(initial=0))):  # NaN where one is
        step, channel = (int(n) for n in np.argwhere(~np.isfinite(values))[0])
        count = values.size - int(np.isfinite(values).sum())
        raise DataError(
            f"{owner}: got {count} of {values.size} values that are NaN or infinite, the first in channel "
            f"{channel} at step {step}",
            "finite ones",
            "Repair the signal, or fill its gaps.",
        )
    return values


def spikes_to_decode(owner: str, spikes: Any, units_per_channel: int = 1) -> NDArray[Any]:
    """Return spikes (time, unit) as an array, of any number of steps, 0 too.

    Raises `UsageError`, in which `owner` is named, for another number of dimensions, and for units that are no whole
    number of channels.
    """
    array = np.asarray(spikes)
    if (
        array.ndim != 2
        or array.shape[1] == 0
        or array.shape[1] % units_per_channel
        or array.dtype.kind not in "biuf"
    ):
        units = f"a multiple of {units_per_channel} units" if units_per_channel > 1 else "at least 1 unit"
        raise UsageError(
            f"{owner}: got spikes {array.dtype} {array.shape} to decode", f"(time, unit), {units}"
        )
    return array


def check_sign(owner: str, values: NDArray[np.float64], unit: float = 1.0) -> None:
    """Raise `DataError` for signed values (time, channel), as encoders whose spikes add up to at least 0 need it.

    Overshoots below 0, of up to 1 % of the power, pass. `unit` is the value that the signal has as 1, for the message.
    """
    least, most = float(values.min(initial=0)), float(values.max(initial=0))
    if least >= 0:
        return
    scaled = values / max(-least, most)
    share = float((np.minimum(scaled, 0) ** 2).sum() / (scaled**2).sum())
    if share > _NEGATIVE:
        raise DataError(
            f"{owner}: got a signed signal, from {least * unit:g} to {most * unit:g}, with {share:.0%} of its power "
            "below 0",
            "values of at least 0: spikes cannot rebuild others",
            "Put the transform rectify ahead of it: it makes the positive and the negative part channels of their "
            "own, or shifts the signal by an offset.",
        )
