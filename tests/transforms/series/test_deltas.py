import numpy as np
import pytest

from spikeprep.data import Frames
from spikeprep.errors import DataError, UsageError
from spikeprep.transforms import Deltas


def test_slopes_are_those_of_a_fitted_line():
    values = np.random.default_rng(0).normal(size=(12, 3))
    found = Deltas(width=2)(Frames(values, 100.0))
    assert found.rate == 100
    assert found.values.shape == (12, 6)
    np.testing.assert_array_equal(found.values[:, :3], values)
    for t in range(2, 10):
        slope = np.polyfit(np.arange(5), values[t - 2 : t + 3], 1)[0]
        np.testing.assert_allclose(found.values[t, 3:], slope, atol=1e-12)


def test_values_worked_out_by_hand():
    """HTK: at the ends the first and the last value stay."""
    found = Deltas(width=1, order=2)(np.array([0.0, 1.0, 4.0, 9.0]))
    np.testing.assert_allclose(found[:, 1], [0.5, 2, 4, 2.5])
    np.testing.assert_allclose(found[:, 2], [0.75, 1.75, 0.25, -0.75])


@pytest.mark.parametrize("width", [1, 2, 4])
def test_the_deltas_of_librosa(width):
    librosa = pytest.importorskip("librosa")
    values = np.random.default_rng(1).normal(size=(30, 2))
    found = Deltas(width=width)(values)[:, 2:]
    # its filter is Savitzky and Golay's of order 1: the same slope, but for the ends
    expected = librosa.feature.delta(values, width=2 * width + 1, axis=0)
    np.testing.assert_allclose(found[width:-width], expected[width:-width], atol=1e-12)


def test_short_signals_and_outlines():
    for steps in (0, 1, 2):
        values = np.ones((steps, 4))
        assert Deltas(order=2)(values).shape == Deltas(order=2).outline(values).shape == (steps, 12)
        assert not Deltas(order=2)(values)[:, 4:].any()


def test_what_is_refused():
    with pytest.raises(DataError, match="deltas: got ndarray"):
        Deltas()(np.zeros((2, 2, 2)))
    with pytest.raises(UsageError, match=r"deltas\.order"):
        Deltas(order=3)
