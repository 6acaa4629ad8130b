"""Import rules: those of .importlinter hold and can fail; optional libraries are imported late; imports stay light."""

from __future__ import annotations

import ast
import configparser
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import spikeprep_cli

import spikeprep
from spikeprep.registry import ENCODERS, EVENT_FORMATS, LAYERS, RULES, SOURCES, TRANSFORMS

ROOT = Path(__file__).parent.parent
FOLDERS = {p.__name__: Path(p.__file__).parent for p in (spikeprep, spikeprep_cli)}

LINT = """
import sys
sys.path.insert(0, {folder!r})
from importlinter.cli import lint_imports_command
sys.argv = ["lint-imports", "--config", {config!r}, "--no-cache", "--no-logo"]
lint_imports_command()
"""


@pytest.fixture
def lint(tmp_path):
    """Return a function that checks a copy of the package, changed by appending lines to modules."""
    pytest.importorskip("importlinter")

    def run(changes: dict[str, str]) -> tuple[int, str]:
        for package, folder in FOLDERS.items():
            ignored = shutil.ignore_patterns("__pycache__", "*.cu*", "*.toml")
            shutil.copytree(folder, tmp_path / package, ignore=ignored)
        for module, line in changes.items():
            with (tmp_path / module).open("a", encoding="utf-8") as file:
                file.write(f"\n{line}\n")
        code = LINT.format(folder=str(tmp_path), config=str(ROOT / ".importlinter"))
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return run


def contracts() -> dict[str, configparser.SectionProxy]:
    """Return name → section of every contract."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter")
    return {s["name"]: s for title, s in parser.items() if title.startswith("importlinter:contract:")}


def test_the_import_rules_hold(lint):
    code, report = lint({})
    assert code == 0, report
    assert f"Contracts: {len(contracts())} kept, 0 broken" in report


# module → a forbidden import, and the contracts that it breaks
VIOLATIONS = {
    "spikeprep/packing.py": (
        "def f():\n    from .store import SpikeStore",
        "A module imports from levels below",
    ),
    "spikeprep/store/reader.py": (
        "import spikeprep_cli.main",
        "The library does not import the command line",
    ),
    "spikeprep/train/trainer.py": ("from ..cpu import backend", "Training takes its backend as an argument"),
    "spikeprep/train_session.py": ("from .recipes import Recipe", "Only the API reads a recipe's training"),
    "spikeprep/distributed/ranks.py": ("from .mpi import MpiRanks", "No import cycles"),
    "spikeprep/encoders/bsa.py": ("from .poisson import Poisson", "Encoders are independent"),
    "spikeprep/transforms/events/crop.py": (
        "from .. import events\nfrom .hot_pixels import *",
        "Transforms are",
    ),
    "spikeprep/sources/idx.py": ("from spikeprep.sources import images", "Sources are independent"),
    "spikeprep/train/rules/lee2016.py": ("from .hm2bp import Hm2bp", "Learning rules are independent"),
    "spikeprep/train/layers/pool.py": ("from .conv import Conv", "Layer kinds are independent"),
    "spikeprep/eventfiles/dat.py": ("from .es import EventStream", "Event formats are independent"),
    "spikeprep/encoding/run.py": ("import zarr.codecs", "Only the store imports zarr"),
    "spikeprep/feed/device.py": (
        "def f():\n    from numba import njit",
        "Only modules with kernels import numba",
    ),
    "spikeprep/encoders/poisson.py": ("import llvmlite.ir", "Only _simd and the CPU backend import llvmlite"),
    "spikeprep/cuda/runtime.py": ("import cupy", "Only the CUDA backend imports cupy"),
    "spikeprep/sources/events.py": ("import h5py", "Only array files, event formats and exports import h5py"),
    "spikeprep/plot/sound.py": ("import soundfile", "Only sources import PIL"),
    "spikeprep/feed/copies.py": ("import nir", "Only exports import nir"),
    "spikeprep/recipes/__init__.py": ("import matplotlib.figure", "Only plots import matplotlib"),
    "spikeprep/feed/batches.py": ("import torch.utils", "Only its adaptor and exports import torch"),
    "spikeprep/feed/order.py": ("import jax.numpy", "Only its adaptor imports jax"),
    "spikeprep/store/layout.py": ("import xarray", "Only its adaptor imports xarray"),
    "spikeprep/train/journal.py": ("import tensorboardX", "Only train_logs imports tensorboardX"),
    "spikeprep/distributed/launch.py": ("from mpi4py import MPI", "Only the MPI ranks import mpi4py"),
    "spikeprep/encoding/plan.py": ("import distributed", "Only encoding on clusters imports Dask"),
    "spikeprep/sources/fsdd.py": ("import pooch", "Only downloads imports pooch"),
    "spikeprep/cuda/gpu.py": ("import msgspec", "Only config and the store import msgspec"),
    "spikeprep/system.py": ("from click import echo", "Only the command line imports click"),
}


def test_every_import_rule_can_be_broken(lint):
    code, report = lint({module: line for module, (line, _) in VIOLATIONS.items()})
    assert code == 1, report
    for module, (_, contract) in VIOLATIONS.items():
        (result,) = (line for line in report.splitlines() if line.startswith(contract) and line[-1].isupper())
        assert result.endswith("BROKEN"), (module, result)
    # rules cannot be broken by one line while there is one
    singles = {s["name"] for s in contracts().values() if len(s.get("modules", "a b").split()) == 1}
    tried = {name for name in contracts() for _, contract in VIOLATIONS.values() if name.startswith(contract)}
    assert tried | singles == set(contracts())


@pytest.mark.parametrize("registry", [ENCODERS, TRANSFORMS, SOURCES, EVENT_FORMATS, RULES, LAYERS])
def test_every_built_in_plugin_is_among_the_independent_ones(registry):
    (listed,) = (s["modules"].split() for s in contracts().values() if s.name.endswith(
        f":{'layer_kinds' if registry is LAYERS else registry.group.removeprefix('spikeprep.')}"))  # fmt: skip
    assert set(listed) == {target.partition(":")[0] for target in registry._builtin.values()}


def names_from_the_package(source: str, package: str) -> Iterator[str]:
    """Yield what a module of `package` imports from `spikeprep` itself, not from a module below it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name == "spikeprep")
        elif isinstance(node, ast.ImportFrom):
            folders = package.split(".")[: 1 - node.level or None] if node.level else []
            if ".".join([*folders, *([node.module] if node.module else [])]) == "spikeprep":
                yield from (a.name for a in node.names if a.name not in MODULES)


MODULES = {path.stem for path in FOLDERS["spikeprep"].iterdir() if path.is_dir() or path.suffix == ".py"}


def test_no_module_imports_the_package_itself():
    """The import rules cannot express it: the package's functions import every module below."""
    root = FOLDERS["spikeprep"]
    imported = {}
    for path in root.rglob("*.py"):
        package = ".".join(["spikeprep", *path.relative_to(root).parent.parts])
        imported[str(path)] = list(names_from_the_package(path.read_text(encoding="utf-8"), package))
    assert {path: names for path, names in imported.items() if names} == {}


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("from . import __version__", []),
        ("from .. import __version__, errors", ["__version__"]),
        ("from spikeprep import encode", ["encode"]),
        ("def f():\n    import spikeprep", ["spikeprep"]),
        ("from .._version import __version__\nimport spikeprep.errors", []),
    ],
)
def test_what_a_module_of_a_folder_imports_from_the_package_itself(source, names):
    assert list(names_from_the_package(source, "spikeprep.store")) == names


# ------------------------------------------------------------ optional libraries

OPTIONAL = {
    "PIL", "aiohttp", "cupy", "cupyx", "dask", "distributed", "fsspec", "h5py", "hdf5plugin", "jax", "lz4",
    "matplotlib", "mpi4py", "nir", "pooch", "requests", "sklearn", "soundfile", "tensorboardX",
    "tonic", "torch", "xarray", "zstandard", "IPython",
}  # fmt: skip


def eager_imports(source: str) -> Iterator[str]:
    """Yield the optional libraries that a module imports when it is imported itself."""
    nodes: list[ast.AST] = [ast.parse(source)]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            nodes += node.orelse
            continue
        if isinstance(node, ast.Import):
            yield from (name for alias in node.names if (name := alias.name.split(".")[0]) in OPTIONAL)
        elif (
            isinstance(node, ast.ImportFrom)
            and not node.level
            and (node.module or "").split(".")[0] in OPTIONAL
        ):
            yield str(node.module)
        nodes += ast.iter_child_nodes(node)


ADAPTORS = {FOLDERS["spikeprep"] / "interop" / f"{name}.py" for name in ("torch", "jax", "xarray")}
"""Modules that are imported by those who have the library: their classes are derived from its own."""


def test_optional_libraries_are_imported_inside_the_functions_that_use_them():
    modules = {path for folder in FOLDERS.values() for path in folder.rglob("*.py")} - ADAPTORS
    eager = {str(path): list(eager_imports(path.read_text(encoding="utf-8"))) for path in modules}
    assert {path: names for path, names in eager.items() if names} == {}


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import matplotlib.figure", ["matplotlib"]),
        ("class A:\n    from PIL import Image", ["PIL"]),
        ("try:\n    import cupy\nexcept ImportError:\n    pass", ["cupy"]),
        ("def f():\n    import cupy", []),
        ("if TYPE_CHECKING:\n    import torch\nelse:\n    import jax", ["jax"]),
        ("from .tonic import x\nimport numpy", []),
    ],
)
def test_which_imports_are_eager(source, names):
    assert list(eager_imports(source)) == names


# ------------------------------------------------------------ import time

HEAVY = {"zarr", "numcodecs", "numba", "llvmlite", "scipy", "click", *OPTIONAL}


@pytest.mark.parametrize(
    ("code", "too_heavy"),
    [
        ("import spikeprep", HEAVY | {"numpy"}),
        ("import spikeprep.registry", HEAVY),
        ("from spikeprep.registry import ENCODERS; ENCODERS.names()", HEAVY),
        ("import spikeprep.system; spikeprep.system.report()", HEAVY),
        ("from spikeprep.recipes import load_recipe", {"numba", "llvmlite", "scipy", *OPTIONAL}),
        ("from spikeprep_cli.main import main; main(['--help'])", (HEAVY | {"numpy"}) - {"click"}),
        ("from spikeprep_cli.main import main; main(['encode', '--help'])", (HEAVY | {"numpy"}) - {"click"}),
    ],
)
def test_importing_stays_light(code, too_heavy):
    tail = "import sys; print('LOADED', *{m.split('.')[0] for m in sys.modules})"
    script = f"try:\n    {code}\nexcept SystemExit:\n    pass\n{tail}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.rpartition("LOADED ")[2].split())
    assert "spikeprep" in loaded
    assert loaded & too_heavy == set()
