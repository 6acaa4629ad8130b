"""Texts from data in pictures: names within a width and told apart, titles in lines, drawn as they are.

Names of classes, files and samples may have any characters: ``$`` begins no formula, and control characters are
escapes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# widths of characters, of the font's size, at most: DejaVu Sans, and most others
_WIDE, _NARROW, _THIN = "mMwW@%…→—", "()[]!frt", " .,:;'|iIjl"
_WIDTHS = {"wide": 1.0, "upper": 0.8, "narrow": 0.42, "thin": 0.34, "other": 0.64}
_HEADS = (0.6, 0.5, 0.35, 0.8, 0.15, 1.0, 0.0)  # share of a shortened name that is its beginning
_LINE = 1.3  # height of a line, of the font's size
_POINTS = 72  # per inch


def short_names(names: Sequence[object], inches: float, points: float) -> list[str]:
    """Return names of at most a width in a font of so many points: ``…`` in place of a part of the long ones.

    Names that differ stay different: another part is left out, or else the number of the name is its end.
    """
    texts, most = [printable(str(name)) for name in names], inches * _POINTS / points
    for head in _HEADS:
        short = [_cut(text, most, head) for text in texts]
        if len(set(short)) == len(set(texts)):
            return short
    ends = [f"#{n}" for n in range(len(texts))]
    return [_cut(text, most - _width(end), 1.0) + end for text, end in zip(texts, ends, strict=True)]


def draw_literally(figure: Figure) -> None:
    """Draw every text of a figure as it is, and put titles that are too long for it into several lines.

    The figure gets higher with them.
    """
    from matplotlib.text import Text
    from matplotlib.ticker import FixedLocator

    ticks: set[Any] = set()  # those of logarithms are formulas
    for axes in figure.get_axes():
        for axis in (axes.xaxis, axes.yaxis):
            ticks.update(axis.get_ticklabels(which="both"))
            labels = [text.get_text() for text in axis.get_ticklabels()]
            if isinstance(axis.get_major_locator(), FixedLocator) and "$" in "".join(labels):
                # axes that share their ticks come here twice
                axis.set_ticks(axis.get_ticklocs(), [re.sub(r"(?<!\\)\$", r"\\$", text) for text in labels])
                ticks.update(axis.get_ticklabels())
    for text in figure.findobj(Text):
        if text not in ticks:
            text.set_parse_math(False)
            text.set_text(printable(text.get_text(), "\n"))
    width, height = figure.get_size_inches()
    more = 0.0
    for part in (figure, *figure.subfigs):
        for title in part.texts:
            points = float(title.get_fontsize())
            lines = _wrapped(title.get_text(), 0.98 * width * _POINTS / points)
            more += (lines.count("\n") - title.get_text().count("\n")) * _LINE * points / _POINTS
            title.set_text(lines)
    if more:
        figure.set_size_inches(width, height + more)


def _wrapped(text: str, most: float) -> str:
    """Return a text whose lines are of at most a width, broken at spaces, or in words that are longer."""
    lines: list[str] = []
    for line in text.split("\n"):
        while _width(line) > most:
            end = len(line) - 1
            while end > 1 and _width(line[:end]) > most:
                end -= 1
            space = line.rfind(" ", 1, end + 1)
            lines.append(line[: space if space > 0 else end])
            line = line[space + 1 if space > 0 else end :]
        lines.append(line)
    return "\n".join(lines)


def _cut(text: str, most: float, head: float) -> str:
    """Return a text with ``…`` in place of what is too much; `head` is the share of what stays before it."""
    if _width(text) <= most:
        return text
    room = most - _width("…")
    first, last = 0, len(text)
    while first < last and _width(text[: first + 1]) <= room * head:
        first += 1
    rest = room - _width(text[:first])
    while last > first and _width(text[last - 1 :]) <= rest:
        last -= 1
    return f"{text[:first]}…{text[last:]}"


def _width(text: str) -> float:
    """Return the width of a text, of the font's size, or a little more."""
    return sum(map(_of_character, text))


def _of_character(character: str) -> float:
    if unicodedata.combining(character):
        return 0.0
    if character in _WIDE or unicodedata.east_asian_width(character) in "WF":
        return _WIDTHS["wide"]
    if character in _NARROW:
        return _WIDTHS["narrow"]
    if character in _THIN:
        return _WIDTHS["thin"]
    return _WIDTHS["upper" if character.isupper() else "other"]
