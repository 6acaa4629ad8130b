"""Logarithms, Fourier transforms and transposition of many lanes."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .base import I64, LINE, Lanes, check_range, itemsize, shuffle, spreading, vector_at


@intrinsic
def logarithm(typingctx: Any, a: Any) -> Any:
    """Return the natural logarithm of each lane, a positive normal number, within 1.5 units in the last place.

    Of x = m 2^k, m between √½ and √2, it is k ln 2 + 2 artanh(s), s = (m − 1) / (m + 1), by the series in s. With
    f = m − 1 and R = 2 artanh(s) / s − 2, 2 artanh(s) = f − s (f − R), whose largest term is exact.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits, fraction, bias, terms, digits = _FORMATS[itemsize(a.dtype)]
        integers = ir.VectorType(ir.IntType(bits), a.count)

        def real(number: float) -> Any:
            return ir.Constant(args[0].type, [number] * a.count)

        def integer(number: int) -> Any:
            return ir.Constant(integers, [number] * a.count)

        root = int(np.array(0.5**0.5, f"f{bits // 8}").view(f"i{bits // 8}"))
        one = bias << fraction
        x = builder.add(builder.bitcast(args[0], integers), integer(one - root))
        # k + bias as the last bits of 2^fraction + k + bias, which no conversion of integers needs
        raised = (bias + fraction) << fraction
        k = builder.bitcast(builder.or_(builder.lshr(x, integer(fraction)), integer(raised)), args[0].type)
        k = builder.fsub(k, real(float(2**fraction + bias)))
        m = builder.add(builder.and_(x, integer((1 << fraction) - 1)), integer(root))
        f = builder.fsub(builder.bitcast(m, args[0].type), real(1.0))
        s = builder.fdiv(f, builder.fadd(f, real(2.0)))
        z = builder.fmul(s, s)
        rest = real(2 / (2 * terms + 1))
        for n in range(terms - 1, 0, -1):
            rest = builder.fadd(builder.fmul(rest, z), real(2 / (2 * n + 1)))
        rest = builder.fmul(rest, z)
        small = builder.fsub(f, builder.fmul(s, builder.fsub(f, rest)))
        # ln 2 in two parts, of which the first has so few digits that its product with k is exact
        high = round(np.log(2) * 2**digits) / 2**digits
        low = (float(np.log(2)) - high) + _LN_2_BEYOND
        small = builder.fadd(builder.fmul(k, real(low)), small)
        return builder.fadd(builder.fmul(k, real(high)), small)

    return a(a), codegen


# bytes → bits, bits of the fraction, bias of the exponent, terms of the series and digits of ln 2 in `logarithm`
_FORMATS = {4: (32, 23, 127, 4, 14), 8: (64, 52, 1023, 9, 32)}
_LN_2_BEYOND = 2.3190468138462996e-17  # ln 2 less the float64 nearest to it


@intrinsic
def store_columns(typingctx: Any, array: Any, at: Any, apart: Any, weights: Any, first: Any, to: Any) -> Any:
    """Copy the columns of a square block of a 1-D array, weighted; a side has as many elements as `load_line` returns.

    array[to + side · column + row] = weights[first + column] · array[at + apart · row + column]
    """
    lanes = Lanes(array.dtype, LINE // itemsize(array.dtype))

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        side, align, at, rows = lanes.count, itemsize(array.dtype), args[1], []
        weight = builder.load(vector_at(context, builder, weights, args[3], args[4], side))
        weight.align = align
        for _ in range(side):
            row = builder.load(vector_at(context, builder, array, args[0], at, side))
            row.align = align
            rows.append(builder.fmul(row, weight))
            at = builder.add(at, args[2])
        step = 1
        while step < side:  # exchange the off-diagonal quarters of every block of 2 · step
            low = [lane + side - step if lane & step else lane for lane in range(side)]
            high = [lane + side if lane & step else lane + step for lane in range(side)]
            for upper in range(side):
                if not upper & step:
                    a, b = rows[upper], rows[upper + step]
                    rows[upper], rows[upper + step] = (shuffle(builder, a, b, order) for order in (low, high))
            step *= 2
        for column, row in enumerate(rows):
            place = builder.add(args[5], ir.Constant(I64, column * side))
            builder.store(row, vector_at(context, builder, array, args[0], place, side)).align = align
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64, weights, types.int64, types.int64), codegen


def _fourier(builder: Any, x: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Emit the Fourier transform of 1, 2, 4 or 8 complex values, by decimation in frequency."""
    half = len(x) // 2
    if not half:
        return x
    sums, differences = [], []
    for n, ((ar, ai), (br, bi)) in enumerate(zip(x[:half], x[half:], strict=True)):
        sums.append((builder.fadd(ar, br), builder.fadd(ai, bi)))
        re, im = builder.fsub(ar, br), builder.fsub(ai, bi)
        if 8 * n % len(x):
            raise ValueError(f"got {len(x)} values; expected at most 8")
        eighths = 8 * n // len(x)  # of a turn, clockwise
        if eighths % 2:
            root = ir.Constant(re.type, [0.5**0.5] * re.type.count)
            re, im = builder.fmul(builder.fadd(re, im), root), builder.fmul(builder.fsub(im, re), root)
        if eighths >= 2:  # LLVM makes a subtraction of the addition of a negative number
            re, im = im, builder.fneg(re)
        differences.append((re, im))
    results = zip(_fourier(builder, sums), _fourier(builder, differences), strict=True)
    return [value for pair in results for value in pair]


def _fourier_in_place(radix: int, turned: bool) -> Any:
    @intrinsic
    def fourier(typingctx: Any, array: Any, at: Any, apart: Any, turns: Any, turn: Any) -> Any:
        lanes = Lanes(array.dtype, LINE // itemsize(array.dtype))
        _, emit = spreading(lanes, array.dtype)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            made = context.make_array(turns)(context, builder, args[3])

            def angle(index: int) -> Any:
                place = builder.add(args[4], ir.Constant(I64, index))
                check_range(context, builder, place, 1, made.nitems)
                return emit(context, builder, signature, [builder.load(builder.gep(made.data, [place]))])

            pointers, place = [], args[1]
            for _ in range(radix):
                parts = place, builder.add(place, ir.Constant(I64, lanes.count))
                pointers.append([vector_at(context, builder, array, args[0], n, lanes.count) for n in parts])
                place = builder.add(place, args[2])
            values = [(builder.load(re), builder.load(im)) for re, im in pointers]
            for value in (part for pair in values for part in pair):
                value.align = itemsize(array.dtype)
            for n, (pair, (re, im)) in enumerate(zip(pointers, _fourier(builder, values), strict=True)):
                if turned and n:
                    c, s = angle(2 * n - 2), angle(2 * n - 1)
                    re, im = (
                        builder.fadd(builder.fmul(re, c), builder.fmul(im, s)),
                        builder.fsub(builder.fmul(im, c), builder.fmul(re, s)),
                    )
                for pointer, part in zip(pair, (re, im), strict=True):
                    builder.store(part, pointer).align = itemsize(array.dtype)
            return context.get_dummy_value()

        return types.void(array, types.int64, types.int64, turns, types.int64), codegen

    return fourier


# fourier_RADIX(array, at, apart, turns, turn) transforms RADIX complex elements of a 1-D array in place. Each is a line
# of real parts and a line of imaginary parts, from index `at` on, `apart` from each other. The ones called `turned`
# multiply result n by c − i s, c and s at index `turn` + 2 n − 2 and the next of `turns`, except the first.
fourier_2 = _fourier_in_place(2, False)
fourier_4, fourier_4_turned = _fourier_in_place(4, False), _fourier_in_place(4, True)
fourier_8, fourier_8_turned = _fourier_in_place(8, False), _fourier_in_place(8, True)
