"""Where recipes come from: the TOML files beside this module, files of the user, and stores."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from ..config import leaves
from ..encoders.base import Encoder
from ..errors import CapabilityError, UsageError, lacks_space_or_permission
from ..registry import ENCODERS, SOURCES
from ..store import SpikeStore
from .recipe import Recipe
from .toml import parse_toml

FAMILIES = {"tonic": "dataset"}
"""Recipe of many data sets, used as ``RECIPE:MEMBER`` → the setting of its source that names the member."""

_SEPARATOR = ":"
_MOST_BYTES = 1 << 20


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with the package, sorted."""
    return sorted(
        f.name.removesuffix(".toml")
        for f in resources.files(__package__).iterdir()
        if f.name.endswith(".toml")
    )


def known_recipe(name: str) -> bool:
    """Return whether a recipe of that name comes with the package, one of a family included (``tonic:DVSGesture``)."""
    return name.partition(_SEPARATOR)[0] in (FAMILIES if _SEPARATOR in name else recipe_names())


def load_recipe(name: str | os.PathLike[str]) -> Recipe:
    """Load a recipe by name, or from a TOML file.

    Raises
    ------
    UsageError
        There is no such recipe or file (the hint names the nearest one), it is not TOML, or it has keys or values
        that a recipe does not allow.
    """
    text = os.path.expanduser(os.fspath(name))
    family, _, member = text.partition(_SEPARATOR)
    known = known_recipe(text)
    if known:
        content = (resources.files(__package__) / f"{family}.toml").read_bytes()
    elif Path(text).is_file():
        content = _read_file(Path(text))
    else:
        raise _unknown(text)
    try:
        value = parse_toml(content.decode(), f"recipe {text}")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"recipe {text} is not TOML ({error})", "", "Correct the file.") from error
    if "base" in value:
        value = _on_base(value, text)
    if known and member:
        value |= {"name": text, "source": value["source"] | {FAMILIES[family]: member}}
        value["title"] = value["title"].replace("NAME", member)
    try:
        return Recipe.from_json(value)
    except UsageError as error:
        raise UsageError(f"recipe {text}: {error.got}", error.expected, error.hint) from error


def configured_recipe(
    recipe: str | os.PathLike[str] | Recipe,
    encoder: str | Encoder | None = None,
    settings: Mapping[str, Any] | None = None,
    front_end: str | None = None,
) -> Recipe:
    """Return a recipe with another front end of sound, another encoder, or other settings.

    Parameters
    ----------
    recipe
        A name, a TOML file, or a `Recipe`.
    encoder
        An encoder to use in place of the recipe's, or its name: then at its default settings.
    settings
        Changes to the recipe: dotted name → value.
    front_end
        Name of a front end to use in place of the recipe's, at its default settings.

    Raises
    ------
    UsageError
        A name, a setting or a value does not exist or does not fit.
    """
    chosen = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    if front_end is not None:
        chosen = chosen.with_front_end(front_end)
    if isinstance(encoder, Encoder):
        own = {key: value for key, value in encoder.to_config().items() if key != "name"}
        chosen = chosen.with_encoder(encoder.name)
        chosen = chosen.override({f"{encoder.name}.{key}": value for key, value in own.items()})
    elif encoder is not None:
        chosen = chosen.with_encoder(encoder)
    return chosen.override(leaves(settings or {}))


def _unknown(text: str) -> UsageError:
    """Return the error for what is neither a recipe's name nor a file."""
    if text in SOURCES.names():
        return UsageError(
            f"unknown recipe {text!r}: it is a source",
            "the name of a recipe, or a recipe file (.toml)",
            f'Write a file with a chain and [source] name = "{text}" (docs/plugins.md, A recipe), and give its path.',
        )
    if text in ENCODERS.names():
        return UsageError(
            f"unknown recipe {text!r}: it is an encoder",
            "the name of a recipe, or a recipe file (.toml)",
            f"Name the recipe of the data, and encoder={text}.",
        )
    close = difflib.get_close_matches(text[:100], recipe_names(), n=1)
    names = f"Known: {', '.join(recipe_names())}; or give a TOML file."
    return UsageError(f"unknown recipe {text!r}", "", f"Did you mean {close[0]!r}?" if close else names)


def _on_base(value: Mapping[str, Any], text: str) -> dict[str, Any]:
    """Return a recipe's tables, with what it does not state taken from the recipe that `base` names.

    That is the data and their encoding; `train` and `published` are never taken over.
    """
    base = value["base"]
    if not isinstance(base, str) or base not in recipe_names():
        raise UsageError(
            f"recipe {text} has base = {base!r}",
            f"a recipe that comes with spikeprep: {', '.join(recipe_names())}",
            "Name another base, or state source and chain.",
        )
    taken = load_recipe(base).to_json()
    inherited = {key: taken[key] for key in ("citation", "obtain", "download", "source", "chain")}
    if not value.keys() & {"source", "chain"}:
        inherited["usual_density"] = taken["usual_density"]
    return inherited | {key: item for key, item in value.items() if key != "base"}


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        kind = CapabilityError if lacks_space_or_permission(error) else UsageError
        raise kind(f"recipe {path} cannot be read ({error.strerror})", "", "Name another file.") from error
    if len(content) > _MOST_BYTES:
        raise UsageError(f"recipe {path} has more than {_MOST_BYTES:,} bytes", "the TOML file of a recipe")
    return content


def find_recipe(what: str | os.PathLike[str]) -> Recipe:
    """Return the recipe of that name or TOML file, or the one that the store at that path was encoded with.

    Raises
    ------
    UsageError
        There is no such recipe, file or store, or the store was not encoded with a recipe.
    StoreError
        It is a folder that is not a spike store.
    """
    path = os.fspath(what)
    if not known_recipe(path) and ("://" in path or Path(path).is_dir()):
        attributes = SpikeStore.open(path, incomplete=True).attributes
        try:
            return stored_recipe(attributes)
        except KeyError as error:
            got = f"{path} was not encoded with a recipe: it has no {error}"
            raise UsageError(got, "a store that `encode` has written", "Name a recipe.") from error
    return load_recipe(path)


def stored_recipe(attributes: Mapping[str, Any]) -> Recipe:
    """Return the recipe of a store, from its attributes; the path of the raw data is not among them."""
    return Recipe(
        name=attributes["recipe"],
        title=attributes.get("title", ""),
        citation=attributes.get("citation", ""),
        source=dict(attributes["source"]["reader"]),
        chain=[dict(step) for step in attributes["chain"]],
        copies=attributes.get("copies", 1),
    )
