from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from spikeprep_cli.main import main

from spikeprep.train.rules.hm2bp import Hm2bp
from spikeprep.train.run_config import RunConfig
from spikeprep.train.run_folder import RunFolder
from spikeprep.train.settings import TrainSettings

Run = Callable[..., Result]


@pytest.fixture(scope="session")
def spikeprep() -> Run:
    """Run the command line in this process: ``spikeprep("encode", "digits", …)``."""

    def run(*args: str) -> Result:
        return CliRunner().invoke(main, [str(a) for a in args])

    return run


@pytest.fixture(scope="session")
def _encoded(tmp_path_factory: pytest.TempPathFactory, spikeprep: Run) -> Path:
    path = tmp_path_factory.mktemp("stores") / "digits.zarr"
    done = spikeprep("encode", "digits", "--out", path, "--limit", "30")
    assert done.exit_code == 0, done.output
    return path


@pytest.fixture
def store(_encoded: Path, tmp_path: Path) -> Path:
    """A store of 30 + 30 real digits that the test may damage."""
    return Path(shutil.copytree(_encoded, tmp_path / "digits.zarr"))


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A run of three epochs, the second of which was run again after a resumption."""
    run = RunFolder(tmp_path / "run")
    settings = TrainSettings(arch="200", epochs=3, rule=Hm2bp((20.0, 8.0)))
    classes = tuple("0123456789")
    encoding = {"chain": [{"name": "poisson"}], "seed": 0}
    config = RunConfig(
        "0" * 32, "digits.zarr", "0" * 64, None, 30, settings, (8, 8), classes, encoding, None, "0.1.0"
    )
    run.create(config)
    run.journal.append({"event": "start", "config": config.to_json()})
    for epoch, test in ((1, 0.9), (2, None), (2, 0.94), (3, 0.95)):
        accuracies = {"train_accuracy": 0.9 + epoch / 50, "validation_accuracy": 0.9, "test_accuracy": test}
        more = {"loss": 1 / epoch, "seconds": 2.5, "rates": [3.0, 9.0]}
        run.journal.append({"event": "epoch", "epoch": epoch, **accuracies, **more})
    return run.path
