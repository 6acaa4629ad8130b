"""JSON as RFC 8259 has it: without NaN and infinities, which Python's reader accepts."""

from __future__ import annotations

import json
from typing import Any, NoReturn


def parse_strict_json(data: bytes | str) -> Any:
    """Return the value of a JSON document.

    Raises
    ------
    ValueError
        It is not JSON, or not UTF-8.
    RecursionError
        It is nested too deeply.
    """
    return json.loads(data, parse_constant=_refuse)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")
