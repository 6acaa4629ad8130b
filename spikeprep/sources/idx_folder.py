"""The files of a data set in IDX files: their names, and copies of one file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ..errors import DataError
from .idx_format import content_sha256
from .labelled_files import files_under
from .split_names import SPLITS, split_named

# …-train-images-idx3-ubyte, t10k-images.idx3-ubyte.gz, emnist-balanced-train-0-999-images-idx3-ubyte.gz, …
_NAME = re.compile(
    r"(?:(?P<prefix>.+)-)?(?P<split>train|training|val|valid|validation|dev|test|testing|t10k)(?P<part>-\d+-\d+)?"
    r"-(?P<kind>images|labels)[-.]idx[123]-(?P<type>ubyte|int)(?P<gz>\.gz)?$",
    re.IGNORECASE,
)
_ENDINGS = ("-ubyte", "-ubyte.gz", "-int", "-int.gz")


def find_idx_files(path: str, prefix: str) -> dict[str, dict[str, Path]]:
    """Return split → kind ("images" or "labels") → file, at any depth in a folder.

    Raises
    ------
    DataError
        There is no such folder, it has no files of this prefix or lacks some, or copies of one differ.
    """
    root = Path(path)
    stem = f"{prefix}-" if prefix else ""
    names = f"{stem}train-images-idx3-ubyte and {stem}train-labels-idx1-ubyte"
    layout = f"{names} (plain or .gz), and the same for test"
    if not path or not root.is_dir():
        raise DataError(f"no folder {path!r}", layout, "Give the folder of the files as source=FOLDER.")
    candidates: dict[str, dict[str, list[Path]]] = {}
    others: set[str] = set()
    for file in files_under(root, _ENDINGS):
        if (match := _NAME.match(file.name)) is None:
            continue
        if (match["prefix"] or "").lower() == prefix.lower():
            kinds = candidates.setdefault(split_named(match["split"]) or "test", {})  # t10k
            kinds.setdefault(match["kind"].lower(), []).append(file)
        else:
            others.add(match["prefix"] or "")
    if not candidates:
        raise _no_files(root, prefix, sorted(others), layout)
    chosen: dict[str, dict[str, Path]] = {}
    for split in SPLITS:
        for kind in ("images", "labels"):
            files = candidates.get(split, {}).get(kind, [])
            if split in candidates and not files:
                raise DataError(f"{root} has no {split} {kind}", layout, "Fetch the missing file.")
            if files:
                chosen.setdefault(split, {})[kind] = _one_of(files, f"{root}: {split} {kind}")
    return chosen


def has_label_rows(path: Path) -> bool:
    """Whether a file of labels has, by its name, a row of integers for each image, as QMNIST's."""
    match = _NAME.match(path.name)
    return match is not None and match["type"].lower() == "int"


def is_part(path: Path) -> bool:
    """Whether a file has, by its name, some rows of a split: ``emnist-balanced-train-103680-112799-images-…``."""
    match = _NAME.match(path.name)
    return match is not None and match["part"] is not None


def _no_files(root: Path, prefix: str, others: Sequence[str], layout: str) -> DataError:
    """Return the error for a folder without files of a prefix; `others` are the prefixes of those that it has."""
    if not others:
        return DataError(f"no IDX files in {root}", layout, "Give their folder as source=FOLDER.")
    named = ", ".join(other or "none" for other in others)
    wanted = f"the prefix {prefix}" if prefix else "no prefix"
    fix = " or ".join(f"source.prefix={other or repr(other)}" for other in others)
    return DataError(f"{root} has IDX files of the prefixes {named}", wanted, f"Use {fix}.")


def _one_of(files: Sequence[Path], what: str) -> Path:
    """Return one of several copies of a file, a plain one where there is one.

    Raises `DataError` where their content differs.
    """
    first, *others = sorted(files, key=lambda file: (file.suffix.lower() == ".gz", len(file.parts), file))
    if others:
        content = content_sha256(first)
        for other in others:
            if content_sha256(other) != content:
                raise DataError(
                    f"{what} are in two files of different content, {first} and {other}",
                    "one file, or copies of it",
                    "Remove the wrong one, or give the folder of one data set as source=FOLDER.",
                )
    return first
