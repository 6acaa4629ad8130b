"""Recipes: a data set with its published encoding and suggested training settings, as TOML beside this file.

A recipe's keys: `name`, `title`, `citation`, `obtain` (what its raw data are, where to get them and the
layout expected, shown when they are missing), `[source]` (config of a reader), `[[chain]]` (configs of
transforms, then one encoder), `[train]`. A transform with ``use = false`` is offered and left out: it comes in where
``NAME.use`` is set to true, or any other of its settings is set.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from ..encoders.base import Chain, build_step
from ..errors import DataError, UsageError, near_miss
from ..registry import SOURCES
from ..sources.base import Source
from ..store import SpikeStore

FAMILIES = {"tonic": "dataset"}
"""Recipe of many data sets, named ``RECIPE:MEMBER`` → the setting of its source that says which one."""

_OF = ":"


@dataclass(frozen=True)
class Recipe:
    """A source, an encoder chain and suggested training settings.

    Attributes
    ----------
    name, title, citation
        What it is called, in a word and in a line, and what to cite.
    source
        Config of the reader: ``{"name": …, field: value, …}``.
    chain
        Configs of the transforms in order, then of the encoder; ``"use": False`` leaves one out.
    train
        Suggested training settings, passed through.
    obtain
        What the raw data are, where one gets them, and the layout expected.
    """

    name: str
    title: str
    citation: str
    source: dict[str, Any]
    chain: list[dict[str, Any]]
    train: dict[str, Any] = field(default_factory=dict)
    obtain: str = ""

    def __post_init__(self) -> None:
        # Plugins know their own settings: building them refuses an unknown or unfit one here, not later.
        if "name" not in self.source:
            raise UsageError(f"recipe {self.name}: [source] has no name", "", near_miss("", SOURCES.names()))
        if any("name" not in config for config in self.chain):
            raise UsageError(
                f"recipe {self.name}: a [[chain]] entry has no name", "a transform or encoder in each"
            )
        self.build_source()
        self.build_chain()
        for config in self.chain:
            _used(config)
            build_step(_plugin(config))

    def build_source(self, path: str | os.PathLike[str] | None = None) -> Source:
        """Return the reader, of the raw data at `path` where it has one."""
        source: Source = SOURCES.build(self.source)
        if path is None:
            return source
        if "path" not in {f.name for f in dataclasses.fields(source)}:
            raise UsageError(
                f"recipe {self.name} needs no raw data, got the source {os.fspath(path)}",
                "",
                "Leave --source out.",
            )
        return dataclasses.replace(source, **{"path": os.fspath(path)})

    def open_source(self, path: str | os.PathLike[str] | None = None) -> Source:
        """Return the reader of `build_source`; raises `DataError`, saying how to obtain data, where none are."""
        source = self.build_source(path)
        there = getattr(source, "path", None)
        if any(f.name == "path" for f in dataclasses.fields(source)) and not (there and Path(there).exists()):
            got = f"recipe {self.name} has no raw data" + (f": {there} is not there" if there else "")
            raise DataError(got, "", self.obtain or "Give the folder of the raw files as --source.")
        return source

    def build_chain(self) -> Chain:
        """Return the transforms and the encoder."""
        used = [config for config in self.chain if _used(config)]
        return Chain.from_config([_plugin(config) for config in used])

    def override(self, settings: Mapping[str, str]) -> Recipe:
        """Return the recipe with settings changed.

        Parameters
        ----------
        settings
            Dotted name → value. A name is ``source.FIELD`` or ``READER.FIELD``, ``PLUGIN.FIELD`` for a plugin of
            the chain, or ``train.FIELD``; a value is read as TOML (``200``, ``0.5``, ``true``, ``[28, 28]``), or else
            is a string.

        Raises
        ------
        UsageError
            A name is unknown (with the near miss), or a value does not fit.
        """
        source, train = dict(self.source), dict(self.train)
        chain = [dict(config) for config in self.chain]
        plugins = {config["name"]: config for config in chain}
        for dotted, text in settings.items():
            owner, dot, key = dotted.partition(".")
            if dot and owner == "train":
                train[key] = parse_value(text)
            elif dot and owner in ("source", source["name"]):
                source[key] = parse_value(text)
            elif dot and owner in plugins:
                plugins[owner][key] = parse_value(text)
                if f"{owner}.use" not in settings and "use" in plugins[owner]:
                    plugins[owner]["use"] = True
            else:
                known = self.settings()
                same = [name for name in known if name.endswith(f".{dotted}")]  # the owner was left out
                hint = f"Did you mean {same[0]!r}?" if same else near_miss(dotted, known)
                raise UsageError(f"recipe {self.name} has no setting {dotted!r}", "", hint)
        return dataclasses.replace(self, source=source, chain=chain, train=train)

    def settings(self) -> dict[str, Any]:
        """Return dotted name → value of everything that `override` reaches."""
        chain = [
            build_step(_plugin(c)).to_config() | ({"use": c["use"]} if "use" in c else {}) for c in self.chain
        ]
        owners = [
            ("source", self.build_source().to_config()),
            *((c["name"], c) for c in chain),
            ("train", self.train),
        ]
        return {
            f"{owner}.{key}": value
            for owner, config in owners
            for key, value in config.items()
            if key != "name"
        }

    def to_json(self) -> dict[str, Any]:
        """Return the recipe, JSON-ready."""
        return json.loads(json.dumps(dataclasses.asdict(self)))  # type: ignore[no-any-return]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Recipe:
        """Build from what `to_json` gave or from TOML; raises `UsageError` for an unknown or missing key."""
        fields = {f.name: f for f in dataclasses.fields(cls)}
        for key in value:
            if key not in fields:
                raise UsageError(f"a recipe has no key {key!r}", "", near_miss(key, fields))
        needed = [name for name in ("name", "title", "citation", "source", "chain") if name not in value]
        if needed:
            raise UsageError(f"the recipe lacks {', '.join(needed)}", "every key", "Add what is missing.")
        wrong = [k for k in ("source", "train") if not isinstance(value.get(k, {}), Mapping)]
        if wrong or not isinstance(value["chain"], list):
            raise UsageError(
                f"the recipe's {[*wrong, 'chain'][0]} has another form", "[source], [[chain]] and [train]"
            )
        return cls(**value)


def _plugin(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of the plugin itself."""
    return {key: value for key, value in config.items() if key != "use"}


def _used(config: Mapping[str, Any]) -> bool:
    use = config.get("use", True)
    if not isinstance(use, bool):
        raise UsageError(f"got {config['name']}.use = {use!r}", "true or false")
    return use


def stored_recipe(attributes: Mapping[str, Any]) -> Recipe:
    """Return the recipe that a store was made by, from its attributes; without the place of the raw data."""
    return Recipe(
        name=attributes["recipe"],
        title=attributes.get("title", ""),
        citation=attributes.get("citation", ""),
        source=dict(attributes["source"]["reader"]),
        chain=list(attributes["chain"]),
    )


def find_recipe(what: str | os.PathLike[str]) -> Recipe:
    """Return the recipe of that name or TOML file, or the one that the store of that path was made by.

    Raises
    ------
    UsageError
        There is no such recipe, file or store.
    StoreError
        It is a folder, and no spike store.
    """
    path = os.fspath(what)
    if "://" in path or Path(path).is_dir():
        return stored_recipe(SpikeStore.open(path, incomplete=True).attributes)
    return load_recipe(path)


def parse_value(text: str) -> Any:
    """Read a setting's value as TOML, or take it as a string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def known_recipe(name: str) -> bool:
    """Return whether a recipe of that name comes with the package, one of a family included (``tonic:DVSGesture``)."""
    return name.partition(_OF)[0] in (FAMILIES if _OF in name else recipe_names())


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with the package, sorted."""
    return sorted(
        f.name.removesuffix(".toml")
        for f in resources.files(__package__).iterdir()
        if f.name.endswith(".toml")
    )


def load_recipe(name: str | os.PathLike[str]) -> Recipe:
    """Load a recipe by name, or from a TOML file.

    Raises
    ------
    UsageError
        There is no such recipe or file (with the near miss), it is not TOML, or it has unknown keys.
    """
    text = os.fspath(name)
    family, _, member = text.partition(_OF)
    if known_recipe(text):
        content = (resources.files(__package__) / f"{family}.toml").read_bytes()
    elif Path(text).is_file():
        content = Path(text).read_bytes()
    else:
        close = difflib.get_close_matches(text, recipe_names(), n=1)
        listed = f"Known: {', '.join(recipe_names())}; or give a TOML file."
        raise UsageError(f"unknown recipe {text!r}", "", f"Did you mean {close[0]!r}?" if close else listed)
    try:
        value = tomllib.loads(content.decode())
        if member and known_recipe(text):
            value |= {"name": text, "source": value["source"] | {FAMILIES[family]: member}}
            value["title"] = value["title"].replace("NAME", member)
        return Recipe.from_json(value)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"recipe {text} is not TOML ({error})", "", "Mend the file.") from error
