"""Training from the command line, killed at random moments: every run resumes to the weights of one that was not."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import spikeprep

from .test_trainer import weights

KILLS = int(os.environ.get("SPIKEPREP_KILLS", "40"))
_WORDS = [
    "--arch",
    "12",
    "--epochs",
    "60",
    "--batch",
    "16",
    "--limit",
    "100",
    "--device",
    "cpu",
    "--threads",
    "1",
]
_LOSS = ["--set", "loss.target=15", "--set", "loss.off_target=2", "--set", "loss.margin=2"]


def _start(store: str, run: Path) -> subprocess.Popen[bytes]:
    resume = ["--resume"] if (run / "config.json").exists() else [*_WORDS, *_LOSS]
    return subprocess.Popen(
        [sys.executable, "-m", "spikeprep_cli", "train", store, "--run", str(run), *resume],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_runs_that_are_killed_at_random_moments(digits, tmp_path):
    began = time.monotonic()
    whole = _start(digits.path, tmp_path / "whole")
    text = whole.communicate()[1].decode()
    assert whole.returncode == 0, text
    seconds = time.monotonic() - began
    rng, kills, runs, places = random.Random(0), 0, 0, set()
    while kills < KILLS:
        run = tmp_path / str(runs)
        runs += 1
        for _ in range(rng.randint(1, 3)):  # some runs are killed again after they were resumed
            process = _start(digits.path, run)
            moment = time.monotonic() + rng.uniform(0.1, 1.1) * seconds
            while process.poll() is None and time.monotonic() < moment:
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
            text = process.communicate()[1].decode()
            assert process.returncode in (0, -signal.SIGKILL), text
            kills += process.returncode != 0
            files = tuple(sorted(path.name for path in run.iterdir())) if run.exists() else ()
            places.add(files)
            if process.returncode == 0:
                break
        if (run / "config.json").exists():
            spikeprep.train(digits.path, run=run, resume=True, device="cpu", progress=False)
        else:
            process = _start(digits.path, run)
            text = process.communicate()[1].decode()
            assert process.returncode == 0, text
        assert weights(run) == weights(tmp_path / "whole")
        epochs = [record["epoch"] for record in spikeprep.open_run(run).history]
        assert epochs == list(range(1, 61))
    print(
        f"{kills} kills of {runs} runs, in {len(places)} states of the folder: all resumed to the same bits"
    )
