"""Series → spikes by leaky integrate-and-fire neurons, into which a channel flows as a current."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .._jit import jit
from .._simd import above, either, load_padded, select, spread_line, total
from ..config import Meta, Positive
from ..data import Bits
from .channel_encoder import multiples
from .channels import finite_channels, spikes_to_decode
from .lane_encoder import WIDTH, LaneEncoder, scratch, write_bits


@jit
def _encode(
    values: NDArray[np.float64],
    steps: int,
    channels: int,
    gain: float,
    threshold: float,
    bits: Bits,
) -> bool:
    """Write up and down of flat values (time · channel) to `bits`; return whether all are finite."""
    zero, share, limit = spread_line(0.0), spread_line(gain), spread_line(threshold)
    fired, tail = scratch(values, steps)
    check = zero
    for first in range(0, channels, WIDTH):
        v, w = zero, zero  # of the neurons that are driven by the channel, and by its negative
        for t in range(steps):
            s = load_padded(values, tail, t * channels + first)
            check = either(check, s * zero)
            v = v + share * (s - v)
            w = w + share * (zero - s - w)
            up, down = above(v, limit), above(w, limit)
            v, w = select(up, zero, v), select(down, zero, w)
            fired[0, t] = up
            fired[1, t] = down
        write_bits(fired, first, channels, bits)
    return bool(total(check) == 0.0)


def lif_reference(values: NDArray[np.float64], tau: float, threshold: float) -> NDArray[np.bool_]:
    """Encode values (time, channel) by Euler's method: bool (time, channel, 2); `tau` in steps."""
    spikes, v = np.zeros((*values.shape, 2), np.bool_), np.zeros((values.shape[1], 2))
    for t, value in enumerate(values):
        v = v + 1 / tau * (np.stack([value, -value], axis=-1) - v)
        spikes[t] = v > threshold
        v[spikes[t]] = 0
    return spikes


@dataclass(frozen=True)
class LIF(LaneEncoder):
    """Leaky integrate-and-fire neurons, driven by each channel and by its negative.

    Unit 2 c is driven by channel c, unit 2 c + 1 by its negative. In each step v ← v + (s − v) / τ; above `threshold`
    the neuron spikes and v becomes 0. A channel spikes where it stays above the threshold for long enough, the more
    often the larger it is; smaller values never do.

    Encodes `Frames`, or an array (time, channel) or (time,), of either sign.

    Parameters
    ----------
    tau
        Membrane time constant τ in steps.
    threshold
        Membrane at which a neuron spikes: the smallest steady value that is encoded, in the signal's units.
    """

    name: ClassVar[str] = "lif"
    citation: ClassVar[str] = (
        "Gerstner & Kistler 2002, Spiking neuron models, Cambridge University Press, section 4.1"
    )

    tau: Annotated[float, Meta(ge=1, le=1e9)] = 10.0
    threshold: Positive = 0.1

    def run(self, values: NDArray[np.float64], shape: tuple[int, int], bits: Bits) -> bool:
        """Write the spikes of flat values of a shape (time, channel); return whether all are finite."""
        return bool(_encode(values, *shape, 1 / self.tau, float(self.threshold), bits))

    def decode(self, spikes: NDArray[Any]) -> NDArray[np.float64]:
        """Rebuild the signal, float64 (time, channel), from spikes (time, unit): steady between two spikes.

        A steady value s makes the membrane s (1 − aⁿ) after n steps, a = 1 − 1 / τ, so a neuron that spikes n steps
        after its last spike had one between θ / (1 − aⁿ) and θ / (1 − aⁿ⁻¹): their mean; for n = 1, which has no upper
        bound, the lower one. After the last spike: its value, or what would not have spiked if that is less. The
        value of unit 2 c + 1 is taken off that of unit 2 c.
        """
        spikes = spikes_to_decode(self.name, spikes, self.units_per_channel)
        steps = len(spikes)
        values = np.zeros((steps, spikes.shape[1]))
        for unit in range(spikes.shape[1]):
            fired = np.flatnonzero(spikes[:, unit])
            if len(fired):
                interval = np.diff(fired, prepend=-1)
                currents = self._currents(interval)
                rest = steps - 1 - fired[-1]
                last = min(currents[-1], self._bound(np.array([rest]))[0]) if rest else 0.0
                values[:, unit] = np.repeat([*currents, last], [*interval, rest])
        pairs = values.reshape(steps, spikes.shape[1] // 2, 2)
        return np.asarray(pairs[..., 0] - pairs[..., 1])

    def _bound(self, steps: NDArray[Any]) -> NDArray[np.float64]:
        """Return the steady values that reach the threshold after some steps, at least 1."""
        return np.asarray(self.threshold / (1 - (1 - 1 / self.tau) ** steps))

    def _currents(self, interval: NDArray[Any]) -> NDArray[np.float64]:
        lower, upper = self._bound(interval), self._bound(np.maximum(interval - 1, 1))
        return np.where(interval > 1, (lower + upper) / 2, lower)

    def candidates(self, signals: Sequence[Any]) -> dict[str, list[Any]]:
        """Return time constants, and thresholds as shares of the signals' root mean square."""
        values = [finite_channels(self.name, signal) for signal in signals]
        return {
            "tau": [1.5, 2.0, 3.0, 5.0, 10.0, 20.0],
            "threshold": multiples(values, (0.02, 0.05, 0.1, 0.2, 0.3, 0.5)),
        }
