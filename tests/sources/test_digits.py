import numpy as np
import pytest

pytest.importorskip("sklearn")
from spikeprep.sources.digits import Digits


def test_split_is_fixed_stratified_and_complete():
    source = Digits()
    assert dict(source.splits()) == {"train": 1442, "test": 355}
    samples = {split: [source.read(split, n) for n in range(size)] for split, size in source.splits().items()}
    ids = [int(s.id) for split in samples.values() for s in split]
    assert sorted(ids) == list(range(1797))
    for label in range(10):
        sizes = {split: sum(s.label == label for s in samples[split]) for split in samples}
        assert sizes["test"] == (sizes["train"] + sizes["test"]) // 5


def test_images_are_a_sixteenth_of_scikit_learn():
    from sklearn.datasets import load_digits

    bunch, sample = load_digits(), Digits().read("test", 17)
    np.testing.assert_array_equal(sample.signal * 16, bunch.images[int(sample.id)])
    assert sample.label == bunch.target[int(sample.id)]
    assert sample.signal.max() <= 1
