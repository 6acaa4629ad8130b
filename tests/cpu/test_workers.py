from __future__ import annotations

import gc
import threading
import time
from types import SimpleNamespace

import numba
import numpy as np
import pytest
from llvmlite import binding, ir

from spikeprep._jit import jit
from spikeprep.cpu import denormals, queue
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


def test_a_caller_beside_another_works_alone() -> None:
    workers, inside, leave = Workers(2, np.float32), threading.Event(), threading.Event()

    def first(queue: np.ndarray) -> None:
        inside.set()
        assert leave.wait(20)

    other = threading.Thread(target=workers.run, args=(first, 2))
    other.start()
    assert inside.wait(20)
    called = []
    workers.run(lambda queue: called.append(threading.current_thread()), 10)
    assert called == [threading.current_thread()]
    leave.set()
    other.join(20)
    assert not other.is_alive()


@pytest.mark.parametrize("pause", [0.0, 0.0003, 0.02])
def test_threads_that_sleep_or_look_are_told_of_every_kernel(pause: float) -> None:
    """Pauses before a kernel, in its threads and after it, shorter and longer than a thread looks for a change."""
    workers, callers = Workers(3, np.float32), []
    together = threading.Barrier(3)

    def kernel(queue: np.ndarray) -> None:
        together.wait(20)  # needs all three
        callers.append(threading.get_ident())
        if threading.current_thread() is not threading.main_thread():
            time.sleep(pause)

    for _ in range(30):
        workers.run(kernel, 3)
        time.sleep(pause)
    assert len(callers) == 90
    assert len(set(callers)) == 3


def test_no_more_threads_are_started_than_items_keep_busy() -> None:
    """`--threads 20000` is as good as any number: a batch has a few dozen items."""
    before, workers, most = set(threading.enumerate()), Workers(20_000, np.float32), 0
    for items in (1, 5, 3, 9):
        most = max(most, items)
        taken = np.zeros(items, np.int64)
        workers.run(lambda queue, taken=taken: note_items(taken, 1, queue), items)
        assert (taken == 1).all()
        assert len(set(threading.enumerate()) - before) == most - 1


def test_the_threads_end_with_their_backend() -> None:
    before = set(threading.enumerate())
    workers = Workers(3, np.float32)
    workers.run(lambda queue: time.sleep(0.01), 3)
    started = set(threading.enumerate()) - before
    assert len(started) == 2
    del workers
    gc.collect()
    for thread in started:
        thread.join(20)
        assert not thread.is_alive()


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
@pytest.mark.parametrize(
    ("kind", "triple", "instructions"),
    [
        ("x86", "x86_64-unknown-linux-gnu", {"stmxcsr", "ldmxcsr", "pause"}),
        ("arm", "aarch64-unknown-linux-gnu", {"mrs", "msr", "yield"}),
    ],
)
def test_the_processors_instructions_can_be_emitted(
    kind: str, triple: str, instructions: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of other processors too; without an assembler, which Numba does not load."""
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    for module in (denormals, queue):
        monkeypatch.setattr(module, "machine", lambda: kind)
    module = ir.Module()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), []), "f")
    builder = ir.IRBuilder(function.append_basic_block())
    context = SimpleNamespace(get_dummy_value=lambda: None)
    before = denormals._mode._defn(None)[1](context, builder, None, [])
    denormals._set_mode._defn(None, None)[1](context, builder, None, [before])
    queue.pause._defn(None)[1](context, builder, None, [])
    builder.ret_void()
    machine = binding.Target.from_triple(triple).create_target_machine()
    parsed = binding.parse_assembly(str(module))
    assert instructions <= set(machine.emit_assembly(parsed).split())
    assert machine.emit_object(parsed)


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
