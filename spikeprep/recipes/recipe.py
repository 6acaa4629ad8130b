"""The recipe: a source, an encoder chain and suggested training settings, as plain data."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from ..config import Meta, Settings, describe, leaves
from ..downloads import check_download
from ..encoders.base import Chain, build_step
from ..errors import DataError, UsageError, near_miss
from ..registry import ENCODERS, SOURCES, TRANSFORMS
from ..sources.base import CheckedSource, Source
from ..transforms.audio.base import FrontEnd
from .toml import parse_value, toml_key, toml_lines, toml_value

COPIED_SPLIT = "train"
"""The split of which copies are stored, and from which training draws."""


@dataclass(frozen=True)
class Recipe(Settings):
    """A source, an encoder chain and suggested training settings.

    Plugins know their own settings: building a recipe builds its source and chain once, and so refuses settings that
    are unknown or not allowed.

    Attributes
    ----------
    name
        Name of the recipe, one word.
    title, citation
        One line that describes it, and what to cite; both are kept with a store.
    source
        Configuration of the source: ``{"name": …, setting: value, …}``.
    chain
        Configurations of the transforms in order, then of the encoder. A transform with ``"use": False`` is offered
        and left out: setting ``NAME.use`` to true, or any other of its settings, brings it in.
    train
        Suggested training settings, plain data that only `spikeprep.api` interprets.
    obtain
        What the raw data are, where to get them, and the expected layout; shown when they are missing.
    download
        Where the raw data can be fetched, see `spikeprep.downloads.Download`; empty: nowhere.
    published
        What the network of `train` has reached in the publication that it is from, and after how many epochs.
    usual_density
        About which share of the bits are spikes with this source and chain, as measured; 0: not known.
    copies
        How often each training sample is stored: once as it is, and then varied by the chain's augmentations and, where
        the encoder draws, drawn anew. The copies of a sample are one group.
    """

    owner: ClassVar[str] = "recipe"  # in messages

    name: str
    title: str
    citation: str
    source: dict[str, Any]
    chain: list[dict[str, Any]]
    train: dict[str, Any] = field(default_factory=dict)
    obtain: str = ""
    download: dict[str, Any] = field(default_factory=dict)
    published: str = ""
    usual_density: Annotated[float, Meta(ge=0, le=1)] = 0.0
    copies: Annotated[int, Meta(ge=1, le=1 << 20)] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_parts(self.name, self.source, self.chain)
        check_download(self.download, f"recipe {self.name}")
        try:
            json.dumps(dataclasses.asdict(self), allow_nan=False)
        except (TypeError, ValueError) as error:
            expected = "texts, finite numbers, true, false, lists and tables"
            raise UsageError(
                f"recipe {self.name} has a value that is not JSON ({error})", expected
            ) from error
        self.build_chain()

    def build_source(self, path: str | os.PathLike[str] | None = None) -> Source:
        """Return the source, of the raw data at `path` where it takes one."""
        source: Source = SOURCES.build(self.source)
        if path is None:
            return source
        if not _takes_path(source):
            got = f"recipe {self.name} needs no raw data, got the source {os.fspath(path)}"
            raise UsageError(got, "", "Leave the source path out.")
        return dataclasses.replace(source, **{"path": os.fspath(path)})

    def open_source(
        self, path: str | os.PathLike[str] | None = None, limit: int | None = None
    ) -> CheckedSource:
        """Return the source of `build_source`, its answers checked, with the first `limit` samples of each split.

        Raises
        ------
        DataError
            The raw data do not exist; the message says how to obtain them.
        """
        source = self.build_source(path)
        data = getattr(source, "path", None)
        if _takes_path(source) and not (data and Path(data).exists()):
            hint = self.obtain or "Give the folder of the raw files as source=FOLDER."
            if data:
                raise DataError(f"recipe {self.name} has no raw data: {data} does not exist", "", hint)
            hint += " Or use download=True, which fetches them." if self.download else ""
            got = f"no source is given, and recipe {self.name} has no raw data of its own"
            raise DataError(got, "their folder", hint)
        checked = CheckedSource(source)
        return checked if limit is None else checked.limited(limit)

    def build_chain(self) -> Chain:
        """Return the transforms that are used, and the encoder."""
        return Chain.from_config([_step_config(config) for config in self.chain if _is_used(config)])

    def with_fitted(self, chain: Chain) -> Self:
        """Return the recipe with the settings that `Transform.fit` has computed in a chain of its own steps."""
        built = self.build_chain().transforms
        fitted = {step.name: step.to_config() for step in chain.transforms if step not in built}
        steps = [fitted.get(config["name"], config) for config in self.chain]
        return dataclasses.replace(self, chain=steps) if fitted else self

    def with_encoder(self, name: str) -> Self:
        """Return the recipe with another encoder, at its default settings; the transforms stay, as does the rest.

        The recipe's own encoder keeps its settings. The title records the change.

        Raises
        ------
        UsageError
            There is no encoder of that name (the hint names the nearest one).
        """
        position = max(n for n, config in enumerate(self.chain) if _is_used(config))
        replaced = self.chain[position]["name"]
        if name == replaced:
            return self
        if name in TRANSFORMS.names():
            raise UsageError(f"got the encoder {name!r}, which is a transform", "an encoder")
        ENCODERS.get(name)
        title = f"{self.title}; with the encoder {name} instead of {replaced}"
        chain = [{"name": name} if n == position else config for n, config in enumerate(self.chain)]
        return dataclasses.replace(self, title=title, chain=chain)

    @property
    def front_end(self) -> str | None:
        """Name of the transform that makes frequency channels of sound; None where the chain has none."""
        names = [step.name for step in self.build_chain().transforms if isinstance(step, FrontEnd)]
        return names[-1] if names else None

    def with_front_end(self, name: str) -> Self:
        """Return the recipe with another front end of sound, at its default settings; the other steps stay.

        The recipe's own front end keeps its settings. An encoder's setting `scale` is multiplied by the ratio of
        the two `FrontEnd.level`, so that the encoder gets values as large as before. The title records the change.

        Raises
        ------
        UsageError
            There is no front end of that name (the hint names the nearest one), or the recipe has none.
        """
        chain = self.build_chain()
        steps = [n for n, config in enumerate(self.chain) if _is_used(config)]
        found = [
            (n, step) for n, step in zip(steps, chain.transforms, strict=False) if isinstance(step, FrontEnd)
        ]
        if not found:
            raise UsageError(
                f"got the front end {name!r}, and recipe {self.name} has none to replace",
                "a recipe of sound, whose chain has a transform such as lyon",
                "Leave it out.",
            )
        position, replaced = found[-1]
        if name == replaced.name:
            return self
        known = [known for known in TRANSFORMS.names() if issubclass(TRANSFORMS.get(known), FrontEnd)]
        if name not in known:
            raise UsageError(
                f"got the front end {name!r}", f"one of {', '.join(known)}", near_miss(name, known)
            )
        changed = {position: {"name": name}}
        scale = getattr(chain.encoder, "scale", None)
        if isinstance(scale, int | float):
            ratio = replaced.level / TRANSFORMS.build(changed[position]).level
            changed[steps[-1]] = self.chain[steps[-1]] | {"scale": scale * ratio}
        title = f"{self.title}; with the front end {name} instead of {replaced.name}"
        configs = [changed.get(n, config) for n, config in enumerate(self.chain)]
        return dataclasses.replace(self, title=title, chain=configs)

    def override(self, changes: Mapping[str, Any]) -> Self:
        """Return the recipe with settings changed; its title records other data than it names.

        Parameters
        ----------
        changes
            Dotted name → value. A name is ``source.SETTING`` or the source's own name in place of ``source``,
            ``STEP.SETTING`` for a transform or the encoder, ``train.SETTING``, or ``copies``. A text is read as TOML
            where it is (``"200"``, ``"true"``, ``"[28, 28]"``).

        Raises
        ------
        UsageError
            A name is unknown (the hint names the nearest one) or belongs to no step of this chain, or a value is not
            allowed.
        """
        source, chain, train = copy.deepcopy((self.source, self.chain, self.train))
        copies: Any = self.copies
        steps = {config["name"]: config for config in chain}
        for dotted, value in changes.items():
            owner, dot, key = dotted.partition(".")
            value = parse_value(value) if isinstance(value, str) else value
            if dotted == "copies":
                copies = value
            elif dot and owner == "train":
                _set(train, key, value)
            elif dot and owner in ("source", source["name"]):
                _set(source, key, value)
            elif dot and owner in steps:
                if sum(config["name"] == owner for config in chain) > 1:
                    got = f"recipe {self.name} has several steps {owner!r}, got {dotted!r}"
                    raise UsageError(got, "", "Edit the recipe: save it as a TOML file, and use that.")
                _set(steps[owner], key, value)
                if f"{owner}.use" not in changes and "use" in steps[owner]:
                    steps[owner]["use"] = True
            else:
                raise self._unknown(dotted)
        _check_parts(self.name, source, chain)  # ahead of the recipe's own checks: errors name the setting
        title, prefix = self.title, source.get("prefix")  # which of several data sets it is
        if prefix and prefix != self.source.get("prefix"):
            title += f"; of the files {prefix}"
        return dataclasses.replace(self, title=title, source=source, chain=chain, train=train, copies=copies)

    def _unknown(self, dotted: str) -> UsageError:
        got, (owner, dot, _) = f"recipe {self.name} has no setting {dotted!r}", dotted.partition(".")
        if dot and owner in (*TRANSFORMS.names(), *ENCODERS.names()):
            steps = ", ".join(config["name"] for config in self.chain)
            choice = f", or choose the encoder {owner}" if owner in ENCODERS.names() else ""
            hint = f"Leave the setting out{choice}."
            return UsageError(f"{got}: its chain has no {owner}", f"a setting of {steps}", hint)
        known = self.settings()
        same = [name for name in known if name.endswith(f".{dotted}")]  # the owner was left out
        return UsageError(got, "", f"Did you mean {same[0]!r}?" if same else near_miss(dotted, known))

    def settings(self) -> dict[str, Any]:
        """Return dotted name → value of everything that `override` reaches."""
        steps = [
            build_step(_step_config(c)).to_config() | ({"use": c["use"]} if "use" in c else {})
            for c in self.chain
        ]
        owners = [("source", self.build_source().to_config()), *((c["name"], c) for c in steps)]
        values = {f"{owner}.{k}": v for owner, config in owners for k, v in config.items() if k != "name"}
        values["copies"] = self.copies
        return values | {f"train.{name}": value for name, value in leaves(self.train).items()}

    def to_toml(self) -> str:
        """Return the recipe as a TOML document that `load_recipe` reads from a file.

        Settings that the recipe does not set follow as comments, with their defaults and what is allowed.
        """
        heading = {"name": self.name, "title": self.title, "citation": self.citation}
        heading |= {"published": self.published} if self.published else {}
        lines = [*toml_lines(heading)]
        if self.obtain:
            lines.append(f"obtain = {toml_value(self.obtain)}")
        if self.usual_density:
            lines.append(f"usual_density = {toml_value(self.usual_density)}")
        lines.append(f"copies = {self.copies}")
        lines += ["", "[source]", *_settings_lines(self.source, SOURCES.get(self.source["name"]))]
        if self.download:
            files = self.download["files"]
            lines += ["", "[download]", *toml_lines({k: v for k, v in self.download.items() if k != "files"})]
            for file in files:
                lines += ["", "[[download.files]]", *toml_lines(file)]
        for config in self.chain:
            registry = TRANSFORMS if config["name"] in TRANSFORMS.names() else ENCODERS
            lines += ["", "[[chain]]", *_settings_lines(config, registry.get(config["name"]))]
        if self.train:
            lines += ["", "[train]", *toml_lines(self.train)]
        return "\n".join(lines) + "\n"


def _settings_lines(config: Mapping[str, Any], cls: type[Any]) -> Iterator[str]:
    yield from (f"{toml_key(key)} = {toml_value(value)}" for key, value in config.items())
    for setting in describe(cls):
        if setting.name not in config:
            yield f"# {setting.name} = {toml_value(setting.default)}  # {setting.allowed}"


def _check_parts(recipe: str, source: Mapping[str, Any], chain: Sequence[Mapping[str, Any]]) -> None:
    """Build the source and every step, those that are left out too; raises `UsageError` where one cannot be."""
    _check_name(recipe, source, "[source]", SOURCES.names())
    for config in chain:
        _check_name(recipe, config, "a [[chain]] entry", [*TRANSFORMS.names(), *ENCODERS.names()])
    SOURCES.build(source)
    for config in chain:
        build_step(_step_config(config))


def _check_name(recipe: str, config: Mapping[str, Any], what: str, known: list[str]) -> None:
    if "name" not in config:
        raise UsageError(f"recipe {recipe}: {what} has no name", "", near_miss("", known))
    if not isinstance(config["name"], str):
        raise UsageError(f"recipe {recipe}: {what} has name = {config['name']!r}", "a text")


def _step_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration of a transform or encoder, without the recipe's own key."""
    return {key: value for key, value in config.items() if key != "use"}


def _is_used(config: Mapping[str, Any]) -> bool:
    use = config.get("use", True)
    if not isinstance(use, bool):
        raise UsageError(f"got {config['name']}.use = {use!r}", "true or false")
    return use


def _takes_path(source: Source) -> bool:
    return any(f.name == "path" for f in dataclasses.fields(source))


def _set(table: dict[str, Any], dotted: str, value: Any) -> None:
    """Set a value in nested tables by its dotted name."""
    *path, leaf = dotted.split(".")
    for key in path:
        node = table.setdefault(key, {})
        if not isinstance(node, dict):
            node = table[key] = {}
        table = node
    table[leaf] = value
