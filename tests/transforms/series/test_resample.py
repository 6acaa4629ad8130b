import numpy as np
import pytest
from scipy.signal import resample_poly

from spikeprep.data import Frames
from spikeprep.errors import DataError, SignalError, UsageError
from spikeprep.testing import check_transform
from spikeprep.transforms import Resample

SIGNAL = np.array([[0.0, 4.0], [2.0, 0.0], [1.0, 8.0]])


def test_a_higher_rate_interpolates_and_holds_the_last_value():
    frames = Resample(rate=20)(Frames(SIGNAL, 10.0))
    np.testing.assert_array_equal(frames.values, [[0, 4], [1, 2], [2, 0], [1.5, 4], [1, 8], [1, 8]])
    assert frames.rate == 20


def test_a_lower_rate():
    frames = Resample(rate=5)(Frames(SIGNAL, 10.0))
    np.testing.assert_array_equal(frames.values, [[0, 4], [1, 8]])
    two_thirds = Resample(rate=10)(Frames(SIGNAL, 15.0))
    np.testing.assert_allclose(two_thirds.values, [[0, 4], [1.5, 4]])


def test_a_number_of_steps():
    np.testing.assert_array_equal(Resample(steps=5)(SIGNAL), [[0, 4], [1, 2], [2, 0], [1.5, 4], [1, 8]])
    np.testing.assert_array_equal(Resample(steps=2)(SIGNAL), [[0, 4], [1, 8]])
    np.testing.assert_array_equal(Resample(steps=3)(SIGNAL[:1]), [[0, 4]] * 3)
    assert Resample(steps=5)(Frames(SIGNAL, 10.0)).rate == 10


def test_polyphase_is_scipys():
    values = np.random.default_rng(0).normal(size=(50, 2))
    frames = Resample(rate=30, method="polyphase")(Frames(values, 100.0))
    np.testing.assert_allclose(frames.values, resample_poly(values, 3, 10, padtype="line"))
    assert len(frames.values) == 15
    # a tone above half of the new rate: filtered out, and aliased without a filter
    tone = Frames(np.sin(2 * np.pi * 40 * np.arange(400) / 100)[:, None], 100.0)
    levels = [np.abs(Resample(rate=30, method=m)(tone).values[20:-20]).max() for m in ("polyphase", "linear")]
    assert levels[0] < 0.01 < 0.4 < levels[1]


@pytest.mark.parametrize("settings", [{"rate": 25.0}, {"rate": 160.0, "method": "polyphase"}, {"steps": 7}])
def test_conformance(settings):
    signals = [Frames(np.random.default_rng(n).normal(size=(n, 3)), 100.0) for n in (8, 13)]
    check_transform(Resample(**settings), signals)


def test_what_is_refused():
    with pytest.raises(UsageError, match="one of them"):
        Resample(rate=1.0, steps=3)
    with pytest.raises(UsageError, match="polyphase"):
        Resample(steps=3, method="polyphase")
    with pytest.raises(SignalError, match="no rate"):
        Resample(rate=10.0)(SIGNAL)
    with pytest.raises(SignalError, match="ratio"):
        Resample(rate=np.pi)(Frames(SIGNAL, 1e9))


@pytest.mark.parametrize("method", ["outline", "__call__"])
def test_memory_is_bounded(method):
    """2 channels of 8 bytes each: what would take too much is refused before it is allocated."""
    frames = Frames(SIGNAL, 1000.0)
    for settings, words in (
        ({"steps": 10**9}, r"resample.steps = 1000000000 makes 1,000,000,000 steps, 16,000,000,000 bytes"),
        ({"rate": 1e9}, r"resample.rate = 1e\+09 makes 3,000,000 steps, 48,000,000 bytes"),
        ({"rate": 1e9, "method": "polyphase"}, "48,000,000 bytes.*resample.max_bytes=48000000"),
    ):
        resample = Resample(**settings, max_bytes=10_000_000)
        with pytest.raises(DataError, match=words):
            getattr(resample, method)(frames)
    with pytest.raises(DataError, match="at most 1,000,000,000"):
        getattr(Resample(steps=10**9), method)(frames)
    assert getattr(Resample(steps=10, max_bytes=160), method)(frames).values.shape == (10, 2)
    with pytest.raises(DataError, match="160 bytes"):
        getattr(Resample(steps=10, max_bytes=159), method)(frames)
    # what is no longer than it was is never too large: it is in memory already
    assert getattr(Resample(steps=2, max_bytes=1), method)(frames).values.shape == (2, 2)
    assert Resample(steps=10**9)(Frames(SIGNAL[:0], 10.0)).values.shape == (0, 2)
