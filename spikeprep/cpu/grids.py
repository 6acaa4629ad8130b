"""Layers on a grid, as convolutions and pools compute them: neurons by place, the channels of a place side by side.

Lanes
    Lane (row · columns + column) · width + channel is a neuron; `width` is the number of channels, filled up to a
    multiple of `PART`, and the lanes of a layer are filled up to whole tiles. Lanes that are no neurons get no input
    and never fire.
Layouts (C order)
    events by lane  ptr [sample, lane + 1] → times
    units           as everywhere: (channel, row, column), or as the store has them
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._jit import jit
from .._simd import LANES, PART
from ..backend import SpatialMap
from . import events
from .spikes import ByStep, ByUnit, CpuSpikes, pointers
from .workers import Workers


class Strides(NamedTuple):
    """How far the next channel, row and column is in a flat list of units or lanes."""

    channel: int
    row: int
    column: int


class Windows(NamedTuple):
    """Windows over a grid of pre units, as a kernel takes them."""

    channels: int
    rows: int
    columns: int
    kernel_rows: int
    kernel_columns: int
    down: int
    right: int
    above: int
    left: int
    out_channels: int
    out_rows: int
    out_columns: int
    width: int
    """Lanes of a place of the post units."""
    units: Strides
    """Of the pre units."""


def windows_of(layer: SpatialMap) -> Windows:
    """Return the windows of a layer."""
    channels, rows, columns = layer.grid
    out_channels, out_rows, out_columns = layer.out_shape
    last = layer.channels == "last" and len(layer.in_shape) > 2
    units = Strides(1, columns * channels, channels) if last else Strides(rows * columns, columns, 1)
    return Windows(
        channels, rows, columns, *layer.kernel, *layer.stride, *layer.padding, out_channels, out_rows, out_columns,
        lanes_of_place(out_channels), units,
    )  # fmt: skip


def lanes_of_place(channels: int) -> int:
    """Return the lanes of a place: its channels, filled up to a multiple of `PART`."""
    return -(-channels // PART) * PART


def tiles_of(windows: Windows) -> int:
    """Return the number of tiles of a layer's neurons."""
    return -(-windows.out_rows * windows.out_columns * windows.width // LANES)


class GridSpikes(CpuSpikes):
    """Spikes of a layer on a grid, as events by lane; by unit and by step where another layer asks for them.

    Parameters
    ----------
    ptr, times
        The events.
    counts
        int64 (sample, unit).
    windows
        Of the layer.
    active
        The most units of a sample that fire.
    steps, workers
        As of `CpuSpikes`.
    """

    def __init__(
        self,
        ptr: NDArray[np.int64],
        times: NDArray[np.int32],
        counts: NDArray[np.int64],
        windows: Windows,
        active: int,
        steps: NDArray[np.int64],
        workers: Workers,
    ) -> None:
        super().__init__(counts.shape[1], steps, counts, workers)
        self.ptr, self.times, self.active, self._windows = ptr, times, active, windows
        self.strides = Strides(1, windows.out_columns * windows.width, windows.width)

    @classmethod
    def simulated(
        cls, windows: Windows, steps: NDArray[np.int64], workers: Workers, kernel: Callable[..., Any]
    ) -> GridSpikes:
        """Return what `kernel` makes of each range of samples.

        It is called with ptr [sample, lane + 1], counts [sample, unit], the units' lanes, `times` to append to, masks
        [step] of 0 and drive [step · lane] as scratch, and the first and last sample; it returns `times`, how many of
        them are used, and the most units of a sample that fire. Pointers are relative to the range's own `times`.
        """
        samples, longest = len(steps), int(steps.max(initial=0))
        lanes = unit_lanes(windows)
        ptr = np.empty((samples, tiles_of(windows) * LANES + 1), np.int64)
        counts = np.empty((samples, lanes.size), np.int64)
        found: dict[int, tuple[NDArray[np.int32], int, int]] = {}
        slices = workers.samples(samples)

        def task(first: int, last: int) -> None:
            drive = workers.scratch("drive", max(longest, 1) * LANES)
            times, masks = np.empty(16 * lanes.size, np.int32), np.zeros(longest, np.uint32)
            found[first] = kernel(ptr, counts, lanes, times, masks, drive, first, last)

        workers.each(task, slices)
        parts, at, active = [np.empty(0, np.int32)], 0, 0
        for first, last in slices:
            if first == last:  # no samples
                continue
            times, used, most = found[first]
            ptr[first:last] += at
            parts.append(times[:used])
            at, active = at + used, max(active, most)
        return cls(ptr, np.concatenate(parts), counts, windows, active, steps, workers)

    def by_unit(self) -> ByUnit:
        """See `CpuSpikes.by_unit`."""
        if self._by_unit is None:
            counts, lanes = self.counts, unit_lanes(self._windows)
            by_unit, starts = ByUnit.room(counts)
            self._workers.run(
                lambda queue: events.units_from_lanes(
                    self.ptr, self.times, lanes, counts, starts, *by_unit, queue
                ),
                len(counts),
            )
            self._by_unit = by_unit
        return self._by_unit

    def by_step(self) -> ByStep:
        """See `CpuSpikes.by_step`."""
        self.by_unit()
        return super().by_step()


def unit_lanes(windows: Windows) -> NDArray[np.int64]:
    """Return the lane of each post unit, in the order of units."""
    channel, place = np.divmod(
        np.arange(windows.out_channels * windows.out_rows * windows.out_columns),
        windows.out_rows * windows.out_columns,
    )
    return place * windows.width + channel


class Pre(NamedTuple):
    """Events of pre units as a kernel takes them: `ptr` [sample, position + 1] → `times`, and how positions lie."""

    ptr: NDArray[np.int64]
    times: NDArray[np.int32]
    strides: Strides
    active: int
    """The most units of a sample that fire."""


def events_of(pre: CpuSpikes, windows: Windows) -> Pre:
    """Return the events of pre units: by lane where they are a layer's on a grid, else by unit."""
    if isinstance(pre, GridSpikes):
        return Pre(pre.ptr, pre.times, pre.strides, pre.active)
    by_unit = pre.by_unit()
    active = int((by_unit.active >= 0).sum(axis=1).max(initial=0))
    return Pre(by_unit.unit_ptr, by_unit.times, windows.units, active)


def grid_spikes(post: CpuSpikes, windows: Windows, workers: Workers) -> GridSpikes:
    """Return the spikes of a layer on a grid by lane; a layer's own are already."""
    if isinstance(post, GridSpikes):
        return post
    unit_ptr, times, active = post.by_unit()
    lanes = unit_lanes(windows)
    counts = np.zeros((len(post.steps), tiles_of(windows) * LANES), np.int64)
    counts[:, lanes] = post.counts
    ptr, by_lane = pointers(counts), np.empty_like(times)
    units = np.argsort(lanes)
    for b in range(len(post.steps)):
        by_lane[ptr[b, 0] : ptr[b, -1]] = np.concatenate(
            [times[unit_ptr[b, j] : unit_ptr[b, j + 1]] for j in units]
        )
    most = int((active >= 0).sum(axis=1).max(initial=0))
    return GridSpikes(ptr, by_lane, post.counts, windows, most, post.steps, workers)


def lanes_from_units(units: NDArray[Any], windows: Windows) -> NDArray[Any]:
    """Return values by post unit (sample, post) by lane [sample, lane]; 0 for lanes that are no neurons."""
    channels, places = windows.out_channels, windows.out_rows * windows.out_columns
    lanes = np.zeros((len(units), tiles_of(windows) * LANES), units.dtype)
    used = lanes[:, : places * windows.width].reshape(len(units), places, windows.width)
    used[:, :, :channels] = units.reshape(len(units), channels, places).transpose(0, 2, 1)
    return lanes


# ---------------------------------------------------------------- pre units that fire


@jit
def active_lanes(ptr: Any, windows: Any, strides: Any, lanes: Any, base: Any, rank: Any) -> int:
    """List the positions of a sample's pre units that fire in `lanes`, in order, and return their number.

    `rank` [position + 1] is the number of them before a position, and `base` what their tap of a window is but for
    the window's place: channel · kernel + column.
    """
    kernel, count = windows.kernel_rows * windows.kernel_columns, 0
    for position in range(ptr.size - 1):
        rank[position] = count
        if ptr[position] < ptr[position + 1]:
            if strides.column == 1:
                channel, place = divmod(position, windows.rows * windows.columns)
            else:
                place, channel = divmod(position, strides.column)
            lanes[count] = position
            base[count] = channel * kernel + place % windows.columns
            count += 1
    rank[ptr.size - 1] = count
    return count


@jit
def units_in_window(
    place: int, windows: Any, strides: Any, base: Any, rank: Any, found: Any, parts: Any
) -> Any:
    """List the pre units in a place's window that fire; return the number of units, and of parts.

    Numbers of active units that follow each other are covered by parts of `PART` of them: parts [part] is the first
    number of each, and found [unit] = (number, tap, where its value is if parts are stored one behind the other).
    """
    row, column = divmod(place, windows.out_columns)
    row, column = row * windows.down - windows.above, column * windows.right - windows.left
    low, high = max(0, column), min(windows.columns, column + windows.kernel_columns)
    units, count = np.int64(0), np.int64(0)
    for block in range(windows.channels if strides.column == 1 else 1):
        for y in range(max(0, row), min(windows.rows, row + windows.kernel_rows)):
            start = block * strides.channel + y * strides.row + low * strides.column
            first, stop = np.int64(rank[start]), np.int64(rank[start + (high - low) * strides.column])
            if first == stop:
                continue
            tap = (y - row) * windows.kernel_columns - column
            for n in range(first, stop):
                found[units, 0], found[units, 1], found[units, 2] = n, base[n] + tap, count * PART + n - first
                units += 1
            for n in range(first, stop, PART):
                parts[count] = n
                count += 1
    return units, count
