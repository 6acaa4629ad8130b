"""Spike-train PSPs from the pre side: traces of the pre units that fire, sampled where a post neuron fires.

The sum of docs/hm2bp.md section 2 over the pre spikes t' of one firing f, with E = f − R, L the firing before (none for
the first), C = f − W − 1 (W the window), B = max(L, C), collapses to

    D(E) − e^{−(E − B)/τm} D(B) − α(E − B) e^{−(B − C)/τs} S(C)

where S(t) = Σ_{t' <= t} e^{−(t − t')/τs} and D(t) = Σ_{t' <= t} α(t − t') are traces of the pre train (t' >= 1). It is
the dual of the gate (section 8): it costs per post spike what the gate costs per pre spike.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._jit import jit
from .._simd import LANES, PART, load, load_part, spread, spread_part, store
from ..data import NeuronParams, PspParams


class Decays(NamedTuple):
    """What traces are made with; arrays by number of steps."""

    membrane: NDArray[Any]  # e^{−x/τm}
    synapse: NDArray[Any]  # e^{−x/τs}
    alpha: NDArray[Any]
    membrane_step: Any
    synapse_step: Any
    norm: Any
    zero: Any
    one: Any


def decays_of(neuron: NeuronParams, psp: PspParams, steps: int, dtype: np.dtype[Any]) -> Decays:
    """Return decays over up to `steps` steps in a working precision."""
    x, real = np.arange(steps + 1.0), dtype.type
    membrane, synapse = np.exp(-x / neuron.tau_m), np.exp(-x / neuron.tau_s)
    norm = 1 / (1 - neuron.tau_s / neuron.tau_m)
    return Decays(
        membrane.astype(dtype), synapse.astype(dtype), (norm * (membrane - synapse)).astype(dtype),
        real(math.exp(-1 / neuron.tau_m)), real(math.exp(-1 / neuron.tau_s)), real(norm), real(0), real(1),
    )  # fmt: skip


def table_size(active: int, steps: int, psp: PspParams) -> int:
    """Return the elements of a `trace_table` of `active` pre units over `steps` steps."""
    slow = 0 if psp.window is None else max(0, steps - psp.window - 1)
    return (-(-(active + PART) // LANES) * LANES) * (steps + slow)


@jit
def trace_table(
    ptr: Any, times: Any, lanes: Any, active: int, steps: int, psp: Any, decays: Any, table: Any
) -> int:
    """Write D of every step, then S of those that can leave the window, [step · column]; return the columns.

    There is a column for each active pre unit, and at least `PART` more.
    """
    columns = (active + PART + LANES - 1) // LANES * LANES
    slow, leaving = steps * columns, max(0, steps - psp.window - 1)
    table[:slow] = decays.zero
    for n in range(active):
        for k in range(ptr[lanes[n]], ptr[lanes[n] + 1]):
            if times[k]:
                table[times[k] * columns + n] = decays.one
    decay_m, decay_s, norm = spread(decays.membrane_step), spread(decays.synapse_step), spread(decays.norm)
    for column in range(0, columns, LANES):
        trace_m = trace_s = spread(decays.zero)
        for t in range(steps):
            at = t * columns + column
            spikes = load(table, at)
            trace_m = trace_m * decay_m + spikes
            trace_s = trace_s * decay_s + spikes
            store(table, at, norm * (trace_m - trace_s))
            if t < leaving:
                store(table, slow + at, trace_s)
    return columns


@jit
def firing_terms(
    times: Any,
    start: int,
    stop: int,
    steps: int,
    psp: Any,
    decays: Any,
    columns: int,
    terms: Any,
    shares: Any,
) -> int:
    """List what a neuron's firings sample of a trace table: rows in `terms`, their factors in `shares`.

    Return their number, which is even.
    """
    before, count = np.int64(-1), 0
    for n in range(start, stop):
        f = np.int64(times[n])
        last, leaving = f - psp.refractory, f - psp.window - 1
        reset = max(before, leaving)
        if last > 0:
            terms[count], shares[count] = last * columns, decays.one
            count += 1
        if reset > 0:
            terms[count], shares[count] = reset * columns, -decays.membrane[last - reset]
            count += 1
        if leaving > 0:
            terms[count] = (steps + leaving) * columns
            shares[count] = -decays.alpha[last - reset] * decays.synapse[reset - leaving]
            count += 1
        before = f
    if count % 2:
        terms[count], shares[count] = 0, decays.zero
        count += 1
    return count


@jit
def traced_psps(table: Any, terms: Any, shares: Any, count: int, parts: Any, size: int, e: Any) -> None:
    """Write e of one post neuron, a part of pre units behind the other (see `grids.units_in_window`).

    Four parts at a time, so that a term is read once for all of them; `parts` has room for three more.
    """
    parts[size : size + 3] = 0
    for part in range(0, size, 4):
        a, b, c, d = parts[part], parts[part + 1], parts[part + 2], parts[part + 3]
        sum_a = sum_b = sum_c = sum_d = spread_part(e.dtype.type(0))
        if part + 1 == size:
            for n in range(0, count, 2):
                sum_a = sum_a + spread_part(shares[n]) * load_part(table, terms[n] + a)
                sum_b = sum_b + spread_part(shares[n + 1]) * load_part(table, terms[n + 1] + a)
            sum_a = sum_a + sum_b
        else:
            for n in range(count):
                share, row = spread_part(shares[n]), terms[n]
                sum_a = sum_a + share * load_part(table, row + a)
                sum_b = sum_b + share * load_part(table, row + b)
                sum_c = sum_c + share * load_part(table, row + c)
                sum_d = sum_d + share * load_part(table, row + d)
        store(e, part * PART, sum_a)
        store(e, (part + 1) * PART, sum_b)
        store(e, (part + 2) * PART, sum_c)
        store(e, (part + 3) * PART, sum_d)


@jit
def merged_psp(
    times: Any, begin: int, end: int, post_times: Any, start: int, stop: int, psp: Any, decays: Any
) -> Any:
    """Return e of one pair of neurons from their spikes in order; a pre spike is met once by α, S(L) and S(C) each."""
    while begin < end and times[begin] < 1:
        begin += 1
    e = at_reset = at_edge = decays.zero  # the sum, S(L) and S(C)
    reset, edge = np.int64(0), np.int64(0)  # L and C
    fresh, left = begin, begin  # the first pre spikes after L and after C
    for n in range(start, stop):
        f = np.int64(post_times[n])
        last, leaving = f - psp.refractory, f - psp.window - 1
        if n > start:
            before = np.int64(post_times[n - 1])
            at_reset, fresh = _trace_at(times, fresh, end, before, reset, at_reset, decays)
            reset = before
            if last >= reset and leaving < reset:
                held = at_reset
                if leaving > 0:
                    at_edge, left = _trace_at(times, left, end, leaving, edge, at_edge, decays)
                    edge = leaving
                    held -= decays.synapse[reset - leaving] * at_edge
                e += decays.alpha[last - reset] * held
        for k in range(fresh, end):
            t = np.int64(times[k])
            if t > last:
                break
            if t > leaving:
                e += decays.alpha[last - t]
    return e


@jit
def _trace_at(times: Any, at: int, end: int, now: int, then: int, trace: Any, decays: Any) -> Any:
    """Return S at step `now` from S at step `then`, and the first spike after `now`; `at` is the first after `then`."""
    trace = trace * decays.synapse[now - then]
    while at < end and times[at] <= now:
        trace += decays.synapse[now - times[at]]
        at += 1
    return trace, at
