"""Series → spikes by step-forward encoding: spikes move a level up or down by a threshold, after the signal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._jit import jit
from .._simd import above, either, load_line, load_padded, select, spread_line, total
from ..data import Bits
from .contrast_encoder import ContrastEncoder
from .lane_encoder import WIDTH, scratch, write_bits


@jit
def _encode(
    values: NDArray[np.float64],
    start: NDArray[np.float64],
    steps: int,
    channels: int,
    threshold: float,
    bits: Bits,
) -> bool:
    """Write up and down of flat values (time · channel) to `bits`; return whether all are finite."""
    zero, step = spread_line(0.0), spread_line(threshold)
    fired, tail = scratch(values, steps)
    check = zero
    for first in range(0, channels, WIDTH):
        level = load_line(start, first)
        for t in range(steps):
            s = load_padded(values, tail, t * channels + first)
            check = either(check, s * zero)
            up, down = above(s, level + step), above(level - step, s)
            level = level + select(up, step, zero) - select(down, step, zero)
            fired[0, t] = up
            fired[1, t] = down
        write_bits(fired, first, channels, bits)
    return bool(total(check) == 0.0)


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
    """Step-forward encoding: spikes move a level up or down by a threshold, after the channel.

    Unit 2 c spikes where channel c is above its level by more than `threshold`, unit 2 c + 1 where it is below. The
    level follows the signal by one threshold per step at most, and is what `decode` rebuilds: of a signal that changes
    more slowly every value is within one threshold.

    Encodes `Frames`, or an array (time, channel) or (time,), of either sign.
    """

    name: ClassVar[str] = "step_forward"
    citation: ClassVar[str] = (
        "Kasabov et al. 2016, Evolving spatio-temporal data machines based on the NeuCube neuromorphic framework, "
        "Neural Networks 78"
    )

    def run(self, values: NDArray[np.float64], shape: tuple[int, int], bits: Bits) -> bool:
        """Write the spikes of flat values of a shape (time, channel); return whether all are finite."""
        start = self.levels(values, shape[1])
        return bool(_encode(values, start, *shape, float(self.threshold), bits))
