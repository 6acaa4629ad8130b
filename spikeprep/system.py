"""What this machine and installation have: versions, cores, backends, optional extras."""

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

from . import __version__

PACKAGE = __package__ or "spikeprep"


@dataclass(frozen=True)
class CudaPart:
    """A part of CUDA beside the driver: the packages that bring it ("{}": CUDA's version), its files in a toolkit."""

    what: str
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
"""CUDA's major version → the package that brings CuPy for it."""


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
    """A backend: whether it can run here, on what, and otherwise what is missing and how to get it.

    `count` is how many GPUs there are; `hint` may also say what an available backend could do better.
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
    return cpu, cuda_device()


def cuda_device() -> Device:
    """Return the CUDA backend, without importing CuPy: a driver, a GPU, CuPy for the driver's CUDA, NVRTC, NCCL."""
    driver, gpus = _gpus()
    if not gpus:
        return Device("cuda", False, driver, "The CPU backend does everything; a GPU makes it faster.")
    major = driver.removeprefix("CUDA ").partition(".")[0]
    wanted = major if major in CUPY else max(CUPY)
    install = f"python -m pip install '{PACKAGE}[cuda{wanted}]'"
    there = {cuda: version for cuda, name in CUPY.items() if (version := _version(name))}
    named = f"{', '.join(gpus)} ({driver})"
    known = int(major) if major.isdigit() else int(wanted)

    def missing(what: str, hint: str = install) -> Device:
        return Device("cuda", False, f"{named}, but {what}", hint, len(gpus))

    if len(there) > 1:  # both fill the same folder: what is there is neither
        both = " ".join(CUPY[cuda] for cuda in there)
        return missing("CuPy is installed twice", f"python -m pip uninstall {both}, then {install}")
    if not there:
        other = _version("cupy")
        if other is None:
            return missing("CuPy is not installed")
        there = {wanted: other}  # built from source, or by conda: of the CUDA that it found there
    ((cuda, version),) = there.items()
    if int(cuda) > known:
        return missing(f"{CUPY[cuda]} wants a driver of CUDA {cuda}", f"Update it, or {install} instead.")
    for part in (NVRTC, HEADERS):
        if not _has(part, cuda):
            return missing(f"{part.what} is missing", f"python -m pip install '{PACKAGE}[cuda{cuda}]'")
    hint = ""
    if len(gpus) > 1 and not _has(NCCL, cuda):
        hint = f"To train on several of them: python -m pip install '{PACKAGE}[nccl{cuda}]'"
    return Device("cuda", True, f"{named}, CuPy {version}", hint, len(gpus))


def _has(part: CudaPart, cuda: str) -> bool:
    """Whether a part of CUDA is here: in NVIDIA's package for it, an installed toolkit, or a conda environment."""
    if any(_version(package.format(cuda)) for package in part.packages):
        return True
    homes = [os.environ.get(name, "") for name in ("CUDA_PATH", "CUDA_HOME")]
    homes += ["/usr/local/cuda", sys.prefix, "/usr"]
    return any(glob.glob(os.path.join(home, file)) for home in homes if home for file in part.files)


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
