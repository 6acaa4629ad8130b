"""Logs of a run as a CSV file and for TensorBoard: what the journal has, after a resumption too."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from spikeprep_cli.main import main

import spikeprep
from spikeprep.errors import CapabilityError, StoreError, UsageError
from spikeprep.store import SpikeStore
from spikeprep.train_logs import CsvLog, EpochLogs, TensorBoardLog

SETTINGS = {"validation": 0.2, "loss.target": 15, "loss.off_target": 2, "loss.margin": 2}


def record(epoch: int, **more: Any) -> dict[str, Any]:
    known = {"train_accuracy": 0.5, "validation_accuracy": None, "test_accuracy": 0.25, "loss": 1.5}
    return {"event": "epoch", "epoch": epoch, "rates": [1.0, 2.5], **known, **more}


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    """Return tag → step → value, read by TensorBoard itself."""
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulators.EventAccumulator(str(folder))
    events.Reload()
    return {tag: {e.step: e.value for e in events.Scalars(tag)} for tag in events.Tags()["scalars"]}


@pytest.fixture(scope="module")
def run(digits: SpikeStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs that was logged, resumed and logged again."""
    pytest.importorskip("tensorboardX")
    folder = tmp_path_factory.mktemp("logs")
    logs = {"csv": folder / "log.csv", "tensorboard": folder / "board"}
    first = {"arch": "6", "epochs": 1, "run": folder / "run", "limit": 60, "settings": SETTINGS}
    spikeprep.train(digits.path, **first, **logs, device="cpu", progress=False)
    arguments = [
        "train",
        digits.path,
        "--run",
        folder / "run",
        "--resume",
        "--epochs",
        "3",
        "--device",
        "cpu",
    ]
    more = ["--csv", folder / "log.csv", "--tensorboard", folder / "board"]
    done = CliRunner().invoke(main, [str(argument) for argument in (*arguments, *more)])
    assert done.exit_code == 0, done.output
    return folder


def test_the_csv_file_has_every_epoch_of_the_journal(run: Path) -> None:
    history = spikeprep.open_run(run / "run").history
    found = rows(run / "log.csv")
    assert [int(row["epoch"]) for row in found] == [1, 2, 3]
    for row, known in zip(found, history, strict=True):
        for key in ("train_accuracy", "validation_accuracy", "test_accuracy", "loss", "seconds"):
            assert float(row[key]) == known[key]
        assert [float(row["spikes_1"]), float(row["spikes_2"])] == known["rates"]


@pytest.mark.filterwarnings("ignore")
def test_tensorboard_reads_every_epoch(run: Path) -> None:
    history = spikeprep.open_run(run / "run").history
    found = scalars(run / "board")
    for tag, key in (
        ("accuracy/train", "train_accuracy"),
        ("accuracy/test", "test_accuracy"),
        ("loss/train", "loss"),
    ):
        assert found[tag] == pytest.approx({known["epoch"]: known[key] for known in history}, rel=1e-6)
    assert found["spikes_per_neuron/layer_2"][3] == pytest.approx(history[2]["rates"][1], rel=1e-6)


def test_epochs_that_are_trained_again_replace_theirs(tmp_path: Path) -> None:
    notes: list[str] = []
    log = EpochLogs([CsvLog(tmp_path / "a.csv")], [record(1), record(2), record(3)], notes.append)
    log({"event": "device"})
    assert not (tmp_path / "a.csv").exists()
    log(record(3, loss=9.0))
    log.close()
    assert [(row["epoch"], row["loss"]) for row in rows(tmp_path / "a.csv")] == [
        ("1", "1.5"), ("2", "1.5"), ("3", "9.0"),
    ]  # fmt: skip
    assert rows(tmp_path / "a.csv")[0]["validation_accuracy"] == ""
    # a run of which nothing is left to train is logged all the same
    log = EpochLogs([CsvLog(tmp_path / "b.csv")], [record(1)], notes.append)
    log({"event": "finished"})
    log.close()
    assert len(rows(tmp_path / "b.csv")) == 1
    assert notes == []


def test_a_log_that_cannot_be_written_does_not_end_training(tmp_path: Path) -> None:
    class Full:
        path = "full"

        def start(self, before: Any) -> None: ...

        def add(self, record: Any) -> None:
            raise StoreError("the disk is failing")

        def close(self) -> None:
            raise AssertionError("it was given up")

    notes: list[str] = []
    log = EpochLogs([Full(), CsvLog(tmp_path / "a.csv")], [], notes.append)
    log(record(1))
    log(record(2))
    log.close()
    assert len(rows(tmp_path / "a.csv")) == 2
    assert notes == ["warning: the log full is given up, and training goes on: the disk is failing."]


def test_places_that_cannot_be_logged_to(digits: SpikeStore, tmp_path: Path, monkeypatch: Any) -> None:
    pytest.importorskip("tensorboardX")
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "a.txt", tmp_path / "no" / "a.csv", tmp_path):
        with pytest.raises(UsageError):
            spikeprep.train(digits.path, run=tmp_path / "run", csv=place, progress=False)
    for place in (tmp_path / "file", "s3://bucket/board", Path(digits.path) / "board"):
        with pytest.raises(UsageError):
            TensorBoardLog(place)
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(CapabilityError, match=r"spikeprep\[tensorboard\]"):
        spikeprep.train(digits.path, run=tmp_path / "run", tensorboard=tmp_path / "b", progress=False)
    assert not (tmp_path / "run").exists()
