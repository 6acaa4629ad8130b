"""Vector registers from Numba: the few primitives that LLVM's own vectoriser does not find.

A *lane* is one post neuron; kernels walk tiles of `LANES` of them. Plain loops over a tile vectorise by themselves,
but a sum of many rows keeps its accumulator in memory there; `sum_rows` keeps it in registers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import DTypeLike, NDArray

LANES = 32
"""Neurons in a tile: two 512-bit registers of float32, and one bit each of a uint32 spike mask."""

_UNROLL = 4  # independent accumulators: the latency of an addition is three to four times its throughput


def aligned_zeros(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return zeros whose first element starts a 64-byte cache line, so that no vector load crosses one."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(dtype).reshape(shape)


@intrinsic
def sum_rows(
    typingctx: Any, out: Any, out_at: Any, table: Any, table_at: Any, index: Any, start: Any, stop: Any
) -> Any:
    """out[out_at : + LANES] = Σ_{n = start … stop−1} table[table_at + LANES · index[n] : + LANES]; all arrays 1-D.

    The order of addition is fixed: `_UNROLL` interleaved partial sums, added pairwise.
    """
    signature = types.void(out, types.int64, table, types.int64, index, types.int64, types.int64)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        out_type, _, table_type, _, index_type, _, _ = signature.args
        out_p = context.make_array(out_type)(context, builder, args[0]).data
        table_p = context.make_array(table_type)(context, builder, args[2]).data
        index_p = context.make_array(index_type)(context, builder, args[4]).data
        start, stop = args[5], args[6]
        i64 = ir.IntType(64)
        scalar = context.get_data_type(table_type.dtype)
        itemsize = 4 if isinstance(scalar, ir.FloatType) else 8
        width = 64 // itemsize
        vector = ir.VectorType(scalar, width)
        registers = LANES // width
        zero = ir.Constant(vector, [ir.Constant(scalar, 0.0)] * width)
        base = builder.gep(table_p, [args[3]])

        def row(position: Any) -> list[Any]:
            raw = builder.load(builder.gep(index_p, [position]))
            at = raw if raw.type == i64 else builder.zext(raw, i64)
            first = builder.gep(base, [builder.mul(at, ir.Constant(i64, LANES))])
            loads = []
            for r in range(registers):
                p = builder.gep(first, [ir.Constant(i64, r * width)])
                load = builder.load(builder.bitcast(p, vector.as_pointer()))
                load.align = itemsize
                loads.append(load)
            return loads

        def loop(first: Any, last: Any, step: int, sums: list[Any]) -> list[Any]:
            """Emit ``for n in range(first, last, step)`` that adds `step` rows to `step` groups of registers."""
            before = builder.block
            head = builder.append_basic_block("rows.head")
            body = builder.append_basic_block("rows.body")
            after = builder.append_basic_block("rows.after")
            builder.branch(head)
            builder.position_at_end(head)
            n = builder.phi(i64)
            n.add_incoming(first, before)
            phis = [builder.phi(vector) for _ in sums]
            for phi, value in zip(phis, sums, strict=True):
                phi.add_incoming(value, before)
            builder.cbranch(builder.icmp_signed("<", n, last), body, after)
            builder.position_at_end(body)
            added = []
            for u in range(step):
                for r, value in enumerate(row(builder.add(n, ir.Constant(i64, u)))):
                    added.append(builder.fadd(phis[u * registers + r], value))
            for phi, value in zip(phis, added, strict=False):
                phi.add_incoming(value, body)
            for phi in phis[len(added) :]:
                phi.add_incoming(phi, body)
            n.add_incoming(builder.add(n, ir.Constant(i64, step)), body)
            builder.branch(head)
            builder.position_at_end(after)
            return phis

        whole = builder.sub(stop, builder.srem(builder.sub(stop, start), ir.Constant(i64, _UNROLL)))
        sums = loop(start, whole, _UNROLL, [zero] * (registers * _UNROLL))
        while len(sums) > registers:
            half = len(sums) // 2
            sums = [builder.fadd(a, b) for a, b in zip(sums[:half], sums[half:], strict=True)]
        sums = loop(whole, stop, 1, sums)
        target = builder.gep(out_p, [args[1]])
        for r, value in enumerate(sums):
            p = builder.gep(target, [ir.Constant(i64, r * width)])
            store = builder.store(value, builder.bitcast(p, vector.as_pointer()))
            store.align = itemsize
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def lanes_above(typingctx: Any, data: Any, bound: Any) -> Any:
    """Return the uint32 whose bit k says data[k] > bound, for k < LANES; `data` is 1-D."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, _ = signature.args
        pointer = context.make_array(array)(context, builder, args[0]).data
        scalar = context.get_data_type(array.dtype)
        vector = ir.VectorType(scalar, LANES)
        load = builder.load(builder.bitcast(pointer, vector.as_pointer()))
        load.align = 4 if isinstance(scalar, ir.FloatType) else 8
        start = builder.insert_element(ir.Constant(vector, ir.Undefined), args[1], ir.Constant(ir.IntType(32), 0))
        order = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [ir.Constant(ir.IntType(32), 0)] * LANES)
        bounds = builder.shuffle_vector(start, ir.Constant(vector, ir.Undefined), order)
        return builder.bitcast(builder.fcmp_ordered(">", load, bounds), ir.IntType(32))

    return types.uint32(data, data.dtype), codegen


@intrinsic
def load_word(typingctx: Any, data: Any, at: Any) -> Any:
    """Return the 8 bytes of the 1-D uint8 array `data` from `at` on, as a uint64; no alignment is needed."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = builder.gep(context.make_array(signature.args[0])(context, builder, args[0]).data, [args[1]])
        word = builder.load(builder.bitcast(pointer, ir.IntType(64).as_pointer()))
        word.align = 1
        return word

    return types.uint64(data, types.int64), codegen


@intrinsic
def trailing_zeros(typingctx: Any, word: Any) -> Any:
    """Return the position of the lowest set bit of a nonzero unsigned integer."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        count = builder.cttz(args[0], cgutils.true_bit)
        return builder.zext(count, ir.IntType(64)) if count.type.width < 64 else count

    return types.int64(word), codegen
