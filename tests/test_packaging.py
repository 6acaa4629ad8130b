"""What `pyproject.toml` and `MANIFEST.in` say, compared with the files and with what is imported."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import spikeprep_cli

import spikeprep
from spikeprep.errors import CapabilityError
from spikeprep.registry import SOURCES

from .sources.sound_files import put, spoken, wav

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = {
    "spikeprep": Path(spikeprep.__file__).parent,
    "spikeprep_cli": Path(spikeprep_cli.__file__).parent,
}
EXTRAS = PROJECT["project"]["optional-dependencies"]

# the name of a distribution, where it is not that of what is imported
DISTRIBUTIONS = {
    "PIL": "pillow", "sklearn": "scikit-learn", "google_crc32c": "google-crc32c",
    "cupy": "cupy-cuda13x", "cupyx": "cupy-cuda13x",
}  # fmt: skip
# imported where present, for what no extra promises: time-outs of HTTP, filters of HDF5, a notebook's display,
# and frameworks in which an exported network is tried
UNPROMISED = {"aiohttp", "hdf5plugin", "IPython", "norse", "snntorch", "spikingjelly"}


def names(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w.-]+", line)[0] for line in requirements}


def test_every_package_is_installed():
    packages = {
        ".".join((package, *path.parent.relative_to(folder).parts))
        for package, folder in PACKAGES.items()
        for path in folder.rglob("__init__.py")
    }
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == packages


def test_every_data_file_is_installed():
    data = PROJECT["tool"]["setuptools"]["package-data"]
    for path in PACKAGES["spikeprep"].rglob("*"):
        if path.is_file() and path.suffix != ".py" and path.parent.name != "__pycache__":
            package = ".".join(("spikeprep", *path.parent.relative_to(PACKAGES["spikeprep"]).parts))
            assert any(path.match(pattern) for pattern in data.get(package, [])), path


def imported() -> set[str]:
    """Return the outside libraries that the packages import, anywhere in a module."""
    found = set()
    for folder in PACKAGES.values():
        for path in folder.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    found |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    found.add(str(node.module).split(".")[0])
    return found - set(sys.stdlib_module_names) - set(PACKAGES)


def test_what_is_imported_is_declared_and_what_is_declared_is_imported():
    used = {DISTRIBUTIONS.get(name, name) for name in imported() - UNPROMISED}
    extras = {
        name: names(lines) for name, lines in EXTRAS.items() if name not in ("all", "bench", "dev", "docs")
    }
    # CuPy comes in two builds; NVIDIA's NCCL is loaded by CuPy, not imported
    variants = {"cupy-cuda12x", "nvidia-nccl-cu12", "nvidia-nccl-cu13"}
    assert names(PROJECT["project"]["dependencies"]) | set().union(*extras.values()) == used | variants


def test_no_package_of_an_extra_is_required_anyway():
    required = names(PROJECT["project"]["dependencies"])
    for extra in set(EXTRAS) - {"dev"}:
        assert not names(EXTRAS[extra]) & required, extra


def test_the_licence_of_tonic_reaches_nobody_who_does_not_ask_for_it():
    assert [extra for extra in EXTRAS if "tonic" in names(EXTRAS[extra])] == ["tonic"]
    (everything,) = EXTRAS["all"]
    assert "tonic" not in everything


def test_numba_is_bounded_above_by_what_is_tested():
    (line,) = (line for line in PROJECT["project"]["dependencies"] if line.startswith("numba"))
    bound = re.search(r"<0\.(\d+)$", line)
    installed = importlib.metadata.version("numba").split(".")
    assert bound, line
    assert (int(installed[0]), int(installed[1])) < (0, int(bound[1]))


def test_the_version_is_one():
    assert PROJECT["project"]["version"] == spikeprep.__version__


def test_an_index_shows_where_things_are():
    assert PROJECT["project"]["authors"]
    assert set(PROJECT["project"]["urls"]) >= {"Documentation", "Source", "Issues"}


def test_python_runs_the_package_as_the_command():
    done = subprocess.run([sys.executable, "-m", "spikeprep", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert spikeprep.__version__ in done.stdout
    done = subprocess.run([sys.executable, "-m", "spikeprep", "encod"], capture_output=True, text=True)
    assert done.returncode == 2  # the command's exit code for usage
    assert "Did you mean 'encode'" in done.stderr


def test_doctor_shows_the_kernel_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("SPIKEPREP_CACHE_DIR", str(tmp_path))
    done = subprocess.run([sys.executable, "-m", "spikeprep", "doctor"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"kernel cache\n  {tmp_path}" in done.stdout


def test_an_sdist_carries_every_file_of_the_tests(tmp_path):
    """Setuptools makes the sdist from a copy of the tree; no network is needed."""
    pytest.importorskip("setuptools", "77", reason="the version that pyproject.toml asks for")
    if not (ROOT / "spikeprep").is_dir():
        pytest.skip("these tests run beside a wheel, without the sources")
    tree = tmp_path / "tree"
    ignored = shutil.ignore_patterns(
        ".git", ".venv", "__pycache__", "*.egg-info", ".*_cache", "demo", ".data"
    )
    shutil.copytree(ROOT, tree, ignore=ignored)
    code = "import setuptools.build_meta as backend; print(backend.build_sdist('dist'))"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=tree, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    unpacked = tmp_path / "unpacked"
    (archive,) = (tree / "dist").glob("*.tar.gz")
    shutil.unpack_archive(archive, unpacked, filter="data")
    (root,) = unpacked.iterdir()
    for folder in ("tests", "spikeprep", "cli", "docs", "docs_site", "benchmarks", "changes"):
        for path in (tree / folder).rglob("*"):
            if path.is_file() and path.parent.name != "__pycache__":
                assert (root / path.relative_to(tree)).is_file(), path.relative_to(tree)
    for file in (".importlinter", "CONTRIBUTING.md", "Makefile", "README.md", "LICENSE", "pyproject.toml"):
        assert (root / file).is_file(), file


def sounds(path: Path) -> str:
    put(path / "a/1.wav", wav(spoken(0, 0, 900)))
    return str(path)


def hdf5_series(path: Path) -> str:
    (path / "gait.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    return str(path / "gait.h5")


def recordings(path: Path, ending: str) -> str:
    (path / "rest").mkdir()
    (path / "rest" / f"a.{ending}").touch()
    return str(path)


@pytest.mark.parametrize(
    ("library", "extra", "source", "settings"),
    [
        ("soundfile", "audio", "audio", lambda path: {"path": sounds(path)}),
        ("h5py", "events", "series", lambda path: {"path": hdf5_series(path)}),
        ("edfio", "edf", "series", lambda path: {"path": recordings(path, "edf")}),
        ("wfdb", "wfdb", "series", lambda path: {"path": recordings(path, "hea")}),
        ("sklearn", "digits", "digits", lambda path: {}),
        ("tonic", "tonic", "tonic", lambda path: {"path": str(path), "dataset": "NMNIST"}),
    ],
)
def test_without_a_library_its_extra_is_named(monkeypatch, tmp_path, library, extra, source, settings):
    monkeypatch.setitem(sys.modules, library, None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "sklearn.datasets", raising=False)
    assert library in {name for name, home in DISTRIBUTIONS.items() if home in names(EXTRAS[extra])} | names(
        EXTRAS[extra]
    )
    with pytest.raises(CapabilityError, match=rf"spikeprep\[{extra}\]"):
        SOURCES.build({"name": source} | settings(tmp_path)).splits()
