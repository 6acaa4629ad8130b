"""Where compiled kernels are cached on disk: the folders that are tried, and which of them can be written.

Nothing here imports Numba, so that ``spikeprep doctor`` can report on the cache of an installation that is broken.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from .errors import warn_once

VARIABLES = ("SPIKEPREP_CACHE_DIR", "NUMBA_CACHE_DIR")
"""Environment variables that name a cache folder, most specific first."""

SUFFIX = ".nbc"
"""What the names of the files end in, one for each signature of a kernel."""


@dataclass(frozen=True)
class Cache:
    """The cache of a folder's kernels.

    Attributes
    ----------
    folder
        Where compiled kernels are kept; None where no folder can be written, so that every process compiles its own.
    tried
        The folders that cannot be written, in the order in which they were tried.
    ignored
        The environment variables that name some of these, each with its value.
    files, size
        How many files there are, and their bytes.
    """

    folder: str | None
    tried: tuple[str, ...]
    ignored: tuple[str, ...]
    files: int
    size: int

    def problem(self) -> str:
        """Return what a user should change, or an empty text."""
        if self.folder is None:
            return f"every process compiles its kernels. Set {VARIABLES[0]} to a folder that can be written."
        if self.ignored:
            names = " and ".join(self.ignored)
            return f"{names} cannot be written, so kernels are kept elsewhere. Name a folder that can be written."
        return ""

    def __str__(self) -> str:
        if self.folder is None:
            return f"none, for {', '.join(self.tried)} cannot be written: {self.problem()}"
        place = f"{self.folder}, {self.files} files, {self.size / 1e6:.1f} MB"
        return f"{place}; {self.problem()}" if self.ignored else place


def candidates(source: str) -> Iterator[str]:
    """Yield the folders in which the kernels of the modules in the folder `source` may be cached, best first."""
    source = os.path.abspath(source)
    # two installations share a user's folder: the path keeps their kernels apart
    name = f"{os.path.basename(source)}_{hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()}"
    for variable in VARIABLES:
        if folder := os.environ.get(variable):
            yield os.path.join(os.path.abspath(folder), name)
    yield os.path.join(source, "__pycache__")
    if folder := user_cache():
        yield os.path.join(folder, "spikeprep", name)


def user_cache() -> str | None:
    """Return the folder of this user's caches; None where there is no home directory."""
    if sys.platform == "win32":
        return os.environ.get("LOCALAPPDATA")
    try:
        home = Path.home()
    except RuntimeError:
        return os.environ.get("XDG_CACHE_HOME")
    if sys.platform == "darwin":
        return str(home / "Library/Caches")
    return os.environ.get("XDG_CACHE_HOME") or str(home / ".cache")


def folder_of(source: str) -> str | None:
    """Return the first of the candidates that can be written, created where it is missing; None without one.

    Warns, once per process, where that is none, or not the one that was asked for.
    """
    cache = _places(source)
    if problem := cache.problem():
        warn_once(
            f"no folder for compiled kernels can be written: {problem}" if cache.folder is None else problem
        )
    return cache.folder


def _places(source: str) -> Cache:
    """Return the cache of the folder `source`, its files not counted."""
    folders = list(candidates(source))
    tried = tuple(itertools.takewhile(lambda folder: not writable(folder), folders))
    given = [f"{variable}={os.environ[variable]}" for variable in VARIABLES if os.environ.get(variable)]
    folder = next(iter(folders[len(tried) :]), None)
    return Cache(folder, tried, tuple(given[: len(tried)]), 0, 0)


def has_kernels(folder: str) -> bool:
    """Whether a cache folder has any kernel; it may be out of date."""
    with os.scandir(folder) as entries:
        return any(entry.name.endswith(SUFFIX) for entry in entries)


@functools.cache
def writable(folder: str) -> bool:
    """Whether files can be created in a folder, which is created first; tried once per process."""
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def inspect(package: str) -> Cache:
    """Return the state of the cache of a package: of the kernels in its folder and in the folders below."""
    sizes = [
        path.stat().st_size
        for source, _, _ in os.walk(package)
        if os.path.basename(source) != "__pycache__"
        for place in candidates(source)
        if os.path.isdir(place)
        for path in Path(place).iterdir()
        if path.suffix == SUFFIX
    ]
    return replace(_places(package), files=len(sizes), size=sum(sizes))
