"""Kernels and their cache on disk: what makes a cached kernel stale, and what happens where none can be kept."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikeprep
from spikeprep import kernel_cache

MODULES = {
    "constants.py": "FACTOR = 3\n",
    "helpers.py": "from .constants import FACTOR\n\n\ndef scale(x):\n    return FACTOR * x\n",
    "calls.py": "from spikeprep._jit import jit\n\n\n@jit\ndef double(x):\n    return 2 * x\n",
    "kernels.py": """
from spikeprep._jit import inline, jit
from . import calls, constants
from .helpers import scale as _scale

scale = inline(_scale)

@jit
def inlines(x):
    return scale(x)

@jit
def calls_another(x):
    return calls.double(x) + 1

@jit
def reads_a_constant(x):
    return constants.FACTOR + x

@jit
def stands_alone(x):
    return x - 1

@jit
def reads(array, n):
    return array[n]
""",
    "__init__.py": "",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of kernels that can be imported; its cache is beside it."""
    folder = tmp_path / "kernels_under_test"
    folder.mkdir()
    for name, source in MODULES.items():
        (folder / name).write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # an edit within a second would go unseen
    for variable in kernel_cache.VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    return folder


def results() -> dict[str, list]:
    """Import the package anew; return kernel → [its result for 10, whether its code came from the cache]."""
    for module in [name for name in sys.modules if name.startswith("kernels_under_test")]:
        del sys.modules[module]
    importlib.invalidate_caches()
    kernels = importlib.import_module("kernels_under_test.kernels")
    return {
        name: [getattr(kernels, name)(10), sum(getattr(kernels, name).stats.cache_hits.values()) > 0]
        for name in FRESH
    }


def run(code: str, folder: Path, **environment: str) -> str:
    """Run code in a new process, which can import the package; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": f"{folder.parent}", "PYTHONDONTWRITEBYTECODE": "1"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def warnings_of(code: str, folder: Path) -> list[str]:
    """Run code that prints nothing in a new process; return the warnings."""
    return run(
        f"import warnings; warnings.showwarning = lambda text, *_: print(text); {code}", folder
    ).splitlines()


FRESH = {
    "inlines": [30, False],
    "calls_another": [21, False],
    "reads_a_constant": [13, False],
    "stands_alone": [9, False],
}


def cached(found: dict[str, list]) -> dict[str, list]:
    return {name: [value, True] for name, (value, _) in found.items()}


def test_an_edit_recompiles_the_kernels_that_depend_on_it_and_no_others(package):
    assert results() == FRESH
    assert results() == cached(FRESH)
    (package / "helpers.py").write_text(MODULES["helpers.py"].replace("FACTOR * x", "FACTOR * x + 5"))
    assert results() == cached(FRESH) | {"inlines": [35, False]}
    (package / "calls.py").write_text(MODULES["calls.py"].replace("2 * x", "4 * x"))
    after = cached(FRESH) | {"inlines": [35, True], "calls_another": [41, False]}
    assert results() == after
    (package / "constants.py").write_text("FACTOR = 4\n")  # frozen into two kernels by value
    now = cached(after) | {"inlines": [45, False], "reads_a_constant": [14, False]}
    assert results() == now
    assert results() == cached(now)


def test_processes_that_save_at_the_same_time_lose_no_signature(package, monkeypatch):
    first, second = (results() and sys.modules["kernels_under_test.kernels"].stands_alone for _ in range(2))
    replace, saving = os.replace, []

    def interrupted(source: str, target: str) -> None:
        saving.append(target)
        if len(saving) == 1:
            second(np.float32(7.5))
        replace(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    first(np.int32(7))
    assert len(saving) > 1
    calls = "import numpy as np; from kernels_under_test.kernels import stands_alone as kernel; "
    calls += "print(kernel(np.float32(7.5)), kernel(np.int32(7)), sum(kernel.stats.cache_hits.values()))"
    assert run(calls, package) == "6.5 6 2\n"


def test_a_touched_file_recompiles_nothing(package):
    results()
    for file in package.glob("*.py"):
        os.utime(file, (1e9, 1e9))
    assert results() == cached(FRESH)


def test_an_environment_variable_names_the_cache(package, tmp_path, monkeypatch):
    for variable in reversed(kernel_cache.VARIABLES):  # the second one set comes first
        folder = tmp_path / variable
        monkeypatch.setenv(variable, str(folder))
        assert results() == FRESH
        assert results() == cached(FRESH)
        assert len(list(folder.rglob("*.nbc"))) >= len(FRESH)
    assert not list(package.rglob("*.nbc"))


@pytest.mark.parametrize("value", ["0", "-2"])
def test_a_number_of_threads_that_numba_cannot_have_is_named(value):
    code = "import spikeprep.errors\ntry: import spikeprep.encoders.bsa\n"
    code += "except spikeprep.errors.CapabilityError as error: print(error)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"NUMBA_NUM_THREADS": value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (
        done.stdout == f"got NUMBA_NUM_THREADS={value} in the environment; expected at least 1. Unset it.\n"
    )


@pytest.mark.filterwarnings("ignore:SPIKEPREP_CACHE_DIR")
def test_a_cache_folder_that_cannot_be_written_is_said_once(package, monkeypatch):
    monkeypatch.setenv("SPIKEPREP_CACHE_DIR", os.devnull)
    assert results() == FRESH
    assert results() == cached(FRESH)  # in the next folder
    code = "from kernels_under_test.kernels import inlines, stands_alone; inlines(10), stands_alone(1)"
    assert warnings_of(code, package) == [
        f"SPIKEPREP_CACHE_DIR={os.devnull} cannot be written, so kernels are kept elsewhere. "
        "Name a folder that can be written."
    ]


@pytest.fixture
def homeless(package, monkeypatch):
    """Make it impossible, for root too, to create folders beside the package and in the home directory."""
    (package / "__pycache__").write_text("a file")
    for variable in ("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, os.devnull)


@pytest.mark.usefixtures("homeless")
@pytest.mark.filterwarnings("ignore:no folder for compiled kernels")
def test_without_a_folder_that_can_be_written_kernels_are_compiled_in_memory(package):
    assert results() == FRESH
    assert results() == FRESH
    state = kernel_cache.inspect(str(package))
    assert (state.folder, state.files, state.size) == (None, 0, 0)
    assert len(state.tried) == 2
    code = "from kernels_under_test.kernels import inlines; print(inlines(10), inlines.stats.cache_path)"
    assert run(code, package) == "30 None\n"  # as a user meets it
    (warning,) = warnings_of("from kernels_under_test.kernels import inlines; inlines(10)", package)
    assert "every process compiles its kernels. Set SPIKEPREP_CACHE_DIR to a folder that can" in warning


@pytest.mark.usefixtures("homeless")
@pytest.mark.skipif(sys.platform != "linux", reason="XDG_CACHE_HOME")
def test_a_read_only_package_is_cached_in_the_users_folder(package, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    assert results() == FRESH
    assert results() == cached(FRESH)
    assert kernel_cache.inspect(str(package)).folder.startswith(str(tmp_path / "home/spikeprep"))


def test_a_damaged_cache_is_compiled_again(package):
    results()
    files = list(package.rglob("*.nbc"))
    for file in files:
        file.write_bytes(b"\x80garbage")
    assert results() == FRESH
    assert results() == cached(FRESH)


def test_a_file_with_any_changed_byte_is_not_loaded(tmp_path):
    """Damaged machine code would end the process, or compute something else."""
    pytest.importorskip("numba")
    from spikeprep._jit import _Files

    files, key = _Files(str(tmp_path), "kernel", "stamp"), ("signature",)
    files.save(key, b"machine code")
    assert files.load(key) == b"machine code"
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        assert files.load(key) is None
        path.write_bytes(content[:at])
        assert files.load(key) is None


def test_the_bounds_of_a_cached_kernel_can_be_checked(package):
    code = "import numpy as np\nfrom kernels_under_test.kernels import reads\n"
    run(code + "reads(np.zeros(4), 3); reads(np.zeros(4), 4)", package, NUMBA_BOUNDSCHECK="0")
    code += (
        "reads(np.zeros(4), 3)\ntry: reads(np.zeros(4), 4)\nexcept IndexError: print('refused', end=' ')\n"
    )
    code += "print(sum(reads.stats.cache_hits.values()))"
    assert [run(code, package, NUMBA_BOUNDSCHECK="1") for _ in range(2)] == ["refused 0\n", "refused 1\n"]


def test_a_kernel_without_a_source_file_is_compiled_in_memory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {"__name__": "notebook"}
    exec("from spikeprep._jit import jit\n@jit\ndef double(x):\n    return 2 * x", scope)
    assert scope["double"](4) == 8
    assert scope["double"].stats.cache_path is None
    assert not list(tmp_path.iterdir())


def test_kernels_work_uncompiled(package):
    assert "[30]" in run(
        "from kernels_under_test.kernels import inlines; print([inlines(10)])", package, NUMBA_DISABLE_JIT="1"
    )


def test_a_backend_whose_kernels_must_be_compiled_says_so(package):
    code = "from spikeprep.cpu.backend import CpuBackend\n"
    code += "try: CpuBackend()\nexcept Exception as error: print(repr(error))"
    answer = run(code, package, NUMBA_DISABLE_JIT="1")
    assert answer.startswith("CapabilityError(")
    assert "NUMBA_DISABLE_JIT" in answer
    assert "device=reference" in answer


def test_a_kernels_digest_covers_the_generator_that_it_inlines():
    pytest.importorskip("numba")
    from spikeprep import kernel_digest
    from spikeprep.encoders import bernoulli

    package = Path(spikeprep.__file__).parent
    kernel = next(
        v for v in vars(bernoulli).values() if hasattr(v, "py_func") and v.__module__ == bernoulli.__name__
    )
    reached = {value for kind, value in kernel_digest._reached(kernel.py_func) if kind == "file"}
    assert {str(package / "random.py"), str(package / "encoders/bernoulli.py")} <= reached
    assert str(package / "config.py") not in reached


def test_the_state_of_a_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SPIKEPREP_CACHE_DIR", str(tmp_path / "blocked" / "x"))
    (tmp_path / "blocked").write_text("")
    source = tmp_path / "package"
    (source / "inner/__pycache__").mkdir(parents=True)
    (source / "inner/__pycache__/kernel-1.nbc").write_bytes(b"12345")
    (source / "inner/__pycache__/kernel.cpython-311.pyc").write_bytes(b"12345")
    found = kernel_cache.inspect(str(source))
    assert (found.folder, found.files, found.size) == (str(source / "__pycache__"), 1, 5)
    assert [Path(folder).parent for folder in found.tried] == [tmp_path / "blocked/x"]
