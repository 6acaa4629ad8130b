"""Pages that are written from the code: settings of every plugin, recipes, functions and classes, commands."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click
from click.testing import CliRunner
from spikeprep_cli.main import COMMANDS, main

# page → its title, first paragraph, and the modules that it documents: of a package what `__all__` names
API = {
    "api": (
        "Functions",
        "What `import spikeprep` gives. The command line calls these functions, with the same arguments and defaults.",
        ("spikeprep",),
    ),
    "api-stores": ("Stores", "Reading and writing spike stores.", ("spikeprep.store",)),
    "api-encoders": ("Encoders", "Signals to spikes.", ("spikeprep.encoders",)),
    "api-transforms": ("Transforms", "Signals to signals.", ("spikeprep.transforms",)),
    "api-events": ("Event files", "Readers of event-camera recordings.", ("spikeprep.eventfiles",)),
    "api-plot": ("Pictures", "Every function returns a matplotlib figure; `save` writes it.", ("spikeprep.plot",)),
    "api-interop": (
        "Other libraries",
        "Stores and encoders in PyTorch, JAX, xarray and tonic.",
        tuple(f"spikeprep.interop.{name}" for name in ("torch", "jax", "xarray", "tonic")),
    ),
    "api-testing": ("Testing plugins", "Checks that every plugin has to pass.", ("spikeprep.testing",)),
}  # fmt: skip

SETTINGS = {
    "encoders": "An encoder turns a signal into spikes. A chain has one, at its end.",
    "transforms": "A transform turns a signal into a signal, ahead of the encoder.",
    "sources": "A source reads the raw files of a data set. Its settings have the prefix `source.`.",
    "formats": "A format reads event-camera recordings. Its settings are passed as `source.options`.",
    "rules": "A learning rule trains a network. These are the settings of `train` under each.",
}


def pages() -> Iterator[tuple[str, str]]:
    """Return the name and the Markdown of every generated page."""
    for name, (title, text, modules) in API.items():
        yield name, _api_page(title, text, modules)
    yield "commands", _commands_page()
    for kind, text in SETTINGS.items():
        yield f"settings-{kind}", _settings_page(kind, text)
    yield "recipes", _recipes_page()


def _api_page(title: str, text: str, modules: tuple[str, ...]) -> str:
    lines = [f"# {title}", text]
    for module in modules:
        spec = importlib.util.find_spec(module)
        if (
            spec is not None and spec.submodule_search_locations is None
        ):  # a module: it may need an optional library
            lines.append(f"::: {module}")
            continue
        names = importlib.import_module(module).__all__
        lines += [f"::: {module}.{name}" for name in names if not name.startswith("__")]
    return "\n\n".join(lines)


def _commands_page() -> str:
    lines = [
        "# Commands",
        "Every command with its options. [The command line](cli.md) explains settings, JSON and exit codes.",
    ]
    for name in COMMANDS:
        command = main.get_command(click.Context(main), name)
        assert command is not None
        context = click.Context(command, info_name=f"spikeprep {name}", help_option_names=["-h", "--help"])
        usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
        rows = [
            (f"`{record[0]}`", _outside_code(record[1], lambda text: re.sub(r"([<*_])", r"\\\1", text)))
            for option in command.get_params(context)
            if isinstance(option, click.Option) and (record := option.get_help_record(context)) is not None
        ]
        lines += [f"## `{name}`", f"```text\n{usage}\n```", _help(command.help or "")]
        lines.append(_rows(("option", "meaning"), rows))
    return "\n\n".join(lines)


def _help(text: str) -> str:
    """Return the help of a command as Markdown: a paragraph that click keeps as it is becomes a block."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(
        "```text\n" + inspect.cleandoc(p.removeprefix("\b\n")) + "\n```" if p.startswith("\b") else p
        for p in paragraphs
    )


def _settings_page(kind: str, text: str) -> str:
    title = {"formats": "Event formats", "rules": "Training"}.get(kind, kind.capitalize())
    lines = [
        f"# Settings: {title.lower()}",
        text,
        f"The same as `spikeprep list {kind} NAME`, written from the code.",
    ]
    for entry in _json("list", kind)[kind]:
        details = _json("list", kind, entry["name"])
        lines += [f"## `{entry['name']}`", _sentence(details["title"])]
        if details.get("citation"):
            lines.append(f"Source: {details['citation']}")
        if details["settings"]:
            prefix = details.get("prefix", "")
            lines.append(_table(details["settings"], prefix))
    return "\n\n".join(lines)


def _recipes_page() -> str:
    lines = [
        "# Recipes",
        "A recipe names a source, transforms, an encoder and training settings. `spikeprep recipe NAME` prints one, "
        "`spikeprep list recipes NAME` its settings. *Published* is the test accuracy of the paper that is cited; what "
        "was measured here is in [Measurements](measurements.md).",
    ]
    recipes = [
        _json("recipe", e["name"]) for e in _json("list", "recipes")["recipes"] if ":" not in e["name"]
    ]
    rows = [(f"[`{r['name']}`](#{r['name']})", r["title"], r["published"] or "") for r in recipes]
    lines.append(_rows(("recipe", "data and encoding", "published"), rows))
    for recipe in recipes:
        chain = " → ".join(f"`{step['name']}`" for step in recipe["chain"] if step.get("use", True))
        offered = ", ".join(f"`{step['name']}`" for step in recipe["chain"] if not step.get("use", True))
        lines += [f"## `{recipe['name']}` {{ #{recipe['name']} }}", _sentence(recipe["title"])]
        lines.append(
            f"Source `{recipe['source']['name']}` → {chain}"
            + (f"; offered: {offered}" if offered else "")
            + "."
        )
        if recipe["train"].get("arch"):
            rule = recipe["train"].get("rule", "hm2bp")
            lines.append(f"Network `{recipe['train']['arch']}`, rule `{rule}`.")
        if recipe["published"]:
            lines.append(f"Published: **{recipe['published']}**.")
        if recipe["citation"]:
            lines.append(f"{recipe['citation']}.")
        if recipe["obtain"]:
            lines.append(f"Data: {recipe['obtain']}")
    return "\n\n".join(lines)


def _table(settings: list[dict[str, Any]], prefix: str) -> str:
    rows = [
        (
            f"`{prefix}{setting['name']}`",
            "required" if setting["required"] else f"`{_value(setting['default'])}`",
            f"{setting['allowed']}. {setting['meaning']}",
        )
        for setting in settings
    ]
    return _rows(("setting", "default", "allowed, meaning"), rows)


def _rows(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    cells = [[_outside_code(cell, lambda text: text.replace("|", "\\|")) for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    """Return a text in which what is not in backticks is changed: in code nothing needs to be escaped."""
    parts = text.split("`")
    parts[::2] = map(change, parts[::2])
    return "`".join(parts)


def _value(value: Any) -> str:
    return "none" if value is None else json.dumps(value, ensure_ascii=False)


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def _json(*words: str) -> Any:
    result = CliRunner().invoke(main, [*words, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)
