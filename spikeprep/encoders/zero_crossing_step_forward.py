"""Series → spikes by zero-crossing step-forward: a spike in every step of a half-wave above a threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._jit import jit
from .._simd import above, either, load_padded, spread_line, total
from ..config import Positive
from ..data import Bits
from .lane_encoder import WIDTH, LaneEncoder, scratch, write_bits


@jit
def _encode(
    values: NDArray[np.float64],
    steps: int,
    channels: int,
    threshold: float,
    bits: Bits,
) -> bool:
    """Write up and down of flat values (time · channel) to `bits`; return whether all are finite."""
    zero, positive, negative = spread_line(0.0), spread_line(threshold), spread_line(-threshold)
    fired, tail = scratch(values, steps)
    check = zero
    for first in range(0, channels, WIDTH):
        for t in range(steps):
            s = load_padded(values, tail, t * channels + first)
            check = either(check, s * zero)
            fired[0, t] = above(s, positive)
            fired[1, t] = above(negative, s)
        write_bits(fired, first, channels, bits)
    return bool(total(check) == 0.0)


def zero_crossing_reference(values: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    """Encode values (time, channel): bool (time, channel, 2), the half-wave above 0 and the one below."""
    halves = np.stack([np.maximum(values, 0), np.maximum(-values, 0)], axis=-1)
    return np.asarray(halves > threshold)


@dataclass(frozen=True)
class ZeroCrossingStepForward(LaneEncoder):
    """Zero-crossing step-forward: a spike in every step in which a half-wave of a channel exceeds a threshold.

    Unit 2 c spikes where channel c is above `threshold`, unit 2 c + 1 where it is below −threshold. Unit 2 c is the
    published encoding, which leaves out what is below zero; unit 2 c + 1 is the same of the signal's negative. The
    spikes say where the signal is large and not how large, so there is no way back.

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

    def run(self, values: NDArray[np.float64], shape: tuple[int, int], bits: Bits) -> bool:
        """Write the spikes of flat values of a shape (time, channel); return whether all are finite."""
        return bool(_encode(values, *shape, float(self.threshold), bits))
