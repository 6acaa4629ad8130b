from __future__ import annotations

import threading

import numpy as np
import pytest

from spikeprep._jit import jit
from spikeprep.cpu.queue import take
from spikeprep.cpu.workers import Workers, ranges


@jit
def halve(values: np.ndarray) -> None:
    for n in range(values.size):
        values[n] *= np.float32(0.5)


@jit
def note_items(owners: np.ndarray, owner: int, queue: np.ndarray) -> None:
    n = take(queue)
    while n < owners.size:
        owners[n] += owner
        n = take(queue)


@pytest.mark.parametrize("threads", [1, 3])
def test_denormals_are_flushed_in_every_thread_until_the_work_is_done(threads: int) -> None:
    smallest, together = np.float32(2.0**-126), threading.Barrier(threads)
    ours, theirs = np.full(8, smallest), np.full((threads, 8), smallest)

    def task(n: int) -> None:
        together.wait(10)  # so that each thread takes one
        halve(theirs[n])

    def fail(queue: np.ndarray) -> None:
        raise ValueError("oh")

    workers = Workers(threads, np.float32)
    workers.each(task, [(n,) for n in range(threads)])
    with pytest.raises(ValueError, match="oh"):
        workers.run(fail, 1)
    halve(ours)
    assert not theirs.any()
    assert (ours == np.float32(2.0**-127)).all()


@pytest.mark.parametrize("items", [0, 1, 5, 100_000])
def test_every_item_is_taken_once(items: int) -> None:
    taken, callers = np.zeros(items, np.int64), []

    def kernel(queue: np.ndarray) -> None:
        callers.append(threading.current_thread())
        note_items(taken, 1, queue)

    for _ in range(20):
        Workers(3, np.float32).run(kernel, items)
    assert (taken == 20).all()
    assert threading.current_thread() in callers
    assert items > 1 or set(callers) == {threading.current_thread()}


def test_a_thread_that_has_not_begun_is_not_waited_for() -> None:
    workers, leave = Workers(2, np.float32), threading.Event()
    busy = workers._pool.submit(leave.wait, 20)
    called = []
    workers.run(lambda queue: called.append(threading.current_thread()), 10)
    assert called == [threading.current_thread()]
    leave.set()
    assert busy.result()


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

    def fail_elsewhere(queue: np.ndarray) -> None:
        together.wait(10)
        if threading.current_thread() is not threading.main_thread():
            raise KeyError("elsewhere")

    together = threading.Barrier(2)
    with pytest.raises(KeyError, match="elsewhere"):
        Workers(2, np.float32).run(fail_elsewhere, 2)


def test_no_samples_are_one_empty_range() -> None:
    assert ranges(0, 4) == [(0, 0)]


@pytest.mark.parametrize(("samples", "pieces"), [(0, 4), (1, 4), (7, 3), (32, 16), (33, 16)])
def test_ranges_cover_everything_once(samples: int, pieces: int) -> None:
    spans = ranges(samples, pieces)
    assert [n for a, b in spans for n in range(a, b)] == list(range(samples))
    assert len(spans) <= pieces
