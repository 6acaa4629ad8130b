"""The power in mel bands of many frames of sound at a time: a Fourier transform with a frame in each lane.

A frame's real samples x go into a complex sequence of half the length, x₀ + i x₁, x₂ + i x₃, …, whose transform is
split into that of x afterwards. The transform decimates in frequency, two radix-2 stages at a time, in place: its
results come in bit-reversed order and are read through a table. Every lane computes what a scalar program would, so
results are the same on every machine. Memory of a group of frames, 64 bytes per sample of the transform, stays in the
first-level cache up to 512.
"""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..._jit import inline, jit
from ..._simd import LINE, aligned_zeros, load_apart, load_line, spread_line, store


class MelTables(NamedTuple):
    """What the kernel needs for one rate and one choice of settings; all of one floating-point dtype, or int64.

    Attributes
    ----------
    window
        Weight of each sample of the transform, (sample,).
    cosines, sines
        Real part and negated imaginary part of exp(−2π i n / samples), (sample / 2,).
    order
        Place of each result of the complex transform, (sample / 2,).
    bands
        First bin of each band and its first weight, then the number of weights, (band + 1, 2).
    weights
        Of the bins of all bands one after another.
    """

    window: NDArray[Any]
    cosines: NDArray[Any]
    sines: NDArray[Any]
    order: NDArray[np.int64]
    bands: NDArray[np.int64]
    weights: NDArray[Any]


def tables(window: NDArray[np.float64], bands: NDArray[np.float64], dtype: np.dtype[Any]) -> MelTables:
    """Return the kernel's tables.

    Parameters
    ----------
    window
        Weight of each sample of a frame; a power of two of them, at least 4.
    bands
        Weight of each bin in each band, (band, bin).
    dtype
        Working precision.
    """
    size = window.size
    half = size // 2
    angles = 2 * np.pi * np.arange(half) / size
    order = np.zeros(half, np.int64)
    for bit in range(half.bit_length() - 1):
        order |= (np.arange(half) >> bit & 1) << (half.bit_length() - 2 - bit)
    places: list[tuple[int, int]] = []
    weights: list[float] = []
    for band in bands:
        bins = np.flatnonzero(band)
        first, stop = (int(bins[0]), int(bins[-1]) + 1) if bins.size else (0, 0)
        places.append((first, len(weights)))
        weights.extend(band[first:stop].tolist())
    places.append((0, len(weights)))
    return MelTables(
        window.astype(dtype),
        np.cos(angles).astype(dtype),
        np.sin(angles).astype(dtype),
        order,
        np.array(places, np.int64),
        np.array(weights, dtype),
    )


@inline
def _turn_real(re: Any, im: Any, c: Any, s: Any) -> Any:
    """Return the real part of (re + i im) (c − i s)."""
    return re * c + im * s


@inline
def _turn_imaginary(re: Any, im: Any, c: Any, s: Any) -> Any:
    """Return the imaginary part of (re + i im) (c − i s)."""
    return im * c - re * s


@inline
def _fourier(re: Any, im: Any, count: Any, width: Any, t: Any) -> None:
    """Transform `count` complex vectors in place; results come in bit-reversed order."""
    size = count
    while size >= 4:
        quarter, stride = size // 4, 2 * (count // size)
        for j in range(quarter):
            c1, s1 = spread_line(t.cosines[j * stride]), spread_line(t.sines[j * stride])
            c2, s2 = spread_line(t.cosines[2 * j * stride]), spread_line(t.sines[2 * j * stride])
            third = 3 * j * stride
            sign = t.window.dtype.type(1)
            if third >= count:  # half a turn further
                third, sign = third - count, t.window.dtype.type(-1)
            c3, s3 = spread_line(sign * t.cosines[third]), spread_line(sign * t.sines[third])
            for k in range(j, count, size):
                a, b, c, d = (
                    k * width,
                    (k + quarter) * width,
                    (k + 2 * quarter) * width,
                    (k + 3 * quarter) * width,
                )
                ar, ai, cr, ci = load_line(re, a), load_line(im, a), load_line(re, c), load_line(im, c)
                br, bi, dr, di = load_line(re, b), load_line(im, b), load_line(re, d), load_line(im, d)
                pr, pi, qr, qi = ar + cr, ai + ci, br + dr, bi + di
                ur, ui, vr, vi = ar - cr, ai - ci, br - dr, bi - di
                store(re, a, pr + qr)
                store(im, a, pi + qi)
                pr, pi = pr - qr, pi - qi
                qr, qi = ur + vi, ui - vr  # (a − c) − i (b − d)
                ur, ui = ur - vi, ui + vr
                if j == 0:
                    store(re, b, pr)
                    store(im, b, pi)
                    store(re, c, qr)
                    store(im, c, qi)
                    store(re, d, ur)
                    store(im, d, ui)
                else:
                    store(re, b, _turn_real(pr, pi, c2, s2))
                    store(im, b, _turn_imaginary(pr, pi, c2, s2))
                    store(re, c, _turn_real(qr, qi, c1, s1))
                    store(im, c, _turn_imaginary(qr, qi, c1, s1))
                    store(re, d, _turn_real(ur, ui, c3, s3))
                    store(im, d, _turn_imaginary(ur, ui, c3, s3))
        size //= 4
    if size == 2:
        for k in range(0, count, 2):
            a, b = k * width, (k + 1) * width
            ar, ai, br, bi = load_line(re, a), load_line(im, a), load_line(re, b), load_line(im, b)
            store(re, a, ar + br)
            store(im, a, ai + bi)
            store(re, b, ar - br)
            store(im, b, ai - bi)


@inline
def _powers(re: Any, im: Any, count: Any, width: Any, t: Any, power: Any) -> None:
    """Write |X|² of the bins 0 … count of the real sequence, from the transform of the complex one."""
    half = spread_line(t.window.dtype.type(0.5))
    ar, ai = load_line(re, 0), load_line(im, 0)
    store(power, 0, (ar + ai) * (ar + ai))
    store(power, count * width, (ar - ai) * (ar - ai))
    for k in range(1, count // 2 + 1):
        a, b = t.order[k] * width, t.order[count - k] * width
        ar, ai, br, bi = load_line(re, a), load_line(im, a), load_line(re, b), load_line(im, b)
        er, ei = (ar + br) * half, (ai - bi) * half  # transform of the even samples
        fr, fi = (ai + bi) * half, (br - ar) * half  # and of the odd ones
        c, s = spread_line(t.cosines[k]), spread_line(t.sines[k])
        gr, gi = _turn_real(fr, fi, c, s), _turn_imaginary(fr, fi, c, s)
        xr, xi, yr, yi = er + gr, ei + gi, er - gr, ei - gi
        store(power, k * width, xr * xr + xi * xi)
        store(power, (count - k) * width, yr * yr + yi * yi)


@jit
def _mel(
    samples: NDArray[Any],
    used: int,
    hop: int,
    t: Any,
    re: NDArray[Any],
    im: NDArray[Any],
    power: NDArray[Any],
    frames: NDArray[Any],
) -> None:
    """Write `frames` (frame, band), the last band first; the window is 0 from its sample `used` on."""
    width = LINE // re.itemsize
    count = t.window.size // 2
    bands = frames.shape[1]
    zero = spread_line(t.window.dtype.type(0))
    for begin in range(0, frames.shape[0], width):
        lanes = min(width, frames.shape[0] - begin)
        for n in range((used + 1) // 2):
            at = begin * hop + 2 * n
            store(re, n * width, load_apart(samples, at, hop) * spread_line(t.window[2 * n]))
            store(im, n * width, load_apart(samples, at + 1, hop) * spread_line(t.window[2 * n + 1]))
        for n in range((used + 1) // 2, count):
            store(re, n * width, zero)
            store(im, n * width, zero)
        _fourier(re, im, count, width, t)
        _powers(re, im, count, width, t, power)
        for band in range(bands):
            weight, last = t.bands[band, 1], t.bands[band + 1, 1]
            at, total = t.bands[band, 0] * width, zero
            while weight < last:
                total = total + load_line(power, at) * spread_line(t.weights[weight])
                weight += 1
                at += width
            store(re, 0, total)
            for lane in range(lanes):
                frames[begin + lane, bands - 1 - band] = re[lane]


def samples_needed(frames: int, hop: int, used: int, dtype: np.dtype[Any]) -> int:
    """Return how many samples `mel_power` reads: those of whole vectors of frames."""
    width = LINE // dtype.itemsize
    return (-(-frames // width) * width - 1) * hop + used + used % 2 if frames else 0


def mel_power(samples: NDArray[Any], frames: int, hop: int, used: int, t: MelTables) -> NDArray[Any]:
    """Return the power in the bands of each frame, (frame, band), the highest band first.

    Parameters
    ----------
    samples
        The sound in the tables' dtype, from the first frame's first sample on: as many as `samples_needed`.
    frames, hop
        Number of frames, and samples from one to the next.
    used
        Samples of a frame; the window is 0 from there on.
    t
        See `tables`.
    """
    re, im, bins = _room(t.window.size, t.window.dtype)
    power = np.empty((frames, len(t.bands) - 1), t.window.dtype)
    _mel(samples, used, hop, t, re, im, bins, power)
    return power


def mel_power_reference(
    samples: NDArray[Any], frames: int, hop: int, window: NDArray[np.float64], bands: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return what `mel_power` returns, by NumPy's Fourier transform, from the arguments of `tables`."""
    starts = hop * np.arange(frames)[:, None] + np.arange(window.size)
    spectrum = np.abs(np.fft.rfft(samples[starts] * window)) ** 2
    return np.asarray((spectrum @ bands.T)[:, ::-1])


_rooms = threading.local()


def _room(size: int, dtype: np.dtype[Any]) -> list[NDArray[Any]]:
    """Return the kernel's memory, of this thread: real and imaginary parts, and bins."""
    key = (size, dtype.char)
    if getattr(_rooms, "key", None) != key:  # allocating it takes as long as the transform of ten frames
        width = LINE // dtype.itemsize
        _rooms.key, _rooms.arrays = (
            key,
            [aligned_zeros((rows * width,), dtype) for rows in (size // 2, size // 2, size // 2 + 1)],
        )
    arrays: list[NDArray[Any]] = _rooms.arrays
    return arrays
