"""How Numba compiles kernels: one set of options, a disk cache that notices every edit, and inlined helpers.

Numba keys a cached kernel by the file that defines it. A kernel that inlines or calls code of another file (the Poisson
encoder: `random.philox4x32`) would keep the old code after an edit there. Here the key is a digest over what the kernel
reaches: the sources of the files of all functions that it calls, directly or through others, and the values of the
constants that Numba freezes into it. An edit recompiles the kernels that depend on it and no others.

Kernels are cached in the first folder of `kernel_cache.candidates` that can be written. Without one, and where a cached
file is damaged or the disk is full, they are compiled in memory.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import io
import os
import pickle
import sys
import uuid
from collections.abc import Callable
from typing import Any, Protocol

from . import compilation, kernel_cache
from .kernel_digest import sources_digest
from .processes import check_environment

check_environment()

import numba as nb  # noqa: E402
from numba.core import caching, config, event, serialize  # noqa: E402

_OPTIONS = {"nogil": True, "error_model": "numpy", "boundscheck": False, "no_cfunc_wrapper": True}
# NUMBA_BOUNDSCHECK=1 in the environment overrides `boundscheck`; the wrapper would be for callers in C

inline = nb.njit(**_OPTIONS, inline="always")
"""For small functions that become part of the kernel that calls them."""


_kernels: list[Any] = []


def jit(function: Callable[..., Any]) -> Any:
    """Compile a kernel: without the interpreter's lock, cached on disk, indices unchecked, divisions as in NumPy."""
    dispatcher: Any = nb.njit(**_OPTIONS)(function)
    if hasattr(dispatcher, "py_func"):  # not with NUMBA_DISABLE_JIT
        dispatcher._cache = _Cache(function)
        _kernels.append(dispatcher)
    return dispatcher


def disabled() -> bool:
    """Return whether NUMBA_DISABLE_JIT has kernels run as Python, which those with instructions of their own cannot."""
    return bool(config.DISABLE_JIT)


def calls_of(work: Callable[[], None]) -> list[Callable[[], None]]:
    """Return the kernel calls that `work` makes, in order and each once: what compiles the kernel for its arguments.

    No kernel is run: what a call would have written is not. For a process in which none has been compiled, of one
    thread.

    Raises
    ------
    RuntimeError
        A kernel is compiled already, so that it would run.
    """
    kernels = list(_kernels)  # `work` may import more
    if compiled := [kernel for kernel in kernels if kernel.signatures]:
        raise RuntimeError(f"{compiled[0]} is compiled already; calls are recorded in a new process.")
    calls: dict[tuple[Any, tuple[Any, ...]], Callable[[], None]] = {}
    for kernel in kernels:

        def note(*arguments: Any, kernel: Any = kernel) -> Callable[..., None]:
            types = tuple(map(kernel.typeof_pyval, arguments))
            calls.setdefault((kernel, types), functools.partial(kernel.compile, types))
            return lambda *_: None  # called in the place of the compiled kernel

        kernel._compile_for_args = note  # what Numba calls where no compiled kernel fits
    try:
        work()
    finally:
        for kernel in kernels:
            del kernel._compile_for_args
    return list(calls.values())


class _Compilations(event.Listener):  # type: ignore[misc]
    """Passes on when Numba compiles; it does so only for what no cache has."""

    def on_start(self, event: Any) -> None:
        compilation.begin()

    def on_end(self, event: Any) -> None:
        compilation.end()


event.register("numba:compile", _Compilations())


class _Cache(caching._Cache):  # type: ignore[misc]
    """A kernel's cache, opened at the kernel's first call: by then everything that it names is defined."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    @functools.cached_property
    def _opened(self) -> Any:
        stamp = sources_digest(self._function, _OPTIONS)
        if stamp is None:
            return caching.NullCache()
        folder = kernel_cache.folder_of(os.path.dirname(inspect.getfile(self._function)))
        return _FunctionCache(self._function, folder, stamp) if folder else caching.NullCache()

    @property
    def cache_path(self) -> str | None:
        return self._opened.cache_path  # type: ignore[no-any-return]

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the cached kernel for a signature, or None."""
        try:
            return self._opened.load_overload(sig, target_context)
        except Exception:  # unpickling a damaged file may raise anything
            self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Write a compiled kernel."""
        with contextlib.suppress(OSError):  # e.g. a full disk: the kernel in memory will do
            self._opened.save_overload(sig, data)

    def enable(self) -> None:
        """Use the cache."""
        self._opened.enable()

    def disable(self) -> None:
        """Neither read nor write the cache."""
        self._opened.disable()

    def flush(self) -> None:
        """Forget every cached kernel of this function."""
        with contextlib.suppress(OSError):
            self._opened.flush()


class _Location(caching._CacheLocator):  # type: ignore[misc]
    """Folder and key of one function's cache, in the form in which Numba asks for them."""

    def __init__(self, function: Callable[..., Any], folder: str, stamp: str) -> None:
        self._py_file = inspect.getfile(function)
        self._folder, self._stamp = folder, stamp
        self._line = function.__code__.co_firstlineno

    def get_cache_path(self) -> str:
        return self._folder

    def get_source_stamp(self) -> str:
        return self._stamp

    def get_disambiguator(self) -> str:
        return f"{self._line}-checked" if config.BOUNDSCHECK else str(self._line)


class _Format(caching.CompileResultCacheImpl):  # type: ignore[misc]
    """Numba's file format, at a location that is given instead of searched for."""

    def __init__(self, function: Callable[..., Any], location: _Location) -> None:
        self._lineno = function.__code__.co_firstlineno
        self._locator = location
        module = os.path.splitext(os.path.basename(location._py_file))[0]
        abi = getattr(sys, "abiflags", "")
        self._filename_base = self.get_filename_base(f"{module}.{function.__qualname__}", abi)


class _FunctionCache(caching.FunctionCache):  # type: ignore[misc]
    def __init__(self, function: Callable[..., Any], folder: str, stamp: str) -> None:
        location = _Location(function, folder, stamp)
        self._name, self._py_func = repr(function), function
        self._impl, self._cache_path = _Format(function, location), folder
        self._cache_file = _Files(folder, self._impl.filename_base, stamp)
        self.enable()


class Partner(Protocol):
    """Another process that compiles kernels into the same cache."""

    def has_compiled(self, file: str) -> bool:
        """Called before a kernel is compiled that the cache lacks: whether its file may be there now."""

    def ended(self, file: str) -> None:
        """Called when a kernel has been compiled, and written where that was possible."""


partner: Partner | None = None


_DIGEST_BYTES = hashlib.sha256().digest_size


class _Files:
    """The files of one function's cache, a file for each signature, so that processes may save at the same time.

    Numba numbers them, by an index: of two processes that save kernels of different signatures at once, both may take
    the same number, and afterwards one kernel is loaded for the other's types.
    """

    def __init__(self, folder: str, name: str, stamp: str) -> None:
        self._folder, self._name, self._stamp = folder, name, (nb.__version__, stamp)

    def _path(self, key: tuple[Any, ...]) -> str:
        digest = hashlib.sha256(repr(key).encode()).hexdigest()
        return os.path.join(self._folder, f"{self._name}.{digest[:16]}{kernel_cache.SUFFIX}")

    def load(self, key: tuple[Any, ...]) -> Any:
        """Return what was saved of a signature, processor and bytecode; None where that is nothing, or out of date."""
        path = self._path(key)
        data = self._read(path, key)
        if data is None and partner is not None and partner.has_compiled(path):
            data = self._read(path, key)
        return data

    def _read(self, path: str, key: tuple[Any, ...]) -> Any:
        try:
            with open(path, "rb") as file:
                digest, content = file.read(_DIGEST_BYTES), file.read()
        except FileNotFoundError:
            return None
        # machine code that is damaged would end the process
        if digest != hashlib.sha256(content).digest():
            return None
        parts = io.BytesIO(content)
        return pickle.load(parts) if pickle.load(parts) == (self._stamp, key) else None

    def save(self, key: tuple[Any, ...], data: Any) -> None:
        """Write a file; who reads it meanwhile gets the old one."""
        path = self._path(key)
        try:
            self._write(path, key, data)
        finally:
            if partner is not None:
                partner.ended(path)

    def _write(self, path: str, key: tuple[Any, ...], data: Any) -> None:
        partial = f"{path}.tmp.{uuid.uuid4().hex[:16]}"
        content = serialize.dumps((self._stamp, key)) + serialize.dumps(data)
        try:
            with open(partial, "wb") as file:
                file.write(hashlib.sha256(content).digest())
                file.write(content)
            os.replace(partial, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(partial)
            raise

    def flush(self) -> None:
        """Remove the files of all signatures."""
        for entry in os.scandir(self._folder):
            if entry.name.startswith(f"{self._name}.") and entry.name.endswith(kernel_cache.SUFFIX):
                os.unlink(entry.path)
