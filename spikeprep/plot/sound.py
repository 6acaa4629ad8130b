"""How a sound becomes spikes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..data import Audio, Frames
from ..errors import DataError, UsageError
from ..random import SampleKey
from ..recipes import stored_recipe
from .style import BLUE, COUNTS, blank, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..store import SpikeStore


@styled
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
    figure = blank(9.6, 7.0)
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
        transform.filters(sample.signal.rate).centres
        for transform in chain.transforms
        if hasattr(transform, "filters")
    ]
    return hearing(
        sample.signal,
        frames,
        reader[index],
        seconds_per_step=store.attributes["dt"],
        centres=ears[-1] if ears else None,
        title=f"sample {index} ({origin}), class {store.attributes['classes'][sample.label]}",
    )
