"""The interface of a GPU: memory, copies, streams, and kernels compiled from the `.cu` files in this folder.

The backend uses a `Runtime` and its array module `xp`, never CuPy directly. The same operations and the same `.cu`
files therefore also run without a GPU, on a runtime that emulates one (tests/cuda/emulator).
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backend import Array
from ..errors import CapabilityError
from ..feed.copies import CopyDevice

KERNELS = Path(__file__).parent
"""Where the `.cu` and `.cuh` files are."""

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"[^\n]*$', re.MULTILINE)


def source(path: Path) -> str:
    """Return a `.cu` file with the `.cuh` files that it includes inlined, each once.

    CuPy caches compiled kernels by their text: headers must be part of it.
    """
    headers: set[Path] = set()

    def inline(path: Path) -> str:
        text = path.read_text(encoding="utf-8")

        def replace(include: re.Match[str]) -> str:
            header = (path.parent / include[1]).resolve()
            if header in headers:
                return ""
            headers.add(header)
            after = (
                text.count("\n", 0, include.end()) + 2
            )  # so that compilers name the original file and line
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
        """Launch a kernel on the current stream, without waiting for it.

        Parameters
        ----------
        name
            The `extern "C" __global__` function.
        grid, block
            Blocks, and threads per block, along x or (x, y, z).
        args
            C-contiguous arrays of `xp`, and NumPy scalars of the parameters' exact types (`np.int32`, `np.float32`, …);
            structures are NumPy arrays without axes. Python numbers are refused, as they have no width.
        shared
            Bytes of dynamic shared memory per block.
        """


class Runtime(CopyDevice):
    """A GPU, or an emulation of one.

    Attributes
    ----------
    xp
        Its array module: CuPy, or NumPy where the device is emulated.
    name
        Name of the device.
    processors
        Number of multiprocessors.
    shared_limit
        Most bytes of shared memory that a block can have.
    multiplies_halves
        Whether a warp multiplies halves on tensor cores (halves.cuh): from compute capability 8.0 on.
    """

    xp: ModuleType
    name: str
    processors: int
    shared_limit: int
    multiplies_halves: bool

    @abstractmethod
    def module(self, file: str | Path, **defines: object) -> Module:
        """Return the kernels of a `.cu` file, named in this folder or by path; compiled once per set of defines."""

    @abstractmethod
    def active(self) -> AbstractContextManager[Any]:
        """Return a context in which this device is the calling thread's current one; new threads have none."""

    @abstractmethod
    def copy_out(self, device: Array, host: NDArray[Any]) -> None:
        """Copy device → host, as `copy_in`; pinned memory is written when the stream reaches the copy."""

    @abstractmethod
    def to_device(self, host: NDArray[Any]) -> Array:
        """Return a copy on the device; the host waits for it, so `host` may change afterwards."""

    @abstractmethod
    def to_host(self, device: Array) -> NDArray[Any]:
        """Return a copy on the host, after the work given to the current stream."""

    @property
    def has_products(self) -> bool:
        """Whether `half_product` is available."""
        return False

    def half_product(
        self, a: Array, b: Array, out: Array, scale: float = 1.0, add: bool = False, transposed: bool = False
    ) -> None:
        """Write out = scale · a b, or add it to `out`, summed in float32 on tensor cores.

        a (m, k), or (k, m) if `transposed`, and b (k, n) are uint16, the bits of halves; out (m, n) is float32.
        """
        raise CapabilityError(f"got a matrix product on {self.name}", "a device with a library for them")

    @abstractmethod
    def recorded(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record the work that a function gives the device, which does none of it; return what gives it again.

        `work` may allocate, launch and compute with arrays of the device, but neither copy from the host nor wait. What
        it allocates keeps its place, and is written anew each time.
        """

    @abstractmethod
    def synchronize(self) -> None:
        """Wait on the host for all work of the device."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Return what a measurement must state, JSON-ready: device, driver, versions."""


def dims(size: int | tuple[int, ...]) -> tuple[int, int, int]:
    """Return a grid or block as (x, y, z)."""
    x, y, z = (*((size,) if isinstance(size, int) else size), 1, 1)[:3]
    return int(x), int(y), int(z)


def check_args(name: str, args: tuple[Any, ...], array: Any) -> None:
    """Raise `TypeError` for arguments that a kernel would misread: Python numbers, strided arrays."""
    for n, arg in enumerate(args):
        if isinstance(arg, array):
            if not arg.flags.c_contiguous:
                raise TypeError(f"argument {n} of {name} is a strided array; expected a contiguous one")
        elif not isinstance(arg, np.generic) and not (isinstance(arg, np.ndarray) and arg.dtype.kind == "V"):
            raise TypeError(
                f"argument {n} of {name} is {type(arg).__name__}; expected an array of the device or a NumPy scalar"
            )


def check_copy(host: NDArray[Any], device: Array) -> None:
    """Raise `ValueError` for a copy between arrays that differ in shape or dtype, or are not contiguous."""
    if host.shape != device.shape or host.dtype != device.dtype:
        raise ValueError(
            f"got {host.dtype} {host.shape} for {device.dtype} {device.shape}; expected the same"
        )
    if not (host.flags.c_contiguous and device.flags.c_contiguous):
        raise ValueError("got a strided array to copy; expected contiguous ones")
