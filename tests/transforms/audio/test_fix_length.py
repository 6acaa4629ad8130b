import numpy as np
import pytest

from spikeprep.data import Audio
from spikeprep.errors import DataError
from spikeprep.transforms import FixLength, Lyon


@pytest.mark.parametrize(
    ("length", "seconds", "expected"), [(3, 0.005, 5), (8, 0.005, 5), (5, 0.005, 5), (4, 1e-9, 1)]
)
def test_cut_or_padded(length, seconds, expected):
    sound = Audio(np.arange(1.0, length + 1), 1000)
    fixed = FixLength(seconds=seconds)(sound)
    assert fixed.rate == 1000
    np.testing.assert_array_equal(fixed.samples, [n + 1 if n < length else 0 for n in range(expected)])
    assert FixLength(seconds=seconds).outline(sound).samples.shape == (expected,)


def test_other_signals():
    with pytest.raises(DataError, match="fix_length: got a signal of type ndarray"):
        FixLength()(np.zeros(4))


def test_lyon_refuses_sounds_on_another_scale():
    numbers = np.random.default_rng(0).integers(-2000, 2000, 800).astype(np.float64)
    with pytest.raises(DataError, match=r"lyon: got samples from -\d+ to \d+; expected ±1\..*32768"):
        Lyon()(Audio(numbers, 8000))
    assert Lyon()(Audio(numbers / 250, 8000)).values.any()
