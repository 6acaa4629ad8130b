from __future__ import annotations

from pathlib import Path

import pytest

from spikeprep.encoding.run import encode
from spikeprep.recipes import load_recipe
from spikeprep.store import SpikeStore


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> SpikeStore:
    """300 + 300 real digits, 120 steps."""
    path = tmp_path_factory.mktemp("digits") / "digits.zarr"
    encode(load_recipe("digits").override({"poisson.steps": "120"}), str(path), limit=300)
    return SpikeStore.open(path)


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of another encoding."""
    path = tmp_path_factory.mktemp("digits") / "other.zarr"
    encode(load_recipe("digits").override({"poisson.steps": "130"}), str(path), limit=30)
    return path
