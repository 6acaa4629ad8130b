"""Pools under HM2-BP, fused: forward a cache line of lanes at a time, backward a pair of neurons (see `grids`).

Work per sample, n pre spikes, K units of a window, N post neurons that fire m spikes in all, T steps, where windows do
not overlap: n additions and about 9 N T lane operations (drive, neurons), without the lines that no spike reaches;
n + K m terms of PSPs. Each sample is computed alone, so results are the same for any number of threads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._jit import jit
from .._simd import LANES, LINE
from ..backend import DeviceLayer, ErrorSignal, ParameterState
from ..data import Hm2bpConstants
from .base import CpuBase
from .events import counts_from_lanes, end_tile
from .grids import GridSpikes, events_of, grid_spikes, lanes_from_units, windows_of
from .neurons import neuron_constants, psp_constants, run_line
from .spikes import CpuSpikes
from .traces import decays_of, merged_psp


@jit
def pool_forward(
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
    places = windows.out_rows * windows.out_columns
    line = LINE // drive.itemsize
    fired, fill = np.empty(masks.size + 1, np.int64), np.empty(LANES, np.int64)
    at, most = 0, 0
    drive[:] = neuron.zero
    for b in range(first, last):
        length = np.int64(steps[b])
        out_ptr[b, 0] = at
        for tile in range(out_ptr.shape[1] // LANES):
            reached, begin = False, length
            place, channel = divmod(tile * LANES, windows.width)
            for k in range(LANES):
                if k % line == 0 and begin < length:
                    run_line(drive, begin, length, neuron, masks, k - line)
                    reached, begin = True, length
                if channel == windows.width:
                    place, channel = place + 1, 0
                if place >= places:
                    break
                if channel < windows.channels:
                    row, column = divmod(place, windows.out_columns)
                    start = (
                        channel * strides.channel
                        + row * windows.down * strides.row
                        + column * windows.right * strides.column
                    )
                    for a in range(windows.kernel_rows):
                        for d in range(windows.kernel_columns):
                            unit = start + a * strides.row + d * strides.column
                            if ptr[b, unit] < ptr[b, unit + 1]:
                                begin = min(begin, np.int64(times[ptr[b, unit]]))
                            for n in range(ptr[b, unit], ptr[b, unit + 1]):
                                drive[times[n] * line + k % line] += neuron.gain
                channel += 1
            if begin < length:
                run_line(drive, begin, length, neuron, masks, k // line * line)
                reached = True
            of_tile = out_ptr[b, tile * LANES : (tile + 1) * LANES + 1]
            out_times, at = end_tile(reached, masks, of_tile, out_times, at, fired, fill)
        most = max(most, counts_from_lanes(out_ptr[b], out_lanes, counts[b]))
    return out_times, at, most


@jit
def pool_backward(
    ptr: Any,
    times: Any,
    windows: Any,
    strides: Any,
    post_ptr: Any,
    post_times: Any,
    delta: Any,
    psp: Any,
    decays: Any,
    incoming: Any,
    first: int,
    last: int,
) -> None:
    """Write the error Σ δ ρ at the pre units, incoming [sample, pre unit], of samples first … last−1.

    delta [sample, lane]; post events are by lane.
    """
    for b in range(first, last):
        incoming[b, :] = psp.zero
        for y in range(windows.out_rows):
            for x in range(windows.out_columns):
                lane = (y * windows.out_columns + x) * windows.width
                for channel in range(windows.channels):
                    error = delta[b, lane + channel]
                    if error == psp.zero:
                        continue
                    start, stop = post_ptr[b, lane + channel], post_ptr[b, lane + channel + 1]
                    for a in range(y * windows.down, y * windows.down + windows.kernel_rows):
                        for d in range(x * windows.right, x * windows.right + windows.kernel_columns):
                            position = channel * strides.channel + a * strides.row + d * strides.column
                            begin, end = ptr[b, position], ptr[b, position + 1]
                            ratio = psp.silent_ratio
                            if start < stop and begin < end:
                                e = merged_psp(times, begin, end, post_times, start, stop, psp, decays)
                                ratio = e / delta.dtype.type(end - begin)
                            unit = (
                                channel * windows.units.channel
                                + a * windows.units.row
                                + d * windows.units.column
                            )
                            incoming[b, unit] += error * ratio


class Hm2bpPool(DeviceLayer):
    """A spiking pool under HM2-BP."""

    def __init__(self, backend: CpuBase, layer: Any, states: Mapping[str, ParameterState]) -> None:
        self._dtype, self._workers, self._layer = backend.dtype, backend.workers, layer
        self._windows = windows_of(layer)
        self.parameters = {}

    def forward(self, pre: CpuSpikes, constants: Hm2bpConstants) -> GridSpikes:  # type: ignore[override]
        """See `DeviceLayer.forward`."""
        windows = self._windows
        neuron = neuron_constants(constants.neuron_of(self._layer), self._dtype)
        ptr, times, strides, _ = events_of(pre, windows)

        def kernel(*out: Any) -> Any:
            return pool_forward(ptr, times, pre.steps, windows, strides, neuron, *out)

        return GridSpikes.simulated(windows, pre.steps, self._workers, kernel)

    def backward(  # type: ignore[override]
        self, pre: CpuSpikes, post: CpuSpikes, signal: ErrorSignal, constants: Hm2bpConstants, send: bool
    ) -> NDArray[Any] | None:
        """See `DeviceLayer.backward`."""
        if not send:
            return None
        windows, samples, dtype = self._windows, len(pre.steps), self._dtype
        post, longest = grid_spikes(post, windows, self._workers), int(pre.steps.max(initial=0))
        share = dtype.type(self._layer.backward_weight)
        delta = lanes_from_units(np.asarray(signal.error, dtype) * share, windows)
        psp = psp_constants(constants.neuron, constants.psp, dtype)
        decays = decays_of(constants.neuron, constants.psp, longest, dtype)
        ptr, times, strides, _ = events_of(pre, windows)
        incoming = np.empty((samples, pre.units), dtype)

        def task(first: int, last: int) -> None:
            pool_backward(
                ptr, times, windows, strides, post.ptr, post.times, delta, psp, decays, incoming, first, last
            )  # fmt: skip

        self._workers.each(task, self._workers.samples(samples))
        return incoming
