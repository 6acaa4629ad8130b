"""Docstrings as mkdocstrings reads them: examples become code, and ``::`` ahead of a block becomes a colon."""

from __future__ import annotations

import re
from typing import Any

import griffe


def as_markdown(docstring: str) -> str:
    """Return a docstring in which lines of a doctest outside a section are a block of code."""
    docstring = re.sub(r"(?<=\w)::$", ":", docstring, flags=re.MULTILINE)
    docstring = re.sub(r"^::\n\n", "", docstring, flags=re.MULTILINE)
    return re.sub(r"(?:^(?:>>>|\.\.\.) .*\n?)+", _fenced, docstring, flags=re.MULTILINE)


def _fenced(match: re.Match[str]) -> str:
    return f"```python\n{match[0].rstrip()}\n```\n"


class Docstrings(griffe.Extension):
    """Applies `as_markdown` to every docstring."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """See `griffe.Extension`."""
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)
