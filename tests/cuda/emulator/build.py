"""Compile `.cu` files with the host's C++ compiler, once per text, set of defines and compiler."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from spikeprep.cuda.runtime import source

HERE = Path(__file__).parent

_KERNEL = re.compile(
    r'(?:extern\s*"C"\s*)?__global__\s+(?:__launch_bounds__\s*\((?P<before>(?:[^()]|\([^()]*\))*)\)\s*)?void\s+'
    r"(?:__launch_bounds__\s*\((?P<after>(?:[^()]|\([^()]*\))*)\)\s*)?(?P<name>\w+)\s*\("
)
_DYNAMIC = re.compile(
    r"\bextern\s+__shared__\s+(?:__align__\s*\(\s*\d+\s*\)\s*|alignas\s*\(\s*\d+\s*\)\s*)?"
    r"(?P<type>[\w:\s]+?)\s*\b(?P<name>\w+)\s*\[\s*\]\s*;"
)
_STATIC = re.compile(r"\b__shared__\s+(?P<rest>[^;(){}]*(?:\([^()]*\)[^;(){}]*)*);")


_MAX_AGE = 30 * 24 * 3600
"""Seconds after its last use at which a compiled kernel is deleted."""


@dataclass(frozen=True)
class Options:
    """How a kernel is compiled: with `fused` multiply-adds or not, with every access `checked` or not."""

    fused: bool = False
    checked: bool = False
    ucontext: bool = False


@functools.cache
def compiler() -> str | None:
    """Return the C++ compiler, from $CXX or PATH; None if there is none or the system is not Linux."""
    if not sys.platform.startswith("linux"):
        return None
    for name in (os.environ.get("CXX"), "g++", "clang++", "c++"):
        if name and (path := shutil.which(name)):
            return path
    return None


@functools.cache
def _version() -> str:
    done = subprocess.run([str(compiler()), "--version"], capture_output=True, text=True, check=True)
    return done.stdout + os.uname().machine


@functools.cache
def cache() -> Path:
    """Return this user's folder of compiled kernels, outside the repository; it may be deleted at any time."""
    chosen = os.environ.get("SPIKEPREP_EMULATOR_CACHE")
    path = Path(chosen) if chosen else Path(tempfile.gettempdir()) / f"spikeprep-emulator-{os.getuid()}"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.stat().st_uid != os.getuid():  # another user's folder of that name: do not load libraries from it
        path = Path(tempfile.mkdtemp(prefix="spikeprep-emulator-"))
    for old in path.glob("*.*"):
        if old.stat().st_mtime < time.time() - _MAX_AGE:
            old.unlink(missing_ok=True)
    return path


@functools.cache
def _headers() -> bytes:
    return b"".join(path.read_bytes() for path in [*sorted(HERE.glob("*.[hc]pp")), Path(__file__)])


def core(ucontext: bool = False) -> Path:
    """Return the library of fibers, which all compiled kernels call."""
    flags = ["-I", str(HERE), "-O2", *(["-DEMU_UCONTEXT"] if ucontext else [])]
    return _library("core", (HERE / "core.cpp").read_text(), flags, ["-Wl,-Bsymbolic", "-ldl"])


def library(path: Path, defines: dict[str, str], options: Options) -> Path:
    """Return the compiled library of a `.cu` file."""
    # -O1 compiles faster; GCC fuses multiply-adds from -O2 on
    level = "-O2" if options.fused and not options.checked else "-O1"
    flags = ["-I", str(HERE), level, "-fno-strict-aliasing", "-fwrapv"]
    if options.fused:
        flags += ["-ffp-contract=fast", *(["-mfma"] if os.uname().machine == "x86_64" else [])]
    else:
        flags += ["-ffp-contract=off"]
    if options.checked:  # the core implements the sanitizer's callbacks; its library is not linked
        flags += ["-g", "-DEMU_CHECKED", "-fsanitize=thread"]
    words = [f"-D{k}={v}" for k, v in defines.items()]
    return _library(path.stem, source(path), flags, [str(core(options.ucontext))], words)


def _library(
    name: str, text: str, flags: list[str], links: list[str], defines: list[str] | None = None
) -> Path:
    parts = [
        _version(),
        text,
        *flags,
        "links",
        *links,
        *(["defines", *defines] if defines is not None else []),
    ]
    key = hashlib.sha256(_headers() + b"\0".join(map(str.encode, parts))).hexdigest()[:32]
    path = cache() / f"{name}-{key}.so"
    if path.exists():
        os.utime(path)
    else:
        with tempfile.TemporaryDirectory(dir=cache()) as folder:
            unit, object_file, shared = (Path(folder) / f"unit{end}" for end in (".cpp", ".o", ".so"))
            unit.write_text(text if defines is None else _unit(text, defines))
            common = ["-std=c++17", "-fPIC", "-w", "-U_FORTIFY_SOURCE", "-fno-stack-protector"]
            _run([str(compiler()), "-c", *common, *flags, str(unit), "-o", str(object_file)], name)
            _run([str(compiler()), "-shared", str(object_file), "-o", str(shared), *links], name)
            os.replace(shared, path)
    return path


def preprocessed(text: str, defines: list[str]) -> str:
    """Return CUDA C++ with macros expanded, so that kernels defined by macros are found."""
    flags = [
        "-E",
        "-x",
        "c++",
        "-std=c++17",
        "-I",
        str(HERE / "include"),
        "-D__CUDACC__",
        "-D__CUDA_ARCH__=800",
    ]
    return _run([str(compiler()), *flags, *defines, "-"], "kernel", text)


def kernels_in(text: str) -> list[tuple[str, str]]:
    """Return each kernel of a preprocessed text, and its __launch_bounds__ or ""."""
    return [(m["name"], m["before"] or m["after"] or "") for m in _KERNEL.finditer(text)]


def _unit(text: str, defines: list[str]) -> str:
    """Return a CUDA text as C++."""
    text = preprocessed(text, defines)
    kernels = kernels_in(text)
    text = re.sub(r'\bextern\s*"C"\s*(?=__global__)', "", text)
    text = _DYNAMIC.sub(
        r"\g<type> *const \g<name> = reinterpret_cast<\g<type> *>(::emu::dynamic<\g<type>>());", text
    )
    text = _STATIC.sub(_declared, text)
    exports = "\n".join(f"EMU_EXPORT({name}, {bounds})" for name, bounds in kernels)
    # in an unnamed namespace a template's static variables are this library's own
    return f'#include "cuda.hpp"\nnamespace {{\n{text}\n}}\n{exports}\n'


def _declared(match: re.Match[str]) -> str:
    """Return a declaration of shared variables followed by calls of emu::declare for each of them."""
    words = []
    for part in _split(match["rest"]):
        name = re.match(r"[\s*&]*(?:[\w:<>,\s]+?[\s*&>])?\s*(\w+)\s*(?:\[.*)?$", part.strip(), re.DOTALL)
        if name is None:
            raise RuntimeError(f"the emulator cannot read a declaration: __shared__ {match['rest']};")
        words.append(f"::emu::declare(&{name[1]}, sizeof {name[1]});")
    return f"__shared__ {match['rest']}; {' '.join(words)}"


def _split(declarators: str) -> list[str]:
    """Split at commas outside brackets."""
    parts, depth = [""], 0
    for character in declarators:
        depth += character in "[(<{"
        depth -= character in "])>}"
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _run(command: list[str], what: str, text: str | None = None) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the emulator's compiler failed on {what}:\n{done.stderr[-6000:]}")
    return done.stdout
