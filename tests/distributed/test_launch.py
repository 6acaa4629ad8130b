"""Processes that work as ranks: rank 0 reports, and the first to fail ends all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from spikeprep.distributed import launch as launching
from spikeprep.distributed.launch import RankFailed, launch
from spikeprep.errors import RunError, StoreError, UsageError

from .rank_work import add_up, fail, sit


def test_rank_0_reports_and_all_learn_when_to_stop():
    records = []
    done = launch(add_up, (10,), 2, records.append, lambda: bool(records))
    assert done["sum"] == 21
    assert done["pid"] != os.getpid()
    assert records == [{"event": "summed", "rank": 0}]


@pytest.mark.parametrize(
    ("what", "kind", "message"),
    [
        ("usage", UsageError, r"got a; expected b\. Do c\."),
        ("damage", StoreError, "samples 1 to 2 cannot be read: a shard is missing"),
        ("bug", RankFailed, r"rank 1 failed:\n(.|\n)*in fail(.|\n)*ZeroDivisionError: by zero"),
        ("exit", RunError, "rank 1 of 2 ended with exit code 3"),
        (
            "kill",
            RunError,
            r"rank 1 of 2 was killed by signal 9\. The last checkpoint is complete: use resume=True",
        ),
    ],
)
def test_the_first_to_fail_ends_all(what, kind, message):
    with pytest.raises(kind, match=message):
        launch(fail, (what,), 2)


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="signals")
def test_a_stopped_rank_ends_all(monkeypatch):
    monkeypatch.setattr(launching, "_SILENT", 3.0)
    with pytest.raises(RunError, match=r"rank 1 of 2 \(process \d+\) has given no sign of life for 3 s"):
        launch(fail, ("stop",), 2)


def test_time_in_which_the_launching_process_was_suspended_does_not_count():
    rank = launching._Rank(0, None, None)
    assert rank.silent(1, 0.1) == 0
    assert [rank.silent(1, seconds) for seconds in (0.5, 3600, 0.5)] == [0.5, 1.5, 2.0]
    assert rank.silent(2, 0.1) == 0


def test_an_interruption_leaves_no_process():
    pids = []

    def report(record):
        pids.append(record["pid"])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch(sit, (), 2, report)
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ranks_end_with_the_process_that_launched_them():
    code = (
        "from spikeprep.distributed.launch import launch; from tests.distributed.rank_work import sit\n"
        "if __name__ == '__main__': launch(sit, (), 2, lambda r: print(r['pid'], flush=True))"
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    launcher = subprocess.Popen([sys.executable, "-c", code], **pipes)
    try:
        assert launcher.stdout is not None
        assert int(launcher.stdout.readline()) > 0
    finally:
        launcher.kill()
    # returns when no rank holds the pipe any more; if they did not end, that would take a minute
    launcher.communicate(timeout=30)
