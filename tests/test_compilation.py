from __future__ import annotations

import threading
import time

import numba
import pytest

from spikeprep import _jit, compilation


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets."""

    class Clock:
        now = 100.0

    monkeypatch.setattr(compilation.time, "perf_counter", lambda: Clock.now)
    return Clock


def test_nested_and_parallel_compilations_count_once(clock):
    compiled, working = compilation.seconds(), compilation.working_time()
    inside, leave = threading.Event(), threading.Event()

    def other():
        with compilation.compiling():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    clock.now += 1  # work
    with compilation.compiling():
        clock.now += 2
        thread.start()
        assert inside.wait(10)
        clock.now += 3
        with compilation.compiling():
            clock.now += 4
    assert compilation.seconds() - compiled == pytest.approx(9)
    assert compilation.working_time() - working == pytest.approx(1)
    clock.now += 5  # the other thread's
    leave.set()
    thread.join()
    clock.now += 6  # work
    assert compilation.seconds() - compiled == pytest.approx(14)
    assert compilation.working_time() - working == pytest.approx(7)


def test_an_error_ends_a_compilation(clock):
    before = compilation.seconds()

    def fail():
        with compilation.compiling():
            clock.now += 1
            raise ValueError("oh")

    with pytest.raises(ValueError, match="oh"):
        fail()
    clock.now += 1
    assert compilation.seconds() - before == pytest.approx(1)


def test_listeners_are_called_where_it_begins_and_ends():
    calls = []
    with compilation.listening(calls.append), compilation.compiling(), compilation.compiling():
        assert calls == [True]
    assert calls == [True, False]
    with compilation.compiling():
        pass
    assert calls == [True, False]


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_what_numba_compiles_counts_and_what_it_has_compiled_does_not():
    @_jit.inline
    def double(x):
        return 2 * x

    before, began = compilation.seconds(), time.perf_counter()
    assert double(3) == 6
    took = compilation.seconds() - before
    assert 0 < took <= time.perf_counter() - began
    assert double(4) == 8
    assert compilation.seconds() - before == took
