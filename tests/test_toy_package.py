"""A learning rule and a layer kind of another package train on every backend, with no line changed in spikeprep."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikeprep.encoding.run import encode
from spikeprep.errors import PluginError, UsageError
from spikeprep.recipes import load_recipe
from spikeprep.registry import LAYERS, RULES
from spikeprep.store import SpikeStore
from spikeprep.train.checkpoint import load_checkpoint
from spikeprep.train.run_folder import RunFolder
from spikeprep.train.settings import TrainSettings, describe_settings
from spikeprep.train.trainer import Trainer, load_network

from .backends.backends import backend

PACKAGE = Path(__file__).parent / "toy_package"
BACKENDS = ("reference", "cpu-float64", "cuda-float64")
SETTINGS = {"epochs": 2, "batch": 8, "validation": 0, "precision": "float64", "optim.rate": 0.02}


@pytest.fixture
def toy_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install the package as `pip install --editable` would: its folder on the path, its entry points in metadata."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    metadata = tmp_path / "site" / "toy_plugins-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 1.0\n")
    groups = [
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    (metadata / "entry_points.txt").write_text("\n".join(groups))
    monkeypatch.syspath_prepend(str(PACKAGE))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    yield
    for module in [name for name in sys.modules if name.startswith("toy_plugins")]:
        del sys.modules[module]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> SpikeStore:
    """32 + 32 real digits, 60 steps."""
    path = tmp_path_factory.mktemp("toy") / "digits.zarr"
    encode(load_recipe("digits").override({"poisson.steps": "60"}), str(path), limit=32)
    return SpikeStore.open(path)


def train(store: SpikeStore, folder: Path, name: str, **changes: object) -> dict[str, np.ndarray]:
    """Train on a backend; return the arrays of the last checkpoint."""
    settings = TrainSettings().override(SETTINGS | changes)
    summary = Trainer(store, RunFolder(folder), settings, backend(name)).run()
    assert summary is not None
    assert summary["rule"] == settings.rule.name
    return load_checkpoint(folder / "last.npz")[0]


CASES = {
    "toy rule": {"rule": "delta", "arch": "12"},
    "toy layer": {"arch": "4x5", "loss.target": 10, "loss.off_target": 1, "loss.margin": 1},
    "toy rule and layer": {"rule": "delta", "arch": "4x5-6", "threshold": 2.0},
}


@pytest.mark.usefixtures("toy_plugins")
@pytest.mark.parametrize("case", CASES)
def test_they_train_on_every_backend(digits: SpikeStore, tmp_path: Path, case: str) -> None:
    changes = CASES[case]
    runs = {name: train(digits, tmp_path / name, name, **changes) for name in BACKENDS}
    for name in BACKENDS:
        epochs = RunFolder(tmp_path / name).journal.epochs()
        assert epochs[-1]["loss"] < epochs[0]["loss"]
        for key, array in runs["reference"].items():
            np.testing.assert_allclose(runs[name][key], array, rtol=1e-7, atol=1e-9, err_msg=f"{name} {key}")
        network = load_network(RunFolder(tmp_path / name), backend(name))
        assert network.counts(digits["test"].packed(slice(0, 5))).shape == (5, 10)


@pytest.mark.usefixtures("toy_plugins")
def test_class_weights_and_boost_work_without_help_of_the_rule(digits: SpikeStore, tmp_path: Path) -> None:
    changes = {"rule": "delta", "arch": "12", "threshold": 2.0}
    cases = {"none": {}, "listed": {"class_weights": [1] * 9 + [100]}, "boost": {"boost": True}}
    runs = {
        name: train(digits, tmp_path / name, "cpu-float64", **changes, **more) for name, more in cases.items()
    }
    for name in ("listed", "boost"):
        assert any(
            (runs[name][key] != array).any() for key, array in runs["none"].items() if key.startswith("layer")
        )


@pytest.mark.usefixtures("toy_plugins")
def test_they_are_listed_and_described() -> None:
    assert "delta" in RULES.names()
    assert "block_diagonal" in LAYERS.names()
    assert {"epochs", "threshold", "wanted"} <= {setting.name for setting in describe_settings("delta")}
    with pytest.raises(UsageError, match="thresholds belongs to the rule hm2bp, and this run uses delta"):
        TrainSettings().override({"rule": "delta", "thresholds": [1, 2]})
    with pytest.raises(UsageError, match=r"a layer: 4x20 \(block_diagonal\), 15C5 \(conv\), 800 \(dense\)"):
        TrainSettings().override({"arch": "20Q5"})


@pytest.mark.usefixtures("toy_plugins")
def test_a_layer_that_does_not_fit_its_input(digits: SpikeStore, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="got 3 blocks for 64 units"):
        train(digits, tmp_path / "run", "cpu-float64", arch="3x5", rule="delta")
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("toy_plugins")
@pytest.mark.parametrize(
    ("method", "result", "message"),
    [
        (
            "apply",
            lambda self, xp, arrays, x: x,
            "apply of the layer kind block_diagonal returned an array of shape",
        ),
        (
            "transpose",
            lambda self, xp, arrays, y: None,
            "transpose of the layer kind block_diagonal returned None",
        ),
        (
            "correlate",
            lambda self, xp, arrays, y, x: {},
            "correlate of the layer kind block_diagonal, weight returned",
        ),
    ],
)
def test_a_layer_that_breaks_its_contract(
    digits: SpikeStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    result: object,
    message: str,
) -> None:
    monkeypatch.setattr(LAYERS.get("block_diagonal"), method, result)
    with pytest.raises(PluginError, match=message):
        train(digits, tmp_path / "run", "cpu-float64", arch="4x5-4x5", rule="delta")


@pytest.mark.usefixtures("toy_plugins")
def test_a_rule_that_breaks_its_contract(
    digits: SpikeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = RULES.get("delta")
    monkeypatch.setattr(rule, "backward", lambda self, *args: None)
    with pytest.raises(
        PluginError, match="backward of the rule delta returned None; expected an array of shape"
    ):
        train(digits, tmp_path / "run", "cpu-float64", rule="delta", arch="5")


def test_a_rule_s_setting_named_like_one_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import dataclass, field

    @dataclass(frozen=True)
    class Clash(RULES.get("hm2bp")):  # type: ignore[misc]
        name = "clash"
        epochs: int = field(default=3)

    monkeypatch.setattr(RULES, "_registered", {})
    RULES.register(Clash)
    with pytest.raises(UsageError, match="'epochs', which training has too"):
        TrainSettings().override({"rule": "clash"})


def test_without_the_package_its_names_are_unknown() -> None:
    with pytest.raises(UsageError, match="unknown learning rule 'delta'"):
        TrainSettings().override({"rule": "delta"})
    assert replace(TrainSettings(), arch="5").arch == "5"
