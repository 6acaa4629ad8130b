"""The run folder: one trainer at a time, whole from its first checkpoint on, and nothing foreign touched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikeprep.cpu.backend import CpuBackend
from spikeprep.errors import CapabilityError, RunError, UsageError
from spikeprep.lease import Holder
from spikeprep.partial_files import new_partial_name
from spikeprep.train import trainer as trainers
from spikeprep.train.checkpoint import load_checkpoint, save_checkpoint
from spikeprep.train.run_folder import RunFolder
from spikeprep.train.trainer import load_network

from .test_trainer import SETTINGS, trainer, weights

ONE = replace(SETTINGS, epochs=1, arch="8")
THREE = replace(ONE, epochs=3)
FILES = {"config.json", "journal.jsonl", "last.npz", "last.previous.npz", "best.npz"}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# ---------------------------------------------------------------- two trainers


def test_a_second_trainer_is_refused_until_the_first_has_ended(digits, tmp_path):
    folder = tmp_path / "run"
    first = trainer(digits, folder, ONE)
    assert names(folder) == {"config.json", "journal.jsonl", "last.npz", "lease.json"}
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(RunError, match=f"is in use by process {os.getpid()} on"):
        trainer(digits, folder, first.settings, resume=True)
    with pytest.raises(RunError, match="a run already"):
        trainer(digits, folder, ONE)
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}
    first.run()
    assert names(folder) == FILES
    trainer(digits, folder, first.settings, resume=True).run()


def test_two_trainers_that_start_at_once(digits, tmp_path, monkeypatch):
    """The second one comes between the first one's lease and its first checkpoint."""
    folder, refused = tmp_path / "run", []
    calibrate = trainers.Trainer._calibrate

    def meet(self):
        monkeypatch.setattr(trainers.Trainer, "_calibrate", calibrate)
        with pytest.raises(RunError, match="is in use") as caught:
            trainer(digits, folder, ONE)
        refused.append(caught.value)
        calibrate(self)

    monkeypatch.setattr(trainers.Trainer, "_calibrate", meet)
    trainer(digits, folder, ONE).run()
    assert len(refused) == 1
    assert names(folder) == FILES


def test_a_trainer_that_has_lost_the_folder_writes_nothing_more(digits, tmp_path):
    run = trainer(digits, tmp_path / "run", ONE)
    lease = tmp_path / "run" / "lease.json"
    holder = replace(Holder.parse(lease.read_bytes()), token="another's", hostname="node7")
    lease.write_bytes(holder.to_bytes())
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    with pytest.raises(RunError, match=r"now in use by process .* on 'node7'"):
        run.run()
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}


# ---------------------------------------------------------------- starting

KILLED_START = """
import os, signal, sys
from spikeprep.train import files, trainer
import spikeprep

done, at = 0, int(sys.argv[3])

def counted(function):
    def call(*args, **named):
        global done
        done += 1
        if done == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **named)
    return call

for name in ("link", "fsync", "replace"):
    setattr(os, name, counted(getattr(os, name)))
files.Path.replace = counted(files.Path.replace)
files.Path.mkdir = counted(files.Path.mkdir)
files.Path.unlink = counted(files.Path.unlink)
spikeprep.train(sys.argv[1], arch="8", epochs=1, run=sys.argv[2], device="cpu", progress=False,
                settings={"loss.target": 15, "loss.off_target": 2, "loss.margin": 2})
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_start_killed_at_any_file_operation(digits, tmp_path):
    """The same command starts again, or the folder is a run that resumes; to the same weights."""
    import spikeprep

    loss = {"loss.target": 15, "loss.off_target": 2, "loss.margin": 2}
    new = {"arch": "8", "epochs": 1, "settings": loss, "progress": False, "device": "cpu"}
    spikeprep.train(digits.path, run=tmp_path / "whole", **new)
    started = resumed = 0
    for at in range(1, 200):
        folder = tmp_path / str(at)
        arguments = [sys.executable, "-c", KILLED_START, digits.path, str(folder), str(at)]
        code = subprocess.run(arguments, check=False, capture_output=True).returncode
        assert code in (0, -signal.SIGKILL)
        if code == 0:
            break
        if (folder / "config.json").exists():
            spikeprep.train(digits.path, run=folder, resume=True, device="cpu", progress=False)
            resumed += 1
        else:
            spikeprep.train(digits.path, run=folder, **new)
            started += 1
        assert weights(folder) == weights(tmp_path / "whole")
        assert names(folder) == FILES, at
    assert started > 10
    assert resumed > 10


def leave_killed_start(folder: Path) -> None:
    """Leave what a start that was killed before its config.json leaves."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    folder.mkdir()
    (folder / "lease.json").write_bytes(replace(Holder.this_process(), pid=process.pid).to_bytes())
    (folder / "journal.jsonl").write_text('{"event": "sta')
    (folder / "last.npz").write_bytes(b"")
    token = new_partial_name("last.npz").split("-")
    (folder / "-".join([token[0], token[1], str(process.pid), token[3]])).write_bytes(b"half")


def test_a_killed_start_is_started_again(digits, tmp_path):
    leave_killed_start(tmp_path / "run")
    trainer(digits, tmp_path / "run", ONE).run()
    trainer(digits, tmp_path / "whole", ONE).run()
    assert names(tmp_path / "run") == FILES
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")


def test_a_killed_start_is_no_run_to_resume_or_open(digits, tmp_path):
    import spikeprep

    leave_killed_start(tmp_path / "run")
    says = "has the start of a run, and no checkpoint yet; .* killed, start it again without resume=True"
    with pytest.raises(RunError, match=says):
        spikeprep.train(digits.path, run=tmp_path / "run", resume=True)
    for opens in (
        spikeprep.open_run,
        spikeprep.draw,
        lambda run: spikeprep.export(run, tmp_path / "a", to="nir"),
    ):
        with pytest.raises(RunError, match=says):
            opens(tmp_path / "run")
    (tmp_path / "run/notes.txt").touch()  # which the same start would refuse
    with pytest.raises(RunError, match=r"has no config\.json"):
        spikeprep.open_run(tmp_path / "run")


@pytest.mark.parametrize("name", ["notes.txt", "best.npz", "x.partial", "run/config.json"])
@pytest.mark.parametrize("killed", [False, True])
def test_foreign_files_are_neither_removed_nor_written_beside(digits, tmp_path, name, killed):
    folder = tmp_path / "run"
    if killed:
        leave_killed_start(folder)
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    before = sorted(p.name for p in folder.rglob("*"))
    with pytest.raises(RunError, match=f"not empty .it has {name.split('/')[0]}"):
        trainer(digits, folder, ONE)
    assert before == sorted(p.name for p in folder.rglob("*"))
    assert path.read_text() == "mine"


@pytest.mark.parametrize("name", ["journal.jsonl", "last.npz", "lease.json"])
def test_files_of_ours_without_a_lease_are_foreign(digits, tmp_path, name):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_text("mine")
    with pytest.raises(RunError, match="not empty"):
        trainer(digits, tmp_path / "run", ONE)
    assert (tmp_path / "run" / name).read_text() == "mine"


def test_resuming_leaves_foreign_files_alone(digits, tmp_path):
    run = trainer(digits, tmp_path / "run", ONE)
    run.run()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    (tmp_path / "run" / "last.npz.partial").write_text("mine")
    settings = replace(run.settings, epochs=2)
    trainer(digits, tmp_path / "run", settings, resume=True).run()
    assert names(tmp_path / "run") == FILES | {"notes.txt", "last.npz.partial"}


@pytest.mark.parametrize("damage", ["missing", "damaged", "exchanged"])
def test_a_best_network_that_is_lost_is_said_when_a_run_is_resumed(digits, tmp_path, damage):
    run = trainer(digits, tmp_path / "run", ONE)
    run.run()
    folder = RunFolder(tmp_path / "run")
    sound = folder.best.read_bytes()
    if damage == "missing":
        folder.best.unlink()
        says = "best.npz does not exist; expected the network after epoch 1, the best one. .* resume training"
        with pytest.raises(RunError, match=says):
            load_network(folder, CpuBackend(threads=1))
    else:
        folder.best.write_bytes(sound[:-100] if damage == "damaged" else folder.last.read_bytes())
    resumed = trainer(digits, folder.path, replace(run.settings, epochs=1), resume=True)
    assert "the network after epoch 1, the best one, is lost" in folder.journal.path.read_text()
    resumed.run()
    folder.best.write_bytes(sound)
    trainer(digits, folder.path, replace(run.settings, epochs=1), resume=True).run()
    assert "is lost" not in folder.journal.path.read_text()


def test_a_start_that_fails_leaves_no_folder(digits, tmp_path, monkeypatch):
    def fail(self, states):
        raise UsageError("no")

    monkeypatch.setattr(trainers.Trainer, "_save", fail)
    with pytest.raises(UsageError):
        trainer(digits, tmp_path / "run", ONE)
    assert not (tmp_path / "run").exists()
    (tmp_path / "empty").mkdir()
    monkeypatch.undo()
    trainer(digits, tmp_path / "empty", ONE).run()


def test_a_removed_configuration_costs_no_checkpoint(digits, tmp_path):
    run = trainer(digits, tmp_path / "run", ONE)
    (tmp_path / "run" / "config.json").unlink()
    run.folder.release()
    assert (tmp_path / "run" / "last.npz").exists()


# ---------------------------------------------------------------- the checkpoint before


@pytest.mark.parametrize("damage", ["cut", "flip", "remove", "empty"])
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(digits, tmp_path, damage):
    trainer(digits, tmp_path / "whole", THREE).run()
    run = trainer(digits, tmp_path / "run", THREE)
    run.run()
    data = bytearray(run.folder.last.read_bytes())
    if damage == "remove":
        run.folder.last.unlink()
    else:
        data[len(data) // 2] ^= 1
        run.folder.last.write_bytes({"cut": data[:-100], "flip": data, "empty": b""}[damage])
    heard = []
    again = trainer(digits, tmp_path / "run", run.settings, resume=True, listener=heard.append)
    (warning,) = (r["message"] for r in heard if r["event"] == "warning")
    assert "last.npz" in warning
    assert "after epoch 2: 1 epoch is trained again" in warning
    again.run()
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")
    assert [r["epoch"] for r in again.folder.journal.epochs()] == [1, 2, 3]
    assert load_checkpoint(again.folder.previous)[1]["stream"]["epoch"] == 2  # the sound one was kept


def test_two_damaged_checkpoints_are_an_error(digits, tmp_path):
    run = trainer(digits, tmp_path / "run", ONE)
    run.run()
    for path in (run.folder.last, run.folder.previous):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RunError, match=r"last\.npz is damaged"):
        trainer(digits, tmp_path / "run", run.settings, resume=True)
    assert not (tmp_path / "run" / "lease.json").exists()


# ---------------------------------------------------------------- documents


def test_a_journal_that_lost_its_end_gets_its_epochs_back(digits, tmp_path):
    run = trainer(digits, tmp_path / "run", THREE)
    run.run()
    whole = run.folder.journal.epochs()
    data = run.folder.journal.path.read_bytes()
    for size in (0, 10, len(data) // 2, len(data) - 1):
        run.folder.journal.path.write_bytes(data[:size])
        trainer(digits, tmp_path / "run", run.settings, resume=True).run()
        assert run.folder.journal.epochs() == whole


@pytest.mark.parametrize("place", [-1, None], ids=["before the last line", "at the end"])
def test_a_foreign_epoch_in_the_journal_is_refused_until_the_run_is_resumed(digits, tmp_path, place):
    run = trainer(digits, tmp_path / "run", ONE)
    run.run()
    folder, whole = run.folder, run.folder.journal.path.read_bytes()
    lines = whole.splitlines(keepends=True)
    end = len(lines) if place is None else place
    folder.journal.path.write_bytes(b"".join([*lines[:end], b'{"event":"epoch","epoch":99}\n', *lines[end:]]))
    for opened in (folder.history, lambda: load_network(folder, CpuBackend())):
        with pytest.raises(RunError, match=r"journal.jsonl has epoch 99; expected 1 epoch"):
            opened()
    trainer(digits, tmp_path / "run", run.settings, resume=True).run()
    assert [record["epoch"] for record in folder.history()] == [1]
    assert b"99}" not in folder.journal.path.read_bytes()


def test_the_journal_removes_a_cut_line_before_it_appends(tmp_path):
    folder = RunFolder(tmp_path)
    for cut in ('{"event": "epo', "x" * 10_000):
        folder.journal.append({"event": "start"})
        with folder.journal.path.open("a") as file:
            file.write(cut)
        folder.journal.append({"event": "device"})
        assert [r["event"] for r in folder.journal.records()[-2:]] == ["start", "device"]
    folder.journal.path.write_text("cut")
    folder.journal.append({"event": "start"})
    assert folder.journal.records() == [{"event": "start"}]


@pytest.mark.parametrize(
    "changes",
    [
        {"step": 1}, {"step": -1}, {"step": 1.5}, {"stream": 3}, {"history": {}}, {"history": []}, {"journal": "x"},
        {"stream.epoch": 0}, {"stream.position": 7}, {"stream.position": -32}, {"stream.batch": 8},
        {"stats.rates": [1.0]}, {"stats": {}}, {"history.0.epoch": 2}, {"history.0.train_accuracy": "x"},
        {"history.0.rates": [1.0]},
        {"history.0.validation_accuracy": None}, {"history.0.seconds": -1}, {"history.0": 3},
    ],
)  # fmt: skip
def test_a_checkpoint_that_contradicts_itself_is_refused(digits, tmp_path, changes):
    run = trainer(digits, tmp_path / "run", ONE)
    run.run()
    arrays, record = load_checkpoint(run.folder.last)
    for dotted, value in changes.items():
        node = record
        *path, leaf = [int(part) if part.isdigit() else part for part in dotted.split(".")]
        for part in path:
            node = node[part]
        node[leaf] = value
    run.folder.previous.unlink()
    save_checkpoint(run.folder.last, arrays, record)
    with pytest.raises(RunError, match=r"record|stream state"):
        trainer(digits, tmp_path / "run", run.settings, resume=True)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("layer0.weight", np.zeros((64, 8), np.float32)),
        ("layer0.weight", np.zeros((8, 64), np.float64)),
        ("layer0.weight", np.full((8, 64), np.nan, np.float32)),
        ("layer0.weight", np.full((8, 64), -np.inf, np.float32)),
        ("layer0.weight", np.zeros((500, 64), np.float32)),
        ("layer0.weight.variance", np.full((8, 64), -1, np.float32)),
        ("predicted", np.full(300, 10)),
        ("predicted", np.full(300, -7)),
        ("predicted", np.zeros(299, np.int64)),
        ("sample_weight", np.full(300, np.inf)),
        ("layer2.weight", np.zeros((8, 64), np.float32)),
    ],
)
def test_arrays_that_do_not_fit_are_refused(digits, tmp_path, name, array):
    run = trainer(digits, tmp_path / "run", ONE)
    run.run()
    run.folder.previous.unlink()
    arrays, record = load_checkpoint(run.folder.last)
    save_checkpoint(run.folder.last, arrays | {name: array}, record)
    with pytest.raises(RunError, match=r"last\.npz"):
        trainer(digits, tmp_path / "run", run.settings, resume=True)
    if name == "layer0.weight":
        arrays, record = load_checkpoint(run.folder.best)
        save_checkpoint(run.folder.best, arrays | {name: array}, record)
        with pytest.raises(RunError, match=r"best\.npz has layer0\.weight|values in layer0\.weight"):
            load_network(run.folder, CpuBackend())


def test_checkpoints_hold_no_pickles_and_nothing_compressed(digits, tmp_path):
    run = trainer(digits, tmp_path / "run", ONE)
    run.run()
    arrays, record = load_checkpoint(run.folder.best)
    text = np.frombuffer(json.dumps(record).encode(), np.uint8)
    np.savez_compressed(run.folder.best, record=text, **arrays)
    with pytest.raises(RunError, match="compressed"):
        load_network(run.folder, CpuBackend())
    arrays["layer0.weight"] = np.array([{}], object)
    np.savez(run.folder.best, allow_pickle=True, record=text, **arrays)
    with pytest.raises(RunError, match="Python objects"):
        load_network(run.folder, CpuBackend())
    with run.folder.best.open("wb") as file:
        file.truncate(10**12)  # without blocks on the disk
    with pytest.raises(RunError, match="1,000,000,000,000 bytes"):
        load_network(run.folder, CpuBackend())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
@pytest.mark.parametrize("name", ["config.json", "best.npz", "journal.jsonl", "last.npz"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_file_is_refused(digits, tmp_path, name, kind):
    run = trainer(digits, tmp_path / "run", ONE)
    run.run()
    run.folder.previous.unlink()
    path = tmp_path / "run" / name
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    if name == "journal.jsonl":
        with pytest.raises(
            RunError, match=r"journal\.jsonl is not a file; expected a regular file.*move away"
        ):
            trainer(digits, tmp_path / "run", run.settings, resume=True)
        with pytest.raises(RunError, match="is not a file"):
            run.folder.journal.append({"event": "start"})
    reads = {
        "best.npz": lambda: load_network(run.folder, CpuBackend()),
        "journal.jsonl": run.folder.journal.epochs,
    }
    resume = lambda: trainer(digits, tmp_path / "run", run.settings, resume=True)  # noqa: E731
    with pytest.raises(RunError, match=name):
        reads.get(name, resume)()


# ---------------------------------------------------------------- disk and permissions


def test_a_full_disk_leaves_the_checkpoint_before(digits, tmp_path, monkeypatch):
    run = trainer(digits, tmp_path / "run", ONE)
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CapabilityError, match=r"could not be written .No space left"):
        run.run()
    monkeypatch.undo()
    after = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    del before["lease.json"]
    assert set(after) == set(before)
    assert after["last.npz"] == before["last.npz"]
    trainer(digits, tmp_path / "run", run.settings, resume=True).run()
    trainer(digits, tmp_path / "whole", ONE).run()
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")


def test_the_user_s_home_is_written_with_a_tilde(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert RunFolder("~/run").path == tmp_path / "run"


@pytest.mark.parametrize(
    "chain",
    [
        [{}],
        [{"name": 5}],
        [{"name": "nope"}],
        [{"name": "poisson", "steps": -1}],
        [{"name": "poisson"}, {"name": "poisson"}],
    ],
)
def test_an_encoding_that_cannot_be_used_is_the_run_s_fault(digits, tmp_path, chain):
    import spikeprep

    trainer(digits, tmp_path / "run", ONE).run()
    path = tmp_path / "run" / "config.json"
    config = json.loads(path.read_text())
    config["encoding"]["chain"] = chain
    path.write_text(json.dumps(config))
    with pytest.raises(RunError, match="encoding"):
        spikeprep.predict(tmp_path / "run", np.zeros((2, 8, 8), np.uint8), device="cpu", progress=False)
