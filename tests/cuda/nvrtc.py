"""NVIDIA's run-time compiler, loaded from its wheel: it needs no GPU, no driver and no CuPy."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.metadata as metadata
import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from spikeprep.cuda.runtime import source

from .emulator.build import cache

WHEEL = "nvidia-cuda-nvrtc"
MISSING = f"the wheel {WHEEL} is not installed: there is one for Linux on x86-64 and aarch64"


@dataclass(frozen=True)
class Resources:
    """A kernel's registers, bytes of stack and of spills per thread, and static shared bytes per block, from ptxas."""

    registers: int
    stack: int
    spills: int
    shared: int


@dataclass(frozen=True)
class Compiled:
    """A compilation: warnings and errors, and each kernel's resources if machine code was generated."""

    messages: str
    kernels: dict[str, Resources]


@functools.cache
def library() -> ctypes.CDLL | None:
    """Return the compiler, or None where its wheel is not installed."""
    try:
        files = metadata.files(WHEEL) or []
    except metadata.PackageNotFoundError:
        return None
    paths = [Path(str(f.locate())) for f in files if re.fullmatch(r"libnvrtc\.so\.\d+", f.name)]
    return ctypes.CDLL(str(paths[0])) if paths else None


def compiled(path: Path, arch: str, **defines: object) -> Compiled:
    """Compile a `.cu` file for "sm_90" (machine code) or "compute_80" (PTX); results are cached by content."""
    options = ["-std=c++17", f"--gpu-architecture={arch}", *(f"-D{k}={v}" for k, v in defines.items())]
    if arch.startswith("sm_"):
        options.append("--ptxas-options=-v")
    text = source(path)
    key = hashlib.sha256(
        "\0".join([metadata.version(WHEEL), text, *options, Path(__file__).read_text()]).encode()
    )
    cached = cache() / f"nvrtc-{path.stem}-{key.hexdigest()[:32]}.json"
    if cached.exists():
        data = json.loads(cached.read_text())
        return Compiled(data["messages"], {k: Resources(**v) for k, v in data["kernels"].items()})
    result = _read(_compile(text, path.name, options))
    partial = cached.with_suffix(f".{os.getpid()}.{id(result)}")
    partial.write_text(json.dumps(asdict(result)))
    partial.replace(cached)
    return result


def _compile(text: str, name: str, options: list[str]) -> str:
    """Return the compiler's log, after "failed" if compilation failed."""
    nvrtc, program = library(), ctypes.c_void_p()
    assert nvrtc is not None
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), name.encode(), 0, None, None)
    words = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
    failed = nvrtc.nvrtcCompileProgram(program, len(options), words)
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(max(size.value, 1))
    nvrtc.nvrtcGetProgramLog(program, log)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return f"{f'failed ({failed}): ' if failed else ''}{log.value.decode(errors='replace')}"


_INFO = re.compile(r"^ptxas (info {4})? *[:.].*$\n?", re.MULTILINE)
_ENTRY = re.compile(
    r"Compiling entry function '(?P<name>\w+)'.*?(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, "
    r"(?P<loads>\d+) bytes spill loads.*?Used (?P<registers>\d+) registers(?P<rest>[^\n]*)",
    re.DOTALL,
)


def _read(log: str) -> Compiled:
    kernels = {}
    for m in _ENTRY.finditer(log):
        shared = re.search(r"(\d+) bytes smem", m["rest"])
        kernels[m["name"]] = Resources(
            int(m["registers"]),
            int(m["stack"]),
            int(m["stores"]) + int(m["loads"]),
            int(shared[1]) if shared else 0,
        )
    return Compiled(_INFO.sub("", log).strip().strip("\0"), kernels)
