"""A run's training curve; lines differ in colour and in marker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import UsageError
from .style import empty_figure, palette, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DASHES = ("-", "--", "-.")  # of layers 1 to 4, 5 to 8, and so on, whose colours repeat


@styled
def training_curve(
    epochs: Sequence[Mapping[str, Any]], *, title: str = "", layers: Sequence[str] = ()
) -> Figure:
    """Draw the accuracy by epoch, and below it the firing rate of each layer.

    Parameters
    ----------
    epochs
        One record per epoch, as in ``spikeprep.open_run(…).history``. Drawn are ``epoch``, ``train_accuracy``,
        ``validation_accuracy``, ``test_accuracy`` (in [0, 1], or None) and ``rates`` (mean spikes per neuron and
        sample, by layer).
    title
        The figure's title, e.g. the architecture and the store.
    layers
        Notation of each layer, the output last, e.g. ``["15C5", "P2", "10"]``; shown beside the layer's place.

    Raises
    ------
    UsageError
        There is no finished epoch.
    CapabilityError
        matplotlib is not installed.
    """
    if not epochs:
        raise UsageError("the run has no finished epoch", "", "Train for at least one epoch first.")
    x = [record["epoch"] for record in epochs]
    figure = empty_figure(8, 5.6)
    accuracy, rates = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")

    colours = palette()
    shares = (("train", colours.grey, "o"), ("validation", colours.blue, "s"), ("test", colours.orange, "^"))
    for share, colour, marker in shares:
        _line(accuracy, x, [record.get(f"{share}_accuracy") for record in epochs], share, colour, marker)
    validation = [record.get("validation_accuracy") for record in epochs]
    if any(v is not None for v in validation):
        accuracies = np.array([-1.0 if v is None else v for v in validation])
        best = x[
            int(np.flatnonzero(accuracies == accuracies.max())[-1])
        ]  # of equals the last, as in the trainer
        for axes in (accuracy, rates):
            axes.axvline(best, color=colours.blue, linewidth=0.8, linestyle=":")
        accuracy.annotate(
            f"best on validation: epoch {best}", (best, 0.02), xycoords=("data", "axes fraction"),
            xytext=(-4 if best > np.mean(x) else 4, 0), textcoords="offset points",
            ha="right" if best > np.mean(x) else "left", color=colours.blue, fontsize=8,
        )  # fmt: skip
    accuracy.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g}")
    accuracy.set(ylabel="accuracy (%)", title="accuracy by epoch")
    accuracy.grid(visible=True, axis="y")
    accuracy.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))

    number = len(epochs[-1].get("rates") or ())
    styles = [(colours.green, "o"), (colours.purple, "s"), (colours.blue, "^"), (colours.grey, "v")]
    for layer in range(number):
        name = "output" if layer == number - 1 else f"hidden {layer + 1}"
        name += f" ({layers[layer]})" if len(layers) == number else ""
        colour, marker = styles[layer % len(styles)]
        mean = [(record.get("rates") or [None] * number)[layer] for record in epochs]
        _line(rates, x, mean, name, colour, marker, "{:.1f}", _DASHES[layer // 4 % len(_DASHES)])
    rates.set(xlabel="epoch", ylabel="spikes per neuron\nand sample", ylim=(0, 1.05 * rates.get_ylim()[1]))
    rates.set_title("firing rate of each layer")
    rates.grid(visible=True, axis="y")
    rates.set_xlim(x[0] - 0.5, x[-1] + 0.5)
    rates.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    if number:
        rates.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def _line(
    axes: Axes,
    x: Sequence[int],
    values: Sequence[float | None],
    name: str,
    colour: str,
    marker: str,
    number: str = "{:.2%}",
    dashes: str = "-",
) -> None:
    """Draw the known values of a series; the legend shows the last one, formatted by `number`."""
    known = [(e, v) for e, v in zip(x, values, strict=True) if v is not None]
    if known:
        (line,) = axes.plot(*zip(*known, strict=True), label=f"{name}, last {number.format(known[-1][1])}")
        line.set(color=colour, marker=marker, markersize=3.5, linewidth=1.4, linestyle=dashes)
        line.set_clip_on(False)  # a marker at the axes' edge is whole
