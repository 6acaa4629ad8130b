"""A GPU as a `Runtime`: the only module that uses CuPy arrays, with `nccl`; it imports CuPy when a device is opened."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..backend import Array
from ..compilation import compiling
from ..errors import CapabilityError
from ..feed.copies import Event, Stream
from .runtime import KERNELS, Module, Runtime, check_args, check_copy, dims, source

# cuBLAS: cudaDataType_t, cublasComputeType_t, cublasGemmAlgo_t
_HALF, _SINGLE, _SUM_IN_SINGLE, _ANY_ALGORITHM = 2, 0, 68, -1


class CupyRuntime(Runtime):
    """A GPU, through CuPy.

    Parameters
    ----------
    device
        Its number.
    fused
        Whether the compiler may fuse a × b + c into one operation, rounded once.

    Raises
    ------
    CapabilityError
        CuPy, the driver or the device is missing.
    """

    _POOLED: ClassVar[int] = 1 << 20
    """Bytes up to which page-locked memory comes from CuPy's pool; larger arrays are allocated directly."""

    _PLAIN_SHARED: ClassVar[int] = 48 * 1024
    """Bytes of shared memory that a block has without opting in for more."""

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
        self.multiplies_halves = int(properties["major"]) >= 8
        self._modules: dict[tuple[object, ...], CupyModule] = {}

    def module(self, file: str | Path, **defines: object) -> CupyModule:
        """See `Runtime.module`."""
        key = (file, *defines.items())
        if key not in self._modules:
            path = KERNELS / file
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

    def adopt_thread(self) -> None:
        """See `Runtime.adopt_thread`."""
        self._device.use()

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
            # CuPy's pool would round up to a power of two
            return np.ndarray(shape, dtype, cuda.PinnedMemoryPointer(cuda.PinnedMemory(size), 0))

    def copy_in(self, host: NDArray[Any], device: Array) -> None:
        """See `Runtime.copy_in`."""
        check_copy(host, device)
        device.set(host, stream=self.xp.cuda.get_current_stream(self.device))

    def copy_out(self, device: Array, host: NDArray[Any]) -> None:
        """See `Runtime.copy_out`."""
        check_copy(host, device)
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

        # cuBLAS is column-major: compute the transposed product, with the operands in the other order
        (k, n), m = b.shape, out.shape[0]
        factors = np.array([scale, float(add)], np.float32)
        alpha = factors.ctypes.data
        cublas.gemmEx(
            device.get_cublas_handle(), cublas.CUBLAS_OP_N, cublas.CUBLAS_OP_T if transposed else cublas.CUBLAS_OP_N,
            n, m, k, alpha, b.data.ptr, _HALF, n, a.data.ptr, _HALF, m if transposed else k, alpha + 4, out.data.ptr,
            _SINGLE, n, _SUM_IN_SINGLE, _ANY_ALGORITHM,
        )  # fmt: skip

    def recorded(self, work: Callable[[], None]) -> Callable[[], None]:
        """See `Runtime.recorded`: a CUDA graph."""
        cupy = self.xp
        # a pool of its own: the graph's memory is given to nothing else as long as the graph lives
        pool = cupy.cuda.MemoryPool()
        stream = cupy.cuda.Stream(non_blocking=True)
        with cupy.cuda.using_allocator(pool.malloc), stream:
            stream.begin_capture()
            try:
                work()
            finally:
                graph = stream.end_capture()

        def play(alive: object = pool) -> None:
            graph.launch()

        return play

    @property
    def has_products(self) -> bool:
        """See `Runtime.has_products`: cuBLAS may not be installed."""
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
    """A `cupy.RawModule`; kernels are looked up at first use."""

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
        # more than 48 KiB, static shared memory included, needs opting in
        if shared > self._dynamic.get(name, 0):
            kernel.max_dynamic_shared_size_bytes = self._dynamic[name] = shared
        kernel(dims(grid), dims(block), args, shared_mem=shared)

    def attributes(self, name: str) -> dict[str, int]:
        """Return what the compiler allotted to a kernel: registers, local (spilled) and shared bytes, threads."""
        attributes: dict[str, int] = self._kernel(name).attributes
        return attributes

    def _kernel(self, name: str) -> Any:
        if name not in self._kernels:
            with compiling():  # the whole file, by its first kernel
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
    """Return the number of GPUs that CuPy can use.

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
            f"got {error}", "a GPU and its driver", "Use device=cpu, or install NVIDIA's driver."
        ) from error
    if not count:
        raise CapabilityError("got no GPU", "at least one", "Use device=cpu.")
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


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"
