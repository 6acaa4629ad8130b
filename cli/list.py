"""``spikeprep list``: what other commands take by name, and the settings of each."""

from __future__ import annotations

import dataclasses
import re
import textwrap
from typing import TYPE_CHECKING, Any

import click

from spikeprep.errors import CapabilityError, UsageError, near_miss
from spikeprep.text import format_settings

from . import completion
from .options import emit_json, fitting_table, json_option

if TYPE_CHECKING:
    from spikeprep.config import Setting
    from spikeprep.registry import Registry

KINDS = (
    "encoders", "transforms", "recipes", "sources", "formats", "layers", "rules", "devices", "settings",
)  # fmt: skip

# what docs/plugins.md and messages call a kind, where that is another word
_OTHER_WORDS = {
    "event-format": "formats",
    "layer-kind": "layers",
    "learning-rule": "rules",
    "backend": "devices",
    "augmentation": "transforms",
    "front-end": "transforms",
}

_SETTINGS_WIDTH = 90  # characters of a plugin's settings in its line


def _names(params: dict[str, Any]) -> list[str]:
    """Return what NAME may be after a kind."""
    kind = params.get("kind")
    if kind == "recipes":
        from spikeprep.recipes import recipe_names

        return recipe_names()
    return _registry("rules" if kind == "settings" else kind).names() if kind else []


class _Kind(click.Choice[str]):
    """One of `KINDS`, or another word for one, in the singular too."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        word = re.sub("[ _]", "-", str(value).lower()).removesuffix("s")
        if kind := _OTHER_WORDS.get(word) or next((kind for kind in KINDS if kind == f"{word}s"), None):
            return kind
        owners = [kind for kind in KINDS if kind != "settings" and value in _names({"kind": kind})]
        if not owners:
            raise UsageError(f"unknown kind {value!r}", f"one of {', '.join(KINDS)}", near_miss(word, KINDS))
        raise UsageError(
            f"got {value!r} as a kind",
            f"one of {', '.join(KINDS)}, and then a name",
            f"Use {', or '.join(f'`spikeprep list {kind} {value}`' for kind in owners)}.",
        )


@click.command("list")
@click.argument("kind", type=_Kind(KINDS), required=False, metavar=f"[{'|'.join(KINDS)}]")
@click.argument("name", required=False, shell_complete=completion.offering(_names))
@json_option
def command(kind: str | None, name: str | None, as_json: bool) -> None:
    """List what other commands take by name; with NAME, show every setting of one.

    `spikeprep list` shows everything, one line each; `spikeprep list encoders poisson` shows the type, range, default
    and meaning of each of that encoder's settings; `spikeprep list settings` those of training, with NAME the ones of
    another learning rule.
    """
    if name is not None:
        assert kind is not None
        entry = _details(kind, name)
        if as_json:
            emit_json(entry | {"settings": [dataclasses.asdict(setting) for setting in entry["settings"]]})
        else:
            click.echo(_details_text(entry))
        return
    kinds = [kind] if kind else list(KINDS)
    entries = {k: _entries(k) for k in kinds}
    if as_json:
        emit_json(entries)
    elif kind == "settings":
        click.echo(_settings_text(_training_settings(), ""))
    else:
        for k in kinds:
            if len(kinds) > 1:
                click.echo(k)
            click.echo(
                fitting_table([(e["name"], _line(e)) for e in entries[k]], indent=2 * (len(kinds) > 1))
            )


# ---------------------------------------------------------------- one line each


def _entries(kind: str) -> list[dict[str, Any]]:
    if kind == "recipes":
        from spikeprep.recipes import FAMILIES, load_recipe, recipe_names

        recipes = [load_recipe(name) for name in recipe_names()]
        return [
            {
                "name": f"{r.name}:NAME" if r.name in FAMILIES else r.name,
                "title": r.title,
                "citation": r.citation,
                "published": r.published,
            }
            for r in recipes
        ]
    if kind == "devices":
        return _devices()
    if kind == "settings":
        return [dataclasses.asdict(setting) for setting in _training_settings()]
    registry = _registry(kind)
    return [_plugin(registry, name) for name in registry.names()]


def _devices() -> list[dict[str, Any]]:
    """Return the built-in devices, with what they lack, and the backends of other packages."""
    from spikeprep.registry import BACKENDS
    from spikeprep.system import devices

    entries = [dataclasses.asdict(device) for device in devices()]
    known = {entry["name"] for entry in entries}
    return entries + [_plugin(BACKENDS, name) for name in BACKENDS.names() if name not in known]


def _registry(kind: str) -> Registry:
    from spikeprep import registry

    return {
        "encoders": registry.ENCODERS,
        "transforms": registry.TRANSFORMS,
        "sources": registry.SOURCES,
        "formats": registry.EVENT_FORMATS,
        "layers": registry.LAYERS,
        "rules": registry.RULES,
        "devices": registry.BACKENDS,
    }[kind]


def _plugin(registry: Registry, name: str) -> dict[str, Any]:
    try:
        plugin = registry.get(name)
    except (CapabilityError, UsageError) as error:  # a broken plugin of another package hides no other
        return {"name": name, "title": str(error), "settings": None}
    settings = {setting.name: setting.default for setting in _described(plugin)}
    return {"name": name, "title": _title(plugin), "settings": settings}


def _described(plugin: type[Any], prefix: str = "") -> list[Setting]:
    """Return a plugin's settings; a layer has none, as its fields are sizes that `--arch` and the store give."""
    from spikeprep.config import describe
    from spikeprep.registry import LAYERS, Plugin

    if not issubclass(plugin, Plugin) or issubclass(plugin, LAYERS.base):
        return []
    return list(describe(plugin, prefix))


def _options(writer: type[Any]) -> list[Setting]:
    """Return the options of a writer of event files."""
    from spikeprep.config import describe

    return list(describe(writer))


def _title(plugin: type[Any]) -> str:
    text = (plugin.__doc__ or "").strip().partition("\n\n")[0].replace("\n", " ").rstrip(".")
    written = "; is written too" if getattr(plugin, "writer", None) else ""
    return text.replace("``", "") + written


def _line(entry: dict[str, Any]) -> str:
    if "allowed" in entry:
        return f"{_value(entry['default'])}, {entry['allowed']}"
    if "available" in entry:
        detail = entry["detail"]
        return str(detail) if entry["available"] else f"unavailable: {detail}. {entry['hint']}"
    settings = entry.get("settings")
    if not settings:
        published = entry.get("published")
        return f"{entry['title']}; published: {published}" if published else str(entry["title"])
    return (
        f"{entry['title']} ({textwrap.shorten(format_settings(settings), _SETTINGS_WIDTH, placeholder=' …')})"
    )


# ---------------------------------------------------------------- every setting


def _details(kind: str, name: str) -> dict[str, Any]:
    """Return name, title, citation and settings (`spikeprep.config.Setting`) of one entry."""
    if kind == "recipes":
        return _recipe_details(name)
    if kind == "settings":
        return {
            "name": name,
            "title": "training settings",
            "prefix": "",
            "settings": _training_settings(name),
        }
    if kind == "devices" and (entry := next((d for d in _devices() if d["name"] == name), None)):
        return {"name": name, "title": _line(entry), "prefix": "", "settings": []}
    plugin = _registry(kind).get(name)
    prefix = "" if kind == "rules" else f"{name}."
    settings = _described(plugin)
    if kind == "formats" and plugin.writer is not None:  # as `spikeprep convert --set` takes them
        settings += [dataclasses.replace(s, name=f"write.{s.name}") for s in _options(plugin.writer)]
    details = {"name": name, "title": _title(plugin), "prefix": prefix, "settings": settings}
    return details | ({"citation": plugin.citation} if getattr(plugin, "citation", "") else {})


def _recipe_details(name: str) -> dict[str, Any]:
    from spikeprep.recipes import load_recipe
    from spikeprep.registry import ENCODERS, SOURCES, TRANSFORMS

    recipe = load_recipe(name)
    values = recipe.settings()
    owners = [("source", SOURCES.get(recipe.source["name"]))]
    for step in recipe.chain:
        registry = TRANSFORMS if step["name"] in TRANSFORMS.names() else ENCODERS
        owners.append((step["name"], registry.get(step["name"])))
    described = [s for owner, plugin in owners for s in _described(plugin, f"{owner}.")]
    described += [
        dataclasses.replace(s, name=f"train.{s.name}")
        for s in _training_settings(recipe.train.get("rule", ""))
    ]
    settings = [dataclasses.replace(s, default=values[s.name]) for s in described if s.name in values]
    known = {setting.name for setting in settings}
    settings += [
        _use_setting(n, value) for n, value in values.items() if n not in known and n.endswith(".use")
    ]
    title = f"{recipe.title}; published: {recipe.published}" if recipe.published else recipe.title
    return {
        "name": name, "title": title, "citation": recipe.citation, "prefix": "", "settings": settings,
    }  # fmt: skip


def _use_setting(name: str, value: Any) -> Setting:
    from spikeprep.config import Setting

    return Setting(name, "true or false", value, "Whether this transform is part of the chain.")


def _training_settings(rule: str = "") -> list[Setting]:
    """Return the settings of training under a learning rule; by default the default one."""
    from spikeprep.train.settings import DEFAULT_RULE, describe_settings

    return list(describe_settings(rule or DEFAULT_RULE))


def _details_text(entry: dict[str, Any]) -> str:
    lines = [f"{entry['name']}: {entry['title']}"]
    if entry.get("citation"):
        lines.append(f"  {entry['citation']}")
    if entry["settings"]:
        lines += ["", _settings_text(entry["settings"], entry["prefix"])]
    return "\n".join(lines)


def _settings_text(settings: list[Setting], prefix: str) -> str:
    blocks = []
    for setting in settings:
        value = "(required)" if setting.required else _value(setting.default)
        text = f"{setting.allowed[:1].upper()}{setting.allowed[1:]}. {setting.meaning}".strip()
        indented = textwrap.fill(text, 96, initial_indent="    ", subsequent_indent="    ")
        blocks.append(f"{prefix}{setting.name} = {value}\n{indented}")
    return "\n".join(blocks)


def _value(value: Any) -> str:
    """Return a value as `--set` takes it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_value, value))}]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
