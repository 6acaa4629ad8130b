"""How every picture looks, and how it is saved.

Colours are Okabe & Ito's (2008), told apart by every kind of colour vision.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec

from ..errors import CapabilityError, UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
GREY = "#666666"
COUNTS = "cividis"  # perceptually even, and the same to colour-blind eyes

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


def styled(draw: Callable[Drawn, Figure]) -> Callable[Drawn, Figure]:
    """Draw in `STYLE` and leave matplotlib's own settings as they were; say what to install without it."""

    @functools.wraps(draw)
    def drawn(*args: Drawn.args, **kwargs: Drawn.kwargs) -> Figure:
        try:
            import matplotlib
        except ImportError as error:
            hint = "Install it: python -m pip install 'spikeprep[plot]'"
            raise CapabilityError("matplotlib is not installed", "", hint) from error
        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return drawn


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


def blank(width: float, height: float) -> Figure:
    """Return an empty figure of `width` × `height` inches, known to no window and no global list."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def time_axis(steps: int, seconds_per_step: float | None) -> tuple[float, str]:
    """Return what a step is on the axis, and the axis's unit."""
    if seconds_per_step is None:
        return 1.0, "steps"
    return (seconds_per_step, "s") if steps * seconds_per_step > 5 else (1e3 * seconds_per_step, "ms")
