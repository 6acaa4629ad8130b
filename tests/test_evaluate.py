"""`evaluate`: measures by class, split and group, and its CSV file."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn import metrics
from spikeprep_cli.main import main

import spikeprep
from spikeprep.class_measures import accuracies_by, balanced_accuracy, precisions, recalls
from spikeprep.errors import UsageError
from spikeprep.train.metrics import confusion_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("evaluate")


@pytest.fixture(scope="module")
def store(folder):
    """Spikes of three classes in two splits; the training samples have groups."""
    rng = np.random.default_rng(0)
    labels = np.arange(50) % 3
    labels[40:] = 0
    spikes = rng.random((50, 30, 6)) < (0.1 + 0.5 * (np.arange(6) // 2 == labels[:, None]))[:, None, :]
    rows = [
        (spikes[n], int(labels[n]), *(("train", f"s{n}", n % 4) if n < 36 else ("test", f"s{n}")))
        for n in range(50)
    ]
    return spikeprep.write_store(folder / "a.zarr", rows, classes=["a", "b", "=c"], dt=0.001)


@pytest.fixture(scope="module")
def run(store, folder):
    settings = {"thresholds": [1.0, 1.0], "validation": 0, "loss.loss": "softmax", "optim.rate": 0.05}
    trained = spikeprep.train(
        store, run=folder / "run", arch="6", epochs=3, settings=settings, device="cpu", progress=False
    )
    return trained.run


def test_measures_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 3, 40), rng.integers(0, 4, 40)  # none of class 3, all are predicted
    confusion = confusion_of(labels, predicted, 5)  # class 4 is neither
    np.testing.assert_array_equal(confusion, metrics.confusion_matrix(labels, predicted, labels=range(5)))
    expected = metrics.precision_recall_fscore_support(
        labels, predicted, labels=range(5), zero_division=np.nan
    )
    np.testing.assert_allclose(precisions(confusion), expected[0])
    np.testing.assert_allclose(recalls(confusion), expected[1])
    assert np.isnan(recalls(confusion)[3:]).all()
    present = labels != predicted  # any weights do
    assert present.any()
    assert balanced_accuracy(confusion_of(labels, predicted % 3, 3)) == pytest.approx(
        metrics.balanced_accuracy_score(labels, predicted % 3)
    )
    assert balanced_accuracy(np.zeros((3, 3), np.int64)) == 0
    groups, correct = np.array([7, 2, 7, 7]), np.array([True, False, False, True])
    assert list(accuracies_by(groups, correct)) == [(2, 1, 0.0), (7, 3, pytest.approx(2 / 3))]


def test_all_splits_are_evaluated_together(run, store):
    result = spikeprep.evaluate(run, store, split="all", progress=False)
    each = {split: spikeprep.evaluate(run, store, split=split, progress=False) for split in ("train", "test")}
    assert dict(result.parts) == {"train": 36, "test": 14}
    np.testing.assert_array_equal(result.confusion, sum(r.confusion for r in each.values()))
    assert result.accuracy > 0.5
    for split, part in each.items():
        assert result.by_split()[split]["accuracy"] == part.accuracy
        assert result.by_split()[split]["balanced_accuracy"] == part.balanced_accuracy
    test = each["test"]
    assert test.balanced_accuracy == metrics.balanced_accuracy_score(test.labels, test.predicted)
    assert test.groups is None
    assert test.by_group() is None
    groups = result.by_group()
    assert [(g["group"], g["samples"]) for g in groups] == [
        (n, 9) for n in range(4)
    ]  # test samples have none
    correct = each["train"].labels == each["train"].predicted
    assert [g["accuracy"] for g in groups] == [correct[n::4].mean() for n in range(4)]
    stored = spikeprep.predict(run, store, split="train", progress=False)
    np.testing.assert_array_equal(result.counts[:36], stored.counts)
    with pytest.raises(UsageError, match="tset"):
        spikeprep.evaluate(run, store, split="tset", progress=False)


def test_the_command_prints_and_writes_what_python_gives(run, store, folder):
    file = folder / "predictions.csv"
    arguments = ["evaluate", run, store.path, "--split", "all", "--predictions", str(file)]
    done = CliRunner().invoke(main, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    result = spikeprep.evaluate(run, store, split="all", progress=False)
    shown = json.loads(done.stdout)
    assert shown == result.to_json()
    assert {"accuracy", "samples", "confusion", "differences"} <= shown.keys()
    assert [c["name"] for c in shown["by_class"]] == ["a", "b", "=c"]
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert [(r["sample"], r["split"], r["group"]) for r in rows[34:38]] == [
        ("s34", "train", "2"), ("s35", "train", "3"), ("s36", "test", "-1"), ("s37", "test", "-1"),
    ]  # fmt: skip
    assert [r["true"] for r in rows] == [result.classes[n] for n in result.labels]
    assert [r["predicted"] for r in rows] == [result.classes[n] for n in result.predicted]
    assert [[int(r[f"spikes_{name}"]) for name in result.classes] for r in rows] == result.counts.tolist()
    text = CliRunner().invoke(main, arguments).stdout
    for words in ("balanced accuracy", "recall", "precision", "group", f"{result.accuracy:.2%} (50 samples)"):
        assert words in text
    refused = CliRunner().invoke(main, [*arguments[:-1], str(folder / "a.zarr" / "p.csv")])
    assert (refused.exit_code, "inside the store" in refused.stderr) == (2, True)
