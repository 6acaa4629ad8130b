"""The style of every picture, and how it is saved.

Colours are those of Okabe & Ito (2008), distinguishable with every kind of colour vision.
"""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

from ..errors import CapabilityError, UsageError
from ..store.outputs import check_output
from ..urls import redacted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
GREY = "#666666"
_CREATOR = "drawn by spikeprep"  # in the metadata of every picture
_METADATA: dict[str, dict[str, Any]] = {  # ending → arguments of savefig
    "png": {"metadata": {"Software": _CREATOR}},
    "svg": {"metadata": {"Creator": _CREATOR}},
    "pdf": {"metadata": {"Creator": _CREATOR}},
    "eps": {"metadata": {"Creator": _CREATOR}},
    "jpg": {"pil_kwargs": {"comment": _CREATOR}},
    "jpeg": {"pil_kwargs": {"comment": _CREATOR}},
}
_METADATA_BYTES = 1 << 16  # they are within so many bytes of the file's start or end
COUNTS = "cividis"  # perceptually uniform, also with colour-vision deficiency

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


Arguments = ParamSpec("Arguments")


def styled(draw: Callable[Arguments, Figure]) -> Callable[Arguments, Figure]:
    """Draw in `STYLE` without changing matplotlib's own settings; raise `CapabilityError` without matplotlib."""

    @functools.wraps(draw)
    def wrapper(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Figure:
        try:
            import matplotlib
        except ImportError as error:
            hint = "Install it: python -m pip install 'spikeprep[plot]'"
            raise CapabilityError("matplotlib is not installed", "", hint) from error
        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return wrapper


def save(
    figure: Figure, path: str | os.PathLike[str], *, dots_per_inch: int = 150, overwrite: bool = False
) -> None:
    """Write a figure to a file; the ending of its name chooses the format.

    Parameters
    ----------
    figure, path
        What is written where; ``~`` is the home folder.
    dots_per_inch
        Resolution of formats made of pixels.
    overwrite
        Whether to replace a file that is no picture of spikeprep's; one that is, is replaced in any case.

    Raises
    ------
    UsageError
        The ending is none of .png, .svg, .pdf, .eps and .jpg, the path is inside a store, or another file or a link to
        no file is there.
    """
    file = check_output(path)
    if file is None:
        raise UsageError(f"got the picture file {redacted(path)!r}", "a path", "Copy it there afterwards.")
    ending = file.suffix.lstrip(".").lower()
    if ending not in _METADATA:
        raise UsageError(
            f"got the picture file {os.fspath(path)!r}",
            f"one that ends in {', '.join(f'.{e}' for e in _METADATA)}",
            "Use another ending.",
        )
    if (file.exists() or file.is_symlink()) and not (overwrite or _is_ours(file)):
        raise UsageError(
            f"{file} is there already and was not drawn by spikeprep",
            "a new file, or a picture of spikeprep's",
            "Choose another name, or use overwrite=True.",
        )
    picture = io.BytesIO()  # an error while it is drawn leaves the old file
    figure.savefig(picture, format=ending, dpi=dots_per_inch, **_METADATA[ending])
    file.write_bytes(picture.getvalue())


def _is_ours(file: Path) -> bool:
    """Whether a file is a picture that `save` wrote."""
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        start = opened.read(_METADATA_BYTES)
        opened.seek(max(0, file.stat().st_size - _METADATA_BYTES))
        return any(_CREATOR.encode() in part for part in (start, opened.read()))


def empty_figure(width: float, height: float) -> Figure:
    """Return an empty figure of `width` × `height` inches that pyplot does not know."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def time_axis(steps: int, seconds_per_step: float | None) -> tuple[float, str]:
    """Return the length of a step on a time axis, and the axis's unit: steps, ms or s."""
    if seconds_per_step is None:
        return 1.0, "steps"
    return (seconds_per_step, "s") if steps * seconds_per_step > 5 else (1e3 * seconds_per_step, "ms")
