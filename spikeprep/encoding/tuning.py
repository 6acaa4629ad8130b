"""Search an encoder's settings on some of the data, by how well the spikes represent the signal."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..encoders.base import Encoder
from ..errors import UsageError, near_miss
from ..random import SampleKey, generator
from ..recipes import Recipe
from ..system import cores
from .findings import rows_remark
from .fitting import fitted_chain

_MOST_TRIALS = 10_000
_LEAST_DB = 0.1  # below, spikes rebuild nothing of the signal


@dataclass(frozen=True)
class Trial:
    """The quality of an encoder's spikes with one choice of settings, over all samples and channels together.

    Attributes
    ----------
    settings
        Dotted name → value of the settings that were searched, as `Recipe.override` takes them.
    snr_db
        10 log₁₀(Σ s² / Σ (s − decoded)²), s being the encoder's `target`; infinite without any error.
    mse
        Mean squared error, in the signal's own units squared.
    density, rate
        Spikes of a unit per step, and per second.
    efficient
        Whether no other trial has at least the same `snr_db` with a lower density, or a higher one with the same.
    """

    settings: Mapping[str, Any]
    snr_db: float
    mse: float
    density: float
    rate: float
    efficient: bool = True

    @property
    def rebuilds(self) -> bool:
        """Whether the spikes rebuild anything: at 0.1 dB the error has 98 % of the signal's power."""
        return self.snr_db >= _LEAST_DB


def tune_encoder(
    recipe: Recipe,
    source_path: str | os.PathLike[str] | None = None,
    *,
    search: Mapping[str, Sequence[Any]] | None = None,
    samples: int = 24,
    seed: int = 0,
    note: Callable[[str], None] | None = None,
) -> list[Trial]:
    """Try every combination of settings of a recipe's encoder on samples drawn from the recipe's first split.

    Parameters
    ----------
    recipe
        One whose encoder has ``decode``.
    source_path
        Folder of the raw data, for recipes that need one.
    search
        Dotted name of a setting of the encoder → values to try; default the encoder's own `candidates`.
    samples
        Number of samples to try, chosen by `seed`.
    note
        Called with what a person should know about the encoder and the data.

    Returns
    -------
    The trials, the highest `snr_db` first; of equal ones that with the fewest spikes.

    Raises
    ------
    UsageError
        The encoder has no ``decode``, or a setting does not exist or does not fit.
    DataError
        The raw data are missing or damaged, or the encoder refuses them.
    """
    chain = recipe.build_chain()
    encoder = chain.encoder
    if not hasattr(encoder, "decode"):
        raise UsageError(
            f"got the encoder {encoder.name}, which has no decode",
            "an encoder with an inverse: tuning compares what its spikes rebuild with the signal",
        )
    if samples < 1:
        raise UsageError(f"got {samples} samples", "at least 1")
    chosen = None if search is None else _own_settings(encoder, search)
    source = recipe.open_source(source_path)
    split, size = next(iter(source.splits().items()))
    if note is not None and (remark := rows_remark(encoder, source, split)):
        note(remark)
    chain = fitted_chain(chain, source, seed)
    drawn = np.sort(generator(seed, "tune").permutation(size)[:samples]).tolist()
    keys = [SampleKey(seed, split, n) for n in drawn]
    with ThreadPoolExecutor(cores()) as pool:
        signals = list(
            pool.map(lambda key: chain.prepare(source.read(split, key.sample).signal, rng=key), keys)
        )
        chosen = encoder.candidates(signals) if chosen is None else chosen
        if not chosen:
            raise UsageError(
                f"got no settings to search, and {encoder.name} suggests none",
                "settings and the values to try",
            )
        if math.prod(map(len, chosen.values())) > _MOST_TRIALS:
            raise UsageError(f"got more than {_MOST_TRIALS:,} combinations of settings", "fewer values")
        choices = [dict(zip(chosen, values, strict=True)) for values in itertools.product(*chosen.values())]
        encoders = [type(encoder).from_config(encoder.to_config() | choice) for choice in choices]
        trials = list(pool.map(lambda n: _trial(encoders[n], choices[n], signals, keys), range(len(choices))))
    return _sorted(trials)


def _own_settings(encoder: Encoder, search: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """Return setting → values, of dotted names that begin with the encoder's."""
    known = {f"{encoder.name}.{key}": key for key in encoder.to_config() if key != "name"}
    for name, values in search.items():
        if name not in known:
            raise UsageError(
                f"got {name!r} to search", f"a setting of {encoder.name}", near_miss(name, known)
            )
        if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray) or not len(values):
            raise UsageError(f"got {name} = {values!r} to search", "a list of values to try")
    return {known[name]: list(values) for name, values in search.items()}


def _trial(
    encoder: Encoder, choice: Mapping[str, Any], signals: Sequence[Any], keys: Sequence[SampleKey]
) -> Trial:
    power = error = seconds = 0.0
    spikes = slots = values = 0
    for signal, key in zip(signals, keys, strict=True):
        target, decoded, train = encoder.compared(signal, rng=key)
        power += float((target**2).sum())
        error += float(((target - decoded) ** 2).sum())
        spikes, slots, values = spikes + int(train.sum()), slots + train.size, values + target.size
        seconds += train.size * encoder.describe(signal, key).dt
    with np.errstate(divide="ignore", invalid="ignore"):
        snr = float(10 * np.log10(np.float64(power) / error))
    settings = {f"{encoder.name}.{key}": value for key, value in choice.items()}
    return Trial(settings, snr, error / max(values, 1), spikes / max(slots, 1), spikes / (seconds or 1.0))


def _sorted(trials: list[Trial]) -> list[Trial]:
    """Return the trials, best first, with `efficient` set."""
    ordered = sorted(trials, key=lambda t: (math.isnan(t.snr_db), -t.snr_db, t.density))
    fewest, result = math.inf, []
    for trial in ordered:
        result.append(replace(trial, efficient=trial.density < fewest))
        fewest = min(fewest, trial.density)
    return result
