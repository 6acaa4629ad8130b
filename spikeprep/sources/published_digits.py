"""Published data sets in IDX files, recognised by their digests, and EMNIST's variants, by their names."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..errors import DataError, printable
from .idx_format import IdxFile

File = tuple[str, str]
"""A split, train or test, and a kind, images or labels."""

_FILES: tuple[File, ...] = (("train", "images"), ("train", "labels"), ("test", "images"), ("test", "labels"))


class Labels(NamedTuple):
    """The names of a data set's classes, and the label of the first one."""

    names: tuple[str, ...]
    first: int = 0


@dataclass(frozen=True)
class PublishedSet:
    """A data set whose files are known.

    Attributes
    ----------
    name, classes, recipe
        Its name, the names of its classes, and the recipe for it; empty: none.
    digests
        The sha256 of each file in the order of `_FILES`, of its content or of the gzipped file as published.
    """

    name: str
    classes: tuple[str, ...]
    recipe: str
    digests: tuple[str, str, str, str]

    @property
    def fix(self) -> str:
        """How to encode the data set under its own classes."""
        names = "[" + ",".join(f'"{name}"' for name in self.classes) + "]"
        return f"encode the recipe {self.recipe}" if self.recipe else f"use source.class_names={names}"


PUBLISHED = (
    PublishedSet(
        "MNIST",
        tuple(string.digits),
        "mnist",
        (
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
    PublishedSet(
        "Fashion-MNIST",
        (
            "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
        ),
        "fashion-mnist",
        (
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
    PublishedSet(
        "KMNIST",
        ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        "",
        (
            "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
            "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
            "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
            "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
        ),
    ),
)  # fmt: skip

_MERGED = tuple(string.digits + string.ascii_uppercase + "abdefghnqrt")
EMNIST: Mapping[str, Labels] = {
    "emnist-balanced": Labels(_MERGED),
    "emnist-bymerge": Labels(_MERGED),
    "emnist-byclass": Labels(tuple(string.digits + string.ascii_uppercase + string.ascii_lowercase)),
    "emnist-letters": Labels(
        tuple(map("".join, zip(string.ascii_uppercase, string.ascii_lowercase, strict=True))), 1
    ),
    "emnist-digits": Labels(tuple(string.digits)),
    "emnist-mnist": Labels(tuple(string.digits)),
}
"""Prefix of EMNIST's files → its labels (Cohen, Afshar, Tapson & van Schaik 2017); letters are counted from 1."""

_SIZES: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "emnist-balanced": {"train": (112_800,), "test": (18_800,)},
    "emnist-bymerge": {"train": (697_932,), "test": (116_323,)},
    "emnist-byclass": {"train": (697_932,), "test": (116_323,)},
    # of the paper, and of the files as they are today
    "emnist-letters": {"train": (88_800, 124_800), "test": (14_800, 20_800)},
    "emnist-digits": {"train": (240_000,), "test": (40_000,)},
    "emnist-mnist": {"train": (60_000,), "test": (10_000,)},
}


def emnist_findings(prefix: str, sizes: Mapping[str, int]) -> list[str]:
    """Return a text on each split of EMNIST, by the prefix of its files, that has another size than was published."""
    published = _SIZES.get(prefix.lower(), {})
    return [
        f"{prefix}: {split} has {size:,} images, and was published with "
        f"{' or '.join(f'{number:,}' for number in published[split])}: these are a part of them, or others"
        for split, size in sizes.items()
        if split in published and size not in published[split]
    ]


def mapped_labels(path: Path, content: bytes) -> Labels:
    """Return the labels of a mapping file: lines of a label and its character codes, counted from 0 or 1."""
    try:
        rows = [
            [int(word) for word in line.split()] for line in content.decode().splitlines() if line.strip()
        ]
        first = min(row[0] for row in rows)
        if first not in (0, 1) or sorted(row[0] for row in rows) != list(range(first, first + len(rows))):
            raise ValueError("labels are not 0, 1, 2, …, nor 1, 2, 3, …")
        names = tuple(printable("".join(chr(code) for code in row[1:])) for row in sorted(rows))
        if len(set(names)) < len(names) or "" in names:
            raise ValueError("two labels have one name, or one has none")
        return Labels(names, first)
    except (ValueError, IndexError, OverflowError) as error:
        raise DataError(
            f"cannot read {path} ({error})",
            "lines of a label and its character code",
            "Fetch the file again.",
        ) from error


def published_set(
    files: Mapping[File, tuple[Path, IdxFile]], class_names: Sequence[str]
) -> PublishedSet | None:
    """Return the data set that files are of; None where none of them is known.

    Parameters
    ----------
    files
        Split and kind → path and content of every file.
    class_names
        The names that the user gave; empty: none.

    Raises
    ------
    DataError
        Files are of several data sets, of another split than they are named, or of a data set with other classes than
        those given, which are another known data set's.
    """
    known = {
        key: (path, *place) for key, (path, file) in files.items() if (place := _place(file)) is not None
    }
    if not known:
        return None
    (path, published, _), *others = known.values()
    for other, its, _ in others:
        if its != published:
            raise DataError(
                f"{path} is of {published.name} and {other} of {its.name}, as their digests say",
                "files of one data set",
                "Give the folder of one data set as source=FOLDER.",
            )
    for key, (path, its, actual) in known.items():
        if actual != key:
            raise DataError(
                f"{path} is the file of {its.name}'s {' '.join(actual)}, as its digest says",
                f"its {' '.join(key)}",
                "Give each file the name under which it was published.",
            )
    names = tuple(class_names)
    if names and names != published.classes and any(names == other.classes for other in PUBLISHED):
        asked = " or ".join(other.name for other in PUBLISHED if names == other.classes)
        raise DataError(
            f"{path} is of {published.name}, as its digest says",
            f"{asked}, whose classes source.class_names has",
            f"Give the folder of {asked} as source=FOLDER; for {published.name} {published.fix}.",
        )
    return published


def _place(file: IdxFile) -> tuple[PublishedSet, File] | None:
    for published in PUBLISHED:
        for key, digest in zip(_FILES, published.digests, strict=True):
            if digest in (file.sha256, file.content_sha256):
                return published, key
    return None
