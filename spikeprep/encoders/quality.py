"""How well spikes represent a signal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Quality:
    """How well spikes represent a signal, over all channels together and per channel.

    Attributes
    ----------
    snr_db, channel_snr_db
        Signal to noise, 10 log₁₀(Σ s² / Σ (s − decoded)²); infinite without any error, NaN for a silent channel.
    mse, channel_mse
        Mean squared error, in the signal's own units squared.
    density, unit_density
        Spikes per unit and step.
    rate, unit_rate
        Spikes per unit and second.
    """

    snr_db: float
    mse: float
    density: float
    rate: float
    channel_snr_db: NDArray[np.float64]
    channel_mse: NDArray[np.float64]
    unit_density: NDArray[np.float64]
    unit_rate: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        target: NDArray[np.float64],
        decoded: NDArray[np.float64],
        spikes: NDArray[np.bool_],
        dt: float,
    ) -> Quality:
        """Compare what was decoded with its target, both (…, channel), of spikes (time, unit) in steps of `dt` s."""
        error, power = (target - decoded) ** 2, target**2
        error, power = error.reshape(-1, error.shape[-1]), power.reshape(-1, power.shape[-1])
        with np.errstate(divide="ignore", invalid="ignore"):
            channel_snr_db = 10 * np.log10(power.sum(axis=0) / error.sum(axis=0))
            snr_db = 10 * np.log10(power.sum() / error.sum())
        density = spikes.mean(axis=0)
        return cls(
            float(snr_db), float(error.mean()), float(density.mean()), float(density.mean() / dt),
            channel_snr_db, error.mean(axis=0), density, density / dt,
        )  # fmt: skip
