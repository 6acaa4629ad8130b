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

from ..config import Positive
from ..data import Bits, Frames, SpikeTrain
from ..errors import DataError
from ..random import SampleKey
from .base import Description, Encoder
from .channels import channels_of, spikes_to_decode


@dataclass(frozen=True)
class ChannelEncoder(Encoder):
    """An encoder of `Frames`, or of an array (time, channel) or (time,): one step per frame.

    Parameters
    ----------
    dt
        Length of a step in seconds, for signals that have no rate of their own.
    """

    units_per_channel: ClassVar[int] = 2
    """Unit `units_per_channel` · c + k is unit k of channel c; of two, the first is up and the second down."""

    takes_rows_as_time: ClassVar[bool] = True

    dt: Positive = field(default=1e-3, kw_only=True)

    def describe(self, signal: Any, rng: SampleKey | None = None) -> Description:
        """Return the units of each channel, and a step per frame: of `dt`, of `Frames` 1 / rate."""
        steps, channels = channels_of(self.name, signal).shape
        dt = 1 / signal.rate if isinstance(signal, Frames) else self.dt
        shape = (channels, self.units_per_channel) if self.units_per_channel > 1 else (channels,)
        return Description(shape, steps, dt, ragged=True)

    def encode(self, signal: Any, *, rng: SampleKey | None = None) -> SpikeTrain:
        """Return the packed spikes; raises `DataError` for anything but finite channels."""
        values = channels_of(self.name, signal)
        steps, channels = values.shape
        bits = np.zeros((channels * self.units_per_channel, -(-steps // 8)), np.uint8)
        self.write(values, bits)
        return SpikeTrain(bits, steps)

    def encode_into(
        self, signals: Iterable[Any], out: Bits, *, rngs: Sequence[SampleKey | None]
    ) -> NDArray[np.uint32]:
        """Write the spikes that `encode` returns for each signal to `out`."""
        lengths = np.zeros(len(rngs), np.uint32)
        for row, (signal, _) in enumerate(zip(signals, rngs, strict=True)):
            values = channels_of(self.name, signal)
            steps, channels = values.shape
            units = channels * self.units_per_channel
            if units != out.shape[1] or steps > 8 * out.shape[2]:
                raise DataError(
                    f"{self.name}: got {units} units of {steps} steps",
                    f"{out.shape[1]} units, like the first signal, of at most {8 * out.shape[2]} steps",
                    "Bring all signals to one number of channels.",
                )
            self.write(values, out[row])
            lengths[row] = steps
        return lengths

    @abstractmethod
    def write(self, values: NDArray[Any], bits: Bits) -> None:
        """Write the spikes of values (time, channel) to zeroed `bits` (channel · `units_per_channel`, byte).

        There are ⌈time / 8⌉ bytes or more; bit k of byte b is step 8 b + k.
        """


def signs(owner: str, spikes: NDArray[Any]) -> NDArray[np.float64]:
    """Return up minus down, float64 (time, channel), of spikes (time, unit) with two units per channel.

    Raises `UsageError`, in which `owner` is named, as `spikes_to_decode`.
    """
    checked = spikes_to_decode(owner, spikes, 2)
    pairs = checked.astype(np.float64).reshape(len(checked), checked.shape[1] // 2, 2)
    return np.asarray(pairs[..., 0] - pairs[..., 1])


def multiples(values: Sequence[NDArray[np.float64]], factors: Sequence[float]) -> list[float]:
    """Return factors of the root mean square of several arrays, to three digits; of silent arrays, of 1."""
    size = sum(part.size for part in values)
    scale = max((float(np.abs(part).max(initial=0)) for part in values), default=0.0) or 1.0
    power = sum(float(np.square(part / scale).sum()) for part in values)
    rms = scale * (power / size) ** 0.5 if power else 1.0
    return [float(f"{factor * rms:.3g}") for factor in factors]
