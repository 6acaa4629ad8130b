"""Videos → events, by a model of the pixels of an event camera.

Each pixel follows the logarithm of its brightness, and fires where that has changed by a threshold since it last fired.
Between two frames the logarithm is taken to change linearly, so that the time of every event follows exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...config import Count, Meta, Natural, NonNegative
from ...data import EVENT, Events, Video
from ...encoders.base import Transform
from ...errors import DataError
from ...random import SampleKey
from ..draws import required_key
from ..events.base import Microseconds, Piece
from .base import checked_video, frames_of
from .camera_kernel import Pixels
from .clean_kernel import CleanPixels
from .event_keys import DONE, KEYS_FULL, Room
from .pixel_model import thresholds

Threshold = Annotated[float, Meta(ge=0.01, le=10)]
"""A change of the natural logarithm of brightness."""

_PIECE, _WHOLE = 1 << 18, 1 << 22  # events of a piece of a streamed recording, and of one in memory


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
        parts = list(pieces)
        if len(parts) != 1:
            parts = [
                np.concatenate([_words(0).ravel(), *(part.view(np.uint64) for part in parts)]).view(EVENT)
            ]
        return Events(tuple(parts), video.size, 2, duration=int(video.duration), checked=True)

    def thresholds(self, width: int, height: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the ON and the OFF threshold of each pixel of the camera, float64 (row, column)."""
        on, off = thresholds(self.on, self.off, self.sigma, self.camera, width * height)
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
    """A camera that sees a video, and the events of its pixels."""

    def __init__(
        self, transform: VideoToEvents, video: Video, first: NDArray[Any], key: SampleKey | None, most: int
    ) -> None:
        t, end, columns = transform, int(video.duration), video.size[0]
        self._transform, self._most = t, most
        limits = thresholds(t.on, t.off, t.sigma, t.camera, first.size)
        rates = t.cutoff_hz, t.leak_hz, t.noise_hz
        self._pixels = (
            Pixels(first, *limits, t.refractory_us, *rates, key, end, columns)
            if any(rates) or first.dtype != np.uint8
            else CleanPixels(first, *limits, t.refractory_us, end, columns)
        )
        self._room = Room(max(first.size, 1024))
        self._total = 0

    def convert(
        self, frames: NDArray[Any], before: NDArray[Any], stamps: NDArray[np.int64]
    ) -> Iterator[Piece]:
        """Yield the events of frames (frame, pixel), which follow `before`; `stamps` are its time and theirs."""
        out = _words(max(min(frames.size, self._most), 1024))
        progress = np.zeros(4, np.int64)
        while True:
            state = self._pixels.convert(frames, before, stamps, progress, self._room, out)
            held, done = int(progress[2]), int(progress[3])
            self._check(held + done)
            if state == KEYS_FULL:
                self._room.double(held)
                continue
            if done:
                self._total += done
                out.resize((done, out.shape[1]), refcheck=False)  # the rest is freed
                yield out.view(EVENT)[:, 0]
            if state == DONE:
                return
            out = _words(max(self._most, held))
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


def _words(events: int) -> NDArray[np.uint64]:
    """Return room for events, as words: they are copied faster than fields."""
    return np.empty((events, EVENT.itemsize // 8), np.uint64)
