"""Neurons, gates and spike-train PSPs in Numba, one tile of `LANES` neurons at a time.

Layouts (C order, flattened by the caller where a kernel takes 1-D arrays)
    drive, gates          [step, lane] of one tile and sample
    spike masks, events   see `events`
Lanes past the layer's last neuron never fire. Each kernel works on the range of work items that it is given and adds in
an order that does not depend on that range: results are the same for any number of threads.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .._jit import jit
from .._simd import LANES, LINE, above, load, load_line, ones, select, spread, spread_line, store, sum_rows
from ..data import NeuronParams, PspParams
from .queue import take


class Neuron(NamedTuple):
    """`NeuronParams` as a kernel wants them: scalars of the working precision, so that nothing widens."""

    threshold: Any  # ν − slack
    never: Any  # infinity: the threshold of lanes that are no neurons
    keep_m: Any  # 1 − 1/τ_m
    keep_s: Any  # 1 − 1/τ_s
    gain: Any  # 1/τ_s
    refractory: Any
    zero: Any
    one: Any


class Psp(NamedTuple):
    """The spike-train PSP's constants; times in steps."""

    decay_m: Any  # e^{−1/τ_m}
    decay_s: Any
    norm: Any  # 1 / (1 − τ_s/τ_m)
    edge: Any  # e^{−x/τ_m} halfway past the last distance x that the window admits
    growth: Any  # e^{1/τ_s − 1/τ_m}
    grown_reset: Any  # growth^−R
    grown_edge: Any  # growth^x halfway past the last x that the window admits
    fade: Any  # norm · e^{−(window + 1 − R)/τ_s}
    window: int  # as many as the steps or more: none
    refractory: int
    silent_psp: Any
    silent_share: Any
    silent_ratio: Any
    inverse_nu: Any  # 1/ν
    zero: Any
    one: Any


@lru_cache(64)
def neuron_constants(neuron: NeuronParams, dtype: np.dtype[Any]) -> Neuron:
    """Return a neuron's constants in a working precision."""
    real = dtype.type
    return Neuron(
        threshold=real(neuron.threshold - neuron.slack),
        never=real(np.inf),
        keep_m=real(1 - 1 / neuron.tau_m),
        keep_s=real(1 - 1 / neuron.tau_s),
        gain=real(1 / neuron.tau_s),
        refractory=real(neuron.refractory),
        zero=real(0),
        one=real(1),
    )


@lru_cache(64)
def psp_constants(neuron: NeuronParams, psp: PspParams, dtype: np.dtype[Any]) -> Psp:
    """Return a spike-train PSP's constants in a working precision."""
    real = dtype.type
    window = 2**31 if psp.window is None else psp.window
    norm = 1 / (1 - neuron.tau_s / neuron.tau_m)
    last = window - neuron.refractory + 0.5  # halfway past the last distance that the window admits
    growth = 1 / neuron.tau_s - 1 / neuron.tau_m
    return Psp(
        window=window,
        refractory=neuron.refractory,
        decay_m=real(math.exp(-1 / neuron.tau_m)),
        decay_s=real(math.exp(-1 / neuron.tau_s)),
        norm=real(norm),
        edge=real(math.exp(-last / neuron.tau_m)),
        growth=real(math.exp(growth)),
        grown_reset=real(math.exp(-growth * neuron.refractory)),
        # a cap that only windows of over 700 steps meet in float32, where α is 1e-5
        grown_edge=real(math.exp(min(growth * last, math.log(np.finfo(dtype).max) - 8))),
        fade=real(norm * math.exp(-(last + 0.5) / neuron.tau_s)),
        silent_psp=real(psp.silent_psp),
        silent_share=real(psp.silent_share),
        silent_ratio=real(psp.silent_ratio),
        inverse_nu=real(1 / neuron.threshold),
        zero=real(0),
        one=real(1),
    )


@jit
def live_lanes(units: int, tile: int) -> Any:
    """Return the mask of the lanes of a tile that are neurons of a layer of `units`."""
    left = units - tile * LANES
    if left >= LANES:
        return np.uint32(0xFFFFFFFF)
    return (np.uint32(1) << np.uint32(left)) - np.uint32(1)


@jit
def thresholds_of(units: int, tile: int, neuron: Any) -> Any:
    """Return the thresholds of a tile's lanes: lanes past the last of `units` neurons never fire.

    A mask would have to be applied at every step, and leaves the vector registers on processors without AVX-512.
    """
    return select(live_lanes(units, tile), spread(neuron.threshold), spread(neuron.never))


# ---------------------------------------------------------------- neurons (docs/hm2bp.md section 1; paper eq. 2 to 4)


@jit
def lif_step(drive: Any, membrane: Any, current: Any, held: Any, threshold: Any, neuron: Any) -> Any:
    """Advance a tile by a step: return membrane as compared with the threshold, current, and the spike mask.

    `membrane` is the one after the last step's `reset`; `held` is positive in neurons that are refractory.
    """
    current = current * spread(neuron.keep_s) + drive
    membrane = membrane * spread(neuron.keep_m) + current * spread(neuron.gain)
    membrane = select(above(held, spread(neuron.zero)), spread(neuron.zero), membrane)
    return membrane, current, above(membrane, threshold)


@jit
def reset(mask: Any, membrane: Any, held: Any, neuron: Any) -> Any:
    """Return membrane and held after the spikes of a step: 0 and R where there was one; `held` counts down."""
    membrane = select(mask, spread(neuron.zero), membrane)
    return membrane, select(mask, spread(neuron.refractory), held - spread(neuron.one))


@jit
def step_tile(state: Any, at: int, drive: Any, threshold: Any, neuron: Any) -> Any:
    """Advance a tile whose membrane, current and held are in `state` from `at` on; return its spike mask."""
    held = load(state, at + 2 * LANES)
    membrane, current, mask = lif_step(
        drive, load(state, at), load(state, at + LANES), held, threshold, neuron
    )
    membrane, held = reset(mask, membrane, held, neuron)
    store(state, at, membrane)
    store(state, at + LANES, current)
    store(state, at + 2 * LANES, held)
    return mask


@jit
def lif(drive: Any, neuron: Any, masks: Any, membranes: Any, currents: Any) -> None:
    """Run one tile of unconnected neurons on `drive` [step · lane]; trace membrane (as compared) and current."""
    membrane = current = held = spread(neuron.zero)
    threshold = spread(neuron.threshold)
    for t in range(1, masks.size):
        membrane, current, mask = lif_step(
            load(drive, (t - 1) * LANES), membrane, current, held, threshold, neuron
        )
        store(membranes, t * LANES, membrane)
        store(currents, t * LANES, current)
        masks[t] = mask
        membrane, held = reset(mask, membrane, held, neuron)


@jit
def run_line(drive: Any, begin: int, steps: int, neuron: Any, masks: Any, first: int) -> None:
    """Run the neurons of a cache line on `drive` [step · lane], in units of the membrane (times `gain`), and clear it.

    Nothing arrives before step `begin` + 1. The spikes are set in `masks` [step], the first neuron's as bit `first`.
    Half a tile of float32 leaves room in the 16 vector registers of most processors; a whole tile does not.
    """
    zero, one, threshold = spread_line(neuron.zero), spread_line(neuron.one), spread_line(neuron.threshold)
    keep_m, keep_s = spread_line(neuron.keep_m), spread_line(neuron.keep_s)
    membrane = current = zero
    width, shift = LINE // drive.itemsize, np.uint32(first)
    if neuron.refractory == neuron.one + neuron.one:
        # a spike holds the membrane at 0 in the two steps that follow: products with 0 or 1 instead of a countdown
        free = freed = one
        for t in range(begin + 1, steps):
            at = (t - 1) * width
            current = current * keep_s + load_line(drive, at)
            store(drive, at, zero)
            membrane = (membrane * keep_m + current) * (free * freed)
            mask = above(membrane, threshold)
            freed = free
            free = select(mask, zero, one)
            masks[t] |= np.uint32(mask) << shift
    else:
        held, refractory = zero, spread_line(neuron.refractory)
        for t in range(begin + 1, steps):
            at = (t - 1) * width
            current = current * keep_s + load_line(drive, at)
            store(drive, at, zero)
            membrane = select(above(held, zero), zero, membrane * keep_m + current)
            mask = above(membrane, threshold)
            held = select(mask, refractory, held - one)
            masks[t] |= np.uint32(mask) << shift
    store(drive, (steps - 1) * width, zero)


@jit
def simulate(
    drive: Any,
    steps: Any,
    units: int,
    neuron: Any,
    lateral: Any,
    masks: Any,
    state: Any,
    first: int,
    last: int,
) -> None:
    """Run all tiles of neurons on `drive` [sample, tile, step · lane] and write the masks of samples first … last−1.

    With `lateral` > 0 each spike takes `lateral` from the drive of every other neuron, one step later. `state` is
    scratch: membrane, current and held of each tile.
    """
    tiles = drive.shape[1]
    for b in range(first, last):
        state[: 3 * tiles * LANES] = neuron.zero
        fired = 0
        for t in range(1, np.int64(steps[b])):
            others = spread(lateral * drive.dtype.type(fired))
            own = spread(lateral * drive.dtype.type(fired - 1))
            fired = 0
            for tile in range(tiles):
                out, at = masks[b, :, tile], 3 * tile * LANES
                arriving = load(drive[b, tile], (t - 1) * LANES)
                if lateral > neuron.zero:
                    arriving = arriving - select(out[t - 1], own, others)
                mask = step_tile(state, at, arriving, thresholds_of(units, tile, neuron), neuron)
                out[t] = mask
                fired += ones(mask)


# ---------------------------------------------------------------- gates (docs/hm2bp.md section 8)


@jit
def gate(masks: Any, steps: int, psp: Any, out: Any) -> None:
    """Write the gate G [step · lane] of one tile and sample: what a pre spike at a step adds to e_{i|j}.

    A reverse scan over the tile's own spikes: with x the distance to the next firing, `near` holds e^{−x/τ_m} and
    e^{−x/τ_s}, and `later` what further firings pass down. `out` first carries the terms B that leave the window.
    """
    zero, one = spread(psp.zero), spread(psp.one)
    decay_m, decay_s, norm, edge = (
        spread(psp.decay_m),
        spread(psp.decay_s),
        spread(psp.norm),
        spread(psp.edge),
    )
    refractory = psp.refractory
    out[: steps * LANES] = psp.zero
    if psp.window < steps:
        leaving(masks, steps, psp, out)
    near_m, near_s, later = zero, zero, zero
    for u in range(steps - 1, refractory, -1):
        fire, origin = masks[u], masks[u - refractory]
        gap = np.uint32(0)
        for r in range(1, refractory):
            gap |= masks[u - r]
        at = (u - refractory) * LANES
        near_m = select(fire, one, near_m * decay_m)
        near_s = select(fire, one, near_s * decay_s)
        # closed: the next firing's reset lies between, or the window is over
        direct = select(gap | above(edge, near_m), zero, norm * (near_m - near_s))
        later = later * decay_s - load(out, at)
        store(out, at, later + direct)
        later = later + select(origin, direct, zero)


@jit
def leaving(masks: Any, steps: int, psp: Any, out: Any) -> None:
    """Write the terms B of a tile into the rows of `out` at which the firing that they belong to leaves the window.

    A forward scan: `grown` is e^{s (1/τ_s − 1/τ_m)} of the steps s since the last reset (below 1 before it), so that a
    firing at s leaves B = α(s) e^{−(D − s)/τ_s} = `fade` (grown − 1), D = W + 1 − R being its distance to the edge.
    """
    zero, one, bound = spread(psp.zero), spread(psp.one), spread(psp.grown_edge)
    growth, reset, fade = spread(psp.growth), spread(psp.grown_reset), spread(psp.fade)
    distance = psp.window + 1 - psp.refractory
    grown = one  # the first origin is step 1
    for f in range(1, steps):
        fire, edge = masks[f], f - distance
        if edge > psp.refractory:
            open_ = fire & above(grown, one) & above(bound, grown)
            store(out, (edge - psp.refractory) * LANES, select(open_, fade * (grown - one), zero))
        grown = select(fire, reset, grown) * growth


# ---------------------------------------------------------------- spike-train PSPs (docs/hm2bp.md section 2; eq. 9)


@jit
def silent_mask(counts: Any, first: int) -> Any:
    """Return the mask of the silent ones among the neurons from `first` on; lanes past the last count as silent."""
    silent = np.uint32(0)
    for k in range(LANES):
        if first + k >= counts.size or counts[first + k] == 0:
            silent |= np.uint32(1) << np.uint32(k)
    return silent


@jit
def psps(
    unit_ptr: Any,
    times: Any,
    masks: Any,
    post_counts: Any,
    steps: Any,
    psp: Any,
    out: Any,
    gates: Any,
    queue: Any,
) -> None:
    """Write e_{i|j} into out [tile, sample, pre · lane], silent rules included; a work item is a tile and a sample.

    `gates` [step · lane] is scratch.
    """
    samples = masks.shape[0]
    n = take(queue)
    while n < masks.shape[2] * samples:
        tile, b = n // samples, n % samples
        gate(masks[b, :, tile], np.int64(steps[b]), psp, gates)
        silent = silent_mask(post_counts[b], tile * LANES)
        rows = out[tile, b]
        for j in range(unit_ptr.shape[1] - 1):
            e = sum_rows(gates, 0, times, unit_ptr[b, j], unit_ptr[b, j + 1])
            if unit_ptr[b, j] < unit_ptr[b, j + 1]:
                e = select(silent, spread(psp.silent_psp), e)
            store(rows, j * LANES, e)
        n = take(queue)
