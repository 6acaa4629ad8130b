"""Audio → a mel spectrogram: the power of a Fourier transform in bands that are even in mel."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...config import Meta, NonNegative
from ...errors import UsageError
from .base import Samples
from .filter_bank import Compression, FilterBank
from .frequency_scales import MelScale, from_mel, to_mel
from .mel_kernel import MelTables, mel_power
from .mel_kernel import tables as kernel_tables

_LARGEST_FFT = 1 << 16


@dataclass(frozen=True)
class Mel(FilterBank):
    """A mel spectrogram: audio → `Frames` of the power in each band, channel 0 the highest frequency.

    A frame is weighted by a Hann window (periodic), and its Fourier transform's |X|² summed with triangular weights: a
    band's weight rises from 0 at the centre below it to 1 at its own centre, and falls to 0 at the one above. The band
    of frequencies `low` … `high` is divided evenly in mel. The window spreads a sine over bins, which add up: one of
    full scale at a band's centre has a power of 0.8 to 1.5 there, the more the more bins the band has. The values of
    torchaudio's ``MelSpectrogram`` come with ``compression="none"``, ``full_scale=False``, ``padding="reflect"`` and
    low 0, those of librosa's ``melspectrogram`` with ``padding="zeros"``, scale and norm ``"slaney"``; their first
    channel is the lowest, here it is the last.

    Parameters
    ----------
    fft
        Samples of the Fourier transform, a power of two of at least a window's; 0: the next one. A longer one has
        more bins, but does not tell more frequencies apart.
    scale
        ``"htk"``: 2595 log₁₀(1 + f / 700). ``"slaney"``: linear up to 1 kHz, then logarithmic (Auditory Toolbox).
    norm
        ``"none"``: triangles of height 1; ``"slaney"``: of area 1, in Hz.
    padding
        ``"none"``: frame k summarises the samples from k hops on. Else it is centred on that sample, the sound goes on
        at both ends by ``"reflect"`` (mirrored) or ``"zeros"``, and n samples have ⌊n / hop⌋ + 1 frames.
    full_scale
        Whether power is divided by that of a sine of full scale in its bin, (Σ window / 2)²; else it is |X|² as it is,
        and ``"decibels"`` have no upper limit.
    running_sum
        Whether to add channels, ahead of the others: the sum of each band's power from the first frame to this one,
        compressed alike (Speech2Spikes). Sums exceed full scale, so ``"decibels"`` have no upper limit.
    precision
        ``"float64"``, or ``"float32"``, which is faster and within 1e-5 of the largest power.
    """

    name: ClassVar[str] = "mel"
    picture: ClassVar[str] = "mel spectrogram"
    citation: ClassVar[str] = (
        "Davis & Mermelstein 1980, Comparison of parametric representations for monosyllabic word recognition in "
        "continuously spoken sentences, IEEE Transactions on Acoustics, Speech, and Signal Processing 28; Young et al. "
        "2006, The HTK Book; Slaney 1998, Auditory Toolbox version 2, Interval Research TR 1998-010"
    )

    channels: Annotated[int, Meta(ge=1, le=4096)] = 40
    low: NonNegative = 20.0
    compression: Compression = "decibels"
    fft: Annotated[int, Meta(ge=0, le=_LARGEST_FFT)] = 0
    scale: MelScale = "htk"
    norm: Literal["none", "slaney"] = "none"
    padding: Literal["none", "reflect", "zeros"] = "none"
    full_scale: bool = True
    running_sum: bool = False
    precision: Literal["float64", "float32"] = "float64"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fft and (self.fft < 4 or self.fft & (self.fft - 1)):
            raise UsageError(f"got mel.fft = {self.fft}", "a power of two of at least 4, or 0")

    @property
    def quantity(self) -> str:
        """What its values are, with their unit, as pictures label it."""
        if self.compression == "decibels" and not self.full_scale:
            return f"level (1: |X|² = 1, 0: −{self.range_db:g} dB)"
        return super().quantity

    @property
    def most_decibels(self) -> float:
        """What ``"decibels"`` are limited to: 1, full scale; infinity where power is not relative to it, or summed."""
        return 1.0 if self.full_scale and not self.running_sum else np.inf

    def centres(self, rate: float) -> NDArray[np.float64]:
        """Return each band's centre frequency in Hz, decreasing; raises as `weights`."""
        return _design(self, rate).centres

    def width(self, rate: float) -> int:
        """Return how many channels frames have."""
        return self.channels * (2 if self.running_sum else 1)

    def fft_samples(self, rate: float) -> int:
        """Return the samples of the Fourier transform; raises `UsageError` where a window has more."""
        window = self.window_samples(rate)
        size = self.fft or max(1 << (window - 1).bit_length(), 4)
        if window > size or size > _LARGEST_FFT:
            raise UsageError(
                f"mel: got mel.window = {self.window:g} s, which is {window} samples at {rate:g} Hz",
                f"at most mel.fft = {self.fft}" if self.fft else f"at most {_LARGEST_FFT}",
                "Shorten the window" + (", or raise mel.fft." if self.fft else "."),
            )
        return size

    def weights(self, rate: float) -> NDArray[np.float64]:
        """Return the weight of each bin of the Fourier transform in each band, (channel, bin), the highest band first.

        Raises
        ------
        UsageError
            The settings do not fit the rate, or a band lies between two bins and would always be 0.
        """
        return _design(self, rate).bands[::-1]

    def frame_grid(self, samples: int, rate: float) -> tuple[int, float]:
        """Return how many frames so many samples have, and the frames per second.

        None for a sound that is shorter than a window, or, to be mirrored, than half a window.
        """
        design = _design(self, rate)
        if self.padding == "none":
            return max((samples - design.window) // design.hop + 1, 0), rate / design.hop
        least = max(design.before, design.after) + 1 if self.padding == "reflect" else 1
        return samples // design.hop + 1 if samples >= least else 0, rate / design.hop

    def power(self, samples: Samples, rate: float, frames: int) -> NDArray[Any]:
        """Return the power of each frame and channel, (frame, channel), in the setting's precision."""
        design = _design(self, rate)
        power = mel_power(
            samples,
            frames,
            design.hop,
            design.window,
            design.tables,
            -design.before,
            self.padding == "reflect",
        )
        if self.running_sum:
            power = np.concatenate([np.cumsum(power, axis=0), power], axis=1)
        return power


class _Design(NamedTuple):
    """What a rate makes of the settings: samples of a hop and of a window, and of them those outside the sound."""

    hop: int
    window: int
    before: int
    after: int
    tables: MelTables
    bands: NDArray[np.float64]  # (band, bin), the lowest band first
    centres: NDArray[np.float64]  # the highest first


def _edges(low: float, high: float, channels: int, scale: MelScale) -> NDArray[np.float64]:
    """Return where bands begin, have their centres and end, in Hz, increasing: (channel + 2,)."""
    return np.asarray(from_mel(np.linspace(to_mel(low, scale), to_mel(high, scale), channels + 2), scale))


def triangles(
    rate: float, fft: int, low: float, high: float, channels: int, scale: MelScale, norm: str
) -> NDArray[np.float64]:
    """Return the triangular weights of each bin in each band, (band, bin), the lowest band first."""
    edges = _edges(low, high, channels, scale)
    bins = np.arange(fft // 2 + 1) * (rate / fft)
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    weights = np.maximum(np.minimum(rising, falling), 0)
    return weights * (2 / (edges[2:] - edges[:-2]))[:, None] if norm == "slaney" else weights


@functools.lru_cache(16)
def _design(mel: Mel, rate: float) -> _Design:
    from scipy.signal.windows import hann

    low, high = mel.band(rate)
    window, fft = mel.window_samples(rate), mel.fft_samples(rate)
    bands = triangles(rate, fft, low, high, mel.channels, mel.scale, mel.norm)
    empty = int((~bands.any(axis=1)).sum())
    if empty:
        raise UsageError(
            f"mel: got {mel.channels} channels from {low:g} to {high:g} Hz, {empty} of them between two bins of "
            f"{rate / fft:g} Hz (mel.fft {fft} at {rate:g} Hz)",
            "at least one bin in every band",
            "Lower mel.channels, or raise mel.low, mel.window or mel.fft.",
        )
    weights = np.zeros(fft)
    weights[:window] = hann(window, sym=False)
    if mel.full_scale:
        bands /= (weights.sum() / 2) ** 2
    centres = _edges(low, high, mel.channels, mel.scale)[-2:0:-1]
    for array in (bands, centres):
        array.setflags(write=False)  # the cache hands out the same arrays again
    # as torchaudio and librosa, whose window is in the middle of a transform that is longer
    before = 0 if mel.padding == "none" else fft // 2 - (fft - window) // 2
    after = 0 if mel.padding == "none" else window - before
    tables = kernel_tables(weights, bands, np.dtype(mel.precision))
    return _Design(mel.hop_samples(rate), window, before, after, tables, bands, centres)
