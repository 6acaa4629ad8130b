"""Audio → cochleagram: Lyon's passive ear (Lyon 1982), as Slaney's Auditory Toolbox computes it.

A cascade of second-order filters splits the sound by frequency, channel 0 the highest; each channel's output is
half-wave rectified, compressed by four stages of coupled automatic gain control, sharpened by subtracting it from its
neighbour's, and smoothed and decimated to frames.

**How it is computed.** Channel c needs channel c − 1 at the same sample (cascade) and both neighbours at the sample
before (gain control), so neither time nor channels can be vectorised alone. But all (sample, channel) with equal
2 · sample + channel are independent. So even channels advance together, lane k (channel 2k) at sample m − k, and then
odd channels, lane k (channel 2k + 1) at sample m − k: every cell finds its inputs in the two half-steps before. One
utterance fills a vector's lanes; nothing is batched, and a result depends on its own utterance alone.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..._jit import inline, jit
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
from ...config import Meta
from ...data import Audio, Frames
from ...random import SampleKey
from .base import FrontEnd
from .lyon_filters import CAP, FRONT, TARGETS, Filters, design
from .samples import checked_samples

# ---------------------------------------------------------------- the kernel

# The state of the even channels, and that of the odd ones, is one flat array of rows, a lane per channel: five
# coefficients, then these. A row ends with a spare line, so that the lanes above the last ones can be loaded too.
_B1, _B2, _S1, _S2, _AGC, _AGC_BEFORE, _CASCADE, _OUT, _D1, _D2, _ROWS = 3, 4, 5, 6, 7, 11, 15, 16, 17, 18, 19
_STAGES = len(TARGETS)
_NOISE = 1024  # samples of the noise that keeps silence from becoming slow, see _numbers


class _Numbers(NamedTuple):
    """Constants in the working precision, so that no operation widens."""

    zero: Any
    one: Any
    cap: Any
    smooth: Any
    attack: Any  # (stage,): decay / target
    leak: Any  # (stage,): (1 − decay) / 3
    noise: Any  # see _numbers


@inline
def _section(rows: Any, at: Any, row: Any, x: Any) -> Any:
    """Return a section's output for its input x (transposed direct form II); `at` is its lane's first row."""
    out = load_line(rows, at) * x + load_line(rows, at + _S1 * row)
    first = load_line(rows, at + row) * x - load_line(rows, at + _B1 * row) * out
    store(rows, at + _S1 * row, first + load_line(rows, at + _S2 * row))
    store(rows, at + _S2 * row, load_line(rows, at + 2 * row) * x - load_line(rows, at + _B2 * row) * out)
    return out


@inline
def _control(rows: Any, at: Any, row: Any, x: Any, state: Any, lower: Any, upper: Any, j: Any, n: Any) -> Any:
    """Return x after stage j of the gain control; `state`, `lower` and `upper` are the states a sample before."""
    out = x * (spread_line(n.one) - state)
    mean = (lower + state + upper) * spread_line(n.leak[j])
    store(rows, at + (_AGC_BEFORE + j) * row, state)
    store(rows, at + (_AGC + j) * row, smaller(out * spread_line(n.attack[j]) + mean, spread_line(n.cap)))
    return out


@inline
def _smooth(rows: Any, at: Any, row: Any, x: Any, n: Any) -> None:
    """Filter x ahead of decimation; the output is in the row _D1."""
    # two one-pole filters: as one second-order section the poles lie too near 1 for float32
    once, twice = load_line(rows, at + _D2 * row), load_line(rows, at + _D1 * row)
    store(rows, at + _D1 * row, twice + spread_line(n.smooth) * (once - twice))
    store(rows, at + _D2 * row, once + spread_line(n.smooth) * (x - once))


@jit
def _cochleagram(
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
    front_mute = np.ones(width, rows.dtype)
    front_mute[0] = n.zero
    # the sample of a block after which its frame is in the row _D1
    ready = decimation - 2 if decimation > 1 else 0
    place = -1  # of m in its block; counted, because a division takes as long as a vector of channels
    for m in range(frames.shape[0] * decimation + lanes):
        sample = samples[m] + n.noise[m % _NOISE] if m < samples.size else n.zero
        place = place + 1 if place + 1 < decimation else 0
        starts_frame = place == 0
        for v in range(0, top + 1, width):
            at, other = even + v, odd + v
            beside = load_line(rows, other + _CASCADE * row - width) if v else spread_line(sample)
            x = _section(rows, at, row, shift_up(beside, load_line(rows, other + _CASCADE * row)))
            store(rows, at + _CASCADE * row, x)
            x = larger(x, zero)
            if starts_frame and v == 0:
                x = x * load_line(front_mute, 0)
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
            if starts_frame and v == 0:
                x = x * load_line(front_mute, 0)
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
def _numbers(settings: tuple[float, float, float, int, float], dtype: np.dtype[Any]) -> _Numbers:
    # In silence a filter's state decays to subnormal numbers, which are slow. So every sample gets noise that is too
    # weak to change it, unless it is exactly 0.
    filters, of = design(*settings), dtype.type
    level = 1e-150 if dtype.itemsize == 8 else 1e-25
    signs = np.random.default_rng(0).integers(0, 2, _NOISE) * 2 - 1
    attack, leak = filters.decay / np.array(TARGETS), (1 - filters.decay) / 3
    return _Numbers(
        of(0),
        of(1),
        of(CAP),
        of(filters.smooth),
        attack.astype(dtype),
        leak.astype(dtype),
        (level * signs).astype(dtype),
    )


# ---------------------------------------------------------------- the transform


@dataclass(frozen=True)
class Lyon(FrontEnd):
    """Lyon's passive ear: audio → a cochleagram of `Frames`, channel 0 the highest frequency.

    A frame is the smoothed activity at the end of `decimation` samples; a tail that fills no frame is dropped. Sound
    is expected in ±1: because of the gain control the output depends on loudness. At the defaults audio of 8 kHz has 64
    channels, 12.5 kHz 78, 16 kHz 86. In float64 it agrees with the package `lyon` within 1e-9 of the largest value.

    Two properties of that package are kept, because published encodings have them: the two front stages are set to 0
    at the first sample of every frame, ahead of the gain control, and a gain control's state is capped at 0.9.

    Parameters
    ----------
    decimation
        Samples per frame. HM2-BP's setting for TI46 is 200 at 12 500 Hz.
    ear_q
        Quality factor of the filters: a smaller one makes them broader.
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
    picture: ClassVar[str] = "cochleagram"
    citation: ClassVar[str] = (
        "Lyon 1982, A computational model of filtering, detection, and compression in the cochlea, ICASSP; "
        "Slaney 1998, Auditory Toolbox version 2, Interval Research TR 1998-010"
    )
    level: ClassVar[float] = 5e-4

    decimation: Annotated[int, Meta(ge=1, le=1 << 31)] = 200
    ear_q: Annotated[float, Meta(gt=0.5, le=1000)] = 8.0
    step_factor: Annotated[float, Meta(ge=0, le=1000)] = 0.0
    differ: bool = True
    agc: bool = True
    tau_factor: Annotated[float, Meta(gt=0, le=1000)] = 3.0
    precision: Literal["float64", "float32"] = "float64"

    def filters(self, rate: float) -> Filters:
        """Return the filters for audio of `rate` Hz; raises `UsageError` where fewer than 2 channels fit."""
        return design(*self._design(rate))

    def _design(self, rate: float) -> tuple[float, float, float, int, float]:
        return rate, self.ear_q, self.step_factor or self.ear_q / 32, self.decimation, self.tau_factor

    def centres(self, rate: float) -> NDArray[np.float64]:
        """Return each channel's centre frequency in Hz, decreasing; raises as `filters`."""
        return self.filters(rate).centres

    def frame_grid(self, samples: int, rate: float) -> tuple[int, float]:
        """Return how many frames so many samples have, and the frames per second."""
        return samples // self.decimation, rate / self.decimation

    def __call__(self, signal: Audio, *, rng: SampleKey | None = None) -> Frames:
        """Return the cochleagram; raises `DataError` for anything but finite `Audio` in about ±1."""
        samples, dtype = checked_samples(signal, self.name), np.dtype(self.precision)
        sections = self.filters(signal.rate).sections
        stages = sections.shape[1]
        line = LINE // dtype.itemsize
        row = (-(-stages // (2 * line)) + 1) * line
        rows = aligned_zeros((2, _ROWS, row), dtype)
        rows[0, :5, : -(-stages // 2)] = sections[:, 0::2]
        rows[1, :5, : stages // 2] = sections[:, 1::2]
        frames = np.zeros((samples.size // self.decimation, stages - FRONT), dtype)
        numbers = _numbers(self._design(signal.rate), dtype)
        _cochleagram(
            samples.astype(dtype, copy=False), rows.reshape(-1), row, self.decimation, self.agc, self.differ,
            numbers, frames,
        )  # fmt: skip
        return Frames(frames, signal.rate / self.decimation)


def lyon_reference(signal: Audio, lyon: Lyon) -> NDArray[np.float64]:
    """Return the cochleagram of `lyon`, computed stage by stage in NumPy and SciPy: float64 (frame, channel)."""
    from scipy.signal import lfilter

    filters = lyon.filters(signal.rate)
    frames = signal.samples.size // lyon.decimation
    activity: NDArray[np.float64] = np.empty((frames * lyon.decimation, filters.sections.shape[1]))
    sound = signal.samples[: len(activity)]
    for stage, (a0, a1, a2, b1, b2) in enumerate(filters.sections.T):
        sound = activity[:, stage] = lfilter([a0, a1, a2], [1, b1, b2], sound)
    activity = np.maximum(activity, 0)
    activity[:: lyon.decimation, :FRONT] = 0
    if lyon.agc:
        for target, decay in zip(TARGETS, filters.decay, strict=True):
            state = np.zeros(activity.shape[1])
            for now in activity:
                now *= 1 - state
                around = np.pad(state, 1, mode="edge")
                mean = (around[:-2] + state + around[2:]) / 3
                state = np.minimum(decay / target * now + (1 - decay) * mean, CAP)
    if lyon.differ:
        activity[:, 1:] = np.maximum(activity[:, :-1] - activity[:, 1:], 0)
    if lyon.decimation > 1:
        one_pole = [0, filters.smooth], [1, filters.smooth - 1]
        activity = lfilter(*one_pole, lfilter(*one_pole, activity, axis=0), axis=0)
    return activity[lyon.decimation - 1 :: lyon.decimation, FRONT:]
