"""Series → series at another rate, or of another number of steps."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ...config import Meta, NonNegative
from ...data import Frames
from ...encoders.base import Transform
from ...encoders.channels import channels_of
from ...errors import DataError, SignalError, UsageError
from ...random import SampleKey

_LARGEST = 10_000  # of the two whole numbers whose ratio is that of two rates


@dataclass(frozen=True)
class Resample(Transform):
    """Resample `Frames` to a rate, or `Frames` or an array (time, channel) to a number of steps.

    One of `rate` and `steps` is given; without either, signals stay as they are.

    Parameters
    ----------
    rate
        Steps per second of the result, in Hz. A series of n steps becomes ⌈n · rate / its own⌉.
    steps
        Steps of every result, over the same time: longer and shorter series are brought to one length, from their first
        step to their last. `Frames` keep their rate, in name: the time of their steps is then relative.
    method
        ``"linear"``: interpolates between neighbouring steps; where the result has fewer steps, what lies between them
        is not seen. ``"polyphase"``, for a rate: low-pass filters so that nothing aliases
        (`scipy.signal.resample_poly`, continued along a line at both ends); it may overshoot at jumps.
    max_bytes
        Most bytes of memory that a resampled series may take where it is longer than it was: 8 per value.
    """

    name: ClassVar[str] = "resample"
    citation: ClassVar[str] = "Virtanen et al. 2020, SciPy 1.0, Nature Methods 17 (resample_poly)"

    rate: NonNegative = 0.0
    steps: Annotated[int, Meta(ge=0, le=1 << 31)] = 0
    method: Literal["linear", "polyphase"] = "linear"
    max_bytes: Annotated[int, Meta(ge=1, le=1 << 62)] = field(default=1_000_000_000, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rate and self.steps:
            raise UsageError(
                f"got resample.rate = {self.rate:g} and resample.steps = {self.steps}", "one of them"
            )
        if self.steps and self.method == "polyphase":
            raise UsageError(
                "got resample.steps with resample.method = polyphase", "resample.rate, or the method linear"
            )

    def outline(self, signal: Any, rng: SampleKey | None = None) -> Any:
        """Return channels of the shape that `signal` gives, all zero, at no cost; raises as calling it."""
        steps, channels = channels_of(self.name, signal).shape
        return self._result(signal, np.broadcast_to(0.0, (self._length(signal, steps, channels), channels)))

    def __call__(self, signal: Any, *, rng: SampleKey | None = None) -> Any:
        """Return the resampled channels, float64 (time, channel).

        Raises
        ------
        SignalError
            The signal is no series, or one of no rate that fits.
        DataError
            The result would take more than `max_bytes`, and more than the signal.
        """
        values = channels_of(self.name, signal)
        steps = self._length(signal, *values.shape)
        values = values.astype(np.float64)
        if not len(values) or not (self.rate or self.steps):
            return self._result(signal, values)
        if self.method == "polyphase" and self.rate:
            from scipy.signal import resample_poly

            ratio = self._ratio(signal)
            if ratio == 1:
                return self._result(signal, values)
            padtype = "line" if len(values) > 1 else "constant"
            resampled = resample_poly(values, ratio.numerator, ratio.denominator, padtype=padtype)
            return self._result(signal, np.asarray(resampled))
        places = self._places(signal, len(values), steps)
        below = np.minimum(places.astype(np.intp), len(values) - 1)
        above = np.minimum(below + 1, len(values) - 1)
        share = (places - below)[:, None]
        return self._result(signal, values[below] * (1 - share) + values[above] * share)

    def _places(self, signal: Any, old: int, new: int) -> NDArray[np.float64]:
        """Return where in the signal each step of the result lies, in steps; the last value stays to the end."""
        if self.steps:
            return np.linspace(0, old - 1, new)
        ratio = self._ratio(signal)
        places = np.arange(new) * (ratio.denominator / ratio.numerator)
        return np.asarray(np.minimum(places, old - 1))

    def _ratio(self, signal: Any) -> Fraction:
        """Return new rate / old rate."""
        if not isinstance(signal, Frames):
            raise SignalError(
                f"resample: got {type(signal).__name__}, which has no rate",
                "Frames, or resample.steps",
                "Use resample.steps=N.",
            )
        exact = Fraction(self.rate) / Fraction(signal.rate)
        ratio = exact.limit_denominator(_LARGEST)
        if not 0 < ratio.numerator <= _LARGEST * 100 or abs(ratio - exact) > exact / 10**6:
            raise SignalError(
                f"resample: got a series of {signal.rate:g} Hz, to be resampled to {self.rate:g} Hz",
                f"rates whose ratio is one of whole numbers up to {_LARGEST:,}",
                "Choose another resample.rate.",
            )
        return ratio

    def _length(self, signal: Any, old: int, channels: int) -> int:
        """Return the steps that a signal of so many gets; raises `DataError` where they take too much memory."""
        if not self.rate:
            new = (self.steps or old) if old else 0
        else:
            ratio = self._ratio(signal)
            new = -(-old * ratio.numerator // ratio.denominator)
        size = 8 * new * channels
        if new > old and size > self.max_bytes:
            setting, value = ("rate", f"{self.rate:g}") if self.rate else ("steps", str(self.steps))
            raise DataError(
                f"resample: got a series of {old:,} steps and {channels:,} channels, of which resample.{setting} = "
                f"{value} makes {new:,} steps, {size:,} bytes of memory",
                f"at most {self.max_bytes:,}",
                f"Lower resample.{setting}, or use resample.max_bytes={size}.",
            )
        return new

    def _result(self, signal: Any, values: NDArray[np.float64]) -> Any:
        if not isinstance(signal, Frames):
            return values
        return replace(signal, values=values, rate=float(self.rate or signal.rate))
