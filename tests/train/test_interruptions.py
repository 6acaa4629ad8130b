"""A run that is stopped, killed, cut and resumed in any order has, at every step, the weights of one that never was.

The model is an uninterrupted run: its arrays after every step. Each training happens in a forked process, so that a
kill is a kill: nothing is cleaned up.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from spikeprep.cpu.backend import CpuBackend
from spikeprep.errors import RunError
from spikeprep.partial_files import is_partial
from spikeprep.store import SpikeStore
from spikeprep.train.checkpoint import load_checkpoint
from spikeprep.train.run_folder import RunFolder
from spikeprep.train.trainer import Trainer

from .test_trainer import SETTINGS

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

EPOCHS = 3
_SETTINGS = replace(SETTINGS, arch="6", epochs=EPOCHS, batch=8, boost=True, validation=0.2)
_LIMIT = 20
_FILES = {"config.json", "journal.jsonl", "last.npz", "last.previous.npz", "best.npz", "notes.txt"}
_LEASES = {"lease.json", "lease.json.takeover"}
_DONE, _STOPPED, _REFUSED = 0, 3, 4

Arrays = dict[str, bytes]
At = tuple[int, int]  # epoch, and samples of it that are done


def _arrays(path: Path) -> tuple[At, Arrays]:
    """Return where a checkpoint is, and its arrays; raises `RunError` where it is damaged or missing."""
    arrays, record = load_checkpoint(path)
    return (record["stream"]["epoch"], record["stream"]["position"]), {
        name: array.tobytes() for name, array in arrays.items()
    }


def _train(store: SpikeStore, path: Path, stop_after: int, kill_at: int) -> int:
    """Train in a forked process; return its exit code, negative for a signal.

    It starts or resumes the run, asks to stop after so many batches, and is killed at operation number `kill_at` on
    files, or batch.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the threads that this process has
        pid = os.fork()
    if not pid:
        code = 1
        try:
            code = _work(store, path, stop_after, kill_at)
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _work(store: SpikeStore, path: Path, stop_after: int, kill_at: int) -> int:
    done = 0

    def operation() -> None:
        nonlocal done
        done += 1
        if done == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            operation()
            return function(*args, **named)

        return call

    for owner, names in (
        (os, ("fsync", "link")),
        (Path, ("open", "replace", "unlink", "mkdir", "write_bytes")),
    ):
        for name in names:
            setattr(owner, name, counted(getattr(owner, name)))
    folder, batches = RunFolder(path), iter(range(stop_after))

    def should_stop() -> bool:
        operation()
        return next(batches, None) is None

    try:
        resume = folder.exists()
        chosen = folder.resumed_settings(store, {}, None) if resume else _SETTINGS
        trainer = Trainer(
            store, folder, chosen, CpuBackend(threads=1), resume=resume, limit=None if resume else _LIMIT
        )
        return _STOPPED if trainer.run(should_stop) is None else _DONE
    except RunError:
        return _REFUSED


@pytest.fixture(scope="module")
def model(digits, tmp_path_factory) -> dict[At, Arrays]:
    """Arrays of a run that is stopped after every batch, which ends as one that never was."""
    place = tmp_path_factory.mktemp("model")
    assert _train(digits, place / "whole", 10**6, 0) == _DONE
    states: dict[At, Arrays] = {}
    code = None
    while code != _DONE:
        code = _train(digits, place / "steps", 0, 0)
        assert code in (_DONE, _STOPPED)
        for name in ("last.previous.npz", "last.npz"):
            at, states[at] = _arrays(place / "steps" / name)
    assert _arrays(place / "whole" / "last.npz") == (at, states[at])
    return states


class Interruptions(RuleBasedStateMachine):
    """Rules that train, kill and damage one run folder.

    Attributes
    ----------
    least
        Where the run is, at least: nothing that was saved and is not damaged is trained again.
    """

    store: SpikeStore
    model: dict[At, Arrays]

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp())
        self.run = self.place / "run"
        self.least, self.lost, self.noted = (0, 0), False, False

    def teardown(self) -> None:
        """Finish the run: whatever has happened, it ends as the uninterrupted one."""
        try:
            if self.lost:
                assert self._train(10**6, 0) == _REFUSED
                return
            assert self._train(10**6, 0) == _DONE
            assert _arrays(self.run / "last.npz")[1] == self.model[max(self.model)]
            epochs = [record["epoch"] for record in RunFolder(self.run).journal.epochs()]
            assert epochs == list(range(1, EPOCHS + 1))
            assert {path.name for path in self.run.iterdir()} <= _FILES
            assert not self.noted or (self.run / "notes.txt").read_text() == "mine"
        finally:
            shutil.rmtree(self.place)

    def _train(self, stop_after: int, kill_at: int) -> int:
        return _train(self.store, self.run, stop_after, kill_at)

    def _sound(self) -> list[tuple[At, Arrays]]:
        """Return where the sound checkpoints are, and their arrays; the newest first."""
        found = []
        for name in ("last.npz", "last.previous.npz"):
            with suppress(RunError):
                found.append(_arrays(self.run / name))
        return found

    def _is_run(self) -> bool:
        return (self.run / "config.json").exists()

    @rule(batches=st.integers(0, 5))
    def step(self, batches: int) -> None:
        """Train some batches, then stop as after Ctrl-C."""
        assert self._train(batches, 0) in ((_REFUSED,) if self.lost else (_DONE, _STOPPED))

    @rule(at=st.integers(1, 60))
    def kill(self, at: int) -> None:
        """Kill a training at an operation on files or a batch."""
        codes = (_REFUSED, -signal.SIGKILL) if self.lost else (_DONE, -signal.SIGKILL)
        assert self._train(10**6, at) in codes

    @precondition(lambda self: self._is_run() and not self.lost)
    @rule(share=st.floats(0, 1), how=st.sampled_from(["cut", "flip", "remove"]))
    def damage_last(self, share: float, how: str) -> None:
        """Damage the newest checkpoint; the one before, where it is sound, takes its place."""
        self._damage(self.run / "last.npz", share, how)

    @precondition(lambda self: self._is_run() and not self.lost and (self.run / "last.previous.npz").exists())
    @rule(share=st.floats(0, 1), how=st.sampled_from(["cut", "flip", "remove"]))
    def damage_previous(self, share: float, how: str) -> None:
        """Damage the checkpoint before the newest one; that one is enough."""
        self._damage(self.run / "last.previous.npz", share, how)

    def _damage(self, path: Path, share: float, how: str) -> None:
        data = bytearray(path.read_bytes()) if path.exists() else bytearray()
        path.unlink(missing_ok=True)  # another name of the file may keep it
        at = int(share * len(data))
        if how == "cut":
            path.write_bytes(data[:at])
        elif how == "flip" and data:
            data[min(at, len(data) - 1)] ^= 0x10
            path.write_bytes(data)
        # a cut at the very end, or a byte that nothing depends on, is no damage
        sound = self._sound()
        self.lost = not sound
        self.least = sound[0][0] if sound else self.least

    @precondition(lambda self: self._is_run())
    @rule(share=st.floats(0, 1))
    def cut_journal(self, share: float) -> None:
        """Lose the end of the journal, as a power cut does."""
        path = self.run / "journal.jsonl"
        with path.open("r+b") as file:
            file.truncate(int(share * path.stat().st_size))

    @precondition(lambda self: self._is_run())
    @rule()
    def note(self) -> None:
        """Put a file of the user's into the folder."""
        (self.run / "notes.txt").write_text("mine")
        self.noted = True

    @invariant()
    def checkpoints_are_the_model_s(self) -> None:
        """Sound checkpoints have the model's arrays, and no step that was saved is lost."""
        if not self.run.exists():
            return
        names = {path.name for path in self.run.iterdir() if not is_partial(path.name)}
        assert names <= _FILES | _LEASES
        if not self._is_run():
            assert names <= {"journal.jsonl", "last.npz", *_LEASES}
            return
        found = self._sound()
        assert bool(found) != self.lost
        for at, arrays in found:
            assert arrays == self.model[at]
        if found:
            assert found[0][0] >= self.least
            self.least = found[0][0]


def _check(store: SpikeStore, model: dict[At, Arrays], examples: int, steps: int) -> None:
    Interruptions.store, Interruptions.model = store, model
    run_state_machine_as_test(
        Interruptions,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_interrupted_runs_end_as_uninterrupted_ones(digits, model):
    _check(digits, model, 4, 10)


@pytest.mark.slow
def test_interrupted_runs_end_as_uninterrupted_ones_long(digits, model):
    _check(digits, model, 200, 50)
