"""What this machine and installation have: versions, cores, backends, optional extras."""

from __future__ import annotations

import ctypes
import importlib.metadata as metadata
import importlib.util
import os
import platform
import re
from dataclasses import asdict, dataclass, field
from typing import Any

from . import __version__

PACKAGE = __package__ or "spikeprep"


@dataclass(frozen=True)
class Package:
    """An outside package: its version here (None: not installed), and the range that is needed."""

    name: str
    version: str | None
    needs: str


@dataclass(frozen=True)
class Extra:
    """An optional part: what it brings, whether all of it is here, and the command that installs it."""

    name: str
    packages: tuple[Package, ...]
    installed: bool
    install: str


@dataclass(frozen=True)
class Device:
    """A backend: whether it can run here, on what, and otherwise what is missing and how to get it."""

    name: str
    available: bool
    detail: str
    mend: str = ""

    def __str__(self) -> str:
        return self.detail if self.available else f"{self.detail}. {self.mend}"


@dataclass(frozen=True)
class Report:
    """Everything that a bug report wants to know about a machine."""

    spikeprep: str
    location: str
    python: str
    platform: str
    cores: int
    memory_bytes: int | None
    packages: tuple[Package, ...]
    devices: tuple[Device, ...]
    extras: tuple[Extra, ...]
    problems: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values."""
        return asdict(self)


def report() -> Report:
    """Look at this machine; takes milliseconds, as nothing is imported."""
    required, extras = _requirements()
    problems = [
        f"{p.name} is not installed: python -m pip install '{p.name}{p.needs}'"
        for p in required
        if p.version is None
    ]
    if not required:
        problems.append(f"{PACKAGE} runs from a source tree: python -m pip install -e . tells what it needs")
    return Report(
        spikeprep=__version__,
        location=os.path.dirname(os.path.abspath(__file__)),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        platform=f"{platform.system()} {platform.machine()}",
        cores=cores(),
        memory_bytes=_memory(),
        packages=required,
        devices=devices(),
        extras=extras,
        problems=tuple(problems),
    )


def cores() -> int:
    """Return how many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


def available_memory() -> int:
    """Return the bytes of host memory that can still be had, a container's limit minded; a guess where nobody says."""
    found = []
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            found += [int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable:")]
        with open("/sys/fs/cgroup/memory.max") as most, open("/sys/fs/cgroup/memory.current") as now:
            found.append(int(most.read()) - int(now.read()))
    except (OSError, ValueError):  # not Linux, or no limit
        pass
    return max(0, min(found, default=(_memory() or 0) // 4))


def devices() -> tuple[Device, ...]:
    """Return every backend, with what it would run on or what it lacks."""
    threads = f"{cores()} core{'s' if cores() > 1 else ''}"
    numba = _version("numba")
    cpu = (
        Device("cpu", True, f"Numba {numba} on {threads}")
        if numba
        else Device("cpu", False, "numba is not installed", "python -m pip install numba")
    )
    return cpu, _cuda()


def _cuda() -> Device:
    driver, gpus = _gpus()
    if not gpus:
        return Device("cuda", False, driver, "The CPU backend does everything; a GPU makes it faster.")
    if importlib.util.find_spec(f"{PACKAGE}.cuda") is None:
        return Device("cuda", False, f"{PACKAGE} {__version__} has the CPU backend only", "Use --device cpu.")
    extra = "cuda13" if driver.startswith("CUDA 13") else "cuda12"
    if not any(_version(f"cupy-{kind}x") for kind in ("cuda12", "cuda13")):
        mend = f"python -m pip install 'spikeprep[{extra}]'"
        return Device("cuda", False, f"{', '.join(gpus)} ({driver}), but CuPy is not installed", mend)
    return Device("cuda", True, f"{', '.join(gpus)} ({driver})")


def _gpus() -> tuple[str, list[str]]:
    """Ask the driver itself, without CuPy: what it is (or why there is none), and the name of each GPU."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return "no NVIDIA driver", []
    if error := driver.cuInit(0):
        return f"the NVIDIA driver does not start (CUDA error {error})", []
    version, count, names = ctypes.c_int(), ctypes.c_int(), []
    driver.cuDriverGetVersion(ctypes.byref(version))
    driver.cuDeviceGetCount(ctypes.byref(count))
    for index in range(count.value):
        name = ctypes.create_string_buffer(128)
        driver.cuDeviceGetName(name, len(name), index)
        names.append(name.value.decode(errors="replace"))
    return f"CUDA {version.value // 1000}.{version.value % 1000 // 10}", names


def _requirements() -> tuple[tuple[Package, ...], tuple[Extra, ...]]:
    """Read what is required, and what each extra adds, from the installed metadata."""
    required: list[Package] = []
    extras: dict[str, list[Package]] = {}
    for line in _requires():
        requirement, _, marker = line.partition(";")
        match = re.match(r"\s*([\w.-]+)\s*(\[[^]]*\])?\s*(.*?)\s*$", requirement)
        if match is None or match[1] == PACKAGE:  # an extra of extras, e.g. `all`
            continue
        package = Package(match[1], _version(match[1]), match[3])
        extra = re.search(r"""extra\s*==\s*["']([\w-]+)["']""", marker)
        if extra is None:
            required.append(package)
        else:
            extras.setdefault(extra[1], []).append(package)
    return tuple(required), tuple(
        Extra(
            name,
            tuple(packages),
            all(p.version for p in packages),
            f"python -m pip install '{PACKAGE}[{name}]'",
        )
        for name, packages in extras.items()
    )


def _requires() -> list[str]:
    try:
        return metadata.requires(PACKAGE) or []
    except metadata.PackageNotFoundError:
        return []


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not POSIX
        return None
