"""What several commands share: options, the JSON rule, and the way on after an interruption."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import click

from spikeprep.errors import UsageError

Command = TypeVar("Command", bound=Callable[..., Any])


class Session:
    """One run of the command line: its arguments, and the command that goes on if it is interrupted."""

    def __init__(self, args: Sequence[str]) -> None:
        self.args = list(args)
        self.goes_on = ""

    def resumable(self, *more: str) -> None:
        """From here on the same command, with `more` where that is missing, goes on after an interruption."""
        new = [word for word in more if word not in self.args]
        self.goes_on = shlex.join(["spikeprep", *self.args, *new])


def resumable(*more: str) -> None:
    """Say that the running command can go on after an interruption: see `Session.resumable`."""
    click.get_current_context().find_object(Session).resumable(*more)  # type: ignore[union-attr]


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
        help="auto: a GPU where there is one that can be used, else the CPU.",
    )(command)


def emit_json(document: Any) -> None:
    """Print one JSON document on standard output; NumPy values become numbers and lists."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False, default=lambda v: v.tolist())
    sys.stdout.write(text + "\n")


def settings_option(reaches: str) -> Callable[[Command], Command]:
    """Add ``--set key=value``, repeatable, as the dict argument `settings`."""
    return click.option(
        "--set",
        "settings",
        metavar="KEY=VALUE",
        multiple=True,
        callback=lambda _ctx, _param, pairs: parse_settings(pairs),
        help=f"Change {reaches} by dotted name. Repeatable.",
    )


def parse_settings(pairs: Iterable[str]) -> dict[str, str]:
    """Turn ``("poisson.steps=200", …)`` into a dict; the values are parsed where their types are known."""
    settings: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (equals and key.strip()):
            raise UsageError(f"got --set {pair!r}", "KEY=VALUE", "For example: --set poisson.steps=200")
        settings[key.strip()] = value.strip()
    return settings


def table(rows: Sequence[Sequence[str]], align: str = "l", *, indent: int = 2) -> str:
    """Align columns: `align` has ``l`` or ``r`` for each, its last letter standing for all further ones."""
    columns = list(zip(*rows, strict=True))
    letters = align.ljust(len(columns), align[-1])[: len(columns)]
    padded = []
    for column, letter in zip(columns, letters, strict=True):
        width = max(map(len, column))
        padded.append([cell.rjust(width) if letter == "r" else cell.ljust(width) for cell in column])
    return "\n".join((" " * indent + "  ".join(row)).rstrip() for row in zip(*padded, strict=True))


def in_words(settings: Mapping[str, Any]) -> str:
    """Return settings as ``"steps=400, dt=0.001"``."""
    words = {key: f"{value:.6g}" if isinstance(value, float) else value for key, value in settings.items()}
    return ", ".join(f"{key}={value!r}" if value == "" else f"{key}={value}" for key, value in words.items())


def size(n_bytes: float) -> str:
    """Return a number of bytes for a person: ``"4.2 kB"``, powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}" if unit != "B" else f"{n_bytes:.0f} B"
        n_bytes /= 1000
    return f"{n_bytes:.3g} TB"
