"""Arrays of the emulated device: NumPy with CuPy's separation of host and device.

CuPy accepts no array of the host in an operation of the device, nor the other way round, except in explicit copies.
NumPy has no such distinction, so the emulated device wraps its arrays. New memory is poisoned, not zero.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import DTypeLike, NDArray

ATTRIBUTES = ("shape", "dtype", "ndim", "size", "nbytes", "itemsize", "strides", "flags")
METHODS = (
    "all", "any", "argmax", "argmin", "argsort", "astype", "clip", "copy", "cumsum", "dot", "fill", "flatten",
    "max", "mean", "min", "nonzero", "prod", "ravel", "repeat", "reshape", "round", "sort", "squeeze", "std", "sum",
    "swapaxes", "take", "transpose", "var", "view",
)  # fmt: skip
COPIES_IN = ("array", "asarray", "ascontiguousarray", "asanyarray")
"""Functions that copy an array of the host to the device."""


class DeviceArray(NDArrayOperatorsMixin):
    """An array of the emulated device; `host` is its memory."""

    def __init__(self, host: NDArray[Any]) -> None:
        self.host = host

    def __getattr__(self, name: str) -> Any:
        if name in ATTRIBUTES:
            return getattr(self.host, name)
        if name in METHODS:
            return _guarded(getattr(self.host, name), name)
        raise AttributeError(f"arrays of the emulated device have no {name!r}; CuPy's may: see {__name__}")

    @property
    def T(self) -> DeviceArray:
        """The transpose, a view."""
        return DeviceArray(self.host.T)

    @property
    def base(self) -> DeviceArray | None:
        """The array that this is a view of."""
        return None if self.host.base is None else DeviceArray(self.host.base)

    def get(self) -> NDArray[Any]:
        """Return a copy on the host."""
        return self.host.copy()

    def item(self) -> Any:
        """Return the only element, a Python number."""
        return self.host.item()

    def tolist(self) -> Any:
        """Return a copy on the host, as lists."""
        return self.host.tolist()

    def __array__(self, *args: Any, **more: Any) -> NDArray[Any]:
        raise TypeError(
            "implicit conversion of an array of the device to the host; expected runtime.to_host(array)"
        )

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **more: Any) -> Any:
        return _guarded(getattr(ufunc, method), ufunc.__name__)(*inputs, **more)

    def __array_function__(self, function: Any, types: Any, args: Any, more: Any) -> Any:
        return _guarded(function, function.__name__)(*args, **more)

    def __getitem__(self, key: Any) -> Any:
        return _out(self.host[_in(key, "an index")])

    def __setitem__(self, key: Any, value: Any) -> None:
        self.host[_in(key, "an index")] = _in(value, "an assignment")

    def __len__(self) -> int:
        return len(self.host)

    def __iter__(self) -> Iterator[Any]:
        return map(_out, self.host)

    def __bool__(self) -> bool:
        return bool(self.host)

    def __int__(self) -> int:
        return int(self.host)

    def __float__(self) -> float:
        return float(self.host)

    def __index__(self) -> int:
        return int(self.host)

    def __repr__(self) -> str:
        return f"DeviceArray({self.host!r})"


def _in(value: Any, what: str) -> Any:
    if isinstance(value, DeviceArray):
        return value.host
    if isinstance(value, np.ndarray):
        raise TypeError(
            f"{what} of the device got an array of the host, {value.dtype} {value.shape}; CuPy refuses it"
        )
    if isinstance(value, list | tuple):
        return type(value)(_in(v, what) for v in value)
    return value


def _out(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return DeviceArray(value)
    if isinstance(value, np.generic):
        return DeviceArray(np.asarray(value))  # CuPy's scalars are arrays without axes
    if isinstance(value, list | tuple):
        return type(value)(map(_out, value))
    return value


def _guarded(function: Any, name: str) -> Any:
    def call(*args: Any, **more: Any) -> Any:
        if name in COPIES_IN and args and isinstance(args[0], np.ndarray):
            return DeviceArray(np.array(getattr(np, name)(*args, **more)))  # a copy, as to another memory
        values = [_in(a, name) for a in args]
        return _out(function(*values, **{k: _in(v, name) for k, v in more.items()}))

    return call


class DeviceModule(ModuleType):
    """NumPy's functions on arrays of the emulated device; if CuPy is installed, only those that it has."""

    ndarray = DeviceArray

    def __getattr__(self, name: str) -> Any:
        function = getattr(np, name)
        if isinstance(function, type | ModuleType) or not callable(function):
            return function
        if importlib.util.find_spec("cupy") is not None:
            import cupy

            if not hasattr(cupy, name):
                raise AttributeError(f"CuPy has no {name!r}")
        return _guarded(function, name)

    def empty(self, shape: int | tuple[int, ...], dtype: DTypeLike = float) -> DeviceArray:
        """Return poisoned memory."""
        return DeviceArray(poisoned(shape, dtype))

    def empty_like(self, array: DeviceArray, dtype: DTypeLike = None) -> DeviceArray:
        """Return poisoned memory."""
        return self.empty(array.shape, dtype or array.dtype)


def poisoned(shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return memory of meaningless content: NaN, -1."""
    array = np.empty(shape, dtype)
    array.reshape(-1).view(np.uint8)[...] = 0xFF
    return array


device_module = DeviceModule("device", sys.modules[__name__].__doc__)
