"""The filters of Lyon's passive ear, designed for a sampling rate (Slaney 1988, Lyon's Cochlear Model, Apple TR 13)."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import UsageError

TARGETS = (0.0032, 0.0016, 0.0008, 0.0004)  # of the gain control's stages
TIME_CONSTANTS = (0.64, 0.16, 0.04, 0.01)  # seconds
CAP = 0.9  # upper limit of a gain control's state; without it the output changes by about 1 %
FRONT = 2  # stages ahead of the channels: outer and middle ear

_BREAK_HZ = 1000.0  # below it bandwidth is constant, above it proportional to frequency
_MOST_CHANNELS = 4096
_ZERO_OFFSET, _ZERO_SHARPNESS, _PREEMPHASIS_HZ = 1.5, 5.0, 300.0


class Filters(NamedTuple):
    """The filters of Lyon's passive ear at one sampling rate.

    Attributes
    ----------
    sections
        Coefficients of the cascade, float64 (a0 a1 a2 b1 b2, FRONT + channel).
    centres
        Each channel's centre frequency in Hz, decreasing, float64 (channel,).
    decay
        Share that a gain control's state loses per sample, float64 (stage,).
    smooth
        ε of the two one-pole filters ahead of decimation.
    """

    sections: NDArray[np.float64]
    centres: NDArray[np.float64]
    decay: NDArray[np.float64]
    smooth: float


def _resonance(hertz: Any, q: Any, rate: float) -> tuple[Any, Any]:
    """Return the two last coefficients of 1 + b1 z⁻¹ + b2 z⁻², a conjugate pair at `hertz` of quality `q`."""
    radius = np.exp(-np.pi * hertz / (rate * q))
    angle = 2 * np.pi * hertz / rate * np.sqrt(1 - 1 / (4 * q**2))
    return -2 * radius * np.cos(angle), radius**2


def _gain(sections: NDArray[np.float64], hertz: float, rate: float) -> NDArray[np.float64]:
    """Return |H| of sections (5, stage) at a frequency."""
    a0, a1, a2, b1, b2 = sections
    z = np.exp(-2j * np.pi * hertz / rate)
    return np.asarray(np.abs((a0 + a1 * z + a2 * z**2) / (1 + b1 * z + b2 * z**2)))


@functools.lru_cache(16)
def design(rate: float, ear_q: float, step_factor: float, decimation: int, tau_factor: float) -> Filters:
    """Design the filters for audio of `rate` Hz, after Slaney 1988, Lyon's Cochlear Model (Apple TR 13).

    Raises
    ------
    UsageError
        Fewer than 2 channels, or more than 4 096, fit between the lowest pole and half the rate.
    """

    def bandwidth(hertz: Any) -> Any:
        return np.sqrt(hertz**2 + _BREAK_HZ**2) / ear_q

    top = rate / 2 + bandwidth(rate / 2) * step_factor * (1 - _ZERO_OFFSET)  # leaves space for the first zero
    lowest = _BREAK_HZ / np.sqrt(4 * ear_q**2 - 1)  # where the poles' quality reaches ½
    # centres are spaced by step_factor bandwidths: evenly in ear_q · asinh(f / break)
    places = ear_q * (np.arcsinh(top / _BREAK_HZ) - np.arcsinh(lowest / _BREAK_HZ)) / step_factor
    channels = int(np.clip(np.floor(places), 0, 1e9))
    if not 2 <= channels <= _MOST_CHANNELS:
        raise UsageError(
            f"lyon: got audio of {rate:g} Hz, which gives {channels} channels",
            f"2 to {_MOST_CHANNELS} (ear_q {ear_q:g}, step_factor {step_factor:g})",
            "Lower lyon.step_factor, or resample the audio to a higher rate."
            if channels < 2
            else "Raise lyon.step_factor.",
        )
    steps = np.arange(1, channels + 1) * (step_factor / ear_q)
    centres = _BREAK_HZ * np.sinh(np.arcsinh(top / _BREAK_HZ) - steps)

    sections = np.zeros((5, FRONT + channels))
    width = bandwidth(centres)
    zeros = centres + width * step_factor * _ZERO_OFFSET
    sections[0, FRONT:] = 1
    sections[1:3, FRONT:] = _resonance(zeros, _ZERO_SHARPNESS * zeros / width, rate)
    sections[3:, FRONT:] = _resonance(centres, centres / width, rate)
    # the gain at 0 Hz that makes the peaks of the cascade equally high
    wanted = np.concatenate([centres[:1] / centres[1:2], centres[:-1] / centres[1:]])
    sections[:3, FRONT:] *= wanted / _gain(sections[:, FRONT:], 0, rate)

    sections[1:3, 0] = 1, -np.exp(-2 * np.pi * _PREEMPHASIS_HZ / rate)
    sections[0:3, 1] = 1, 0, -1
    sections[3:, 1] = _resonance(top, centres[0] / width[0], rate)
    sections[:3, :FRONT] /= _gain(sections[:, :FRONT], rate / 4, rate)

    decay = -np.expm1(-1 / (rate * np.array(TIME_CONSTANTS)))
    for array in (sections, centres, decay):
        array.setflags(write=False)  # the cache hands out the same arrays again
    return Filters(sections, centres, decay, float(-np.expm1(-1 / (tau_factor * decimation))))
