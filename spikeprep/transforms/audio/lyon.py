"""Audio → cochleagram: Lyon's passive ear (Lyon 1982), as Slaney's Auditory Toolbox computes it.

A cascade of second-order filters splits the sound by frequency, channel 0 the highest; each channel's output is
half-wave rectified, compressed by four stages of coupled automatic gain control, sharpened by subtracting it from its
neighbour's, and smoothed and decimated to frames.

**How it is computed.** Channel c needs channel c − 1 at the same sample (cascade) and both neighbours at the sample
before (gain control), so neither time nor channels can be walked side by side. But all (sample, channel) with equal
2 · sample + channel are independent. So even channels advance together, lane k (channel 2k) at sample m − k, and then
odd channels, lane k (channel 2k + 1) at sample m − k: every cell finds what it needs in the two half-steps before. One
utterance fills a vector's lanes; nothing is batched, and a result depends on its own utterance alone.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..._simd import (
    LINE,
    above,
    aligned_zeros,
    larger,
    load_line,
    select,
    shift_down,
    shift_up,
    smaller,
    spread_line,
    store,
)
from ...data import Audio, Frames
from ...encoders.base import Transform
from ...errors import DataError, UsageError
from ...random import SampleKey
from .lyon_filters import CAP, FRONT, TARGETS, Ear, design

# ---------------------------------------------------------------- the kernel

# A parity's state is one flat array of rows, a lane a channel: five coefficients, then these. A row ends with a line
# to spare, so that the lanes above the last ones can be loaded too.
_B1, _B2, _S1, _S2, _AGC, _AGC_BEFORE, _CASCADE, _OUT, _D1, _D2, _ROWS = 3, 4, 5, 6, 7, 11, 15, 16, 17, 18, 19
_STAGES = len(TARGETS)
_QUIET = 1024  # samples of the noise that keeps silence from becoming slow, see _numbers

_kernel = njit(nogil=True, cache=True, error_model="numpy")
_inline = njit(nogil=True, error_model="numpy", inline="always")


class _Numbers(NamedTuple):
    """Constants of the working precision, so that nothing widens."""

    zero: Any
    one: Any
    cap: Any
    smooth: Any
    attack: Any  # (stage,): decay / target
    leak: Any  # (stage,): (1 − decay) / 3
    quiet: Any  # see _numbers


@_inline
def _section(rows: Any, at: Any, row: Any, x: Any) -> Any:
    """Return a section's output for its input x (transposed direct form II); `at` is its lane's first row."""
    out = load_line(rows, at) * x + load_line(rows, at + _S1 * row)
    first = load_line(rows, at + row) * x - load_line(rows, at + _B1 * row) * out
    store(rows, at + _S1 * row, first + load_line(rows, at + _S2 * row))
    store(rows, at + _S2 * row, load_line(rows, at + 2 * row) * x - load_line(rows, at + _B2 * row) * out)
    return out


@_inline
def _control(rows: Any, at: Any, row: Any, x: Any, state: Any, lower: Any, upper: Any, j: Any, n: Any) -> Any:
    """Return x after stage j of the gain control; `lower` and `upper` are its neighbours' states, a sample ago too."""
    out = x * (spread_line(n.one) - state)
    mean = (lower + state + upper) * spread_line(n.leak[j])
    store(rows, at + (_AGC_BEFORE + j) * row, state)
    store(rows, at + (_AGC + j) * row, smaller(out * spread_line(n.attack[j]) + mean, spread_line(n.cap)))
    return out


@_inline
def _smooth(rows: Any, at: Any, row: Any, x: Any, n: Any) -> None:
    """Put x through the decimation filter; its next output is then in the row _D1."""
    # as one second-order section it would be the same filter, but its poles lie so near 1 that float32 misses them
    once, twice = load_line(rows, at + _D2 * row), load_line(rows, at + _D1 * row)
    store(rows, at + _D1 * row, twice + spread_line(n.smooth) * (once - twice))
    store(rows, at + _D2 * row, once + spread_line(n.smooth) * (x - once))


@_kernel
def _listen(
    samples: NDArray[Any],
    rows: NDArray[Any],
    row: int,
    decimation: int,
    agc: bool,
    differ: bool,
    n: Any,
    frames: NDArray[Any],
) -> None:
    """Write `frames` (frame, channel) of `samples` (time,); `rows` has the even stages' state, then the odd ones'."""
    width = LINE // rows.itemsize
    even, odd = 0, _ROWS * row
    stages = FRONT + frames.shape[1]
    lanes = (stages + 1) // 2
    top = (lanes - 1) // width * width
    # the last stage is its own upper neighbour
    is_last = np.zeros(2 * width, rows.dtype)
    is_last[(stages - 1) % 2 * width + lanes - 1 - top] = n.one
    zero = spread_line(n.zero)
    last_even, last_odd = above(load_line(is_last, 0), zero), above(load_line(is_last, width), zero)
    hush = np.ones(width, rows.dtype)
    hush[0] = n.zero
    ready = (
        decimation - 2 if decimation > 1 else 0
    )  # the sample of a block after which its frame is in the row _D1
    place = -1  # of m in its block; counted, because a division would take as long as a vector's channels
    for m in range(frames.shape[0] * decimation + lanes):
        sample = samples[m] + n.quiet[m % _QUIET] if m < samples.size else n.zero
        place = place + 1 if place + 1 < decimation else 0
        opens = place == 0
        for v in range(0, top + 1, width):
            at, other = even + v, odd + v
            beside = load_line(rows, other + _CASCADE * row - width) if v else spread_line(sample)
            x = _section(rows, at, row, shift_up(beside, load_line(rows, other + _CASCADE * row)))
            store(rows, at + _CASCADE * row, x)
            x = larger(x, zero)
            if opens and v == 0:
                x = x * load_line(hush, 0)
            if agc:
                for j in range(_STAGES):
                    state = load_line(rows, at + (_AGC + j) * row)
                    beyond = other + (_AGC_BEFORE + j) * row
                    beside = (
                        load_line(rows, beyond - width) if v else spread_line(rows[at + (_AGC + j) * row])
                    )
                    lower = shift_up(beside, load_line(rows, beyond))
                    upper = load_line(rows, other + (_AGC + j) * row)
                    if v == top:
                        upper = select(last_even, state, upper)
                    x = _control(rows, at, row, x, state, lower, upper, j, n)
            store(rows, at + _OUT * row, x)
            if differ:
                beside = load_line(rows, other + _OUT * row - width) if v else zero
                x = larger(shift_up(beside, load_line(rows, other + _OUT * row)) - x, zero)
            if decimation > 1:
                _smooth(rows, at, row, x, n)
            else:
                store(rows, at + _D1 * row, x)
        for v in range(0, top + 1, width):
            at, other = odd + v, even + v
            x = _section(rows, at, row, load_line(rows, other + _CASCADE * row))
            store(rows, at + _CASCADE * row, x)
            x = larger(x, zero)
            if opens and v == 0:
                x = x * load_line(hush, 0)
            if agc:
                for j in range(_STAGES):
                    state = load_line(rows, at + (_AGC + j) * row)
                    lower = load_line(rows, other + (_AGC_BEFORE + j) * row)
                    beyond = other + (_AGC + j) * row
                    upper = shift_down(load_line(rows, beyond), load_line(rows, beyond + width))
                    if v == top:
                        upper = select(last_odd, state, upper)
                    x = _control(rows, at, row, x, state, lower, upper, j, n)
            store(rows, at + _OUT * row, x)
            if differ:
                x = larger(load_line(rows, other + _OUT * row) - x, zero)
            if decimation > 1:
                _smooth(rows, at, row, x, n)
            else:
                store(rows, at + _D1 * row, x)
        for k in range(place - ready if place >= ready else place - ready + decimation, lanes, decimation):
            frame = (m - k - ready) // decimation
            if k > 0 and 0 <= frame < frames.shape[0]:  # lane 0 has the front stages
                frames[frame, 2 * k - FRONT] = rows[even + _D1 * row + k]
                if 2 * k + 1 < stages:
                    frames[frame, 2 * k + 1 - FRONT] = rows[odd + _D1 * row + k]


@functools.lru_cache(16)
def _numbers(ear_of: tuple[float, float, float, int, float], dtype: np.dtype[Any]) -> _Numbers:
    # In silence a filter's state fades until its numbers are too small for the processor's fast path. So every sample
    # gets noise that is too soft to change it, unless it is exactly 0.
    ear, of = design(*ear_of), dtype.type
    level = 1e-150 if dtype.itemsize == 8 else 1e-25
    signs = np.random.default_rng(0).integers(0, 2, _QUIET) * 2 - 1
    attack, leak = ear.decay / np.array(TARGETS), (1 - ear.decay) / 3
    return _Numbers(
        of(0),
        of(1),
        of(CAP),
        of(ear.smooth),
        attack.astype(dtype),
        leak.astype(dtype),
        (level * signs).astype(dtype),
    )


# ---------------------------------------------------------------- the transform


@dataclass(frozen=True)
class Lyon(Transform):
    """Lyon's passive ear: audio → a cochleagram of `Frames`, channel 0 the highest frequency.

    A frame is the smoothed activity at the end of `decimation` samples; a tail that fills no frame is dropped. Sound
    is expected in ±1: the gain control makes the output depend on loudness. At the defaults audio of 8 kHz has 64
    channels, 12.5 kHz 78, 16 kHz 86. In float64 it agrees with the package `lyon` within 1e-9 of the largest value.

    Two peculiarities of that package are kept, as published encodings have them: the two front stages are silenced at
    the first sample of every frame, ahead of the gain control, and a gain control's state is capped at 0.9.

    Parameters
    ----------
    decimation
        Samples a frame. HM2-BP's setting for TI46 is 200 at 12 500 Hz.
    ear_q
        Quality of the filters: smaller is broader.
    step_factor
        Spacing of channels in bandwidths; 0 is ``ear_q`` / 32, an overlap of a quarter at the default ``ear_q``.
    differ
        Whether to subtract each channel from its upper neighbour, which sharpens the response.
    agc
        Whether to adapt by gain control.
    tau_factor
        Time constant of the smoothing ahead of decimation, in frames.
    precision
        ``"float64"``, or ``"float32"``: faster, and within 1e-3 of the largest value.
    """

    name: ClassVar[str] = "lyon"
    citation: ClassVar[str] = (
        "Lyon 1982, A computational model of filtering, detection, and compression in the cochlea, ICASSP; "
        "Slaney 1998, Auditory Toolbox version 2, Interval Research TR 1998-010"
    )

    decimation: int = 200
    ear_q: float = 8.0
    step_factor: float = 0.0
    differ: bool = True
    agc: bool = True
    tau_factor: float = 3.0
    precision: str = "float64"

    def __post_init__(self) -> None:
        if not isinstance(self.decimation, int) or self.decimation < 1:
            raise UsageError(
                f"lyon: got decimation {self.decimation!r}", "a whole number of samples, at least 1"
            )
        if not (self.ear_q > 0.5 and self.step_factor >= 0 and self.tau_factor > 0):
            raise UsageError(
                f"lyon: got ear_q {self.ear_q}, step_factor {self.step_factor}, tau_factor {self.tau_factor}",
                "ear_q above 0.5, step_factor at least 0, tau_factor above 0",
            )
        if self.precision not in ("float64", "float32"):
            raise UsageError(f"lyon: got precision {self.precision!r}", '"float64" or "float32"')

    def ear(self, rate: float) -> Ear:
        """Return the filters for audio of `rate` Hz; raises `UsageError` where no channel fits."""
        return design(*self._ear_of(rate))

    def _ear_of(self, rate: float) -> tuple[float, float, float, int, float]:
        return rate, self.ear_q, self.step_factor or self.ear_q / 32, self.decimation, self.tau_factor

    def outline(self, signal: Audio) -> Frames:
        """Return frames of the shape that `signal` gives, all zero, at no cost."""
        shape = (_checked(signal).size // self.decimation, self.ear(signal.rate).centres.size)
        return Frames(np.broadcast_to(0.0, shape), signal.rate / self.decimation)

    def __call__(self, signal: Audio, *, rng: SampleKey | None = None) -> Frames:
        """Return the cochleagram; raises `DataError` for anything but finite `Audio`."""
        samples, dtype = _checked(signal), np.dtype(self.precision)
        if not np.isfinite(samples).all():
            raise DataError(
                "lyon: got samples that are NaN or infinite", "finite ones", "Repair the recording."
            )
        ear = self.ear(signal.rate)
        stages = ear.sections.shape[1]
        line = LINE // dtype.itemsize
        row = (-(-stages // (2 * line)) + 1) * line
        rows = aligned_zeros((2, _ROWS, row), dtype)
        rows[0, :5, : -(-stages // 2)] = ear.sections[:, 0::2]
        rows[1, :5, : stages // 2] = ear.sections[:, 1::2]
        frames = np.zeros((samples.size // self.decimation, stages - FRONT), dtype)
        numbers = _numbers(self._ear_of(signal.rate), dtype)
        _listen(
            samples.astype(dtype, copy=False), rows.reshape(-1), row, self.decimation, self.agc, self.differ,
            numbers, frames,
        )  # fmt: skip
        return Frames(frames, signal.rate / self.decimation)


def _checked(signal: Any) -> NDArray[np.floating[Any]]:
    """Return the samples of `Audio`; raises `DataError` for anything else."""
    if isinstance(signal, Audio):
        if signal.samples.ndim == 1 and np.issubdtype(signal.samples.dtype, np.floating):
            return signal.samples
        got = f"Audio of {signal.samples.dtype} {signal.samples.shape}"
    else:
        got = f"a signal of type {type(signal).__name__}"
    raise DataError(
        f"lyon: got {got}",
        "Audio with floating-point samples (time,) in ±1",
        "Pass spikeprep.data.Audio(samples, rate); divide int16 samples by 32768.",
    )


def lyon_reference(signal: Audio, lyon: Lyon) -> NDArray[np.float64]:
    """Compute what `lyon` gives for `signal` stage by stage, in NumPy and SciPy: float64 (frame, channel)."""
    from scipy.signal import lfilter

    ear = lyon.ear(signal.rate)
    frames = signal.samples.size // lyon.decimation
    heard: NDArray[np.float64] = np.empty((frames * lyon.decimation, ear.sections.shape[1]))
    sound = signal.samples[: len(heard)]
    for stage, (a0, a1, a2, b1, b2) in enumerate(ear.sections.T):
        sound = heard[:, stage] = lfilter([a0, a1, a2], [1, b1, b2], sound)
    heard = np.maximum(heard, 0)
    heard[:: lyon.decimation, :FRONT] = 0
    if lyon.agc:
        for target, decay in zip(TARGETS, ear.decay, strict=True):
            state = np.zeros(heard.shape[1])
            for now in heard:
                now *= 1 - state
                around = np.pad(state, 1, mode="edge")
                mean = (around[:-2] + state + around[2:]) / 3
                state = np.minimum(decay / target * now + (1 - decay) * mean, CAP)
    if lyon.differ:
        heard[:, 1:] = np.maximum(heard[:, :-1] - heard[:, 1:], 0)
    if lyon.decimation > 1:
        one_pole = [0, ear.smooth], [1, ear.smooth - 1]
        heard = lfilter(*one_pole, lfilter(*one_pole, heard, axis=0), axis=0)
    return heard[lyon.decimation - 1 :: lyon.decimation, FRONT:]
