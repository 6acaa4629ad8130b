"""Packed bits and spike masks → events, the sparse form that layers read.

Layouts (C order)
    packed bits       uint8 [sample, unit, byte]
    spike masks       uint32 [sample, step, tile]; bit k is neuron tile · LANES + k
    events by step    step_ptr [sample, step + 1] → units
    events by unit    unit_ptr [sample, unit + 1] → times
    active            [sample, unit]: the units that have events, −1 after the last
A pointer array indexes one flat list over the whole batch. Each thread that runs a kernel takes samples from its queue.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._jit import inline, jit
from .._simd import LANES, load_word, ones, trailing_zeros
from .queue import take


@inline
def _word(flat: Any, at: int, left: int) -> Any:
    """Return the next 64 steps of a train, from byte `at` on; cleared past the `left` that remain.

    `flat` has 8 bytes or more.
    """
    beyond = at + 8 - flat.size  # bytes that are not there: what is ahead of `at` is read and shifted out
    if beyond < 0:
        beyond = 0
    word = load_word(flat, at - beyond) >> np.uint64(8 * beyond)
    if left < 64:
        word &= (np.uint64(1) << np.uint64(left)) - np.uint64(1)
    return word


@jit
def counts_from_bits(flat: Any, width: int, steps: Any, counts: Any, queue: Any) -> None:
    """Write counts [sample, unit] of packed bits, `width` bytes a unit, in one flat array of 8 bytes or more."""
    units = counts.shape[1]
    b = take(queue)
    while b < counts.shape[0]:
        length = np.int64(steps[b])
        for j in range(units):
            row, count = (b * units + j) * width, 0
            for t in range(0, length, 64):
                count += ones(_word(flat, row + (t >> 3), length - t))
            counts[b, j] = count
        b = take(queue)


@jit
def list_units(counts: Any, start: int, unit_ptr: Any, active: Any) -> None:
    """Write `unit_ptr` [unit + 1] and the `active` units [unit] of one sample, whose events begin at `start`."""
    at, n = start, 0
    for j in range(counts.size):
        unit_ptr[j] = at
        if counts[j] > 0:
            active[n] = j
            n += 1
        at += counts[j]
    unit_ptr[counts.size] = at
    for j in range(n, counts.size):
        active[j] = -1


@jit
def units_from_counts(counts: Any, starts: Any, unit_ptr: Any, active: Any, queue: Any) -> None:
    """Write `unit_ptr` and `active` from counts [sample, unit]; sample b's events begin at starts[b]."""
    b = take(queue)
    while b < counts.shape[0]:
        list_units(counts[b], starts[b], unit_ptr[b], active[b])
        b = take(queue)


@jit
def times_from_bits(
    flat: Any, width: int, steps: Any, counts: Any, starts: Any, unit_ptr: Any, times: Any, active: Any, queue: Any
) -> None:  # fmt: skip
    """Write events by unit from packed bits; arguments as of `counts_from_bits` and `units_from_counts`."""
    units = counts.shape[1]
    b = take(queue)
    while b < counts.shape[0]:
        length = np.int64(steps[b])
        list_units(counts[b], starts[b], unit_ptr[b], active[b])
        for j in range(units):
            if counts[b, j] > 0:
                at, row = unit_ptr[b, j], (b * units + j) * width
                for t in range(0, length, 64):
                    word = _word(flat, row + (t >> 3), length - t)
                    while word:
                        times[at] = t + trailing_zeros(word)
                        word &= word - np.uint64(1)
                        at += 1
        b = take(queue)


@jit
def units_from_times(unit_ptr: Any, times: Any, step_ptr: Any, units: Any, queue: Any) -> None:
    """Write `step_ptr` and `units` (events by step) from events by unit: a counting sort, units ascending."""
    last, steps = unit_ptr.shape[1] - 1, step_ptr.shape[1] - 1
    b = take(queue)
    while b < unit_ptr.shape[0]:
        for t in range(steps):
            step_ptr[b, t] = 0
        for n in range(unit_ptr[b, 0], unit_ptr[b, last]):
            step_ptr[b, times[n]] += 1
        at = unit_ptr[b, 0]
        for t in range(steps):
            at += step_ptr[b, t]
            step_ptr[b, t] = at
        step_ptr[b, steps] = at
        for j in range(last - 1, -1, -1):  # each step's list is filled from its end on
            for n in range(unit_ptr[b, j], unit_ptr[b, j + 1]):
                at = step_ptr[b, times[n]] - 1
                step_ptr[b, times[n]] = at
                units[at] = j
        b = take(queue)


@jit
def totals_from_masks(masks: Any, totals: Any, queue: Any) -> None:
    """Write totals [sample], the spikes of each, from masks [sample, step · tile]."""
    b = take(queue)
    while b < masks.shape[0]:
        total = 0
        for n in range(masks.shape[1]):
            total += ones(masks[b, n])
        totals[b] = total
        b = take(queue)


@jit
def units_from_masks(
    masks: Any, starts: Any, step_ptr: Any, units: Any, counts: Any, fired: Any, queue: Any
) -> None:
    """Write `step_ptr` and `units` (events by step), and counts [sample, unit]; sample b's list begins at starts[b].

    `fired` [tile + 1] is scratch.
    """
    tiles = masks.shape[2]
    b = take(queue)
    while b < masks.shape[0]:
        for j in range(counts.shape[1]):
            counts[b, j] = 0
        at = starts[b]
        for t in range(masks.shape[1]):
            step_ptr[b, t] = at
            number = 0
            # list those with spikes, without a branch that a processor could not guess
            for tile in range(tiles):
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
        b = take(queue)


@jit
def times_from_units(
    step_ptr: Any, units: Any, counts: Any, starts: Any, unit_ptr: Any, times: Any, active: Any, queue: Any
) -> None:
    """Write events by unit from events by step: a counting sort, times ascending.

    `counts` and `starts` as of `units_from_counts`.
    """
    b = take(queue)
    while b < counts.shape[0]:
        ends = unit_ptr[b, 1:]
        list_units(counts[b], starts[b], unit_ptr[b], active[b])
        for t in range(step_ptr.shape[1] - 2, -1, -1):
            for n in range(step_ptr[b, t], step_ptr[b, t + 1]):
                at = ends[units[n]] - 1
                ends[units[n]] = at
                times[at] = t
        for j in range(counts.shape[1]):  # each list was filled from its end on
            ends[j] += counts[b, j]
        b = take(queue)


@jit
def trace(step_ptr: Any, units: Any, steps: Any, decay: Any, traces: Any, queue: Any) -> None:
    """Add decay[steps − 1 − t] of every event to traces [sample, unit]."""
    b = take(queue)
    while b < traces.shape[0]:
        length = np.int64(steps[b])
        for t in range(length):
            value = decay[length - 1 - t]
            for n in range(step_ptr[b, t], step_ptr[b, t + 1]):
                traces[b, units[n]] += value
        b = take(queue)


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
    lane_ptr: Any, lane_times: Any, lanes: Any, counts: Any, starts: Any, unit_ptr: Any, times: Any, active: Any,
    queue: Any,
) -> None:  # fmt: skip
    """Write events by unit from events by lane; unit j is lane lanes[j]."""
    b = take(queue)
    while b < counts.shape[0]:
        list_units(counts[b], starts[b], unit_ptr[b], active[b])
        for j in range(lanes.size):
            at = unit_ptr[b, j]
            for n in range(lane_ptr[b, lanes[j]], lane_ptr[b, lanes[j] + 1]):
                times[at] = lane_times[n]
                at += 1
        b = take(queue)
