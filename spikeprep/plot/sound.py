"""How a sound becomes spikes: waveform, channels, spikes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..data import Audio, Frames
from ..errors import UsageError
from ..random import SampleKey
from ..recipes import stored_recipe
from ..transforms.audio.base import FrontEnd
from .raw_samples import raw_sample
from .style import COUNTS, empty_figure, ink, palette, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..store import SpikeStore


@styled
def cochleagram(
    audio: Audio,
    frames: Frames,
    spikes: NDArray[np.bool_],
    *,
    seconds_per_step: float,
    centres: NDArray[np.float64] | None = None,
    title: str = "",
    name: str = "cochleagram",
    quantity: str = "activity",
) -> Figure:
    """Draw the waveform, the channels and the spikes of a sound, one above the other on one time axis.

    Parameters
    ----------
    audio, frames, spikes
        The sound, its channels, and its spikes, bool (time, unit), one channel's units after another's.
    seconds_per_step
        Length of a time step of `spikes`.
    centres
        Each channel's frequency in Hz; without it channels are numbered.
    title
        The figure's title.
    name
        What the channels are called.
    quantity
        What their values are, with their unit. Of ``"activity"`` and ``"power"`` that is not negative the square root
        is drawn, in which soft sounds are visible.

    Raises
    ------
    CapabilityError
        matplotlib is not installed.
    """
    figure = empty_figure(9.6, 7.0)
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    waveform, channels, dots = figure.subplots(3, 1, sharex=True, height_ratios=[1, 2, 2])
    end = max(audio.samples.size / audio.rate, len(spikes) * seconds_per_step)
    scale, unit = (1.0, "s") if end > 5 else (1e3, "ms")
    channel_count, unit_count = frames.values.shape[1], spikes.shape[1]

    waveform.plot(
        scale * np.arange(audio.samples.size) / audio.rate, audio.samples, color=palette().blue, linewidth=0.6
    )
    largest = 1.05 * float(np.abs(audio.samples).max(initial=1e-9))
    waveform.set(ylabel="amplitude", ylim=(-largest, largest), title=f"waveform, {audio.rate:g} Hz")

    # a frame is drawn over the samples it summarises
    extent = (0.0, scale * len(frames.values) / frames.rate, channel_count - 0.5, -0.5)
    # slopes are signed; other values are compressed already
    root = quantity in ("activity", "power") and not (frames.values < 0).any()
    shown = np.sqrt(frames.values) if root else frames.values
    image = channels.imshow(shown.T, cmap=COUNTS, aspect="auto", extent=extent)
    channels.set_title(f"{name}, {frames.rate:g} frames/s")
    figure.colorbar(image, ax=channels, label=f"√ {quantity}" if root else quantity, pad=0.01, aspect=15)

    step, fired = np.nonzero(spikes)
    height = float(np.clip(150 / unit_count, 1.0, 9.0))
    dots.plot(
        scale * seconds_per_step * (step + 0.5),
        fired,
        linestyle="none",
        marker="|",
        color=ink(),
        ms=height,
        mew=0.7,
    )
    dots.set(ylim=(unit_count - 0.5, -0.5), xlim=(0, scale * end), xlabel=f"time ({unit})")
    dots.set_title(f"spikes: {spikes.sum():,} in {len(spikes):,} steps, density {spikes.mean():.2%}")
    for axes, rows, name in ((channels, channel_count, "channel"), (dots, unit_count, "unit")):
        known = centres is not None and rows % len(centres) == 0 and channel_count == len(centres)
        axes.set_ylabel("frequency (kHz)" if known else "channel" if unit_count == channel_count else name)
        if centres is not None and known:
            # channels are not spaced like frequencies: ticks stand where round frequencies lie between them
            ticks = np.array(
                [f for f in (0.2, 0.5, 1, 2, 3, 4, 6, 8, 12, 16) if centres[-1] <= 1e3 * f <= centres[0]]
            )
            each = rows // len(centres)
            middles = each * np.arange(len(centres)) + (each - 1) / 2
            places = np.interp(1e3 * ticks, centres[::-1], middles[::-1])
            axes.set_yticks(places, [f"{tick:g}" for tick in ticks])
    return figure


def has_sound(store: SpikeStore) -> bool:
    """Return whether a store was encoded from sound, by way of a bank of filters."""
    return any(
        isinstance(step, FrontEnd) for step in stored_recipe(store.attributes).build_chain().transforms
    )


def stored_sound(store: SpikeStore, split: str, index: int, source_path: str | os.PathLike[str]) -> Figure:
    """Draw a stored sample with its sound, read again from the raw data; see `cochleagram`.

    Raises
    ------
    UsageError
        There is no such sample, or the store is not of sound.
    DataError
        The raw data are missing, damaged, or not those that the store was made from.
    """
    chain, reader = stored_recipe(store.attributes).build_chain(), store[split]
    sample = raw_sample(store, split, index, source_path)
    sound, frames = sample.signal, sample.signal
    for transform in chain.transforms:
        frames = transform.apply(frames, SampleKey(store.attributes["seed"], split, index))
        sound = frames if isinstance(frames, Audio) else sound
    if not isinstance(sound, Audio) or not isinstance(frames, Frames) or not has_sound(store):
        raise UsageError(
            f"{store.path} does not contain sound: other samples are not drawn with their raw data",
            "a store of sound, or no source",
            "Leave source out: the spikes are drawn alone; kind=encoders draws the signal and its spikes, with source.",
        )
    front_end = next(step for step in reversed(chain.transforms) if isinstance(step, FrontEnd))
    after = chain.transforms[chain.transforms.index(front_end) + 1 :]
    return cochleagram(
        sound,
        frames,
        reader[index],
        seconds_per_step=store.attributes["dt"],
        centres=front_end.centres(sound.rate),
        title=f"sample {index} ({sample.id}), class {store.attributes['classes'][sample.label]}",
        name=", ".join([front_end.picture, *(step.name for step in after)]),
        quantity="value" if after else front_end.quantity,  # of slopes, or standardised
    )
