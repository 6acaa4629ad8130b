"""What encoders of series have in common: channels over time, whose steps are the signal's own.

Signed encoders have two units per channel, up and down: `unit_shape` is (channel, 2), so unit 2 c rises with channel c
and unit 2 c + 1 falls with it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..config import Positive, Real
from ..data import Bits, Frames, SpikeTrain
from ..errors import DataError
from ..packing import pack
from ..random import SampleKey
from .base import Description, Encoder
from .channels import channels_of, finite_channels


@dataclass(frozen=True)
class ChannelEncoder(Encoder):
    """An encoder of `Frames`, or of an array (time, channel) or (time,): one step per frame.

    Parameters
    ----------
    dt
        Length of a step in seconds, for signals that have no rate of their own.
    """

    units_per_channel: ClassVar[int] = 2

    dt: Positive = field(default=1e-3, kw_only=True)

    def describe(self, signal: Any, rng: SampleKey | None = None) -> Description:
        """Return the units of each channel, and a step per frame: of `dt`, of `Frames` 1 / rate."""
        steps, channels = channels_of(self.name, signal).shape
        dt = 1 / signal.rate if isinstance(signal, Frames) else self.dt
        shape = (channels, self.units_per_channel) if self.units_per_channel > 1 else (channels,)
        return Description(shape, steps, dt, ragged=True)

    def encode(self, signal: Any, *, rng: SampleKey | None = None) -> SpikeTrain:
        """Return the packed spikes; raises `DataError` for anything but finite channels."""
        values = finite_channels(self.name, signal)
        steps, channels = values.shape
        spikes = self.spikes(values).reshape(steps, channels * self.units_per_channel)
        return SpikeTrain(pack(spikes), steps)

    def encode_into(
        self, signals: Iterable[Any], out: Bits, *, rngs: Sequence[SampleKey | None]
    ) -> NDArray[np.uint32]:
        """Write the spikes that `encode` returns for each signal to `out`."""
        steps = np.zeros(len(rngs), np.uint32)
        for row, (signal, _) in enumerate(zip(signals, rngs, strict=True)):
            train = self.encode(signal)
            if len(train.bits) != out.shape[1] or train.steps > 8 * out.shape[2]:
                raise DataError(
                    f"{self.name}: got {len(train.bits)} units of {train.steps} steps",
                    f"{out.shape[1]} units, like the first signal, of at most {8 * out.shape[2]} steps",
                    "Bring all signals to one number of channels.",
                )
            out[row, :, : train.bits.shape[1]] = train.bits
            steps[row] = train.steps
        return steps

    @abstractmethod
    def spikes(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return the spikes of finite, contiguous values (time, channel), bool (time, channel[, units per channel])."""


@dataclass(frozen=True)
class ContrastEncoder(ChannelEncoder):
    """An encoder of changes: its spikes say how a channel moves from a level on.

    Parameters
    ----------
    threshold
        Change that is worth a spike, in the signal's units.
    start
        Level before the first step, of every channel. None: the channel's own first value, so that `decode` rebuilds
        the signal relative to it.
    """

    threshold: Positive = 0.1
    start: Real | None = None

    def levels(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the level from which each channel of values (time, channel) begins, float64 (channel,)."""
        if self.start is None and len(values):
            return np.array(values[0], np.float64)
        return np.full(values.shape[1], self.start or 0.0, np.float64)

    def target(self, signal: Any) -> NDArray[np.float64]:
        """Return what `decode` rebuilds, float64 (time, channel): the signal, less its first values without `start`."""
        values = finite_channels(self.name, signal)
        return np.asarray(values - self.levels(values)) if self.start is None else values

    def candidates(self, signals: Sequence[Any]) -> dict[str, list[Any]]:
        """Return thresholds around the root mean square of the signals' changes from step to step."""
        changes = [np.diff(finite_channels(self.name, signal), axis=0) for signal in signals]
        return {"threshold": multiples(changes, (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0))}


def signs(spikes: NDArray[Any]) -> NDArray[np.float64]:
    """Return up minus down, float64 (time, channel), of spikes (time, unit) with two units per channel."""
    pairs = np.asarray(spikes, np.float64).reshape(len(spikes), -1, 2)
    return np.asarray(pairs[..., 0] - pairs[..., 1])


def multiples(values: Sequence[NDArray[np.float64]], factors: Sequence[float]) -> list[float]:
    """Return factors of the root mean square of several arrays, to three digits; of silent arrays, of 1."""
    size = sum(part.size for part in values)
    scale = max((float(np.abs(part).max(initial=0)) for part in values), default=0.0) or 1.0
    power = sum(float(np.square(part / scale).sum()) for part in values)
    rms = scale * (power / size) ** 0.5 if power else 1.0
    return [float(f"{factor * rms:.3g}") for factor in factors]
