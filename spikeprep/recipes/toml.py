"""TOML text of plain data, for recipes."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from ..config import check_plain, excerpt
from ..errors import UsageError

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BARE_LIST = re.compile(r"\[[^\[\]{}'\"\\=]*\]")
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")
_FRACTION = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+")
_NUMBER = re.compile(r"[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


def parse_value(text: str) -> Any:
    """Return a setting's value from TOML (``200``, ``0.5``, ``true``, ``[28, 28]``), or else the text itself.

    A list may have texts without quotes, which shells remove: ``[s1,s7]``. Numbers may lack one of
    the digits that TOML wants on both sides of the point: ``.5``, ``5.``.

    Raises
    ------
    UsageError
        It is nested too deeply, or has an integer of more than 64 bits.
    """
    try:
        return parse_toml(f"value = {text}", f"the value {excerpt(text, 40)}")["value"]
    except tomllib.TOMLDecodeError:
        bare = text.strip()
        if _NUMBER.fullmatch(bare):
            return float(bare)
        items = [item.strip() for item in bare[1:-1].split(",")]
        if len(items) > 1 and not items[-1]:  # TOML allows a comma at the end
            items.pop()
        if not _BARE_LIST.fullmatch(bare) or not all(items):
            return text
        if all(map(_NUMBER.fullmatch, items)):
            return [int(item) if _WHOLE.fullmatch(item) else float(item) for item in items]
        return [_item(item) for item in items]


def _item(text: str) -> Any:
    """Return an item of a list without quotes: a number, or a text."""
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _FRACTION.fullmatch(text) else text


def parse_toml(text: str, name: str) -> dict[str, Any]:
    """Return the tables of a TOML document, which messages call `name`.

    Raises
    ------
    tomllib.TOMLDecodeError
        It is not TOML.
    UsageError
        It is nested too deeply, or has an integer of more than 64 bits.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except (ValueError, RecursionError) as error:  # ValueError: an integer of thousands of digits
        raise UsageError(
            f"{name} cannot be read ({error})", "numbers of 64 bits, and fewer levels"
        ) from error
    check_plain(tables, name)
    return tables


def toml_value(value: Any) -> str:
    """Return a number, text, list or table in one line; None, which TOML lacks, becomes ``"none"``."""
    match value:
        case None:
            return '"none"'
        case bool():
            return str(value).lower()
        case str():
            # JSON's escapes are TOML's, but for one character that TOML wants escaped
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case Mapping():
            inner = ", ".join(f"{toml_key(key)} = {toml_value(item)}" for key, item in value.items())
            return f"{{ {inner} }}" if inner else "{}"
        case list() | tuple():
            return f"[{', '.join(map(toml_value, value))}]"
        case _:
            return repr(value)


def toml_key(key: str) -> str:
    """Return a key, quoted where TOML needs it."""
    return key if _BARE_KEY.fullmatch(key) else toml_value(key)


def toml_lines(table: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield ``key = value`` for everything in a table, tables in it by dotted keys: ``loss.target = 20``."""
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from toml_lines(value, f"{prefix}{toml_key(key)}.")
        else:
            yield f"{prefix}{toml_key(key)} = {toml_value(value)}"
