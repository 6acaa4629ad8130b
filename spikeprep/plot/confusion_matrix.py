"""The confusion of a network: which classes it takes for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from .names import short_names
from .style import empty_figure, palette, paper, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_NUMBERS = 24
"""Classes up to which each cell shows its number."""

_MOST_NAMES = 60
"""Classes up to which each one is named."""

_PAIRS = 30  # most frequent confusions that are listed where numbers have no room


@styled
def confusion(counts: NDArray[np.int64], classes: Sequence[str] = (), *, title: str = "") -> Figure:
    """Draw a confusion matrix, and beside it the share of each class that is predicted right.

    Parameters
    ----------
    counts
        Numbers of samples, int (true class, predicted class), as `spikeprep.evaluate` returns them.
    classes
        Their names; without them classes are numbered.
    title
        Put before the accuracy in the figure's title.

    Raises
    ------
    UsageError
        The matrix is not square, or the classes are not as many.
    CapabilityError
        matplotlib is not installed.
    """
    counts = np.asarray(counts)
    number = len(counts)
    if counts.ndim != 2 or counts.shape[1] != number or number == 0:
        raise UsageError(f"got a confusion of shape {counts.shape}", "(class, class)")
    names = short_names(classes, 1.45, 9) or [str(n) for n in range(number)]
    if len(names) != number:
        raise UsageError(f"got {len(names)} classes for a confusion of {number}", f"{number} names")
    total, right = int(counts.sum()), int(np.trace(counts))
    of_class = counts.sum(axis=1)
    shares = counts / np.maximum(of_class, 1)[:, None]
    side = float(np.clip(0.34 * number, 3.2, 7.0))
    figure = empty_figure(side + 3.6, side + 1.1)
    accuracy = f"accuracy {right / max(total, 1):.2%}, {total:,} samples"
    figure.suptitle(f"{title}: {accuracy}" if title else accuracy, fontsize=10, x=0.01, ha="left")
    matrix, bars = figure.subplots(1, 2, width_ratios=[side, 1.6], sharey=True)
    _draw_matrix(figure, matrix, counts, shares, names)
    if number <= _MOST_NAMES:
        _draw_shares(bars, counts, of_class)
    else:
        _list_pairs(bars, counts, names)
    return figure


def _draw_matrix(
    figure: Figure, axes: Any, counts: NDArray[np.int64], shares: NDArray[np.float64], names: Sequence[str]
) -> None:
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    number = len(names)
    ends: Any = [paper(), palette().blue]
    colours = LinearSegmentedColormap.from_list("share", ends)
    norm = PowerNorm(0.5, 0, 1)  # few confusions are seen too
    image = axes.imshow(shares, cmap=colours, norm=norm, aspect="equal")
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.spines[:].set_visible(True)
    if number <= _MOST_NAMES:
        axes.set_xticks(range(number), names, rotation=90 if max(map(len, names)) > 2 else 0)
        axes.set_yticks(range(number), names)
        axes.tick_params(length=0, labelsize=9 if number <= 30 else 6)
    if number <= _MOST_NUMBERS:
        for row, column in np.argwhere(counts):
            red, green, blue, _ = colours(norm(shares[row, column]))
            dark = 0.3 * red + 0.6 * green + 0.1 * blue < 0.5
            size = 8 if counts.max() < 1000 and number <= 16 else 6
            axes.text(
                column, row, f"{counts[row, column]}", ha="center", va="center", fontsize=size,
                color="white" if dark else "black",
            )  # fmt: skip
    bar = figure.colorbar(image, ax=axes, location="bottom", aspect=40, shrink=0.8, pad=0.02)
    bar.set_label("share of the true class (%)")
    bar.set_ticks([0, 0.01, 0.1, 0.5, 1], labels=["0", "1", "10", "50", "100"])


def _draw_shares(axes: Any, counts: NDArray[np.int64], of_class: NDArray[np.int64]) -> None:
    number = len(counts)
    share = 100 * np.diag(counts) / np.maximum(of_class, 1)
    axes.barh(range(number), np.where(of_class, share, 0), height=0.7, color=palette().blue)
    for n in range(number):
        text = f"{share[n]:.0f}" if of_class[n] else "no samples"
        axes.text(share[n] + 3, n, text, va="center", fontsize=7 if number <= 30 else 5)
    axes.set(xlim=(0, 130), xticks=[0, 50, 100], xlabel="predicted right (%)")
    axes.tick_params(labelleft=False, left=False)


def _list_pairs(axes: Any, counts: NDArray[np.int64], names: Sequence[str]) -> None:
    """List the most frequent confusions."""
    axes.set_axis_off()
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(wrong, axis=None)[::-1][:_PAIRS]
    lines = ["most frequent confusions", ""]
    for place in order:
        row, column = np.unravel_index(place, wrong.shape)
        if wrong[row, column]:
            lines.append(f"{names[row]} → {names[column]}: {wrong[row, column]:,}")
    if len(lines) == 2:
        lines.append("none")
    axes.text(0, 1, "\n".join(lines), transform=axes.transAxes, va="top", fontsize=9, linespacing=1.5)
