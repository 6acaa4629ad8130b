"""Series → spikes by step-forward encoding: spikes move a level up or down by a threshold, after the signal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .._jit import jit
from .channel_encoder import ContrastEncoder, signs


@jit
def _spikes(
    values: NDArray[np.float64], level: NDArray[np.float64], threshold: float, spikes: NDArray[np.bool_]
) -> None:
    """Write bool (time, channel, 2), up and down; `level` (channel,) is moved along."""
    steps, channels = values.shape
    for t in range(steps):
        for c in range(channels):
            up = values[t, c] > level[c] + threshold
            down = values[t, c] < level[c] - threshold
            spikes[t, c, 0] = up
            spikes[t, c, 1] = down
            level[c] += threshold * (np.float64(up) - np.float64(down))


def step_forward_reference(
    values: NDArray[np.float64], threshold: float, start: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Encode values (time, channel) as published: bool (time, channel, 2); `start` (channel,) are the first levels."""
    spikes, level = np.zeros((*values.shape, 2), np.bool_), start.copy()
    for t, value in enumerate(values):
        spikes[t, :, 0], spikes[t, :, 1] = value > level + threshold, value < level - threshold
        level[spikes[t, :, 0]] += threshold
        level[spikes[t, :, 1]] -= threshold
    return spikes


@dataclass(frozen=True)
class StepForward(ContrastEncoder):
    """Step-forward encoding: unit 2 c spikes where channel c is above its level by more than `threshold`, unit 2 c + 1
    where it is below; the spike moves the level by `threshold`.

    The level follows the signal by one threshold per step at most, and is what `decode` rebuilds: of a signal that
    changes more slowly every value is within one threshold.

    Encodes `Frames`, or an array (time, channel) or (time,), of either sign.
    """

    name: ClassVar[str] = "step_forward"
    citation: ClassVar[str] = (
        "Kasabov et al. 2016, Evolving spatio-temporal data machines based on the NeuCube neuromorphic framework, "
        "Neural Networks 78"
    )

    def spikes(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return the spikes of finite values (time, channel), bool (time, channel, 2)."""
        spikes = np.empty((*values.shape, 2), np.bool_)
        _spikes(values, self.levels(values), float(self.threshold), spikes)
        return spikes

    def decode(self, spikes: NDArray[Any]) -> NDArray[np.float64]:
        """Rebuild the signal, float64 (time, channel), from spikes (time, unit): the level after each step.

        Starts from `start`, or 0; see `target`.
        """
        return np.asarray(np.cumsum(self.threshold * signs(spikes), axis=0) + (self.start or 0.0))
