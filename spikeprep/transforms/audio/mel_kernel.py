"""The power in mel bands of many frames of sound at a time: a Fourier transform with a frame in each lane.

A frame's real samples x go into a complex sequence of half the length, x₀ + i x₁, x₂ + i x₃, …, whose transform is
split into that of x afterwards. The transform decimates in frequency, in passes of radix 8, ahead of them of radix 4 or
2, in place: its results come with their digits reversed and are read through a table. Every lane computes what a scalar
program would, so results are the same on every machine. Memory of a group of frames, 96 bytes per sample of the
transform, stays in the first-level cache up to 512.
"""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..._jit import inline, jit
from ..._simd import (
    LINE,
    aligned_zeros,
    fourier_2,
    fourier_4,
    fourier_4_turned,
    fourier_8,
    fourier_8_turned,
    load_line,
    spread_element,
    spread_line,
    store,
    store_columns,
    trailing_zeros,
)
from .samples import is_plain


class MelTables(NamedTuple):
    """What the kernel needs for one rate and one choice of settings; all of one floating-point dtype, or int64.

    Attributes
    ----------
    window
        Weight of each sample of the transform, (sample,); zeros fill up a cache line.
    turns
        Cosine and sine of each angle that the passes turn by, in the order of use, then of those that split the
        complex transform, (angle · 2,).
    order
        Place of each result of the complex transform, (sample / 2,).
    bands
        First bin of each band and its first weight, then the number of weights, (band + 1, 2).
    weights
        Of the bins of all bands one after another, a quarter of the band's: the kernel's bins are four times |X|².
    """

    window: NDArray[Any]
    turns: NDArray[Any]
    order: NDArray[np.int64]
    bands: NDArray[np.int64]
    weights: NDArray[Any]


def _radices(count: int) -> list[int]:
    """Return the radix of each pass over `count` elements, a power of two of at least 2."""
    bits = count.bit_length() - 1
    ahead = {0: [], 1: [4, 4] if bits > 1 else [2], 2: [4]}[bits % 3]
    return ahead + [8] * ((bits - sum(r.bit_length() - 1 for r in ahead)) // 3)


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
    count = window.size // 2
    angles, order, left = [], np.zeros(count, np.int64), np.arange(count)
    size = count
    for radix in _radices(count):
        order += left % radix * (size // radix)
        left //= radix
        # of the elements 1 … of a butterfly's outputs 1 …
        angles.append((np.outer(np.arange(1, size // radix), np.arange(1, radix)) / size).ravel())
        size //= radix
    angles.append(np.arange(count // 2 + 1) / window.size)
    radians = 2 * np.pi * np.concatenate(angles)
    places: list[tuple[int, int]] = []
    weights: list[float] = []
    for band in bands:
        bins = np.flatnonzero(band)
        first, stop = (int(bins[0]), int(bins[-1]) + 1) if bins.size else (0, 0)
        places.append((first, len(weights)))
        weights.extend((band[first:stop] / 4).tolist())
    places.append((0, len(weights)))
    padded = np.zeros(max(window.size, LINE // dtype.itemsize), dtype)
    padded[: window.size] = window
    return MelTables(
        padded,
        np.stack([np.cos(radians), np.sin(radians)], axis=1).ravel().astype(dtype),
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
def _load(cells: Any, at: Any, width: Any) -> Any:
    """Return real and imaginary part of the element at index `at`."""
    return load_line(cells, at), load_line(cells, at + width)


@inline
def _transform(cells: Any, element: Any, bits: Any, turns: Any) -> Any:
    """Transform 2 ** `bits` elements in place; return how many of `turns` are used."""
    turn, left, end = 0, bits, element << bits
    while left:
        size = element << left
        if left % 3 == 0:
            apart = size // 8
            for at in range(0, end, size):
                fourier_8(cells, at, apart, turns, turn)
            for first in range(element, apart, element):
                at = first
                while at < end:
                    fourier_8_turned(cells, at, apart, turns, turn)
                    at += size
                turn += 14
            left -= 3
        elif left > 1:
            apart = size // 4
            for at in range(0, end, size):
                fourier_4(cells, at, apart, turns, turn)
            for first in range(element, apart, element):
                at = first
                while at < end:
                    fourier_4_turned(cells, at, apart, turns, turn)
                    at += size
                turn += 6
            left -= 2
        else:
            fourier_2(cells, 0, element, turns, turn)
            left -= 1
    return turn


@inline
def _powers(cells: Any, width: Any, bins: Any, count: Any, order: Any, turns: Any, turn: Any) -> None:
    """Write 4 |X|² of the bins 0 … count of the real sequence to the rows from index `bins` on."""
    ar, ai = _load(cells, 0, width)
    xr, yr = ar + ai, ar - ai
    xr, yr = xr + xr, yr + yr
    store(cells, bins, xr * xr)
    store(cells, bins + count * width, yr * yr)
    for k in range(1, count // 2 + 1):
        a, b = order[k] * (2 * width), order[count - k] * (2 * width)
        ar, ai = _load(cells, a, width)
        br, bi = _load(cells, b, width)
        er, ei = ar + br, ai - bi  # twice the transform of the even samples
        fr, fi = ai + bi, br - ar  # and of the odd ones
        c, s = spread_element(turns, turn + 2 * k), spread_element(turns, turn + 2 * k + 1)
        gr, gi = _turn_real(fr, fi, c, s), _turn_imaginary(fr, fi, c, s)
        xr, xi, yr, yi = er + gr, ei + gi, er - gr, ei - gi
        store(cells, bins + (count - k) * width, yr * yr + yi * yi)
        store(cells, bins + k * width, xr * xr + xi * xi)


@inline
def _copy(samples: Any, start: Any, length: Any, mirrored: Any, cells: Any, to: Any) -> None:
    """Write `length` samples from index `start` on to `cells` from `to` on, beyond the ends mirrored ones or zeros."""
    first = min(max(-start, 0), length)
    last = max(min(samples.size - start, length), first)
    target, source = cells[to + first : to + last], samples[start + first : start + last]
    for n in range(source.size):  # LLVM vectorises it, as no index may be negative
        target[n] = source[n]
    for n in range(first):
        cells[to + n] = samples[-start - n] if mirrored else 0
    for n in range(last, length):
        cells[to + n] = samples[2 * samples.size - 2 - start - n] if mirrored else 0


@inline
def _clear(cells: Any, begin: Any, end: Any) -> None:
    for n in range(begin, end):
        cells[n] = 0


@jit
def _mel(
    samples: NDArray[Any],
    start: int,
    mirrored: bool,
    used: int,
    hop: int,
    window: NDArray[Any],
    turns: NDArray[Any],
    order: NDArray[np.int64],
    bands: NDArray[np.int64],
    weights: NDArray[Any],
    cells: NDArray[Any],
    frames: NDArray[Any],
) -> None:
    """Write `frames` (frame, band), the last band first; see `mel_power`.

    `cells` has a row of a line for each sample of the transform, which those of the bands replace, then the samples of
    a group of frames, which its bins replace.
    """
    width = LINE // cells.itemsize
    count = order.size
    columns = frames.shape[1]
    reach = (used + width - 1) // width * width  # whole vectors of samples
    sound, apart = max(window.size, columns) * width, min(hop, reach)
    zero = spread_line(cells.dtype.type(0))
    for begin in range(0, frames.shape[0], width):
        lanes = min(width, frames.shape[0] - begin)
        at = start + begin * hop
        if apart == hop:  # frames overlap
            _copy(samples, at, (lanes - 1) * hop + used, mirrored, cells, sound)
        else:
            for lane in range(lanes):
                _copy(samples, at + lane * hop, used, mirrored, cells, sound + lane * apart)
                _clear(cells, sound + lane * apart + used, sound + (lane + 1) * apart)
        # the window is 0 on what is left of the bins before, but they grow without end in lanes without a frame
        _clear(cells, sound + (lanes - 1) * apart + used, sound + (width - 1) * apart + reach)
        for n in range(0, reach, width):
            store_columns(cells, sound + n, apart, window, n, n * width)
        for n in range(reach * width, 2 * count * width, width):
            store(cells, n, zero)
        turn = _transform(cells, 2 * width, trailing_zeros(np.uint64(count)), turns)
        _powers(cells, width, sound, count, order, turns, turn)
        for band in range(columns):
            weight, last = bands[band, 1], bands[band + 1, 1]
            at, even, odd = (
                sound + bands[band, 0] * width,
                zero,
                zero,
            )  # each addition waits for the one before
            while weight + 1 < last:
                even = even + load_line(cells, at) * spread_element(weights, weight)
                odd = odd + load_line(cells, at + width) * spread_element(weights, weight + 1)
                weight += 2
                at += 2 * width
            if weight < last:
                even = even + load_line(cells, at) * spread_element(weights, weight)
            store(cells, (columns - 1 - band) * width, even + odd)
        for lane in range(lanes):
            for column in range(columns):
                frames[begin + lane, column] = cells[column * width + lane]


def mel_power(
    samples: NDArray[np.floating[Any]],
    frames: int,
    hop: int,
    used: int,
    t: MelTables,
    start: int = 0,
    mirrored: bool = False,
) -> NDArray[Any]:
    """Return the power in the bands of each frame, (frame, band), the highest band first.

    Parameters
    ----------
    samples
        The sound, finite.
    frames, hop
        Number of frames, and samples from one to the next.
    used
        Samples of a frame; the window is 0 from there on.
    t
        See `tables`.
    start
        Index of the first frame's first sample, 0 or below.
    mirrored
        Whether the sound goes on mirrored at both ends, of which it has as many samples, or else as zeros.
    """
    if not is_plain(samples):
        samples = np.ascontiguousarray(samples, np.float64)
    power = np.empty((frames, len(t.bands) - 1), t.window.dtype)
    _mel(samples, start, mirrored, used, hop, *t, _room(t.window.size, power.shape[1], power.dtype), power)
    return power


def mel_power_reference(
    samples: NDArray[Any], frames: int, hop: int, window: NDArray[np.float64], bands: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return what `mel_power` returns, by NumPy's Fourier transform, from the arguments of `tables`."""
    starts = hop * np.arange(frames)[:, None] + np.arange(window.size)
    spectrum = np.abs(np.fft.rfft(samples[starts] * window)) ** 2
    return np.asarray((spectrum @ bands.T)[:, ::-1])


_rooms = threading.local()


def _room(size: int, columns: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the kernel's memory, of this thread, for a window of so many samples."""
    key = (size, columns, dtype.char)
    if getattr(_rooms, "key", None) != key:  # allocating it takes as long as the transform of ten frames
        rows = max(size, columns) + size
        _rooms.key, _rooms.cells = key, aligned_zeros((rows * (LINE // dtype.itemsize),), dtype)
    cells: NDArray[Any] = _rooms.cells
    return cells
