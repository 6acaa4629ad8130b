"""Search an encoder's settings on some of the data, by how well the spikes represent the signal."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..encoders.bsa import BSA
from ..errors import UsageError
from ..random import SampleKey, generator
from ..recipes import Recipe
from ..system import cores

THETAS = (0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
GAINS = (0.25, 0.5, 1.0, 2.0, 4.0)
_SAMPLES = 24


@dataclass(frozen=True)
class Trial:
    """The quality of BSA's spikes with one θ and scale, over all samples and channels together.

    Attributes
    ----------
    theta, scale
        The settings.
    snr_db
        10 log₁₀(Σ s² / Σ (s − decoded)²).
    mse
        Mean squared error, in the signal's own units squared.
    density, rate
        Spikes of a channel per step, and per second.
    """

    theta: float
    scale: float
    snr_db: float
    mse: float
    density: float
    rate: float


def tune_bsa(
    recipe: Recipe,
    source_path: str | os.PathLike[str] | None = None,
    *,
    samples: int = _SAMPLES,
    thetas: Sequence[float] = THETAS,
    gains: Sequence[float] = GAINS,
    seed: int = 0,
) -> list[Trial]:
    """Try every θ with every gain on samples drawn from the recipe's first split.

    Parameters
    ----------
    recipe
        One whose chain ends in BSA.
    source_path
        Folder of the raw data, for recipes that need one.
    samples
        Number of samples to try, chosen by `seed`.
    thetas
        Thresholds as shares of the filter's sum.
    gains
        Factors of the recipe's own scale.

    Returns
    -------
    A trial for each gain and θ, in that order. A higher gain represents the signal better and costs more spikes; at a
    given gain choose the θ with the highest `snr_db`.

    Raises
    ------
    UsageError
        The chain does not end in BSA, or a θ does not fit.
    DataError
        The raw data are missing or damaged.
    """
    chain, source = recipe.build_chain(), recipe.open_source(source_path)
    bsa = chain.encoder
    if not isinstance(bsa, BSA):
        raise UsageError(
            f"recipe {recipe.name} ends in {bsa.name}", "bsa", "Name a recipe whose last plugin is bsa."
        )
    if samples < 1:
        raise UsageError(f"got {samples} samples", "at least 1")
    split, size = next(iter(source.splits().items()))
    chosen = np.sort(generator(seed, "tune").permutation(size)[:samples]).tolist()

    def signal(n: int) -> Any:
        return chain.prepare(source.read(split, n).signal, rng=SampleKey(seed, split, n))

    assert bsa.scale is not None
    tried = [replace(bsa, theta=t, scale=bsa.scale * g) for g, t in itertools.product(gains, thetas)]
    with ThreadPoolExecutor(cores()) as pool:
        signals = list(pool.map(signal, chosen))
        return list(pool.map(lambda encoder: _trial(encoder, signals), tried))


def _trial(bsa: BSA, signals: Sequence[Any]) -> Trial:
    power = error = 0.0
    spikes = slots = 0
    for signal in signals:
        train = bsa(signal)
        target = bsa.hold_frames(signal)
        power += float((target**2).sum())
        error += float(((target - bsa.decode(train)) ** 2).sum())
        spikes, slots = spikes + int(train.sum()), slots + train.size
    density = spikes / max(slots, 1)
    assert bsa.theta is not None
    assert bsa.scale is not None
    with np.errstate(divide="ignore", invalid="ignore"):
        snr = float(10 * np.log10(np.float64(power) / error))
    rate = density / bsa.describe(signals[0]).dt
    return Trial(bsa.theta, bsa.scale, snr, error / max(slots, 1), density, rate)
