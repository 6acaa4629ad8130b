"""The Numba kernels of the compiled backend: one tile of `LANES` post neurons at a time.

Layouts (all C order, flattened by the caller where a kernel takes 1-D arrays)
    weights, gradients, Adam moments   [tile, pre, lane]
    spike masks                        uint32 [sample, tile, step]; bit k is lane k
    events by step                     step_ptr [sample, step + 1] → units
    events by unit                     unit_ptr [sample, unit + 1] → times
A pointer array indexes one flat list over the whole batch. Lanes past the layer's last neuron have weight 0 and never
fire. Every kernel releases the GIL, works on the range of work items it is given, and adds in an order that does not
depend on that range: results are the same for any number of threads.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numba as nb
import numpy as np

from .lanes import LANES, lanes_above, load_word, sum_rows, trailing_zeros

jit = nb.njit(nogil=True, cache=True, error_model="numpy", boundscheck=False)


class Neuron(NamedTuple):
    """`NeuronParams` as a kernel wants them; every field a scalar of the working precision, so that nothing widens."""

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
    tau_m: float
    tau_s: float
    window: int  # steps or more: none
    refractory: int
    silent_psp: Any
    silent_share: Any
    silent_ratio: Any
    inverse_nu: Any  # 1/ν
    zero: Any
    one: Any


class Update(NamedTuple):
    """One step of an optimiser with the exponential regularisation."""

    mean: Any  # 1 / batch
    rate: Any
    beta1: Any
    beta2: Any
    rest1: Any  # 1 − β1
    rest2: Any
    correct1: Any  # 1 − β1^t
    correct2: Any
    epsilon: Any
    strength: Any  # λ
    steepness: Any  # β
    inverse_scale: Any  # 1/8 in the published runs
    zero: Any
    one: Any


# ---------------------------------------------------------------- events


@jit
def times_from_bits(bits: Any, steps: Any, unit_ptr: Any, times: Any, first: int, last: int) -> None:
    """Write `times` (events by unit) of samples first … last−1 from packed bits uint8 [sample, unit, byte]."""
    units, width = bits.shape[1], bits.shape[2]
    words = width // 8
    for b in range(first, last):
        flat = bits[b].reshape(-1)
        length = np.int64(steps[b])
        for j in range(units):
            at = np.int64(unit_ptr[b, j])
            if at == unit_ptr[b, j + 1]:
                continue
            row = j * width
            for w in range(words):
                word = load_word(flat, row + 8 * w)
                while word:
                    t = 64 * w + trailing_zeros(word)
                    word &= word - np.uint64(1)
                    if t < length:
                        times[at] = t
                        at += 1
            for c in range(8 * words, width):
                rest = np.uint64(flat[row + c])
                while rest:
                    t = 8 * c + trailing_zeros(rest)
                    rest &= rest - np.uint64(1)
                    if t < length:
                        times[at] = t
                        at += 1


@jit
def units_from_times(unit_ptr: Any, times: Any, step_ptr: Any, units: Any, first: int, last: int) -> None:
    """Write `step_ptr` and `units` (events by step) from events by unit: a counting sort, units ascending."""
    steps = step_ptr.shape[1] - 1
    fill = np.empty(steps, np.int64)
    for b in range(first, last):
        start, stop = np.int64(unit_ptr[b, 0]), np.int64(unit_ptr[b, unit_ptr.shape[1] - 1])
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
def counts_from_masks(masks: Any, steps: Any, counts: Any, first: int, last: int) -> None:
    """Write `counts` int64 [sample, unit] of samples first … last−1."""
    units = counts.shape[1]
    for b in range(first, last):
        counts[b, :] = 0
        for tile in range(masks.shape[1]):
            for t in range(np.int64(steps[b])):
                mask = masks[b, tile, t]
                while mask:
                    k = trailing_zeros(mask)
                    mask &= mask - np.uint32(1)
                    if tile * LANES + k < units:
                        counts[b, tile * LANES + k] += 1


@jit
def events_from_masks(
    masks: Any, unit_ptr: Any, times: Any, step_ptr: Any, units: Any, first: int, last: int
) -> None:
    """Write events by unit and by step of samples first … last−1 from their masks; `unit_ptr` is given."""
    n_units = unit_ptr.shape[1] - 1
    fill = np.empty(n_units, np.int64)
    for b in range(first, last):
        fill[:] = unit_ptr[b, :n_units]
        at = np.int64(unit_ptr[b, 0])
        for t in range(masks.shape[2]):
            step_ptr[b, t] = at
            for tile in range(masks.shape[1]):
                mask = masks[b, tile, t]
                while mask:
                    j = tile * LANES + trailing_zeros(mask)
                    mask &= mask - np.uint32(1)
                    units[at] = j
                    at += 1
                    times[fill[j]] = t
                    fill[j] += 1
        step_ptr[b, masks.shape[2]] = at


# ---------------------------------------------------------------- neuron (HM2BP.md section 1; paper eq. 2 to 4)

DRIVE, MEMBRANE, CURRENT, HELD, STATE = 0, LANES, 2 * LANES, 3 * LANES, 4 * LANES


@jit
def lif_step(s: Any, neuron: Any) -> Any:
    """Advance one tile by a step and return its spike mask.

    `s` holds four rows of lanes: drive, membrane, current and refractory steps left; afterwards the drive row holds the
    membrane as it was compared with the threshold.
    """
    zero, one = neuron.zero, neuron.one
    for k in range(s.size // 4):
        current = s[CURRENT + k] * neuron.keep_s + s[DRIVE + k]
        membrane = s[MEMBRANE + k] * neuron.keep_m + current * neuron.gain
        held = s[HELD + k]
        waiting = held > zero
        membrane = zero if waiting else membrane
        held = held - one if waiting else held
        fires = membrane > neuron.threshold
        s[DRIVE + k] = membrane
        s[CURRENT + k] = current
        s[MEMBRANE + k] = zero if fires else membrane
        s[HELD + k] = neuron.refractory if fires else held
    return lanes_above(s, neuron.threshold)


@jit
def lif(drive: Any, neuron: Any, state: Any, masks: Any, membrane: Any, current: Any) -> None:
    """Run unconnected neurons of one tile on `drive` [step, lane]; trace membrane (as compared) and current."""
    state = state[:STATE]
    state[:] = 0
    for t in range(1, drive.shape[0]):
        state[DRIVE : DRIVE + LANES] = drive[t - 1]
        masks[t] = lif_step(state, neuron)
        membrane[t] = state[DRIVE : DRIVE + LANES]
        current[t] = state[CURRENT : CURRENT + LANES]


@jit
def dense_forward(
    weight: Any,
    step_ptr: Any,
    units: Any,
    steps: Any,
    neuron: Any,
    lateral: Any,
    masks: Any,
    state: Any,
    tile_first: int,
    tile_last: int,
    first: int,
    last: int,
) -> None:
    """Simulate tiles tile_first … tile_last−1 on samples first … last−1 and write their masks.

    The tiles of one call step together, so that lateral inhibition sees all of them. The drive of step t is
    Σ_j w_ij S_j[t−1]: the weight rows of the units that fired, summed.
    """
    flat = weight.reshape(-1)
    tile_size = weight.shape[1] * LANES
    inhibits = lateral[0] != 0
    for b in range(first, last):
        state[: (tile_last - tile_first) * STATE] = 0
        for tile in range(tile_first, tile_last):
            masks[b, tile, :] = 0
        fired = 0
        for t in range(1, np.int64(steps[b])):
            lo, hi = np.int64(step_ptr[b, t - 1]), np.int64(step_ptr[b, t])
            total = lateral[0] * fired
            fired = 0
            for tile in range(tile_first, tile_last):
                at = (tile - tile_first) * STATE
                s = state[at : at + STATE]
                sum_rows(s, DRIVE, flat, tile * tile_size, units, lo, hi)
                if inhibits:
                    before = masks[b, tile, t - 1]
                    for k in range(LANES):
                        own = lateral[0] if (before >> np.uint32(k)) & np.uint32(1) else lateral[1]
                        s[DRIVE + k] -= total - own
                mask = lif_step(s, neuron)
                masks[b, tile, t] = mask
                if inhibits:
                    while mask:
                        mask &= mask - np.uint32(1)
                        fired += 1


# ---------------------------------------------------------------- gates (HM2BP.md section 8)


@jit
def gate(masks: Any, steps: int, psp: Any, out: Any, state: Any) -> None:
    """Write the gate G[t', lane] of one tile and sample: what a pre spike at t' adds to e_{i|j}.

    A reverse scan over the post tile's own spikes. `state` holds three rows of lanes: e^{−x/τ_m} and e^{−x/τ_s} of the
    distance x to the next firing, and the sum Q that later firings pass down; `out` [step · lane], flat, first carries
    the terms B that leave the window.
    """
    decay_m, decay_s, norm, edge = psp.decay_m, psp.decay_s, psp.norm, psp.edge
    zero, one, window, refractory = psp.zero, psp.one, psp.window, psp.refractory
    NEAR_M, NEAR_S, SUM = 0, LANES, 2 * LANES
    out[: steps * LANES] = zero
    state[: 3 * LANES] = zero
    following = np.full(LANES, -1, np.int64)  # the firing at or after u
    for u in range(steps - 1, refractory, -1):
        fire = masks[u]
        origin = masks[u - refractory]
        gap = np.uint32(0)
        for r in range(1, refractory):
            gap |= masks[u - r]
        if window < steps:
            spikes = fire
            while spikes:
                following[trailing_zeros(spikes)] = u
                spikes &= spikes - np.uint32(1)
            spikes = origin & ~gap
            while spikes:
                k = trailing_zeros(spikes)
                spikes &= spikes - np.uint32(1)
                s = following[k] - u
                leaves = following[k] - (window + 1) + refractory
                if following[k] >= 0 and leaves > refractory and u > leaves:
                    alpha = norm * (math.exp(-s / psp.tau_m) - math.exp(-s / psp.tau_s))
                    out[(leaves - refractory) * LANES + k] += alpha * math.exp(-(u - leaves) / psp.tau_s)
        row = out[(u - refractory) * LANES : (u - refractory + 1) * LANES]
        for k in range(row.size):
            bit = np.uint32(k)
            fires = (fire >> bit) & np.uint32(1)
            near_m = one if fires else state[NEAR_M + k] * decay_m
            near_s = one if fires else state[NEAR_S + k] * decay_s
            closed = ((gap >> bit) & np.uint32(1)) != 0 or near_m < edge
            direct = zero if closed else norm * (near_m - near_s)
            total = decay_s * state[SUM + k] - row[k]
            row[k] = total + direct
            state[NEAR_M + k] = near_m
            state[NEAR_S + k] = near_s
            state[SUM + k] = total + (direct if (origin >> bit) & np.uint32(1) else zero)


# ---------------------------------------------------------------- backward (HM2BP.md sections 4 and 8; paper eq. 17, 22 to 24)


@jit
def dense_backward(
    weight: Any,
    unit_ptr: Any,
    times: Any,
    pre_counts: Any,
    masks: Any,
    post_counts: Any,
    steps: Any,
    delta: Any,
    scale: Any,
    psp: Any,
    gradient: Any,
    incoming: Any,
    scratch: Any,
    psp_rows: Any,
    tile: int,
    first: int,
    last: int,
) -> None:
    """Backward pass of one tile over samples first … last−1, in order.

    gradient [pre, lane]  += Σ_b δ γ (1 + σ) e            (`scale` is γ)
    incoming [sample, pre] = Σ_lanes δ w ρ                 (written where its shape is not empty)
    `psp_rows` [pre, lane] is scratch for e.
    A sample whose δ is 0 on the whole tile changes nothing and is passed over.
    """
    pre = weight.shape[1]
    w = weight[tile]
    zero, one = psp.zero, psp.one
    sends = incoming.shape[0] > 0
    units = min(LANES, delta.shape[1] - tile * LANES)
    flat_rows = psp_rows.reshape(-1)
    # rows of lanes: δ, coefficient, a_i, 1/o_i, Σ_l w_il; then the gate's state, then the gate
    D, C, A, O, S, STATE_AT = 0, LANES, 2 * LANES, 3 * LANES, 4 * LANES, 5 * LANES
    gates = scratch[8 * LANES :]
    state = scratch[STATE_AT : STATE_AT + 3 * LANES]
    summed = False
    for b in range(first, last):
        moves = False
        scratch[D : D + LANES] = zero
        scratch[O : O + LANES] = zero
        for k in range(units):
            scratch[D + k] = delta[b, tile * LANES + k]
            moves |= scratch[D + k] != zero
        if not moves:
            if sends:
                incoming[b, :] = zero
            continue
        silent = False
        for k in range(units):
            count = post_counts[b, tile * LANES + k]
            if count > 0:
                scratch[O + k] = one / count
            else:
                silent = True
        if silent and not summed:
            scratch[S : S + LANES] = zero
            for j in range(pre):
                for k in range(LANES):
                    scratch[S + k] += w[j, k]
            summed = True
        gate(masks[b, tile], np.int64(steps[b]), psp, gates, state)
        scratch[A : A + LANES] = zero
        for j in range(pre):
            lo, hi = np.int64(unit_ptr[b, j]), np.int64(unit_ptr[b, j + 1])
            if lo == hi:
                continue
            sum_rows(flat_rows, j * LANES, gates, 0, times, lo, hi)
            if silent:
                for k in range(LANES):
                    psp_rows[j, k] = psp_rows[j, k] if scratch[O + k] > zero else psp.silent_psp
            for k in range(LANES):
                scratch[A + k] += w[j, k] * psp_rows[j, k]
        for k in range(LANES):
            active = scratch[O + k] > zero
            share = scratch[A + k] * scratch[O + k] if active else psp.silent_share * scratch[S + k]
            scratch[C + k] = scratch[D + k] * (one + psp.inverse_nu * share)
        for k in range(units):
            scratch[C + k] *= scale[b, tile * LANES + k]
        for j in range(pre):
            fired = pre_counts[b, j]
            if unit_ptr[b, j] != unit_ptr[b, j + 1]:
                for k in range(LANES):
                    gradient[j, k] += scratch[C + k] * psp_rows[j, k]
                if sends:
                    inverse = one / fired
                    total = zero
                    for k in range(LANES):
                        ratio = psp_rows[j, k] * inverse if scratch[O + k] > zero else psp.silent_ratio
                        psp_rows[j, k] = scratch[D + k] * w[j, k] * ratio
                    for k in range(LANES):
                        total += psp_rows[j, k]
                    incoming[b, j] = total
            elif sends:
                total = zero
                for k in range(LANES):
                    total += scratch[D + k] * w[j, k]
                incoming[b, j] = total * psp.silent_ratio


@jit
def dense_psp(
    unit_ptr: Any,
    times: Any,
    masks: Any,
    post_counts: Any,
    steps: Any,
    psp: Any,
    out: Any,
    scratch: Any,
    tile: int,
    first: int,
    last: int,
) -> None:
    """Write e_{i|j} of one tile into out [sample, pre, lane], silent rules included."""
    state, gates = scratch[: 3 * LANES], scratch[3 * LANES :]
    for b in range(first, last):
        gate(masks[b, tile], np.int64(steps[b]), psp, gates, state)
        rows = out[b].reshape(-1)
        for j in range(unit_ptr.shape[1] - 1):
            lo, hi = np.int64(unit_ptr[b, j]), np.int64(unit_ptr[b, j + 1])
            sum_rows(rows, j * LANES, gates, 0, times, lo, hi)
            if lo == hi:
                continue
            for k in range(min(LANES, post_counts.shape[1] - tile * LANES)):
                if post_counts[b, tile * LANES + k] == 0:
                    rows[j * LANES + k] = psp.silent_psp


# ---------------------------------------------------------------- update (HM2BP.md section 5)


@jit
def _pull(weight: Any, step: Any, live: int, out: Any) -> None:
    """Write reg_ij / w_ij of a tile's lanes: λ β / s · exp(β (mean_j (w_ij/s)² − 1)); 0 past the last neuron."""
    pre = weight.shape[0]
    out[:] = step.zero
    if step.strength == step.zero:
        return
    for j in range(pre):
        for k in range(LANES):
            scaled = weight[j, k] * step.inverse_scale
            out[k] += scaled * scaled
    for k in range(live):
        out[k] = step.strength * step.steepness * step.inverse_scale * math.exp(step.steepness * (out[k] / pre - step.one))
    out[live:] = step.zero


@jit
def _collect(gradients: Any, j: int, zero: Any) -> None:
    """Add row j of every group into group 0, in order, and clear the others."""
    for g in range(1, gradients.shape[0]):
        for k in range(LANES):
            gradients[0, j, k] += gradients[g, j, k]
            gradients[g, j, k] = zero


@jit
def adam_update(weight: Any, gradients: Any, moment: Any, variance: Any, live: int, step: Any) -> None:
    """One Adam step of a tile: w ← w − lr m̂ / (√v̂ + ε), from the mean gradient plus regularisation.

    weight, moment, variance [pre, lane]; gradients [group, pre, lane] are used up: afterwards they are 0. `live` is the
    number of lanes that are neurons.
    """
    pull = np.empty(LANES, weight.dtype)
    _pull(weight, step, live, pull)
    inverse1, inverse2 = step.one / step.correct1, step.one / step.correct2
    for j in range(weight.shape[0]):
        _collect(gradients, j, step.zero)
        for k in range(LANES):
            slope = gradients[0, j, k] * step.mean + pull[k] * weight[j, k]
            gradients[0, j, k] = step.zero
            m = step.beta1 * moment[j, k] + step.rest1 * slope
            v = step.beta2 * variance[j, k] + step.rest2 * slope * slope
            moment[j, k] = m
            variance[j, k] = v
            weight[j, k] -= step.rate * (m * inverse1) / (math.sqrt(v * inverse2) + step.epsilon)


@jit
def sgd_update(weight: Any, gradients: Any, moment: Any, live: int, step: Any) -> None:
    """One step of gradient descent with momentum β1, m ← β1 m + g, w ← w − lr m; arguments as of `adam_update`."""
    pull = np.empty(LANES, weight.dtype)
    _pull(weight, step, live, pull)
    for j in range(weight.shape[0]):
        _collect(gradients, j, step.zero)
        for k in range(LANES):
            slope = gradients[0, j, k] * step.mean + pull[k] * weight[j, k]
            gradients[0, j, k] = step.zero
            m = step.beta1 * moment[j, k] + slope
            moment[j, k] = m
            weight[j, k] -= step.rate * m
