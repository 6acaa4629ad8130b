"""``spikeprep list``: the encoders, recipes, readers, event formats and devices that can be named."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from .options import emit_json, in_words, json_option, table

KINDS = ("encoders", "recipes", "readers", "formats", "devices")


@click.command("list")
@click.argument(
    "kind", type=click.Choice(KINDS), required=False, metavar="[encoders|recipes|readers|formats|devices]"
)
@json_option
def command(kind: str | None, as_json: bool) -> None:
    """List what other commands take by name: encoders, recipes, readers, event formats, devices; all by default."""
    kinds = [kind] if kind else list(KINDS)
    found = {k: _describe(k) for k in kinds}
    if as_json:
        emit_json(found)
        return
    for k in kinds:
        if len(kinds) > 1:
            click.echo(k)
        click.echo(table([(entry["name"], _line(entry)) for entry in found[k]], indent=2 * (len(kinds) > 1)))


def _describe(kind: str) -> list[dict[str, Any]]:
    if kind == "recipes":
        from spikeprep.recipes import FAMILIES, load_recipe, recipe_names

        recipes = (load_recipe(name) for name in recipe_names())
        shown = ((r, f"{r.name}:NAME" if r.name in FAMILIES else r.name) for r in recipes)
        return [{"name": name, "title": r.title, "citation": r.citation} for r, name in shown]
    if kind == "devices":
        from spikeprep.system import devices

        return [dataclasses.asdict(device) for device in devices()]
    from spikeprep.registry import ENCODERS, EVENT_FORMATS, SOURCES

    registry = {"encoders": ENCODERS, "readers": SOURCES, "formats": EVENT_FORMATS}[kind]
    return [_plugin(registry, name) for name in registry.names()]


def _plugin(registry: Any, name: str) -> dict[str, Any]:
    from spikeprep.errors import CapabilityError

    try:
        plugin = registry.get(name)
    except CapabilityError as error:  # one broken plugin of another package hides no other
        return {"name": name, "title": str(error), "settings": None}
    title = (plugin.__doc__ or "").strip().splitlines()[0].rstrip(".").replace("``", "")
    settings = {f.name: _default(f) for f in dataclasses.fields(plugin) if f.init}
    return {"name": name, "title": title, "settings": settings}


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


def _line(entry: dict[str, Any]) -> str:
    if "available" in entry:
        return str(entry["detail"]) if entry["available"] else f"not here: {entry['detail']}. {entry['hint']}"
    settings = entry.get("settings")
    return f"{entry['title']} ({in_words(settings)})" if settings else str(entry["title"])
