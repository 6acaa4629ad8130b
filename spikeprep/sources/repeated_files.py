"""Files that hold the same bytes: a test sample that training has seen, or one sample with two labels."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator

from .labelled_files import Recording


def repeated_files(files: Iterable[tuple[str, Recording]]) -> Iterator[str]:
    """Yield texts on files that are the same as earlier ones; see `repeated`.

    Parameters
    ----------
    files
        The digest of each file's bytes, and the file. Those of training come first, and intervals are compared with
        equal intervals.
    """
    ordered = sorted(files, key=lambda pair: (pair[1].split != "train", pair[1].id))
    samples = (((sha256, file.interval), file.split, file.label, file.id) for sha256, file in ordered)
    return repeated(samples, "file", "bytes")


def repeated(samples: Iterable[tuple[Hashable, str, int, str]], noun: str, what: str) -> Iterator[str]:
    """Yield texts on samples that are the same as earlier ones: of another class, in another split, or neither.

    Each sample counts once, against those ahead of it.

    Parameters
    ----------
    samples
        Content, split, label and name of each.
    noun, what
        What they are, and what they repeat: ``file``, ``bytes``.
    """
    earlier: dict[Hashable, dict[int, dict[str, str]]] = {}  # label → split → name
    found: dict[str, list[tuple[str, str]]] = {
        "of another class": [],
        "in another split": [],
        "of their class": [],
    }
    for content, split, label, name in samples:
        labels = earlier.setdefault(content, {})
        splits = labels.setdefault(label, {})
        if split in splits:
            found["of their class"].append((splits[split], name))
        elif splits:
            found["in another split"].append((next(iter(splits.values())), name))
        elif len(labels) > 1:
            found["of another class"].append((next(iter(next(iter(labels.values())).values())), name))
        splits.setdefault(split, name)
    for kind, pairs in found.items():
        if pairs:
            number = f"{len(pairs):,} {noun}s repeat" if len(pairs) > 1 else f"one {noun} repeats"
            yield f"{number} the {what} of {noun}s {kind}, such as {pairs[0][0]} and {pairs[0][1]}"
