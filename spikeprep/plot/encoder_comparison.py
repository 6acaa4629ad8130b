"""One signal, and the spikes that several encoders or settings make of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data import Audio, Events, Frames
from ..encoders.base import Chain
from ..errors import SpikeprepError, UsageError
from ..packing import unpack
from ..random import SampleKey
from ..recipes import stored_recipe
from ..registry import ENCODERS
from ..terminal import shortened
from ..text import format_settings
from .raw_samples import raw_sample
from .spikes import draw_counts, draw_dots, sample_name
from .style import COUNTS, empty_figure, palette, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..store import SpikeStore

MOST_ENCODINGS = 8
_INCHES = 1.8  # height of an encoding
_SETTINGS = 110  # characters of an encoder's settings in a title


@dataclass(frozen=True, eq=False)
class Encoding:
    """The spikes that an encoder made of a signal.

    Attributes
    ----------
    name
        Of the encoder, or the setting that is changed.
    spikes
        bool (time, unit).
    unit_shape
        Shape of the units.
    dt
        Length of a time step in seconds.
    """

    name: str
    spikes: NDArray[np.bool_]
    unit_shape: tuple[int, ...]
    dt: float


@styled
def encodings(signal: Any, encoded: Sequence[Encoding], *, title: str = "") -> Figure:
    """Draw a signal, and below it the spikes that each encoder made of it, on one time axis.

    Parameters
    ----------
    signal
        What the encoders got: an image, `Frames`, or `Events`.
    encoded
        What they made of it.
    title
        The figure's title.

    Raises
    ------
    UsageError
        There are none, or more than `MOST_ENCODINGS`.
    CapabilityError
        matplotlib is not installed.
    """
    if not 1 <= len(encoded) <= MOST_ENCODINGS:
        raise UsageError(f"got {len(encoded)} encodings", f"1 to {MOST_ENCODINGS}", "Vary fewer values.")
    end = max(len(e.spikes) * e.dt for e in encoded)
    scale, unit = (1.0, "s") if end > 5 else (1e3, "ms")
    heights = [_INCHES] * (len(encoded) + 1)
    figure = empty_figure(9.6, sum(heights) + 0.8)
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    panels = figure.subplots(len(heights), 2, width_ratios=[4, 1.4], squeeze=False)
    over_time = _draw_signal(panels[0], signal, scale)
    for n, encoding in enumerate(encoded, 1):
        dots, side = panels[n]
        cells = draw_dots(dots, encoding.spikes, scale * encoding.dt, inches=_INCHES)
        dots.set(xlim=(0, scale * end), ylabel="unit")
        dots.tick_params(labelbottom=n == len(encoded))
        number, density = encoding.spikes.sum(), encoding.spikes.mean() if encoding.spikes.size else 0.0
        size = f"{len(encoding.spikes):,} steps of {1e3 * encoding.dt:.4g} ms"
        dots.set_title(
            f"{encoding.name}: {number:,} spikes in {size}, density {density:.2%}{cells and f'; {cells}'}"
        )
        draw_counts(side, encoding.spikes.sum(axis=0), encoding.unit_shape, dots, bars="spikes of each unit")
    if over_time:
        panels[0][0].set_xlim(0, scale * end)
        panels[0][0].tick_params(labelbottom=False)
    panels[-1][0].set_xlabel(f"time ({unit})")
    figure.align_ylabels(panels[:, 0])
    return figure


def _draw_signal(panels: Sequence[Axes], signal: Any, scale: float) -> bool:
    """Draw the signal; return whether it is over time."""
    left, right = panels
    left.set_title("signal")
    right.set_axis_off()
    if isinstance(signal, Audio):
        left.plot(
            scale * np.arange(signal.samples.size) / signal.rate, signal.samples, color=palette().blue, lw=0.6
        )
        left.set_ylabel("amplitude")
        return True
    if isinstance(signal, Frames):
        values = signal.values.reshape(len(signal.values), -1)
        extent = (0.0, scale * len(values) / signal.rate, values.shape[1] - 0.5, -0.5)
        low = min(float(values.min(initial=0)), 0.0)
        left.imshow(np.sqrt(values - low).T, cmap=COUNTS, aspect="auto", extent=extent)
        value = "(value − least)" if low else "value"
        left.set(ylabel="channel", title=f"signal: √ {value} of each channel")
        edges, mean = np.arange(values.shape[1] + 1) - 0.5, values.mean(axis=0)
        right.stairs(mean, edges, orientation="horizontal", fill=True, color=palette().blue)
        right.set_axis_on()
        right.set(ylim=left.get_ylim(), xlim=(min(mean.min(), 0), None), title="mean value")
        right.tick_params(labelleft=False)
        return True
    if isinstance(signal, Events):
        array = signal.array
        left.scatter(
            scale * 1e-6 * array["t"], array["y"], s=0.5, color=palette().blue, lw=0, rasterized=True
        )
        left.set(ylabel="row", ylim=(signal.size[1] - 0.5, -0.5))
        return True
    pixels: NDArray[Any] = np.asarray(signal)
    if pixels.ndim not in (2, 3):
        raise UsageError(f"got a signal of type {type(signal).__name__}", "an image, frames or events")
    if pixels.ndim == 3 and pixels.shape[2] not in (3, 4):
        pixels = pixels[..., 0]
    right.imshow(pixels, cmap="gray")  # of colours, the map is not used
    left.hist(pixels.ravel(), bins=32, color=palette().blue)
    left.set(title="signal: pixels by value", yscale="log", ylabel="pixels")
    return False


def stored_encodings(
    store: SpikeStore,
    split: str,
    index: int = 0,
    *,
    source_path: str | os.PathLike[str] | None = None,
    vary: Mapping[str, Sequence[Any]] | None = None,
) -> Figure:
    """Draw a stored sample's signal as its store encodes it, with settings varied, and with other encoders.

    Parameters
    ----------
    store, split, index
        The sample; its raw data are read again.
    source_path
        Folder of the raw data, for recipes that need one.
    vary
        Dotted name → values, such as ``{"bsa.theta": [0.4, 0.8]}``: one encoding for each value. Without it every
        other encoder that takes the signal is drawn, at its default settings.

    Raises
    ------
    UsageError
        There is no such sample or setting, or these are more than `MOST_ENCODINGS` encodings.
    DataError
        The raw data are missing, damaged, or not those that the store was made from.
    """
    sample, recipe = raw_sample(store, split, index, source_path), stored_recipe(store.attributes)
    key = SampleKey(store.attributes["seed"], split, index)
    own = recipe.build_chain()
    config = own.encoder.to_config()
    settings = {k: v for k, v in config.items() if k != "name" and not isinstance(v, list | tuple)}
    text = format_settings(settings)
    encoded = [_encoding(f"{own.encoder.name} of the store", own, sample.signal, key)]
    changes = [(name, value) for name, values in (vary or {}).items() for value in values]
    if len(changes) >= MOST_ENCODINGS:
        raise UsageError(
            f"got {len(changes)} values to vary", f"at most {MOST_ENCODINGS - 1}", "Vary fewer values."
        )
    for name, value in changes:
        chain = recipe.override({name: value}).build_chain()
        encoded.append(_encoding(f"{name} = {value}", chain, sample.signal, key))
    if not changes:
        for name in ENCODERS.names():
            try:
                chain = Chain(own.transforms, ENCODERS.build({"name": name}))
                if name != own.encoder.name and len(encoded) < MOST_ENCODINGS:
                    encoded.append(_encoding(f"{name}, at its defaults", chain, sample.signal, key))
            except (SpikeprepError, ValueError, TypeError, AttributeError):  # not a signal for this encoder
                continue
    title = f"{sample_name(index, sample.id)}, class {store.attributes['classes'][sample.label]}"
    title += f"\nthe store: {own.encoder.name}({shortened(text, _SETTINGS)})"
    return encodings(own.prepare(sample.signal, rng=key), encoded, title=title)


def _encoding(name: str, chain: Chain, signal: Any, key: SampleKey) -> Encoding:
    described, train = chain.describe(signal, key), chain.encode(signal, rng=key)
    return Encoding(name, unpack(train.bits, train.steps), described.unit_shape, described.dt)
