"""JSON documents of a store: read and checked against a schema, so that damage is named by file and key."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from ..errors import StoreError
from ..strict_json import parse_strict_json

Schema = TypeVar("Schema")

_ERROR = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<key>.*)`)?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`")
_EXPECTED = re.compile(r"Expected (.*?)(?:, got .*)?", re.DOTALL)


def dump_json(value: Mapping[str, Any]) -> bytes:
    """Return the bytes of a metadata document, as zarr-python writes them."""
    return json.dumps(value, indent=2, ensure_ascii=False).encode()


def parse_json(file: str, data: bytes, hint: str) -> Any:
    """Return the value of a JSON document; raises `StoreError` naming the file if it is none."""

    try:
        return parse_strict_json(data)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise StoreError(f"{file} is not valid JSON ({error})", "", hint) from error


def check(file: str, value: Any, schema: type[Schema], hint: str, prefix: str = "") -> Schema:
    """Return a JSON value as an instance of a dataclass; keys that the dataclass lacks are ignored.

    Parameters
    ----------
    file
        Name of the document, for messages.
    value
        What the document holds, or a part of it.
    schema
        A dataclass with msgspec's annotations.
    hint
        How to fix it.
    prefix
        Key of `value` in the document.

    Raises
    ------
    StoreError
        A key is missing, or its value is of another type or out of range; the message has file and key.
    """
    try:
        return msgspec.convert(value, schema)
    except (msgspec.ValidationError, RecursionError) as error:
        match = _ERROR.fullmatch(str(error))
        what, key = match.group("what", "key") if match else (str(error), "")
        where = f"{prefix}.{key}" if prefix and key else prefix or key or ""
        if missing := _MISSING.fullmatch(what):
            name = f"{where}.{missing[1]}" if where else missing[1]
            raise StoreError(f"{file} lacks the key {name}", "it", hint) from error
        expected = _EXPECTED.fullmatch(what)
        got = f"{file}: {where or 'the document'} is {_excerpt(value, key or '')}"
        raise StoreError(got, expected[1].replace("`", "") if expected else what, hint) from error


def _excerpt(value: Any, key: str) -> str:
    """Return the value under a key like ``codecs[0].name`` as short text."""
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+|\.\.\.)\]", key):
        try:
            value = value[name] if name else value[int(index)]
        except (LookupError, TypeError, ValueError):  # "[...]" is any value of a mapping
            break
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
