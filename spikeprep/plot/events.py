"""A recording of a DVS: accumulated frame, time surface, every event over time, and the rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data import Events
from ..errors import UsageError
from .event_counts import Seen, look, look_at_spikes
from .spikes import draw_classes, sample_title, shown_classes
from .style import BLUE, COUNTS, ORANGE, blank, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..store import SpikeStore

_COURSE = 4.0  # inches
_FINE = 200  # pixels of a side that a small image can show


def _polarities(number: int) -> list[tuple[int, str, str]]:
    """Return polarity, name and colour, in the order of drawing."""
    return [(1, "ON", ORANGE), (0, "OFF", BLUE)] if number == 2 else [(0, "events", BLUE)]


@styled
def recording(
    events: Events, *, bin_us: float = 0, tau_us: float = 0, at_us: float | None = None, title: str = ""
) -> Figure:
    """Draw a recording: accumulated frame and time surface of each polarity, every event over time, and the rate.

    Parameters
    ----------
    events
        What `spikeprep.eventfiles.read` or `open_events` gave, or a transform made of it.
    bin_us
        Width of the bins of the rate in µs; 0: about a hundredth of the duration.
    tau_us
        Time constant of the time surface in µs; 0: about a tenth of the duration.
    at_us
        Moment of the time surface in µs; None: the end. Later events are not in it.
    title
        What it is.

    Raises
    ------
    UsageError
        A number does not fit.
    CapabilityError
        matplotlib is not installed.
    """
    seen = look(events, bin_us=bin_us, tau_us=tau_us, at_us=at_us)
    figure = blank(9.6, _height(seen))
    number = f"{seen.frame.sum():,} events in {_time(seen.duration)}, {seen.size[0]} × {seen.size[1]} pixels"
    _draw(figure, seen, f"{title}: {number}" if title else number)
    return figure


@styled
def recorded(
    store: SpikeStore, split: str, index: int = 0, *, tau_us: float = 0, at_us: float | None = None
) -> Figure:
    """Draw a stored sample of units (polarity, row, column) as `recording` does, and a frame of each class.

    Raises
    ------
    UsageError
        There is no such sample, or the store's units are not those of a DVS.
    CapabilityError
        matplotlib is not installed.
    """
    if not is_recorded(store):
        raise UsageError(
            f"{store.path} has units {tuple(store.attributes['unit_shape'])}",
            "(polarity, row, column), of a DVS",
            "Draw it with spikeprep.plot.raster.",
        )
    reader, classes = store[split], store.attributes["classes"]
    if not 0 <= index < len(reader):
        raise UsageError(f"got sample {index}", f"0 to {len(reader) - 1}", "Name a sample of this split.")
    steps, step_us = int(reader.steps[index]), 1e6 * store.attributes["dt"]
    seen = look_at_spikes(
        reader.sample_by_units(index),
        store.attributes["unit_shape"],
        steps,
        step_us,
        tau_us=tau_us,
        at_us=at_us,
    )
    shown = shown_classes(reader.labels, len(classes))
    heights = [_height(seen), *([0.3 + 1.05 * -(-len(shown) // 10)] if shown else [])]
    figure = blank(9.6, sum(heights))
    top, *bottom = np.ravel(figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False))
    spikes = f"{reader.counts[index]:,} spikes of {reader.units:,} units in {steps:,} steps"
    _draw(top, seen, f"{sample_title(reader, index, classes)}: {spikes} of {_time(step_us)}")
    if shown:
        draw_classes(bottom[0], reader, shown, classes)
    return figure


def is_recorded(store: SpikeStore) -> bool:
    """Return whether a store's units are those of a DVS: (polarity, row, column), after levels where it counts."""
    shape, chain = store.attributes["unit_shape"], store.attributes["chain"]
    counted = len(shape) == 4 and chain[-1]["name"] == "dvs"
    return (len(shape) == 3 or counted) and shape[-3] <= 2


def _height(seen: Seen) -> float:
    """Return the height of the picture in inches: the sensor decides how high the images are."""
    return _COURSE + 0.8 + 1.8 * min(max(seen.size[1] / seen.size[0], 0.3), 1.4)


def _draw(panel: Any, seen: Seen, title: str) -> None:
    panel.suptitle(title, fontsize=10, x=0.01, ha="left")
    top, bottom = panel.subfigures(2, 1, height_ratios=[_height(seen) - _COURSE, _COURSE])
    _draw_images(top, seen)
    _draw_course(bottom, seen)


def _draw_images(panel: Any, seen: Seen) -> None:
    """Draw the accumulated frame and the time surface of each polarity, on one scale each."""
    from matplotlib.colors import PowerNorm

    polarities, (width, height) = _polarities(len(seen.frame)), seen.size
    row = panel.subplots(1, 2 * len(polarities), sharex=True, sharey=True)
    side = -(-max(seen.size) // _FINE)  # pixels together where there are more than can be seen
    frame, surface = _together(seen.frame, side, np.add), _together(seen.surface, side, np.maximum)
    counted = "events a pixel" if side == 1 else f"events in {side} × {side} pixels"
    faded = f"exp(−age / {_time(seen.tau_us)})"
    moment = "at the end" if seen.at_us >= seen.duration else f"at {_time(seen.at_us)}"
    few_stand_out = PowerNorm(0.5, 0, max(frame.max(initial=0), 1))
    for images, what, label, norm in (
        (frame, "accumulated", counted, few_stand_out),
        (surface, "time surface", f"{faded}\n{moment}", PowerNorm(1.0, 0, 1)),
    ):
        part, row = row[: len(polarities)], row[len(polarities) :]
        for axes, (polarity, name, _) in zip(part, polarities, strict=True):
            extent = (-0.5, images.shape[2] * side - 0.5, images.shape[1] * side - 0.5, -0.5)
            drawn = axes.imshow(images[polarity], cmap=COUNTS, norm=norm, extent=extent)
            axes.set(title=what if len(polarities) == 1 else f"{what}, {name}", xlabel="column")
            axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
            axes.spines[:].set_visible(False)
            axes.xaxis.get_major_locator().set_params(nbins=4, integer=True)
            axes.yaxis.get_major_locator().set_params(nbins=5, integer=True)
        if images is frame:
            part[0].set_ylabel("row")
        bar = panel.colorbar(drawn, ax=list(part), label=label, shrink=0.85, aspect=18, pad=0.02)
        bar.locator.set_params(nbins=5, integer=images is frame)


def _together(images: NDArray[Any], side: int, how: np.ufunc) -> NDArray[Any]:
    """Return images (polarity, row, column) with squares of `side` × `side` pixels added up, or their largest."""
    for axis in (1, 2):
        images = how.reduceat(images, np.arange(0, images.shape[axis], side), axis=axis)
    return images


def _draw_course(panel: Any, seen: Seen) -> None:
    """Draw every event by its row of pixels over time, and below it the rate of each polarity."""
    dots, rate = panel.subplots(2, 1, sharex=True, height_ratios=[2.2, 1])
    scale, unit = (1e-6, "s") if seen.duration > 5e6 else (1e-3, "ms")
    (width, height), end = seen.size, seen.duration * scale
    polarities = _polarities(len(seen.frame))
    if seen.events is not None:
        _draw_dots(dots, seen.events, polarities, scale, width)
        dots.set_title("every event, pixels in order of row, then column")
    else:
        _draw_map(dots, seen.map, polarities, (0, end, height - 0.5, -0.5))
        dots.set_title(f"events by row, in bins of {_time(seen.duration / seen.map.shape[2])}")
    dots.set(ylim=(height - 0.5, -0.5), ylabel="row")
    dots.tick_params(labelbottom=False)

    bins = seen.rate.shape[1]
    edges = np.minimum(np.arange(bins + 1) * seen.bin_us, seen.duration)
    per_second = seen.rate / (np.diff(edges) * 1e-6)
    factor, prefix = next(
        ((f, p) for f, p in ((1e-6, "M"), (1e-3, "k")) if per_second.max(initial=0) * f >= 1), (1.0, "")
    )
    for polarity, name, colour in polarities:
        rate.stairs(per_second[polarity] * factor, edges * scale, color=colour, label=name, linewidth=1.2)
    rate.set(xlabel=f"time ({unit})", ylabel=f"{prefix}events/s", xlim=(0, end), ylim=(0, None))
    rate.set_title(f"rate, in bins of {_time(seen.bin_us)}")
    rate.grid(visible=True, axis="y")
    if len(polarities) > 1:
        from matplotlib.lines import Line2D

        marks = [Line2D([], [], color=c, marker="s", linestyle="none", label=n) for _, n, c in polarities]
        dots.legend(handles=marks, loc="upper left", bbox_to_anchor=(1.0, 1.0), handletextpad=0.1)


def _draw_dots(
    axes: Axes, events: NDArray[np.void], polarities: list[tuple[int, str, str]], scale: float, width: int
) -> None:
    small = float(np.clip(5e3 / max(len(events), 1), 0.4, 6.0))
    for polarity, name, colour in polarities:
        own = events[events["p"] == polarity]
        place = own["y"] - 0.5 + (own["x"] + 0.5) / width
        axes.scatter(
            own["t"] * scale,
            place,
            s=small,
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
    """Draw counts as ink: the colour of each polarity taken from white, by the logarithm of the count."""
    from matplotlib.colors import to_rgb

    ink = np.log1p(counts) / np.log1p(max(counts.max(initial=1), 1))
    picture = np.ones((*counts.shape[1:], 3))
    for polarity, _, colour in polarities:
        picture -= ink[polarity][..., None] * (1 - np.array(to_rgb(colour)))
    axes.imshow(picture.clip(0, 1), aspect="auto", extent=extent)


def _time(us: float) -> str:
    """Return a time for a person: ``"300 ms"``."""
    for factor, unit in ((1e6, "s"), (1e3, "ms")):
        if us >= factor:
            return f"{us / factor:.4g} {unit}"
    return f"{us:.4g} µs"
