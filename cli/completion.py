"""What a shell offers where the next word begins: names, settings, folders; docs/cli.md says how to switch it on.

Nothing is offered where the words before it are wrong: their command says so when it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import click
from click.shell_completion import BashComplete, CompletionItem, ZshComplete, add_completion_class

from spikeprep.errors import SpikeprepError

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem[str]]]


def offering(names: Callable[[dict[str, Any]], Iterable[str]], files: bool = False) -> Complete:
    """Return a completion that offers `names`, called with the arguments so far; `files`: or else files."""

    @wraps(names)
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        try:
            offered = [CompletionItem(name) for name in names(_arguments(ctx)) if name.startswith(incomplete)]
        except (SpikeprepError, OSError):
            return []
        return offered or ([CompletionItem(incomplete, type="file")] if files else [])

    return complete


def _arguments(ctx: click.Context) -> dict[str, Any]:
    """Return the arguments so far by name; before an option's value Click has left the positional ones apart."""
    positional = [param.name for param in ctx.command.params if isinstance(param, click.Argument)]
    return ctx.params | {name: value for name, value in zip(positional, ctx.args, strict=False) if name}


def folders(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Offer folders: stores, runs, raw data."""
    return [CompletionItem(incomplete, type="dir")]


def files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Offer files and folders."""
    return [CompletionItem(incomplete, type="file")]


def _recipes(params: dict[str, Any]) -> list[str]:
    from spikeprep.recipes import recipe_names

    return recipe_names()


def _encoders(params: dict[str, Any]) -> list[str]:
    from spikeprep.registry import ENCODERS

    return ENCODERS.names()


def _front_ends(params: dict[str, Any]) -> list[str]:
    from spikeprep.registry import TRANSFORMS
    from spikeprep.transforms import FrontEnd

    return [name for name in TRANSFORMS.names() if issubclass(TRANSFORMS.get(name), FrontEnd)]


def _rules(params: dict[str, Any]) -> list[str]:
    from spikeprep.registry import RULES

    return RULES.names()


def _devices(params: dict[str, Any]) -> list[str]:
    from spikeprep.registry import BACKENDS

    return ["auto", *BACKENDS.names()]


def _splits(params: dict[str, Any]) -> Iterable[str]:
    from spikeprep import api
    from spikeprep.train.run_folder import RunFolder

    path = params.get("store") or params.get("path") or params.get("source") or params.get("run") or ""
    return api.open_store(api.open_run(path).config.store if RunFolder(path).exists() else path).splits


def _encoding_settings(params: dict[str, Any]) -> list[str]:
    from spikeprep.recipes import find_recipe

    recipe = find_recipe(params.get("recipe") or params.get("what") or params.get("path") or "")
    if params.get("front_end"):
        recipe = recipe.with_front_end(params["front_end"])
    if params.get("encoder"):
        recipe = recipe.with_encoder(params["encoder"])
    return [f"{name}=" for name in recipe.settings() if not name.startswith("train.")]


def _varied_settings(params: dict[str, Any]) -> list[str]:
    from spikeprep.recipes import find_recipe

    recipe = find_recipe(params.get("path") or "")
    steps = {step["name"] for step in recipe.chain}
    return [f"{name}=" for name in recipe.settings() if name.partition(".")[0] in steps]


def _export_formats(params: dict[str, Any]) -> list[str]:
    from spikeprep.export.formats import RUN_FORMATS, STORE_FORMATS
    from spikeprep.train.run_folder import RunFolder

    source = params.get("source")
    return list(RUN_FORMATS if source and RunFolder(source).exists() else STORE_FORMATS)


def _event_formats(params: dict[str, Any]) -> list[str]:
    from spikeprep.registry import EVENT_FORMATS

    return EVENT_FORMATS.names()


def _written_formats(params: dict[str, Any]) -> Iterable[str]:
    from spikeprep.eventfiles.writing import writable_formats

    return writable_formats()


def _conversion_settings(params: dict[str, Any]) -> list[str]:
    from dataclasses import fields

    from spikeprep.conversion import READING_LIMITS
    from spikeprep.eventfiles.detect import formats
    from spikeprep.eventfiles.writing import writable_formats
    from spikeprep.registry import EVENT_FORMATS

    read, written = params.get("format"), params.get("to")
    forms = [EVENT_FORMATS.get(read)] if read else formats()
    writers = [writer for name, writer in writable_formats().items() if name == written or not written]
    names = {f"read.{field.name}=" for form in forms for field in fields(form)}
    names |= {f"read.{name}=" for name in READING_LIMITS}
    return sorted(names | {f"write.{field.name}=" for writer in writers for field in fields(writer)})


def _schedulers(params: dict[str, Any]) -> list[str]:
    return ["local"]


def _evaluated_splits(params: dict[str, Any]) -> Iterable[str]:
    from spikeprep.api.evaluation import ALL

    return [*_splits(params), ALL]


def _training_settings(params: dict[str, Any]) -> list[str]:
    from spikeprep.recipes import load_recipe
    from spikeprep.train.settings import DEFAULT_RULE, describe_settings

    suggested = load_recipe(params["recipe"]).train if params.get("recipe") else {}
    rule = params.get("rule") or suggested.get("rule", DEFAULT_RULE)
    return [f"{setting.name}=" for setting in describe_settings(rule)]


recipes = offering(_recipes, files=True)
encoders = offering(_encoders)
front_ends = offering(_front_ends)
rules = offering(_rules)
devices = offering(_devices)
splits = offering(_splits)
evaluated_splits = offering(_evaluated_splits)
schedulers = offering(_schedulers)
export_formats = offering(_export_formats)
event_formats = offering(_event_formats)
written_formats = offering(_written_formats)
conversion_settings = offering(_conversion_settings)
varied_settings = offering(_varied_settings)
encoding_settings = offering(_encoding_settings)
training_settings = offering(_training_settings)


class _Bash(BashComplete):
    """Bash without a space after ``poisson.steps=``."""

    source_template = BashComplete.source_template.replace(
        "    return 0\n",
        "    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace\n    return 0\n",
    )


class _Zsh(ZshComplete):
    """Zsh without a space after ``poisson.steps=``."""

    source_template = ZshComplete.source_template.replace(
        "compadd -U -V unsorted -a completions",
        'local -a suffix; [[ "$completions[1]" == *= ]] && suffix=(-S "")\n'
        '        compadd -U "${suffix[@]}" -V unsorted -a completions',
    )


add_completion_class(_Bash)
add_completion_class(_Zsh)
