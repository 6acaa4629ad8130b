import numpy as np
import pytest

from spikeprep.data import Audio, Frames
from spikeprep.errors import DataError, UsageError
from spikeprep.transforms import Rectify

SIGNAL = np.array([[1.0, -2.0], [-0.5, 3.0], [0.0, -4.0]])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [[1, 0, 0, 2], [0, 3, 0.5, 0], [0, 0, 0, 4]]),
        ({"keep": "positive"}, [[1, 0], [0, 3], [0, 0]]),
        ({"keep": "absolute"}, [[1, 2], [0.5, 3], [0, 4]]),
        ({"keep": "positive", "offset": 4}, [[5, 2], [3.5, 7], [4, 0]]),
    ],
)
def test_what_is_kept(settings, expected):
    rectify = Rectify(**settings)
    np.testing.assert_array_equal(rectify(SIGNAL), expected)
    frames = rectify(Frames(SIGNAL, 50.0))
    np.testing.assert_array_equal(frames.values, expected)
    assert frames.rate == 50
    assert rectify.outline(SIGNAL).shape == np.shape(expected)


def test_one_channel():
    np.testing.assert_array_equal(Rectify()(np.array([1, -2], np.int16)), [[1, 0], [0, 2]])


def test_other_signals():
    for signal in (Audio(np.zeros(3), 8000), np.zeros((2, 2, 2)), np.array(["a"])):
        with pytest.raises(DataError, match="rectify: got"):
            Rectify()(signal)
    with pytest.raises(UsageError, match="keep"):
        Rectify(keep="negative")
