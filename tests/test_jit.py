"""Kernels and their cache on disk: what makes a cached kernel stale, and what happens where none can be kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

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
REPORT = """
import json
from kernels_under_test import kernels
found = {}
for name in ("inlines", "calls_another", "reads_a_constant", "stands_alone"):
    kernel = getattr(kernels, name)
    found[name] = [kernel(10), sum(kernel.stats.cache_hits.values()) > 0]
print(json.dumps(found))
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "kernels_under_test"
    folder.mkdir()
    for name, source in MODULES.items():
        (folder / name).write_text(source)
    return folder


def run(code: str, folder: Path, **environment: str) -> str:
    clean = {k: v for k, v in os.environ.items() if k not in kernel_cache.VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=clean | {"PYTHONPATH": f"{folder.parent}", "PYTHONDONTWRITEBYTECODE": "1"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def results(folder: Path, **environment: str) -> dict[str, list]:
    """Return kernel → [its result for 10, whether its code came from the cache]."""
    return json.loads(run(REPORT, folder, **environment))


FRESH = {
    "inlines": [30, False],
    "calls_another": [21, False],
    "reads_a_constant": [13, False],
    "stands_alone": [9, False],
}


def cached(found: dict[str, list]) -> dict[str, list]:
    return {name: [value, True] for name, (value, _) in found.items()}


def test_an_edit_recompiles_the_kernels_that_depend_on_it_and_no_others(package):
    assert results(package) == FRESH
    assert results(package) == cached(FRESH)
    (package / "helpers.py").write_text(MODULES["helpers.py"].replace("FACTOR * x", "FACTOR * x + 5"))
    assert results(package) == cached(FRESH) | {"inlines": [35, False]}
    (package / "calls.py").write_text(MODULES["calls.py"].replace("2 * x", "4 * x"))
    after = cached(FRESH) | {"inlines": [35, True], "calls_another": [41, False]}
    assert results(package) == after
    (package / "constants.py").write_text("FACTOR = 4\n")  # frozen into two kernels by value
    now = cached(after) | {"inlines": [45, False], "reads_a_constant": [14, False]}
    assert results(package) == now
    assert results(package) == cached(now)


def test_a_touched_file_recompiles_nothing(package):
    results(package)
    for file in package.glob("*.py"):
        os.utime(file, (1e9, 1e9))
    assert results(package) == cached(FRESH)


def test_an_environment_variable_names_the_cache(package, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    for n, variable in enumerate(reversed(kernel_cache.VARIABLES)):
        folder = elsewhere / str(n)
        assert results(package, **{variable: str(folder)}) == FRESH
        assert results(package, **{variable: str(folder)}) == cached(FRESH)
        assert len(list(folder.rglob("*.nbc"))) >= len(FRESH)
    assert not list(package.rglob("*.nbc"))


def test_without_a_folder_that_can_be_written_kernels_are_compiled_in_memory(package, tmp_path):
    (package / "__pycache__").write_text("a file: no folder of this name can be created, not even by root")
    home = {"HOME": os.devnull, "XDG_CACHE_HOME": os.devnull, "LOCALAPPDATA": os.devnull}
    assert results(package, **home) == FRESH
    assert results(package, **home) == FRESH
    code = (
        "from spikeprep.kernel_cache import inspect; import json, dataclasses\n"
        f"print(json.dumps(dataclasses.asdict(inspect({str(package)!r}))))"
    )
    found = json.loads(run(code, package, **home))
    assert (found["folder"], found["files"], found["size"]) == (None, 0, 0)
    assert len(found["tried"]) == 2
    home["XDG_CACHE_HOME"] = str(tmp_path / "home")
    if sys.platform == "linux":
        assert results(package, **home) == FRESH
        assert results(package, **home) == cached(FRESH)
        assert json.loads(run(code, package, **home))["folder"].startswith(home["XDG_CACHE_HOME"])


def test_a_damaged_cache_is_compiled_again(package):
    results(package)
    files = list(package.rglob("*.nb[ic]"))
    for file in files:
        file.write_bytes(b"\x80garbage")
    assert results(package) == FRESH
    assert results(package) == cached(FRESH)


def test_the_bounds_of_a_cached_kernel_can_be_checked(package):
    code = (
        "import numpy as np\nfrom kernels_under_test.kernels import reads\n"
        "reads(np.zeros(4), 3)\nreads(np.zeros(4), {})"
    )
    run(code.format(3), package)
    checked = {"NUMBA_BOUNDSCHECK": "1"}
    run(code.format(3), package, **checked)
    for _ in range(2):
        caught = f"import pytest\nwith pytest.raises(IndexError):\n    exec({code.format(4)!r})"
        run(caught, package, **checked)


def test_kernels_work_uncompiled(package):
    assert "[30]" in run(
        "from kernels_under_test.kernels import inlines; print([inlines(10)])", package, NUMBA_DISABLE_JIT="1"
    )


def test_a_kernels_digest_covers_the_generator_that_it_inlines():
    pytest.importorskip("numba")
    from spikeprep import _jit
    from spikeprep.encoders import poisson

    package = Path(spikeprep.__file__).parent
    kernel = next(
        v for v in vars(poisson).values() if hasattr(v, "py_func") and v.__module__ == poisson.__name__
    )
    reached = {value for kind, value in _jit._reached(kernel.py_func) if kind == "file"}
    assert {str(package / "random.py"), str(package / "encoders/poisson.py")} <= reached
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
