"""A `Runtime` without a GPU, stricter than one: undefined and order-dependent behaviour is an error.

- Deadlocks, divergent barriers, and warp intrinsics whose mask names lanes that do not exist are reported.
- Every launch runs twice, with blocks, warps and lanes in two opposite orders: both must give the same bits.
- Shared memory is poisoned before each block, arrays lie between guards, and arguments must have the parameters' types.
- `checked`: every access to memory is checked; races, uninitialised reads of shared memory and accesses out of bounds
  are reported with their line, as by compute-sanitizer on a GPU. Slower; for a few tests.
- `lazy`: work given to streams other than the default one is done as late as events allow.
"""

from __future__ import annotations

import ctypes
import functools
import re
import shutil
import subprocess
import threading
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikeprep.cuda.runtime import KERNELS, Module, Runtime, check_args, check_copy, dims

from . import build
from .arrays import DeviceArray, device_module, poisoned
from .streams import EmulatedStream

UNBOUNDED = 256
"""Threads per block for which registers always suffice; kernels with more need __launch_bounds__."""


class Misuse(RuntimeError):
    """An error in a kernel, launch or copy that a GPU might answer with wrong data, a hang, or not at all."""


class _Dim(ctypes.Structure):
    _fields_ = [("x", ctypes.c_uint), ("y", ctypes.c_uint), ("z", ctypes.c_uint)]


class _Parameter(ctypes.Structure):
    _fields_ = [
        ("kind", ctypes.c_char),
        ("bytes", ctypes.c_uint),
        ("pointer", ctypes.c_bool),
        ("constant", ctypes.c_bool),
    ]


class _Kernel(ctypes.Structure):
    _fields_ = [
        ("call", ctypes.c_void_p),
        ("parameters", ctypes.POINTER(_Parameter)),
        ("count", ctypes.c_uint),
        ("bounds", ctypes.c_uint),
    ]


class _Array(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("bytes", ctypes.c_size_t),
        ("index", ctypes.c_uint),
        ("offset", ctypes.c_uint),
        ("element", ctypes.c_uint),
        ("constant", ctypes.c_bool),
    ]


class _Launch(ctypes.Structure):
    _fields_ = [
        ("kernel", ctypes.POINTER(_Kernel)),
        ("values", ctypes.POINTER(ctypes.c_void_p)),
        ("arrays", ctypes.POINTER(_Array)),
        ("count", ctypes.c_uint),
        ("grid", _Dim),
        ("block", _Dim),
        ("shared", ctypes.c_size_t),
        ("limit", ctypes.c_size_t),
        ("seed", ctypes.c_uint64),
        ("twice", ctypes.c_bool),
        ("checked", ctypes.c_bool),
    ]


@functools.cache
def _core(ucontext: bool) -> ctypes.CDLL:
    library = ctypes.CDLL(str(build.core(ucontext)))
    library.emu_launch.argtypes = [ctypes.POINTER(_Launch), ctypes.c_char_p, ctypes.c_size_t]
    return library


_running = threading.Lock()
"""One launch at a time: the core's fibers are one set."""


class EmulatedRuntime(Runtime):
    """A device emulated by the host's compiler and fibers.

    Parameters
    ----------
    fused
        Let the compiler fuse multiplications and additions.
    checked
        Check every access to memory.
    twice
        Run every launch in two opposite orders and compare.
    lazy
        Do the work of streams other than the default one as late as allowed.
    memory
        Result of `memory()`: (free, total) bytes.
    """

    ucontext = False  # the portable way to switch between fibers

    def __init__(
        self,
        fused: bool = False,
        checked: bool = False,
        twice: bool = True,
        lazy: bool = False,
        memory: tuple[int, int] = (8 << 30, 8 << 30),
    ) -> None:
        if build.compiler() is None:
            raise RuntimeError("the emulator needs a C++ compiler on Linux; expected g++, clang++ or $CXX")
        self.xp = device_module
        self.name = "emulated"
        self.processors = 4
        self.shared_limit = 227 * 1024
        self.multiplies_halves = True
        self.options = build.Options(fused, checked, self.ucontext)
        self.twice, self.lazy = twice, lazy
        self.launches = 0
        self._recording: list[Callable[[], None]] | None = None
        self._memory = memory
        self._modules: dict[tuple[object, ...], EmulatedModule] = {}
        self._local = threading.local()
        self._streams: weakref.WeakSet[EmulatedStream] = weakref.WeakSet()
        self._default = EmulatedStream(self, lazy=False)

    def module(self, file: str | Path, **defines: object) -> EmulatedModule:
        """See `Runtime.module`."""
        words = {k: str(v) for k, v in sorted(defines.items())}
        key = (file, *words.items())
        if key not in self._modules:
            self._modules[key] = EmulatedModule(KERNELS / file, words, self)
        return self._modules[key]

    def active(self) -> AbstractContextManager[Any]:
        """See `Runtime.active`."""
        return nullcontext()

    def adopt_thread(self) -> None:
        """See `Runtime.adopt_thread`."""

    def stream(self) -> EmulatedStream:
        """See `Runtime.stream`."""
        stream = EmulatedStream(self, self.lazy)
        self._streams.add(stream)
        return stream

    def current(self) -> EmulatedStream:
        """See `Runtime.current`."""
        stack = self.stack()
        return stack[-1] if stack else self._default

    def stack(self) -> list[EmulatedStream]:
        """Return this thread's streams, the current one last."""
        if not hasattr(self._local, "streams"):
            self._local.streams = []
        streams: list[EmulatedStream] = self._local.streams
        return streams

    def pinned(self, shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """See `Runtime.pinned`."""
        return poisoned(shape, dtype)

    def copy_in(self, host: NDArray[Any], device: Any) -> None:
        """See `Runtime.copy_in`."""
        check_copy(host, device)
        self.current().give(lambda: np.copyto(device.host, host))

    def copy_out(self, device: Any, host: NDArray[Any]) -> None:
        """See `Runtime.copy_out`."""
        check_copy(host, device)
        self.current().give(lambda: np.copyto(host, device.host))

    def to_device(self, host: NDArray[Any]) -> Any:
        """See `Runtime.to_device`."""
        return DeviceArray(np.array(host, order="C"))

    def to_host(self, device: Any) -> NDArray[Any]:
        """See `Runtime.to_host`."""
        self.current().synchronize()
        return np.array(device.host)

    def half_product(
        self, a: Any, b: Any, out: Any, scale: float = 1.0, add: bool = False, transposed: bool = False
    ) -> None:
        """See `Runtime.half_product`."""
        left, right = (x.view(np.float16).astype(np.float32) for x in (a, b))
        product = np.float32(scale) * ((left.T if transposed else left) @ right)
        out[...] = out + product if add else product

    def recorded(self, work: Callable[[], None]) -> Callable[[], None]:
        """See `Runtime.recorded`: launches alone; what else `work` computes is not done again, and tests notice."""
        self._recording, launches = [], []
        try:
            work()
            launches = self._recording
        finally:
            self._recording = None

        def play() -> None:
            for launch in launches:
                self.current().give(launch)

        return play

    @property
    def has_products(self) -> bool:
        """See `Runtime.has_products`."""
        return True

    def synchronize(self) -> None:
        """See `Runtime.synchronize`."""
        for stream in list(self._streams):
            stream.synchronize()

    def memory(self) -> tuple[int, int]:
        """See `Runtime.memory`."""
        return self._memory

    def facts(self) -> dict[str, Any]:
        """See `Runtime.facts`."""
        return {"device": self.name, "processors": self.processors, "shared_limit_bytes": self.shared_limit}


class EmulatedModule(Module):
    """A compiled `.cu` file."""

    def __init__(self, path: Path, defines: dict[str, str], runtime: EmulatedRuntime) -> None:
        self._runtime, self.path = runtime, path
        self._core = _core(runtime.ucontext)
        self._library = ctypes.CDLL(str(build.library(path, defines, runtime.options)))
        self._kernels: dict[str, _Kernel] = {}

    def kernel(self, name: str) -> _Kernel:
        """Return a kernel; raise AttributeError, as CuPy, if the file has none of that name."""
        if name not in self._kernels:
            try:
                self._kernels[name] = _Kernel.in_dll(self._library, f"emu_kernel_{name}")
            except ValueError:
                raise AttributeError(f"{self.path.name} has no kernel {name!r}") from None
        return self._kernels[name]

    def launch(
        self,
        name: str,
        grid: int | tuple[int, ...],
        block: int | tuple[int, ...],
        *args: Any,
        shared: int = 0,
    ) -> None:
        """See `Module.launch`."""
        check_args(name, args, DeviceArray)
        args = tuple(
            arg.host if isinstance(arg, DeviceArray) else arg[()] if isinstance(arg, np.ndarray) else arg
            for arg in args
        )
        kernel, runtime = self.kernel(name), self._runtime
        grid, block = dims(grid), dims(block)
        _check_launch(name, kernel, grid, block, shared, runtime.shared_limit)
        if len(args) != kernel.count:
            raise Misuse(f"{name} takes {kernel.count} arguments, got {len(args)}")
        arrays, values, keep = [], (ctypes.c_void_p * len(args))(), []
        for n, arg in enumerate(args):
            parameter = kernel.parameters[n]
            _check_argument(name, n, arg, parameter)
            if isinstance(arg, np.ndarray):
                arrays.append(_array(n, arg, parameter.constant))
            else:
                cell = np.array(arg)
                keep.append(cell)
                values[n] = cell.ctypes.data
        runtime.launches += 1
        launch = _Launch(
            ctypes.pointer(kernel), values, (_Array * len(arrays))(*arrays), len(arrays), _Dim(*grid), _Dim(*block),
            shared, runtime.shared_limit, runtime.launches, runtime.twice, runtime.options.checked,
        )  # fmt: skip

        def go(alive: object = (args, keep)) -> None:
            message = ctypes.create_string_buffer(4000)
            with _running:
                failed = self._core.emu_launch(ctypes.byref(launch), message, len(message))
            if failed:
                what = _with_lines(message.value.decode(errors="replace"))
                raise Misuse(f"{self.path.name}, {name}<<<{grid}, {block}, {shared}>>>: {what}")

        if runtime._recording is None:
            runtime.current().give(go)
        else:
            runtime._recording.append(go)


def _array(index: int, array: NDArray[Any], constant: bool) -> _Array:
    root = array
    while isinstance(root.base, np.ndarray):
        root = root.base
    address = array.__array_interface__["data"][0]
    offset = (
        address - root.__array_interface__["data"][0]
    ) % 256  # allocations of a device begin at multiples of 256
    return _Array(address, array.nbytes, index, offset, array.itemsize, constant)


def _check_launch(
    name: str,
    kernel: _Kernel,
    grid: tuple[int, int, int],
    block: tuple[int, int, int],
    shared: int,
    limit: int,
) -> None:
    threads = block[0] * block[1] * block[2]
    if not (1 <= threads <= 1024 and min(block) > 0 and block[2] <= 64):
        raise Misuse(f"{name}: a block of {block} threads; expected 1 to 1024, at most 64 along z")
    if threads > (kernel.bounds or UNBOUNDED):
        limit_text = f"{kernel.bounds}, its" if kernel.bounds else f"{UNBOUNDED} without"
        raise Misuse(f"{name}: a block of {threads} threads; expected at most {limit_text} __launch_bounds__")
    if min(grid) < 1 or grid[0] >= 2**31 or max(grid[1:]) > 65535:
        raise Misuse(f"{name}: a grid of {grid} blocks; expected at least 1, at most 65535 along y and z")
    if not 0 <= shared <= limit:
        raise Misuse(f"{name}: {shared} bytes of dynamic shared memory; expected at most {limit}")


def _check_argument(name: str, n: int, arg: Any, parameter: _Parameter) -> None:
    """Raise `Misuse` if an argument's type is not the parameter's."""
    kind, size = parameter.kind.decode(), parameter.bytes
    integers = "iub"
    if isinstance(arg, np.ndarray):
        if not parameter.pointer:
            raise Misuse(f"argument {n} of {name} is an array; expected a scalar of {size} bytes")
        given = arg.dtype.kind
        if kind in "vs" or (kind in integers and size == 1):
            fits = True  # void *, a vector or a struct, bytes
        else:
            fits = size == arg.itemsize and (given == kind or (given in integers and kind in integers))
        if not fits:
            raise Misuse(f"argument {n} of {name} is of {arg.dtype}; expected {kind}{size}")
        return
    if parameter.pointer:
        if arg.dtype.kind in integers and arg.itemsize == 8 and arg == 0:
            return  # a null pointer
        raise Misuse(f"argument {n} of {name} is {arg!r}; expected an array, or a null pointer np.uintp(0)")
    given = {"V": "s"}.get(arg.dtype.kind, arg.dtype.kind)
    if arg.itemsize != size or (given != kind and not (given in integers and kind in integers)):
        raise Misuse(f"argument {n} of {name} is {arg.dtype}; expected {kind}{size}")


def _with_lines(message: str) -> str:
    """Replace `{library+offset}` by file and line, if binutils are installed."""

    def line(match: re.Match[str]) -> str:
        if shutil.which("addr2line") is None:
            return ""
        done = subprocess.run(["addr2line", "-e", match[1], match[2]], capture_output=True, text=True)
        return f"at {Path(done.stdout.strip().split(' ')[0]).name}" if done.returncode == 0 else ""

    return re.sub(r"\{(.+)\+(0x[0-9a-f]+)\}", line, message)
