"""A vector type for Numba: kernels process a tile of neurons or channels at a time, in vector registers.

LLVM vectorises a plain loop over 32 neurons only sometimes, and never keeps them in registers from one time step to the
next. Here they are values: ``a + b``, ``a - b`` and ``a * b`` operate on each lane, `above` returns a mask (unsigned,
bit k is lane k), `select` applies one, and LLVM splits each value over the machine's registers. Nothing is reassociated
or fused: results are those of scalar code, on every machine.

Loads and stores are raw: the caller's arrays are long enough. With ``NUMBA_BOUNDSCHECK=1`` each of them is checked, as
Numba checks plain indices, and raises `IndexError`.

`load` and `spread` return values of `LANES` lanes, `load_part` and `spread_part` of `PART`; `load_line` and
`spread_line` return those of one cache line: 8 float64 or 16 float32.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic, models, overload, register_model
from numpy.typing import DTypeLike, NDArray

LANES = 32
"""Neurons in a tile: two 512-bit registers of float32, and one bit each of a uint32 mask."""
PART = 8
"""Channels that a convolution handles at a time: a quarter of a tile, one 256-bit register of float32."""
LINE = 64
"""Bytes of a cache line, and of the widest register."""

_UNROLL = (
    4  # independent sums in `sum_rows`: the latency of an addition is three to four times its throughput
)
_I32, _I64 = ir.IntType(32), ir.IntType(64)


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


# ---------------------------------------------------------------- LLVM IR


def _check_range(context: Any, builder: Any, at: Any, count: int, size: Any) -> None:
    """Raise `IndexError` unless elements `at` … `at + count − 1` are among `size`; no code where nothing is checked."""
    if not config.BOUNDSCHECK:
        return
    after = builder.icmp_signed(">", at, builder.sub(size, ir.Constant(_I64, count)))
    before = builder.icmp_signed("<", at, ir.Constant(_I64, 0))
    with builder.if_then(builder.or_(before, after), likely=False):
        message = f"{count} elements of a vector are out of bounds"
        context.call_conv.return_user_exc(builder, IndexError, (message,))


def _vector_at(context: Any, builder: Any, array: Any, value: Any, at: Any, count: int) -> Any:
    """Return a pointer to the `count` elements of a 1-D array that start at index `at`."""
    made = context.make_array(array)(context, builder, value)
    _check_range(context, builder, at, count, made.nitems)
    vector = ir.VectorType(context.get_data_type(array.dtype), count)
    return builder.bitcast(builder.gep(made.data, [at]), vector.as_pointer())


def _word_at(context: Any, builder: Any, array: Any, value: Any, at: Any) -> Any:
    """Return a pointer to the 8 bytes of a 1-D uint8 array that start at index `at`."""
    made = context.make_array(array)(context, builder, value)
    _check_range(context, builder, at, 8, made.nitems)
    return builder.bitcast(builder.gep(made.data, [at]), _I64.as_pointer())


def _shuffle(builder: Any, a: Any, b: Any, order: list[int]) -> Any:
    """Return the elements `order` of `a` followed by `b`."""
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_I32, len(order)), order))


def _itemsize(dtype: Any) -> int:
    return int(dtype.bitwidth) // 8


def _loading(lanes: Lanes, array: Any) -> Any:
    """Return signature and code generator of a load from a 1-D array."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = builder.load(_vector_at(context, builder, array, args[0], args[1], lanes.count))
        value.align = _itemsize(array.dtype)
        return value

    return lanes(array, types.int64), codegen


def _spreading(lanes: Lanes, scalar: Any) -> Any:
    """Return signature and code generator of lanes that all hold one scalar."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        blank = ir.Constant(ir.VectorType(args[0].type, lanes.count), ir.Undefined)
        first = builder.insert_element(blank, args[0], ir.Constant(_I32, 0))
        return _shuffle(builder, first, blank, [0] * lanes.count)

    return lanes(scalar), codegen


# ---------------------------------------------------------------- operations on lanes


@intrinsic
def load(typingctx: Any, array: Any, at: Any) -> Any:
    """Return the `LANES` elements of a 1-D array that start at index `at`."""
    return _loading(Lanes(array.dtype), array)


@intrinsic
def load_line(typingctx: Any, array: Any, at: Any) -> Any:
    """Return the elements of one cache line, of a 1-D array from index `at`."""
    return _loading(Lanes(array.dtype, LINE // _itemsize(array.dtype)), array)


@intrinsic
def load_padded(typingctx: Any, array: Any, tail: Any, at: Any) -> Any:
    """Return what `load_line` returns, but read what reaches beyond the last whole line of `array` from `tail`.

    `tail` has the last elements of `array`, as many as a line's or all, then at least a line of padding.
    """
    lanes = Lanes(array.dtype, LINE // _itemsize(array.dtype))

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        made, zero = context.make_array(array)(context, builder, args[0]), ir.Constant(_I64, 0)
        end = builder.sub(made.nitems, ir.Constant(_I64, lanes.count))
        inside = builder.icmp_signed("<=", args[2], end)
        begin = builder.select(builder.icmp_signed("<", end, zero), zero, end)  # of `tail` in `array`
        place = builder.select(inside, zero, builder.sub(args[2], begin))
        beyond = _vector_at(context, builder, tail, args[1], place, lanes.count)
        _check_range(context, builder, args[2], 0, made.nitems)
        vector = ir.VectorType(context.get_data_type(array.dtype), lanes.count)
        within = builder.bitcast(builder.gep(made.data, [args[2]]), vector.as_pointer())
        value = builder.load(builder.select(inside, within, beyond))
        value.align = _itemsize(array.dtype)
        return value

    return lanes(array, tail, types.int64), codegen


@intrinsic
def load_apart(typingctx: Any, array: Any, at: Any, apart: Any) -> Any:
    """Return as many elements as `load_line`, `apart` elements from each other, of a 1-D array from index `at`."""
    lanes = Lanes(array.dtype, LINE // _itemsize(array.dtype))

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        made = context.make_array(array)(context, builder, args[0])
        at, value = args[1], ir.Constant(context.get_value_type(lanes), ir.Undefined)
        for lane in range(lanes.count):
            _check_range(context, builder, at, 1, made.nitems)
            element = builder.load(builder.gep(made.data, [at]))
            value = builder.insert_element(value, element, ir.Constant(_I32, lane))
            at = builder.add(at, args[2])
        return value

    return lanes(array, types.int64, types.int64), codegen


@intrinsic
def load_part(typingctx: Any, array: Any, at: Any) -> Any:
    """Return the `PART` elements of a 1-D array that start at index `at`."""
    return _loading(Lanes(array.dtype, PART), array)


@intrinsic
def store(typingctx: Any, array: Any, at: Any, lanes: Any) -> Any:
    """Write `lanes` into a 1-D array from index `at`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _vector_at(context, builder, signature.args[0], args[0], args[1], lanes.count)
        builder.store(args[2], pointer).align = _itemsize(signature.args[0].dtype)
        return context.get_dummy_value()

    return types.void(array, types.int64, lanes), codegen


@intrinsic
def store_columns(typingctx: Any, array: Any, at: Any, apart: Any, weights: Any, first: Any, to: Any) -> Any:
    """Copy the columns of a square block of a 1-D array, weighted; a side has as many elements as `load_line` returns.

    array[to + side · column + row] = weights[first + column] · array[at + apart · row + column]
    """
    lanes = Lanes(array.dtype, LINE // _itemsize(array.dtype))

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        side, align, at, rows = lanes.count, _itemsize(array.dtype), args[1], []
        weight = builder.load(_vector_at(context, builder, weights, args[3], args[4], side))
        weight.align = align
        for _ in range(side):
            row = builder.load(_vector_at(context, builder, array, args[0], at, side))
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
                    rows[upper], rows[upper + step] = (
                        _shuffle(builder, a, b, order) for order in (low, high)
                    )
            step *= 2
        for column, row in enumerate(rows):
            place = builder.add(args[5], ir.Constant(_I64, column * side))
            builder.store(row, _vector_at(context, builder, array, args[0], place, side)).align = align
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64, weights, types.int64, types.int64), codegen


@intrinsic
def spread(typingctx: Any, scalar: Any) -> Any:
    """Return `LANES` lanes that all hold `scalar`."""
    return _spreading(Lanes(scalar), scalar)


@intrinsic
def spread_part(typingctx: Any, scalar: Any) -> Any:
    """Return `PART` lanes that all hold `scalar`."""
    return _spreading(Lanes(scalar, PART), scalar)


@intrinsic
def spread_line(typingctx: Any, scalar: Any) -> Any:
    """Return the lanes of one cache line, all of which hold `scalar`."""
    return _spreading(Lanes(scalar, LINE // _itemsize(scalar)), scalar)


@intrinsic
def spread_element(typingctx: Any, array: Any, at: Any) -> Any:
    """Return the lanes of one cache line, all of which hold the element of a 1-D array at index `at`."""
    lanes = Lanes(array.dtype, LINE // _itemsize(array.dtype))
    _, spreading = _spreading(lanes, array.dtype)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        made = context.make_array(array)(context, builder, args[0])
        _check_range(context, builder, args[1], 1, made.nitems)
        return spreading(context, builder, signature, [builder.load(builder.gep(made.data, [args[1]]))])

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
def logarithm(typingctx: Any, a: Any) -> Any:
    """Return the natural logarithm of each lane, a positive normal number, within 1.5 units in the last place.

    Of x = m 2^k, m between √½ and √2, it is k ln 2 + 2 artanh(s), s = (m − 1) / (m + 1), by the series in s. With
    f = m − 1 and R = 2 artanh(s) / s − 2, 2 artanh(s) = f − s (f − R), whose largest term is exact.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits, fraction, bias, terms, digits = _FORMATS[_itemsize(a.dtype)]
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
def shift_up(typingctx: Any, before: Any, lanes: Any) -> Any:
    """Return `lanes` shifted up by one lane; the first one is the last of `before`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _shuffle(builder, args[0], args[1], list(range(lanes.count - 1, 2 * lanes.count - 1)))

    return lanes(before, lanes), codegen


@intrinsic
def shift_down(typingctx: Any, lanes: Any, after: Any) -> Any:
    """Return `lanes` shifted down by one lane; the last one is the first of `after`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _shuffle(builder, args[0], args[1], list(range(1, lanes.count + 1)))

    return lanes(lanes, after), codegen


@intrinsic
def total(typingctx: Any, lanes: Any) -> Any:
    """Return the sum of all lanes: the upper half is added to the lower half until one lane is left."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, width = args[0], lanes.count
        while width > 1:
            width //= 2
            blank = ir.Constant(value.type, ir.Undefined)
            halves = [_shuffle(builder, value, blank, list(range(s, s + width))) for s in (0, width)]
            value = builder.fadd(*halves)
        return builder.extract_element(value, ir.Constant(_I32, 0))

    return lanes.dtype(lanes), codegen


def _arithmetic(symbol: Callable[..., Any], instruction: str) -> None:
    @intrinsic
    def lanewise(typingctx: Any, a: Any, b: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return getattr(builder, instruction)(*args)

        return a(a, b), codegen

    @overload(symbol, inline="always")
    def operation(a: Any, b: Any) -> Any:
        def lane_by_lane(a: Any, b: Any) -> Any:  # Numba requires the signature of `operation`
            return lanewise(a, b)

        return lane_by_lane if isinstance(a, Lanes) and a == b else None


for _symbol, _instruction in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    _arithmetic(_symbol, _instruction)


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
        lanes = Lanes(array.dtype, LINE // _itemsize(array.dtype))
        _, spreading = _spreading(lanes, array.dtype)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            made = context.make_array(turns)(context, builder, args[3])

            def angle(index: int) -> Any:
                place = builder.add(args[4], ir.Constant(_I64, index))
                _check_range(context, builder, place, 1, made.nitems)
                return spreading(context, builder, signature, [builder.load(builder.gep(made.data, [place]))])

            pointers, place = [], args[1]
            for _ in range(radix):
                parts = place, builder.add(place, ir.Constant(_I64, lanes.count))
                pointers.append([_vector_at(context, builder, array, args[0], n, lanes.count) for n in parts])
                place = builder.add(place, args[2])
            values = [(builder.load(re), builder.load(im)) for re, im in pointers]
            for value in (part for pair in values for part in pair):
                value.align = _itemsize(array.dtype)
            for n, (pair, (re, im)) in enumerate(zip(pointers, _fourier(builder, values), strict=True)):
                if turned and n:
                    c, s = angle(2 * n - 2), angle(2 * n - 1)
                    re, im = (
                        builder.fadd(builder.fmul(re, c), builder.fmul(im, s)),
                        builder.fsub(builder.fmul(im, c), builder.fmul(re, s)),
                    )
                for pointer, part in zip(pair, (re, im), strict=True):
                    builder.store(part, pointer).align = _itemsize(array.dtype)
            return context.get_dummy_value()

        return types.void(array, types.int64, types.int64, turns, types.int64), codegen

    return fourier


# fourier_RADIX(array, at, apart, turns, turn) transforms RADIX complex elements of a 1-D array in place. Each is a line
# of real parts and a line of imaginary parts, from index `at` on, `apart` from each other. The ones called `turned`
# multiply result n by c − i s, c and s at index `turn` + 2 n − 2 and the next of `turns`, except the first.
fourier_2 = _fourier_in_place(2, False)
fourier_4, fourier_4_turned = _fourier_in_place(4, False), _fourier_in_place(4, True)
fourier_8, fourier_8_turned = _fourier_in_place(8, False), _fourier_in_place(8, True)


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
        self.align = _itemsize(table_type.dtype)

    def pointer(self, position: Any) -> Any:
        """Return a pointer to the row that entry `position` of the list names."""
        builder = self.builder
        _check_range(self.context, builder, position, 1, self.index.nitems)
        raw = builder.load(builder.gep(self.index.data, [position]))
        at = builder.mul(builder.zext(raw, _I64) if raw.type != _I64 else raw, ir.Constant(_I64, self.apart))
        _check_range(self.context, builder, builder.add(self.first, at), self.count, self.table.nitems)
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
        n = builder.phi(_I64)
        n.add_incoming(first, before)
        running = [builder.phi(self.vector) for _ in sums]
        for phi, value in zip(running, sums, strict=True):
            phi.add_incoming(value, before)
        builder.cbranch(builder.icmp_signed("<", n, last), body, after)
        builder.position_at_end(body)
        values = running or [None] * size
        stepped = [step(u, value, builder.add(n, ir.Constant(_I64, u))) for u, value in enumerate(values)]
        following = builder.add(n, ir.Constant(_I64, size))
        for phi, value in zip([n, *running], [following, *stepped] if running else [following], strict=True):
            phi.add_incoming(value, builder.block)
        builder.branch(head)
        builder.position_at_end(after)
        return running

    def whole(self, start: Any, stop: Any) -> Any:
        """Return where the part of a range ends whose length is a multiple of `_UNROLL`."""
        builder = self.builder
        return builder.sub(stop, builder.and_(builder.sub(stop, start), ir.Constant(_I64, _UNROLL - 1)))


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
        apart = LINE // _itemsize(signature.args[0].dtype)
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


# ---------------------------------------------------------------- bits


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
    loaded = builder.load(_vector_at(context, builder, array, value, at, LINE))
    loaded.align = 1
    return loaded


@intrinsic
def not_digits(typingctx: Any, data: Any, at: Any) -> Any:
    """Return the mask of the 64 bytes of a 1-D uint8 array from index `at` that are no decimal digits in ASCII."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        loaded = _line_of_bytes(context, builder, signature.args[0], *args)
        zeros, nines = (ir.Constant(loaded.type, [n] * LINE) for n in (ord("0"), 9))
        return builder.bitcast(builder.icmp_unsigned(">", builder.sub(loaded, zeros), nines), _I64)

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
        return builder.bitcast(builder.or_(below, above), _I64)

    return types.uint64(data, low, high, types.int64), codegen


@intrinsic
def bit_of_bytes(typingctx: Any, data: Any, at: Any, bit: Any) -> Any:
    """Return bit `bit` of each of the 64 bytes of a 1-D uint8 array from index `at`, as a uint64, the first lowest."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        loaded = _line_of_bytes(context, builder, signature.args[0], args[0], args[1])
        byte, zeros = ir.IntType(8), ir.Constant(loaded.type, [0] * 64)
        mask = builder.shl(ir.Constant(byte, 1), builder.trunc(args[2], byte))
        masks = _shuffle(builder, builder.insert_element(zeros, mask, ir.Constant(_I32, 0)), zeros, [0] * 64)
        return builder.bitcast(builder.icmp_unsigned("!=", builder.and_(loaded, masks), zeros), _I64)

    return types.uint64(data, types.int64, types.int64), codegen


@intrinsic
def trailing_zeros(typingctx: Any, word: Any) -> Any:
    """Return the position of the lowest set bit of a nonzero unsigned integer."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        count = builder.cttz(args[0], cgutils.true_bit)
        return builder.zext(count, _I64) if count.type.width < 64 else count

    return types.int64(word), codegen


@intrinsic
def ones(typingctx: Any, word: Any) -> Any:
    """Return the number of set bits of an unsigned integer."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        count = builder.ctpop(args[0])
        return builder.zext(count, _I64) if count.type.width < 64 else count

    return types.int64(word), codegen


@intrinsic
def swap_bytes(typingctx: Any, word: Any) -> Any:
    """Return an unsigned integer with its bytes reversed: for big-endian data on a little-endian machine."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bswap(args[0])

    return word(word), codegen
