"""Videos → events, by a model of the pixels of an event camera.

Each pixel follows the logarithm of its brightness, and fires where that has changed by a threshold since it last fired.
Between two frames the logarithm is taken to change linearly, so that the time of every event follows exactly.

**How it is computed.** Pixels are independent. For each pair of frames the kernel visits them in order; most are done
after a comparison, as their change stays below the thresholds. The events of a pair of frames are keys of 64 bits (time
since the first of them, pixel, polarity), which are sorted by time, a byte a pass. Logarithms and thresholds are
multiples of 2⁻³², so that sums of thresholds are exact: a pixel that returns to its first brightness gives as many
events down as up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..._jit import inline, jit
from ...config import Count, Meta, Natural, NonNegative
from ...data import EVENT, Events, Video
from ...encoders.base import Transform
from ...errors import DataError
from ...random import VIDEO_LEAK, VIDEO_NOISE, VIDEO_THRESHOLDS, SampleKey, philox4x32
from ..draws import draws, required_key
from ..events.base import Microseconds, Piece
from .base import checked_video, frames_of

Threshold = Annotated[float, Meta(ge=0.01, le=10)]
"""A change of the natural logarithm of brightness."""

_GRID = 2.0**32  # steps per unit of logarithm: sums of such numbers are exact in float64
_LINEAR = 20.0  # grey level up to which the response is linear
_SLOPE = np.log(_LINEAR) / _LINEAR
_DARK, _SCALE = 20.0, 275.0  # the bandwidth is proportional to (level + _DARK) / _SCALE
_BRIGHT = 0.75  # of the noise is gone at level 255
_LEAST = 0.01  # of a threshold that mismatch has made small
_NONE = -1.0  # no end of a dead time
_PIECE, _WHOLE = 1 << 18, 1 << 22  # events of a piece of a streamed recording, and of one in memory
_CAMERA = "camera"

_LOW, _HALF, _ZERO, _ONE, _BYTE = (np.uint64(n) for n in (11, 32, 0, 1, 255))
_NOISE = np.uint64(VIDEO_NOISE)
_DONE, _KEYS_FULL, _EVENTS_FULL = 0, 1, 2
_philox = inline(philox4x32)


@inline
def _on_grid(value: Any) -> Any:
    return np.rint(value * _GRID) / _GRID


@inline
def _response(level: Any) -> Any:
    """Return the logarithm of a grey level, 0 to 255; linear up to `_LINEAR`."""
    return _on_grid(level * _SLOPE if level <= _LINEAR else np.log(level))


@inline
def _wait(pixel: Any, number: Any, k0: Any, k1: Any) -> Any:
    """Return the exponentially distributed wait ahead of noise event `number` of a pixel, in mean waits."""
    x0, x1, _, _ = _philox(np.uint64(pixel), np.uint64(number), _ZERO, _NOISE, k0, k1)
    return _on_grid(-np.log1p(-(np.float64((x0 << _HALF | x1) >> _LOW) * 2.0**-53)))


@inline
def _is_on(pixel: Any, number: Any, k0: Any, k1: Any) -> Any:
    """Return whether noise event `number` of a pixel is an ON event."""
    _, _, x2, _ = _philox(np.uint64(pixel), np.uint64(number), _ZERO, _NOISE, k0, k1)
    return (x2 & _ONE) == _ONE


@jit
def _start(left: NDArray[np.float64], k0: Any, k1: Any) -> None:
    """Write the wait ahead of the first noise event of each pixel to `left`."""
    for pixel in range(left.size):
        left[pixel] = _wait(pixel, 0, k0, k1)


@jit
def _sort(keys: NDArray[np.uint64], other: NDArray[np.uint64], count: int, span: int) -> bool:
    """Sort the first `count` keys by their upper half, which is at most `span`; return whether they are in `other`."""
    moved = False
    counts = np.empty(257, np.int64)
    shift = np.uint64(32)
    while span > 0:
        source, target = (other, keys) if moved else (keys, other)
        counts[:] = 0
        for n in range(count):
            counts[np.int64(source[n] >> shift & _BYTE) + 1] += 1
        for digit in range(256):
            counts[digit + 1] += counts[digit]
        for n in range(count):
            byte = np.int64(source[n] >> shift & _BYTE)
            target[counts[byte]] = source[n]
            counts[byte] += 1
        moved = not moved
        shift += np.uint64(8)
        span >>= 8
    return moved


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
    width: int,
    progress: NDArray[np.int64],
    keys: NDArray[np.uint64],
    other: NDArray[np.uint64],
    out: Piece,
) -> int:
    """Write the events of `frames` (frame, pixel) to `out`, sorted; interval j ends with frame j, at stamps[j + 1].

    `progress` holds the interval, the pixel, the keys and the events that are done. Where `keys` or `out` are full, the
    call returns which, and goes on with larger ones. Times are in µs, `cutoff`, `leak` and `noise` per µs.
    """
    pixels = before.size
    still = cutoff == 0.0 and leak == 0.0 and noise == 0.0  # a pixel without change gives no event
    alpha, beta = np.empty(256), np.empty(256)
    columns = np.uint32(width)
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
            z0 = responses[np.int64(u)] if indexed else _response(np.float64(u))
            z1 = responses[np.int64(v)] if indexed else _response(np.float64(v))
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
                filtered = _on_grid(low[pixel] + (z0 - low[pixel]) * a + (z1 - z0) * b)
                z0 = low[pixel]
            drift = _on_grid(leak * up * span)
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
                    level = _on_grid(z0 + (z1 - z0) * (free / span)) if free > 0.0 else z0
                    free_from = _NONE
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
                    next_level = _on_grid(z0 + (z1 - z0) * (at / span))
                if at == np.inf:
                    break
                if held == keys.size:
                    full = True
                    break
                offset = min(np.int64(np.rint(at)), end - 1 - start)
                keys[held] = np.uint64(offset) << _HALF | np.uint64(pixel) << _ONE | np.uint64(is_on)
                held += 1
                level = next_level
                if dead > 0.0:
                    free = at + dead
                    if free >= span:
                        free_from = start + free
                    else:
                        level = _on_grid(z0 + (z1 - z0) * (free / span))
            if full:  # the pixel is begun anew with more room
                progress[0], progress[1], progress[2] = j, pixel, first
                return _KEYS_FULL
            reference[pixel], until[pixel] = level - drift, free_from
            if cutoff > 0.0:
                low[pixel] = filtered
            if noise > 0.0:
                left[pixel], number[pixel] = wait - rate * span, drawn
        done = progress[3]
        if done + held > out.size:
            progress[0], progress[1], progress[2] = j, pixels, held
            return _EVENTS_FULL
        ordered = other if _sort(keys, other, held, np.int64(span)) else keys
        for n in range(held):
            key = ordered[n]
            place = np.uint32(key) >> np.uint32(1)
            row = np.uint32(place // columns)
            event = out[done + n]
            event.x, event.y = np.uint32(place - row * columns), row
            event.t, event.p = start + np.int64(key >> _HALF), key & _ONE
        progress[0], progress[1], progress[2], progress[3] = j + 1, 0, 0, done + held
    return _DONE


@lru_cache(1)
def _responses() -> NDArray[np.float64]:
    levels = np.arange(256.0)
    values = np.where(levels <= _LINEAR, levels * _SLOPE, np.log(np.maximum(levels, 1)))
    return np.asarray(np.rint(values * _GRID) / _GRID)


@lru_cache(4)
def _thresholds(
    on: float, off: float, sigma: float, camera: int, pixels: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the thresholds of each pixel: normal, by the transform of Box and Muller of the pixel's two numbers."""
    normals = np.zeros((2, pixels))
    if sigma:
        key = SampleKey(camera, _CAMERA, 0)
        u = (draws(0, 2 * pixels, VIDEO_THRESHOLDS, key) >> _LOW).reshape(pixels, 2).T * 2.0**-53
        radius, angle = np.sqrt(-2 * np.log1p(-u[0])), 2 * np.pi * u[1]
        normals = np.stack([radius * np.cos(angle), radius * np.sin(angle)])
    values = np.maximum(np.array([[on], [off]]) + sigma * normals, _LEAST)
    values = np.rint(values * _GRID) / _GRID
    values.flags.writeable = False
    return values[0], values[1]


@dataclass(frozen=True)
class VideoToEvents(Transform):
    """Video → the events that an event camera would see: a pixel fires where log brightness changes by a threshold.

    A grey level I, 0 to 255, is linear brightness; the pixel's response is ln I, and I ln(20) / 20 up to 20. It changes
    linearly from frame to frame. From its value at the first frame on, each rise by the pixel's ON threshold gives an
    ON event, each fall by its OFF threshold an OFF event. t is rounded to whole µs below the video's duration; events
    of one t are in the order of the pixels, row by row, those of an earlier pair of frames first.

    After an event a pixel is held in reset for `refractory_us`, and what changes meanwhile is lost, as in the camera's
    circuit: where the response rises at s per second, ON events follow each other after on / s + the refractory time.

    Parameters
    ----------
    on, off
        Thresholds of ON and OFF events: changes of the natural logarithm of brightness.
    sigma
        Standard deviation of the thresholds from pixel to pixel; a threshold is at least 0.01.
    camera
        Number of the camera: with `sigma` each has thresholds of its own, the same in every recording.
    refractory_us
        How long a pixel is silent after an event, in µs.
    cutoff_hz
        Bandwidth of a pixel at a grey level of 255, in Hz: a low-pass filter of first order ahead of the thresholds,
        whose bandwidth is proportional to the new frame's level + 20. 0: none.
    leak_hz
        ON events per pixel and second from the leak of the reset switch, at times of their own for each pixel.
    noise_hz
        Noise events per pixel and second in the dark, ON or OFF; a quarter of them at 255.
    max_events
        Most events of a recording; more are an error.
    """

    name: ClassVar[str] = "video_to_events"
    citation: ClassVar[str] = (
        "Hu, Liu & Delbruck 2021, v2e: From video frames to realistic DVS events, CVPR workshops; Gehrig, Gehrig, "
        "Hidalgo-Carrió & Scaramuzza 2020, Video to Events: Recycling video datasets for event cameras, CVPR; "
        "Lichtsteiner, Posch & Delbruck 2008, A 128 × 128 120 dB 15 µs latency asynchronous temporal contrast vision "
        "sensor, IEEE Journal of Solid-State Circuits 43"
    )

    on: Threshold = 0.2
    off: Threshold = 0.2
    sigma: Annotated[float, Meta(ge=0, le=10)] = 0.03
    camera: Natural = 0
    refractory_us: Microseconds = 500
    cutoff_hz: NonNegative = 0.0
    leak_hz: Annotated[float, Meta(ge=0, le=1e5)] = 0.0
    noise_hz: Annotated[float, Meta(ge=0, le=1e5)] = 0.0
    max_events: Count = 1 << 26

    def __call__(self, signal: Any, *, rng: SampleKey | None = None) -> Events:
        """Return the events, streamed if the video is.

        Raises
        ------
        DataError
            `signal` is no `Video`, or one whose times, frames or pixels cannot be; or it gives more than `max_events`.
        UsageError
            `rng` is None, and leak or noise are drawn.
        """
        video = checked_video(signal, self.name)
        key = required_key(rng, self.name) if self.leak_hz or self.noise_hz else None
        in_memory = isinstance(video.pieces, tuple)
        pieces = _Simulated(self, video, key, _WHOLE if in_memory else _PIECE)
        events = Events(pieces, video.size, 2, duration=int(video.duration), checked=True)
        if not in_memory:
            return events
        words = [
            np.empty(0, np.uint64),
            *(piece.view(np.uint64) for piece in pieces),
        ]  # copied faster than fields
        array = np.concatenate(words).view(EVENT)
        return Events((array,), video.size, 2, duration=int(video.duration), checked=True)

    def thresholds(self, width: int, height: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the ON and the OFF threshold of each pixel of the camera, float64 (row, column)."""
        on, off = _thresholds(self.on, self.off, self.sigma, self.camera, width * height)
        return on.reshape(height, width), off.reshape(height, width)

    def outline(self, signal: Any, rng: SampleKey | None = None) -> Events:
        """Return a recording without events, of the size and the duration of the video."""
        video = checked_video(signal, self.name)
        return Events((), video.size, 2, duration=int(video.duration))


class _Simulated:
    """The events of a video, in pieces that are made anew on every walk."""

    def __init__(self, transform: VideoToEvents, video: Video, key: SampleKey | None, most: int) -> None:
        self._transform, self._video, self._key, self._most = transform, video, key, most

    def __iter__(self) -> Iterator[Piece]:
        camera = None
        ends = np.append(self._video.times, self._video.duration).astype(np.int64)
        last, count = None, 0
        for frames in frames_of(self._video, self._transform.name):
            if camera is None and len(frames):
                camera = _Camera(self._transform, self._video, frames[0], self._key, self._most)
                last, frames, count = frames[0], frames[1:], 1
            if camera is None or last is None or not len(frames):
                continue
            yield from camera.convert(frames, last, ends[count - 1 : count + len(frames)])
            last, count = frames[-1], count + len(frames)
        if camera is not None and last is not None:
            yield from camera.convert(last[None], last, ends[-2:])


class _Camera:
    """The state of all pixels while a video goes by."""

    def __init__(
        self, transform: VideoToEvents, video: Video, first: NDArray[Any], key: SampleKey | None, most: int
    ) -> None:
        t, pixels = transform, first.size
        self._transform, self._width, self._end, self._most = t, video.size[0], int(video.duration), most
        self._on, self._off = _thresholds(t.on, t.off, t.sigma, t.camera, pixels)
        self._rates = 2 * np.pi * t.cutoff_hz / 1e6, t.leak_hz / 1e6, t.noise_hz / 1e6, float(t.refractory_us)
        self._key = [np.uint64(word) for word in (key.philox_key() if key else (0, 0))]
        self._responses = _responses()
        self._low = _response_of(first, self._responses)
        self._reference = self._low.copy()
        if t.leak_hz and key:
            phase = (draws(0, pixels, VIDEO_LEAK, key) >> _LOW) * 2.0**-53
            self._reference -= np.rint(phase * self._on * _GRID) / _GRID
        self._until = np.full(pixels, _NONE)
        self._left = np.zeros(pixels if t.noise_hz else 1)
        if t.noise_hz:
            _start(self._left, *self._key)
        self._number = np.zeros(len(self._left), np.uint32)
        self._keys = np.empty((2, max(pixels, 1024)), np.uint64)
        self._total = 0

    def convert(
        self, frames: NDArray[Any], before: NDArray[Any], stamps: NDArray[np.int64]
    ) -> Iterator[Piece]:
        """Yield the events of frames (frame, pixel), which follow `before`; `stamps` are its time and theirs."""
        out = np.empty(max(min(frames.size, self._most), 1024), EVENT)
        progress = np.zeros(4, np.int64)
        while True:
            state = _convert(
                frames, before, stamps, self._end, self._responses, frames.dtype == np.uint8, *self._rates,
                self._on, self._off, self._reference, self._until, self._low, self._left, self._number, *self._key,
                self._width, progress, self._keys[0], self._keys[1], out,
            )  # fmt: skip
            self._check(int(progress[3] + progress[2]))
            if state == _KEYS_FULL:
                larger = np.empty((2, 2 * self._keys.shape[1]), np.uint64)
                larger[0, : progress[2]] = self._keys[0, : progress[2]]
                self._keys = larger
                continue
            if progress[3]:
                self._total += int(progress[3])
                events = out[: progress[3]]
                if 4 * len(events) < len(
                    out
                ):  # the rest of `out` is freed; words are copied faster than fields
                    events = events.view(np.uint64).copy().view(EVENT)
                yield events
            if state == _DONE:
                return
            out = np.empty(max(self._most, int(progress[2])), EVENT)
            progress[3] = 0

    def _check(self, events: int) -> None:
        """Raise `DataError` where there are more events than allowed, `events` of them not yet counted."""
        most = self._transform.max_events
        if self._total + events > most:
            raise DataError(
                f"{self._transform.name}: got more than {most:,} events",
                "at most as many",
                f"Raise the thresholds: use {self._transform.name}.on={2 * self._transform.on:g} and "
                f"{self._transform.name}.off={2 * self._transform.off:g}; make the frames smaller (source.size), or "
                f"allow more: use {self._transform.name}.max_events={2 * most}.",
            )


def _response_of(frame: NDArray[Any], responses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the response of each pixel of a frame, uint8 or float64 in grey levels."""
    if frame.dtype == np.uint8:
        return np.asarray(responses[frame])
    values = np.where(frame <= _LINEAR, frame * _SLOPE, np.log(np.maximum(frame, 1)))
    return np.asarray(np.rint(values * _GRID) / _GRID)
