"""Forward and backward through a layer, one tile of `LANES` post neurons at a time.

Layouts (C order, flattened by the caller where a kernel takes 1-D arrays)
    weights, gradients    [tile, pre, lane]
    spike masks, events   see `events`
Lanes past the layer's last neuron have weight 0 and never fire. Every kernel works on the range of work items that it
is given and adds in an order that does not depend on that range: results are the same for any number of threads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._simd import LANES, above, load, ones, select, spread, store, sum_rows, total
from .jit import jit


class Neuron(NamedTuple):
    """`NeuronParams` as a kernel wants them: scalars of the working precision, so that nothing widens."""

    threshold: Any  # ν − slack
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


# ---------------------------------------------------------------- neuron (docs/hm2bp.md section 1; paper eq. 2 to 4)


@jit
def lif_step(drive: Any, membrane: Any, current: Any, held: Any, neuron: Any) -> Any:
    """Advance a tile by a step: return membrane as compared with the threshold, current, and the spike mask.

    `membrane` is the one after the last step's `reset`; `held` is positive in neurons that are refractory.
    """
    current = current * spread(neuron.keep_s) + drive
    membrane = membrane * spread(neuron.keep_m) + current * spread(neuron.gain)
    membrane = select(above(held, spread(neuron.zero)), spread(neuron.zero), membrane)
    return membrane, current, above(membrane, spread(neuron.threshold))


@jit
def reset(mask: Any, membrane: Any, held: Any, neuron: Any) -> Any:
    """Return membrane and held after the spikes of a step: 0 and R where there was one; `held` counts down."""
    membrane = select(mask, spread(neuron.zero), membrane)
    return membrane, select(mask, spread(neuron.refractory), held - spread(neuron.one))


@jit
def lif(drive: Any, neuron: Any, masks: Any, membranes: Any, currents: Any) -> None:
    """Run one tile of unconnected neurons on `drive` [step · lane]; trace membrane (as compared) and current."""
    membrane = current = held = spread(neuron.zero)
    for t in range(1, masks.size):
        membrane, current, mask = lif_step(load(drive, (t - 1) * LANES), membrane, current, held, neuron)
        store(membranes, t * LANES, membrane)
        store(currents, t * LANES, current)
        masks[t] = mask
        membrane, held = reset(mask, membrane, held, neuron)


@jit
def dense_forward(
    weight: Any,
    step_ptr: Any,
    units: Any,
    steps: Any,
    neuron: Any,
    masks: Any,
    tile: int,
    first: int,
    last: int,
) -> None:
    """Simulate one tile on samples first … last−1 and write its masks.

    The drive of step t is Σ_j w_ij S_j[t−1]: the weight rows of the units that fired, summed.
    """
    rows = weight[tile].reshape(-1)
    for b in range(first, last):
        out = masks[b, :, tile]
        membrane = current = held = spread(neuron.zero)
        for t in range(1, np.int64(steps[b])):
            drive = sum_rows(rows, 0, units, step_ptr[b, t - 1], step_ptr[b, t])
            membrane, current, mask = lif_step(drive, membrane, current, held, neuron)
            membrane, held = reset(mask, membrane, held, neuron)
            out[t] = mask


@jit
def dense_forward_lateral(
    weight: Any,
    step_ptr: Any,
    units: Any,
    steps: Any,
    neuron: Any,
    lateral: Any,
    masks: Any,
    state: Any,
    first: int,
    last: int,
) -> None:
    """As `dense_forward`, all tiles in step: each spike takes `lateral` from the drive of every other neuron.

    `state` holds membrane, current and held of each tile.
    """
    tiles = weight.shape[0]
    for b in range(first, last):
        state[: 3 * tiles * LANES] = neuron.zero
        fired = 0
        for t in range(1, np.int64(steps[b])):
            others = spread(lateral * weight.dtype.type(fired))
            own = spread(lateral * weight.dtype.type(fired - 1))
            fired = 0
            for tile in range(tiles):
                out, at = masks[b, :, tile], 3 * tile * LANES
                drive = sum_rows(weight[tile].reshape(-1), 0, units, step_ptr[b, t - 1], step_ptr[b, t])
                drive = drive - select(out[t - 1], own, others)
                held = load(state, at + 2 * LANES)
                membrane, current, mask = lif_step(
                    drive, load(state, at), load(state, at + LANES), held, neuron
                )
                membrane, held = reset(mask, membrane, held, neuron)
                store(state, at, membrane)
                store(state, at + LANES, current)
                store(state, at + 2 * LANES, held)
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


# ------------------------------------------------------- backward (docs/hm2bp.md section 4; paper eq. 17, 22 to 24)


@jit
def silent_mask(counts: Any, first: int) -> Any:
    """Return the mask of the silent ones among the neurons from `first` on; lanes past the last count as silent."""
    silent = np.uint32(0)
    for k in range(LANES):
        if first + k >= counts.size or counts[first + k] == 0:
            silent |= np.uint32(1) << np.uint32(k)
    return silent


@jit
def dense_backward(
    weight: Any,
    unit_ptr: Any,
    times: Any,
    active: Any,
    masks: Any,
    post_counts: Any,
    steps: Any,
    delta: Any,
    scale: Any,
    psp: Any,
    gradient: Any,
    incoming: Any,
    gates: Any,
    rows: Any,
    lanes: Any,
    tile: int,
    first: int,
    last: int,
) -> None:
    """Backward pass of one tile over samples first … last−1, in order.

    gradient [pre · lane]  += Σ_b δ γ (1 + σ) e            (`scale` is γ)
    incoming [sample, pre]  = Σ_lanes δ w ρ                 (written where its shape is not empty)
    `active` [sample, :] lists the units that fired, −1 after the last. `gates` [step · lane], `rows` [pre · lane] (for
    e) and `lanes` [3 · lane] are scratch. A sample whose δ is 0 on the whole tile changes nothing and is passed over.
    """
    pre, offset = weight.shape[1], tile * LANES
    w = weight[tile].reshape(-1)
    sends = incoming.shape[0] > 0
    live = min(LANES, delta.shape[1] - offset)
    zero, one = spread(psp.zero), spread(psp.one)
    silent_psp, silent_ratio = spread(psp.silent_psp), spread(psp.silent_ratio)
    fan_in, summed = zero, False  # Σ_l w_il
    for b in range(first, last):
        lanes[:] = psp.zero
        moves = False
        for k in range(live):
            lanes[k] = delta[b, offset + k]
            moves |= lanes[k] != psp.zero
            lanes[LANES + k] = scale[b, offset + k]
            if post_counts[b, offset + k] > 0:
                lanes[2 * LANES + k] = psp.one / weight.dtype.type(post_counts[b, offset + k])
        if not moves:
            if sends:
                incoming[b, :] = psp.zero
            continue
        error, inverse_o = load(lanes, 0), load(lanes, 2 * LANES)
        silent = silent_mask(post_counts[b], offset)
        if silent and not summed:
            for j in range(pre):
                fan_in = fan_in + load(w, j * LANES)
            summed = True
        gate(masks[b, :, tile], np.int64(steps[b]), psp, gates)
        a = zero  # Σ_l w_il e_il
        for j in active[b]:
            if j < 0:
                break
            e = select(silent, silent_psp, sum_rows(gates, 0, times, unit_ptr[b, j], unit_ptr[b, j + 1]))
            store(rows, j * LANES, e)
            a = a + load(w, j * LANES) * e
        sigma = select(silent, spread(psp.silent_share) * fan_in, a * inverse_o) * spread(psp.inverse_nu)
        slope = error * load(lanes, LANES) * (one + sigma)
        for j in active[b]:
            if j < 0:
                break
            at = j * LANES
            store(gradient, at, load(gradient, at) + slope * load(rows, at))
        if sends:
            for j in range(pre):
                at, fired = j * LANES, unit_ptr[b, j + 1] - unit_ptr[b, j]
                ratio = silent_ratio
                if fired > 0:
                    inverse = spread(psp.one / weight.dtype.type(fired))
                    ratio = select(silent, silent_ratio, load(rows, at) * inverse)
                incoming[b, j] = total(error * load(w, at) * ratio)


@jit
def dense_psp(
    unit_ptr: Any,
    times: Any,
    masks: Any,
    post_counts: Any,
    steps: Any,
    psp: Any,
    out: Any,
    gates: Any,
    tile: int,
    first: int,
    last: int,
) -> None:
    """Write e_{i|j} of one tile into out [sample, pre · lane], silent rules included."""
    for b in range(first, last):
        gate(masks[b, :, tile], np.int64(steps[b]), psp, gates)
        silent = silent_mask(post_counts[b], tile * LANES)
        rows = out[b]
        for j in range(unit_ptr.shape[1] - 1):
            e = sum_rows(gates, 0, times, unit_ptr[b, j], unit_ptr[b, j + 1])
            if unit_ptr[b, j] < unit_ptr[b, j + 1]:
                e = select(silent, spread(psp.silent_psp), e)
            store(rows, j * LANES, e)
