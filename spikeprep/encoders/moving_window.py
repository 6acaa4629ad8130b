"""Series → spikes by the moving window: a spike where the signal leaves the mean of the steps before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .._jit import jit
from ..config import Meta, Positive
from .channel_encoder import multiples, signs
from .channels import finite_channels
from .dense_encoder import DenseEncoder


@jit
def _spikes(
    values: NDArray[np.float64],
    window: int,
    threshold: float,
    mean: NDArray[np.float64],
    spikes: NDArray[np.bool_],
) -> None:
    """Write bool (time, channel, 2), up and down; `mean` (channel,) is scratch."""
    steps, channels = values.shape
    for t in range(steps):
        if t == 0 or t >= window:
            first = max(t - window, 0)
            last = min(first + window, steps)
            for c in range(channels):
                mean[c] = 0.0
            for n in range(first, last):
                for c in range(channels):
                    mean[c] += values[n, c]
            for c in range(channels):
                mean[c] /= last - first
        for c in range(channels):
            spikes[t, c, 0] = values[t, c] > mean[c] + threshold
            spikes[t, c, 1] = values[t, c] < mean[c] - threshold


def moving_window_reference(values: NDArray[np.float64], window: int, threshold: float) -> NDArray[np.bool_]:
    """Encode values (time, channel) as published: bool (time, channel, 2)."""
    spikes = np.zeros((*values.shape, 2), np.bool_)
    for t, value in enumerate(values):
        recent = values[t - window : t] if t >= window else values[:window]
        mean = sum(recent) / len(recent)
        spikes[t, :, 0], spikes[t, :, 1] = value > mean + threshold, value < mean - threshold
    return spikes


@dataclass(frozen=True)
class MovingWindow(DenseEncoder):
    """The moving window: a spike where a channel leaves the mean of the steps before by more than a threshold.

    Unit 2 c spikes where channel c is above the mean of the `window` steps before by more than `threshold`, unit 2 c +
    1 where it is below. The first `window` steps are compared with their own mean.

    Encodes `Frames`, or an array (time, channel) or (time,), of either sign.

    Parameters
    ----------
    window
        Steps of the mean.
    threshold
        Distance from the mean that is worth a spike, in the signal's units.
    """

    name: ClassVar[str] = "moving_window"
    citation: ClassVar[str] = (
        "Petro, Kasabov & Kiss 2020, Selection and optimization of temporal spike encoding methods for spiking "
        "neural networks, IEEE Transactions on Neural Networks and Learning Systems 31"
    )

    window: Annotated[int, Meta(ge=1, le=65_536)] = 5
    threshold: Positive = 0.1

    def spikes(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return the spikes of finite values (time, channel), bool (time, channel, 2)."""
        spikes = np.empty((*values.shape, 2), np.bool_)
        _spikes(values, self.window, float(self.threshold), np.empty(values.shape[1]), spikes)
        return spikes

    def decode(self, spikes: NDArray[Any]) -> NDArray[np.float64]:
        """Rebuild the signal, float64 (time, channel), relative to its first values, from spikes (time, unit).

        Each spike is a change of `threshold`, as published. On the signals tried that is twice as good, in dB, as
        following the moving mean of what is rebuilt.
        """
        return np.asarray(np.cumsum(self.threshold * signs(self.name, spikes), axis=0))

    def target(self, signal: Any) -> NDArray[np.float64]:
        """Return what `decode` rebuilds, float64 (time, channel): the signal less its first values."""
        values = finite_channels(self.name, signal)
        return values - values[:1]

    def candidates(self, signals: Sequence[Any]) -> dict[str, list[Any]]:
        """Return windows, and thresholds around the root mean square of the changes from step to step."""
        changes = [np.diff(finite_channels(self.name, signal), axis=0) for signal in signals]
        return {
            "window": [2, 3, 5, 10],
            "threshold": multiples(changes, (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)),
        }
