"""Analogue channels → spikes by Ben's Spiker Algorithm: a spike where subtracting a filter explains the signal.

Decoding convolves the spikes with the filter h. At step t, with s what is left of the signal over the filter's window,
the errors with and without a spike are e1 = Σ_j |s[t+j] − h[j]| and e2 = Σ_j |s[t+j]|. Where e1 < e2 − θ the channel
spikes and h is subtracted from s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .._simd import LANES, above, aligned_zeros, larger, load, load_word, select, smaller, spread, store
from ..data import Frames, SpikeTrain
from ..errors import DataError, UsageError, near_miss
from ..random import SampleKey
from .base import Encoder

_TRANSPOSE = tuple(
    (np.uint64(shift), np.uint64(mask))
    for shift, mask in ((7, 0x00AA00AA00AA00AA), (14, 0x0000CCCC0000CCCC), (28, 0x00000000F0F0F0F0))
)


def _gaussian() -> tuple[float, ...]:
    """Return HM2-BP's filter: exp(−(j − 12)² / 25), j = 0 … 23, divided by its sum."""
    h = np.exp(-((np.arange(24) - 12.0) ** 2) / 25)
    return tuple((h / h.sum()).tolist())


def _low_pass() -> tuple[float, ...]:
    """Return a low-pass filter of 24 taps: a sinc cut at 0.12 of the Nyquist frequency in a Hamming window."""
    h = np.sinc(0.12 * (np.arange(24) - 11.5)) * np.hamming(24)
    return tuple((h / h.sum()).tolist())


# schrauwen2003 designs its filter for each kind of data: a general one stands in here, the threshold is the paper's.
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "hm2bp": {"filter": _gaussian(), "theta": 0.6, "scale": 2000.0, "hold": 10, "delay": 1},
    "schrauwen2003": {"filter": _low_pass(), "theta": 0.955, "scale": 1.0, "hold": 1, "delay": 0},
}


@njit(nogil=True, cache=True)
def _encode(
    frames: NDArray[np.float64],
    width: int,
    hold: int,
    h: NDArray[np.float64],
    enough: float,
    delay: int,
    window: NDArray[np.float64],
    bits: NDArray[np.uint8],
) -> None:
    """Write the spikes of `frames` [frame · width] to `bits` (channel, byte); width is whole tiles of LANES.

    Σ_j of the part of h[j] that s[t+j] covers, s clipped to between 0 and h, is (e2 − e1 + Σ|h|) / 2; `enough` is what
    it is at the threshold.

    `window` [(tap + 1) · LANES] is scratch: what is left of the signal at the taps. A step's spikes are subtracted as
    the next step moves it on, in one pass and without a branch that would have to be guessed.
    """
    channels, steps, taps = bits.shape[0], frames.size // width * hold, h.size
    zero, limit = spread(0.0), spread(enough)
    following = np.append(h[1:], 0.0)
    signed = (h < 0).any()
    fired = np.zeros((LANES // 8, 8 * bits.shape[1] + delay), np.uint8)
    for first in range(0, channels, LANES):
        window[:] = 0.0
        for j in range(1, min(taps, steps + 1)):  # moved on once before the first decision
            store(window, j * LANES, load(frames, (j - 1) // hold * width + first))
        spikes = above(zero, zero)
        for step in range(steps):
            coming = (step + taps - 1) // hold * width + first
            store(window, taps * LANES, load(frames, coming) if coming < frames.size else zero)
            covered = zero
            for j in range(taps):
                s = load(window, (j + 1) * LANES) - select(spikes, spread(following[j]), zero)
                store(window, j * LANES, s)
                if signed and h[j] < 0:
                    covered = covered - larger(smaller(s, zero), spread(h[j]))
                else:
                    covered = covered + smaller(larger(s, zero), spread(h[j]))
            spikes = above(covered, limit)
            for line in range(LANES // 8):
                fired[line, step + delay] = spikes >> np.uint32(8 * line) & np.uint32(255)
        fired[:, steps:] = 0
        for line in range(LANES // 8):
            start = first + 8 * line
            for byte in range(bits.shape[1] if start < channels else 0):
                # 8 steps × 8 channels of bits, transposed (Warren, Hacker's Delight, 7-3)
                x = load_word(fired[line], 8 * byte)
                for shift, mask in _TRANSPOSE:
                    t = (x ^ x >> shift) & mask
                    x ^= t ^ t << shift
                for channel in range(start, min(start + 8, channels)):
                    bits[channel, byte] = x & np.uint64(255)
                    x >>= np.uint64(8)


def bsa_reference(signal: NDArray[np.float64], h: NDArray[np.float64], theta: float) -> NDArray[np.bool_]:
    """Encode `signal` (time, channel), literally: bool (time, channel), spikes at the steps that decide them.

    `theta` is absolute; the signal is taken as 0 past its end.
    """
    s = np.concatenate([signal, np.zeros((len(h), signal.shape[1]))])
    spikes = np.zeros(signal.shape, np.bool_)
    for t in range(len(signal)):
        window = s[t : t + len(h)]
        e1, e2 = np.abs(window - h[:, None]).sum(axis=0), np.abs(window).sum(axis=0)
        spikes[t] = e1 < e2 - theta
        window -= spikes[t] * h[:, None]
    return spikes


@dataclass(frozen=True)
class Quality:
    """How well spikes tell a signal: of all channels together, and of each.

    Attributes
    ----------
    snr_db, channel_snr_db
        Signal to noise, 10 log₁₀(Σ s² / Σ (s − decoded)²); infinite where nothing is lost, NaN for a silent channel.
    mse, channel_mse
        Mean squared error, in the signal's own units.
    density, channel_density
        Spikes a step.
    rate, channel_rate
        Spikes a second.
    """

    snr_db: float
    mse: float
    density: float
    rate: float
    channel_snr_db: NDArray[np.float64]
    channel_mse: NDArray[np.float64]
    channel_density: NDArray[np.float64]
    channel_rate: NDArray[np.float64]


@dataclass(frozen=True)
class BSA(Encoder):
    """Ben's Spiker Algorithm: each channel's spikes, convolved with a filter, rebuild the channel.

    Encodes `Frames`, or an array (time, channel) or (time,). A setting that is left out is the preset's. What counts
    as the end is the signal's own: past it the signal is 0, and a spike that `delay` moves past it is dropped.

    Parameters
    ----------
    preset
        ``"hm2bp"``: Jin, Zhang & Li 2018, for cochleagrams of Lyon's ear. ``"schrauwen2003"``: Schrauwen & Van
        Campenhout's threshold with a 24-tap low-pass filter, for signals in [0, 1]; theirs is designed for their data.
    theta
        Threshold θ as a share of the filter's Σh, below 1: at 1 every step whose signal covers the filter would be an
        exact tie, which rounding decides.
    filter
        The taps h.
    scale
        What the signal is multiplied by first.
    hold
        Steps for which each frame is held.
    delay
        Steps from a decision to its spike; HM2-BP's is 1.
    dt
        Seconds of a step, of signals that have no rate of their own.
    """

    name: ClassVar[str] = "bsa"
    citation: ClassVar[str] = (
        "Schrauwen & Van Campenhout 2003, BSA, a fast and accurate spike train encoding scheme, IJCNN"
    )

    preset: str = "hm2bp"
    theta: float | None = None
    filter: tuple[float, ...] = ()
    scale: float | None = None
    hold: int | None = None
    delay: int | None = None
    dt: float = 1e-3

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise UsageError(f"bsa: got preset {self.preset!r}", "", near_miss(str(self.preset), PRESETS))
        for key, value in PRESETS[self.preset].items():
            if getattr(self, key) in (None, ()):
                object.__setattr__(self, key, value)
        object.__setattr__(self, "filter", tuple(self.filter))
        h = self.taps
        if h.size < 1 or not np.isfinite(h).all() or not h.sum() > 0:
            raise UsageError(f"bsa: got the filter {list(self.filter)}", "finite taps with a sum above 0")
        if not 0 < self._theta < 1:
            raise UsageError(
                f"bsa: got theta {self.theta}",
                "a share of the filter's sum above 0 and below 1",
                "At 1 every step whose signal covers the filter is an exact tie, which rounding decides; above 1 none "
                "can spike.",
            )
        if not (
            isinstance(self.hold, int) and isinstance(self.delay, int) and self.hold > 0 and self.delay >= 0
        ):
            raise UsageError(
                f"bsa: got hold {self.hold!r}, delay {self.delay!r}",
                "whole steps, hold at least 1, delay at least 0",
            )
        if not (self._scale > 0 and np.isfinite(self._scale) and self.dt > 0):
            raise UsageError(f"bsa: got scale {self.scale}, dt {self.dt}", "both above 0")

    # what __post_init__ has filled in
    @property
    def taps(self) -> NDArray[np.float64]:
        """The filter h as an array (tap,)."""
        return np.array(self.filter, np.float64)

    @property
    def _theta(self) -> float:
        assert self.theta is not None
        return float(self.theta)

    @property
    def _scale(self) -> float:
        assert self.scale is not None
        return float(self.scale)

    @property
    def _hold(self) -> int:
        assert self.hold is not None
        return self.hold

    @property
    def _delay(self) -> int:
        assert self.delay is not None
        return self.delay

    @property
    def ragged(self) -> bool:
        """Return True: a signal has as many steps as it has frames to hold."""
        return True

    @property
    def seconds_per_step(self) -> float:
        """Return `dt`, the step of signals that have no rate; see `step_seconds`."""
        return self.dt

    def step_seconds(self, signal: Any) -> float:
        """Return the length of a step: of `Frames` their own, held; of an array `dt`."""
        return 1 / (signal.rate * self._hold) if isinstance(signal, Frames) else self.dt

    def unit_shape(self, signal: Any) -> tuple[int, ...]:
        """Return (channels,)."""
        return (_values(signal).shape[1],)

    def max_steps(self, signal: Any) -> int:
        """Return frames × `hold`."""
        return len(_values(signal)) * self._hold

    def encode(self, signal: Any, *, rng: SampleKey | None = None) -> SpikeTrain:
        """Return the packed spikes; raises `DataError` for anything but finite analogue channels."""
        values = _values(signal)
        if not np.isfinite(values).all():
            raise DataError("bsa: got values that are NaN or infinite", "finite ones", "Repair the signal.")
        (frames, channels), hold, h = values.shape, self._hold, self.taps
        width = -(-channels // LANES) * LANES
        held = aligned_zeros((frames, width), np.float64)
        held[:, :channels] = values
        held *= self._scale
        bits = np.zeros((channels, -(-frames * hold // 8)), np.uint8)
        enough = (float(np.abs(h).sum()) + self._theta * float(h.sum())) / 2
        window = aligned_zeros(((h.size + 1) * LANES,), np.float64)
        _encode(held.reshape(-1), width, hold, h, enough, self._delay, window, bits)
        return SpikeTrain(bits, frames * hold)

    def decode(self, spikes: NDArray[Any]) -> NDArray[np.float64]:
        """Rebuild the signal, float64 (time, channel), a value a step, from spikes (time, channel)."""
        decided = np.zeros(spikes.shape)
        decided[: len(spikes) - self._delay] = spikes[self._delay :]
        rebuilt = np.zeros(spikes.shape)
        for j, tap in enumerate(self.filter[: len(spikes)]):
            rebuilt[j:] += tap * decided[: len(spikes) - j]
        return rebuilt / self._scale

    def held(self, signal: Any) -> NDArray[np.float64]:
        """Return the signal at every step, float64 (time, channel): what `decode` rebuilds."""
        return np.repeat(_values(signal).astype(np.float64), self._hold, axis=0)

    def quality(self, signal: Any) -> Quality:
        """Encode `signal`, decode it again, and return how well that went."""
        spikes, signal_at = self(signal), self.held(signal)
        error = (signal_at - self.decode(spikes)) ** 2
        power = (signal_at**2).sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            snr = 10 * np.log10(power / error.sum(axis=0))
            whole = 10 * np.log10(power.sum() / error.sum())
        density = spikes.mean(axis=0)
        seconds = self.step_seconds(signal)
        return Quality(
            float(whole), float(error.mean()), float(density.mean()), float(density.mean() / seconds),
            snr, error.mean(axis=0), density, density / seconds,
        )  # fmt: skip


def _values(signal: Any) -> NDArray[Any]:
    """Return a signal's values (time, channel); raises `DataError` for anything but analogue channels."""
    values = np.asarray(signal.values if isinstance(signal, Frames) else signal)
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or not (np.issubdtype(values.dtype, np.number) and np.isrealobj(values)):
        raise DataError(
            f"bsa: got {type(signal).__name__}, {values.dtype} {values.shape}",
            "Frames, or numbers (time, channel)",
            "Put a transform that makes channels ahead of it, such as lyon.",
        )
    return values
