"""Files that hold the same bytes: a test sample that training has seen, or one sample with two labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .labelled_files import Recording


def repeated_files(files: Iterable[tuple[str, Recording]]) -> Iterator[str]:
    """Yield texts on files that are the same as earlier ones: of another class, in another split, or neither.

    Each file counts once, against the files ahead of it, those of training first; intervals against equal intervals.

    Parameters
    ----------
    files
        The digest of each file's bytes, and the file.
    """
    earlier: dict[tuple[str, tuple[int, int] | None], dict[int, dict[str, str]]] = {}  # label → split → id
    found: dict[str, list[tuple[str, str]]] = {
        "of another class": [],
        "in another split": [],
        "of their class": [],
    }
    for sha256, file in sorted(files, key=lambda pair: (pair[1].split != "train", pair[1].id)):
        labels = earlier.setdefault((sha256, file.interval), {})
        splits = labels.setdefault(file.label, {})
        if file.split in splits:
            found["of their class"].append((splits[file.split], file.id))
        elif splits:
            found["in another split"].append((next(iter(splits.values())), file.id))
        elif len(labels) > 1:
            found["of another class"].append((next(iter(next(iter(labels.values())).values())), file.id))
        splits.setdefault(file.split, file.id)
    for kind, pairs in found.items():
        if pairs:
            number = f"{len(pairs):,} files repeat" if len(pairs) > 1 else "one file repeats"
            yield f"{number} the bytes of files {kind}, such as {pairs[0][0]} and {pairs[0][1]}"
