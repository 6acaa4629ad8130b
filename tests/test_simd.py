"""Vectors: blocks transposed, Fourier transforms; with NUMBA_BOUNDSCHECK=1 each load and store is checked."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from spikeprep._jit import jit
from spikeprep._simd import (
    LINE,
    fourier_2,
    fourier_4,
    fourier_4_turned,
    fourier_8,
    fourier_8_turned,
    load_line,
    logarithm,
    store,
    store_columns,
)


@jit
def columns(a, at, apart, weights, first, to):
    store_columns(a, at, apart, weights, first, to)


@jit
def logarithms(a):
    for at in range(0, a.size, LINE // a.itemsize):
        store(a, at, logarithm(load_line(a, at)))


def in_place(intrinsic):
    @jit
    def transform(a, at, apart, turns, turn):
        intrinsic(a, at, apart, turns, turn)

    return transform


FOURIER = {
    (2, False): in_place(fourier_2),
    (4, False): in_place(fourier_4),
    (4, True): in_place(fourier_4_turned),
    (8, False): in_place(fourier_8),
    (8, True): in_place(fourier_8_turned),
}

CODE = """
import numpy as np
from spikeprep._jit import jit
from spikeprep._simd import (
    LANES, bit_of_bytes, bytes_outside, fourier_8_turned, load, load_apart, load_line, load_padded, load_word,
    not_digits, spread, spread_element, store, store_columns, store_word, sum_rows, total,
)

@jit
def loads(a, at):
    return total(load(a, at))

@jit
def loads_line(a, at):
    return total(load_line(a, at))

@jit
def loads_apart(a, at, apart):
    return total(load_apart(a, at, apart))

@jit
def loads_padded(a, tail, at):
    return total(load_padded(a, tail, at))

@jit
def takes_bits(b, at, bit):
    return bit_of_bytes(b, at, bit)

@jit
def spreads(a, at):
    return total(spread_element(a, at))

@jit
def stores_columns(a, at, apart, weights, first, to):
    store_columns(a, at, apart, weights, first, to)
    return 0.0

@jit
def transforms(a, at, apart, turns, turn):
    fourier_8_turned(a, at, apart, turns, turn)
    return 0.0

@jit
def stores(a, at):
    store(a, at, spread(a[0]))
    return 0.0

@jit
def words(b, at):
    return load_word(b, at)

@jit
def digits(b, at):
    return not_digits(b, at)

@jit
def outside(b, low, high, at):
    return bytes_outside(b, low, high, at)

@jit
def stores_word(b, at):
    store_word(b, at, np.uint64(1))
    return 0

@jit
def sums(a, at, index, start, stop):
    return total(sum_rows(a, at, index, start, stop))

def ends(function, *args):
    try:
        function(*args)
    except IndexError as error:
        assert "vector" in str(error)
        return "refused"
    return "done"

for dtype in (np.float32, np.float64):
    a = np.zeros(3 * LANES, dtype)
    line = 64 // a.itemsize
    for function, count in ((loads, LANES), (loads_line, line), (stores, LANES)):
        assert [ends(function, a, at) for at in (0, 1, a.size - count)] == ["done"] * 3, function
        wrong = (-1, a.size - count + 1, a.size, -LANES, 2**40, -2**62, 2**63 - 1)
        assert {ends(function, a, at) for at in wrong} == {"refused"}, function
    numbers = np.arange(a.size).astype(dtype)
    for at, apart in ((0, 1), (3, 2), (a.size - 1, 0), (a.size - 1, -1)):
        expected = sum(numbers[at + apart * lane] for lane in range(line))
        assert loads_apart(numbers, at, apart) == expected
    for at, apart in ((-1, 1), (a.size - line + 1, 1), (a.size - 1, 1), (0, -1), (0, 2**62), (2**62, 0)):
        assert ends(loads_apart, a, at, apart) == "refused"
    for size in (0, 1, line - 1, line, line + 1, a.size):
        part, tail = numbers[:size].copy(), np.zeros(2 * line, dtype)
        tail[: min(size, line)] = part[max(size - line, 0) :]
        for at in range(size + 1):
            assert loads_padded(part, tail, at) == part[at : at + line].sum()
        assert {ends(loads_padded, part, tail, at) for at in (-1, size + 1, 2**62)} == {"refused"}
    assert [spreads(numbers, at) for at in (0, a.size - 1)] == [0, line * (a.size - 1)]
    assert {ends(spreads, a, at) for at in (-1, a.size, 2**62)} == {"refused"}
    block, weights = np.zeros(2 * line * line, dtype), np.ones(line, dtype)
    end = line * line
    for at, apart, first, to in ((0, line, 0, end), (end, line, 0, 0), (3, line - 1, 0, 1), (0, 0, 0, end)):
        assert ends(stores_columns, block, at, apart, weights, first, to) == "done"
    for at, apart, first, to in (
        (-1, line, 0, end), (end + 1, line, 0, 0), (0, line, 1, end), (0, line, -1, end), (0, line, 0, end + 1),
        (0, line, 0, -1), (0, -1, 0, end), (0, 2**60, 0, end),
    ):
        assert ends(stores_columns, block, at, apart, weights, first, to) == "refused"
    cells, turns = np.zeros(16 * line, dtype), np.ones(14, dtype)
    for at, apart, turn, end in (
        (0, 2 * line, 0, "done"), (0, 0, 0, "done"), (1, 2 * line, 0, "refused"), (-1, 2 * line, 0, "refused"),
        (0, 2 * line + 1, 0, "refused"), (0, 2 * line, 1, "refused"), (0, 2 * line, -1, "refused"),
    ):
        assert ends(transforms, cells, at, apart, turns, turn) == end
    for size in range(9):
        index = np.arange(size, dtype=np.int32) % 3
        assert ends(sums, a, 0, index, 0, size) == "done"
        assert ends(sums, a, 0, index, 0, size + 1) == "refused"
        assert ends(sums, a, 0, index, -1, size) == "refused"
        for wrong in (3, -1, 2**31 - 1):
            for place in range(size):
                changed = index.copy()
                changed[place] = wrong
                assert ends(sums, a, 0, changed, 0, size) == "refused"
        if size > 2:
            assert ends(sums, a, 1, index, 0, size) == "refused"
b = np.zeros(20, np.uint8)
for function in (words, stores_word):
    assert [ends(function, b, at) for at in (0, 1, 12)] == ["done"] * 3
    assert {ends(function, b, at) for at in (-1, 13, 20, 2**62)} == {"refused"}
b = np.arange(100, dtype=np.uint8)
low, high = b.copy(), b.copy()
low[[7, 40]] += 1
high[[5, 40, 69]] -= 1
for at in (0, 3, 36):
    assert outside(b, low, high, at) == sum(1 << n - at for n in (5, 7, 40, 69) if 0 <= n - at < 64)
    assert digits(b, at) == sum(1 << n for n in range(64) if not 48 <= n + at < 58)
    assert ends(outside, b, low[:63], high, at) == ends(outside, b, low, high[:63], at) == "refused"
for at in (-1, 37, 2**62):
    assert ends(outside, b, low, high, at) == ends(digits, b, at) == "refused"
many = np.random.default_rng(0).integers(0, 256, 70, np.uint8)
for at in (0, 6):
    for bit in range(8):
        expected = np.packbits(many[at : at + 64] >> bit & 1, bitorder="little").view(np.uint64)[0]
        assert takes_bits(many, at, bit) == expected
assert {ends(takes_bits, many, at, 0) for at in (-1, 7, 70, 2**62)} == {"refused"}
print("checked")
"""


def test_loads_and_stores_out_of_bounds_are_refused(tmp_path):
    file = tmp_path / "kernels.py"
    file.write_text(CODE)
    environment = os.environ | {"NUMBA_BOUNDSCHECK": "1", "SPIKEPREP_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, str(file)], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("checked\n", 0), done.stderr


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_columns_are_the_transposed_block(dtype):
    side, rng = LINE // np.dtype(dtype).itemsize, np.random.default_rng(0)
    array, weights = rng.normal(size=4 * side * side).astype(dtype), rng.normal(size=side + 2).astype(dtype)
    columns(found := array.copy(), 5, side + 3, weights, 2, 3 * side * side)
    block = np.lib.stride_tricks.as_strided(
        array[5:], (side, side), ((side + 3) * array.itemsize, array.itemsize)
    )
    expected = array.copy()
    expected[3 * side * side :] = (block * weights[2:]).T.ravel()
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("radix", "turned"), [(2, False), (4, False), (4, True), (8, False), (8, True)])
def test_fourier_transforms_lanes(radix, turned, dtype):
    line, rng = LINE // np.dtype(dtype).itemsize, np.random.default_rng(0)
    cells = rng.normal(size=(radix, 2, line)).astype(dtype)
    radians = rng.uniform(0, 6, radix - 1)
    turns = np.stack([np.cos(radians), np.sin(radians)], axis=1).ravel().astype(dtype)
    expected = np.fft.fft(cells[:, 0] + 1j * cells[:, 1], axis=0)
    if turned:
        expected[1:] *= np.exp(-1j * radians)[:, None]
    FOURIER[radix, turned](flat := cells.ravel(), 0, 2 * line, np.append(0, turns).astype(dtype), 1)
    found = flat.reshape(radix, 2, line)
    np.testing.assert_allclose(
        found[:, 0] + 1j * found[:, 1], expected, atol=1e-14 if dtype == np.float64 else 1e-5
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logarithms(dtype):
    """Of the whole range, around 1, and where the mantissa wraps around, against NumPy's, which are within one unit."""
    rng, limits = np.random.default_rng(0), np.finfo(dtype)
    ends = np.log(float(limits.tiny)) + 1e-3, np.log(float(limits.max)) - 1e-3
    close = [1 + rng.normal(0, 10.0**-n, 4096) for n in range(1, 7)]
    special = [limits.tiny, limits.max, *[1, 2, 0.5, 10, 0.1, 2**0.5, 0.5**0.5]] + 7 * [1]
    parts = [np.exp(rng.uniform(*ends, 1 << 16)), rng.uniform(0.3, 3, 1 << 16), *close, special]
    x = np.concatenate(parts).astype(dtype)
    logarithms(found := x.copy())
    expected = np.log(x.astype(np.float64))
    unit = np.spacing(np.abs(expected).astype(dtype)).astype(np.float64)
    assert (np.abs(found - expected) / unit).max() < (1.5 if dtype == np.float32 else 2.5)
    assert (found[x == 1] == 0).all()
