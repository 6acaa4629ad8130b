"""A stored sample's spikes, and the classes of a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..packing import popcount, unpack
from .names import short_names
from .style import COUNTS, empty_figure, ink, palette, styled, time_axis, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..store import SplitReader

_POINTS_WIDE = 400  # of axes for spikes
_COVERED = 0.6  # share of the axes that markers may cover
MOST_CLASSES = 20
"""Classes of which a sample is shown, at most."""


@styled
def raster(
    split: SplitReader, index: int = 0, *, seconds_per_step: float | None = None, classes: Sequence[str] = ()
) -> Figure:
    """Draw the spikes of one sample: every spike, the rate over time, and the spikes of each unit.

    Parameters
    ----------
    split
        The split that holds the sample.
    index
        Position of the sample in it.
    seconds_per_step
        Length of a time step; without it time is shown in steps.
    classes
        Names of the labels; where given, the first sample of each class is shown too.

    Raises
    ------
    UsageError
        There is no such sample.
    CapabilityError
        matplotlib is not installed.
    """
    check_sample(index, len(split))
    spikes = split[index]
    shown = first_of_each_class(split.labels, len(classes))
    heights = [4.6, *([class_rows_height(len(shown))] if shown else [])]  # inches
    figure = empty_figure(9.6, sum(heights))
    top, *bottom = np.ravel(figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False))
    _draw_sample(top, spikes, split.unit_shape, seconds_per_step)
    top.suptitle(
        f"{sample_title(split, index, classes)}: {spikes.sum():,} spikes of {split.units:,} units "
        f"in {len(spikes):,} steps, density {spikes.sum() / max(spikes.size, 1):.2%}",
        fontsize=10,
        x=0.01,
        ha="left",
    )
    if shown:
        draw_classes(bottom[0], split, shown, classes)
    return figure


def check_sample(index: int, samples: int) -> None:
    """Raise `UsageError` if a split of so many samples has none at `index`."""
    if not 0 <= index < samples:
        raise UsageError(f"got sample = {index}", f"0 to {samples - 1}", "Choose a sample of this split.")


def sample_title(split: SplitReader, index: int, classes: Sequence[str]) -> str:
    """Return a sample's number, origin and class as a title."""
    label = int(split.labels[index])
    name = f"class {classes[label]}" if label < len(classes) else f"label {label}"
    return f"{sample_name(index, split.ids[index])}, {name}"


def sample_name(index: int, origin: str) -> str:
    """Return a sample's number, and its origin where that is another text."""
    return f"sample {index}" if str(origin) == str(index) else f"sample {index} ({origin})"


def _draw_sample(panel: Any, spikes: NDArray[np.bool_], shape: tuple[int, ...], dt: float | None) -> None:
    scale, unit = time_axis(len(spikes), dt)
    per_unit = spikes.sum(axis=0)
    image, most = as_image(per_unit, shape), per_unit.max(initial=0)
    grid = panel.add_gridspec(2, 2, height_ratios=[4, 1], width_ratios=[4, 1.9 if image is not None else 1.2])
    dots = panel.add_subplot(grid[0, 0])
    cells = draw_dots(dots, spikes, scale, inches=2.7)
    dots.set(ylabel="unit", title=cells or "every spike")
    dots.tick_params(labelbottom=False)
    rate = panel.add_subplot(grid[1, 0], sharex=dots)
    per_step = spikes.sum(axis=1)
    width = max(1, len(per_step) // 80)
    edges = np.arange(0, len(per_step), width)
    mean = np.add.reduceat(per_step, edges) / np.diff([*edges, len(per_step)])
    rate.stairs(mean, [*(edges * scale), len(per_step) * scale], fill=True, color=palette().blue)
    rate.set(xlabel=f"time ({unit})", ylabel="spikes\nper step", xlim=(0, len(per_step) * scale))

    if image is not None:
        counts = panel.add_subplot(grid[0, 1])
        shown = counts.imshow(image, cmap=COUNTS)
        counts.set(title="spikes of each unit", xlabel="column", ylabel="row")
        counts.spines[:].set_visible(False)
        whole_numbers(counts.xaxis, counts.yaxis)
        if image.ndim == 2:
            bar = panel.colorbar(shown, ax=counts, shrink=0.8, aspect=25)
            whole_numbers(bar.ax.yaxis)
        else:
            counts.set(title=f"spikes of each unit in its colour\n(brightest: {int(most)})")
    else:
        counts = panel.add_subplot(grid[0, 1], sharey=dots)
        counts.barh(np.arange(spikes.shape[1]), per_unit, height=1.0, color=palette().blue)
        counts.set(title="spikes of each unit")
        counts.tick_params(labelleft=False)
    _draw_distribution(panel.add_subplot(grid[1, 1]), per_unit)


def _draw_distribution(axes: Axes, per_unit: NDArray[np.int64]) -> None:
    """Draw how many units have how many spikes, up to about 30 bars."""
    most = int(per_unit.max(initial=0))
    width = -(-(most + 1) // 30)
    edges = np.arange(0, most + width + 1, width) - 0.5
    axes.stairs(np.histogram(per_unit, edges)[0], edges, fill=True, color=palette().blue)
    axes.set(xlabel="spikes of a unit", ylabel="units", xlim=(edges[0], edges[-1]))
    axes.set_yscale("symlog", linthresh=1)  # mostly one bar, of silent units, is far higher than the others
    axes.set_ylim(0, None)
    axes.minorticks_off()
    axes.yaxis.set_major_formatter("{x:g}")
    whole_numbers(axes.xaxis)


def draw_dots(axes: Axes, spikes: NDArray[np.bool_], scale: float, *, inches: float) -> str:
    """Draw every spike of bool (time, unit), a step being `scale` long, on axes about `inches` high.

    Where markers would hide each other, spikes are counted in cells of some units and steps. Return what is then shown,
    for the title; else nothing.
    """
    units = spikes.shape[1]
    # markers as high as a unit's row: few units look like bars, many like a texture
    height = float(np.clip(70 * inches / max(units, 1), 1.0, 9.0))
    rows, columns = round(72 * inches), _POINTS_WIDE  # markers that fit beside each other
    crowded = units > rows or len(spikes) > columns
    if crowded and np.count_nonzero(spikes) * height > _COVERED * rows * columns:
        return _draw_cells(axes, spikes, scale, rows, columns)
    step, which = np.nonzero(spikes)
    (dots,) = axes.plot((step + 0.5) * scale, which, linestyle="none", marker="|")  # the middle of the step
    dots.set(color=ink(), markersize=height, markeredgewidth=min(1.0, height))
    dots.set_clip_on(
        len(step) == 0
    )  # a marker at the edge is whole; without any there is no extent to lay out
    dots.set_rasterized(len(step) > 5000)
    axes.set(ylim=(units - 0.5, -0.5), xlim=(0, max(len(spikes), 1) * scale))
    whole_numbers(axes.yaxis)
    return ""


def _draw_cells(axes: Axes, spikes: NDArray[np.bool_], scale: float, rows: int, columns: int) -> str:
    """Draw spikes per cell, at most so many rows and columns of cells; return what a cell is."""
    steps, units = spikes.shape
    high, long = -(-units // rows), -(-steps // columns)
    counts = np.add.reduceat(spikes, np.arange(0, units, high), axis=1, dtype=np.int64)
    counts = np.add.reduceat(counts, np.arange(0, steps, long), axis=0)
    end = counts.shape[0] * long * scale, counts.shape[1] * high - 0.5
    axes.imshow(counts.T, cmap=COUNTS, aspect="auto", extent=(0.0, end[0], end[1], -0.5), vmin=0)
    axes.set(ylim=(units - 0.5, -0.5), xlim=(0, steps * scale))
    whole_numbers(axes.yaxis)
    cell = " × ".join(f"{n} {what}{'s' if n > 1 else ''}" for n, what in ((high, "unit"), (long, "step")))
    return f"spikes per cell of {cell}, 0 to {counts.max()}"


def draw_counts(axes: Axes, counts: NDArray[Any], shape: tuple[int, ...], dots: Axes, *, bars: str) -> bool:
    """Draw the spikes of each unit beside its dots: as an image, else as bars with the title `bars`; return which."""
    image = as_image(counts, shape)
    if image is not None:
        axes.imshow(image, cmap=COUNTS)
        axes.set_title("spikes of each unit")
        axes.set_axis_off()
        return True
    edges = np.arange(len(counts) + 1) - 0.5
    axes.stairs(counts, edges, orientation="horizontal", fill=True, color=palette().blue)
    axes.set(title=bars, ylim=dots.get_ylim(), xlim=(0, max(counts.max(initial=0), 1)))
    axes.tick_params(labelleft=False)
    whole_numbers(axes.xaxis)
    return False


def class_rows_height(classes: int) -> float:
    """Return the height of `draw_classes` in inches: ten classes to a row."""
    return 0.3 + 1.05 * -(-classes // 10)


def draw_classes(panel: Any, split: SplitReader, shown: Mapping[int, int], classes: Sequence[str]) -> None:
    """Draw the first sample of each class, small; `shown` is label → position."""
    rows = -(-len(shown) // 10)
    columns = -(-len(shown) // rows)
    panels = np.ravel(panel.subplots(rows, columns, squeeze=False))
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    width = 0.93 * panel.get_figure(root=True).get_size_inches()[0] / columns
    names = short_names(classes, width, 9)
    for axes, (label, index) in zip(panels, shown.items(), strict=False):
        draw_small(axes, split, index)
        axes.set_title(names[label], loc="center", fontsize=9)
    kind = what_is_small(split)
    more = f"; {len(shown)} of {len(classes)} classes" if len(shown) < len(classes) else ""
    panel.suptitle(f"first sample of each class ({kind}{more})", fontsize=10, x=0.01, ha="left")


def draw_small(axes: Axes, split: SplitReader, index: int) -> None:
    """Draw a sample in little room: the spikes of each unit, or over time where units are on one axis."""
    if not on_one_axis(split.unit_shape):
        per_unit = np.concatenate([popcount(part) for part in split.sample_by_units(index)])
        image = as_image(per_unit, split.unit_shape)
        assert image is not None
        axes.imshow(image, cmap=COUNTS)
    else:
        batch = split.packed(np.array([index]))
        axes.imshow(_over_time(batch.bits[0], int(batch.steps[0])), cmap=COUNTS, aspect="auto")
    axes.set_axis_off()


def what_is_small(split: SplitReader) -> str:
    """Return what `draw_small` shows of a sample."""
    return "spikes over time, left to right" if on_one_axis(split.unit_shape) else "spikes of each unit"


def on_one_axis(shape: tuple[int, ...]) -> bool:
    """Return whether units are drawn one below the other: channels, (channel, 2) too, and a sensor of one row."""
    return max(shape) == prod(shape) or (len(shape) == 2 and shape[1] == 2)


def as_image(per_unit: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any] | None:
    """Return a value per unit as (row, column), leading channels summed; None for units on one axis.

    Units of (row, column, 3) or (3, row, column) become red, green and blue, float (row, column, 3), relative to the
    largest value.
    """
    if on_one_axis(shape):
        return None
    if is_colour(shape):
        image = per_unit.reshape(shape) / max(per_unit.max(), 1)
        return np.asarray(image if shape[2] == 3 else image.transpose(1, 2, 0))
    image = per_unit.reshape(-1, *shape[-2:]).sum(axis=0)
    return np.asarray(image)


def is_colour(shape: tuple[int, ...]) -> bool:
    """Whether units are those of a colour image: (row, column, 3) or (3, row, column); events have 1 or 2 first."""
    return len(shape) == 3 and shape[0] > 2 and 3 in (shape[0], shape[2])


def _over_time(bits: NDArray[np.uint8], steps: int) -> NDArray[np.float64]:
    """Return spikes per step (unit, bin) of packed bits (unit, byte), in at most 64 bins of whole bytes of 8 steps.

    Where the last bin has fewer steps left, it is as long as the others and ends with the last step, so it shares
    steps with the one before: a rest of one step would be the brightest of all where that has a spike.
    """
    if not steps:
        return np.zeros((len(bits), 1))
    width = -(-steps // 512)  # bytes of a bin
    whole, rest = divmod(steps, 8 * width)
    bins = [np.bitwise_count(bits[:, k * width : (k + 1) * width]).sum(axis=1) for k in range(whole)]
    if rest:
        first = max(steps - 8 * width, 0) // 8  # of the bytes that hold the last bin
        bins.append(unpack(bits[:, first:], steps - 8 * first)[-8 * width :].sum(axis=0))
    return np.asarray(np.stack(bins, axis=1) / min(8 * width, steps))


def first_of_each_class(labels: NDArray[np.int32], classes: int) -> dict[int, int]:
    """Return label → position of its first sample, of the first `MOST_CLASSES` classes that occur."""
    present, first = np.unique(labels, return_index=True)
    pairs = [(int(label), int(i)) for label, i in zip(present, first, strict=True) if label < classes]
    return dict(pairs[:MOST_CLASSES])
