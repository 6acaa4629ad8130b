"""A vector type for Numba: kernels process a tile of neurons or channels at a time, in vector registers.

LLVM vectorises a plain loop over 32 neurons only sometimes, and never keeps them in registers from one time step to the
next. Here they are values: ``a + b``, ``a - b``, ``a * b`` and ``a / b`` operate on each lane, `above` returns a mask
(unsigned, bit k is lane k), `select` applies one, and LLVM splits each value over the machine's registers. Nothing is
reassociated or fused: results are those of scalar code, on every machine.

Loads and stores are raw: the caller's arrays are long enough. With ``NUMBA_BOUNDSCHECK=1`` each of them is checked, as
Numba checks plain indices, and raises `IndexError`.

`load` and `spread` return values of `LANES` lanes, `load_part` and `spread_part` of `PART`; `load_line` and
`spread_line` return those of one cache line: 8 float64 or 16 float32.
"""

from __future__ import annotations

from .base import LANES, LINE, PART, aligned_zeros
from .bits import (
    bit_of_bytes,
    bytes_outside,
    load_word,
    not_digits,
    ones,
    store_word,
    swap_bytes,
    trailing_zeros,
)
from .functions import (
    fourier_2,
    fourier_4,
    fourier_4_turned,
    fourier_8,
    fourier_8_turned,
    logarithm,
    store_columns,
)
from .lanes import (
    above,
    either,
    larger,
    load,
    load_apart,
    load_line,
    load_padded,
    load_part,
    select,
    shift_down,
    shift_up,
    smaller,
    spread,
    spread_element,
    spread_line,
    spread_part,
    square_root,
    store,
    total,
)
from .rows import add_parts, sum_rows

__all__ = [
    "LANES",
    "LINE",
    "PART",
    "above",
    "add_parts",
    "aligned_zeros",
    "bit_of_bytes",
    "bytes_outside",
    "either",
    "fourier_2",
    "fourier_4",
    "fourier_4_turned",
    "fourier_8",
    "fourier_8_turned",
    "larger",
    "load",
    "load_apart",
    "load_line",
    "load_padded",
    "load_part",
    "load_word",
    "logarithm",
    "not_digits",
    "ones",
    "select",
    "shift_down",
    "shift_up",
    "smaller",
    "spread",
    "spread_element",
    "spread_line",
    "spread_part",
    "square_root",
    "store",
    "store_columns",
    "store_word",
    "sum_rows",
    "swap_bytes",
    "total",
    "trailing_zeros",
]
