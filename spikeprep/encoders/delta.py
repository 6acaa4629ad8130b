"""Series → spikes by delta modulation: a spike where the signal changes by a threshold from one step to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._jit import jit
from .._simd import above, either, load_line, load_padded, spread_line, total
from ..data import Bits
from .contrast_encoder import ContrastEncoder
from .lane_encoder import WIDTH, scratch, write_bits


@jit
def _encode(
    values: NDArray[np.float64],
    before: NDArray[np.float64],
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
        last = load_line(before, first)
        for t in range(steps):
            s = load_padded(values, tail, t * channels + first)
            check = either(check, s * zero)
            change = s - last
            last = s
            fired[0, t] = ~above(step, change)
            fired[1, t] = ~above(change, zero - step)
        write_bits(fired, first, channels, bits)
    return bool(total(check) == 0.0)


def delta_reference(
    values: NDArray[np.float64], threshold: float, before: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Encode values (time, channel) as published: bool (time, channel, 2); `before` precedes the first step."""
    change = np.diff(values, axis=0, prepend=before[None])
    return np.stack([change >= threshold, change <= -threshold], axis=-1)


@dataclass(frozen=True)
class Delta(ContrastEncoder):
    """Delta modulation: a spike where a channel rises or falls by a threshold from one step to the next.

    Unit 2 c spikes where channel c rises by `threshold` or more, unit 2 c + 1 where it falls by as much. A change is
    one spike, however large; slower changes leave none. `step_forward` follows the signal instead.

    Encodes `Frames`, or an array (time, channel) or (time,), of either sign.
    """

    name: ClassVar[str] = "delta"
    citation: ClassVar[str] = (
        "Eshraghian et al. 2023, Training spiking neural networks using lessons from deep learning, "
        "Proceedings of the IEEE 111"
    )

    def run(self, values: NDArray[np.float64], shape: tuple[int, int], bits: Bits) -> bool:
        """Write the spikes of flat values of a shape (time, channel); return whether all are finite."""
        before = self.levels(values, shape[1])
        return bool(_encode(values, before, *shape, float(self.threshold), bits))
