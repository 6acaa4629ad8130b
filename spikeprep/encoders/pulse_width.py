"""Series → spikes by pulse-width modulation: the spike's place in a period is the signal's value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..config import Meta, Real
from ..errors import DataError, UsageError
from .channels import finite_channels, spikes_to_decode
from .dense_encoder import DenseEncoder


def pulse_width_reference(values: NDArray[np.float64], period: int) -> NDArray[np.bool_]:
    """Encode values (time, channel) in [0, 1], step by step: bool (time, channel, 2)."""
    spikes = np.zeros((*values.shape, 2), np.bool_)
    for channel in range(values.shape[1]):
        for t, value in enumerate(values[:, channel]):
            place = t % period
            if place == 0:
                open_pulses = [True, True]
            carrier = (place + 0.5) / period
            for half, ends in enumerate((value < carrier, value > 1 - carrier)):
                if ends and open_pulses[half]:
                    spikes[t, channel, half], open_pulses[half] = True, False
    return spikes


@dataclass(frozen=True)
class PulseWidth(DenseEncoder):
    """Pulse-width modulation: two pulses begin with each period, and a spike marks where each of them ends.

    A carrier rises from `low` to `high` in `period` steps, over and over. Unit 2 c spikes in the first step of a period
    in which it is above channel c; unit 2 c + 1 in the first step in which a carrier that falls from `high` to `low` is
    below it. So a unit spikes once per period at most, and of a steady value unit 2 c spikes the later the larger it
    is, unit 2 c + 1 the earlier.

    Encodes `Frames`, or an array (time, channel) or (time,), of values from `low` to `high`.

    Parameters
    ----------
    period
        Steps of the carrier.
    low, high
        Smallest and largest value, in the signal's units.
    clip
        Whether values beyond `low` and `high` are encoded as these; without it they are refused.
    """

    name: ClassVar[str] = "pulse_width"
    citation: ClassVar[str] = (
        "Arriandiaga, Portillo, Espinosa-Ramos & Kasabov 2020, Pulsewidth modulation-based algorithm for spike phase "
        "encoding and decoding of time-dependent analog data, IEEE Transactions on Neural Networks and Learning "
        "Systems 31"
    )

    period: Annotated[int, Meta(ge=2, le=65_536)] = 10
    low: Real = 0.0
    high: Real = 1.0
    clip: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.low < self.high:
            raise UsageError(
                f"got pulse_width.low = {self.low:g} and pulse_width.high = {self.high:g}", "low < high"
            )

    def spikes(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return the spikes of finite values (time, channel), bool (time, channel, 2); `DataError` out of range."""
        least, most = (float(f(initial=self.low)) for f in (values.min, values.max))
        if least < self.low or most > self.high:
            if not self.clip:
                raise DataError(
                    f"pulse_width: got values from {least:g} to {most:g}",
                    f"pulse_width.low = {self.low:g} to pulse_width.high = {self.high:g}",
                    "Set low and high to the smallest and the largest value of the data, or use "
                    "pulse_width.clip=true.",
                )
            values = np.clip(values, self.low, self.high)
        steps, channels = values.shape
        periods = -(-steps // self.period)
        share = np.full((periods * self.period, channels), 0.5)
        share[:steps] = (values - self.low) / (self.high - self.low)
        share = share.reshape(periods, self.period, channels)
        carrier = ((np.arange(self.period) + 0.5) / self.period)[:, None]
        ended = np.stack([share < carrier, share > 1 - carrier], axis=-1)  # (period, place, channel, 2)
        before = np.logical_or.accumulate(ended, axis=1)[:, :-1]
        ended[:, 1:] &= ~before
        return ended.reshape(periods * self.period, channels, 2)[:steps]

    def decode(self, spikes: NDArray[Any]) -> NDArray[np.float64]:
        """Rebuild the signal, float64 (time, channel), from spikes (time, unit).

        A spike at place k of a period marks the value k / period of the range, one of the second unit 1 − k / period;
        where both units spike, their mean. Between two spikes it is a straight line. A steady value is within
        1 / (2 · period) of the range; a channel without spikes is the middle of the range.
        """
        spikes = spikes_to_decode(self.name, spikes, self.units_per_channel)
        steps, units = spikes.shape
        place = np.arange(steps) % self.period / self.period
        values = np.full((steps, units // 2), 0.5)
        for channel in range(units // 2):
            pair = np.asarray(spikes[:, 2 * channel : 2 * channel + 2], bool)
            marked = pair.sum(axis=1)
            times = np.flatnonzero(marked)
            if len(times):
                total = pair[:, 0] * place + pair[:, 1] * (1 - place)
                values[:, channel] = np.interp(np.arange(steps), times, total[times] / marked[times])
        return np.asarray(self.low + (self.high - self.low) * values)

    def candidates(self, signals: Sequence[Any]) -> dict[str, list[Any]]:
        """Return periods, and a range that is somewhat wider than the signals where the encoder's own does not suit."""
        values = [finite_channels(self.name, signal) for signal in signals]
        least = min((float(part.min(initial=0.0)) for part in values), default=0.0)
        most = max((float(part.max(initial=0.0)) for part in values), default=0.0)
        found: dict[str, list[Any]] = {"period": [2, 3, 4, 6, 8, 10, 16, 25, 50]}
        suits = self.low <= least and most <= self.high and 2 * (most - least) >= self.high - self.low
        if not suits and least < most:
            low, high = (float(f"{1.25 * end:.3g}") for end in (least, most))
            found |= {"low": [low], "high": [high], "clip": [True]}
        return found
