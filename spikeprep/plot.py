"""Pictures: a sample's spikes and sound, the classes of a store, a run's training curve. The one door to matplotlib.

Every function returns a `matplotlib.figure.Figure` that belongs to nobody's global state; `save` writes it.
Colours are Okabe & Ito's (2008), told apart by every kind of colour vision, and each line has its own marker.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np
from numpy.typing import NDArray

from .data import Audio, Frames
from .errors import CapabilityError, DataError, UsageError
from .packing import popcount
from .random import SampleKey
from .recipes import stored_recipe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .store import SpikeStore, SplitReader

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
GREY = "#666666"
COUNTS = "cividis"  # perceptually even, and the same to colour-blind eyes
MOST_CLASSES = 20  # in one picture

STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "image.interpolation": "nearest",
}


Drawn = ParamSpec("Drawn")


def _styled(draw: Callable[Drawn, Figure]) -> Callable[Drawn, Figure]:
    """Draw in `STYLE` and leave matplotlib's own settings as they were; say what to install without it."""

    @functools.wraps(draw)
    def styled(*args: Drawn.args, **kwargs: Drawn.kwargs) -> Figure:
        try:
            import matplotlib
        except ImportError as error:
            mend = "Install it: python -m pip install 'spikeprep[plot]'"
            raise CapabilityError("matplotlib is not installed", "", mend) from error
        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return styled


@_styled
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
    if not 0 <= index < len(split):
        raise UsageError(f"got sample {index}", f"0 to {len(split) - 1}", "Name a sample of this split.")
    spikes = split[index]
    shown = _first_of_each(split.labels, len(classes))
    rows = -(-len(shown) // 10)
    heights = [4.6, 0.3 + 1.05 * rows] if rows else [4.6]  # inches
    figure = _figure(9.6, sum(heights))
    top, *bottom = np.ravel(figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False))
    _draw_sample(top, spikes, split.unit_shape, seconds_per_step)
    label = int(split.labels[index])
    name = f"class {classes[label]}" if label < len(classes) else f"label {label}"
    origin = str(split.ids[index])
    sample = f"sample {index}" if origin == str(index) else f"sample {index} ({origin})"
    top.suptitle(
        f"{sample}, {name}: {spikes.sum():,} spikes of {split.units:,} units "
        f"in {len(spikes):,} steps, density {spikes.mean():.2%}",
        fontsize=10,
        x=0.01,
        ha="left",
    )
    if rows:
        _draw_classes(bottom[0], split, shown, classes, rows)
    return figure


@_styled
def hearing(
    audio: Audio,
    frames: Frames,
    spikes: NDArray[np.bool_],
    *,
    seconds_per_step: float,
    centres: NDArray[np.float64] | None = None,
    title: str = "",
) -> Figure:
    """Draw how a sound becomes spikes: waveform, cochleagram and spikes, one above the other on one time axis.

    Parameters
    ----------
    audio, frames, spikes
        The sound, its channels, and its spikes, bool (time, channel).
    seconds_per_step
        Length of a time step of `spikes`.
    centres
        Each channel's frequency in Hz; without it channels are numbered.

    Raises
    ------
    CapabilityError
        matplotlib is not installed.
    """
    figure = _figure(9.6, 7.0)
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    wave, ear, dots = figure.subplots(3, 1, sharex=True, height_ratios=[1, 2, 2])
    end = max(audio.samples.size / audio.rate, len(spikes) * seconds_per_step)
    scale, unit = (1.0, "s") if end > 5 else (1e3, "ms")
    channels = spikes.shape[1]

    wave.plot(scale * np.arange(audio.samples.size) / audio.rate, audio.samples, color=BLUE, linewidth=0.6)
    largest = 1.05 * float(np.abs(audio.samples).max(initial=1e-9))
    wave.set(ylabel="amplitude", ylim=(-largest, largest), title=f"waveform, {audio.rate:g} Hz")

    # a frame is the end of its samples: it is drawn over them. The square root shows what is soft, too.
    extent = (0.0, scale * len(frames.values) / frames.rate, channels - 0.5, -0.5)
    drawn = ear.imshow(np.sqrt(frames.values.T), cmap=COUNTS, aspect="auto", extent=extent)
    ear.set_title(f"cochleagram, {frames.rate:g} frames a second")
    figure.colorbar(drawn, ax=ear, label="√ activity", pad=0.01, aspect=15)

    when, which = np.nonzero(spikes)
    tall = float(np.clip(150 / channels, 1.0, 9.0))
    dots.plot(
        scale * seconds_per_step * (when + 0.5),
        which,
        linestyle="none",
        marker="|",
        color="black",
        ms=tall,
        mew=0.7,
    )
    dots.set(ylim=(channels - 0.5, -0.5), xlim=(0, scale * end), xlabel=f"time ({unit})")
    dots.set_title(f"spikes: {spikes.sum():,} in {len(spikes):,} steps, density {spikes.mean():.2%}")
    for axes in (ear, dots):
        axes.set_ylabel("channel" if centres is None else "frequency (kHz)")
        if centres is not None:
            # channels are no frequencies but fall with them: marks stand where round ones would be
            marks = np.array(
                [f for f in (0.2, 0.5, 1, 2, 3, 4, 6, 8, 12, 16) if centres[-1] <= 1e3 * f <= centres[0]]
            )
            places = np.interp(1e3 * marks, centres[::-1], np.arange(channels)[::-1])
            axes.set_yticks(places, [f"{mark:g}" for mark in marks])
    return figure


def heard(store: SpikeStore, split: str, index: int, source_path: str | os.PathLike[str]) -> Figure:
    """Draw a stored sample with the sound it was made of, read again from the raw data: see `hearing`.

    Raises
    ------
    UsageError
        There is no such sample, or the store is not of sound.
    DataError
        The raw data are missing, damaged, or others than the store was made of.
    """
    recipe, reader = stored_recipe(store.attributes), store[split]
    chain = recipe.build_chain()
    if not 0 <= index < len(reader):
        raise UsageError(f"got sample {index}", f"0 to {len(reader) - 1}", "Name a sample of this split.")
    source = recipe.open_source(source_path)
    there = index < source.splits().get(split, 0)
    sample = source.read(split, index) if there else None
    origin = str(reader.ids[index])
    if sample is None or sample.id != origin:
        raise DataError(
            f"{os.fspath(source_path)} has {sample.id if sample else 'nothing'} as sample {index} of {split}",
            f"{origin}, as in the store",
            "Give the raw data that the store was made of.",
        )
    frames = chain.prepare(sample.signal, rng=SampleKey(store.attributes["seed"], split, index))
    if not isinstance(sample.signal, Audio) or not isinstance(frames, Frames):
        raise UsageError(f"{store.path} is not of sound", "", "Leave --source out.")
    ears = [
        transform.ear(sample.signal.rate).centres
        for transform in chain.transforms
        if hasattr(transform, "ear")
    ]
    return hearing(
        sample.signal,
        frames,
        reader[index],
        seconds_per_step=store.attributes["dt"],
        centres=ears[-1] if ears else None,
        title=f"sample {index} ({origin}), class {store.attributes['classes'][sample.label]}",
    )


def _draw_sample(panel: Any, spikes: NDArray[np.bool_], shape: tuple[int, ...], dt: float | None) -> None:
    scale, unit = _time_axis(len(spikes), dt)
    image = _as_image(spikes.sum(axis=0), shape)
    grid = panel.add_gridspec(2, 2, height_ratios=[4, 1], width_ratios=[4, 1.8 if image is not None else 0.9])
    dots = panel.add_subplot(grid[0, 0])
    when, which = np.nonzero(spikes)
    # ticks as tall as a unit's row, so that trains of few units read as bars and those of many as texture
    tall = float(np.clip(190 / spikes.shape[1], 1.0, 9.0))
    dots.plot(when * scale, which, linestyle="none", marker="|", color="black", ms=tall, mew=min(1.0, tall))
    dots.set(ylabel="unit", ylim=(spikes.shape[1] - 0.5, -0.5), title="every spike")
    dots.tick_params(labelbottom=False)

    rate = panel.add_subplot(grid[1, 0], sharex=dots)
    per_step = spikes.sum(axis=1)
    width = max(1, len(per_step) // 80)
    edges = np.arange(0, len(per_step), width)
    mean = np.add.reduceat(per_step, edges) / np.diff([*edges, len(per_step)])
    rate.stairs(mean, [*(edges * scale), len(per_step) * scale], fill=True, color=BLUE)
    rate.set(xlabel=f"time ({unit})", ylabel="spikes\na step", xlim=(0, len(per_step) * scale))

    if image is not None:
        counts = panel.add_subplot(grid[0, 1], anchor="N")
        drawn = counts.imshow(image, cmap=COUNTS)
        counts.set(title="spikes of each unit", xlabel="column", ylabel="row")
        counts.spines[:].set_visible(False)
        panel.colorbar(drawn, ax=counts, label="spikes", shrink=0.8, aspect=25, anchor=(0.0, 1.0))
    else:
        counts = panel.add_subplot(grid[0, 1], sharey=dots)
        counts.barh(np.arange(spikes.shape[1]), spikes.sum(axis=0), height=1.0, color=BLUE)
        counts.set(title="spikes of each unit", xlabel="spikes")
        counts.tick_params(labelleft=False)


def _draw_classes(
    panel: Any, split: SplitReader, shown: Mapping[int, int], classes: Sequence[str], rows: int
) -> None:
    columns = -(-len(shown) // rows)
    panels = np.ravel(panel.subplots(rows, columns, squeeze=False))
    for axes in panels:
        axes.set_axis_off()
    for axes, (label, index) in zip(panels, shown.items(), strict=False):
        batch = split.packed(np.array([index]))
        image = _as_image(popcount(batch.bits)[0], split.unit_shape)
        if image is None:  # units in a row: show them over time instead
            image = _over_time(batch.bits[0], int(batch.steps[0]))
        axes.imshow(image, cmap=COUNTS, aspect="auto" if image.shape[0] != image.shape[1] else "equal")
        axes.set_title(classes[label], loc="center", fontsize=9)
    kind = "spikes of each unit" if len(split.unit_shape) > 1 else "spikes over time, left to right"
    more = f"; {len(shown)} of {len(classes)} classes" if len(shown) < len(classes) else ""
    panel.suptitle(f"first sample of each class ({kind}{more})", fontsize=10, x=0.01, ha="left")


@_styled
def training_curve(epochs: Sequence[Mapping[str, Any]], *, title: str = "") -> Figure:
    """Draw accuracy by epoch, and below it how much each layer spikes.

    Parameters
    ----------
    epochs
        A record an epoch, as `spikeprep.train.journal.Journal.epochs` gives them. Drawn are ``epoch``,
        ``train_accuracy``, ``validation_accuracy``, ``test_accuracy`` (shares or None) and ``rates``
        (mean spikes a neuron and sample, by layer).
    title
        What was trained, e.g. the architecture and the store.

    Raises
    ------
    UsageError
        No epoch is finished yet.
    CapabilityError
        matplotlib is not installed.
    """
    if not epochs:
        raise UsageError("the journal has no finished epoch", "", "Train for at least one epoch first.")
    x = [record["epoch"] for record in epochs]
    figure = _figure(8, 5.6)
    accuracy, rates = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")

    for share, colour, marker in (("train", GREY, "o"), ("validation", BLUE, "s"), ("test", ORANGE, "^")):
        _line(accuracy, x, [record.get(f"{share}_accuracy") for record in epochs], share, colour, marker)
    validation = [record.get("validation_accuracy") for record in epochs]
    if any(v is not None for v in validation):
        best = x[int(np.argmax([-1.0 if v is None else v for v in validation]))]
        for axes in (accuracy, rates):
            axes.axvline(best, color=BLUE, linewidth=0.8, linestyle=":")
        accuracy.annotate(
            f"best on validation: epoch {best}", (best, 0.02), xycoords=("data", "axes fraction"),
            xytext=(-4 if best > np.mean(x) else 4, 0), textcoords="offset points",
            ha="right" if best > np.mean(x) else "left", color=BLUE, fontsize=8,
        )  # fmt: skip
    accuracy.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g}")
    accuracy.set(ylabel="accuracy (%)", title="samples classified correctly")
    accuracy.grid(visible=True, axis="y")
    accuracy.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))

    layers = len(epochs[-1].get("rates") or ())
    for layer in range(layers):
        name = "output" if layer == layers - 1 else f"hidden {layer + 1}"
        colour, marker = [(GREEN, "o"), (PURPLE, "s"), (BLUE, "^"), (GREY, "v")][layer % 4]
        mean = [(record.get("rates") or [None] * layers)[layer] for record in epochs]
        _line(rates, x, mean, name, colour, marker, "{:.1f}")
    rates.set(xlabel="epoch", ylabel="spikes a neuron\nand sample", ylim=(0, None))
    rates.set_title("how much each layer spikes")
    rates.grid(visible=True, axis="y")
    rates.set_xlim(x[0] - 0.5, x[-1] + 0.5)
    rates.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    if layers:
        rates.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def save(figure: Figure, path: str | os.PathLike[str], *, dots_per_inch: int = 150) -> None:
    """Write a figure; the name's ending picks the format.

    Raises
    ------
    UsageError
        The ending names no format that matplotlib writes.
    """
    known = figure.canvas.get_supported_filetypes()
    ending = os.path.splitext(os.fspath(path))[1].lstrip(".").lower()
    if ending not in known:
        raise UsageError(
            f"got the picture file {os.fspath(path)!r}",
            f"one that ends in {', '.join(f'.{e}' for e in ('png', 'svg', 'pdf'))}",
            "Give it another ending.",
        )
    figure.savefig(path, dpi=dots_per_inch)


def _figure(width: float, height: float) -> Figure:
    """Return an empty figure of `width` × `height` inches, known to no window and no global list."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _line(
    axes: Axes,
    x: Sequence[int],
    values: Sequence[float | None],
    name: str,
    colour: str,
    marker: str,
    number: str = "{:.2%}",
) -> None:
    """Draw what is known of a series; the legend carries its last value, written as `number`."""
    known = [(e, v) for e, v in zip(x, values, strict=True) if v is not None]
    if known:
        (line,) = axes.plot(*zip(*known, strict=True), label=f"{name}, last {number.format(known[-1][1])}")
        line.set(color=colour, marker=marker, markersize=3.5, linewidth=1.4)


def _as_image(per_unit: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any] | None:
    """Return a value per unit as (row, column), channels added up; None where units are in a row."""
    if len(shape) < 2:
        return None
    image = per_unit.reshape(-1, *shape[-2:]).sum(axis=0)
    return np.asarray(image)


def _over_time(bits: NDArray[np.uint8], steps: int) -> NDArray[np.float64]:
    """Return spikes a step (unit, bin) in at most 64 bins of whole bytes of time."""
    per_byte = np.bitwise_count(bits[:, : -(-steps // 8)])
    first = np.arange(0, per_byte.shape[1], -(-per_byte.shape[1] // 64))
    spikes = np.add.reduceat(per_byte, first, axis=1, dtype=np.float64)
    return np.asarray(spikes / np.diff([*(8 * first), steps]))


def _first_of_each(labels: NDArray[np.int32], classes: int) -> dict[int, int]:
    """Return label → position of its first sample, of the first `MOST_CLASSES` classes that occur."""
    found, first = np.unique(labels, return_index=True)
    pairs = [(int(label), int(i)) for label, i in zip(found, first, strict=True) if label < classes]
    return dict(pairs[:MOST_CLASSES])


def _time_axis(steps: int, seconds_per_step: float | None) -> tuple[float, str]:
    """Return what a step is on the axis, and the axis's unit."""
    if seconds_per_step is None:
        return 1.0, "steps"
    return (seconds_per_step, "s") if steps * seconds_per_step > 5 else (1e3 * seconds_per_step, "ms")
