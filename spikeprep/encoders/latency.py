"""Values → the time of one spike: the larger a value, the earlier its spike (time to first spike).

With x the intensity in [0, 1], T the steps of the window, θ the threshold and ⌊ ⌉ rounding to the nearest step, halves
to the even one, the unit spikes in step

- linear: ⌊(T − 1) (1 − x)⌉
- log: ⌊τ ln(1 / x)⌉, when a threshold that decays with τ from 1 reaches x: equal ratios of x take equal times
- lif: ⌊τ ln(x / (x − θ))⌉, when a leaky integrator of time constant τ, charged by x from 0, reaches θ
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..config import Meta, Positive, Share
from ..data import Bits
from ..errors import UsageError
from ..random import SampleKey
from .intensities import IntensityEncoder
from .windows import LONGEST, SILENT, write_times


def latency_reference(x: float, steps: int, code: str, threshold: float, tau: float) -> int:
    """Return the step in which intensity x in [0, 1] spikes, as the definition says it; −1 for none."""
    if x < threshold or (code != "linear" and x == 0) or (code == "lif" and x <= threshold):
        return SILENT
    if code == "linear":
        time = (steps - 1) * (1 - x)
    elif code == "log":
        time = tau * math.log(1 / x)
    else:
        time = tau * math.log(x / (x - threshold))
    return round(time) if round(time) < steps else SILENT


@lru_cache(16)
def _smallest(steps: int, code: str, threshold: float, tau: float) -> NDArray[np.float64]:
    """Return the intensities at which steps 0 … steps − 1 end, float64 (step,), none of them above the one before.

    An intensity spikes in step k or earlier where it is above entry k: exp(−(k + ½) / τ) of "log",
    θ / (1 − exp(−(k + ½) / τ)) of "lif". Decimal arithmetic is the same on every machine, as logarithms are not. Both
    are transcendental, so no intensity is equal to one.
    """
    context = Context(prec=30)
    ratio, scale = context.exp(context.divide(-1, Decimal(tau))), Decimal(threshold)
    power, ends = context.exp(context.divide(-1, 2 * Decimal(tau))), np.empty(steps)
    for k in range(steps):
        ends[k] = power if code == "log" else context.divide(scale, 1 - power)
        power = context.multiply(power, ratio)
    return ends


@dataclass(frozen=True)
class Latency(IntensityEncoder):
    """Time to first spike: a value spikes once, the larger the earlier.

    Encodes an image, an array of uint8, bool or floats (a unit per pixel), or `Frames` (a unit per channel, a window of
    `steps` steps per frame).

    Parameters
    ----------
    steps
        Steps of a window.
    code
        ``"linear"``: step (steps − 1) (1 − x) for intensity x. ``"log"``: τ ln(1 / x), as of a decaying threshold (Park
        et al. 2020). ``"lif"``: τ ln(x / (x − threshold)), as of a leaky integrate-and-fire neuron with a constant
        input (Eshraghian et al. 2023). Each is rounded to the nearest step, halves to the even one.
    threshold
        Smaller intensities do not spike; with 0 all do, also a black background, which costs most of the spikes. Of
        "lif" it is the neuron's threshold, so it is above 0.
    tau
        τ of "log" and "lif" in steps; spikes that are due after the window do not occur. none: the one by which the
        last step of the window is that of the lowest intensity: of "log" `threshold`, so τ = (steps − 1) /
        ln(1 / threshold); of "lif", which takes forever for its threshold θ, the harmonic mean 2 θ / (1 + θ) of θ and
        1, so τ = (steps − 1) / ln(2 / (1 − θ)). At θ = 0.01 that is 0.0198; what is lower, 3 to 5 of bytes, is silent.
    """

    name: ClassVar[str] = "latency"
    citation: ClassVar[str] = (
        "Thorpe, Delorme & Van Rullen 2001, Spike-based strategies for rapid processing, Neural Networks 14; Park, "
        "Kim, Na & Yoon 2020, T2FSNN: deep spiking neural networks with time-to-first-spike coding, DAC; Eshraghian "
        "et al. 2023, Training spiking neural networks using lessons from deep learning, Proceedings of the IEEE 111"
    )

    steps: Annotated[int, Meta(ge=2, le=LONGEST)] = 100
    code: Literal["linear", "log", "lif"] = "linear"
    threshold: Share = 0.01
    tau: Positive | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.threshold == 0 and (self.code == "lif" or (self.code == "log" and self.tau is None)):
            raise UsageError(
                f"got latency.threshold = 0 with latency.code = {self.code!r}",
                "a threshold above 0",
                "Its logarithm is what the times are scaled by."
                if self.code == "log"
                else "It is the neuron's.",
            )

    @property
    def window(self) -> int:
        """Steps of a window."""
        return self.steps

    @property
    def time_constant(self) -> float:
        """τ in steps: `tau`, or the one that the threshold gives."""
        if self.tau is not None:
            return float(self.tau)
        if self.code == "lif":  # x / (x − θ) of x = 2 θ / (1 + θ), which is above θ and below 1 for every θ
            return (self.steps - 1) / math.log(2 / (1 - self.threshold))
        return (self.steps - 1) / math.log(1 / self.threshold) if self.threshold else math.inf

    def times(self, intensities: NDArray[np.float64]) -> NDArray[np.int32]:
        """Return the steps in which intensities in [0, 1] spike, int32 of their shape; −1 for none."""
        if self.code == "linear":
            times = np.rint((self.steps - 1) * (1 - intensities)).astype(np.int32)
        else:
            ends = _smallest(self.steps, self.code, float(self.threshold), self.time_constant)
            times = (self.steps - np.searchsorted(ends[::-1], intensities)).astype(np.int32)
            times[times == self.steps] = SILENT
        times[intensities < self.threshold] = SILENT
        return times

    def write(self, values: NDArray[Any], bits: Bits, rngs: Sequence[SampleKey | None]) -> None:
        """Write the spikes of `values` (sample, frame, value) to zeroed `bits` (sample, unit, byte)."""
        index, rows = self.table(values)
        write_times(index, self.times(self.intensities(rows))[:, None], self.steps, 1, bits)

    def candidates(self, signals: Sequence[Any]) -> dict[str, list[Any]]:
        """Return numbers of steps and codes, and the range of `signals` where it is needed."""
        return super().candidates(signals) | {"steps": [10, 25, 50, 100], "code": ["linear", "log"]}

    def decode(self, spikes: NDArray[Any]) -> NDArray[np.float64]:
        """Return the values that the first spikes stand for, float64 (window, unit), from spikes (time, unit).

        Linear: within (high − low) / (2 (steps − 1)) of the encoded value. A silent unit is decoded as `low`.
        """
        fired = self.windows(spikes)[..., 0]
        time = fired.argmax(axis=1).astype(np.float64)
        if self.code == "linear":
            x = 1 - time / (self.steps - 1)
        else:
            decay = np.exp(
                -np.maximum(time, 0.25) / self.time_constant
            )  # step 0 is half as long as the others
            x = decay if self.code == "log" else np.minimum(self.threshold / (1 - decay), 1)
        return self.restored(np.where(fired.any(axis=1), x, 0.0))
