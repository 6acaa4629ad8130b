"""A recording of a DVS: accumulated frame, time surface, every event over time, and the rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data import Events
from ..errors import UsageError
from .event_counts import EventCounts, action_box, count_events, count_spikes
from .spikes import check_sample, class_rows_height, draw_classes, first_of_each_class, sample_title
from .style import COUNTS, empty_figure, palette, paper, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..store import SpikeStore

_TIME_PANELS = 4.0  # inches: height of the panels over time
_MOST_PIXELS = 200  # pixels per side that a small image can show


def _polarities(number: int) -> list[tuple[int, str, str]]:
    """Return polarity, name and colour, in the order of drawing."""
    colours = palette()
    return (
        [(1, "ON", colours.orange), (0, "OFF", colours.blue)]
        if number == 2
        else [(0, "events", colours.blue)]
    )


@styled
def recording(
    events: Events, *, bin_us: float = 0, tau_us: float = 0, at_us: float | None = None, title: str = ""
) -> Figure:
    """Draw a recording: accumulated frame and time surface of each polarity, every event over time, and the rate.

    Parameters
    ----------
    events
        What `spikeprep.eventfiles.read` or `open_events` returned, or a transform of it.
    bin_us
        Width of the bins of the rate in µs; 0: about a hundredth of the duration.
    tau_us
        Time constant of the time surface in µs; 0: about a tenth of the duration.
    at_us
        Time of the time surface in µs; None: the end. Later events are not in it.
    title
        Put before the numbers in the figure's title.

    Raises
    ------
    UsageError
        A number is negative.
    CapabilityError
        matplotlib is not installed.
    """
    counts = count_events(events, bin_us=bin_us, tau_us=tau_us, at_us=at_us)
    figure = empty_figure(9.6, _height(counts))
    number = f"{counts.frame.sum():,} events in {_time(counts.duration)}, {counts.size[0]} × {counts.size[1]} pixels"
    _draw(figure, counts, f"{title}: {number}" if title else number)
    return figure


@styled
def stored_recording(
    store: SpikeStore, split: str, index: int = 0, *, tau_us: float = 0, at_us: float | None = None
) -> Figure:
    """Draw a stored sample of units (polarity, row, column) as `recording` does, and one sample of each class.

    Raises
    ------
    UsageError
        There is no such sample, or the store's units are not those of a DVS.
    CapabilityError
        matplotlib is not installed.
    """
    if not has_event_units(store):
        raise UsageError(
            f"{store.path} has units {tuple(store.attributes['unit_shape'])}",
            "(polarity, row, column), as a DVS has",
            "Draw it with spikeprep.plot.raster.",
        )
    reader, classes = store[split], store.attributes["classes"]
    check_sample(index, len(reader))
    steps, step_us = int(reader.steps[index]), 1e6 * store.attributes["dt"]
    counts = count_spikes(
        reader.sample_by_units(index),
        store.attributes["unit_shape"],
        steps,
        step_us,
        tau_us=tau_us,
        at_us=at_us,
    )
    shown = first_of_each_class(reader.labels, len(classes))
    heights = [_height(counts), *([class_rows_height(len(shown))] if shown else [])]
    figure = empty_figure(9.6, sum(heights))
    top, *bottom = np.ravel(figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False))
    spikes = f"{reader.counts[index]:,} spikes of {reader.units:,} units in {steps:,} steps"
    _draw(top, counts, f"{sample_title(reader, index, classes)}: {spikes} of {_time(step_us)}")
    if shown:
        draw_classes(bottom[0], reader, shown, classes)
    return figure


def has_event_units(store: SpikeStore) -> bool:
    """Return whether a store's units are a DVS's of several rows: (polarity, row, column), or count levels of these."""
    shape, chain = store.attributes["unit_shape"], store.attributes["chain"]
    levels = len(shape) == 4 and bool(chain) and chain[-1]["name"] == "dvs"
    return (len(shape) == 3 or levels) and shape[-3] <= 2 and shape[-2] > 1


def _height(counts: EventCounts) -> float:
    """Return the height of the figure in inches; that of the images depends on the shape of what they show."""
    top, bottom, left, right = action_box(counts.frame)
    return _TIME_PANELS + 0.8 + 1.8 * min(max((bottom - top) / (right - left), 0.3), 1.4)


def _draw(panel: Any, counts: EventCounts, title: str) -> None:
    box, (width, height) = action_box(counts.frame), counts.size
    if box != (0, height, 0, width):
        top, bottom, left, right = box
        title += (
            f"\nrows {top} to {bottom - 1} and columns {left} to {right - 1} of {width} × {height} pixels"
        )
    panel.suptitle(title, fontsize=10, x=0.01, ha="left")
    top, bottom = panel.subfigures(2, 1, height_ratios=[_height(counts) - _TIME_PANELS, _TIME_PANELS])
    _draw_images(top, counts)
    _draw_over_time(bottom, counts)


def _draw_images(panel: Any, counts: EventCounts) -> None:
    """Draw the accumulated frame and the time surface of each polarity, on one scale each."""
    from matplotlib.colors import PowerNorm

    polarities, (top, bottom, left, right) = _polarities(len(counts.frame)), action_box(counts.frame)
    row = panel.subplots(1, 2 * len(polarities), sharex=True, sharey=True)
    side = -(
        -max(bottom - top, right - left) // _MOST_PIXELS
    )  # pixels per side of a square that is drawn as one
    frame, surface = _pooled(counts.frame, side, np.add), _pooled(counts.surface, side, np.maximum)
    frame_label = "events per pixel" if side == 1 else f"events in {side} × {side} pixels"
    decay = f"exp(−age / {_time(counts.tau_us)})"
    when = "at the end" if counts.at_us >= counts.duration else f"at {_time(counts.at_us)}"
    emphasise_few = PowerNorm(0.5, 0, max(frame.max(initial=0), 1))
    for images, name, label, norm in (
        (frame, "accumulated", frame_label, emphasise_few),
        (surface, "time surface", f"{decay}\n{when}", PowerNorm(1.0, 0, 1)),
    ):
        panels, row = row[: len(polarities)], row[len(polarities) :]
        for axes, (polarity, sign, _) in zip(panels, polarities, strict=True):
            extent = (-0.5, images.shape[2] * side - 0.5, images.shape[1] * side - 0.5, -0.5)
            image = axes.imshow(images[polarity], cmap=COUNTS, norm=norm, extent=extent)
            axes.set(title=name if len(polarities) == 1 else f"{name}, {sign}", xlabel="column")
            axes.set(xlim=(left - 0.5, right - 0.5), ylim=(bottom - 0.5, top - 0.5))
            axes.spines[:].set_visible(False)
            axes.xaxis.get_major_locator().set_params(nbins=4, integer=True)
            axes.yaxis.get_major_locator().set_params(nbins=5, integer=True)
        if images is frame:
            panels[0].set_ylabel("row")
        bar = panel.colorbar(image, ax=list(panels), label=label, shrink=0.85, aspect=18, pad=0.02)
        bar.locator.set_params(nbins=5, integer=images is frame)


def _pooled(images: NDArray[Any], side: int, how: np.ufunc) -> NDArray[Any]:
    """Return images (polarity, row, column) with each square of `side` × `side` pixels reduced to one by `how`."""
    for axis in (1, 2):
        images = how.reduceat(images, np.arange(0, images.shape[axis], side), axis=axis)
    return images


def _draw_over_time(panel: Any, counts: EventCounts) -> None:
    """Draw every event by its row of pixels over time, and below it the rate of each polarity."""
    dots, rate = panel.subplots(2, 1, sharex=True, height_ratios=[2.2, 1])
    scale, unit = (1e-6, "s") if counts.duration > 5e6 else (1e-3, "ms")
    (width, height), end = counts.size, counts.duration * scale
    polarities = _polarities(len(counts.frame))
    if counts.events is not None:
        _draw_dots(dots, counts.events, polarities, scale, width)
        dots.set_title("every event, pixels in order of row, then column")
    else:
        _draw_map(dots, counts.map, polarities, (0, end, height - 0.5, -0.5))
        dots.set_title(f"events by row, in bins of {_time(counts.duration / counts.map.shape[2])}")
    first, last, _, _ = action_box(counts.frame)
    dots.set(ylim=(last - 0.5, first - 0.5), ylabel="row")
    dots.tick_params(labelbottom=False)

    bins = counts.rate.shape[1]
    edges = np.minimum(np.arange(bins + 1) * counts.bin_us, counts.duration)
    per_second = counts.rate / (np.diff(edges) * 1e-6)
    factor, prefix = next(
        ((f, p) for f, p in ((1e-6, "M"), (1e-3, "k")) if per_second.max(initial=0) * f >= 1), (1.0, "")
    )
    for polarity, name, colour in polarities:
        rate.stairs(per_second[polarity] * factor, edges * scale, color=colour, label=name, linewidth=1.2)
    rate.set(xlabel=f"time ({unit})", ylabel=f"{prefix}events/s", xlim=(0, end), ylim=(0, None))
    rate.set_title(f"rate, in bins of {_time(counts.bin_us)}")
    rate.grid(visible=True, axis="y")
    if len(polarities) > 1:
        from matplotlib.lines import Line2D

        marks = [Line2D([], [], color=c, marker="s", linestyle="none", label=n) for _, n, c in polarities]
        dots.legend(handles=marks, loc="upper left", bbox_to_anchor=(1.0, 1.0), handletextpad=0.1)


def _draw_dots(
    axes: Axes, events: NDArray[np.void], polarities: list[tuple[int, str, str]], scale: float, width: int
) -> None:
    dot = float(np.clip(5e3 / max(len(events), 1), 0.4, 6.0))
    for polarity, name, colour in polarities:
        of_polarity = events[events["p"] == polarity]
        place = of_polarity["y"] - 0.5 + (of_polarity["x"] + 0.5) / width
        axes.scatter(
            of_polarity["t"] * scale,
            place,
            s=dot,
            color=colour,
            linewidths=0,
            label=name,
            rasterized=len(events) > 5000,
        )


def _draw_map(
    axes: Axes,
    counts: NDArray[np.int64],
    polarities: list[tuple[int, str, str]],
    extent: tuple[float, float, float, float],
) -> None:
    """Draw counts in the colour of each polarity, the stronger the larger the count's logarithm."""
    from matplotlib.colors import to_rgb

    share = np.log1p(counts) / np.log1p(max(counts.max(initial=1), 1))
    picture = np.full((*counts.shape[1:], 3), paper())
    for polarity, _, colour in polarities:
        picture += share[polarity][..., None] * (np.array(to_rgb(colour)) - np.array(paper()))
    axes.imshow(picture.clip(0, 1), aspect="auto", extent=extent)


def _time(us: float) -> str:
    """Return a time for a person: ``"300 ms"``."""
    for factor, unit in ((1e6, "s"), (1e3, "ms")):
        if us >= factor:
            return f"{us / factor:.4g} {unit}"
    return f"{us:.4g} µs"
