"""Which files a folder of exported samples has: those that its marker implies, and no others are an export's."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import SpikeprepError, UsageError
from ..store.attributes import is_split_name
from ..strict_json import parse_strict_json

MARKER = "export.json"
"""The file that every exported folder has: what it is, and the sign that `overwrite` may replace it."""

INDEX = "index.csv"
"""The table of all samples."""

FORMAT = 1
"""Version of the format, the marker's key ``format``."""

_MARKER_BYTES = 1 << 26
_KEYS = {"format", "recipe", "chain", "dt", "unit_shape", "classes", "digest", "samples"}


def sample_file(split: str, number: int) -> str:
    """Return the path, inside the folder, of a sample's file."""
    return f"{split}/{number:06d}.npz"


def refuse_split_names(splits: tuple[str, ...]) -> None:
    """Raise `UsageError` where a split, which is a folder of samples, has the name of one of the folder's files."""
    for split in splits:
        if split in (MARKER, INDEX):
            raise UsageError(
                f"the split {split!r} has the name of a file of the exported folder",
                f"a split that is not called {MARKER} or {INDEX}",
                "Name another split: split=NAME, or use to=hdf5 for this one.",
            )


def exported_files(folder: Path) -> dict[str, int] | None:
    """Return split → number of samples that the marker of a folder tells of; None where it is no export's."""
    with suppress(OSError, SpikeprepError, ValueError, RecursionError):
        marker = folder / MARKER
        if marker.is_symlink() or not marker.is_file() or marker.stat().st_size > _MARKER_BYTES:
            return None
        about: Any = parse_strict_json(marker.read_bytes())
        if isinstance(about, dict) and about.keys() >= _KEYS and about["format"] == FORMAT:
            samples = about["samples"]
            if isinstance(samples, dict) and all(
                is_split_name(split) and type(count) is int for split, count in samples.items()
            ):
                return samples
    return None


def foreign_file(folder: Path) -> str | None:
    """Return the path, inside a folder, of a file or folder that no export wrote there; None where there is none.

    A file that an export wrote is one that the folder's marker implies; a folder is one of its splits.
    """
    samples = exported_files(folder)
    for base, folders, files in os.walk(folder):
        inside = Path(base).relative_to(folder).as_posix()
        for name in sorted(folders):
            if inside != "." or (Path(base) / name).is_symlink() or name not in (samples or {}):
                return (PurePosixPath(inside) / name).as_posix()
        for name in sorted(files):
            path = (PurePosixPath(inside) / name).as_posix()
            if samples is None or not _is_exported(path, samples) or (Path(base) / name).is_symlink():
                return path
    return None


def _is_exported(path: str, samples: dict[str, int]) -> bool:
    split, slash, name = path.rpartition("/")
    if not slash:
        return name in (MARKER, INDEX)
    number = name.removesuffix(".npz")
    if not (number.isascii() and number.isdecimal() and len(number) < 20):
        return False
    return sample_file(split, int(number)) == path and int(number) < samples.get(split, 0)


def remove_exported(folder: Path) -> None:
    """Remove what an export wrote into a folder, the marker last, and the folder if nothing else is in it."""
    samples = exported_files(folder) or {}
    for split in samples:
        with suppress(OSError):  # it was removed, or has files that no export wrote
            for name in os.listdir(folder / split):
                if _is_exported(f"{split}/{name}", samples):
                    (folder / split / name).unlink(missing_ok=True)
            (folder / split).rmdir()
    with suppress(OSError):
        (folder / INDEX).unlink(missing_ok=True)
        (folder / MARKER).unlink(missing_ok=True)
        folder.rmdir()
