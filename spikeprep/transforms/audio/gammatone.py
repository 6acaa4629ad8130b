"""Audio → channels of a gammatone filter bank, the filters of the human ear after Patterson et al. 1992."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .frequency_scales import erb_bandwidth, spaced_by_erb
from .section_bank import SectionBank
from .section_filters import response

_BANDWIDTH = 1.019  # b / ERB, so that the filter's equivalent rectangular bandwidth is one ERB


@dataclass(frozen=True)
class Gammatone(SectionBank):
    """A gammatone filter bank: audio → `Frames` of the power of each channel, channel 0 the highest frequency.

    The impulse response of a channel of centre f is t³ exp(−2π b t) cos(2π f t), b = 1.019 ERB(f), with ERB(f) = 24.7
    (4.37 f / 1000 + 1) Hz, scaled to a gain of 1 at f. As Slaney 1993 does, four second-order sections have it, with
    poles and zeros mapped by z = exp(s T), and centres are spaced evenly in ERB rate: the last one is `low`, the one
    above the first would be `high`. With ``compression="square_root"`` values are √2 times the root mean
    squares of the package `gammatone` (``gtgram``), whose first channel is the lowest.
    """

    name: ClassVar[str] = "gammatone"
    picture: ClassVar[str] = "gammatone filter bank"
    citation: ClassVar[str] = (
        "Patterson et al. 1992, Complex sounds and auditory images, Auditory Physiology and Perception; Slaney 1993, "
        "An efficient implementation of the Patterson-Holdsworth auditory filter bank, Apple TR 35; Glasberg & Moore "
        "1990, Derivation of auditory filter shapes from notched-noise data, Hearing Research 47"
    )

    def centres(self, rate: float) -> NDArray[np.float64]:
        """Return each channel's centre frequency in Hz, decreasing; raises `UsageError` as `band`."""
        return spaced_by_erb(*self.band(rate), self.channels)[1:]

    def sections(self, rate: float) -> NDArray[np.float64]:
        """Return the coefficients b0 b1 b2 a1 a2 (a0 is 1) of each channel's four sections, (4, 5, channel)."""
        return _design(rate, *self.band(rate), self.channels)


@functools.lru_cache(16)
def _design(rate: float, low: float, high: float, channels: int) -> NDArray[np.float64]:
    """Return the sections of a bank.

    The Laplace transform of t³ exp(−Bt) cos(ωt) is 6 ((s+B)⁴ − 6 ω² (s+B)² + ω⁴) / ((s+B)² + ω²)⁴: its zeros are at
    s = −B ± (√2 ± 1) ω. Each section has the pair of poles and one of the zeros, that of the sampled t exp(−Bt) times a
    sine and a cosine: exp(−BT) (cos ωT + (±√2 ± 1) sin ωT).
    """
    centres = spaced_by_erb(low, high, channels)[1:]
    decay = np.exp(-2 * np.pi * _BANDWIDTH * erb_bandwidth(centres) / rate)
    angle = 2 * np.pi * centres / rate
    sections = np.zeros((4, 5, channels))
    sections[:, 0] = 1
    for section, place in zip(
        sections, (np.sqrt(2) + 1, -np.sqrt(2) - 1, np.sqrt(2) - 1, 1 - np.sqrt(2)), strict=True
    ):
        section[1] = -decay * (np.cos(angle) + place * np.sin(angle))
    sections[:, 3], sections[:, 4] = -2 * decay * np.cos(angle), decay**2
    for section in sections:  # one by one: the product of all four gains at a low frequency is far from 1
        section[:3] /= np.abs(response(section[None], centres, rate))
    sections.setflags(write=False)  # the cache hands out the same array again
    return sections
