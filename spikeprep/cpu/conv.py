"""Convolutions under HM2-BP, fused: forward a cache line of lanes at a time, backward a place at a time (see `grids`).

Work per sample, n pre spikes, K taps of a window, C channels, N post neurons that fire m spikes in all, T steps.
Forward: at most n K C / stride² additions (drive) and about 9 N T lane operations (neurons), without the lines that no
spike reaches. Backward, A being the pre units in a window that fire: a table of T for each that fires anywhere, 3 m A
additions (PSPs), 2 N A (gradient, error). The PSPs are in their dual form (`traces`): a gate would cost more than a
neuron's simulation, whether it fires twice or a hundred times, and these neurons fire little.

Weights and gradients are [channel / LANES, tap, lane], as those of fully connected layers (`TiledParameter`), a tap
being (channel of the input, row, column of the window). Each kernel adds in an order that does not depend on the range
of samples that it is given, and each group of samples has a gradient sum of its own: results are the same for any
number of threads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._jit import inline, jit
from .._simd import LANES, LINE, PART, above, add_parts, load_part, select, spread_part, store, total
from ..backend import DeviceLayer, ErrorSignal, ParameterState
from ..data import Hm2bpConstants
from .base import CpuBase
from .dense import TiledParameter
from .events import counts_from_lanes, end_tile
from .grids import (
    GridSpikes,
    active_lanes,
    events_of,
    grid_spikes,
    lanes_from_units,
    units_in_window,
    windows_of,
)
from .neurons import neuron_constants, psp_constants, run_line
from .spikes import CpuSpikes
from .traces import decays_of, firing_terms, table_size, trace_table, traced_psps
from .workers import ranges

_GROUPS = 16
"""Samples of a batch are split into this many groups: fixed, so that sums never change."""


@inline
def first_tap(channel: Any, taps: int) -> Any:
    """Return where the weight of a channel's first tap is; that of tap k is k · LANES further."""
    return (channel // LANES) * taps * LANES + channel % LANES


@jit
def conv_forward(
    weight: Any,
    ptr: Any,
    times: Any,
    steps: Any,
    windows: Any,
    strides: Any,
    neuron: Any,
    out_ptr: Any,
    counts: Any,
    out_lanes: Any,
    out_times: Any,
    masks: Any,
    drive: Any,
    first: int,
    last: int,
) -> Any:
    """Simulate samples first … last−1; see `GridSpikes.simulated` for arguments from `out_ptr` on and the result."""
    kernel = windows.kernel_rows * windows.kernel_columns
    taps, places = windows.channels * kernel, windows.out_rows * windows.out_columns
    positions = ptr.shape[1] - 1
    lanes, base = np.empty(positions, np.int32), np.empty(positions, np.int32)
    rank = np.empty(positions + 1, np.int32)
    found, parts = np.empty((taps, 3), np.int64), np.empty(taps + 3, np.int64)
    spans = np.empty((taps, 3), np.int64)  # of a unit in a window: its first and last event, its weights
    gain, line = spread_part(neuron.gain), LINE // drive.itemsize
    fired, fill = np.empty(masks.size + 1, np.int64), np.empty(LANES, np.int64)
    at, most = 0, 0
    drive[:] = neuron.zero
    for b in range(first, last):
        length = np.int64(steps[b])
        active_lanes(ptr[b], windows, strides, lanes, base, rank)
        listed, units, earliest = -1, 0, length
        out_ptr[b, 0] = at
        for tile in range(out_ptr.shape[1] // LANES):
            reached = False
            for first_lane in range(0, LANES, line):
                begin = length
                for v in range(0, line, PART):
                    place, channel = divmod(tile * LANES + first_lane + v, windows.width)
                    if place >= places:
                        break
                    if place != listed:
                        listed, earliest = place, length
                        units, _ = units_in_window(place, windows, strides, base, rank, found, parts)
                        for n in range(units):
                            lane = lanes[found[n, 0]]
                            spans[n, 0], spans[n, 1] = ptr[b, lane], ptr[b, lane + 1]
                            spans[n, 2] = found[n, 1] * LANES
                            earliest = min(earliest, np.int64(times[ptr[b, lane]]))
                    begin = min(begin, earliest)
                    own = first_tap(channel, taps)
                    for n in range(units):
                        w = load_part(weight, own + spans[n, 2]) * gain
                        add_parts(drive, v, times, spans[n, 0], spans[n, 1], w)
                if begin < length:
                    run_line(drive, begin, length, neuron, masks, first_lane)
                    reached = True
            of_tile = out_ptr[b, tile * LANES : (tile + 1) * LANES + 1]
            out_times, at = end_tile(reached, masks, of_tile, out_times, at, fired, fill)
        most = max(most, counts_from_lanes(out_ptr[b], out_lanes, counts[b]))
    return out_times, at, most


# ------------------------------------------------------- backward (docs/hm2bp.md section 4; paper eq. 17, 22 to 24)


@jit
def conv_backward(
    weight: Any,
    fan_in: Any,
    ptr: Any,
    times: Any,
    steps: Any,
    windows: Any,
    strides: Any,
    post_ptr: Any,
    post_times: Any,
    delta: Any,
    scale: Any,
    psp: Any,
    decays: Any,
    gain_floor: Any,
    gradient: Any,
    incoming: Any,
    table: Any,
    groups: int,
    group: int,
    first: int,
    last: int,
) -> None:
    """Backward pass of samples first … last−1, in order.

    gradient [channel / LANES, group, tap · lane] += Σ_b Σ_places δ γ (1 + σ) e  (`scale` is γ; 1 + σ >= `gain_floor`)
    incoming [sample, pre unit]  = Σ_places Σ_channels δ w ρ         (written where its shape is not empty)
    delta, scale [sample, lane]; fan_in [lane] is Σ w over a window; post events are by lane. `table` is scratch for
    the traces of the pre units that fire.
    """
    kernel = windows.kernel_rows * windows.kernel_columns
    taps, places = windows.channels * kernel, windows.out_rows * windows.out_columns
    positions, width, sends = ptr.shape[1] - 1, windows.width, incoming.shape[0] > 0
    real = weight.dtype.type
    lanes, base = np.empty(positions, np.int32), np.empty(positions, np.int32)
    rank = np.empty(positions + 1, np.int32)
    found, parts = np.empty((taps, 3), np.int64), np.empty(taps + 3, np.int64)
    terms, shares = np.empty(3 * steps.max() + 2, np.int64), np.empty(3 * steps.max() + 2, weight.dtype)
    e = np.empty((taps + 3) * PART, weight.dtype)
    pairs = np.empty(taps * width, weight.dtype)  # e of a place [unit, channel]
    inverse, silent = (
        np.empty(width, weight.dtype),
        np.empty(width, weight.dtype),
    )  # 1 / o, and where o is 0: 1
    sums = np.empty(positions, weight.dtype)  # error from neurons that fire, by active pre unit
    zero, one, floor = spread_part(psp.zero), spread_part(psp.one), spread_part(gain_floor)
    silent_psp, silent_share = spread_part(psp.silent_psp), spread_part(psp.silent_share)
    inverse_nu = spread_part(psp.inverse_nu)
    for b in range(first, last):
        active = active_lanes(ptr[b], windows, strides, lanes, base, rank)
        columns = trace_table(ptr[b], times, lanes, active, np.int64(steps[b]), psp, decays, table)
        sums[:active] = psp.zero
        for place in range(places):
            units, size = units_in_window(place, windows, strides, base, rank, found, parts)
            at, moves, fires = place * width, False, False
            inverse[:] = psp.zero
            silent[:] = psp.zero
            for channel in range(windows.out_channels):
                if delta[b, at + channel] != psp.zero:
                    moves = True
                    spikes = post_ptr[b, at + channel + 1] - post_ptr[b, at + channel]
                    if spikes:
                        inverse[channel], fires = psp.one / real(spikes), True
                    else:
                        silent[channel] = psp.one
            if not units or not moves:
                continue
            for channel in range(0, width, PART):
                constant = load_part(silent, channel) * silent_psp
                for n in range(units):
                    store(pairs, n * width + channel, constant)
            for channel in range(windows.out_channels):
                if inverse[channel] == psp.zero:
                    continue
                start, stop = post_ptr[b, at + channel], post_ptr[b, at + channel + 1]
                count = firing_terms(
                    post_times, start, stop, np.int64(steps[b]), psp, decays, columns, terms, shares
                )
                traced_psps(table, terms, shares, count, parts, size, e)
                for n in range(units):
                    pairs[n * width + channel] = e[found[n, 2]]
            for channel in range(0, width, PART):
                weighted = zero  # Σ_l w_il e_il
                own = first_tap(channel, taps)
                if fires:
                    for n in range(units):
                        w = load_part(weight, own + found[n, 1] * LANES)
                        weighted = weighted + w * load_part(pairs, n * width + channel)
                share = weighted * load_part(inverse, channel)
                share = share + load_part(silent, channel) * silent_share * load_part(fan_in, at + channel)
                gain = one + share * inverse_nu
                slope = load_part(delta[b], at + channel) * load_part(scale[b], at + channel)
                slope = slope * select(above(floor, gain), floor, gain)
                to = ((channel // LANES) * groups + group) * taps * LANES + channel % LANES
                for n in range(units):
                    row = to + found[n, 1] * LANES
                    store(
                        gradient,
                        row,
                        load_part(gradient, row) + slope * load_part(pairs, n * width + channel),
                    )
            if sends and fires:
                for n in range(units):
                    passed = zero
                    for channel in range(0, width, PART):
                        own = first_tap(channel, taps)
                        error = load_part(delta[b], at + channel) * (one - load_part(silent, channel))
                        w = load_part(weight, own + found[n, 1] * LANES)
                        passed = passed + error * w * load_part(pairs, n * width + channel)
                    sums[found[n, 0]] += total(passed)
        if sends:
            _send(weight, ptr[b], windows, strides, post_ptr[b], delta[b], psp, rank, sums, incoming[b])


@jit
def _send(
    weight: Any,
    ptr: Any,
    windows: Any,
    strides: Any,
    post_ptr: Any,
    delta: Any,
    psp: Any,
    rank: Any,
    sums: Any,
    incoming: Any,
) -> None:
    """Write the error at each pre unit of a sample: what neurons that fire send (`sums`), and the rank-one rest."""
    kernel = windows.kernel_rows * windows.kernel_columns
    taps = windows.channels * kernel
    silent = np.empty_like(delta)  # δ of the neurons that do not fire
    for lane in range(delta.size):
        silent[lane] = delta[lane] if post_ptr[lane] == post_ptr[lane + 1] else psp.zero
    tap, seen = np.empty(kernel, np.int64), np.empty(kernel, np.int64)  # of the places that see a pre place
    for y in range(windows.rows):
        for x in range(windows.columns):
            count = 0
            for a in range(windows.kernel_rows):
                row, off = divmod(y + windows.above - a, windows.down)
                if off or row < 0 or row >= windows.out_rows:
                    continue
                for d in range(windows.kernel_columns):
                    column, off = divmod(x + windows.left - d, windows.right)
                    if off or column < 0 or column >= windows.out_columns:
                        continue
                    tap[count] = (a * windows.kernel_columns + d) * LANES
                    seen[count] = (row * windows.out_columns + column) * windows.width
                    count += 1
            for c in range(windows.channels):
                position = c * strides.channel + y * strides.row + x * strides.column
                spikes = ptr[position + 1] - ptr[position]
                errors = silent if spikes else delta
                even = odd = spread_part(psp.zero)
                for channel in range(0, windows.width, PART):
                    own = first_tap(channel, taps) + c * kernel * LANES
                    for n in range(0, count - 1, 2):
                        w, error = load_part(weight, own + tap[n]), load_part(errors, seen[n] + channel)
                        even = even + w * error
                        w, error = (
                            load_part(weight, own + tap[n + 1]),
                            load_part(errors, seen[n + 1] + channel),
                        )
                        odd = odd + w * error
                    if count % 2:
                        w = load_part(weight, own + tap[count - 1])
                        even = even + w * load_part(errors, seen[count - 1] + channel)
                sent = psp.silent_ratio * total(even + odd)
                if spikes:
                    sent += sums[rank[position]] / weight.dtype.type(spikes)
                unit = c * windows.units.channel + y * windows.units.row + x * windows.units.column
                incoming[unit] = sent


# ---------------------------------------------------------------- the layer


class Hm2bpConv(DeviceLayer):
    """A convolution under HM2-BP."""

    def __init__(self, backend: CpuBase, layer: Any, states: Mapping[str, ParameterState]) -> None:
        self._dtype, self._workers, self._layer = backend.dtype, backend.workers, layer
        self._windows = windows_of(layer)
        self._weights = TiledParameter(states["weight"], backend.dtype, backend.workers, _GROUPS)
        self.parameters = {"weight": self._weights}

    def forward(self, pre: CpuSpikes, constants: Hm2bpConstants) -> GridSpikes:  # type: ignore[override]
        """See `DeviceLayer.forward`."""
        windows, weight = self._windows, self._weights.weight.reshape(-1)
        neuron = neuron_constants(constants.neuron_of(self._layer), self._dtype)
        ptr, times, strides, _ = events_of(pre, windows)

        def kernel(*out: Any) -> Any:
            return conv_forward(weight, ptr, times, pre.steps, windows, strides, neuron, *out)

        return GridSpikes.simulated(windows, pre.steps, self._workers, kernel)

    def backward(  # type: ignore[override]
        self, pre: CpuSpikes, post: CpuSpikes, signal: ErrorSignal, constants: Hm2bpConstants, send: bool
    ) -> NDArray[Any] | None:
        """See `DeviceLayer.backward`."""
        windows, samples, dtype = self._windows, len(pre.steps), self._dtype
        post, longest = grid_spikes(post, windows, self._workers), int(pre.steps.max(initial=0))
        error = np.asarray(signal.error, dtype) / dtype.type(constants.neuron.threshold)
        scale = np.ones_like(error) if signal.scale is None else np.asarray(signal.scale, dtype)
        arrays = {"weight": self._weights.value()}
        fan_in = self._layer.apply(np, arrays, np.ones((1, pre.units), dtype))
        delta, scale, fan_in = (lanes_from_units(a, windows) for a in (error, scale, fan_in))
        psp = psp_constants(constants.neuron, constants.psp, dtype)
        decays = decays_of(constants.neuron, constants.psp, longest, dtype)
        floor = dtype.type(constants.least_gain)
        ptr, times, strides, active = events_of(pre, windows)
        incoming = np.empty((samples if send else 0, pre.units), dtype)
        weight, sums = self._weights.weight.reshape(-1), self._weights.sums.reshape(-1)

        def task(group: int, first: int, last: int) -> None:
            table = self._workers.scratch("table", table_size(active, longest, constants.psp))
            conv_backward(
                weight, fan_in[0], ptr, times, pre.steps, windows, strides, post.ptr, post.times, delta,
                scale, psp, decays, floor, sums, incoming, table, _GROUPS, group, first, last,
            )  # fmt: skip

        self._workers.each(task, [(group, *r) for group, r in enumerate(ranges(samples, _GROUPS))])
        return incoming if send else None
