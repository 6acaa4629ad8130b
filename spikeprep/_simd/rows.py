"""Sums over the rows of a table that a list names, and additions to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .base import I64, LANES, LINE, PART, Lanes, check_range, itemsize

_UNROLL = (
    4  # independent sums in `sum_rows`: the latency of an addition is three to four times its throughput
)


class _Rows:
    """The rows of `count` lanes of a 1-D table, `apart` elements apart, that a list of row numbers names."""

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any, count: int, apart: int) -> None:
        table_type, _, index_type = signature.args[:3]
        self.context, self.builder, self.count, self.apart = context, builder, count, apart
        self.first = args[1]
        self.table = context.make_array(table_type)(context, builder, args[0])
        self.index = context.make_array(index_type)(context, builder, args[2])
        self.base = builder.gep(self.table.data, [args[1]])
        self.vector = ir.VectorType(context.get_data_type(table_type.dtype), count)
        self.align = itemsize(table_type.dtype)

    def pointer(self, position: Any) -> Any:
        """Return a pointer to the row that entry `position` of the list names."""
        builder = self.builder
        check_range(self.context, builder, position, 1, self.index.nitems)
        raw = builder.load(builder.gep(self.index.data, [position]))
        at = builder.mul(builder.zext(raw, I64) if raw.type != I64 else raw, ir.Constant(I64, self.apart))
        check_range(self.context, builder, builder.add(self.first, at), self.count, self.table.nitems)
        return builder.bitcast(builder.gep(self.base, [at]), self.vector.as_pointer())

    def load(self, pointer: Any) -> Any:
        """Return the row at a pointer."""
        value = self.builder.load(pointer)
        value.align = self.align
        return value

    def loop(
        self, first: Any, last: Any, sums: list[Any], step: Callable[[int, Any, Any], Any], size: int
    ) -> list[Any]:
        """Emit ``for n in range(first, last, size)``: `sums[u]` becomes ``step(u, sums[u], n + u)``."""
        builder, before = self.builder, self.builder.block
        head, body, after = (builder.append_basic_block(f"rows.{name}") for name in ("head", "body", "after"))
        builder.branch(head)
        builder.position_at_end(head)
        n = builder.phi(I64)
        n.add_incoming(first, before)
        running = [builder.phi(self.vector) for _ in sums]
        for phi, value in zip(running, sums, strict=True):
            phi.add_incoming(value, before)
        builder.cbranch(builder.icmp_signed("<", n, last), body, after)
        builder.position_at_end(body)
        values = running or [None] * size
        stepped = [step(u, value, builder.add(n, ir.Constant(I64, u))) for u, value in enumerate(values)]
        following = builder.add(n, ir.Constant(I64, size))
        for phi, value in zip([n, *running], [following, *stepped] if running else [following], strict=True):
            phi.add_incoming(value, builder.block)
        builder.branch(head)
        builder.position_at_end(after)
        return running

    def whole(self, start: Any, stop: Any) -> Any:
        """Return where the part of a range ends whose length is a multiple of `_UNROLL`."""
        builder = self.builder
        return builder.sub(stop, builder.and_(builder.sub(stop, start), ir.Constant(I64, _UNROLL - 1)))


@intrinsic
def sum_rows(typingctx: Any, table: Any, table_at: Any, index: Any, start: Any, stop: Any) -> Any:
    """Return Σ_{n = start … stop−1} table[table_at + LANES · index[n] : + LANES]; arrays 1-D, indices not negative.

    The order of addition is fixed: `_UNROLL` interleaved partial sums, added pairwise, then the remaining rows.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        rows, start, stop = _Rows(context, builder, signature, args, LANES, LANES), args[3], args[4]
        zero, whole = ir.Constant(rows.vector, [0.0] * LANES), rows.whole(start, stop)

        def add(_: int, value: Any, n: Any) -> Any:
            return builder.fadd(value, rows.load(rows.pointer(n)))

        sums = rows.loop(start, whole, [zero] * _UNROLL, add, _UNROLL)
        while len(sums) > 1:
            half = len(sums) // 2
            sums = [builder.fadd(a, b) for a, b in zip(sums[:half], sums[half:], strict=True)]
        return rows.loop(whole, stop, sums, add, 1)[0]

    signature = Lanes(table.dtype)(table, types.int64, index, types.int64, types.int64)
    return signature, codegen


@intrinsic
def add_parts(
    typingctx: Any, table: Any, table_at: Any, index: Any, start: Any, stop: Any, value: Any
) -> Any:
    """Add `value` (`PART` lanes) to table[table_at + line · index[n] : + PART] for n = start … stop−1, in order.

    `line` is the number of elements of a cache line.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        apart = LINE // itemsize(signature.args[0].dtype)
        rows = _Rows(context, builder, signature, args, PART, apart)
        start, stop, value = args[3:]

        def add(_: int, __: Any, n: Any) -> None:
            pointer = rows.pointer(n)
            builder.store(builder.fadd(rows.load(pointer), value), pointer).align = rows.align

        whole = rows.whole(start, stop)
        rows.loop(start, whole, [], add, _UNROLL)
        rows.loop(whole, stop, [], add, 1)
        return context.get_dummy_value()

    return types.void(table, types.int64, index, types.int64, types.int64, value), codegen
