"""Analogue channels → spikes by the Hough Spiker Algorithm: a spike where a filter fits below the signal.

At step t the filter h is compared with what is left of the signal s over its window. Where s[t + j] ≥ h[j] for every
tap j, the channel spikes and h is subtracted from s. The modified algorithm allows for the signal to fall short of the
filter by a little in all: Σ_j max(h[j] − s[t + j], 0) ≤ tolerance. Decoding convolves the spikes with h.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .._jit import jit
from ..config import Positive, Real, Share
from ..errors import UsageError
from .channel_encoder import multiples
from .channels import check_sign, finite_channels, spikes_to_decode
from .dense_encoder import DenseEncoder


def _gaussian() -> tuple[float, ...]:
    """Return exp(−(j − 12)² / 25), j = 0 … 23, divided by its sum: the filter of HM2-BP's speech runs."""
    # functions of math, not of NumPy: stores keep the taps, and NumPy's last digits depend on the processor
    taps = [math.exp(-((j - 12.0) ** 2) / 25) for j in range(24)]
    return tuple(tap / math.fsum(taps) for tap in taps)


@jit
def _spikes(
    left: NDArray[np.float64], h: NDArray[np.float64], tolerance: float, spikes: NDArray[np.bool_]
) -> None:
    """Write bool (channel, time); `left` (channel, time + tap) is the signal and zeros, from which h is subtracted."""
    channels, steps = spikes.shape
    taps = h.size
    for c in range(channels):
        for t in range(steps):
            missing = 0.0
            for j in range(taps):
                short = h[j] - left[c, t + j]
                if short > 0.0:
                    missing += short
                    if missing > tolerance:
                        break
            fits = missing <= tolerance
            spikes[c, t] = fits
            if fits:
                for j in range(taps):
                    left[c, t + j] -= h[j]


def hsa_reference(
    values: NDArray[np.float64], h: NDArray[np.float64], tolerance: float = 0.0
) -> NDArray[np.bool_]:
    """Encode values (time, channel) as published: bool (time, channel); `tolerance` is absolute.

    The signal is taken as 0 past its end.
    """
    left = np.concatenate([values, np.zeros((len(h), values.shape[1]))])
    spikes = np.zeros(values.shape, np.bool_)
    for t in range(len(values)):
        window = left[t : t + len(h)]
        spikes[t] = sum(np.maximum(h[:, None] - window, 0)) <= tolerance
        window -= spikes[t] * h[:, None]
    return spikes


@dataclass(frozen=True)
class HSA(DenseEncoder):
    """The Hough Spiker Algorithm: a spike where a filter fits below the channel; with a tolerance the modified one.

    The spikes, convolved with the filter, rebuild the channel. Encodes `Frames`, or an array (time, channel) or
    (time,), of values of at least 0: one unit per channel. Signed signals are refused: `rectify` is the way to encode
    them. With a tolerance of 0 what is rebuilt is never above the signal. Past its end the signal is 0.

    Parameters
    ----------
    tolerance
        By how much the signal may fall short of the filter, summed over the taps, as a share of the filter's Σ|h|. 0 is
        Hough's algorithm.
    filter
        The taps h; their sum is above 0. The default is a Gaussian of 24 taps and sum 1.
    scale
        Factor applied to the signal first. A steady signal s takes scale · s / Σh spikes per step, so scale · s should
        be below Σh.
    """

    name: ClassVar[str] = "hsa"
    citation: ClassVar[str] = (
        "Hough, de Garis, Korkin, Gers & Nawa 1999, SPIKER: analog waveform to digital spiketrain conversion in ATR's "
        "artificial brain (CAM-Brain) project, AROB; the tolerance: Schrauwen & Van Campenhout 2003, IJCNN"
    )
    units_per_channel: ClassVar[int] = 1

    tolerance: Share = 0.0
    filter: tuple[Real, ...] = _gaussian()
    scale: Positive = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not sum(self.filter) > 0 or not math.isfinite(sum(map(abs, self.filter))):
            raise UsageError(f"got hsa.filter = {list(self.filter)}", "taps with a finite sum above 0")

    @property
    def taps(self) -> NDArray[np.float64]:
        """The filter h as an array (tap,)."""
        return np.array(self.filter, np.float64)

    def spikes(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return the spikes of finite values (time, channel), bool (time, channel); `DataError` for signed ones."""
        check_sign(self.name, values)
        h, (steps, channels) = self.taps, values.shape
        left = np.zeros((channels, steps + h.size))
        np.multiply(values.T, self.scale, out=left[:, :steps])
        spikes = np.empty((channels, steps), np.bool_)
        _spikes(left, h, self.tolerance * float(np.abs(h).sum()), spikes)
        return spikes.T

    def decode(self, spikes: NDArray[Any]) -> NDArray[np.float64]:
        """Rebuild the signal, float64 (time, channel), from spikes (time, channel)."""
        spikes = spikes_to_decode(self.name, spikes, self.units_per_channel)
        rebuilt = np.zeros(spikes.shape)
        for j, tap in enumerate(self.filter[: len(spikes)]):
            rebuilt[j:] += tap * np.asarray(spikes[: len(spikes) - j], np.float64)
        return rebuilt / self.scale

    def target(self, signal: Any) -> NDArray[np.float64]:
        """Return what `decode` rebuilds, float64 (time, channel): the signal."""
        return finite_channels(self.name, signal)

    def candidates(self, signals: Sequence[Any]) -> dict[str, list[Any]]:
        """Return tolerances, and scales at which a root mean square signal spikes in 1 of 20 to every other step."""
        values = [finite_channels(self.name, signal) for signal in signals]
        (rms,) = multiples(values, (1.0,))
        scales = [float(f"{share * sum(self.filter) / rms:.3g}") for share in (0.05, 0.1, 0.2, 0.3, 0.5)]
        return {"tolerance": [0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5], "scale": scales}
