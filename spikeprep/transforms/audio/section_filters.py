"""A bank of filters, each a cascade of second-order sections, and the sums of their outputs over blocks of time.

Channels lie in the lanes of vectors. Time is processed in pieces: of a piece and a vector of channels, two sections at
a time run over all its samples with coefficients and state in registers, and their output is the next two's input. What
limits a section is that its state waits for the sample before, three operations; two sections overlap.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._jit import jit
from ..._simd import LINE, aligned_zeros, larger, load_line, spread_line, store

WIDTH = LINE // 8
"""Channels in a vector of float64."""

_ROWS = 14  # of two sections: b0 b1 b2 a1 a2 of each, then two states of each
_PIECE = 256  # samples in a piece, 16 KiB of a vector each
_NOISE = 1e-120  # too weak to change a sample, unless it is 0; its square is a normal number


@jit
def _sums(
    samples: NDArray[np.float64],
    table: NDArray[np.float64],
    row: int,
    pairs: int,
    even: int,
    odd: int,
    squared: bool,
    buffer: NDArray[np.float64],
    total: NDArray[np.float64],
    sums: NDArray[np.float64],
) -> None:
    """Write the sum of each block and channel, (block, channel); `table` has `_ROWS` rows for each two sections."""
    zero = spread_line(0.0)
    begin = 0
    for k in range(sums.shape[0]):
        end = begin + (odd if k % 2 else even)
        for v in range(0, row, WIDTH):
            store(total, v, zero)
        for start in range(begin, end, _PIECE):
            length = min(_PIECE, end - start)
            for v in range(0, row, WIDTH):
                for pair in range(pairs):
                    at = pair * _ROWS * row + v
                    b0, b1, b2 = (
                        load_line(table, at),
                        load_line(table, at + row),
                        load_line(table, at + 2 * row),
                    )
                    a1, a2 = load_line(table, at + 3 * row), load_line(table, at + 4 * row)
                    c0, c1 = load_line(table, at + 5 * row), load_line(table, at + 6 * row)
                    c2 = load_line(table, at + 7 * row)
                    d1, d2 = load_line(table, at + 8 * row), load_line(table, at + 9 * row)
                    s1, s2 = load_line(table, at + 10 * row), load_line(table, at + 11 * row)
                    t1, t2 = load_line(table, at + 12 * row), load_line(table, at + 13 * row)
                    first = pair == 0
                    for m in range(length):  # transposed direct form II
                        x = spread_line(samples[start + m]) if first else load_line(buffer, m * WIDTH)
                        y = b0 * x + s1
                        s1 = (b1 * x + s2) - a1 * y
                        s2 = b2 * x - a2 * y
                        z = c0 * y + t1
                        t1 = (c1 * y + t2) - d1 * z
                        t2 = c2 * y - d2 * z
                        store(buffer, m * WIDTH, z)
                    store(table, at + 10 * row, s1)
                    store(table, at + 11 * row, s2)
                    store(table, at + 12 * row, t1)
                    store(table, at + 13 * row, t2)
                added = load_line(total, v)
                for m in range(length):
                    y = load_line(buffer, m * WIDTH)
                    added = added + (y * y if squared else larger(y, zero))
                store(total, v, added)
        for channel in range(sums.shape[1]):
            sums[k, channel] = total[channel]
        begin = end


def block_sums(
    samples: NDArray[np.floating[Any]], sections: NDArray[np.float64], lengths: tuple[int, int], squared: bool
) -> NDArray[np.float64]:
    """Return the sum of y², or of max(y, 0), over blocks of the outputs y of a bank of filters.

    Parameters
    ----------
    samples
        The sound, (time,). A tail that fills no block is left out.
    sections
        Coefficients b0 b1 b2 a1 a2 of each channel's sections, float64 (section, 5, channel); a0 is 1.
    lengths
        Samples in the blocks 0, 2, 4, … and in those between, at least 1 each.
    squared
        Whether outputs are squared, or else half-wave rectified.

    Returns
    -------
    float64 (block, channel)
    """
    number, _, channels = sections.shape
    pairs, row = -(-number // 2), -(-channels // WIDTH) * WIDTH
    table = aligned_zeros((pairs, 2, 5, row), np.float64)
    table[:, :, 0] = 1  # of a section that fills up a pair: the output is the input
    for n, section in enumerate(sections):
        table[n // 2, n % 2, :, :channels] = section
    rows = aligned_zeros((pairs, _ROWS, row), np.float64)
    rows[:, :10] = table.reshape(pairs, 10, row)
    # in silence states would decay to subnormal numbers, which are slow
    sound = samples.astype(np.float64)
    sound[::2] += _NOISE
    sound[1::2] -= _NOISE
    sums = np.empty((_whole_blocks(samples.size, lengths), channels))
    buffer, total = aligned_zeros((_PIECE * WIDTH,), np.float64), aligned_zeros((row,), np.float64)
    _sums(sound, rows.reshape(-1), row, pairs, *lengths, squared, buffer, total, sums)
    return sums


def _whole_blocks(samples: int, lengths: tuple[int, int]) -> int:
    both, rest = divmod(samples, sum(lengths))
    return 2 * both + (rest >= lengths[0])


def block_sums_reference(
    samples: NDArray[np.floating[Any]], sections: NDArray[np.float64], lengths: tuple[int, int], squared: bool
) -> NDArray[np.float64]:
    """Return `block_sums`, filtered by SciPy channel by channel."""
    from scipy.signal import sosfilt

    blocks, channels = _whole_blocks(samples.size, lengths), sections.shape[2]
    starts = np.cumsum([0, *(lengths[n % 2] for n in range(blocks))])
    sums = np.empty((blocks, channels))
    for channel in range(channels if blocks else 0):
        b, a = sections[:, :3, channel], sections[:, 3:, channel]
        sos = np.ascontiguousarray(np.concatenate([b, np.ones((len(b), 1)), a], axis=1))
        y = sosfilt(sos, samples[: starts[-1]].astype(np.float64))
        sums[:, channel] = np.add.reduceat(y**2 if squared else np.maximum(y, 0), starts[:-1])
    return sums


def response(
    sections: NDArray[np.float64], hertz: NDArray[np.float64], rate: float
) -> NDArray[np.complex128]:
    """Return the frequency response of each channel at a frequency of its own, (channel,), or at all of (…, 1)."""
    z = np.exp(-2j * np.pi * hertz / rate)
    b0, b1, b2, a1, a2 = sections.transpose(1, 0, 2)
    shape = (-1,) + (1,) * (z.ndim - 1) + (sections.shape[2],)
    b0, b1, b2, a1, a2 = (c.reshape(shape) for c in (b0, b1, b2, a1, a2))
    return np.asarray(np.prod((b0 + b1 * z + b2 * z**2) / (1 + a1 * z + a2 * z**2), axis=0))
