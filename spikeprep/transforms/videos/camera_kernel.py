"""The events of an event camera, pixel by pixel: the general kernel of `VideoToEvents`, for any frames and settings.

Pixels are independent. For each pair of frames the kernel visits them in order, and keeps their events as `event_keys`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._jit import inline, jit
from ...random import VIDEO_LEAK, VIDEO_NOISE, SampleKey, philox4x32
from ..draws import draws
from .event_keys import DONE, EVENTS_FULL, KEYS_FULL, Room, event_key, write_events
from .pixel_model import GRID, NO_DEAD_TIME, on_grid, response, response_of, responses

_DARK, _SCALE = 20.0, 275.0  # the bandwidth is proportional to (level + _DARK) / _SCALE
_BRIGHT = 0.75  # of the noise is gone at level 255
_LOW, _HALF, _ZERO, _ONE = (np.uint64(n) for n in (11, 32, 0, 1))
_NOISE = np.uint64(VIDEO_NOISE)
_philox = inline(philox4x32)


@inline
def _wait(pixel: Any, number: Any, k0: Any, k1: Any) -> Any:
    """Return the exponentially distributed wait ahead of noise event `number` of a pixel, in mean waits."""
    x0, x1, _, _ = _philox(np.uint64(pixel), np.uint64(number), _ZERO, _NOISE, k0, k1)
    return on_grid(-np.log1p(-(np.float64((x0 << _HALF | x1) >> _LOW) * 2.0**-53)))


@inline
def _is_on(pixel: Any, number: Any, k0: Any, k1: Any) -> Any:
    """Return whether noise event `number` of a pixel is an ON event."""
    _, _, x2, _ = _philox(np.uint64(pixel), np.uint64(number), _ZERO, _NOISE, k0, k1)
    return (x2 & _ONE) == _ONE


@jit
def _start_noise(left: NDArray[np.float64], k0: Any, k1: Any) -> None:
    """Write the wait ahead of the first noise event of each pixel to `left`."""
    for pixel in range(left.size):
        left[pixel] = _wait(pixel, 0, k0, k1)


@jit
def _convert(
    frames: NDArray[Any],
    before: NDArray[Any],
    stamps: NDArray[np.int64],
    end: int,
    responses: NDArray[np.float64],
    indexed: bool,
    cutoff: float,
    leak: float,
    noise: float,
    dead: float,
    on: NDArray[np.float64],
    off: NDArray[np.float64],
    reference: NDArray[np.float64],
    until: NDArray[np.float64],
    low: NDArray[np.float64],
    left: NDArray[np.float64],
    number: NDArray[np.uint32],
    k0: Any,
    k1: Any,
    columns: int,
    progress: NDArray[np.int64],
    keys: NDArray[np.uint64],
    other: NDArray[np.uint64],
    counts: NDArray[np.int32],
    out: NDArray[np.uint64],
) -> int:
    """Write the events of `frames`; see `Pixels.convert`. Times are in µs, `cutoff`, `leak` and `noise` per µs."""
    pixels = before.size
    still = cutoff == 0.0 and leak == 0.0 and noise == 0.0  # a pixel without change gives no event
    alpha, beta = np.empty(256), np.empty(256)
    for j in range(progress[0], frames.shape[0]):
        start, span = stamps[j], float(stamps[j + 1] - stamps[j])
        old = frames[j - 1] if j else before
        new = frames[j]
        if cutoff > 0.0 and indexed:
            for level in range(256):
                decay = cutoff * (level + _DARK) / _SCALE * span
                alpha[level] = -np.expm1(-decay)
                beta[level] = 1.0 - alpha[level] / decay
        held = progress[2]
        for pixel in range(progress[1], pixels):
            u, v = old[pixel], new[pixel]
            if still and u == v:
                continue
            z0 = responses[np.int64(u)] if indexed else response(np.float64(u))
            z1 = responses[np.int64(v)] if indexed else response(np.float64(v))
            level, free_from = reference[pixel], until[pixel]
            up, down = on[pixel], off[pixel]
            if still and free_from < 0.0 and z1 - level < up and level - z1 < down:
                continue
            filtered = z1
            if cutoff > 0.0:
                if indexed:
                    a, b = alpha[np.int64(v)], beta[np.int64(v)]
                else:
                    decay = cutoff * (np.float64(v) + _DARK) / _SCALE * span
                    a = -np.expm1(-decay)
                    b = 1.0 - a / decay
                # the response of the filter to what changes linearly from z0 to z1
                filtered = on_grid(low[pixel] + (z0 - low[pixel]) * a + (z1 - z0) * b)
                z0 = low[pixel]
            drift = on_grid(leak * up * span)
            z1 = filtered + drift
            rate, wait, drawn = 0.0, 0.0, np.uint32(0)
            if noise > 0.0:
                rate = noise * (1.0 - _BRIGHT * (np.float64(u) + np.float64(v)) / 510.0)
                wait, drawn = left[pixel], number[pixel]
            if (
                free_from < 0.0
                and z1 - level < up
                and level - z1 < down
                and (rate == 0.0 or wait > rate * span)
            ):
                reference[pixel] = level - drift
                if cutoff > 0.0:
                    low[pixel] = filtered
                if noise > 0.0:
                    left[pixel] = wait - rate * span
                continue
            pace = span / (
                z1 - z0
            )  # µs per unit of the response; infinite, and not used, where nothing changes
            free = 0.0  # µs of the interval from which the pixel is not in its dead time
            if free_from >= 0.0:
                free = free_from - start
                if free < span:
                    level = on_grid(z0 + (z1 - z0) * (free / span)) if free > 0.0 else z0
                    free_from = NO_DEAD_TIME
            first = held
            full = False
            while True:
                at, is_on, next_level = np.inf, False, level
                if free_from < 0.0:
                    if z1 - level >= up:
                        is_on, next_level = True, level + up
                    elif level - z1 >= down:
                        next_level = level - down
                    if next_level != level:
                        at = min(max((next_level - z0) * pace, free), span)
                if rate > 0.0 and wait <= rate * span and wait / rate < at:
                    at = wait / rate
                    is_on = _is_on(pixel, drawn, k0, k1)
                    drawn += np.uint32(1)
                    wait += _wait(pixel, drawn, k0, k1)
                    if free_from >= 0.0 or at < free:
                        continue  # in the dead time
                    next_level = on_grid(z0 + (z1 - z0) * (at / span))
                if at == np.inf:
                    break
                if held == keys.size:
                    full = True
                    break
                offset = min(np.int64(np.rint(at)), end - 1 - start)
                keys[held] = event_key(offset, pixel, is_on)
                held += 1
                level = next_level
                if dead > 0.0:
                    free = at + dead
                    if free >= span:
                        free_from = start + free
                    else:
                        level = on_grid(z0 + (z1 - z0) * (free / span))
            if full:  # the pixel is begun anew with more room
                progress[0], progress[1], progress[2] = j, pixel, first
                return KEYS_FULL
            reference[pixel], until[pixel] = level - drift, free_from
            if cutoff > 0.0:
                low[pixel] = filtered
            if noise > 0.0:
                left[pixel], number[pixel] = wait - rate * span, drawn
        done = progress[3]
        if done + held > len(out):
            progress[0], progress[1], progress[2] = j, pixels, held
            return EVENTS_FULL
        write_events(keys, other, held, np.int64(span), start, columns, counts, out, done)
        progress[0], progress[1], progress[2], progress[3] = j + 1, 0, 0, done + held
    return DONE


class Pixels:
    """The state of all pixels while a video goes by.

    Parameters
    ----------
    first
        The first frame, uint8 or float64 in grey levels, (pixel,).
    on, off
        Each pixel's thresholds, (pixel,).
    dead
        Dead time after an event, in µs.
    cutoff, leak, noise
        Hz: the filter's angular frequency over 2 π, events of the leak and of noise.
    key
        Decides leak and noise; None where there is neither.
    end
        The video's duration, in µs.
    columns
        Pixels of a row.
    """

    def __init__(
        self,
        first: NDArray[Any],
        on: NDArray[np.float64],
        off: NDArray[np.float64],
        dead: int,
        cutoff: float,
        leak: float,
        noise: float,
        key: SampleKey | None,
        end: int,
        columns: int,
    ) -> None:
        pixels = first.size
        self._rates = 2 * np.pi * cutoff / 1e6, leak / 1e6, noise / 1e6, float(dead)
        self._on, self._off, self._end, self._columns = on, off, end, columns
        self._key = [np.uint64(word) for word in (key.philox_key() if key else (0, 0))]
        self._responses = responses()
        self._low = response_of(first, self._responses)
        self._reference = self._low.copy()
        if leak and key:
            phase = (draws(0, pixels, VIDEO_LEAK, key) >> _LOW) * 2.0**-53
            self._reference -= np.rint(phase * on * GRID) / GRID
        self._until = np.full(pixels, NO_DEAD_TIME)
        self._left = np.zeros(pixels if noise else 1)
        if noise:
            _start_noise(self._left, *self._key)
        self._number = np.zeros(len(self._left), np.uint32)

    def convert(
        self,
        frames: NDArray[Any],
        before: NDArray[Any],
        stamps: NDArray[np.int64],
        progress: NDArray[np.int64],
        room: Room,
        out: NDArray[np.uint64],
    ) -> int:
        """Write the events of `frames` (frame, pixel), which follow `before`, to `out` as words (event, 2).

        Interval j ends with frame j, at stamps[j + 1]. `progress` holds the interval, the pixel, the keys and the
        events that are done. Returns `DONE`, or, to be called again with more, that the `room` or `out` is full.
        """
        return int(
            _convert(
                frames, before, stamps, self._end, self._responses, frames.dtype == np.uint8, *self._rates,
                self._on, self._off, self._reference, self._until, self._low, self._left, self._number, *self._key,
                self._columns, progress, *room.keys, room.counts, out,
            )
        )  # fmt: skip
