"""One sample on its way through a network: the spikes of the input and of every layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from .names import short_names
from .spikes import draw_counts, draw_dots, is_colour
from .style import COUNTS, empty_figure, mosaic, palette, styled, time_axis, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INCHES = 1.7  # height of a layer
_MOST_NAMES = 20  # classes that are named at the output
_MOST_MAPS = 24  # channels of a convolution that are shown


@styled
def layers(
    spikes: Sequence[NDArray[np.bool_]],
    shapes: Sequence[Sequence[int]],
    *,
    names: Sequence[str] = (),
    classes: Sequence[str] = (),
    label: int | None = None,
    seconds_per_step: float | None = None,
    title: str = "",
) -> Figure:
    """Draw every spike of one sample in the input and in every layer, and the spikes of each neuron.

    Parameters
    ----------
    spikes
        bool (time, unit) of the input and of every layer, the output last.
    shapes
        Shape of the units of each.
    names
        Name of each, such as ``["input", "800", "10"]``.
    classes
        Names of the output's neurons.
    label
        The sample's class.
    seconds_per_step
        Length of a time step; without it time is shown in steps.
    title
        The figure's title.

    Raises
    ------
    UsageError
        There are no layers, or not as many shapes as layers.
    CapabilityError
        matplotlib is not installed.
    """
    if len(spikes) < 2 or len(spikes) != len(shapes):
        raise UsageError(
            f"got {len(spikes)} layers and {len(shapes)} shapes", "the input and at least one layer"
        )
    steps, rows = len(spikes[0]), len(spikes)
    scale, unit = time_axis(steps, seconds_per_step)
    heights = [*([_INCHES] * (rows - 1)), float(np.clip(0.2 * spikes[-1].shape[1], _INCHES, 3.6))]
    figure = empty_figure(9.6, sum(heights) + 0.9)
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    panels = figure.subplots(rows, 2, width_ratios=[4, 1.7], height_ratios=heights, squeeze=False)
    for n, (train, shape) in enumerate(zip(spikes, shapes, strict=True)):
        dots, side = panels[n]
        output, mean = n == rows - 1, train.sum() / max(train.shape[1], 1)
        cells = draw_dots(dots, train, scale, inches=heights[n])
        name = names[n] if n < len(names) else "input" if n == 0 else "output" if output else f"layer {n}"
        units = f"{train.shape[1]:,} {'units' if n == 0 else 'neurons'}"
        dots.set_title(f"{name}: {units}, {train.sum():,} spikes, {mean:.3g} each{cells and chr(10) + cells}")
        dots.tick_params(labelbottom=output)
        if output:
            _draw_output(dots, side, train.sum(axis=0), classes, label)
        else:
            _draw_counts(side, train.sum(axis=0), tuple(shape), dots, may_be_colour=n == 0)
    panels[-1][0].set_xlabel(f"time ({unit})")
    figure.align_ylabels(panels[:, 0])
    return figure


def _draw_counts(
    axes: Axes, counts: NDArray[np.int64], shape: tuple[int, ...], dots: Axes, *, may_be_colour: bool
) -> None:
    """Draw the spikes of each neuron: as an image, as one image per channel, or as bars."""
    if len(shape) == 3 and shape[0] > 2 and not (may_be_colour and is_colour(shape)):
        axes.imshow(_mosaic(counts.reshape(shape)), cmap=COUNTS)
        shown = f", {_MOST_MAPS} of {shape[0]}" if shape[0] > _MOST_MAPS else ""
        axes.set_title(f"spikes by channel{shown}")
        axes.set_axis_off()
        return
    if not draw_counts(axes, counts, shape, dots, bars="spikes of each neuron"):
        axes.sharey(dots)


def _mosaic(maps: NDArray[Any]) -> NDArray[np.float64]:
    """Return the first images (channel, row, column) beside and below each other."""
    maps = maps[:_MOST_MAPS]
    return mosaic(maps, int(np.ceil(np.sqrt(1.5 * len(maps)))), gap=max(1, maps.shape[1] // 12))


def _draw_output(
    dots: Axes, bars: Axes, counts: NDArray[np.int64], classes: Sequence[str], label: int | None
) -> None:
    """Draw the output's counts: the predicted class in blue, the true one, where it is another, in orange."""
    predicted = int(counts.argmax()) if counts.any() else None
    colours = [palette().grey] * len(counts)
    if label is not None:
        colours[label] = palette().orange
    if predicted is not None:
        colours[predicted] = palette().blue
    bars.barh(range(len(counts)), counts, height=0.8, color=colours)
    bars.set(ylim=dots.get_ylim(), xlim=(0, max(counts.max(initial=0), 1) * 1.02), xlabel="spikes")
    bars.tick_params(labelleft=False)
    whole_numbers(bars.xaxis)
    names = short_names(classes, 1.15, 9) or [str(n) for n in range(len(counts))]
    which = "no class" if predicted is None else names[predicted]
    right = "" if label in (None, predicted) else f", true {names[label]}"
    bars.set_title(f"predicted {which}{right}")
    if len(names) <= _MOST_NAMES:
        dots.set_yticks(range(len(names)), names)
