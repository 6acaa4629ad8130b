"""Facts about this machine and installation: versions, cores, backends, optional extras, the kernel cache."""

from __future__ import annotations

import ctypes
import glob
import importlib.metadata as metadata
import os
import platform
import re
import sys
from dataclasses import asdict, dataclass, field
from typing import Any

from . import kernel_cache
from ._version import __version__
from .processes import address_space

PACKAGE = __package__ or "spikeprep"


@dataclass(frozen=True)
class CudaPart:
    """A component of CUDA that is not part of the driver.

    Attributes
    ----------
    title
        What messages call it.
    packages
        The Python packages that install it; ``{}`` stands for CUDA's major version.
    files
        Glob patterns of its files in an installed toolkit.
    """

    title: str
    packages: tuple[str, ...]
    files: tuple[str, ...]


NVRTC = CudaPart(
    "NVRTC, which compiles the kernels,",
    ("nvidia-cuda-nvrtc", "nvidia-cuda-nvrtc-cu{}"),
    ("lib64/libnvrtc.so*", "lib/libnvrtc.so*", "lib/*/libnvrtc.so*", "bin/nvrtc64*"),
)
HEADERS = CudaPart(
    "the header of CUDA's half precision, which CuPy's own kernels include,",
    ("nvidia-cuda-runtime", "nvidia-cuda-runtime-cu{}"),
    ("include/cuda_fp16.h", "targets/*/include/cuda_fp16.h"),
)
NCCL = CudaPart("NCCL", ("nvidia-nccl-cu{}",), ("lib64/libnccl.so*", "lib/libnccl.so*", "lib/*/libnccl.so*"))

CUPY = {"12": "cupy-cuda12x", "13": "cupy-cuda13x"}
"""CUDA's major version → the package of CuPy for it."""


@dataclass(frozen=True)
class Package:
    """A dependency: the installed version (None: not installed), and the versions that spikeprep needs."""

    name: str
    version: str | None
    needs: str


@dataclass(frozen=True)
class Extra:
    """An extra: its packages, whether all of them are installed, and the command that installs them."""

    name: str
    packages: tuple[Package, ...]
    installed: bool
    install: str


@dataclass(frozen=True)
class Device:
    """A backend on this machine.

    Attributes
    ----------
    name
        The backend's name.
    available
        Whether it can run.
    detail
        What it runs on, or what is missing.
    hint
        How to install what is missing, or what would make an available backend better.
    count
        Number of GPUs.
    """

    name: str
    available: bool
    detail: str
    hint: str = ""
    count: int = 0

    def __str__(self) -> str:
        return f"{self.detail}. {self.hint}" if self.hint else self.detail


@dataclass(frozen=True)
class Report:
    """What a bug report should say about a machine; sizes in bytes."""

    spikeprep: str
    location: str
    python: str
    platform: str
    cores: int
    memory_bytes: int | None
    packages: tuple[Package, ...]
    devices: tuple[Device, ...]
    extras: tuple[Extra, ...]
    kernel_cache: kernel_cache.Cache
    problems: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values."""
        return asdict(self)


def report() -> Report:
    """Return a report on this machine; takes milliseconds, because no dependency is imported."""
    required, extras = _requirements()
    problems = [
        f"{p.name} is not installed: python -m pip install '{p.name}{p.needs}'"
        for p in required
        if p.version is None
    ]
    if not required:
        problems.append(
            f"{PACKAGE} runs from a source tree: python -m pip install -e . installs what it needs"
        )
    location = os.path.dirname(os.path.abspath(__file__))
    return Report(
        spikeprep=__version__,
        location=location,
        python=f"{platform.python_implementation()} {platform.python_version()}",
        platform=f"{platform.system()} {platform.machine()}",
        cores=cores(),
        memory_bytes=_memory(),
        packages=required,
        devices=devices(),
        extras=extras,
        kernel_cache=kernel_cache.inspect(location),
        problems=tuple(problems),
    )


def cores() -> int:
    """Return how many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


def available_memory() -> int:
    """Return the available host memory in bytes, honouring cgroup limits; a quarter of all memory where unknown."""
    limits = []
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            limits += [int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable:")]
        with open("/sys/fs/cgroup/memory.max") as limit, open("/sys/fs/cgroup/memory.current") as used:
            limits.append(int(limit.read()) - int(used.read()))
    except (OSError, ValueError):  # not Linux, or no limit
        pass
    if (space := address_space()) is not None:
        limits.append(space.limit - space.mapped)
    return max(0, min(limits, default=(_memory() or 0) // 4))


def devices() -> tuple[Device, ...]:
    """Return every backend, available or not."""
    threads = f"{cores()} core{'s' if cores() > 1 else ''}"
    numba = _version("numba")
    cpu = (
        Device("cpu", True, f"Numba {numba} on {threads}")
        if numba
        else Device("cpu", False, "numba is not installed", "python -m pip install numba")
    )
    return cpu, cuda_device()


def cuda_device() -> Device:
    """Return the state of the CUDA backend: driver, GPUs, CuPy for the driver's CUDA, NVRTC, NCCL.

    CuPy is not imported.
    """
    driver, gpus = _gpus()
    if not gpus:
        return Device("cuda", False, driver, "The CPU backend does all that the CUDA backend does.")
    major = driver.removeprefix("CUDA ").partition(".")[0]
    preferred = major if major in CUPY else max(CUPY)
    install = f"python -m pip install '{PACKAGE}[cuda{preferred}]'"
    versions = {cuda: version for cuda, name in CUPY.items() if (version := _version(name))}
    named = f"{', '.join(gpus)} ({driver})"
    newest = int(major) if major.isdigit() else int(preferred)

    def missing(what: str, hint: str = install) -> Device:
        return Device("cuda", False, f"{named}, but {what}", hint, len(gpus))

    if len(versions) > 1:  # both install into the same folder, which then holds a mixture
        both = " ".join(CUPY[cuda] for cuda in versions)
        return missing("CuPy is installed twice", f"python -m pip uninstall {both}, then {install}")
    if not versions:
        other = _version("cupy")
        if other is None:
            return missing("CuPy is not installed")
        versions = {preferred: other}  # built from source or by conda
    ((cuda, version),) = versions.items()
    if int(cuda) > newest:
        return missing(
            f"{CUPY[cuda]} needs a driver for CUDA {cuda}", f"Update the driver, or {install} instead."
        )
    for part in (NVRTC, HEADERS):
        if not _has(part, cuda):
            return missing(f"{part.title} is missing", f"python -m pip install '{PACKAGE}[cuda{cuda}]'")
    hint = ""
    if len(gpus) > 1 and not _has(NCCL, cuda):
        hint = f"To train on several of them: python -m pip install '{PACKAGE}[nccl{cuda}]'"
    return Device("cuda", True, f"{named}, CuPy {version}", hint, len(gpus))


def _has(part: CudaPart, cuda: str) -> bool:
    """Whether a component of CUDA is installed: by a Python package, in a toolkit, or in a conda environment."""
    if any(_version(package.format(cuda)) for package in part.packages):
        return True
    homes = [os.environ.get(name, "") for name in ("CUDA_PATH", "CUDA_HOME")]
    homes += ["/usr/local/cuda", sys.prefix, "/usr"]
    return any(glob.glob(os.path.join(home, file)) for home in homes if home for file in part.files)


def _gpus() -> tuple[str, list[str]]:
    """Return the driver's CUDA version, or why there is none, and the name of each GPU, as the driver tells."""
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
    """Return the required packages and the extras, from the installed metadata."""
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
