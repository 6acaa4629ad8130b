"""Words and their bits, and 64 bytes at a time."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .base import I32, I64, LINE, check_range, shuffle, vector_at


def _word_at(context: Any, builder: Any, array: Any, value: Any, at: Any) -> Any:
    """Return a pointer to the 8 bytes of a 1-D uint8 array that start at index `at`."""
    made = context.make_array(array)(context, builder, value)
    check_range(context, builder, at, 8, made.nitems)
    return builder.bitcast(builder.gep(made.data, [at]), I64.as_pointer())


@intrinsic
def load_word(typingctx: Any, data: Any, at: Any) -> Any:
    """Return the 8 bytes of the 1-D uint8 array `data` from index `at`, as a uint64 of any alignment."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = builder.load(_word_at(context, builder, signature.args[0], args[0], args[1]))
        word.align = 1
        return word

    return types.uint64(data, types.int64), codegen


@intrinsic
def store_word(typingctx: Any, data: Any, at: Any, word: Any) -> Any:
    """Write the 8 bytes of a uint64 into the 1-D uint8 array `data` from index `at`, of any alignment."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _word_at(context, builder, signature.args[0], args[0], args[1])
        builder.store(args[2], pointer).align = 1
        return context.get_dummy_value()

    return types.void(data, types.int64, types.uint64), codegen


def _line_of_bytes(context: Any, builder: Any, array: Any, value: Any, at: Any) -> Any:
    """Return the 64 bytes of a 1-D uint8 array that start at index `at`, of any alignment."""
    loaded = builder.load(vector_at(context, builder, array, value, at, LINE))
    loaded.align = 1
    return loaded


@intrinsic
def not_digits(typingctx: Any, data: Any, at: Any) -> Any:
    """Return the mask of the 64 bytes of a 1-D uint8 array from index `at` that are no decimal digits in ASCII."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        loaded = _line_of_bytes(context, builder, signature.args[0], *args)
        zeros, nines = (ir.Constant(loaded.type, [n] * LINE) for n in (ord("0"), 9))
        return builder.bitcast(builder.icmp_unsigned(">", builder.sub(loaded, zeros), nines), I64)

    return types.uint64(data, types.int64), codegen


@intrinsic
def bytes_outside(typingctx: Any, data: Any, low: Any, high: Any, at: Any) -> Any:
    """Return the mask of the 64 bytes of `data` from index `at` that are below `low`'s or above `high`'s; all 1-D."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, least, most = (
            _line_of_bytes(context, builder, array, of, args[3])
            for array, of in zip(signature.args, args[:3], strict=False)
        )
        below, above = (builder.icmp_unsigned(*test) for test in (("<", value, least), (">", value, most)))
        return builder.bitcast(builder.or_(below, above), I64)

    return types.uint64(data, low, high, types.int64), codegen


@intrinsic
def bit_of_bytes(typingctx: Any, data: Any, at: Any, bit: Any) -> Any:
    """Return bit `bit` of each of the 64 bytes of a 1-D uint8 array from index `at`, as a uint64, the first lowest."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        loaded = _line_of_bytes(context, builder, signature.args[0], args[0], args[1])
        byte, zeros = ir.IntType(8), ir.Constant(loaded.type, [0] * 64)
        mask = builder.shl(ir.Constant(byte, 1), builder.trunc(args[2], byte))
        masks = shuffle(builder, builder.insert_element(zeros, mask, ir.Constant(I32, 0)), zeros, [0] * 64)
        return builder.bitcast(builder.icmp_unsigned("!=", builder.and_(loaded, masks), zeros), I64)

    return types.uint64(data, types.int64, types.int64), codegen


@intrinsic
def trailing_zeros(typingctx: Any, word: Any) -> Any:
    """Return the position of the lowest set bit of a nonzero unsigned integer."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        count = builder.cttz(args[0], cgutils.true_bit)
        return builder.zext(count, I64) if count.type.width < 64 else count

    return types.int64(word), codegen


@intrinsic
def ones(typingctx: Any, word: Any) -> Any:
    """Return the number of set bits of an unsigned integer."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        count = builder.ctpop(args[0])
        return builder.zext(count, I64) if count.type.width < 64 else count

    return types.int64(word), codegen


@intrinsic
def swap_bytes(typingctx: Any, word: Any) -> Any:
    """Return an unsigned integer with its bytes reversed: for big-endian data on a little-endian machine."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bswap(args[0])

    return word(word), codegen
