"""Recipes: a data set with its published encoding and suggested training settings, as TOML beside this file.

A recipe has the keys `name`, `title`, `citation`, `obtain` (what the raw data are, where to get them and the expected
layout), ``[download]`` (where they can be fetched), ``[source]`` (configuration of a source), ``[[chain]]``
(configurations of transforms, then of one encoder) and ``[train]``. A transform with ``use = false`` is offered and
left out: setting ``NAME.use`` to true, or any other of its settings, brings it in.

A recipe for training names a ``base``, the recipe whose source and chain it takes over, and states ``[train]`` and what
was `published` with it. It is a whole recipe all the same: `encode` takes it too, and `train --recipe` reads no more of
any recipe than its ``[train]``.
"""

from .load import (
    FAMILIES,
    configured_recipe,
    find_recipe,
    known_recipe,
    load_recipe,
    recipe_names,
    stored_recipe,
)
from .recipe import COPIED_SPLIT, Recipe
from .toml import parse_value, toml_value

__all__ = [
    "COPIED_SPLIT",
    "FAMILIES",
    "Recipe",
    "configured_recipe",
    "find_recipe",
    "known_recipe",
    "load_recipe",
    "parse_value",
    "recipe_names",
    "stored_recipe",
    "toml_value",
]
