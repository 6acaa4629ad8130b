"""Analogue channels → spikes by Ben's Spiker Algorithm: a spike where subtracting a filter explains the signal.

Decoding convolves the spikes with the filter h. At step t, with s what is left of the signal over the filter's window,
the errors with and without a spike are e1 = Σ_j |s[t+j] − h[j]| and e2 = Σ_j |s[t+j]|. Where e1 < e2 − θ the channel
spikes and h is subtracted from s.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from .._jit import jit
from .._simd import LANES, above, aligned_zeros, larger, load, select, smaller, spread, store
from ..config import Meta, Positive, Real
from ..data import Bits, Frames, SpikeTrain
from ..errors import DataError, UsageError
from ..random import SampleKey
from .base import Description, Encoder
from .channel_bits import write_channels
from .channels import channels_of, check_sign, spikes_to_decode


def _gaussian() -> tuple[float, ...]:
    """Return HM2-BP's filter: exp(−(j − 12)² / 25), j = 0 … 23, divided by its sum."""
    return _normalised([math.exp(-((j - 12.0) ** 2) / 25) for j in range(24)])


def _low_pass() -> tuple[float, ...]:
    """Return a low-pass filter of 24 taps: a sinc cut at 0.12 of the Nyquist frequency in a Hamming window."""
    places = [math.pi * (0.12 * (j - 11.5)) for j in range(24)]
    window = [0.54 + 0.46 * math.cos(math.pi * (2 * j - 23) / 23) for j in range(24)]
    return _normalised([math.sin(x) / x * w for x, w in zip(places, window, strict=True)])


def _normalised(taps: list[float]) -> tuple[float, ...]:
    # functions of math, not of NumPy: stores keep the taps, and NumPy's last digits depend on the processor
    h = np.array(taps)
    return tuple((h / h.sum()).tolist())


# schrauwen2003: the paper designs a filter for each kind of data, here a general low-pass; the threshold is its own.
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "hm2bp": {"filter": _gaussian(), "theta": 0.6, "scale": 2000.0, "hold": 10, "delay": 1},
    "schrauwen2003": {"filter": _low_pass(), "theta": 0.955, "scale": 1.0, "hold": 1, "delay": 0},
}


@jit
def _encode(
    frames: NDArray[np.float64],
    width: int,
    hold: int,
    h: NDArray[np.float64],
    least: float,
    delay: int,
    window: NDArray[np.float64],
    bits: NDArray[np.uint8],
) -> None:
    """Write the spikes of `frames` [frame · width] to `bits` (channel, byte); width is a multiple of LANES.

    A channel spikes where Σ_j of the part of h[j] that s[t+j] covers, s clipped to between 0 and h, exceeds `least`:
    that sum is (e2 − e1 + Σ|h|) / 2, and `least` is its value at the threshold.

    `window` [(tap + 1) · LANES] is scratch: what is left of the signal at the taps. The spikes of a step are
    subtracted while the next step shifts the window, in one pass and without branches.
    """
    channels, steps, taps = bits.shape[0], frames.size // width * hold, h.size
    zero, limit = spread(0.0), spread(least)
    following = np.append(h[1:], 0.0)
    signed = (h < 0).any()
    fired = np.zeros((LANES // 8, (bits.shape[1] + 7) // 8 * 64 + delay), np.uint8)
    for first in range(0, channels, LANES):
        window[:] = 0.0
        for j in range(1, min(taps, steps + 1)):  # shifted once before the first decision
            store(window, j * LANES, load(frames, (j - 1) // hold * width + first))
        spikes = above(zero, zero)
        for step in range(steps):
            entering = (step + taps - 1) // hold * width + first
            store(window, taps * LANES, load(frames, entering) if entering < frames.size else zero)
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
            if first + 8 * line < channels:
                write_channels(fired[line], first + 8 * line, channels, bits, 1, 0)


def bsa_reference(signal: NDArray[np.float64], h: NDArray[np.float64], theta: float) -> NDArray[np.bool_]:
    """Encode `signal` (time, channel) as the paper writes it: bool (time, channel), spikes at the deciding steps.

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
class BSA(Encoder):
    """Ben's Spiker Algorithm: each channel's spikes, convolved with a filter, rebuild the channel.

    Encodes `Frames`, or an array (time, channel) or (time,), of values of at least 0. Signed signals are refused:
    `rectify` is the way to encode them. Overshoots below 0, of up to 1 % of the power, are not rebuilt.

    A setting that is left out is that of the preset. Past its end the signal is 0; a spike that `delay` moves past the
    end is dropped.

    Parameters
    ----------
    preset
        ``"hm2bp"``: Jin, Zhang & Li 2018, for cochleagrams of Lyon's ear. ``"schrauwen2003"``: Schrauwen & Van
        Campenhout's threshold with a 24-tap low-pass filter, for signals in [0, 1]; theirs is designed for their data.
    theta
        Threshold θ as a share of the filter's Σh. At 1 every step whose signal covers the filter would be an exact tie,
        which rounding decides; above 1 no step could spike.
    filter
        The taps h; their sum is above 0.
    scale
        Factor applied to the signal first.
    hold
        Steps for which each frame is held.
    delay
        Steps from a decision to its spike; HM2-BP's is 1.
    dt
        Length of a step in seconds, for signals that have no rate of their own.
    """

    name: ClassVar[str] = "bsa"
    takes_rows_as_time: ClassVar[bool] = True
    citation: ClassVar[str] = (
        "Schrauwen & Van Campenhout 2003, BSA, a fast and accurate spike train encoding scheme, IJCNN"
    )

    preset: Literal["hm2bp", "schrauwen2003"] = "hm2bp"
    theta: Annotated[float, Meta(gt=0, lt=1)] | None = None
    filter: tuple[Real, ...] = ()
    scale: Positive | None = None
    hold: Annotated[int, Meta(ge=1, le=65_536)] | None = None
    delay: Annotated[int, Meta(ge=0, le=65_536)] | None = None
    dt: Positive = 1e-3

    def __post_init__(self) -> None:
        if isinstance(
            self.filter, tuple | list | np.ndarray
        ):  # of NumPy's numbers, where a filter was designed
            taps = tuple(tap.item() if isinstance(tap, np.generic) else tap for tap in self.filter)
            object.__setattr__(self, "filter", taps)
        super().__post_init__()
        for key, value in PRESETS[self.preset].items():
            if getattr(self, key) in (None, ()):
                object.__setattr__(self, key, value)
        if not sum(self.filter) > 0 or sum(map(abs, self.filter)) == float("inf"):
            raise UsageError(f"got bsa.filter = {list(self.filter)}", "taps with a finite sum above 0")

    # __post_init__ has replaced every None by the preset's value
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

    def describe(self, signal: Any, rng: SampleKey | None = None) -> Description:
        """Return one unit per channel and `hold` steps per frame; steps of `dt`, of `Frames` 1 / (rate · hold)."""
        frames, channels = channels_of(self.name, signal).shape
        dt = 1 / (signal.rate * self._hold) if isinstance(signal, Frames) else self.dt
        return Description((channels,), frames * self._hold, dt, ragged=True)

    def encode(self, signal: Any, *, rng: SampleKey | None = None) -> SpikeTrain:
        """Return the packed spikes; raises `DataError` for anything but finite channels of at least 0."""
        frames, channels = channels_of(self.name, signal).shape
        bits = np.zeros((channels, -(-frames * self._hold // 8)), np.uint8)
        return SpikeTrain(bits, self._write(signal, bits))

    def encode_into(
        self, signals: Iterable[Any], out: Bits, *, rngs: Sequence[SampleKey | None]
    ) -> NDArray[np.uint32]:
        """Write the spikes that `encode` returns for each signal to `out`."""
        return np.array(
            [self._write(signal, bits) for signal, bits in zip(signals, out, strict=True)], np.uint32
        )

    def _write(self, signal: Any, bits: Bits) -> int:
        """Write the spikes of a signal to zeroed `bits` (channel, byte); return the number of steps."""
        values, hold, h = channels_of(self.name, signal), self._hold, self.taps
        frames, channels = values.shape
        if channels != len(bits) or frames * hold > 8 * bits.shape[1]:
            raise DataError(
                f"bsa: got {channels} channels of {frames} frames",
                f"{len(bits)} channels of at most {8 * bits.shape[1] // hold} frames",
            )
        width = -(-channels // LANES) * LANES
        scaled = aligned_zeros((frames, width), np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            scaled[:, :channels] = values
            scaled *= self._scale
        least, most = scaled.min(initial=0), scaled.max(initial=0)  # NaN where one is
        if not (np.isfinite(least) and np.isfinite(most)):
            raise DataError(
                "bsa: got values that are NaN or infinite, or become so by bsa.scale",
                "finite ones",
                "Repair the signal.",
            )
        if least < 0:
            check_sign(self.name, scaled, 1 / self._scale)
        threshold = (float(np.abs(h).sum()) + self._theta * float(h.sum())) / 2
        window = aligned_zeros(((h.size + 1) * LANES,), np.float64)
        _encode(scaled.reshape(-1), width, hold, h, threshold, self._delay, window, bits)
        return int(frames * hold)

    def decode(self, spikes: NDArray[Any]) -> NDArray[np.float64]:
        """Rebuild the signal, float64 (time, channel), one value per step, from spikes (time, channel)."""
        spikes = spikes_to_decode(self.name, spikes)
        decided = np.zeros(spikes.shape)
        decided[: max(len(spikes) - self._delay, 0)] = spikes[self._delay :]
        rebuilt = np.zeros(spikes.shape)
        for j, tap in enumerate(self.filter[: len(spikes)]):
            rebuilt[j:] += tap * decided[: len(spikes) - j]
        return rebuilt / self._scale

    def target(self, signal: Any) -> NDArray[np.float64]:
        """Return the signal at every step, float64 (time, channel): what `decode` rebuilds."""
        return np.repeat(channels_of(self.name, signal).astype(np.float64), self._hold, axis=0)

    def candidates(self, signals: Sequence[Any]) -> dict[str, list[Any]]:
        """Return factors of the scale, and thresholds."""
        scales = [self._scale * gain for gain in (0.25, 0.5, 1.0, 2.0, 4.0)]
        return {"scale": scales, "theta": [0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]}
