"""What a compiled kernel depends on: the sources and constants that it is made of, as a digest."""

from __future__ import annotations

import functools
import hashlib
import inspect
import os
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np


def sources_digest(function: Callable[..., Any], options: Mapping[str, Any]) -> str | None:
    """Return a digest of everything that decides a kernel's machine code; None where a source file is missing.

    It covers Numba's `options`, the files of all functions that `function` reaches within its own package and
    spikeprep, and the values of the constants among their globals. Other libraries count by Numba's version, which
    is part of the cache's files.
    """
    files: set[str] = set()
    constants: set[str] = set()
    for kind, value in _reached(function):
        (files if kind == "file" else constants).add(value)
    digest = hashlib.sha256(repr((sorted(options.items()), sorted(constants))).encode())
    try:
        digests = {_file_digest(path, *_version(path)) for path in files}
    except OSError:
        return None
    for item in sorted(digests):
        digest.update(item)
    return digest.hexdigest()


def _version(path: str) -> tuple[int, int]:
    state = os.stat(path)
    return state.st_mtime_ns, state.st_size


@functools.cache
def _file_digest(path: str, mtime_ns: int, size: int) -> bytes:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _reached(root: Callable[..., Any]) -> Iterator[tuple[str, str]]:
    """Yield ("file", path) of every function that `root` calls or inlines, and ("constant", "name=value")."""
    packages = {"spikeprep", root.__module__.partition(".")[0]}
    seen: set[int] = set()
    queue: list[Any] = [root]
    while queue:
        function = queue.pop()
        if id(function) in seen:
            continue
        seen.add(id(function))
        yield "file", inspect.getfile(function)
        for name, value in _names(function):
            if isinstance(value, _CONSTANTS):
                yield "constant", f"{name}={_text(value)}"
                continue
            value = (
                getattr(value, "py_func", None) or getattr(value, "_defn", None) or value
            )  # kernel, intrinsic
            ours = getattr(value, "__module__", None) or ""
            if ours.partition(".")[0] not in packages:
                continue
            if isinstance(value, types.FunctionType):
                queue.append(value)
            elif inspect.isclass(value):
                yield "file", inspect.getfile(value)


def _names(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield (name, value) of the globals, closed-over variables and modules' attributes that a function names."""
    names = set(_code_names(function.__code__))
    scope = {name: function.__globals__[name] for name in names if name in function.__globals__}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        scope[name] = cell.cell_contents
    for name, value in scope.items():
        if isinstance(value, types.ModuleType):
            yield from (
                (f"{name}.{member}", getattr(value, member)) for member in names if hasattr(value, member)
            )
        else:
            yield name, value


def _code_names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):  # a function or comprehension inside
            yield from _code_names(constant)


_CONSTANTS = (bool, int, float, complex, str, bytes, tuple, np.generic, np.ndarray, np.dtype)


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
    if isinstance(value, tuple):
        return f"({', '.join(map(_text, value))})"
    return f"{type(value).__name__} {value!r}" if isinstance(value, _CONSTANTS) else type(value).__qualname__
