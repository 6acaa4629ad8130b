"""Still images that move as in front of N-MNIST's camera."""

from __future__ import annotations

import numpy as np
import pytest

from spikeprep.data import Audio, Events, Video
from spikeprep.errors import DataError, SignalError
from spikeprep.transforms import Saccades, StabiliseSaccades, VideoToEvents

IMAGE = np.random.default_rng(0).integers(0, 256, (6, 5), np.uint8)


def moved(image, column, row, reach, ground=0):
    frame = np.full((image.shape[0] + reach, image.shape[1] + reach), ground, image.dtype)
    frame[row : row + image.shape[0], column : column + image.shape[1]] = image
    return frame


def test_the_image_moves_along_a_triangle():
    # 4 pixels in 4 frames of each saccade: right by half a pixel, down by one
    video = Saccades(reach=4, saccade_s=0.1, rate=40)(IMAGE)
    frames = video.array
    assert (video.size, frames.shape, frames.dtype) == ((9, 10), (13, 10, 9), np.uint8)
    assert video.times.tolist() == [25_000 * n for n in range(13)]
    assert video.duration == 13 * 25_000
    corners = {0: (0, 0), 2: (1, 2), 4: (2, 4), 6: (3, 2), 8: (4, 0), 10: (2, 0), 11: (1, 0), 12: (0, 0)}
    for n, (column, row) in corners.items():
        np.testing.assert_array_equal(frames[n], moved(IMAGE, column, row, 4))


def test_between_pixels_it_is_interpolated():
    frames = Saccades(reach=4, saccade_s=0.1, rate=40)(IMAGE / 255).array
    # frame 1 is at (0.5, 1): the mean of the two places beside it
    expected = (moved(IMAGE / 255, 0, 1, 4) + moved(IMAGE / 255, 1, 1, 4)) / 2
    np.testing.assert_allclose(frames[1], expected, atol=1e-12)
    frames = Saccades(reach=2, saccade_s=0.1, rate=40)(IMAGE / 255).array
    corners = [moved(IMAGE / 255, column, row, 2) for row in (0, 1) for column in (0, 1)]
    weights = [0.5 * 0.75, 0.5 * 0.25, 0.5 * 0.75, 0.5 * 0.25]  # at (0.25, 0.5)
    np.testing.assert_allclose(
        frames[1], sum(w * c for w, c in zip(weights, corners, strict=True)), atol=1e-12
    )


def test_smooth_motion_begins_and_ends_at_rest():
    linear, smooth = (
        Saccades(reach=8, saccade_s=0.1, rate=200, motion=m).places() for m in ("linear", "smooth")
    )
    np.testing.assert_allclose(smooth[[0, 10, 20, 30, 40, 60]], linear[[0, 10, 20, 30, 40, 60]], atol=1e-12)
    # a quarter of the time: 10 / 64 − 15 / 256 + 6 / 1024 of the way
    np.testing.assert_allclose(smooth[5], np.array([4, 8]) * 0.103515625, atol=1e-12)
    speed = np.abs(np.diff(smooth[:21], axis=0))[:, 1]
    assert speed.argmax() in (9, 10)
    assert speed.max() / speed[0] > 50
    assert abs(speed.max() / 0.4 - 1.875) < 0.02  # the peak of 30 t² (1 − t)²


def test_the_ground_is_around_the_image():
    frames = Saccades(reach=4, saccade_s=0.1, rate=40, ground=1)(IMAGE).array
    np.testing.assert_array_equal(frames[4], moved(IMAGE, 2, 4, 4, 255))
    still = Saccades(ground=0.2)(np.full((4, 4), 51, np.uint8))
    assert (still.array == 51).all()
    assert not len(VideoToEvents()(still).array)


def test_stabilise_saccades_takes_the_motion_back():
    """The published stabilisation of N-MNIST's recordings, on those of an image that is moved alike."""
    image = np.zeros((28, 28), np.uint8)
    image[10:18, 12:15] = 255
    video = Saccades(rate=1000)(image)
    assert (video.size, len(video.times)) == ((35, 35), 316)
    events = VideoToEvents()(video)
    assert isinstance(events, Events)
    assert len(events.array) > 1000
    still = StabiliseSaccades()(events).array
    assert len(still) == len(events.array)
    # every event is at the edge of the bar, within the pixel that interpolation widens it by
    inside = (still["y"] >= 9) & (still["y"] <= 18) & (still["x"] >= 11) & (still["x"] <= 15)
    assert inside.all()
    before = events.array
    assert ((before["y"] > 18) | (before["x"] > 15)).mean() > 0.3


def test_large_videos_are_made_on_every_walk():
    image = np.random.default_rng(1).integers(0, 256, (300, 300), np.uint8)
    video = Saccades()(image)
    assert isinstance(video, Video)
    assert not isinstance(video.pieces, tuple)
    pieces = list(video.pieces)
    assert len(pieces) > 1
    small = Saccades()(image[:200, :200])
    np.testing.assert_array_equal(np.concatenate(pieces)[:, :200, :200], small.array[:, :200, :200])
    assert isinstance(Saccades()(image[:90, :90]).pieces, tuple)


def test_errors():
    with pytest.raises(DataError, match="got an image of 3 channels"):
        Saccades()(np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(SignalError, match="saccades: got a signal of type Audio"):
        Saccades()(Audio(np.zeros(3), 8000))
