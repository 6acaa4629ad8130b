"""Class weights, which scale the error of a class's samples, and early stopping by validation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from spikeprep.cpu.backend import CpuBackend
from spikeprep.data import PackedBatch
from spikeprep.encoding.arrays import write_store
from spikeprep.errors import RunError, UsageError
from spikeprep.packing import pack
from spikeprep.store import SpikeStore
from spikeprep.train.checkpoint import load_checkpoint
from spikeprep.train.class_weights import class_weights
from spikeprep.train.early_stopping import stops_early
from spikeprep.train.evaluation import evaluate
from spikeprep.train.layers.dense import Dense
from spikeprep.train.network import build_network, initial_states
from spikeprep.train.optimiser import OptimiserSettings
from spikeprep.train.rules import LearningRule
from spikeprep.train.rules.hm2bp import Hm2bp
from spikeprep.train.rules.lee2016 import Lee2016
from spikeprep.train.rules.loss import LossSettings
from spikeprep.train.run_folder import RunFolder
from spikeprep.train.settings import TrainSettings
from spikeprep.train.trainer import Trainer, load_network

from ..backends.backends import DOUBLE, FAST, backend

RULES = {
    "rate": Hm2bp((2.0, 1.5), loss=LossSettings(target=12, off_target=2, margin=1)),
    "softmax": Hm2bp((2.0, 1.5), loss=LossSettings("softmax")),
    "lee2016": Lee2016(tau=20.0, alpha=1.0, target=4),
}
QUICK = TrainSettings(arch="8", epochs=6, batch=8, validation=0.25, rule=RULES["softmax"])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SpikeStore:
    """Three classes of 40, 12 and 4 training samples, and as many test samples each."""
    rng, path = np.random.default_rng(1), tmp_path_factory.mktemp("rare") / "s.zarr"
    labels = np.repeat([0, 1, 2, 0, 1, 2], [40, 12, 4, 9, 9, 9])
    split = np.repeat(["train", "test"], [56, 27])
    rates = np.where(np.arange(12) // 4 == labels[:, None], 0.5, 0.2)
    write_store(path, rng.random((83, 40, 12)) < rates[:, None], labels, split=split, dt=0.001)
    return SpikeStore.open(path)


def batch_of(labels: list[int], seed: int = 0) -> PackedBatch:
    rng = np.random.default_rng(seed)
    spikes = rng.random((len(labels), 50, 12)) < 0.3
    steps = np.full(len(labels), 50, np.uint32)
    return PackedBatch(pack(spikes), steps, np.array(labels, np.int32), np.arange(len(labels)))


def gradient(
    name: str, rule: LearningRule, batch: PackedBatch, weight: Any, fused: bool = True
) -> list[np.ndarray]:
    device, layers = backend(name), (Dense((12,), 9), Dense((9,), 3))
    # weights on a grid, so that no order of additions moves a spike
    states = initial_states(rule, layers, 1.0, 3, np.dtype(np.float64))
    states = [
        {
            key: replace(state, value=(np.round(state.value * 8) / 8).astype(device.dtype))
            for key, state in s.items()
        }
        for s in states
    ]
    network = build_network(device, rule, layers, states, fused=fused)
    network.backward(network.forward(batch), batch.labels, weight)
    return [p.gradient() for layer in network.devices for p in layer.parameters.values()]


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    labels = np.array([0, 0, 0, 0, 0, 1, 1, 3])
    found = class_weights("balanced", labels, "abcd")
    assert found is not None
    expected = compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=labels)
    np.testing.assert_allclose(found[[0, 1, 3]], expected)
    assert found[2] == 0
    np.testing.assert_allclose(found[labels].sum(), len(labels))
    assert class_weights(None, labels, "abcd") is None
    np.testing.assert_array_equal(class_weights((1, 2.5, 0, 1), labels, "abcd"), [1, 2.5, 0, 1])


@pytest.mark.parametrize(
    ("setting", "words"), [((1.0, 2.0), "3, one for each class"), ((0.0, 0.0, 1.0), "above 0")]
)
def test_weights_that_do_not_fit_the_classes(
    store: SpikeStore, tmp_path: Path, setting: Any, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        class_weights(setting, np.array([0, 1]), "abc")
    if len(setting) == 2:
        with pytest.raises(UsageError, match="class_weights"):
            Trainer(store, RunFolder(tmp_path / "run"), replace(QUICK, class_weights=setting), CpuBackend())
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_the_gradient_is_the_weighted_sum_of_the_classes(rule: LearningRule) -> None:
    """∂/∂w Σ_n w_c(n) E_n: of the reference, which defines it."""
    labels, weights = [0, 1, 1, 2, 0], np.array([0.5, 3.0, 0.0])
    batch = batch_of(labels)
    together = gradient("reference", rule, batch, weights[labels])
    assert any(np.abs(g).max() > 0.01 for g in together)
    each = [gradient("reference", rule, one(batch, n), None) for n in range(5)]
    for layer, got in enumerate(together):
        want = sum(weights[label] * g[layer] for label, g in zip(labels, each, strict=True))
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


def one(batch: PackedBatch, n: int) -> PackedBatch:
    part = slice(n, n + 1)
    return PackedBatch(batch.bits[part], batch.steps[part], batch.labels[part], batch.index[part])


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", FAST)
def test_every_backend_agrees_with_the_reference(name: str, fused: bool, rule: LearningRule) -> None:
    labels, weights = [0, 1, 1, 2, 0, 2], np.array([0.5, 3.0, 0.0])
    batch = batch_of(labels, 1)
    want = gradient("reference", rule, batch, weights[labels])
    got = gradient(name, rule, batch, weights[labels], fused)
    for exact, found in zip(want, got, strict=True):
        allowed = 1e-10 if name in DOUBLE else 1e-4
        np.testing.assert_allclose(found, exact, rtol=0, atol=allowed * max(np.abs(exact).max(), 1e-2))


def test_balanced_training_finds_rare_classes_more_often(store: SpikeStore, tmp_path: Path) -> None:
    recall = {}
    for setting in (None, "balanced"):
        folder = RunFolder(tmp_path / str(setting))
        rule = Hm2bp(loss=LossSettings(target=10, off_target=1, margin=1))
        optim = OptimiserSettings(rate=0.02)
        settings = replace(
            QUICK, arch="20", class_weights=setting, validation=0.0, epochs=12, rule=rule, optim=optim
        )
        Trainer(store, folder, settings, CpuBackend(threads=1)).run()
        confusion = evaluate(load_network(folder, CpuBackend()), store["test"], 3).confusion
        recall[setting] = confusion[2, 2] / 9
    assert recall["balanced"] > recall[None] + 0.3


@pytest.mark.parametrize(
    ("accuracies", "patience", "stops"),
    [
        ([0.5, 0.6, 0.6, 0.6], 2, True),
        ([0.5, 0.6, 0.6], 2, False),
        ([0.5, 0.4, 0.6], 2, False),
        ([0.5], 1, False),
        ([0.5, 0.5], 1, True),
        ([0.9, 0.1, 0.2, 0.3], 3, True),
        ([None, None, None], 1, False),
        ([0.5, 0.5, 0.5], None, False),
        ([], 1, False),
    ],
)
def test_when_a_run_stops(accuracies: list[float | None], patience: int | None, stops: bool) -> None:
    assert stops_early(accuracies, patience) is stops


def test_a_run_stops_early_and_resumes_to_the_same_bits(store: SpikeStore, tmp_path: Path) -> None:
    settings = replace(QUICK, patience=2, epochs=40, test_every=0, class_weights="balanced", boost=True)
    whole = Trainer(store, RunFolder(tmp_path / "whole"), settings, CpuBackend(threads=1))
    summary = whole.run()
    assert summary is not None
    assert summary["stopped_early"]
    epochs = summary["epochs"]
    assert 3 <= epochs < 40
    scores = [record["validation_accuracy"] for record in whole.history]
    assert [stops_early(scores[: n + 1], 2) for n in range(epochs)] == [False] * (epochs - 1) + [True]
    assert summary["test_accuracy"] is not None  # measured at the end, whichever epoch that is
    left: Iterator[int] = iter(range(17))
    parts = Trainer(store, RunFolder(tmp_path / "parts"), settings, CpuBackend(threads=1))
    assert parts.run(lambda: next(left, None) is None) is None
    resumed = Trainer(
        store, RunFolder(tmp_path / "parts"), parts.settings, CpuBackend(threads=1), resume=True
    )
    again = resumed.run()
    assert again is not None
    assert (again["epochs"], again["stopped_early"]) == (epochs, True)
    for name in ("last.npz", "best.npz"):
        first, second = (load_checkpoint(tmp_path / run / name)[0] for run in ("whole", "parts"))
        assert {k: v.tobytes() for k, v in first.items()} == {k: v.tobytes() for k, v in second.items()}
    # a run that has stopped is finished, and its journal stays
    journal = RunFolder(tmp_path / "parts").journal
    heard: list[dict[str, Any]] = []
    done = Trainer(
        store, RunFolder(tmp_path / "parts"), replace(parts.settings, epochs=50), CpuBackend(), resume=True,
        listener=heard.append,
    )  # fmt: skip
    assert done.run() is not None
    assert {"event": "finished", "epochs": epochs, "stopped_early": True} in heard
    stopped = [record for record in journal.records() if record["event"] == "stopped"]
    assert stopped == [{"event": "stopped", "epoch": epochs, "patience": 2}]


def test_patience_needs_validation_samples(store: SpikeStore, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="patience = 2 with validation = 0"):
        replace(QUICK, patience=2, validation=0.0)
    few = replace(QUICK, patience=2, validation=0.01)
    with pytest.raises(UsageError, match="no validation samples are left"):
        Trainer(store, RunFolder(tmp_path / "run"), few, CpuBackend())
    Trainer(store, RunFolder(tmp_path / "other"), replace(QUICK, epochs=1), CpuBackend()).run()
    config = RunFolder(tmp_path / "other").config()
    with pytest.raises(RunError, match="patience"):
        config.resumed_settings(tmp_path / "other", {"patience": 3}, None)
