"""Search an encoder's settings on a sample of the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..encoders.base import Encoder
from ..encoding.tuning import Trial, tune_encoder
from ..plugin_errors import plugin_errors
from ..recipes import Recipe, configured_recipe, find_recipe
from .arguments import PathLike


@plugin_errors()
def tune(
    recipe: PathLike | Recipe,
    encoder: str | Encoder | None = None,
    *,
    source: PathLike | None = None,
    front_end: str | None = None,
    settings: Mapping[str, Any] | None = None,
    search: Mapping[str, Sequence[Any]] | None = None,
    samples: int = 24,
    seed: int = 0,
    note: Callable[[str], None] | None = None,
) -> list[Trial]:
    """Try settings of an encoder on some samples: how well the spikes rebuild the signal, and how many there are.

    Parameters
    ----------
    recipe
        As for `encode`; or a store, whose recipe it is then.
    encoder
        An encoder to use in place of the recipe's, or its name: then at its default settings.
    source
        Folder of the raw data, for recipes that need one.
    front_end
        Name of a front end of sound to use in place of the recipe's.
    settings
        Changes to the recipe: dotted name → value.
    search
        Setting of the encoder by dotted name → values to try, such as ``{"bsa.theta": [0.6, 0.7]}``: every combination
        is. Default: what the encoder suggests for these data.
    samples
        Number of samples to try, drawn from the first split.
    seed
        Seed of the draw, and of the encoder's random numbers.
    note
        Called with what a person should know, such as that the encoder takes the rows of an image for time steps.

    Returns
    -------
    A trial for each combination, the highest signal-to-noise ratio first. Where not even that one `rebuilds` the
    signal, other settings or another encoder are needed; else ``encode(recipe, …, encoder=encoder,
    settings=trial.settings)`` encodes with one, and the same `front_end`.

    Raises
    ------
    UsageError
        A name, a setting or a value does not exist or does not fit, or the encoder has no ``decode``.
    DataError
        The raw data are missing or damaged, or the encoder refuses them.
    """
    found = recipe if isinstance(recipe, Recipe) else find_recipe(recipe)
    chosen = configured_recipe(found, encoder, settings, front_end)
    return tune_encoder(chosen, source, search=search, samples=samples, seed=seed, note=note)
