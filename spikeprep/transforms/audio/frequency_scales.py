"""Scales of frequency on which the channels of a front end are spaced: ERB rate, mel, logarithm."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

EAR_Q, LEAST_BANDWIDTH_HZ = 9.26449, 24.7
"""Equivalent rectangular bandwidth of the ear: f / `EAR_Q` + `LEAST_BANDWIDTH_HZ` (Glasberg & Moore 1990)."""

MelScale = Literal["htk", "slaney"]

_SLANEY_HZ_PER_MEL, _SLANEY_BREAK_HZ, _SLANEY_STEP = 200 / 3, 1000.0, np.log(6.4) / 27


def erb_bandwidth(hertz: Any) -> Any:
    """Return the equivalent rectangular bandwidth in Hz at a frequency: 24.7 (4.37 f / 1000 + 1)."""
    return hertz / EAR_Q + LEAST_BANDWIDTH_HZ


def spaced_by_erb(low: float, high: float, steps: int) -> NDArray[np.float64]:
    """Return the frequencies that divide `low` … `high` Hz into equal steps of ERB rate, decreasing, (step + 1,).

    From the highest down, number k is −c + (high + c) ((low + c) / (high + c))^(k / steps), c = 9.26449 · 24.7
    (Slaney 1993, An efficient implementation of the Patterson-Holdsworth auditory filter bank, Apple TR 35).
    """
    offset = EAR_Q * LEAST_BANDWIDTH_HZ
    ratio = (low + offset) / (high + offset)
    return np.asarray((high + offset) * ratio ** (np.arange(steps + 1) / steps) - offset)


def spaced_by_octaves(low: float, high: float, steps: int) -> NDArray[np.float64]:
    """Return the frequencies that divide `low` … `high` Hz into equal ratios, decreasing, (step + 1,)."""
    return np.asarray(high * (low / high) ** (np.arange(steps + 1) / steps))


def to_mel(hertz: Any, scale: MelScale) -> Any:
    """Return frequencies in mel.

    ``"htk"``: 2595 log₁₀(1 + f / 700) (O'Shaughnessy 1987). ``"slaney"``: 3 f / 200 up to 1 kHz, and above it a step
    per factor of 6.4^(1/27) (Auditory Toolbox).
    """
    hertz = np.asarray(hertz, np.float64)
    if scale == "htk":
        return 2595 * np.log10(1 + hertz / 700)
    above = (
        _SLANEY_BREAK_HZ / _SLANEY_HZ_PER_MEL + np.log(np.maximum(hertz, 1) / _SLANEY_BREAK_HZ) / _SLANEY_STEP
    )
    return np.where(hertz < _SLANEY_BREAK_HZ, hertz / _SLANEY_HZ_PER_MEL, above)


def from_mel(mel: Any, scale: MelScale) -> Any:
    """Return frequencies in Hz: the inverse of `to_mel`."""
    mel = np.asarray(mel, np.float64)
    if scale == "htk":
        return 700 * (10 ** (mel / 2595) - 1)
    bend = _SLANEY_BREAK_HZ / _SLANEY_HZ_PER_MEL
    above = _SLANEY_BREAK_HZ * np.exp(_SLANEY_STEP * (np.maximum(mel, bend) - bend))
    return np.where(mel < bend, mel * _SLANEY_HZ_PER_MEL, above)
