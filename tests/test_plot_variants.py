"""The picture of originals beside variants."""

import numpy as np
import pytest

from spikeprep.encoding.run import encode
from spikeprep.errors import DataError, UsageError
from spikeprep.plot import variants
from spikeprep.random import SampleKey
from spikeprep.recipes import Recipe
from spikeprep.store import SpikeStore
from spikeprep.transforms import Crop, Shift

from .sources.idx_files import pictures, write_idx

pytest.importorskip("matplotlib")


def made(tmp_path, chain, copies=1):
    (tmp_path / "raw").mkdir()
    write_idx(tmp_path / "raw", *pictures(12))
    recipe = Recipe("mine", "", "", {"name": "idx"}, [*chain, {"name": "poisson", "steps": 8}], copies=copies)
    encode(recipe, tmp_path / "s.zarr", source_path=tmp_path / "raw", seed=4)
    return SpikeStore.open(tmp_path / "s.zarr")


@pytest.mark.parametrize("copies", [1, 3])
def test_rows_are_classes_and_columns_are_copies(tmp_path, copies):
    store = made(tmp_path, [{"name": "shift"}], copies)
    figure = variants(store, 4, tmp_path / "raw")
    images, labels = pictures(12)
    assert len(figure.axes) == 3 * 5
    assert [axes.get_title(loc="center") for axes in figure.axes[:3]] == ["original", "copy 1", "copy 2"]
    for row, label in enumerate(np.unique(labels)):
        index = int(np.argmax(labels == label))
        for copy, axes in enumerate(figure.axes[5 * row : 5 * row + 5]):
            expected = images[index]
            if copy:
                expected = Shift()(expected, rng=SampleKey(4, "train", index, copy))
            np.testing.assert_array_equal(axes.images[0].get_array(), expected)


@pytest.mark.parametrize(
    ("chain", "plain"),
    [
        ([{"name": "invert"}, {"name": "shift"}], lambda image, key: 255 - image),
        (
            [{"name": "crop", "rows": 2, "columns": 2}],
            lambda image, key: Crop(rows=2, columns=2).plain(image),
        ),
        ([{"name": "shift", "originals": True}], lambda image, key: Shift()(image, rng=key)),
    ],
)
def test_the_original_is_the_raw_image_and_copy_0_what_is_encoded_of_it(tmp_path, chain, plain):
    figure = variants(made(tmp_path, chain), 1, tmp_path / "raw")
    images, labels = pictures(12)
    titles = [axes.get_title(loc="center") for axes in figure.axes[:3]]
    assert titles == ["original", "copy 0", "copy 1"]
    assert figure.get_suptitle().endswith(": " + ", ".join(step["name"] for step in chain))
    for row, label in enumerate(np.unique(labels)):
        index = int(np.argmax(labels == label))
        original, copy_0, _ = figure.axes[3 * row : 3 * row + 3]
        np.testing.assert_array_equal(original.images[0].get_array(), images[index])
        expected = plain(images[index], SampleKey(4, "train", index, 0))
        np.testing.assert_array_equal(copy_0.images[0].get_array(), expected)


def test_what_cannot_be_shown(tmp_path):
    store = made(tmp_path, [{"name": "invert"}])
    with pytest.raises(UsageError, match="the chain invert, poisson, which varies no copies"):
        variants(store, 4, tmp_path / "raw")
    for count in (0, 21, 10**9):
        with pytest.raises(UsageError, match=rf"variants = {count}; expected 1 to 20"):
            variants(store, count, tmp_path / "raw")


def test_other_raw_data(tmp_path):
    store = made(tmp_path, [{"name": "shift"}])
    with pytest.raises(DataError, match="no raw data"):
        variants(store, 2, tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"no source is given.*source=FOLDER"):
        variants(store, 2)
