"""The Numba type of vector values, and what all operations on them emit."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import config
from numba.extending import models, register_model
from numpy.typing import DTypeLike, NDArray

LANES = 32
"""Neurons in a tile: two 512-bit registers of float32, and one bit each of a uint32 mask."""
PART = 8
"""Channels that a convolution handles at a time: a quarter of a tile, one 256-bit register of float32."""
LINE = 64
"""Bytes of a cache line, and of the widest register."""

I32, I64 = ir.IntType(32), ir.IntType(64)


class Lanes(types.Type):  # type: ignore[misc]
    """The Numba type of `count` floats; the bits of an unsigned `mask` stand for them."""

    def __init__(self, dtype: Any, count: int = LANES) -> None:
        self.dtype, self.count = dtype, count
        self.mask = getattr(types, f"uint{count}")
        super().__init__(name=f"Lanes({dtype} x {count})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Lanes) -> None:
        super().__init__(
            manager, kind, ir.VectorType(manager.lookup(kind.dtype).get_value_type(), kind.count)
        )


def aligned_zeros(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return zeros whose first element starts a 64-byte cache line, so that no vector load crosses one."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.zeros(size + LINE, np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start : start + size].view(dtype).reshape(shape)


def check_range(context: Any, builder: Any, at: Any, count: int, size: Any) -> None:
    """Raise `IndexError` unless elements `at` … `at + count − 1` are among `size`; no code where nothing is checked."""
    if not config.BOUNDSCHECK:
        return
    after = builder.icmp_signed(">", at, builder.sub(size, ir.Constant(I64, count)))
    before = builder.icmp_signed("<", at, ir.Constant(I64, 0))
    with builder.if_then(builder.or_(before, after), likely=False):
        message = f"{count} elements of a vector are out of bounds"
        context.call_conv.return_user_exc(builder, IndexError, (message,))


def vector_at(context: Any, builder: Any, array: Any, value: Any, at: Any, count: int) -> Any:
    """Return a pointer to the `count` elements of a 1-D array that start at index `at`."""
    made = context.make_array(array)(context, builder, value)
    check_range(context, builder, at, count, made.nitems)
    vector = ir.VectorType(context.get_data_type(array.dtype), count)
    return builder.bitcast(builder.gep(made.data, [at]), vector.as_pointer())


def shuffle(builder: Any, a: Any, b: Any, order: list[int]) -> Any:
    """Return the elements `order` of `a` followed by `b`."""
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(I32, len(order)), order))


def itemsize(dtype: Any) -> int:
    return int(dtype.bitwidth) // 8


def loading(lanes: Lanes, array: Any) -> Any:
    """Return signature and code generator of a load from a 1-D array."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = builder.load(vector_at(context, builder, array, args[0], args[1], lanes.count))
        value.align = itemsize(array.dtype)
        return value

    return lanes(array, types.int64), codegen


def spreading(lanes: Lanes, scalar: Any) -> Any:
    """Return signature and code generator of lanes that all hold one scalar."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        blank = ir.Constant(ir.VectorType(args[0].type, lanes.count), ir.Undefined)
        first = builder.insert_element(blank, args[0], ir.Constant(I32, 0))
        return shuffle(builder, first, blank, [0] * lanes.count)

    return lanes(scalar), codegen
