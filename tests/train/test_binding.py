"""What belongs together: configuration, checkpoints and journal of one run; nothing edited or exchanged is read."""

from __future__ import annotations

import json
import os
import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikeprep
from spikeprep.config import leaves
from spikeprep.cpu.backend import CpuBackend
from spikeprep.errors import RunError, UsageError
from spikeprep.store import SpikeStore
from spikeprep.train import run_config
from spikeprep.train.checkpoint import load_checkpoint, save_checkpoint
from spikeprep.train.run_folder import RunFolder
from spikeprep.train.trainer import load_network

from .test_trainer import SETTINGS, trainer, weights

TWO = replace(SETTINGS, arch="8", epochs=2)
CHECKPOINTS = ("last.npz", "last.previous.npz", "best.npz")


@pytest.fixture(scope="module")
def runs(digits: SpikeStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of the same settings, ``a`` and ``b``."""
    place = tmp_path_factory.mktemp("runs")
    for name in ("a", "b"):
        trainer(digits, place / name, TWO).run()
    return place


@pytest.fixture
def run(runs: Path, tmp_path: Path) -> Path:
    """A copy of run ``a`` that the test may damage."""
    return Path(shutil.copytree(runs / "a", tmp_path / "run"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def resume(digits: SpikeStore, run: Path, **more: Any) -> Any:
    return spikeprep.train(digits, run=run, resume=True, device="cpu", progress=False, **more)


def refused(digits: SpikeStore, run: Path, match: str) -> None:
    """Assert that everything that opens the run refuses it, and that nothing in its folder changes."""
    before = contents(run)
    for read in (
        lambda: spikeprep.open_run(run).describe(),
        lambda: resume(digits, run),
        lambda: spikeprep.evaluate(run, digits, device="cpu", progress=False),
        lambda: spikeprep.predict(run, digits, device="cpu", progress=False),
    ):
        with pytest.raises(RunError, match=match):
            read()
    assert contents(run) == before


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_checkpoint_of_another_run_is_refused(digits: SpikeStore, runs: Path, run: Path, name: str) -> None:
    shutil.copy(runs / "b" / name, run)
    other = json.loads((runs / "b" / "config.json").read_text())["run_id"]
    refused(digits, run, rf"{name} belongs to another run, {other} on .*; expected .*as in config\.json")


def test_a_configuration_of_another_run_is_refused(digits: SpikeStore, runs: Path, run: Path) -> None:
    shutil.copy(runs / "b" / "config.json", run)
    refused(digits, run, r"last\.npz belongs to another run")


def test_the_journal_of_another_run_is_refused(digits: SpikeStore, runs: Path, run: Path) -> None:
    shutil.copy(runs / "b" / "journal.jsonl", run)
    before = contents(run)
    for read in (lambda: spikeprep.open_run(run).describe(), lambda: resume(digits, run)):
        with pytest.raises(RunError, match=r"journal\.jsonl belongs to another run"):
            read()
    assert contents(run) == before


def edited(value: Any) -> list[Any]:
    """Return other values of about the same kind."""
    match value:
        case bool():
            return [not value]
        case int() | float():
            return [value + 1, value / 2, 0]
        case str():
            return [f"{value}x", "1", "float64", "sgd", "b" * len(value), "auto"]
        case list():
            return [value[:-1], value[::-1], [*value, *value[:1]], []]
        case _:
            return [1, "x"]


def nested(config: dict[str, Any], dotted: str, value: Any) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(json.dumps(config))
    node = result
    *path, leaf = dotted.split(".")
    for part in path:
        node = node[part]
    node[leaf] = value
    return result


def test_no_edit_of_a_configuration_goes_unnoticed(run: Path) -> None:
    path = run / "config.json"
    config = json.loads(path.read_text())
    count = 0
    for dotted, value in leaves(config).items():
        for other in edited(value):
            if other == value or dotted == "settings.epochs":
                continue
            path.write_text(json.dumps(nested(config, dotted, other)))
            with pytest.raises(RunError) as caught:
                spikeprep.open_run(run)
            assert "config.json" in str(caught.value) or "format" in str(caught.value), dotted
            count += 1
    chain = config["encoding"]["chain"]
    chain[-1]["steps"] += 1
    path.write_text(json.dumps(config))
    with pytest.raises(
        RunError, match=r"encoding\.chain is .* in config\.json; expected .*, as in last\.npz"
    ):
        spikeprep.open_run(run)
    assert count > 100


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"settings.seed": 1}, r"settings\.seed is 1 in config\.json; expected 0, as in last\.npz"),
        ({"settings.optim.rate": 0.5}, r"settings\.optim\.rate is 0\.5 in config\.json"),
        ({"settings.lateral": 3.0}, r"settings\.lateral is 3\.0 in config\.json"),
        ({"settings.arch": "900"}, r"settings\.arch is '900' in config\.json"),
        ({"settings.arch": "9", "settings.seed": 5}, r"arch is '9' in config\.json, and 1 more"),
        ({"limit": 10}, r"limit is 10 in config\.json; expected None"),
    ],
)
def test_an_edited_configuration_is_refused_by_all(
    digits: SpikeStore, run: Path, changes: dict[str, Any], match: str
) -> None:
    path = run / "config.json"
    config = json.loads(path.read_text())
    for dotted, value in changes.items():
        config = nested(config, dotted, value)
    path.write_text(json.dumps(config))
    refused(digits, run, match)


def test_a_configuration_of_a_far_smaller_network_is_refused(
    digits: SpikeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = trainer(digits, tmp_path / "run", replace(TWO, arch="900", epochs=1))
    first.folder.release()
    monkeypatch.setattr(run_config, "_RECORD_BYTES", 1 << 14)
    monkeypatch.setattr(run_config, "_LEAST_EPOCHS", 1)
    path = tmp_path / "run" / "config.json"
    path.write_text(json.dumps(nested(json.loads(path.read_text()), "settings.arch", "9")))
    with pytest.raises(RunError, match=r"last\.npz has .* bytes; expected at most .* config\.json"):
        spikeprep.open_run(tmp_path / "run")


def test_more_epochs_are_recorded(digits: SpikeStore, run: Path) -> None:
    assert resume(digits, run, epochs=3).epochs == 3
    records = RunFolder(run).journal.records()
    (change,) = [record for record in records if record["event"] == "resume"]
    assert change == {"event": "resume", "epoch": 2, "epochs": 3, "before": 2}
    assert [record["epoch"] for record in spikeprep.open_run(run).history] == [1, 2, 3]
    assert load_checkpoint(run / "last.npz")[1]["config"]["settings"]["epochs"] == 3
    with pytest.raises(UsageError, match="got epochs = 2 for a run of 3 epochs"):
        resume(digits, run, epochs=2)


def test_edited_epochs_are_recorded_too(digits: SpikeStore, run: Path) -> None:
    path = run / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(nested(config, "settings.epochs", 3)))
    resume(digits, run)
    records = RunFolder(run).journal.records()
    assert {"event": "resume", "epoch": 2, "epochs": 3, "before": 2} in records
    path.write_text(json.dumps(nested(config, "settings.epochs", 1)))
    with pytest.raises(UsageError, match="got epochs = 1 for a run of 3 epochs"):
        resume(digits, run)


def test_a_damaged_checkpoint_beside_a_foreign_one(digits: SpikeStore, runs: Path, run: Path) -> None:
    (run / "last.npz").write_bytes(b"")
    shutil.copy(runs / "b" / "last.previous.npz", run)
    refused(digits, run, r"last\.previous\.npz belongs to another run")


def test_a_store_of_other_spikes_is_refused(
    digits: SpikeStore, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = SpikeStore.open(digits.path)
    monkeypatch.setitem(other.attributes, "contents", "sha256:" + "0" * 64)
    with pytest.raises(RunError, match="spikes and labels had the digest sha256:"):
        RunFolder(run).check_store(other)


@pytest.mark.parametrize("count", [100, pytest.param(400, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["best.npz", "last.npz"])
def test_no_flipped_byte_changes_a_weight(digits: SpikeStore, run: Path, name: str, count: int) -> None:
    """Each is refused, or harmless: in a date or an attribute of the archive's entries."""
    (run / "last.previous.npz").unlink()
    data = (run / name).read_bytes()
    folder, backend = RunFolder(run), CpuBackend(threads=1)
    config = folder.config()

    def arrays() -> dict[str, bytes]:
        loaded = folder.load_best(config) if name == "best.npz" else folder.load_last(config)[0]
        return {key: array.tobytes() for key, array in loaded.items()}

    whole, rng, damaged = arrays(), random.Random(0), 0
    ends = {*range(count), *range(len(data) - count, len(data))}  # headers, where flips may be harmless
    for at in sorted(ends | {rng.randrange(len(data)) for _ in range(count)}):
        flipped = bytearray(data)
        flipped[at] ^= 1 << rng.randrange(8)
        (run / name).write_bytes(flipped)
        try:
            found = arrays()
        except RunError:
            damaged += 1
        else:
            assert found == whole, at
    assert damaged > 1.75 * count
    (run / name).write_bytes(data)
    assert load_network(folder, backend).layers


def test_a_copy_of_hard_links_keeps_what_it_has(digits: SpikeStore, run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "copy", copy_function=os.link)
    before = contents(tmp_path / "copy")
    resume(digits, run, epochs=3)
    assert contents(tmp_path / "copy") == before
    resume(digits, tmp_path / "copy", epochs=3)
    assert weights(run) == weights(tmp_path / "copy")


# ---------------------------------------------------------------- the journal


def edit_epoch(run: Path, key: str, value: Any) -> None:
    path = run / "journal.jsonl"
    lines = []
    for line in path.read_text().splitlines():
        record = json.loads(line)
        if record.get("epoch") == 2:
            record[key] = value
        lines.append(json.dumps(record) + "\n")
    path.write_text("".join(lines))


@pytest.mark.parametrize("key", ["train_accuracy", "test_accuracy", "seconds", "rates", "feed"])
def test_an_edited_journal_is_refused_and_a_resumption_writes_it_again(
    digits: SpikeStore, run: Path, key: str
) -> None:
    history = spikeprep.open_run(run).history
    edit_epoch(run, key, {"rates": [1.0, 2.0], "feed": "x"}.get(key, 0.5))
    with pytest.raises(RunError, match=rf"journal\.jsonl has {key} = .* in epoch 2; expected .*last\.npz"):
        spikeprep.open_run(run).describe()
    resume(digits, run)
    assert spikeprep.open_run(run).history == history
    warnings = [r["message"] for r in RunFolder(run).journal.records() if r["event"] == "warning"]
    assert len(warnings) == 1
    assert f"journal.jsonl has {key} =" in warnings[0]
    assert "written again" in warnings[0]


def test_epochs_that_no_checkpoint_knows_are_not_shown(run: Path) -> None:
    history = spikeprep.open_run(run).history
    folder = RunFolder(run)
    folder.journal.append({**history[-1], "epoch": 3, "test_accuracy": 1.0})
    assert spikeprep.open_run(run).history == history


def test_a_journal_that_is_gone_is_no_loss(digits: SpikeStore, run: Path) -> None:
    history = spikeprep.open_run(run).history
    (run / "journal.jsonl").unlink()
    assert spikeprep.open_run(run).history == history
    resume(digits, run)
    assert RunFolder(run).journal.epochs() == history


def test_a_run_that_has_its_best_network_only_still_evaluates(digits: SpikeStore, run: Path) -> None:
    for name in CHECKPOINTS[:2]:
        (run / name).unlink()
    result = spikeprep.evaluate(run, digits, device="cpu", progress=False)
    assert result.samples == 300
    assert np.isfinite(result.accuracy)
    assert len(spikeprep.open_run(run).history) == 2


# ---------------------------------------------------------------- the best network


def test_a_best_network_of_another_time_or_course_is_refused(digits: SpikeStore, tmp_path: Path) -> None:
    run, copy = tmp_path / "run", tmp_path / "copy"
    trainer(digits, run, replace(TWO, epochs=1, validation=0.0)).run()
    shutil.copytree(run, copy)
    resume(digits, run, epochs=2)
    resume(digits, copy, epochs=2)
    evaluate = lambda: spikeprep.evaluate(run, digits, device="cpu", progress=False)  # noqa: E731
    assert evaluate().samples == 300
    own, older = (run / "best.npz").read_bytes(), load_checkpoint(copy / "last.previous.npz")
    assert len(older[1]["history"]) == 1
    shutil.copy(copy / "best.npz", run)  # the same weights, and other durations
    with pytest.raises(RunError, match=r"best\.npz has the network after epoch 2 of another course"):
        evaluate()
    weights = {
        name: array for name, array in older[0].items() if name in load_checkpoint(run / "best.npz")[0]
    }
    save_checkpoint(run / "best.npz", weights, older[1])
    with pytest.raises(RunError, match=r"after epoch 1 of another course.*; expected that after epoch 2"):
        evaluate()
    (run / "best.npz").write_bytes(own)
    assert evaluate().samples == 300


def test_a_run_killed_after_its_best_network_was_saved_evaluates(digits: SpikeStore, tmp_path: Path) -> None:
    run = tmp_path / "run"
    trainer(digits, run, replace(TWO, validation=0.0)).run()
    (run / "last.previous.npz").replace(run / "last.npz")
    assert len(load_checkpoint(run / "last.npz")[1]["history"]) == 1
    assert len(spikeprep.open_run(run).history) == 1
    assert spikeprep.evaluate(run, digits, device="cpu", progress=False).samples == 300
    resume(digits, run)
    assert spikeprep.evaluate(run, digits, device="cpu", progress=False).samples == 300
