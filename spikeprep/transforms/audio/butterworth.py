"""Audio → channels of a bank of Butterworth band-pass filters."""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ...config import Meta
from ...errors import UsageError
from .frequency_scales import spaced_by_erb, spaced_by_octaves
from .section_bank import SectionBank

_TOP = 0.999  # of half the rate: the highest edge that a digital band-pass filter can have


@dataclass(frozen=True)
class Butterworth(SectionBank):
    """Butterworth band-pass filters side by side: audio → `Frames` of the power of each band, channel 0 the highest.

    The gain is 1 within a band and falls to 1 / √2 (−3 dB) at its edges, which neighbours share. The edges divide `low`
    … `high` evenly on a scale; of half the rate the highest edge is 0.999.

    Parameters
    ----------
    order
        Order of the low-pass filter that each is made from; the slopes are 6 dB per octave of distance for each.
    scale
        ``"erb"``: edges are even in ERB rate, as the ear's filters are; ``"octaves"``: in the logarithm of frequency.
    """

    name: ClassVar[str] = "butterworth"
    picture: ClassVar[str] = "Butterworth filter bank"
    citation: ClassVar[str] = (
        "Butterworth 1930, On the theory of filter amplifiers, Experimental Wireless 7; Virtanen et al. 2020, SciPy "
        "1.0, Nature Methods 17 (signal.butter)"
    )

    order: Annotated[int, Meta(ge=1, le=8)] = 2
    scale: Literal["erb", "octaves"] = "erb"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.low:
            raise UsageError("got butterworth.low = 0", "a frequency above 0, in Hz")

    def edges(self, rate: float) -> NDArray[np.float64]:
        """Return the edges of the bands in Hz, decreasing, (channel + 1,); raises `UsageError` as `band`."""
        low, high = self.band(rate)
        spaced = spaced_by_erb if self.scale == "erb" else spaced_by_octaves
        return spaced(low, min(high, _TOP * rate / 2), self.channels)

    def centres(self, rate: float) -> NDArray[np.float64]:
        """Return each band's centre in Hz, the geometric mean of its edges, decreasing."""
        edges = self.edges(rate)
        return np.asarray(np.sqrt(edges[1:] * edges[:-1]))

    def sections(self, rate: float) -> NDArray[np.float64]:
        """Return the coefficients b0 b1 b2 a1 a2 (a0 is 1) of each channel's sections, (order, 5, channel)."""
        return _design(rate, tuple(self.edges(rate).tolist()), self.order)


@functools.lru_cache(16)
def _design(rate: float, edges: tuple[float, ...], order: int) -> NDArray[np.float64]:
    from scipy.signal import butter

    sections = np.empty((order, 5, len(edges) - 1))
    for channel, (high, low) in enumerate(itertools.pairwise(edges)):
        sos = butter(order, [low, high], "bandpass", fs=rate, output="sos")
        sections[:, :, channel] = sos[:, [0, 1, 2, 4, 5]]
    sections.setflags(write=False)
    return sections
