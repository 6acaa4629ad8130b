"""Loads, stores, and operations on each lane."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import intrinsic, lower_builtin

from .base import I32, I64, LINE, PART, Lanes, check_range, itemsize, loading, shuffle, spreading, vector_at


@intrinsic
def load(typingctx: Any, array: Any, at: Any) -> Any:
    """Return the `LANES` elements of a 1-D array that start at index `at`."""
    return loading(Lanes(array.dtype), array)


@intrinsic
def load_line(typingctx: Any, array: Any, at: Any) -> Any:
    """Return the elements of one cache line, of a 1-D array from index `at`."""
    return loading(Lanes(array.dtype, LINE // itemsize(array.dtype)), array)


@intrinsic
def load_padded(typingctx: Any, array: Any, tail: Any, at: Any) -> Any:
    """Return what `load_line` returns, but read what reaches beyond the last whole line of `array` from `tail`.

    `tail` has the last elements of `array`, as many as a line's or all, then at least a line of padding.
    """
    lanes = Lanes(array.dtype, LINE // itemsize(array.dtype))

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        made, zero = context.make_array(array)(context, builder, args[0]), ir.Constant(I64, 0)
        end = builder.sub(made.nitems, ir.Constant(I64, lanes.count))
        inside = builder.icmp_signed("<=", args[2], end)
        begin = builder.select(builder.icmp_signed("<", end, zero), zero, end)  # of `tail` in `array`
        place = builder.select(inside, zero, builder.sub(args[2], begin))
        beyond = vector_at(context, builder, tail, args[1], place, lanes.count)
        check_range(context, builder, args[2], 0, made.nitems)
        vector = ir.VectorType(context.get_data_type(array.dtype), lanes.count)
        within = builder.bitcast(builder.gep(made.data, [args[2]]), vector.as_pointer())
        value = builder.load(builder.select(inside, within, beyond))
        value.align = itemsize(array.dtype)
        return value

    return lanes(array, tail, types.int64), codegen


@intrinsic
def load_apart(typingctx: Any, array: Any, at: Any, apart: Any) -> Any:
    """Return as many elements as `load_line`, `apart` elements from each other, of a 1-D array from index `at`."""
    lanes = Lanes(array.dtype, LINE // itemsize(array.dtype))

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        made = context.make_array(array)(context, builder, args[0])
        at, value = args[1], ir.Constant(context.get_value_type(lanes), ir.Undefined)
        for lane in range(lanes.count):
            check_range(context, builder, at, 1, made.nitems)
            element = builder.load(builder.gep(made.data, [at]))
            value = builder.insert_element(value, element, ir.Constant(I32, lane))
            at = builder.add(at, args[2])
        return value

    return lanes(array, types.int64, types.int64), codegen


@intrinsic
def load_part(typingctx: Any, array: Any, at: Any) -> Any:
    """Return the `PART` elements of a 1-D array that start at index `at`."""
    return loading(Lanes(array.dtype, PART), array)


@intrinsic
def store(typingctx: Any, array: Any, at: Any, lanes: Any) -> Any:
    """Write `lanes` into a 1-D array from index `at`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = vector_at(context, builder, signature.args[0], args[0], args[1], lanes.count)
        builder.store(args[2], pointer).align = itemsize(signature.args[0].dtype)
        return context.get_dummy_value()

    return types.void(array, types.int64, lanes), codegen


@intrinsic
def spread(typingctx: Any, scalar: Any) -> Any:
    """Return `LANES` lanes that all hold `scalar`."""
    return spreading(Lanes(scalar), scalar)


@intrinsic
def spread_part(typingctx: Any, scalar: Any) -> Any:
    """Return `PART` lanes that all hold `scalar`."""
    return spreading(Lanes(scalar, PART), scalar)


@intrinsic
def spread_line(typingctx: Any, scalar: Any) -> Any:
    """Return the lanes of one cache line, all of which hold `scalar`."""
    return spreading(Lanes(scalar, LINE // itemsize(scalar)), scalar)


@intrinsic
def spread_element(typingctx: Any, array: Any, at: Any) -> Any:
    """Return the lanes of one cache line, all of which hold the element of a 1-D array at index `at`."""
    lanes = Lanes(array.dtype, LINE // itemsize(array.dtype))
    _, emit = spreading(lanes, array.dtype)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        made = context.make_array(array)(context, builder, args[0])
        check_range(context, builder, args[1], 1, made.nitems)
        return emit(context, builder, signature, [builder.load(builder.gep(made.data, [args[1]]))])

    return lanes(array, types.int64), codegen


@intrinsic
def above(typingctx: Any, a: Any, b: Any) -> Any:
    """Return the mask of the lanes where a > b."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(builder.fcmp_ordered(">", *args), ir.IntType(a.count))

    return a.mask(a, b), codegen


@intrinsic
def either(typingctx: Any, a: Any, b: Any) -> Any:
    """Return the bits that are set in either of a and b: of products with 0, NaN where either is NaN, else 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        integers = ir.VectorType(ir.IntType(int(a.dtype.bitwidth)), a.count)
        bits = builder.or_(*(builder.bitcast(value, integers) for value in args))
        return builder.bitcast(bits, args[0].type)

    return a(a, b), codegen


@intrinsic
def select(typingctx: Any, mask: Any, a: Any, b: Any) -> Any:
    """Return `a` in the lanes whose bit of `mask` is set, `b` in the others."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        chosen = builder.bitcast(args[0], ir.VectorType(ir.IntType(1), a.count))
        return builder.select(chosen, args[1], args[2])

    return a(a.mask, a, b), codegen


@intrinsic
def larger(typingctx: Any, a: Any, b: Any) -> Any:
    """Return the larger of a and b in each lane; b where either is NaN."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", *args), *args)

    return a(a, b), codegen


@intrinsic
def smaller(typingctx: Any, a: Any, b: Any) -> Any:
    """Return the smaller of a and b in each lane; b where either is NaN."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", *args), *args)

    return a(a, b), codegen


@intrinsic
def square_root(typingctx: Any, lanes: Any) -> Any:
    """Return the square root of each lane."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(args[0].type, [args[0].type])
        name = f"llvm.sqrt.v{lanes.count}f{lanes.dtype.bitwidth}"
        return builder.call(builder.module.declare_intrinsic(name, (), kind), args)

    return lanes(lanes), codegen


@intrinsic
def shift_up(typingctx: Any, before: Any, lanes: Any) -> Any:
    """Return `lanes` shifted up by one lane; the first one is the last of `before`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return shuffle(builder, args[0], args[1], list(range(lanes.count - 1, 2 * lanes.count - 1)))

    return lanes(before, lanes), codegen


@intrinsic
def shift_down(typingctx: Any, lanes: Any, after: Any) -> Any:
    """Return `lanes` shifted down by one lane; the last one is the first of `after`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return shuffle(builder, args[0], args[1], list(range(1, lanes.count + 1)))

    return lanes(lanes, after), codegen


@intrinsic
def total(typingctx: Any, lanes: Any) -> Any:
    """Return the sum of all lanes: the upper half is added to the lower half until one lane is left."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, width = args[0], lanes.count
        while width > 1:
            width //= 2
            blank = ir.Constant(value.type, ir.Undefined)
            halves = [shuffle(builder, value, blank, list(range(s, s + width))) for s in (0, width)]
            value = builder.fadd(*halves)
        return builder.extract_element(value, ir.Constant(I32, 0))

    return lanes.dtype(lanes), codegen


def _arithmetic(symbol: Callable[..., Any], instruction: str) -> None:
    class Operation(AbstractTemplate):  # type: ignore[misc]
        def generic(self, arguments: Any, keywords: Any) -> Any:
            a, b = arguments
            return a(a, b) if isinstance(a, Lanes) and a == b else None

    def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return getattr(builder, instruction)(*arguments)

    infer_global(symbol)(Operation)
    lower_builtin(symbol, Lanes, Lanes)(lower)


# as overloads, whose bodies are inlined, each use would take Numba seven times as long
_arithmetic(operator.add, "fadd")
_arithmetic(operator.sub, "fsub")
_arithmetic(operator.mul, "fmul")
_arithmetic(operator.truediv, "fdiv")
