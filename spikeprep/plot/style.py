"""The style of every picture, on a light or a dark background.

Colours are those of Okabe & Ito (2008), distinguishable with every kind of colour vision; on dark they are lighter. The
background is matplotlib's: a style such as ``dark_background`` is used as it is, and `theme` chooses one of ours.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..config import fitted
from ..errors import CapabilityError
from .names import draw_literally

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

Theme = Literal["light", "dark"]


@dataclass(frozen=True)
class Palette:
    """Colours of lines and markers on a light or a dark background."""

    blue: str
    orange: str
    green: str
    purple: str
    grey: str
    grid: str


LIGHT = Palette("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666", "#dddddd")
DARK = Palette("#56B4E9", "#E69F00", "#2BC59A", "#E0A0C4", "#a8a8a8", "#3a3d44")

_PAPER = {"light": "white", "dark": "#15171c"}
_INK = {"light": "black", "dark": "#e4e4e4"}
COUNTS = "cividis"  # perceptually uniform, also with colour-vision deficiency

STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "image.interpolation": "nearest",
}


@contextmanager
def theme(name: Theme) -> Iterator[None]:
    """Draw on a light or a dark background inside; `name` is "light" or "dark".

    Raises
    ------
    UsageError
        There is no such theme.
    CapabilityError
        matplotlib is not installed.
    """
    fitted(name, Theme, "theme")
    text = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    inherited = dict.fromkeys(("xtick.labelcolor", "ytick.labelcolor"), "inherit")
    background = dict.fromkeys(("figure.facecolor", "axes.facecolor"), _PAPER[name])
    with _matplotlib().rc_context(background | dict.fromkeys(text, _INK[name]) | inherited):
        yield


def palette() -> Palette:
    """Return the colours that are legible where matplotlib draws now: on dark where its text is light."""
    from matplotlib.colors import to_rgb

    red, green, blue = to_rgb(_matplotlib().rcParams["text.color"])
    return DARK if 0.3 * red + 0.6 * green + 0.1 * blue > 0.5 else LIGHT


def ink() -> str:
    """Return the colour of text and of spikes."""
    return str(_matplotlib().rcParams["text.color"])


def paper() -> tuple[float, float, float]:
    """Return the colour behind lines and markers, red, green and blue in [0, 1]."""
    from matplotlib.colors import to_rgba

    *colour, alpha = to_rgba(_matplotlib().rcParams["axes.facecolor"])
    plain = _PAPER["light" if palette() is LIGHT else "dark"]  # behind a transparent picture
    red, green, blue = colour if alpha else to_rgba(plain)[:3]
    return red, green, blue


def signed_colours() -> Colormap:
    """Return a colour map for values around 0, which has the colour of the background."""
    from matplotlib.colors import LinearSegmentedColormap

    colours = palette()
    ends: Any = [colours.blue, paper(), colours.orange]
    return LinearSegmentedColormap.from_list("signed", ends)


Arguments = ParamSpec("Arguments")


Drawn = TypeVar("Drawn")


def styled(draw: Callable[Arguments, Drawn]) -> Callable[Arguments, Drawn]:
    """Draw in `STYLE` without changing matplotlib's own settings; raise `CapabilityError` without matplotlib."""

    @functools.wraps(draw)
    def wrapper(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Drawn:
        with _matplotlib().rc_context(STYLE | {"grid.color": palette().grid}):
            drawn = draw(*args, **kwargs)
            figure: Any = getattr(drawn, "figure", None) or drawn
            draw_literally(figure)
            for axes in figure.get_axes():
                _keep_colours(axes)
        return drawn

    return wrapper


def _keep_colours(axes: Axes) -> None:
    """Fix the colours of ticks, which matplotlib otherwise takes from its settings when the picture is saved."""
    settings = _matplotlib().rcParams
    for axis in ("x", "y"):
        colour, label = settings[f"{axis}tick.color"], settings[f"{axis}tick.labelcolor"]
        label = colour if label == "inherit" else label
        axes.tick_params(axis=axis, color=colour, labelcolor=label, grid_color=palette().grid)


def _matplotlib() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        hint = "Install it: python -m pip install 'spikeprep[plot]'"
        raise CapabilityError("matplotlib is not installed", "", hint) from error
    return matplotlib


def empty_figure(width: float, height: float) -> Figure:
    """Return an empty figure of `width` × `height` inches that pyplot does not know."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def whole_numbers(*axes: Axis, most: int = 6) -> None:
    """Put at most so many ticks, at whole numbers, on each axis."""
    from matplotlib.ticker import MaxNLocator

    for axis in axes:
        axis.set_major_locator(MaxNLocator(most, integer=True))


def mosaic(images: NDArray[Any], columns: int, *, gap: int, frame: int = 0) -> NDArray[np.float64]:
    """Return images (image, row, column) beside and below each other, `gap` NaN between and `frame` around them."""
    rows, (_, height, width) = -(-len(images) // columns), images.shape
    size = (n * (side + gap) - gap + 2 * frame for n, side in ((rows, height), (columns, width)))
    picture = np.full(tuple(size), np.nan)
    for n, image in enumerate(images):
        top, left = frame + n // columns * (height + gap), frame + n % columns * (width + gap)
        picture[top : top + height, left : left + width] = image
    return picture


def time_axis(steps: int, seconds_per_step: float | None) -> tuple[float, str]:
    """Return the length of a step on a time axis, and the axis's unit: steps, ms or s."""
    if seconds_per_step is None:
        return 1.0, "steps"
    return (seconds_per_step, "s") if steps * seconds_per_step > 5 else (1e3 * seconds_per_step, "ms")
