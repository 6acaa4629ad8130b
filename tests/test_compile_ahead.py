"""Kernels compiled by a second process: it knows the run's kernels, and the run finds them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import spikeprep
from spikeprep import _jit, compilation, compile_ahead, kernel_cache
from spikeprep.compile_ahead import Rehearsal, compiling_ahead
from spikeprep.processes import is_running, start_time
from spikeprep.train.settings import TrainSettings

pytestmark = pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")

RUNS = [
    {"arch": "40"},
    {"arch": "40-30", "dropout": [0, 0.5, 0.5], "optim.kind": "sgd", "lateral": 0.0},
    {"arch": "40", "thresholds": [5.0, 4.0], "loss.loss": "rate", "loss.fill": True, "boost": True},
    {"arch": "4C3-P2-20"},
    {"arch": "40-30", "rule": "lee2016", "inhibition": 0.2},
    {"arch": "4C3-P2-20", "rule": "lee2016"},
    {"arch": "40", "precision": "float64"},
]
RECORD = """
import json, sys
from spikeprep._jit import calls_of
from spikeprep.compile_ahead import Rehearsal
from spikeprep.cpu.backend import CpuBackend
from spikeprep.api.training import run_settings
for chosen in json.loads(sys.argv[1]):
    rehearsal = Rehearsal(run_settings({}, chosen), (8, 8), 10)
    backend = CpuBackend(rehearsal.settings.precision, threads=1)
    for call in calls_of(lambda: rehearsal.step(backend)):
        print(call.func.__self__.py_func.__qualname__, call.args)
"""
TRAIN = """
import json, sys
from numba.core.dispatcher import Dispatcher
import spikeprep
compile_for = Dispatcher._compile_for_args
def note(self, *arguments):
    types = tuple(map(self.typeof_pyval, arguments))
    sys.stdout.write(f"{self.py_func.__qualname__} {(types,)}\\n")  # at once: several threads call
    return compile_for(self, *arguments)
Dispatcher._compile_for_args = note
for n, chosen in enumerate(json.loads(sys.argv[1])):
    spikeprep.train("digits.zarr", run=f"run{n}", limit=40, epochs=1, progress=False, device="cpu", settings=chosen)
"""


def run(code: str, folder: Path, *arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of digits."""
    folder = tmp_path_factory.mktemp("digits")
    spikeprep.encode("digits", out=folder / "digits.zarr", limit=60, progress=False)
    return folder


def test_a_step_of_no_samples_calls_every_kernel_that_runs_call(folder):
    called, recorded = (run(code, folder, json.dumps(RUNS)) for code in (TRAIN, RECORD))
    assert len(called) >= 30
    only_of_several_threads = {call for call in called if call.startswith("await_change ")}
    assert called - recorded == only_of_several_threads


def test_predicting_calls_some_of_the_kernels_of_training(folder):
    training, predicting = (
        run(RECORD.replace("(8, 8), 10", f"(8, 8), 10, {trains}"), folder, json.dumps(RUNS[:1]))
        for trains in (True, False)
    )
    assert predicting < training
    assert any(call.startswith("dense_forward_lateral ") for call in predicting)


@pytest.mark.slow  # it compiles everything
def test_a_first_run_finds_what_the_second_process_has_compiled(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("SPIKEPREP_CACHE_DIR", str(tmp_path))
    code = "import spikeprep; spikeprep.train('digits.zarr', run='first', limit=40, epochs=1, device='cpu');"
    code += "from spikeprep.cpu.update import adam_update as last; print(sum(last.stats.cache_hits.values()))"
    assert "1" in run(code, folder)


CPU, OTHER = SimpleNamespace(name="cpu"), SimpleNamespace(name="cuda")
REHEARSAL = Rehearsal(TrainSettings(), (4, 4), 3)
HAS_KERNELS = kernel_cache.has_kernels


@pytest.fixture
def started(monkeypatch):
    """The rehearsals that second processes are started with; none is."""
    rehearsals = []

    class Process(SimpleNamespace):
        def __init__(self, rehearsal: Rehearsal) -> None:
            rehearsals.append(rehearsal)

        def end(self) -> None:
            rehearsals.append("ended")

    monkeypatch.setattr(compile_ahead, "_SecondProcess", Process)
    monkeypatch.setattr(compile_ahead, "cores", lambda: 2)
    monkeypatch.setattr(kernel_cache, "has_kernels", lambda folder: True)
    return rehearsals


def test_the_first_kernel_that_is_compiled_starts_one_process_and_the_end_ends_it(started):
    with compiling_ahead(REHEARSAL, CPU):
        assert started == []
        for _ in range(2):
            with compilation.compiling():
                assert started == [REHEARSAL]
        assert _jit.partner is not None
    assert started == [REHEARSAL, "ended"]
    assert _jit.partner is None
    with compiling_ahead(REHEARSAL, CPU):
        pass
    assert started == [REHEARSAL, "ended"]


def test_an_empty_cache_starts_the_process_at_once(started, tmp_path, monkeypatch):
    monkeypatch.setattr(kernel_cache, "has_kernels", HAS_KERNELS)
    monkeypatch.setattr(kernel_cache, "folder_of", lambda source: str(tmp_path))
    with compiling_ahead(REHEARSAL, CPU):
        assert started == [REHEARSAL]
    (tmp_path / f"kernel{kernel_cache.SUFFIX}").touch()
    with compiling_ahead(REHEARSAL, CPU):
        assert started == [REHEARSAL, "ended"]


def test_no_process_is_started_where_it_would_not_help(started, monkeypatch):
    large = Rehearsal(TrainSettings(arch="20000"), (1000,), 3)
    for rehearsal, backend in ((REHEARSAL, OTHER), (large, CPU)):
        with compiling_ahead(rehearsal, backend), compilation.compiling():
            pass
    for name, value in (
        ("cores", lambda: 1),
        ("kernel_cache", SimpleNamespace(folder_of=lambda source: None)),
    ):
        with monkeypatch.context() as changed:
            changed.setattr(compile_ahead, name, value)
            with compiling_ahead(REHEARSAL, CPU), compilation.compiling():
                pass
    assert started == []


def test_a_process_that_cannot_be_started_is_left_out(monkeypatch):
    monkeypatch.setattr(compile_ahead, "cores", lambda: 2)
    for rehearsal in (Rehearsal(None, (4, 4), 3), Rehearsal(TrainSettings(), (4, 4), 3, lambda: True)):
        with compiling_ahead(rehearsal, CPU), compilation.compiling():
            assert _jit.partner is None


def test_a_kernel_that_the_other_process_compiles_is_waited_for(monkeypatch):
    code = "import sys, time; print('begin /a', flush=True); sys.stdin.read(1); time.sleep(0.3); "
    code += "print('end /a', flush=True); print('begin /b', flush=True); time.sleep(0.3)"
    monkeypatch.setattr(compile_ahead, "_SECOND_PROCESS", code)
    process = compile_ahead._SecondProcess(REHEARSAL)
    try:
        deadline = time.monotonic() + 20
        while not process.has_compiled("/a"):
            assert time.monotonic() < deadline
        assert not process.has_compiled("/a")
        assert not process.has_compiled("/c")
        while not process.has_compiled("/b"):  # its process ends meanwhile
            assert time.monotonic() < deadline
    finally:
        process.end()


FIRST_PROCESS = """
import time
from spikeprep import compile_ahead
from spikeprep.compile_ahead import Rehearsal
from spikeprep.train.settings import TrainSettings

never_ends = '''
import time
from spikeprep import _jit
_jit.calls_of = lambda step: print("begin a kernel", flush=True) or [lambda: time.sleep(60)]
'''
compile_ahead._SECOND_PROCESS = compile_ahead._SECOND_PROCESS.replace("from", f"exec({never_ends!r}); from")
second = compile_ahead._SecondProcess(Rehearsal(TrainSettings(), (4, 4), 3))
while not second._compiling:
    time.sleep(0.01)
print(second._process.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_the_second_process_ends_with_the_first():
    with subprocess.Popen([sys.executable, "-c", FIRST_PROCESS], stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        second = int(first.stdout.readline())
        started = start_time(second)
        assert is_running(second, started)
        first.kill()
    deadline = time.monotonic() + 20
    while is_running(second, started):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_calls_are_recorded_in_a_new_process():
    @_jit.jit
    def double(x):
        return 2 * x

    try:
        assert double(2) == 4
        with pytest.raises(RuntimeError, match="new process"):
            _jit.calls_of(lambda: None)
    finally:
        _jit._kernels.remove(double)
