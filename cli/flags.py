"""Arguments and settings in the library's messages, written as the flags of the command line.

The library names an argument or a setting as Python does: "got device = 'gpu'", "Use overwrite=True", "Set
optim.rate=0.01". Here these become ``--device gpu``, ``--overwrite`` and ``--set optim.rate=0.01``.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from itertools import pairwise

import click

_VALUE = r"(\[[^\]]*\]|\([^()]*\)|'[^']*'|\"[^\"]*\"|[\w./:…+-]*[\w…])"
_NAME = r"(?<![\w./?&:-])(?<!\w\()([a-z]\w*(?:\.\w+)*)"
ASSIGNMENT = re.compile(rf"(?<!--set )(?<!--vary ){_NAME}={_VALUE}")
REJECTED = re.compile(rf"(^got |(?<=\S) and ){_NAME} = {_VALUE}")


def flags_of(command: click.Command) -> dict[str, click.Option]:
    """Return argument name → option of a command."""
    return {
        option.name: option for option in command.params if isinstance(option, click.Option) and option.name
    }


def hint_with_flags(text: str, own: Mapping[str, click.Option], others: Mapping[str, click.Option]) -> str:
    """Return a hint with ``name=value`` as a flag: of the command, of another one, or a setting's ``--set``."""

    def flag(match: re.Match[str]) -> str:
        name, value = match.groups()
        option = own.get(name) or others.get(name)
        return _flag(option, value) if option else f"--set {_for_a_shell(f'{name}={value}')}"

    return ASSIGNMENT.sub(flag, text)


def rejected_with_flags(text: str, own: Mapping[str, click.Option], args: list[str]) -> str:
    """Return "got name = value and name = value" as the flags that were given.

    Unchanged stays what no argument gave: a file may have.
    """
    given = {pair.partition("=")[0] for before, pair in pairwise(args) if before == "--set"}

    def flag(match: re.Match[str]) -> str:
        got, name, value = match.groups()
        short = name.removeprefix("training.").removeprefix("recipe.")
        if short in given:
            return f"{got}--set {short}={_unquoted(value)}"
        option = own.get(short)
        if option and any(arg.partition("=")[0] in option.opts + option.secondary_opts for arg in args):
            return got + _flag(option, value)
        return match[0]

    return REJECTED.sub(flag, text)


def _flag(option: click.Option, value: str) -> str:
    off = option.is_flag and value == "False"
    name = max((off and option.secondary_opts) or option.opts, key=len)
    if option.is_flag:
        return name
    if value.startswith("(") and option.nargs > 1:  # size=(width, height)
        return " ".join([name, *value[1:-1].replace(",", " ").split()])
    text = _unquoted(value)
    return f"{name} {shlex.quote(text) if ' ' in text else text}"


def _for_a_shell(setting: str) -> str:
    """Return a setting in quotes where a shell would take those of a list of texts away."""
    return f"'{setting}'" if '["' in setting else setting


def _unquoted(value: str) -> str:
    return value[1:-1] if value[:1] in "'\"" and value[-1:] == value[:1] else value
