"""The walls between the rooms, read from the import statements."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# A room imports from floors at or below its own, and never in a circle. The longest prefix counts.
FLOORS = {
    "spikeprep": 7,  # the front door itself
    "spikeprep.errors": 1,
    "spikeprep.data": 2,
    "spikeprep.packing": 2,
    "spikeprep._simd": 2,
    "spikeprep.random": 2,
    "spikeprep.system": 2,
    "spikeprep.registry": 2,
    "spikeprep.encoders": 3,
    "spikeprep.transforms": 3,
    "spikeprep.eventfiles": 3,
    "spikeprep.sources": 3,
    "spikeprep.store": 3,
    "spikeprep.backend": 3,
    "spikeprep.distributed.ranks": 3,
    "spikeprep.recipes": 4,
    "spikeprep.encoding.plan": 4,
    "spikeprep.encoding.run": 4,
    "spikeprep.encoding.tune": 5,
    "spikeprep.feed.batches": 4,
    "spikeprep.cpu": 4,
    "spikeprep.cuda": 4,
    "spikeprep.distributed.launch": 5,
    "spikeprep.devices": 5,
    "spikeprep.train": 5,
    "spikeprep.train_session": 6,
    "spikeprep.plot": 6,
    "spikeprep.export": 6,
    "spikeprep.interop": 6,
    "spikeprep_cli": 8,
}

# Each outside library has one door, so that it can be replaced, or be missing, in one place.
DOORS = {
    "zarr": ("spikeprep.store",),
    "numcodecs": ("spikeprep.store",),
    "fsspec": ("spikeprep.store",),
    "numba": (
        "spikeprep.cpu",
        "spikeprep._simd",
        "spikeprep.packing",
        "spikeprep.random",
        "spikeprep.encoders",
        "spikeprep.transforms",
        "spikeprep.eventfiles",
    ),
    "h5py": ("spikeprep.eventfiles",),
    "lz4": ("spikeprep.eventfiles",),
    "zstandard": ("spikeprep.eventfiles",),
    "hdf5plugin": ("spikeprep.eventfiles",),
    "llvmlite": ("spikeprep._simd", "spikeprep.cpu"),
    "cupy": ("spikeprep.cuda.gpu", "spikeprep.cuda.nccl"),
    "cupyx": ("spikeprep.cuda.gpu",),
    "mpi4py": ("spikeprep.cpu",),
    "click": ("spikeprep_cli",),
    "matplotlib": ("spikeprep.plot",),
    "nir": ("spikeprep.export",),
    "tonic": ("spikeprep.sources", "spikeprep.interop"),
    "torch": ("spikeprep.interop",),
    "jax": ("spikeprep.interop",),
    "sklearn": ("spikeprep.sources",),
    "PIL": ("spikeprep.sources",),
    "soundfile": ("spikeprep.sources",),
    "lyon": ("spikeprep.encoders",),
}

# These are extras: imported inside the function that needs them, so that everything else works without them.
OPTIONAL = (
    "mpi4py",
    "matplotlib",
    "h5py",
    "lz4",
    "zstandard",
    "hdf5plugin",
    "cupy",
    "cupyx",
    "nir",
    "tonic",
    "torch",
    "jax",
    "sklearn",
    "PIL",
    "fsspec",
)

# importer → what it never imports
FORBIDDEN = {
    "spikeprep.train": ("spikeprep.cpu", "spikeprep.cuda", "spikeprep.devices"),  # the backend is an argument
    "spikeprep.feed.batches": ("spikeprep.cuda",),
    "spikeprep": ("spikeprep_cli", "cli"),  # nothing imports the command line
}

# Modules of these rooms do not know each other, so that any of them can be taken alone.
SIBLINGS = ("spikeprep.encoders", "spikeprep.transforms", "spikeprep.sources")
SHARED_BY_SIBLINGS = ("base",)


@dataclass(frozen=True)
class Import:
    """One import statement: who imports what, on which line, and whether at import time."""

    importer: str
    imported: str
    line: int
    at_import: bool

    def __str__(self) -> str:
        return f"{self.importer} line {self.line}: {self.imported}"


def sources() -> dict[str, str]:
    """Return module name → source of every module of the package and the command line."""
    found = {}
    for folder, package in (("spikeprep", "spikeprep"), ("cli", "spikeprep_cli")):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            name = ".".join((package, *(p for p in parts if p != "__init__")))
            found[name] = path.read_text(encoding="utf-8")
    return found


def packages(modules: dict[str, str]) -> set[str]:
    return {m.rpartition(".")[0] for m in modules} | {"spikeprep", "spikeprep_cli"}


def imports(modules: dict[str, str]) -> list[Import]:
    return [found for name, source in modules.items() for found in _imports_of(name, source, modules)]


def _imports_of(name: str, source: str, modules: dict[str, str]) -> Iterator[Import]:
    for node, lazy in _walk(ast.parse(source), False):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(name, alias.name, node.lineno, not lazy)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = name.split(".") if name in packages(modules) else name.split(".")[:-1]
                up = parent[: len(parent) - node.level + 1]
                base = ".".join([*up, *([base] if base else [])])
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield Import(name, whole if whole in modules else base, node.lineno, not lazy)


def _walk(node: ast.AST, lazy: bool) -> Iterator[tuple[ast.AST, bool]]:
    """Yield every node and whether it runs after import; what is only for type checkers is left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        inside = lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield child, inside
        yield from _walk(child, inside)


def under(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def floor(module: str) -> int:
    rooms = [room for room in FLOORS if under(module, room) and (room != "spikeprep" or module == room)]
    assert rooms, f"{module} is in no room: give it a floor in tests/test_walls.py"
    return FLOORS[max(rooms, key=len)]


def climbs(found: list[Import]) -> list[str]:
    ours = [i for i in found if i.imported.split(".")[0] in ("spikeprep", "spikeprep_cli")]
    return [str(i) for i in ours if i.imported != "spikeprep" and floor(i.imported) > floor(i.importer)]


def wrong_doors(found: list[Import]) -> list[str]:
    return [
        str(i)
        for i in found
        if (doors := DOORS.get(i.imported.split(".")[0])) and not any(under(i.importer, d) for d in doors)
    ]


def eager_extras(found: list[Import]) -> list[str]:
    return [str(i) for i in found if i.at_import and i.imported.split(".")[0] in OPTIONAL]


def forbidden(found: list[Import]) -> list[str]:
    return [
        str(i)
        for i in found
        for room, never in FORBIDDEN.items()
        if under(i.importer, room) and any(under(i.imported, n) for n in never)
    ]


def sibling_imports(found: list[Import]) -> list[str]:
    wrong = []
    for i in found:
        for room in SIBLINGS:
            if i.importer.startswith(f"{room}.") and i.imported.startswith(f"{room}."):
                sibling = i.imported.removeprefix(f"{room}.").split(".")[0]
                own = i.importer.removeprefix(f"{room}.").split(".")[0]
                if sibling not in (*SHARED_BY_SIBLINGS, own) and not sibling.startswith("_"):
                    wrong.append(str(i))
    return wrong


def circle(found: list[Import], modules: dict[str, str]) -> list[str]:
    """Return the modules of one circle, or nothing; an import inside a function counts too."""
    below: dict[str, set[str]] = {name: set() for name in modules}
    for i in found:
        if i.imported in below and i.imported != i.importer:
            below[i.importer].add(i.imported)
    done: set[str] = set()

    def follow(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name not in done:
            for after in sorted(below[name]):
                if ring := follow(after, [*path, name]):
                    return ring
            done.add(name)
        return []

    return next((ring for name in sorted(below) if (ring := follow(name, []))), [])


def test_every_room_has_a_floor():
    for module in sources():
        floor(module)


def test_imports_never_climb():
    assert climbs(imports(sources())) == []


def test_no_circles():
    modules = sources()
    assert circle(imports(modules), modules) == []


def test_each_library_has_one_door():
    assert wrong_doors(imports(sources())) == []


def test_extras_are_imported_where_they_are_used():
    assert eager_extras(imports(sources())) == []


def test_forbidden_imports():
    assert forbidden(imports(sources())) == []


def test_siblings_do_not_import_each_other():
    assert sibling_imports(imports(sources())) == []


def test_the_whole_package_is_read():
    modules = sources()
    assert {"spikeprep.store.reader", "spikeprep.registry", "spikeprep_cli.main"} <= set(modules)
    found = imports(modules)
    assert any(i.importer == "spikeprep.packing" and i.imported == "spikeprep.data" for i in found)
    assert any(i.importer == "spikeprep.plot.style" and i.imported == "matplotlib.figure" for i in found)


@pytest.mark.parametrize(
    ("module", "line", "check"),
    [
        ("spikeprep.packing", "from .store import SpikeStore", climbs),
        ("spikeprep.packing", "from . import store", climbs),
        ("spikeprep.encoders.poisson", "def f():\n    from ..pipeline import encode", climbs),
        ("spikeprep.encoding.run", "import zarr.codecs", wrong_doors),
        ("spikeprep.store.reader", "from click import echo", wrong_doors),
        ("spikeprep.plot", "import matplotlib.figure", eager_extras),
        ("spikeprep.sources.images", "class A:\n    from PIL import Image", eager_extras),
        ("spikeprep.train.trainer", "from ..cpu import compiled", forbidden),
        ("spikeprep.train", "def f():\n    from spikeprep.devices import select_backend", forbidden),
        ("spikeprep.store.reader", "import spikeprep_cli.main", forbidden),
        ("spikeprep.encoders.bsa", "from .poisson import Poisson", sibling_imports),
        ("spikeprep.sources.idx", "from spikeprep.sources import images", sibling_imports),
    ],
)
def test_a_hole_in_a_wall_is_seen(module, line, check):
    modules = sources() | {"spikeprep.train.trainer": "", "spikeprep.encoders.bsa": ""} | {module: line}
    assert check(imports({module: line} | {m: "" for m in modules if m != module})) != []


def test_a_circle_is_seen():
    modules = {
        "spikeprep.data": "from . import packing",
        "spikeprep.packing": "def f():\n    from .data import Bits",
    }
    assert circle(imports(modules), modules) == ["spikeprep.data", "spikeprep.packing", "spikeprep.data"]


def test_what_is_only_for_type_checkers_is_no_import():
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .store import SpikeStore"
    assert climbs(imports({"spikeprep.packing": source})) == []


HEAVY = {
    "zarr",
    "numcodecs",
    "numba",
    "llvmlite",
    "cupy",
    "cupyx",
    "matplotlib",
    "scipy",
    "sklearn",
    "torch",
    "PIL",
    "click",
}


@pytest.mark.parametrize(
    ("code", "too_heavy"),
    [
        ("import spikeprep", HEAVY | {"numpy"}),
        ("import spikeprep.registry", HEAVY),
        ("from spikeprep.registry import ENCODERS; ENCODERS.names()", HEAVY),
        ("import spikeprep.system; spikeprep.system.report()", HEAVY),
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
