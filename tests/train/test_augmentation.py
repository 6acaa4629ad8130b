"""Training on stores with copies, and on variants that are encoded while it trains."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spikeprep.encoding.run import encode
from spikeprep.recipes import Recipe, load_recipe
from spikeprep.store import SpikeStore

from .test_trainer import trainer

RECIPE = load_recipe("digits").override(
    {"elastic.alpha": 3.0, "elastic.sigma": 1.0, "shift.pixels": 1, "poisson.steps": 60}
)
FEW = 90


def store_of(recipe: Recipe, path: Path, **more: int) -> SpikeStore:
    encode(recipe, path, limit=FEW, seed=3, **more)  # type: ignore[arg-type]
    return SpikeStore.open(path)


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> SpikeStore:
    """Three copies of 90 digits."""
    return store_of(RECIPE.override({"copies": 3}), tmp_path_factory.mktemp("copied") / "s.zarr")


def test_no_copy_of_a_held_out_sample_is_trained_on(copied: SpikeStore, tmp_path: Path) -> None:
    made = trainer(copied, tmp_path / "run")
    groups = copied["train"].groups
    assert groups is not None
    trained, held = made.train_samples, made.validation_samples
    assert len(held)
    assert (held < FEW).all()  # originals only
    assert not set(groups[trained]) & set(groups[held])
    assert len(trained) == 3 * (FEW - len(held))
    limited = trainer(copied, tmp_path / "limited", limit=FEW)  # the originals
    np.testing.assert_array_equal(limited.validation_samples, held)
    assert len(limited.train_samples) == FEW - len(held)
