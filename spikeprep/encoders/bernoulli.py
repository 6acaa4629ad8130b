"""Bernoulli draws of spikes, by bit-sliced comparison of 64 steps at a time, of eight blocks of steps together.

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

from typing import Any

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
    _draw(fractions, keys, purpose, first_step, steps, bits, np.zeros(5 * _LANES, np.uint64))


@jit
def _draw(fractions: Any, keys: Any, purpose: Any, first_step: int, steps: int, bits: Any, lane: Any) -> None:
    """Do so; `lane` is scratch: one array for all, since with more LLVM checks for overlap and does not vectorise.

    [0, 8) undecided steps, [8, 16) spikes, [16, 24) digits of p that are left, [24, 32) unit, [32, 40) block
    """
    samples, units = fractions.shape
    width = bits.shape[2]
    blocks = (width + 7) // 8
    for n in range(samples):
        k0, k1 = keys[n, 0], keys[n, 1]
        unit, block = 0, 0
        while unit < units:
            filled = 0
            while filled < _LANES and unit < units:  # the next blocks of units that may spike
                fraction = fractions[n, unit]
                if fraction == _ZERO:
                    unit += 1
                    continue
                left = steps - 64 * block
                undecided = _ALL if left >= 64 else (_ONE << np.uint64(max(left, 0))) - _ONE
                if block == 0:
                    undecided &= _ALL << np.uint64(first_step)
                always = fraction == _ALWAYS
                lane[filled] = _ZERO if always else undecided
                lane[_LANES + filled] = undecided if always else _ZERO
                lane[2 * _LANES + filled] = _ZERO if always else fraction
                lane[3 * _LANES + filled] = np.uint64(unit)
                lane[4 * _LANES + filled] = np.uint64(block)
                filled += 1
                block += 1
                if block == blocks:
                    unit, block = unit + 1, 0
            for j in range(filled, _LANES):
                lane[j] = _ZERO
                lane[2 * _LANES + j] = _ZERO
            depth = _ZERO
            while True:
                open_steps = _ZERO
                for j in range(_LANES):
                    digits = lane[2 * _LANES + j]
                    one = _ZERO - (digits >> _TOP)  # p's digit, in all 64 steps
                    next_one = _ZERO - (digits << _ONE >> _TOP)
                    digits <<= _TWO
                    x0, x1, x2, x3 = _philox(
                        lane[3 * _LANES + j], lane[4 * _LANES + j], depth, purpose, k0, k1
                    )
                    u, next_u = x0 << _HALF | x1, x2 << _HALF | x3
                    undecided = lane[j]
                    below = undecided & one & ~u
                    undecided &= ~(u ^ one)
                    below |= undecided & next_one & ~next_u
                    undecided &= ~(next_u ^ next_one)
                    # where p has only zeros left, no undecided u is below it
                    undecided &= _ZERO - np.uint64(digits != _ZERO)
                    lane[j] = undecided
                    lane[_LANES + j] |= below
                    lane[2 * _LANES + j] = digits
                    open_steps |= undecided
                if open_steps == _ZERO:
                    break
                depth += _ONE
            for j in range(filled):
                word, first = lane[_LANES + j], np.int64(_EIGHT * lane[4 * _LANES + j])
                at = np.int64(lane[3 * _LANES + j])
                for byte in range(first, min(first + 8, width)):
                    bits[n, at, byte] = np.uint8(word & _BYTE)
                    word >>= _EIGHT


def to_fractions(p: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Return floor(p 2⁶⁴) as uint64, with `_ALWAYS` for p = 1."""
    below_one = np.minimum(p, np.nextafter(1.0, 0.0))
    return np.where(p < 1.0, (below_one * 2.0**64).astype(np.uint64), _ALWAYS)


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
