"""What `pyproject.toml` says against what is there."""

from __future__ import annotations

import tomllib
from pathlib import Path

import spikeprep

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FOLDERS = {"spikeprep": "spikeprep", "spikeprep_cli": "cli"}


def test_every_package_is_installed():
    found = {
        ".".join((package, *path.parent.relative_to(ROOT / folder).parts))
        for package, folder in FOLDERS.items()
        for path in (ROOT / folder).rglob("__init__.py")
    }
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == found


def test_every_data_file_is_installed():
    data = PROJECT["tool"]["setuptools"]["package-data"]
    for path in (ROOT / "spikeprep").rglob("*"):
        if path.is_file() and path.suffix not in (".py", ".pyc", ".nbi", ".nbc"):
            package = ".".join(("spikeprep", *path.parent.relative_to(ROOT / "spikeprep").parts))
            assert any(path.match(pattern) for pattern in data.get(package, [])), path


def test_the_promised_extras_are_there():
    extras = set(PROJECT["project"]["optional-dependencies"])
    assert extras >= {"events", "cuda12", "cuda13", "plot", "torch", "nir", "dask", "dev", "all"}


def test_the_version_is_said_once():
    assert PROJECT["project"]["version"] == spikeprep.__version__
