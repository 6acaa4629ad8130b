"""The names of classes: their order, by name or as a list or a file gives it, and names that are spelled alike."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from pathlib import Path

from ..errors import DataError, printable
from ..input_files import Limits
from ..text import listed
from .list_files import read_list

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?", re.ASCII)
_ANY_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,4})?", re.ASCII | re.IGNORECASE)
_INVISIBLE = re.compile(
    r"\\(u200[b-f]|u2060|ufeff|xad)"
)  # characters without a width, as `printable` shows them
_PLAIN = re.compile(
    r"(?!(true|false|inf|nan)$)[^\W\d]\w*|0|-?[1-9]\d*"
)  # a name that a list in a setting needs no quotes for
_NO_LIST = re.compile(r"[\]'\"\\]")  # in names that no list in a shell can have
_IN_FIX = 20  # names that a fix repeats
_SHOWN = 5  # names that are spelled alike in one message


def sorted_classes(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of classes in order: of numbers where all are numbers (2 before 10), else of texts."""
    unique = set(names)
    if all(map(_NUMBER.fullmatch, unique)):
        return tuple(sorted(unique, key=lambda name: (Decimal(name), name)))
    return tuple(sorted(unique))


def read_class_names(names: str | Sequence[str | int], folder: Path, limits: Limits) -> tuple[str, ...]:
    """Return the names of classes that a setting gives, in their order.

    Parameters
    ----------
    names
        The names; or a text: a list ``[a,b]``, or a file in `folder` with one name per line.
    folder
        Folder of the data.
    limits
        What reading the file may take.

    Raises
    ------
    DataError
        The file does not exist or is no text, or a name is there twice.
    """
    if isinstance(names, str) and names:
        text = names.removeprefix("[").removesuffix("]")
        if text != names or "," in names:
            names = [name.strip() for name in text.split(",")]
        else:
            what = "the classes, one per line; or a list such as source.class_names=[cat,dog]"
            names = read_list(folder / names, what, "class_names", limits)
    result = tuple(printable(str(name)) for name in names if name != "")
    if twice := [name for name in dict.fromkeys(result) if result.count(name) > 1]:
        raise DataError(f"source.class_names has {listed(twice)} twice", "different names", "Remove one.")
    return result


def check_classes(present: Collection[str], given: Sequence[str], where: str) -> None:
    """Compare the classes of data with a list of them; raises `DataError` that names what one of them lacks."""
    if unknown := [name for name in sorted_classes(present) if name not in given]:
        alike = alike_names([*unknown, *given])
        other = f" ({shown(alike)} differ in spelling alone)" if alike else ""
        raise DataError(
            f"{where} has the {'classes' if len(unknown) > 1 else 'class'} {listed(unknown)}, "
            f"which source.class_names lacks{other}",
            f"the classes {listed(given)}",
            "Add what is missing to source.class_names, or remove it from the data.",
        )
    if absent := [name for name in given if name not in present]:
        raise DataError(
            f"{where} has no samples of {listed(absent)}",
            f"samples of every class in source.class_names: {listed(given)}",
            "Correct the names, or remove those without samples from source.class_names.",
        )


def check_spellings(names: Iterable[str], where: str, setting: str = "source.class_names") -> list[str]:
    """Compare the names of classes with each other.

    Letters, ``A`` and ``a``, are classes of their own; a text says so for the user's attention.

    Parameters
    ----------
    names
        The names, of folders or in a table.
    where
        The data, for messages.
    setting
        What names the classes where they are meant to be different ones.

    Raises
    ------
    DataError
        Names differ in spelling alone, see `alike_names`.
    """
    names = set(names)
    alike = alike_names(names)
    letters = [group for group in alike if all(len(name) == 1 and name.isalpha() for name in group)]
    if others := [group for group in alike if group not in letters]:
        fix = "Give each class one name, in folders and tables"
        if len({*map(_visible, names)}) == len(names):
            fix += f"; if these are different classes, {naming(sorted_classes(names), setting)}"
        raise DataError(
            f"{where} has classes whose names differ in spelling alone: {shown(others)}",
            "one name for each class",
            f"{fix}.",
        )
    return [f"letters that differ in case are different classes: {shown(letters)}"] if letters else []


def alike_names(names: Iterable[str]) -> list[list[str]]:
    """Return the names that are one name in several spellings, each group and all groups sorted.

    Spellings differ in the case of letters, in spaces or characters without a width, in the form of Unicode (an accent
    as a character of its own or not), or as numbers (``1``, ``1.0`` and ``01``; ``s1`` and ``s01``).
    """
    groups: dict[object, set[str]] = {}
    for name in names:
        groups.setdefault(_meaning(name), set()).add(name)
    return sorted(sorted(group) for group in groups.values() if len(group) > 1)


def naming(names: Sequence[str], setting: str = "source.class_names") -> str:
    """Return how to name all classes, as a part of a fix: ``use source.class_names=[cat,dog]``, or with a file."""
    if len(names) > _IN_FIX or any(map(_NO_LIST.search, names)):
        return f"name all classes in a file in that folder, one per line, and use {setting}=classes.txt"
    if all(map(_PLAIN.fullmatch, names)):
        return f"use {setting}=[{','.join(names)}]"
    return f"use {setting}={json.dumps(list(names), ensure_ascii=False, separators=(',', ':'))}"


def _visible(name: str) -> str:
    """Return a name as a reader sees it: spellings that look the same are one."""
    return " ".join(_INVISIBLE.sub("", unicodedata.normalize("NFC", name)).split())


def _meaning(name: str) -> object:
    """Return what all spellings of a name have in common."""
    name = _visible(name).lower()
    if _ANY_NUMBER.fullmatch(name):
        return Decimal(name)
    return re.sub(r"(?<![\d.])0+(?=\d)", "", name)


def shown(groups: Sequence[Sequence[str]]) -> str:
    """Return groups of names for a message, with escapes where they look the same."""
    same = [len({*map(_visible, group)}) < len(group) for group in groups]
    texts = [listed([*map(ascii, g)] if alike else g) for g, alike in zip(groups, same, strict=True)]
    return listed(texts, _SHOWN, "; ")
