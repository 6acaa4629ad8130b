"""The weights of a network's first trained layer, each neuron's where its inputs are."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, prod, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from .spikes import is_colour
from .style import empty_figure, mosaic, palette, signed_colours, styled, whole_numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_TILES = 66
_COLOURS = ("red", "green", "blue")


@styled
def weights(weight: NDArray[Any], in_shape: Sequence[int], *, channels: str = "", title: str = "") -> Figure:
    """Draw the weights of a layer: an image per neuron and channel where inputs have rows and columns.

    Weights of inputs on one axis, such as the frequencies of a sound, are one picture (input, neuron), the neurons in
    the order of the input on which their weights centre.

    Parameters
    ----------
    weight
        (neuron, input) of a dense layer, or (neuron, channel, row, column) of a convolution.
    in_shape
        Shape of the inputs of a dense layer, in C order; (channel, row, column), (row, column, 3) or (row, column) give
        images.
    channels
        What the channels of the inputs are, such as ``"polarity"``, for the title. (row, column, 3) are colours where
        this is ``"colour"`` or not given.
    title
        The figure's title.

    Raises
    ------
    UsageError
        Weights and inputs do not fit each other, or weights are not finite.
    CapabilityError
        matplotlib is not installed.
    """
    weight = np.asarray(weight, np.float64)
    fits = weight.ndim == 4 or (weight.ndim == 2 and weight.shape[1] == prod(in_shape))
    if not fits or not weight.size or not np.isfinite(weight).all():
        raise UsageError(
            f"got weights of shape {weight.shape} for inputs {tuple(in_shape)}",
            "finite weights (neuron, input) or (neuron, channel, row, column)",
        )
    if weight.ndim == 2 and len(in_shape) < 2:
        return _by_input(weight, title)
    colours = channels in ("", "colour") and is_colour(tuple(in_shape)) and in_shape[2] == 3
    images = weight if weight.ndim == 4 else _as_images(weight, tuple(in_shape), colours)
    kind = "output channels" if weight.ndim == 4 else "neurons"
    return _tiles(images, _channel_names(images.shape[1], channels), title, kind)


def _as_images(weight: NDArray[np.float64], shape: tuple[int, ...], colours: bool) -> NDArray[np.float64]:
    """Return the weights of a dense layer as (neuron, channel, row, column); the last axis may be that of colours."""
    if colours:
        return weight.reshape(-1, *shape).transpose(0, 3, 1, 2)
    return weight.reshape(len(weight), -1, *shape[-2:])


def _channel_names(number: int, channels: str) -> list[str]:
    if number == 2 and channels == "polarity":
        return ["OFF", "ON"]
    if number == 3 and channels == "colour":
        return list(_COLOURS)
    return [f"channel {n}" for n in range(number)] if number > 1 else [""]


def _tiles(images: NDArray[np.float64], names: Sequence[str], title: str, kind: str) -> Figure:
    """Draw a mosaic of the neurons, or what `kind` calls them, for each channel: the same ones at the same places."""
    neurons, channels, height, width = images.shape
    shown_channels = min(channels, 4)
    number = min(neurons, max(_MOST_TILES // shown_channels, 15))
    strongest = np.sort(np.argsort((images**2).sum(axis=(1, 2, 3)), kind="stable")[::-1][:number])
    images = images[strongest, :shown_channels]
    scale = float(np.percentile(np.abs(images), 99.8)) or 1.0
    across = 1 if shown_channels == 1 else 2
    down = ceil(shown_channels / across)
    columns = min(number, max(1, round(sqrt(number * height / width * (2.0 if across == 1 else 1.0)))))
    rows = ceil(number / columns)
    tall = 8.2 / across * rows * height / (columns * width)  # inches, as wide as there is room
    figure = empty_figure(9.6, float(np.clip(down * (tall + 0.3), 1.6, 9.5)) + 0.5)
    which = f"the {number} of {neurons:,} {kind} with the largest weights"
    which = f"weights of all {neurons:,} {kind}" if number == neurons else which
    more = f", channels 0 to {shown_channels - 1} of {channels}" if shown_channels < channels else ""
    about = f"{which}{more}"
    figure.suptitle(f"{title}: {about}" if title else about, fontsize=10, x=0.01, ha="left")
    colours = signed_colours().with_extremes(bad=palette().grid)  # NaN: the frames
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for axes in panels:
        axes.set_axis_off()
    for channel, axes in enumerate(panels[:shown_channels]):
        gap = max(1, round(max(height, width) / 16))
        picture = mosaic(images[:, channel], columns, gap=gap, frame=gap)
        image = axes.imshow(picture, cmap=colours, vmin=-scale, vmax=scale)
        axes.set_title(names[channel])
    figure.colorbar(image, ax=list(panels), label="weight", aspect=30, shrink=0.8, extend="both")
    return figure


def _by_input(weight: NDArray[np.float64], title: str) -> Figure:
    """Draw (input, neuron), the neurons ordered by the centre of their weights."""
    size = np.abs(weight)
    centre = size**2 @ np.arange(weight.shape[1]) / np.maximum((size**2).sum(axis=1), 1e-30)
    order = np.argsort(centre, kind="stable")
    scale = float(np.percentile(size, 99.8)) or 1.0
    figure = empty_figure(9.6, 4.6)
    axes, spread = figure.subplots(1, 2, width_ratios=[5, 1], sharey=True)
    about = f"weights of {len(weight):,} neurons, ordered by the input on which they centre"
    figure.suptitle(f"{title}: {about}" if title else about, fontsize=10, x=0.01, ha="left")
    image = axes.imshow(weight[order].T, cmap=signed_colours(), vmin=-scale, vmax=scale, aspect="auto")
    axes.set(xlabel="neuron, in that order", ylabel="input (channel)")
    whole_numbers(axes.xaxis, axes.yaxis)
    figure.colorbar(image, ax=axes, label="weight", aspect=30, pad=0.01, extend="both")
    edges = np.arange(weight.shape[1] + 1) - 0.5
    spread.stairs(size.mean(axis=0), edges, orientation="horizontal", fill=True, color=palette().blue)
    spread.set(xlabel="mean |weight|")
    spread.tick_params(labelleft=False)
    return figure
