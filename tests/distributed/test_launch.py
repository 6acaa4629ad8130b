"""Processes that work as ranks: one speaks, and the first to fail ends all."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from spikeprep.distributed.launch import RankFailed, launch
from spikeprep.errors import RunError, StoreError, UsageError

from .rank_work import add_up, fail, sit


def test_one_speaks_and_all_hear_when_to_stop():
    heard = []
    done = launch(add_up, (10,), 2, heard.append, lambda: bool(heard))
    assert done["sum"] == 21
    assert done["pid"] != os.getpid()
    assert heard == [{"event": "summed", "rank": 0}]


@pytest.mark.parametrize(
    ("what", "kind", "says"),
    [
        ("usage", UsageError, r"got a; expected b\. Do c\."),
        ("damage", StoreError, "samples 1 to 2 cannot be read: a shard is missing"),
        ("bug", RankFailed, r"rank 1 failed:\n(.|\n)*in fail(.|\n)*ZeroDivisionError: by nought"),
        ("exit", RunError, "rank 1 of 2 ended with exit code 3"),
        ("kill", RunError, "rank 1 of 2 was killed by signal 9.*--resume"),
    ],
)
def test_the_first_to_fail_ends_all(what, kind, says):
    with pytest.raises(kind, match=says):
        launch(fail, (what,), 2)


def test_an_interruption_leaves_no_process():
    pids = []

    def tell(record):
        pids.append(record["pid"])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch(sit, (), 2, tell)
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ranks_end_with_who_watches_them():
    code = (
        "from spikeprep.distributed.launch import launch; from tests.rank_work import sit\n"
        "if __name__ == '__main__': launch(sit, (), 2, lambda r: print(r['pid'], flush=True))"
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    watcher = subprocess.Popen([sys.executable, "-c", code], **pipes)
    try:
        assert watcher.stdout is not None
        assert int(watcher.stdout.readline()) > 0
    finally:
        watcher.kill()
    watcher.communicate(
        timeout=30
    )  # returns once no rank holds the pipe any more: they would sit for a minute
