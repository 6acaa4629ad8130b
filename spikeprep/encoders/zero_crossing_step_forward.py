"""Series → spikes by zero-crossing step-forward: a spike in every step of a half-wave above a threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..config import Positive
from .channel_encoder import ChannelEncoder


def zero_crossing_reference(values: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    """Encode values (time, channel): bool (time, channel, 2), the half-wave above 0 and the one below."""
    halves = np.stack([np.maximum(values, 0), np.maximum(-values, 0)], axis=-1)
    return np.asarray(halves > threshold)


@dataclass(frozen=True)
class ZeroCrossingStepForward(ChannelEncoder):
    """Zero-crossing step-forward: the signal is rectified at zero; unit 2 c spikes in every step in which channel c is
    above `threshold`, unit 2 c + 1 in every step in which it is below −threshold.

    Unit 2 c is the published encoding, which leaves out what is below zero; unit 2 c + 1 is the same of the signal's
    negative. The spikes say where the signal is large and not how large, so there is no way back.

    Encodes `Frames`, or an array (time, channel) or (time,), of either sign.

    Parameters
    ----------
    threshold
        Value above which a half-wave spikes, in the signal's units.
    """

    name: ClassVar[str] = "zero_crossing_step_forward"
    citation: ClassVar[str] = (
        "Forno et al. 2022, Spike encoding techniques for IoT time-varying signals benchmarked on a neuromorphic "
        "classification task, Frontiers in Neuroscience 16"
    )

    threshold: Positive = 0.1

    def spikes(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return the spikes of finite values (time, channel), bool (time, channel, 2)."""
        spikes = np.empty((*values.shape, 2), np.bool_)
        np.greater(values, self.threshold, out=spikes[..., 0])
        np.less(values, -self.threshold, out=spikes[..., 1])
        return spikes
