"""What the CUDA backend asks of a device: memory, copies, streams, and kernels compiled from the `.cu` files here.

Everything above this room uses a `Runtime` and its array module `xp`, and never CuPy itself: so the same operations,
and the very same `.cu` files, also run without a GPU, on a runtime that emulates one (tests/cuda/emulator).
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
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


class Runtime(CopyDevice):
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


def check_copy(host: NDArray[Any], device: Array) -> None:
    """Refuse a copy between arrays that differ, or are not contiguous."""
    if host.shape != device.shape or host.dtype != device.dtype:
        raise ValueError(
            f"got {host.dtype} {host.shape} for {device.dtype} {device.shape}; expected the same"
        )
    if not (host.flags.c_contiguous and device.flags.c_contiguous):
        raise ValueError("got a strided array to copy; expected contiguous ones")
