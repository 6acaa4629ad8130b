"""Vector loads and stores: with NUMBA_BOUNDSCHECK=1 each of them is checked."""

from __future__ import annotations

import os
import subprocess
import sys

CODE = """
import numpy as np
from spikeprep._jit import jit
from spikeprep._simd import (
    LANES, bytes_outside, load, load_apart, load_line, load_word, not_digits, spread, store, store_word, sum_rows,
    total,
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
