"""Bernoulli draws of spikes, 64 steps at a time by bit-sliced comparison.

A unit spikes in a step if a uniform random fraction u is below p, that is if u has the 0 at the first binary
digit in which they differ. A 64-bit random word holds one digit of 64 steps' u, so words taken most
significant digit first decide 64 steps together, each word half of those still undecided. p is used as a
64-bit binary fraction: exact for every float64 p ≥ 2⁻¹¹ (and for 0 and 1), below that rounded down by less
than 2⁻⁶⁴.

Random words: digit d of steps 64 b … 64 b + 63 of a unit is ``x0 2³² + x1`` (d even) or ``x2 2³² + x3`` (d
odd) of ``philox(unit, b, d // 2, purpose; sample key)``; bit k belongs to step 64 b + k (see
`spikeprep.random`). So a train depends on its sample key, unit and p alone, and a shorter train is the
beginning of a longer one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import inline, jit
from ..data import Bits
from ..random import SampleKey, philox4x32

_LANES = (
    8  # blocks of steps decided together; more than a register holds, which hides the multiplier's latency
)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_ALWAYS = _ALL  # the fraction that stands for p = 1: no float64 below 1 comes so near
_ZERO, _ONE, _TWO, _EIGHT, _HALF, _TOP, _BYTE = (np.uint64(n) for n in (0, 1, 2, 8, 32, 63, 255))
_philox = inline(philox4x32)


@jit
def draw_spikes(
    fractions: NDArray[np.uint64],
    keys: NDArray[np.uint64],
    purpose: np.uint64,
    first_step: int,
    steps: int,
    bits: Bits,
) -> None:
    """Write the spikes of probabilities (sample, unit), as fractions, to zeroed bits (sample, unit, byte).

    `keys` are the samples' Philox keys, uint64 (sample, 2); steps before `first_step`, 0 to 63, never spike.
    """
    samples, units = fractions.shape
    width = bits.shape[2]
    # One array for both: with two, LLVM checks them for overlap and does not vectorise.
    lane = np.empty(2 * _LANES, np.uint64)  # [0, 8) undecided steps, [8, 16) spikes
    for n in range(samples):
        k0, k1 = keys[n, 0], keys[n, 1]
        for unit in range(units):
            fraction = fractions[n, unit]
            if fraction == _ZERO:
                continue
            for first in range(0, width, 8 * _LANES):  # byte; 8 bytes a block
                block = first // 8
                for j in range(_LANES):
                    left = steps - 64 * (block + j)
                    undecided = _ALL if left >= 64 else (_ONE << np.uint64(max(left, 0))) - _ONE
                    if block + j == 0:
                        undecided &= _ALL << np.uint64(first_step)
                    lane[j] = undecided
                    lane[_LANES + j] = undecided if fraction == _ALWAYS else _ZERO
                digits = _ZERO if fraction == _ALWAYS else fraction
                depth = _ZERO
                while digits != _ZERO:  # where p has only zeros left, no undecided u is below it
                    one = _ZERO - (digits >> _TOP)  # p's digit, in all 64 lanes
                    next_one = _ZERO - (digits << _ONE >> _TOP)
                    open_steps = _ZERO
                    for j in range(_LANES):
                        x0, x1, x2, x3 = _philox(
                            np.uint64(unit), np.uint64(block + j), depth, purpose, k0, k1
                        )
                        u, next_u = x0 << _HALF | x1, x2 << _HALF | x3
                        undecided = lane[j]
                        below = undecided & one & ~u
                        undecided &= ~(u ^ one)
                        below |= undecided & next_one & ~next_u
                        undecided &= ~(next_u ^ next_one)
                        lane[j] = undecided
                        lane[_LANES + j] |= below
                        open_steps |= undecided
                    if open_steps == _ZERO:
                        break
                    digits <<= _TWO
                    depth += _ONE
                for start in range(first, min(first + 8 * _LANES, width), 8):
                    word = lane[_LANES + (start - first) // 8]
                    for byte in range(start, min(start + 8, width)):
                        bits[n, unit, byte] = np.uint8(word & _BYTE)
                        word >>= _EIGHT


def to_fractions(p: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Return floor(p 2⁶⁴) as uint64, with `_ALWAYS` for p = 1."""
    below_one = np.minimum(p, np.nextafter(1.0, 0.0))
    return np.where(p < 1.0, np.ldexp(below_one, 64).astype(np.uint64), _ALWAYS)


def bernoulli_reference(
    p: NDArray[np.float64], steps: int, rng: SampleKey, purpose: np.uint64
) -> NDArray[np.bool_]:
    """Return the spikes that `draw_spikes` draws, bool (time, unit), in plain NumPy: every u is compared with p.

    `p` are the probabilities of a spike in a step, float64 (unit,).
    """
    k0, k1 = (np.uint64(word) for word in rng.philox_key())
    unit = np.arange(p.size, dtype=np.uint64)[:, None]
    block = np.arange(-(-steps // 64), dtype=np.uint64)[None, :]
    u = np.zeros((p.size, 64 * block.size), np.uint64)
    for digit in range(64):
        x = philox4x32(unit, block, np.uint64(digit // 2), purpose, k0, k1)
        high, low = x[2:] if digit % 2 else x[:2]
        word = (high << _HALF | low).astype("<u8")
        drawn = np.unpackbits(word.view(np.uint8), axis=-1, bitorder="little")
        u |= drawn.astype(np.uint64) << np.uint64(63 - digit)
    fraction = to_fractions(p)[:, None]
    spikes: NDArray[np.bool_] = ((u < fraction) | (fraction == _ALWAYS)).T[:steps]
    return spikes
