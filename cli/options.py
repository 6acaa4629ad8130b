"""What several commands share: options, and JSON on standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import click

from spikeprep.errors import UsageError
from spikeprep.terminal import columns, tell
from spikeprep.text import table

from . import completion

Command = TypeVar("Command", bound=Callable[..., Any])


class Invocation:
    """One call of the command line: its arguments, and its JSON document."""

    def __init__(self, args: Iterable[str]) -> None:
        self.args = list(args)
        self.json_printed = False
        self.document: dict[str, Any] = {}  # what stands beside an error in the JSON document


def json_option(command: Command) -> Command:
    """Add ``--json`` as the argument `as_json`."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document on standard output, nothing else."
    )(command)


def device_option(command: Command) -> Command:
    """Add ``--device`` as the argument `device`."""
    return click.option(
        "--device",
        default="auto",
        show_default=True,
        metavar="auto|cpu|cuda|cuda:N",
        shell_complete=completion.devices,
        help="auto: a GPU where there is a usable one, else the CPU. Or the name of a backend plugin.",
    )(command)


def fitting_table(rows: Sequence[Sequence[str]], align: str = "l", *, indent: int = 2) -> str:
    """Return `spikeprep.text.table`, on a terminal as wide as that at most."""
    width = columns(sys.stdout) if sys.stdout.isatty() else None
    return table(rows, align, indent=indent, width=width)


def say(text: str) -> None:
    """Print on standard error, which is for people alone."""
    tell(sys.stderr, text + "\n")


def emit_json(document: Any) -> None:
    """Print one JSON document on standard output; NumPy values become numbers and lists.

    It is indented on a terminal, where a person reads it, and one line elsewhere: a file to which several commands
    append has a document per line.
    """
    layout: dict[str, Any] = {"indent": 2} if sys.stdout.isatty() else {"separators": (",", ":")}
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    text = json.dumps(document, ensure_ascii=not unicode, allow_nan=False, default=_plain, **layout)
    sys.stdout.write(text + "\n")
    context = click.get_current_context(silent=True)
    if context and (invocation := context.find_object(Invocation)):
        invocation.json_printed = True


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


def settings_option(example: str, complete: completion.Complete) -> Callable[[Command], Command]:
    """Add ``--set key=value``, repeatable, as the dict argument `settings`; `complete` offers its keys."""
    return click.option(
        "--set",
        "settings",
        metavar="KEY=VALUE",
        multiple=True,
        shell_complete=complete,
        callback=lambda _ctx, _param, pairs: parse_settings(pairs),
        help=f"Change {example} by dotted name. Repeatable.",
    )


def parse_settings(pairs: Iterable[str], option: str = "--set") -> dict[str, str]:
    """Turn ``("poisson.steps=200", …)``, given with `option`, into a dict of texts."""
    settings: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (equals and key.strip()):
            hint = "For example: --set poisson.steps=200" if option == "--set" else ""
            raise UsageError(f"got {option} {pair!r}", "KEY=VALUE", hint)
        settings[key.strip()] = value.strip()
    return settings
