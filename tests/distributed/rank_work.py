"""Work of ranks in tests, in a module of its own, since every new process imports it."""

from __future__ import annotations

import os
import signal
import time

import numpy as np

from spikeprep.errors import UsageError


def add_up(start, ranks, report, should_stop):
    value = np.array([start + ranks.rank], np.float64)
    ranks.all_reduce([value])
    report({"event": "summed", "rank": ranks.rank})
    while not ranks.total(np.array([float(should_stop())]))[0]:
        time.sleep(0.01)
    return {"sum": value[0], "pid": os.getpid()}


def fail(what, ranks, report, should_stop):
    if ranks.rank == 1:
        if what == "usage":
            raise UsageError("got a", "b", "Do c.")
        if what == "damage":
            from spikeprep.store.reader import DamagedSamples

            raise DamagedSamples("samples 1 to 2", "a shard is missing")
        if what == "bug":
            raise ZeroDivisionError("by zero")
        if what == "exit":
            os._exit(3)
        os.kill(os.getpid(), signal.SIGSTOP if what == "stop" else signal.SIGKILL)
    ranks.barrier()  # waits without end unless the launcher kills it


def sit(ranks, report, should_stop):
    report({"pid": os.getpid()})
    ranks.barrier()
    time.sleep(60)
