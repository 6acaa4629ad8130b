from __future__ import annotations

import threading

import numpy as np
import pytest

from spikeprep._jit import jit
from spikeprep.cpu.workers import Workers, ranges


@jit
def halve(values: np.ndarray) -> None:
    for n in range(values.size):
        values[n] *= np.float32(0.5)


@pytest.mark.parametrize("threads", [1, 3])
def test_workers_flush_denormals_and_the_caller_does_not(threads: int) -> None:
    smallest = np.float32(2.0**-126)
    ours, theirs = np.full(8, smallest), np.full(8, smallest)
    Workers(threads, np.float32).each(lambda: halve(theirs), [()])
    halve(ours)
    assert not theirs.any()
    assert (ours == np.float32(2.0**-127)).all()


def test_scratch_is_a_thread_s_own() -> None:
    workers, together = Workers(2, np.float64), threading.Barrier(2)
    seen = []

    def task(n: int) -> None:
        mine = workers.scratch("a", 10)
        together.wait(10)
        mine[:] = n
        together.wait(10)
        seen.append((n, mine.copy(), mine.ctypes.data % 64))

    workers.each(task, [(1,), (2,)])
    assert all((values == n).all() and start == 0 for n, values, start in seen)


def test_an_error_reaches_the_caller() -> None:
    def task(n: int) -> None:
        if n == 3:
            raise ValueError("three")

    with pytest.raises(ValueError, match="three"):
        Workers(2, np.float32).each(task, [(n,) for n in range(5)])

    def fail(n: int) -> None:
        done.append(n)
        raise IndexError(n)

    done: list[int] = []
    with pytest.raises(IndexError):  # not taken for the end of the items
        Workers(2, np.float32).each(fail, [(n,) for n in range(50)])
    assert len(done) <= 2


@pytest.mark.parametrize(("samples", "pieces"), [(0, 4), (1, 4), (7, 3), (32, 16), (33, 16)])
def test_ranges_cover_everything_once(samples: int, pieces: int) -> None:
    spans = ranges(samples, pieces)
    assert [n for a, b in spans for n in range(a, b)] == list(range(samples))
    assert len(spans) <= pieces
