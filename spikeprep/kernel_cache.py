"""Where compiled kernels are cached on disk: the folders that are tried, and which of them can be written.

Nothing here imports Numba, so that ``spikeprep doctor`` can report on the cache of an installation that is broken.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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
    files, size
        How many files there are, and their bytes.
    """

    folder: str | None
    tried: tuple[str, ...]
    files: int
    size: int

    def __str__(self) -> str:
        if self.folder is None:
            return (
                f"none: {', '.join(self.tried)} cannot be written, so every process compiles its kernels. "
                f"Set {VARIABLES[0]} to a folder that can be written."
            )
        return f"{self.folder}, {self.files} files, {self.size / 1e6:.1f} MB"


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
    """Return the first of the candidates that can be written, created where it is missing; None without one."""
    return next((folder for folder in candidates(source) if writable(folder)), None)


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
    folder = folder_of(package)
    tried = []
    for candidate in candidates(package):
        if candidate == folder:
            break
        tried.append(candidate)
    sizes = [
        path.stat().st_size
        for source, _, _ in os.walk(package)
        if os.path.basename(source) != "__pycache__"
        for place in candidates(source)
        if os.path.isdir(place)
        for path in Path(place).iterdir()
        if path.suffix == SUFFIX
    ]
    return Cache(folder, tuple(tried), len(sizes), sum(sizes))
