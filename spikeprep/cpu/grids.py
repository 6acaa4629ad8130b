"""Layers on a grid, as convolutions and pools compute them: neurons by place, the channels of a place side by side.

Lanes
    Lane (row · columns + column) · width + channel is a neuron; `width` is the number of channels, filled up to a
    multiple of `PART`, and the lanes of a layer are filled up to whole tiles. Lanes that are no neurons get no input
    and never fire.
Layouts (C order)
    masks           uint32 [sample, tile, step]: a tile is carried through all steps, so its state stays in registers
    events by lane  ptr [sample, lane + 1] → times
    units           as everywhere: (channel, row, column), or as the store has them
"""

from __future__ import annotations

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
    """Spikes of a layer on a grid: masks and events by lane; by unit and by step where another layer asks for them.

    Parameters
    ----------
    masks
        uint32 [sample, tile, step].
    lane_counts
        int64 [sample, lane].
    shape
        Channels, rows and columns.
    steps, workers
        As of `CpuSpikes`.
    """

    def __init__(
        self,
        masks: NDArray[np.uint32],
        lane_counts: NDArray[np.int64],
        shape: tuple[int, int, int],
        steps: NDArray[np.int64],
        workers: Workers,
    ) -> None:
        channels, rows, columns = shape
        width = lanes_of_place(channels)
        places = lane_counts[:, : rows * columns * width].reshape(-1, rows * columns, width)
        counts = places[:, :, :channels].transpose(0, 2, 1).reshape(len(steps), -1)
        super().__init__(channels * rows * columns, steps, counts, workers)
        self.tile_masks, self.lane_counts = masks, lane_counts
        self.strides = Strides(1, columns * width, width)
        channel, place = np.divmod(np.arange(self.units), rows * columns)
        self._lanes = place * width + channel
        self.lane_ptr = pointers(lane_counts)
        self.lane_times = np.empty(int(lane_counts.sum()), np.int32)
        workers.each(
            lambda first, last: events.times_from_tiles(masks, self.lane_ptr, self.lane_times, first, last),
            workers.samples(len(steps)),
        )

    def by_unit(self) -> ByUnit:
        """See `CpuSpikes.by_unit`."""
        if self._by_unit is None:
            times, active = np.empty_like(self.lane_times), np.empty(self.counts.shape, np.int32)
            by_unit = ByUnit(pointers(self.counts), times, active)

            def task(first: int, last: int) -> None:
                ptr = by_unit.unit_ptr
                events.units_from_lanes(self.lane_ptr, self.lane_times, self._lanes, ptr, times, first, last)
                events.active_units(ptr, active, first, last)

            self._workers.each(task, self._workers.samples(len(active)))
            self._by_unit = by_unit
        return self._by_unit

    def by_step(self) -> ByStep:
        """See `CpuSpikes.by_step`."""
        if self._by_step is None:
            unit_ptr, times, _ = self.by_unit()
            samples, steps = len(self.steps), self.tile_masks.shape[2]
            by_step = ByStep(np.empty((samples, steps + 1), np.int64), np.empty_like(times))
            self._workers.each(
                lambda first, last: events.units_from_times(unit_ptr, times, *by_step, first, last),
                self._workers.samples(samples),
            )
            self._by_step = by_step
        return self._by_step


def blank_masks(windows: Windows, samples: int, steps: int) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Return masks [sample, tile, step] and counts [sample, lane] without a spike."""
    tiles = tiles_of(windows)
    return np.zeros((samples, tiles, steps), np.uint32), np.zeros((samples, tiles * LANES), np.int64)


class Pre(NamedTuple):
    """Events of pre units as a kernel takes them: `ptr` [sample, position + 1] → `times`, and how positions lie."""

    ptr: NDArray[np.int64]
    times: NDArray[np.int32]
    strides: Strides


def events_of(pre: CpuSpikes, windows: Windows) -> Pre:
    """Return the events of pre units: by lane where they are a layer's on a grid, else by unit."""
    if isinstance(pre, GridSpikes):
        return Pre(pre.lane_ptr, pre.lane_times, pre.strides)
    by_unit = pre.by_unit()
    return Pre(by_unit.unit_ptr, by_unit.times, windows.units)


def grid_spikes(post: CpuSpikes, windows: Windows, workers: Workers) -> GridSpikes:
    """Return the spikes of a layer on a grid by lane; a layer's own are already."""
    if isinstance(post, GridSpikes):
        return post
    channels, places = windows.out_channels, windows.out_rows * windows.out_columns
    dense = post.dense()
    samples, steps, _ = dense.shape
    lanes = np.zeros((samples, tiles_of(windows) * LANES, steps), np.bool_)
    used = lanes[:, : places * windows.width].reshape(samples, places, windows.width, steps)
    used[:, :, :channels] = dense.reshape(samples, steps, channels, places).transpose(0, 3, 2, 1)
    tiles = lanes.reshape(samples, -1, LANES, steps).transpose(0, 1, 3, 2)
    masks = np.packbits(tiles, axis=-1, bitorder="little").view("<u4")[..., 0].astype(np.uint32)
    shape = channels, windows.out_rows, windows.out_columns
    return GridSpikes(masks, lanes.sum(axis=2, dtype=np.int64), shape, post.steps, workers)


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
    place: int, windows: Any, strides: Any, base: Any, rank: Any, found: Any, segments: Any
) -> Any:
    """List the pre units in a place's window that fire; return the number of units, and of runs.

    found [unit] = (number among the active ones, tap, where its value is); segments [run] = (first, stop) of numbers
    that follow each other, and where their values start, each run at a multiple of `PART`.
    """
    row, column = divmod(place, windows.out_columns)
    row, column = row * windows.down - windows.above, column * windows.right - windows.left
    low, high = max(0, column), min(windows.columns, column + windows.kernel_columns)
    units, runs, space = 0, 0, np.int64(0)
    for block in range(windows.channels if strides.column == 1 else 1):
        for y in range(max(0, row), min(windows.rows, row + windows.kernel_rows)):
            start = block * strides.channel + y * strides.row + low * strides.column
            first, stop = np.int64(rank[start]), np.int64(rank[start + (high - low) * strides.column])
            if first == stop:
                continue
            tap = (y - row) * windows.kernel_columns - column
            for n in range(first, stop):
                found[units, 0], found[units, 1], found[units, 2] = n, base[n] + tap, space + n - first
                units += 1
            segments[runs, 0], segments[runs, 1], segments[runs, 2] = first, stop, space
            runs += 1
            space += (stop - first + PART - 1) // PART * PART
    return units, runs
