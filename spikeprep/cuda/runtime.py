"""What the CUDA backend asks of a device: memory, copies, streams, and kernels compiled from the `.cu` files here.

Everything above this room uses a `Runtime` and its array module `xp`, and never CuPy itself: so the same operations,
and the very same `.cu` files, also run without a GPU, on a runtime that emulates one (tests/cuda/emulator).
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..errors import CapabilityError
from ..ops import Array

KERNELS = Path(__file__).parent
"""Where the `.cu` and `.cuh` files are."""

# cuBLAS: cudaDataType_t, cublasComputeType_t, cublasGemmAlgo_t
_HALF, _SINGLE, _SUM_IN_SINGLE, _ANY_ALGORITHM = 2, 0, 68, -1

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"[^\n]*$', re.MULTILINE)


def source(path: Path) -> str:
    """Return a `.cu` file with the `.cuh` files that it includes in their place, each once.

    One text is all that a compiler needs, and all that decides what it makes: CuPy's cache knows a kernel by its text.
    """
    seen: set[Path] = set()

    def inline(path: Path) -> str:
        text = path.read_text(encoding="utf-8")

        def replace(found: re.Match[str]) -> str:
            header = (path.parent / found[1]).resolve()
            if header in seen:
                return ""
            seen.add(header)
            after = text.count("\n", 0, found.end()) + 2  # compilers' messages name the true file and line
            return f'#line 1 "{header.name}"\n{inline(header)}\n#line {after} "{path.name}"'

        return _INCLUDE.sub(replace, text)

    return f'#line 1 "{path.name}"\n{inline(path.resolve())}'


class Module(ABC):
    """The kernels of one `.cu` file, compiled with one set of defines."""

    @abstractmethod
    def launch(
        self,
        name: str,
        grid: int | tuple[int, ...],
        block: int | tuple[int, ...],
        *args: Any,
        shared: int = 0,
    ) -> None:
        """Launch a kernel on the current stream; return at once.

        Parameters
        ----------
        name
            The `extern "C" __global__` function.
        grid, block
            Blocks, and threads a block, along x or (x, y, z).
        args
            Arrays of `xp`, contiguous as the kernel expects them, and NumPy scalars of the parameters' very types
            (`np.int32`, `np.float32`, …): Python numbers have no width, and are refused.
        shared
            Bytes of dynamic shared memory a block.
        """


class Event(ABC):
    """A point in a stream's work."""

    @abstractmethod
    def done(self) -> bool:
        """Whether the work before it has finished; never waits."""

    @abstractmethod
    def synchronize(self) -> None:
        """Let the host wait for it."""

    @abstractmethod
    def seconds_since(self, earlier: Any) -> float:
        """Return the time from an earlier event to this one, both recorded `timed` and done."""


class Stream(ABC):
    """Work in order; `with stream:` makes it this thread's current one."""

    @abstractmethod
    def __enter__(self) -> Stream: ...

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    @abstractmethod
    def record(self, timed: bool = False) -> Event:
        """Return the point after the work given to this stream so far."""

    @abstractmethod
    def wait(self, event: Event) -> None:
        """Let later work of this stream wait for `event`; the host goes on."""

    @abstractmethod
    def synchronize(self) -> None:
        """Let the host wait for all work given to this stream."""


class Runtime(ABC):
    """A device.

    Attributes
    ----------
    xp
        Its array module: CuPy, or NumPy where the device is emulated.
    name
        What the device is called.
    processors
        Its multiprocessors: how many blocks fill it is a multiple of this.
    shared_limit
        The most bytes of shared memory a block can have.
    """

    xp: ModuleType
    name: str
    processors: int
    shared_limit: int

    @abstractmethod
    def module(self, file: str | Path, **defines: object) -> Module:
        """Return the kernels of a `.cu` file, by its name here or a path; compiled once with each set of defines."""

    @abstractmethod
    def active(self) -> AbstractContextManager[Any]:
        """Make this device the calling thread's current one while the context lasts; new threads start without."""

    @abstractmethod
    def stream(self) -> Stream:
        """Return a new stream, which waits for no other one."""

    @abstractmethod
    def current(self) -> Stream:
        """Return this thread's current stream."""

    @abstractmethod
    def pinned(self, shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Return uninitialised page-locked host memory, which `copy_in` and `copy_out` move without waiting."""

    @abstractmethod
    def copy_in(self, host: NDArray[Any], device: Array) -> None:
        """Copy host → device, same shape and dtype, both contiguous, on the current stream.

        Pinned memory is read later, when the stream gets there: it must stay as it is until then.
        """

    @abstractmethod
    def copy_out(self, device: Array, host: NDArray[Any]) -> None:
        """Copy device → host, as `copy_in`; pinned memory is written when the stream gets there."""

    @abstractmethod
    def to_device(self, host: NDArray[Any]) -> Array:
        """Return a copy on the device; the host waits, so `host` may change afterwards."""

    @abstractmethod
    def to_host(self, device: Array) -> NDArray[Any]:
        """Return a copy on the host, once the current stream has got there."""

    @property
    def has_products(self) -> bool:
        """Whether `half_product` can be used."""
        return False

    def half_product(
        self, a: Array, b: Array, out: Array, scale: float = 1.0, add: bool = False, transposed: bool = False
    ) -> None:
        """Write `out` = scale · a b, or add to it; a (m, k) and b (k, n) uint16, bits of halves; out (m, n) float32.

        Sums are taken in float32, on tensor cores where there are any. With `transposed`, a is (k, m).
        """
        raise CapabilityError(f"got a matrix product on {self.name}", "a device with a library for them")

    @abstractmethod
    def synchronize(self) -> None:
        """Let the host wait for everything on the device."""

    @abstractmethod
    def memory(self) -> tuple[int, int]:
        """Return (free, total) bytes of device memory; what the allocator keeps for reuse counts as free."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Return what a measurement must name, JSON-ready: device, driver, versions, clocks where known."""


def dims(size: int | tuple[int, ...]) -> tuple[int, int, int]:
    """Return a grid or block as (x, y, z)."""
    x, y, z = (*((size,) if isinstance(size, int) else size), 1, 1)[:3]
    return int(x), int(y), int(z)


def check_args(name: str, args: tuple[Any, ...], array: Any) -> None:
    """Refuse what a kernel would misread: a number without a width, an array that is not contiguous."""
    for n, arg in enumerate(args):
        if isinstance(arg, array):
            if not arg.flags.c_contiguous:
                raise TypeError(f"argument {n} of {name} is a strided array; expected a contiguous one")
        elif not isinstance(arg, np.generic):
            raise TypeError(
                f"argument {n} of {name} is {type(arg).__name__}; expected an array of the device or a NumPy scalar"
            )


class CupyRuntime(Runtime):
    """A GPU, through CuPy.

    Parameters
    ----------
    device
        Its number.
    fused
        Whether a × b + c may be rounded once instead of twice. Tests that compare with the CPU to the bit turn it off.

    Raises
    ------
    CapabilityError
        CuPy, the driver or the device is missing.
    """

    _POOLED: ClassVar[int] = 1 << 20
    """Bytes up to which page-locked memory comes from CuPy's pool: larger pieces are asked for once, and kept."""

    _PLAIN_SHARED: ClassVar[int] = 48 * 1024
    """Bytes of shared memory that a block gets without asking."""

    def __init__(self, device: int = 0, fused: bool = True) -> None:
        self.xp = cupy = _cupy()
        count = device_count()
        if not 0 <= device < count:
            names = ", ".join(f"cuda:{n}" for n in range(count))
            raise CapabilityError(f"got device cuda:{device}", names, "Name one of these.")
        self.device = device
        self.fused = fused
        self._device = cupy.cuda.Device(device)
        self._device.use()
        properties = cupy.cuda.runtime.getDeviceProperties(device)
        self.name = properties["name"].decode()
        self.processors = int(properties["multiProcessorCount"])
        self.shared_limit = int(properties.get("sharedMemPerBlockOptin", self._PLAIN_SHARED))
        self._modules: dict[tuple[object, ...], CupyModule] = {}

    def module(self, file: str | Path, **defines: object) -> CupyModule:
        """See `Runtime.module`."""
        path = KERNELS / file
        key = (path, *sorted((k, str(v)) for k, v in defines.items()))
        if key not in self._modules:
            options = ["-std=c++17", "-lineinfo", *(f"-D{k}={v}" for k, v in defines.items())]
            if not self.fused:
                options.append("--fmad=false")
            self._modules[key] = CupyModule(
                self.xp.RawModule(code=source(path), options=tuple(options)), self
            )
        return self._modules[key]

    def active(self) -> AbstractContextManager[Any]:
        """See `Runtime.active`."""
        context: AbstractContextManager[Any] = self.xp.cuda.Device(self.device)
        return context

    def stream(self) -> Stream:
        """See `Runtime.stream`."""
        with self.active():
            return CupyStream(self.xp.cuda.Stream(non_blocking=True), self)

    def current(self) -> Stream:
        """See `Runtime.current`."""
        return CupyStream(self.xp.cuda.get_current_stream(self.device), self)

    def pinned(self, shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """See `Runtime.pinned`."""
        import cupyx

        cuda, shape = self.xp.cuda, (shape,) if isinstance(shape, int) else shape
        size = math.prod(shape) * np.dtype(dtype).itemsize
        with self.active():
            if size <= self._POOLED:
                array: NDArray[Any] = cupyx.empty_pinned(shape, dtype)
                return array
            # CuPy's pool would round up to a power of two, twice the memory at worst
            return np.ndarray(shape, dtype, cuda.PinnedMemoryPointer(cuda.PinnedMemory(size), 0))

    def copy_in(self, host: NDArray[Any], device: Array) -> None:
        """See `Runtime.copy_in`."""
        _check_copy(host, device)
        device.set(host, stream=self.xp.cuda.get_current_stream(self.device))

    def copy_out(self, device: Array, host: NDArray[Any]) -> None:
        """See `Runtime.copy_out`."""
        _check_copy(host, device)
        device.get(stream=self.xp.cuda.get_current_stream(self.device), out=host, blocking=False)

    def to_device(self, host: NDArray[Any]) -> Array:
        """See `Runtime.to_device`."""
        device = self.xp.empty(host.shape, host.dtype)
        device.set(np.ascontiguousarray(host), stream=self.xp.cuda.get_current_stream(self.device))
        self.current().synchronize()
        return device

    def to_host(self, device: Array) -> NDArray[Any]:
        """See `Runtime.to_host`."""
        host: NDArray[Any] = device.get(stream=self.xp.cuda.get_current_stream(self.device))
        return host

    def half_product(
        self, a: Array, b: Array, out: Array, scale: float = 1.0, add: bool = False, transposed: bool = False
    ) -> None:
        """See `Runtime.half_product`."""
        from cupy.cuda import cublas, device

        # cuBLAS is column-major: it is asked for the transposed product of the operands in the other order
        (k, n), m = b.shape, out.shape[0]
        factors = np.array([scale, float(add)], np.float32)
        alpha = factors.ctypes.data
        cublas.gemmEx(
            device.get_cublas_handle(), cublas.CUBLAS_OP_N, cublas.CUBLAS_OP_T if transposed else cublas.CUBLAS_OP_N,
            n, m, k, alpha, b.data.ptr, _HALF, n, a.data.ptr, _HALF, m if transposed else k, alpha + 4, out.data.ptr,
            _SINGLE, n, _SUM_IN_SINGLE, _ANY_ALGORITHM,
        )  # fmt: skip

    @property
    def has_products(self) -> bool:
        """See `Runtime.has_products`: cuBLAS is a package of its own."""
        try:
            from cupy.cuda import cublas
        except ImportError:
            return False
        return hasattr(cublas, "gemmEx")

    def synchronize(self) -> None:
        """See `Runtime.synchronize`."""
        self._device.synchronize()

    def memory(self) -> tuple[int, int]:
        """See `Runtime.memory`."""
        with self.active():
            free, total = self.xp.cuda.runtime.memGetInfo()
            return free + self.xp.get_default_memory_pool().free_bytes(), total

    def facts(self) -> dict[str, Any]:
        """See `Runtime.facts`."""
        runtime, properties = self.xp.cuda.runtime, self.xp.cuda.runtime.getDeviceProperties(self.device)
        return {
            "device": self.name,
            "compute_capability": f"{properties['major']}.{properties['minor']}",
            "processors": self.processors,
            "memory_bytes": int(properties["totalGlobalMem"]),
            "shared_limit_bytes": self.shared_limit,
            "driver_cuda": _version(runtime.driverGetVersion()),
            "runtime_cuda": _version(runtime.runtimeGetVersion()),
            "nvrtc": ".".join(map(str, self.xp.cuda.nvrtc.getVersion())),
            "cupy": self.xp.__version__,
            "fused_multiply_add": self.fused,
        }


class CupyModule(Module):
    """A `cupy.RawModule`, with its kernels as they are first asked for."""

    def __init__(self, raw: Any, runtime: CupyRuntime) -> None:
        self._raw, self._runtime = raw, runtime
        self._kernels: dict[str, Any] = {}
        self._dynamic: dict[str, int] = {}

    def launch(
        self,
        name: str,
        grid: int | tuple[int, ...],
        block: int | tuple[int, ...],
        *args: Any,
        shared: int = 0,
    ) -> None:
        """See `Module.launch`."""
        check_args(name, args, self._runtime.xp.ndarray)
        kernel = self._kernel(name)
        if shared > self._dynamic.get(
            name, 0
        ):  # beyond 48 KiB together with the kernel's own, it must be asked for
            kernel.max_dynamic_shared_size_bytes = self._dynamic[name] = shared
        # CuPy passes structures by value where they are arrays of one, but not where they are scalars
        values = tuple(np.asarray(arg) if isinstance(arg, np.void) else arg for arg in args)
        kernel(dims(grid), dims(block), values, shared_mem=shared)

    def attributes(self, name: str) -> dict[str, int]:
        """Return what the compiler gave a kernel: registers, spilled (local) and shared bytes, threads a block."""
        found: dict[str, int] = self._kernel(name).attributes
        return found

    def _kernel(self, name: str) -> Any:
        if name not in self._kernels:
            self._kernels[name] = self._raw.get_function(name)
        return self._kernels[name]


class CupyEvent(Event):
    """A `cupy.cuda.Event`."""

    def __init__(self, raw: Any, cupy: Any) -> None:
        self.raw, self._cupy = raw, cupy

    def done(self) -> bool:
        """See `Event.done`."""
        return bool(self.raw.done)

    def synchronize(self) -> None:
        """See `Event.synchronize`."""
        self.raw.synchronize()

    def seconds_since(self, earlier: CupyEvent) -> float:
        """See `Event.seconds_since`."""
        return float(self._cupy.cuda.get_elapsed_time(earlier.raw, self.raw)) / 1000


class CupyStream(Stream):
    """A `cupy.cuda.Stream`, with its device."""

    def __init__(self, raw: Any, runtime: CupyRuntime) -> None:
        self.raw, self._runtime = raw, runtime
        self._devices: list[AbstractContextManager[Any]] = []

    def __enter__(self) -> CupyStream:
        device = self._runtime.active()
        device.__enter__()
        self._devices.append(device)
        self.raw.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.raw.__exit__(kind, error, trace)
        self._devices.pop().__exit__(kind, error, trace)

    def record(self, timed: bool = False) -> CupyEvent:
        """See `Stream.record`."""
        with self._runtime.active():
            event = self._runtime.xp.cuda.Event(disable_timing=not timed)
            event.record(self.raw)
        return CupyEvent(event, self._runtime.xp)

    def wait(self, event: Event) -> None:
        """See `Stream.wait`."""
        assert isinstance(event, CupyEvent)
        self.raw.wait_event(event.raw)

    def synchronize(self) -> None:
        """See `Stream.synchronize`."""
        self.raw.synchronize()


def device_count() -> int:
    """Return how many GPUs CuPy can use.

    Raises
    ------
    CapabilityError
        CuPy or the driver is missing, or there is none.
    """
    cupy = _cupy()
    try:
        count = int(cupy.cuda.runtime.getDeviceCount())
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise CapabilityError(
            f"got {error}", "a GPU and its driver", "Use --device cpu, or install NVIDIA's driver."
        ) from error
    if not count:
        raise CapabilityError("got no GPU", "at least one", "Use --device cpu.")
    return count


def _cupy() -> Any:
    try:
        import cupy
    except ImportError as error:
        raise CapabilityError(
            f"got no CuPy ({error})",
            "CuPy for the driver's CUDA",
            "python -m pip install 'spikeprep[cuda13]', or [cuda12] for a driver of CUDA 12.",
        ) from error
    return cupy


def _check_copy(host: NDArray[Any], device: Array) -> None:
    if host.shape != device.shape or host.dtype != device.dtype:
        raise ValueError(
            f"got {host.dtype} {host.shape} for {device.dtype} {device.shape}; expected the same"
        )
    if not (host.flags.c_contiguous and device.flags.c_contiguous):
        raise ValueError("got a strided array to copy; expected contiguous ones")


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"
