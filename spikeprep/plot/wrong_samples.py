"""Samples that a network predicts wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..train.metrics import predict
from .names import short_names
from .spikes import draw_small, what_is_small
from .style import empty_figure, palette, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..store import SplitReader

MOST_SAMPLES = 32
_COLUMNS = 8
_INCHES = 1.2  # width of a sample
_POINTS = 8  # size of what is above it


@styled
def misclassified(
    split: SplitReader,
    counts: NDArray[np.int64],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    *,
    title: str = "",
) -> Figure:
    """Draw samples that are predicted wrong: those first whose output decides most clearly.

    Parameters
    ----------
    split
        The split that they are in.
    counts
        Spikes of each output neuron, int (sample, class), as `spikeprep.predict` returns them.
    labels
        The network's class of each sample, int (sample,).
    classes
        The network's classes.
    title
        Put before the number of samples in the figure's title.

    Raises
    ------
    UsageError
        Counts and labels are not those of the split's samples.
    CapabilityError
        matplotlib is not installed.
    """
    counts, labels = np.asarray(counts), np.asarray(labels)
    if counts.shape != (len(split), len(classes)) or labels.shape != (len(split),):
        raise UsageError(
            f"got counts {counts.shape} and labels {labels.shape}",
            f"those of {len(split)} samples and {len(classes)} classes",
        )
    predicted = predict(counts)
    wrong = np.flatnonzero(predicted != labels)
    margin = counts[wrong, predicted[wrong]] - counts[wrong, labels[wrong]]
    shown = wrong[np.argsort(-margin, kind="stable")][:MOST_SAMPLES].tolist()
    rows, columns = max(-(-len(shown) // _COLUMNS), 1), min(max(len(shown), 4), _COLUMNS)
    inches = 0.95 * _INCHES  # for what is above a sample
    names = short_names(classes, inches / 2 - 0.15, _POINTS)
    one_line = names == [str(name) for name in classes]
    if not one_line:
        names = short_names(classes, inches - 0.2, _POINTS)
    figure = empty_figure(max(_INCHES * columns, 5.0), (1.55 if one_line else 1.7) * rows + 0.75)
    number = f"{len(wrong):,} of {len(split):,} samples predicted wrong"
    some = f", {len(shown)} shown, the clearest first" if len(shown) < len(wrong) else ", the clearest first"
    text = f"{title}: {number}{some if shown else ''}" if title else f"{number}{some if shown else ''}"
    key = f"\ntrue → predicted (their output spikes); {what_is_small(split)}"
    figure.suptitle(text + (key if shown else ""), fontsize=10, x=0.01, ha="left")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    for axes, index in zip(panels, shown, strict=False):
        draw_small(axes, split, index)
        true, taken = int(labels[index]), int(predicted[index])
        between = " " if one_line else "\n"
        axes.set_title(
            f"{names[true]}{between}→ {names[taken]}\n({counts[index, true]} : {counts[index, taken]})",
            loc="center",
            fontsize=_POINTS,
        )
        axes.text(0.5, -0.03, f"{index}", transform=axes.transAxes, ha="center", va="top", fontsize=7,
                  color=palette().grey)  # fmt: skip
    return figure
