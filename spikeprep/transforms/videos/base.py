"""Checks of videos, made before kernels rely on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data import Video
from ...errors import DataError, SignalError

LONGEST = 1 << 31
"""µs between two frames, at most: 36 minutes."""

_MOST_PIXELS = 1 << 31  # of a frame
_MOST_SIDE = 65_535  # pixels, as coordinates of events have 16 bits
_LATEST = 1 << 52  # µs; float64 has whole numbers up to there


def checked_video(signal: Any, who: str) -> Video:
    """Return `signal`, its size and times checked; frames are checked by `frames_of`.

    Raises `SignalError` for what is no `Video`, `DataError` for one that cannot be, in the name of the plugin `who`.
    """
    if not isinstance(signal, Video):
        raise SignalError(
            f"{who}: got a signal of type {type(signal).__name__}",
            "Video",
            "Read videos with the source video, make one of an image with the transform saccades, or pass "
            "spikeprep.data.Video.of(frames, rate).",
        )
    width, height = signal.size
    if not (0 < width <= _MOST_SIDE and 0 < height <= _MOST_SIDE and width * height < _MOST_PIXELS):
        raise DataError(f"{who}: got frames of {width} × {height} pixels", f"1 to {_MOST_SIDE} on each side")
    times = signal.times
    if not isinstance(times, np.ndarray) or times.ndim != 1 or times.dtype.kind not in "iu":
        raise DataError(f"{who}: got times {times!r:.60}", "whole numbers of µs in an array (frame,)")
    if len(times) < 2:
        raise DataError(
            f"{who}: got a video of {'one frame' if len(times) else 'no frames'}",
            "at least two: events are changes",
            "Leave it out; for still images use the transform saccades ahead of this one.",
        )
    ends = np.append(times, signal.duration).astype(np.int64)
    steps = np.diff(ends)
    if times[0] != 0 or steps.min() <= 0 or steps.max() >= LONGEST or ends[-1] > _LATEST:
        n = int(np.argmax((steps <= 0) | (steps >= LONGEST)))
        got = (
            f"frame {n} from {ends[n]} to {ends[n + 1]} µs"
            if times[0] == 0
            else f"the first one at {times[0]} µs"
        )
        raise DataError(
            f"{who}: got frames of which {got}",
            f"times that increase from 0, by less than {LONGEST} µs, and a duration behind the last one",
            "Correct the times, or state a rate.",
        )
    return signal


def frames_of(video: Video, who: str) -> Iterator[NDArray[Any]]:
    """Yield the pieces of a checked video, uint8 or float64 in grey levels 0 to 255, (frame, pixel).

    Raises
    ------
    DataError
        A frame has another size or number than the video states, pixels that are neither uint8 nor in [0, 1], or
        uint8 ones where others are floating point.
    """
    count, shape, kind = 0, video.size[::-1], ""
    for piece in video.pieces:
        if not isinstance(piece, np.ndarray) or piece.ndim != 3 or piece.shape[1:] != shape:
            raise DataError(
                f"{who}: got frames {getattr(piece, 'dtype', type(piece).__name__)} {np.shape(piece)} of a video of "
                f"{video.size[0]} × {video.size[1]} pixels",
                f"(frame, {shape[0]}, {shape[1]}): (frame, row, column)",
                "Bring all frames to one size, in grey levels.",
            )
        if kind and piece.dtype.kind != kind:
            raise DataError(
                f"{who}: got frames of {piece.dtype} from frame {count} on, and of another type before",
                "one type: uint8, or floating point in [0, 1]",
                "Convert all frames to one of them.",
            )
        kind = piece.dtype.kind
        if piece.dtype == np.uint8:
            levels = np.ascontiguousarray(piece)
        elif np.issubdtype(piece.dtype, np.floating):
            if len(piece) and not (piece.min() >= 0 and piece.max() <= 1):  # a NaN fails both
                n = count + int(np.argmax(~((piece >= 0) & (piece <= 1)).all(axis=(1, 2))))
                bad = piece[n - count]
                raise DataError(
                    f"{who}: got brightness from {bad.min():g} to {bad.max():g} in frame {n}",
                    "[0, 1]",
                    "Divide the frames by their largest possible value, and replace NaN.",
                )
            levels = 255 * np.ascontiguousarray(piece, np.float64)
        else:
            raise DataError(
                f"{who}: got frames of {piece.dtype}",
                "uint8, or floating point in [0, 1]",
                "Divide them by their largest possible value.",
            )
        count += len(piece)
        if len(piece) and count <= len(video.times):
            yield levels.reshape(len(levels), -1)
    if count != len(video.times):
        raise DataError(f"{who}: got {count} frames and {len(video.times)} times", "one time per frame")
