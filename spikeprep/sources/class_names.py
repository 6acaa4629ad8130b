"""The order of classes: by name, or as a list or a file gives it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from pathlib import Path

from ..errors import DataError, printable
from ..input_files import Limits
from ..text import listed
from .list_files import read_list

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?", re.ASCII)


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
        raise DataError(
            f"{where} has the {'classes' if len(unknown) > 1 else 'class'} {listed(unknown)}, "
            "which source.class_names lacks",
            f"the classes {listed(given)}",
            "Add what is missing to source.class_names, or remove it from the data.",
        )
    if absent := [name for name in given if name not in present]:
        raise DataError(
            f"{where} has no samples of {listed(absent)}",
            f"samples of every class in source.class_names: {listed(given)}",
            "Correct the names, or remove those without samples from source.class_names.",
        )
