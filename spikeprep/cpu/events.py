"""Packed bits and spike masks → events, the sparse form that layers read.

Layouts (C order)
    packed bits       uint8 [sample, unit, byte]
    spike masks       uint32 [sample, step, tile]; bit k is neuron tile · LANES + k
    events by step    step_ptr [sample, step + 1] → units
    events by unit    unit_ptr [sample, unit + 1] → times
A pointer array indexes one flat list over the whole batch. Each kernel works on samples first … last−1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._jit import inline, jit
from .._simd import LANES, load_word, ones, trailing_zeros


@jit
def _last_word(flat: Any, at: int, left: int) -> Any:
    """Return the `left` < 64 steps that start at byte `at`, where eight bytes may reach past the array."""
    word = np.uint64(0)
    for c in range(min(8, flat.size - at)):
        word |= np.uint64(flat[at + c]) << np.uint64(8 * c)
    return word & ((np.uint64(1) << np.uint64(left)) - np.uint64(1))


@inline
def _word(flat: Any, at: int, left: int) -> Any:
    """Return the next 64 steps of a train, from byte `at` on; cleared past the `left` that remain."""
    if left >= 64:
        return load_word(flat, at)
    if at + 8 <= flat.size:
        return load_word(flat, at) & ((np.uint64(1) << np.uint64(left)) - np.uint64(1))
    return _last_word(flat, at, left)


@jit
def counts_from_bits(bits: Any, steps: Any, counts: Any, first: int, last: int) -> None:
    """Write counts [sample, unit] of packed bits uint8 [sample, unit, byte]."""
    units, width = bits.shape[1], bits.shape[2]
    flat = bits.reshape(-1)
    for b in range(first, last):
        length = np.int64(steps[b])
        for j in range(units):
            row, count = (b * units + j) * width, 0
            for t in range(0, length, 64):
                count += ones(_word(flat, row + (t >> 3), length - t))
            counts[b, j] = count


@jit
def times_from_bits(bits: Any, steps: Any, unit_ptr: Any, times: Any, first: int, last: int) -> None:
    """Write `times` (events by unit) from packed bits."""
    units, width = bits.shape[1], bits.shape[2]
    flat = bits.reshape(-1)
    for b in range(first, last):
        length = np.int64(steps[b])
        for j in range(units):
            at, row = unit_ptr[b, j], (b * units + j) * width
            if at == unit_ptr[b, j + 1]:
                continue
            for t in range(0, length, 64):
                word = _word(flat, row + (t >> 3), length - t)
                while word:
                    times[at] = t + trailing_zeros(word)
                    word &= word - np.uint64(1)
                    at += 1


@jit
def units_from_times(unit_ptr: Any, times: Any, step_ptr: Any, units: Any, first: int, last: int) -> None:
    """Write `step_ptr` and `units` (events by step) from events by unit: a counting sort, units ascending."""
    steps = step_ptr.shape[1] - 1
    fill = np.empty(steps, np.int64)
    for b in range(first, last):
        start, stop = unit_ptr[b, 0], unit_ptr[b, unit_ptr.shape[1] - 1]
        fill[:] = 0
        for n in range(start, stop):
            fill[times[n]] += 1
        at = start
        for t in range(steps):
            step_ptr[b, t] = at
            at += fill[t]
            fill[t] = step_ptr[b, t]
        step_ptr[b, steps] = at
        for j in range(unit_ptr.shape[1] - 1):
            for n in range(unit_ptr[b, j], unit_ptr[b, j + 1]):
                t = times[n]
                units[fill[t]] = j
                fill[t] += 1


@jit
def totals_from_masks(masks: Any, totals: Any, first: int, last: int) -> None:
    """Write totals [sample], the spikes of each."""
    for b in range(first, last):
        total = np.int64(0)
        flat = masks[b].reshape(-1)
        for n in range(flat.size):
            total += ones(flat[n])
        totals[b] = total


@jit
def units_from_masks(
    masks: Any, starts: Any, step_ptr: Any, units: Any, counts: Any, first: int, last: int
) -> None:
    """Write `step_ptr` and `units` (events by step), and counts [sample, unit]; sample b's list starts at starts[b]."""
    tiles = masks.shape[2]
    fired = np.empty(tiles + 1, np.int64)
    for b in range(first, last):
        counts[b, :] = 0
        at = starts[b]
        for t in range(masks.shape[1]):
            step_ptr[b, t] = at
            number = 0
            for tile in range(
                tiles
            ):  # list those with spikes, without a branch that a processor could not guess
                fired[number] = tile
                number += masks[b, t, tile] != 0
            for n in range(number):
                first_unit, mask = fired[n] * LANES, masks[b, t, fired[n]]
                while mask:
                    unit = first_unit + trailing_zeros(mask)
                    units[at] = unit
                    counts[b, unit] += 1
                    mask &= mask - np.uint32(1)
                    at += 1
        step_ptr[b, masks.shape[1]] = at


@jit
def pointers_from_counts(counts: Any, starts: Any, unit_ptr: Any, first: int, last: int) -> None:
    """Write `unit_ptr` from counts [sample, unit]; sample b's list starts at starts[b]."""
    for b in range(first, last):
        at = starts[b]
        for j in range(counts.shape[1]):
            unit_ptr[b, j] = at
            at += counts[b, j]
        unit_ptr[b, counts.shape[1]] = at


@jit
def times_from_units(step_ptr: Any, units: Any, unit_ptr: Any, times: Any, first: int, last: int) -> None:
    """Write `times` (events by unit) from events by step: a counting sort, times ascending."""
    fill = np.empty(unit_ptr.shape[1] - 1, np.int64)
    for b in range(first, last):
        for j in range(fill.size):  # to assign a slice takes Numba two seconds: the message of unequal shapes
            fill[j] = unit_ptr[b, j]
        for t in range(step_ptr.shape[1] - 1):
            for n in range(step_ptr[b, t], step_ptr[b, t + 1]):
                j = units[n]
                times[fill[j]] = t
                fill[j] += 1


@jit
def active_units(unit_ptr: Any, active: Any, first: int, last: int) -> None:
    """List the units of each sample that fired in active [sample, unit], −1 after the last."""
    for b in range(first, last):
        n = 0
        for j in range(active.shape[1]):
            if unit_ptr[b, j] < unit_ptr[b, j + 1]:
                active[b, n] = j
                n += 1
        active[b, n:] = -1


@jit
def trace(step_ptr: Any, units: Any, steps: Any, decay: Any, traces: Any, first: int, last: int) -> None:
    """Add decay[steps − 1 − t] of every event to traces [sample, unit]."""
    for b in range(first, last):
        length = np.int64(steps[b])
        for t in range(length):
            value = decay[length - 1 - t]
            for n in range(step_ptr[b, t], step_ptr[b, t + 1]):
                traces[b, units[n]] += value


# ---------------------------------------------------------------- layers on a grid (`grids`)


@jit
def end_tile(reached: Any, masks: Any, ptr: Any, times: Any, at: int, fired: Any, fill: Any) -> Any:
    """Append the events of one tile, if any spike has `reached` it; return `times` and where the next tile begins.

    Arguments as of `add_tile`; ptr [lane + 1] is written in any case.
    """
    if reached:
        times = add_tile(masks, ptr, times, at, fired, fill)
    else:
        ptr[:] = at
    return times, ptr[LANES]


@jit
def add_tile(masks: Any, ptr: Any, times: Any, at: int, fired: Any, fill: Any) -> Any:
    """Append the events of one tile, by lane, to `times` from `at` on; return `times`, grown where it is full.

    masks [step]; ptr [lane + 1] is written. Scratch: `fired` [step + 1], `fill` [lane].
    """
    fill[:] = 0
    steps = 0
    for t in range(
        masks.size
    ):  # list the steps with spikes, without a branch that a processor could not guess
        fired[steps] = t
        steps += masks[t] != 0
    for n in range(steps):
        mask = masks[fired[n]]
        while mask:
            fill[trailing_zeros(mask)] += 1
            mask &= mask - np.uint32(1)
    for k in range(LANES):
        ptr[k] = at
        at += fill[k]
        fill[k] = ptr[k]
    ptr[LANES] = at
    if at > times.size:
        grown = np.empty(2 * at, times.dtype)
        for n in range(times.size):
            grown[n] = times[n]
        times = grown
    for n in range(steps):
        t = fired[n]
        mask = masks[t]
        masks[t] = 0
        while mask:
            k = trailing_zeros(mask)
            times[fill[k]] = t
            fill[k] += 1
            mask &= mask - np.uint32(1)
    return times


@jit
def counts_from_lanes(ptr: Any, lanes: Any, counts: Any) -> int:
    """Write counts [unit] of a sample from its events by lane; return how many are not 0. Unit j is lane lanes[j]."""
    active = 0
    for j in range(lanes.size):
        counts[j] = ptr[lanes[j] + 1] - ptr[lanes[j]]
        active += counts[j] > 0
    return active


@jit
def units_from_lanes(
    lane_ptr: Any, lane_times: Any, lanes: Any, unit_ptr: Any, times: Any, first: int, last: int
) -> None:
    """Write `times` (events by unit) from events by lane; unit j is lane lanes[j]."""
    for b in range(first, last):
        for j in range(lanes.size):
            at = unit_ptr[b, j]
            for n in range(lane_ptr[b, lanes[j]], lane_ptr[b, lanes[j] + 1]):
                times[at] = lane_times[n]
                at += 1
