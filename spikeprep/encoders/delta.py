"""Series → spikes by delta modulation: a spike where the signal changes by a threshold from one step to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .._jit import jit
from .channel_encoder import ContrastEncoder, signs


@jit
def _spikes(
    values: NDArray[np.float64], before: NDArray[np.float64], threshold: float, spikes: NDArray[np.bool_]
) -> None:
    """Write bool (time, channel, 2), up and down; `before` (channel,) are the values ahead of the first step."""
    steps, channels = values.shape
    for t in range(steps):
        for c in range(channels):
            change = values[t, c] - before[c]
            before[c] = values[t, c]
            spikes[t, c, 0] = change >= threshold
            spikes[t, c, 1] = change <= -threshold


def delta_reference(
    values: NDArray[np.float64], threshold: float, before: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Encode values (time, channel) as published: bool (time, channel, 2); `before` precedes the first step."""
    change = np.diff(values, axis=0, prepend=before[None])
    return np.stack([change >= threshold, change <= -threshold], axis=-1)


@dataclass(frozen=True)
class Delta(ContrastEncoder):
    """Delta modulation: unit 2 c spikes where channel c rises by `threshold` or more from one step to the next, unit
    2 c + 1 where it falls by as much.

    A change is one spike, however large; slower changes leave none. `step_forward` follows the signal instead.

    Encodes `Frames`, or an array (time, channel) or (time,), of either sign.
    """

    name: ClassVar[str] = "delta"
    citation: ClassVar[str] = (
        "Eshraghian et al. 2023, Training spiking neural networks using lessons from deep learning, "
        "Proceedings of the IEEE 111"
    )

    def spikes(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return the spikes of finite values (time, channel), bool (time, channel, 2)."""
        spikes = np.empty((*values.shape, 2), np.bool_)
        _spikes(values, self.levels(values), float(self.threshold), spikes)
        return spikes

    def decode(self, spikes: NDArray[Any]) -> NDArray[np.float64]:
        """Rebuild the signal, float64 (time, channel), from spikes (time, unit): each is a change of `threshold`.

        Starts from `start`, or 0; see `target`.
        """
        return np.asarray(np.cumsum(self.threshold * signs(spikes), axis=0) + (self.start or 0.0))
