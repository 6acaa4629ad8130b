"""Orders of the axes of dense spikes, as other libraries expect them, and spikes written in them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._jit import jit
from ..data import Bits
from ..errors import UsageError
from ..train.layers.spatial import Channels, channel_axis

_UNITS = ({"N"}, {"H", "W"}, {"C", "H", "W"})


@dataclass(frozen=True)
class Layout:
    """An order of axes, and what a store's units are in it.

    Attributes
    ----------
    axes
        A letter for each axis: B (sample), T (time step), and either N (all units in one axis) or the axes of a grid of
        units next to each other: H (row), W (column) and, where there are several, C (channel).
    unit_shape
        Shape of a store's units. Of more than three axes, all but two are channels.
    channels
        Whether the channels are its first axes or its last; "auto": see `channel_axis`.

    Raises
    ------
    UsageError
        `axes` is no such order, or the units have no rows and columns, or channels that `axes` lacks.
    """

    axes: str
    unit_shape: tuple[int, ...]
    channels: Channels = "auto"

    def __post_init__(self) -> None:
        units = "".join(axis for axis in self.axes if axis not in "BT")
        if (
            len(set(self.axes)) != len(self.axes)
            or not {"B", "T"} <= set(self.axes)
            or set(units) not in _UNITS
        ):
            raise UsageError(
                f"got the layout {self.axes!r}",
                "an order of B (sample), T (step) and N (units), or C (channel), H (row) and W (column) for N",
                "For example BTN; TBCHW for SpikingJelly and snnTorch; BCHWT for Lava.",
            )
        if units not in self.axes:
            raise UsageError(
                f"got the layout {self.axes!r}, with another axis between {', '.join(units)}",
                "the axes of the units next to each other",
            )
        if units != "N":
            self._check_grid(units)

    def _check_grid(self, units: str) -> None:
        if len(self.unit_shape) < 2:
            raise UsageError(
                f"got the layout {self.axes!r} for units of shape {self.unit_shape}",
                "units that have rows and columns",
                "Use N for all units: for example BTN.",
            )
        number, rows, columns = self.grid
        if "C" not in units and number > 1:
            raise UsageError(
                f"got the layout {self.axes!r} for {number} channels of {rows} × {columns} units",
                "C among the axes",
                f"For example {self.axes.replace(units, 'CHW')}.",
            )

    @property
    def units(self) -> str:
        """The axes of the units."""
        return "".join(axis for axis in self.axes if axis not in "BT")

    @property
    def order(self) -> str:
        """The order of B, T and N, where N stands for all axes of the units."""
        return self.axes.replace(self.units, "N")

    @property
    def sample_axis(self) -> int:
        """Which axis of a batch is that of its samples."""
        return self.axes.index("B")

    @property
    def time_axis(self) -> int:
        """Which axis of a single sample, which has no axis B, is that of its steps."""
        return self.axes.replace("B", "").index("T")

    @cached_property
    def _channels(self) -> str:
        return "first" if len(self.unit_shape) < 3 else channel_axis(self.unit_shape, self.channels)

    @property
    def grid(self) -> tuple[int, int, int]:
        """Channels, rows and columns of the units."""
        if self._channels == "last":
            rows, columns, *channels = self.unit_shape
        else:
            *channels, rows, columns = self.unit_shape
        return prod(channels), rows, columns

    def shape(self, samples: int, steps: int) -> tuple[int, ...]:
        """Return the shape of a batch."""
        sizes = {"B": samples, "T": steps, "N": prod(self.unit_shape)}
        if self.units != "N":
            sizes |= dict(zip("CHW", self.grid, strict=True))
        return tuple(sizes[axis] for axis in self.axes)

    @cached_property
    def unit_order(self) -> NDArray[np.intp] | None:
        """Which unit of the store each unit in the layout's order is, (unit,); None where the orders are the same."""
        if self.units == "N":
            return None
        number, rows, columns = self.grid
        last = self._channels == "last"
        shape, axes = ((rows, columns, number), "HWC") if last else ((number, rows, columns), "CHW")
        units = np.arange(prod(shape), dtype=np.intp).reshape(shape)
        wanted = self.units if "C" in self.units else f"C{self.units}"
        order = units.transpose([axes.index(axis) for axis in wanted]).ravel()
        return None if (order == np.arange(order.size)).all() else order

    def check_packed(self, shape: tuple[int, ...], dtype: Any) -> None:
        """Raise `UsageError` for spikes that are not packed, uint8 (sample, unit, byte), or of other units."""
        units = prod(self.unit_shape)
        if str(dtype).removeprefix("torch.") != "uint8" or len(shape) != 3 or shape[1] != units:
            raise UsageError(
                f"got spikes {dtype} {tuple(shape)}",
                f"packed ones, uint8 (sample, {units} units, byte)",
                "Give batches of a data set that leaves them packed, of the same units.",
            )

    def reordered(self, bits: Bits) -> Bits:
        """Return bits (sample, unit, byte) with the units in the layout's order; the same array where it has it."""
        return bits if self.unit_order is None else bits[:, self.unit_order]

    def write(self, bits: Bits, steps: int, out: NDArray[Any], one: int) -> None:
        """Write spikes densely: 0, and `one` for each spike.

        Parameters
        ----------
        bits
            uint8 (sample, unit, byte), in the store's order of units.
        steps
            Time steps to write; of those that the bits lack, silence.
        out
            Integers of any size, contiguous, of `shape`.
        one
            What is written for a spike: of floating-point numbers that `out` stands for, the bits of 1.
        """
        self.check_packed(bits.shape, bits.dtype)
        bits, flat = np.ascontiguousarray(self.reordered(bits)), out.reshape(-1)
        samples, units, unit_bytes = bits.shape
        assert out.shape == self.shape(samples, steps)
        value, used = out.dtype.type(one), min(steps, 8 * unit_bytes)
        if used < steps:
            flat[:] = 0
        sizes = {"B": samples, "T": steps, "N": units}
        stride = {
            axis: prod(sizes[inner] for inner in self.order[n + 1 :]) for n, axis in enumerate(self.order)
        }
        if stride["N"] == 1:
            _write_units(bits, used, flat, stride["B"], stride["T"], value)
        else:
            _write_any(bits, used, flat, stride["B"], stride["N"], stride["T"], value)


@jit
def _write_units(bits, steps, out, sample_stride, step_stride, one):  # type: ignore[no-untyped-def]
    """Write spikes with the units of a sample and step next to each other."""
    samples, units, _ = bits.shape
    zero = one - one
    column = np.empty(units, np.uint8)
    for b in range(samples):
        for byte in range((steps + 7) // 8):
            for n in range(units):
                column[n] = bits[b, n, byte]
            for k in range(min(8, steps - 8 * byte)):
                at = b * sample_stride + (8 * byte + k) * step_stride
                row = out[at : at + units]
                for n in range(units):
                    row[n] = one if (column[n] >> k) & 1 else zero


@jit
def _write_any(bits, steps, out, sample_stride, unit_stride, step_stride, one):  # type: ignore[no-untyped-def]
    """Write spikes in any other order."""
    samples, units, _ = bits.shape
    zero = one - one
    for b in range(samples):
        for n in range(units):
            at = b * sample_stride + n * unit_stride
            for step in range(steps):
                out[at + step * step_stride] = one if (bits[b, n, step >> 3] >> (step & 7)) & 1 else zero
