"""What convolutions and pools share on a GPU: windows, tables of units, and blank spikes (kernels: grids.cuh)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backend import Array, SpatialMap
from ..errors import CapabilityError
from .base import CudaBase
from .constants import Structure, window_constants
from .spikes import CudaSpikes

_ROWS, _COLUMNS = 1 << 15, 1 << 16
"""Rows and columns that fit into one int, in which kernels keep a unit's place."""


class Grid:
    """The windows of a layer, as kernels take them.

    Parameters
    ----------
    backend
        The device.
    layer
        The layer.

    Attributes
    ----------
    windows
        `Windows` of grids.cuh.
    channels, places, taps
        Channels and places of the post units; units of a window in one channel of the input.
    units
        int32 [pre, 2] on the device: (row << 16 | column, the unit's tap in a window at row 0, column 0).

    Raises
    ------
    CapabilityError
        The input has too many rows or columns for the kernels.
    """

    def __init__(self, backend: CudaBase, layer: SpatialMap) -> None:
        self.channels = layer.out_shape[0]
        self.places = layer.places[0] * layer.places[1]
        self.taps = layer.kernel[0] * layer.kernel[1]
        inputs, rows, columns = layer.grid
        if rows > _ROWS or columns > _COLUMNS:
            raise CapabilityError(
                f"got a {layer.name} on {rows:,} × {columns:,} units",
                f"at most {_ROWS:,} rows and {_COLUMNS:,} columns on a GPU",
                "Use device=cpu.",
            )
        last = layer.channels == "last" and len(layer.in_shape) > 2
        self._strides = (1, columns * inputs, inputs) if last else (rows * columns, columns, 1)
        self.windows: Structure = window_constants(
            (inputs, rows, columns), layer.kernel, layer.stride, layer.padding, layer.out_shape, self._strides
        )
        c, y, x = (a.ravel() for a in np.indices((inputs, rows, columns)))
        units = np.empty((c.size, 2), np.int32)
        units[self._unit(c, y, x)] = np.stack([y << 16 | x, c * self.taps + y * layer.kernel[1] + x], axis=1)
        self.units = backend.runtime.to_device(units)
        c, y, x = (a.ravel() for a in np.indices((inputs, *layer.kernel)))
        self._tap_table = np.stack([self._unit(c, y, x), y << 16 | x], axis=1).astype(np.int32)

    def _unit(self, channel: NDArray[Any], row: NDArray[Any], column: NDArray[Any]) -> NDArray[Any]:
        units: NDArray[Any] = np.stack([channel, row, column], axis=-1) @ self._strides
        return units

    def tap_table(self, backend: CudaBase) -> Array:
        """Return int32 [tap, 2] on the device: (the tap's unit in a window at row 0, column 0; row << 16 | column)."""
        return backend.runtime.to_device(self._tap_table)


def blank_grid(backend: CudaBase, pre: CudaSpikes, units: int) -> CudaSpikes:
    """Return spikes of as many samples and steps as `pre`; a kernel is about to write words by unit, and counts."""
    xp = backend.xp
    counts = (xp.empty if pre.longest else xp.zeros)((len(pre), units), np.int32)
    by_unit = xp.empty((len(pre), units, pre.words), np.uint32)
    return CudaSpikes(backend.runtime, units, pre.steps, pre.lengths, by_unit, counts=counts)
