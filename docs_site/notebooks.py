"""Tutorials as Jupyter notebooks, made from their pages: prose becomes Markdown cells, blocks become cells of code."""

from __future__ import annotations

import json
import re
from typing import Any

from .blocks import Block, blocks

NOTEBOOKS = ("tutorial-images", "tutorial-speech", "tutorial-events")


def notebook(page: str, links: str) -> str:
    """Return the notebook of a page as JSON (nbformat 4.5); its relative links lead to pages below the URL `links`."""
    cells: list[dict[str, Any]] = []
    start = 0
    for block in blocks(page):
        opening = page.rindex(f"```{block.language}\n", start, block.end)
        cells += [
            _cell(len(cells), "markdown", _prose(page[start:opening], links)),
            _cell(len(cells) + 1, "code", _code(block)),
        ]
        start = block.end
    cells.append(_cell(len(cells), "markdown", _prose(page[start:], links)))
    metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    document = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(document, indent=1, ensure_ascii=False)


def _code(block: Block) -> str:
    """Return a block as IPython reads it: a command is a line that begins with an exclamation mark."""
    if block.language == "python":
        return block.code.rstrip()
    return "\n".join(f"!{line[2:]}" for line in block.code.splitlines() if line.startswith("$ "))


def _prose(text: str, links: str) -> str:
    return re.sub(r"\]\((?![a-z]+:|#)([^)\s#]+)\.md", rf"]({links}\1/", text).strip()


def _cell(number: int, kind: str, source: str) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": source}
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})
