import numpy as np
import pytest

from spikeprep.data import Frames
from spikeprep.errors import DataError, UsageError
from spikeprep.testing import check_transform
from spikeprep.transforms import Standardise

RNG = np.random.default_rng(0)
TRAIN = [RNG.normal(1e6, 3.0, (n, 2)) * [1.0, 1e-3] for n in (5, 1, 90, 7)]


def test_the_statistics_are_those_of_all_steps_together():
    fitted = Standardise().fit(Frames(values, 10.0) for values in TRAIN)
    together = np.concatenate(TRAIN)
    np.testing.assert_allclose(fitted.mean, together.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(fitted.deviation, together.std(axis=0), rtol=1e-8)
    scaled = np.concatenate([fitted(values) for values in TRAIN])
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-7)
    np.testing.assert_allclose(scaled.std(axis=0), 1, rtol=1e-7)


def test_values_by_hand():
    transform = Standardise(mean=(1.0, 2.0, 5.0), deviation=(2.0, 0.5, 0.0), limit=3.0)
    frames = transform(Frames(np.array([[3.0, 2.0, 5.0], [1.0, 9.0, 7.0]]), 4.0))
    np.testing.assert_array_equal(frames.values, [[1, 0, 0], [0, 3, 0]])
    assert frames.rate == 4


def test_each_sample_by_its_own():
    transform = Standardise(statistics="sample")
    assert transform.is_fitted
    np.testing.assert_allclose(transform(np.array([[1.0, 0.1], [3.0, 0.1]])), [[-1, 0], [1, 0]])
    assert transform(np.zeros((0, 2))).shape == (0, 2)


def test_a_constant_channel_becomes_0_whatever_rounding_leaves():
    constant = [np.full((7, 1), 0.1), np.full((5, 1), 0.1)]
    fitted = Standardise().fit(constant)
    np.testing.assert_array_equal(fitted(constant[0]), np.zeros((7, 1)))


def test_the_conformance_check_takes_it_fitted_or_not():
    signals = [values - 1e6 for values in TRAIN[:1]]
    check_transform(Standardise().fit(signals), signals)
    check_transform(Standardise(), signals)


def test_what_is_refused():
    with pytest.raises(UsageError, match="no statistics"):
        Standardise()(np.zeros((3, 1)))
    with pytest.raises(UsageError, match="one of each per channel"):
        Standardise(mean=(1.0,))
    with pytest.raises(UsageError, match="statistics 'sample'"):
        Standardise(statistics="sample", mean=(1.0,), deviation=(1.0,))
    with pytest.raises(DataError, match="of 2 and of 3 channels"):
        Standardise().fit([np.zeros((1, 2)), np.zeros((1, 3))])
    with pytest.raises(DataError, match="no training steps"):
        Standardise().fit([])
    with pytest.raises(DataError, match="NaN"):
        Standardise().fit([np.array([[np.nan]])])
    with pytest.raises(DataError, match="got 2 channels; expected 1"):
        Standardise(mean=(0.0,), deviation=(1.0,))(np.zeros((3, 2)))


def test_values_whose_squares_are_beyond_float64():
    """They are an error, and no warning: pytest makes errors of warnings."""
    good, large = np.arange(8.0).reshape(4, 2), np.array([[0.0, 1.0], [1.0, -1e300], [2.0, 3.0]])
    words = "has the value -1e\\+300 at step 1 of channel 1"
    with pytest.raises(DataError, match=f"training sample 1 {words}"):
        Standardise().fit([good, large])
    with pytest.raises(DataError, match="training sample 1 has the value 1e"):
        Standardise().fit([good, np.full((3, 2), 1e300)])  # far from the others
    with pytest.raises(DataError, match=words):
        Standardise(statistics="sample")(large)
    with pytest.raises(DataError, match=words):
        Standardise(mean=(0.0, 0.0), deviation=(1.0, 1e-10))(large)
