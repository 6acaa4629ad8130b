"""A stored sample as a film: the spikes of each moment, where their units are."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..config import Count, fitted
from ..errors import UsageError
from .event_counts import action_box, spiking_units
from .spikes import check_sample, is_colour, sample_title
from .style import empty_figure, ink, palette, paper, styled, time_axis

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..store import SpikeStore

MOST_FRAMES = 400
_MOST_PIXELS = 200  # per side
_KEPT = 0.5  # what is left of a spike's brightness in the next frame


@dataclass(frozen=True, eq=False)
class Animation:
    """A figure that shows one frame at a time.

    Attributes
    ----------
    figure
        What is drawn.
    frames
        Number of frames.
    show
        Makes `figure` show frame n, 0 ≤ n < `frames`.
    frames_per_second
        At which it plays.
    """

    figure: Figure
    frames: int
    show: Callable[[int], None]
    frames_per_second: float

    def gif(self, dots_per_inch: int = 100) -> bytes:
        """Return the film as a GIF that repeats."""
        from matplotlib.animation import PillowWriter

        writer = PillowWriter(fps=round(self.frames_per_second))
        if self.figure.get_layout_engine() is not None:  # lay out once, not for every frame
            self.figure.draw_without_rendering()
            self.figure.set_layout_engine("none")
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "film.gif"
            with writer.saving(self.figure, str(file), dots_per_inch):
                for n in range(self.frames):
                    self.show(n)
                    writer.grab_frame()
            return file.read_bytes()

    def _repr_html_(self) -> str:
        return f'<img src="data:image/gif;base64,{base64.b64encode(self.gif()).decode()}">'


@styled
def animation(
    store: SpikeStore, split: str, index: int = 0, *, frames: int = 48, frames_per_second: float = 16
) -> Animation:
    """Return a stored sample as a film: the spikes of each moment fade in the next ones, their rate runs below.

    Parameters
    ----------
    store, split, index
        The sample. Its units have rows and columns: pixels of a DVS, whose polarities differ in colour, or of an image.
    frames
        Number of frames, at most `MOST_FRAMES` and one per step.
    frames_per_second
        At which it plays.

    Raises
    ------
    UsageError
        There is no such sample, its units are on one axis, or a number is out of range.
    CapabilityError
        matplotlib is not installed.
    """
    shape = tuple(store.attributes["unit_shape"])
    if len(shape) < 2:
        got = f"{store.path} has units on one axis, {shape[0]}"
        raise UsageError(got, "units with rows and columns", "Draw the sample without moving.")
    if fitted(frames, Count, "frames") > MOST_FRAMES:
        raise UsageError(f"got frames = {frames}", f"1 to {MOST_FRAMES}", "Draw fewer.")
    if not 1 <= frames_per_second <= 50:
        raise UsageError(f"got frames_per_second = {frames_per_second}", "1 to 50")
    reader = store[split]
    check_sample(index, len(reader))
    steps, dt = int(reader.steps[index]), float(store.attributes["dt"])
    counts, edges = _count(reader.sample_by_units(index), shape, steps, min(frames, max(steps, 1)))
    title = f"{sample_title(reader, index, store.attributes['classes'])}: {reader.counts[index]:,} spikes"
    return _film(counts, edges, steps, dt, title, frames_per_second)


def _count(
    slices: object, shape: tuple[int, ...], steps: int, frames: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return spikes (frame, polarity, row, column), cut to where almost all are, and each frame's first step."""
    channels = int(np.prod(shape[:-2]))
    height, width = shape[:2] if is_colour(shape) and shape[2] == 3 else shape[-2:]
    polarities = 2 if channels == 2 and len(shape) == 3 else 1
    side = -(-max(height, width) // _MOST_PIXELS)
    rows, columns = -(-height // side), -(-width // side)
    edges = np.arange(frames) * max(steps, 1) // frames
    counts = np.zeros((polarities, rows, columns, frames), np.float32)
    for unit, bits in spiking_units(slices, steps):  # type: ignore[arg-type]
        if is_colour(shape) and shape[2] == 3:
            p, pixel = np.zeros_like(unit), unit // 3
        else:
            p, pixel = unit // (height * width) % polarities, unit % (height * width)
        y, x = np.divmod(pixel, width)
        np.add.at(counts, (p, y // side, x // side), np.add.reduceat(bits, edges, axis=1, dtype=np.float32))
    top, bottom, left, right = action_box(counts.sum(axis=3).astype(np.int64))
    return counts[:, top:bottom, left:right].transpose(3, 0, 1, 2), edges


def _film(
    counts: NDArray[np.float32], edges: NDArray[np.int64], steps: int, dt: float, title: str, rate: float
) -> Animation:
    frames, polarities, rows, columns = counts.shape
    traces = counts.copy()
    for n in range(1, frames):
        traces[n] += _KEPT * traces[n - 1]
    bright = float(np.percentile(traces[traces > 0], 97)) if traces.any() else 1.0
    colours = [palette().blue, palette().orange] if polarities == 2 else [palette().blue]
    names = ["OFF", "ON"] if polarities == 2 else ["spikes"]
    high = float(np.clip(4.8 * rows / columns, 1.2, 5.0))
    figure = empty_figure(5.0, high + 1.5)
    figure.suptitle(title, fontsize=9, x=0.01, ha="left")
    film, over_time = figure.subplots(2, 1, height_ratios=[high, 0.9])
    image = film.imshow(_picture(traces[0], bright, colours))
    film.set_xticks([])
    film.set_yticks([])
    film.spines[:].set_visible(True)
    scale, unit = time_axis(steps, dt)
    borders = np.append(edges, max(steps, 1)) * scale
    for p in range(polarities):
        of_frame = counts[:, p].sum(axis=(1, 2)) / np.diff(borders)
        over_time.stairs(of_frame, borders, color=colours[p], label=names[p])
    over_time.set(xlim=(0, borders[-1]), ylim=(0, None), xlabel=f"time ({unit})", ylabel=f"spikes/{unit}")
    if polarities == 2:
        over_time.legend(loc="lower right", bbox_to_anchor=(1, 1), fontsize=7, ncols=2, borderpad=0)
    cursor = over_time.axvspan(borders[0], borders[1], color=ink(), alpha=0.25, linewidth=0)
    background = paper()

    def show(n: int) -> None:
        image.set_data(_picture(traces[n], bright, colours, background))
        cursor.set(x=borders[n], width=borders[n + 1] - borders[n])

    return Animation(figure, frames, show, rate)


def _picture(
    trace: NDArray[np.float32],
    bright: float,
    colours: list[str],
    background: tuple[float, float, float] | None = None,
) -> NDArray[np.float64]:
    """Return red, green and blue (row, column, 3) of one frame (polarity, row, column)."""
    from matplotlib.colors import to_rgb

    base = np.array(paper() if background is None else background)
    share = np.sqrt(np.clip(trace / bright, 0, 1))
    picture = np.full((*trace.shape[1:], 3), base)
    for p, colour in enumerate(colours):
        picture += share[p][..., None] * (np.array(to_rgb(colour)) - base)
    return picture.clip(0, 1)
