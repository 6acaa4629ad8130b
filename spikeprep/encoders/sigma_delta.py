"""Series → spikes by first-order sigma-delta modulation: the sum of the spikes follows the sum of the signal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .._jit import jit
from .._simd import above, either, load_padded, select, spread_line, total
from ..config import Meta, Positive
from ..data import Bits
from ..errors import DataError, UsageError
from .channel_encoder import signs
from .channels import finite_channels
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
    zero, full, half = spread_line(0.0), spread_line(threshold), spread_line(threshold / 2)
    fired, tail = scratch(values, steps)
    check = zero
    for first in range(0, channels, WIDTH):
        left = zero
        for t in range(steps):
            s = load_padded(values, tail, t * channels + first)
            check = either(check, s * zero)
            left = left + s
            up, down = above(left, half), above(zero - half, left)
            left = left - select(up, full, zero) + select(down, full, zero)
            fired[0, t] = up
            fired[1, t] = down
        write_bits(fired, first, channels, bits)
    return bool(total(check) == 0.0)


def sigma_delta_reference(values: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    """Encode values (time, channel), of at most ±threshold, by the modulator's equations: bool (time, channel, 2)."""
    spikes, total = np.zeros((*values.shape, 2), np.bool_), np.zeros(values.shape[1])
    for t, value in enumerate(values):
        total += value
        spikes[t, :, 0], spikes[t, :, 1] = total > threshold / 2, total < -threshold / 2
        total -= threshold * (spikes[t, :, 0].astype(np.float64) - spikes[t, :, 1])
    return spikes


@dataclass(frozen=True)
class SigmaDelta(LaneEncoder):
    """First-order sigma-delta modulation: the sum of the spikes follows the sum of a channel.

    Channel c is summed up; where the sum exceeds threshold / 2 a spike of unit 2 c takes one threshold off, where it is
    below −threshold / 2 one of unit 2 c + 1 adds one. Spikes per step are the signal in units of `threshold`: over any
    range of steps Σ threshold · (up − down) differs from the signal's sum by at most `threshold`. A steady value goes
    on spiking, unlike with `delta` or `step_forward`.

    Encodes `Frames`, or an array (time, channel) or (time,), of values within ±threshold.

    Parameters
    ----------
    threshold
        Full scale: the value that spikes in every step, in the signal's units.
    clip
        Whether values beyond ±threshold are encoded as these; without it they are refused.
    window
        Steps over which `decode` averages, with the weights of a Hann window; an odd number.
    """

    name: ClassVar[str] = "sigma_delta"
    citation: ClassVar[str] = (
        "Inose, Yasuda & Murakami 1962, A telemetering system by code modulation: Δ-Σ modulation, "
        "IRE Transactions on Space Electronics and Telemetry 8"
    )

    threshold: Positive = 1.0
    window: Annotated[int, Meta(ge=1, le=65_535)] = 15
    clip: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window % 2 == 0:
            raise UsageError(f"got sigma_delta.window = {self.window}", "an odd number")

    def run(self, values: NDArray[np.float64], shape: tuple[int, int], bits: Bits) -> bool:
        """Write the spikes of flat values of a shape (time, channel), clipping them; return whether all are finite."""
        most = float(np.abs(values).max(initial=0))
        if most > self.threshold and math.isfinite(most):  # others are refused below, clipped or not
            if not self.clip:
                raise DataError(
                    f"sigma_delta: got values of up to {most:g} either way",
                    f"at most sigma_delta.threshold = {self.threshold:g}: no train has more than a spike per step",
                    "Raise the threshold to the largest value of the data, scale the signal, or use "
                    "sigma_delta.clip=true.",
                )
            values = np.clip(values, -self.threshold, self.threshold)
        return bool(_encode(values, *shape, float(self.threshold), bits))

    def decode(self, spikes: NDArray[Any]) -> NDArray[np.float64]:
        """Rebuild the signal, float64 (time, channel), from spikes (time, unit): their mean over `window`, centred."""
        from scipy.ndimage import convolve1d

        changes = self.threshold * signs(self.name, spikes)
        if not len(changes):
            return changes
        half = self.window // 2
        weights = 0.5 + 0.5 * np.cos(np.pi * np.arange(-half, half + 1) / (half + 1))
        return np.asarray(convolve1d(changes, weights / weights.sum(), axis=0, mode="nearest"))

    def candidates(self, signals: Sequence[Any]) -> dict[str, list[Any]]:
        """Return full scales from somewhat above the largest value on, since others may be larger, and windows."""
        values = (finite_channels(self.name, signal) for signal in signals)
        most = max(float(np.abs(part).max(initial=0)) for part in values) or 1.0
        return {
            "threshold": [float(f"{factor * most:.3g}") for factor in (1.25, 1.5, 2)],
            "window": [3, 5, 9, 15, 25, 45],
            "clip": [True],
        }
