"""Labelled intervals of recordings, from the annotations in their files or in files beside them.

Beats of MIT-BIH (``100.hea``, ``100.atr``) are moments: a sample is what lies around one. Sleep stages of EDF+ and
rhythms have a duration: a sample is the interval. In Sleep-EDF, ``SC4001E0-PSG.edf`` has the signals, and
``SC4001EC-Hypnogram.edf``, which has annotations alone, its stages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import DataError, UsageError, near_miss, printable
from ..input_files import open_input
from ..text import listed
from .labelled_files import Entry, file_id, files_in, files_under
from .series_data import SeriesFile
from .series_edf import SUFFIXES as EDF_SUFFIXES
from .series_wfdb import SUFFIX as WFDB_SUFFIX
from .split_names import split_named

EVERY = "*"
"""Chooses all annotations."""

_SUFFIXES = (*EDF_SUFFIXES, WFDB_SUFFIX)
_RESERVED = slice(192, 236)  # bytes of a header of EDF+: "EDF+C" or "EDF+D"
_SHOWN = 8  # labels in a message
_LEAST_ALIKE = 4  # first characters that the names of a recording and of its annotations share


def annotated_intervals(
    path: str,
    read: Callable[[Path], SeriesFile],
    wanted: Sequence[str],
    around: Sequence[float],
    rate: float,
) -> tuple[list[Entry], list[str]]:
    """Return the annotated intervals of recordings as entries, in steps, and findings.

    The group of an interval is its recording, by its name without an ending. Recordings in folders of splits are of
    these.

    Parameters
    ----------
    path
        A recording, or a folder of them at any depth.
    read
        Reads a recording.
    wanted
        Labels of the annotations to take; ``"*"``: all.
    around
        Seconds before and after a moment; empty: there are none to take.
    rate
        Steps per second, in Hz; 0: as the recordings state.

    Raises
    ------
    UsageError
        Moments are to be taken, and `around` is empty.
    DataError
        There are no recordings, or no such annotations; or it is not clear which recording annotations are of.
    """
    root = Path(path)
    if not path or not root.exists():
        raise DataError(f"no folder {path!r}", "a folder of recordings", "Give it as source=FOLDER.")
    files = [root] if root.is_file() else files_under(root, _SUFFIXES)
    contents = {file: read(file) for file in files}
    recordings = [file for file in files if contents[file].series]
    if not recordings:
        raise DataError(
            f"{path} has no recordings with annotations",
            f"files ending in {' '.join(_SUFFIXES)}",
            "Give their folder as source=FOLDER.",
        )
    beside: dict[Path, Path] = {}
    for file in files:
        if not contents[file].series:
            recording = _recording_of(file, recordings)
            if recording in beside:
                names = f"{beside[recording].name} and {file.name}"
                raise DataError(f"{recording} has two files of annotations, {names}", "one", "Move one away.")
            beside[recording] = file
    folder = root.parent if root.is_file() else root
    splits = {file: split_named(file.relative_to(folder).parts[0]) or "" for file in recordings}
    if not all(len(f.relative_to(folder).parts) > 1 and splits[f] for f in recordings):
        splits = dict.fromkeys(recordings, "")
    entries: list[Entry] = []
    others: Counter[str] = Counter()
    outside = clipped = 0
    for file in recordings:
        steps, own = len(contents[file].series[0].values), rate or contents[file].rate
        id_ = file_id(file, folder)
        group = printable(str(file.relative_to(folder).with_suffix("").as_posix()))
        taken: dict[tuple[int, int], str] = {}
        for one in contents[beside.get(file, file)].annotations:
            if EVERY not in wanted and one.label not in wanted:
                others[one.label] += 1
                continue
            if not one.duration and not around:
                raise UsageError(
                    f"got source.annotations of moments, such as {one.label!r} at {one.start:g} s of {id_}",
                    "the time around a moment that is its sample",
                    "Give the seconds before and after: for example source.around=[0.25,0.45].",
                )
            moment = not one.duration
            start = round(one.start * own) - (round(around[0] * own) if moment else 0)
            stop = (
                start + sum(round(s * own) for s in around)
                if moment
                else round((one.start + one.duration) * own)
            )
            if start < 0 or start >= steps or (moment and stop > steps):
                outside += 1
                continue
            clipped += stop > steps
            interval = (start, min(stop, steps))
            if taken.setdefault(interval, one.label) != one.label:
                raise DataError(
                    f"{id_} has the annotations {taken[interval]!r} and {one.label!r} of one time ({one.start:g} s)",
                    "one label for each interval",
                    "Choose labels that are not of one time: use source.annotations=[…].",
                )
        entries += [
            Entry(splits[file], file, label, f"{id_}@{start}-{stop}", group, (start, stop))
            for (start, stop), label in taken.items()
            if stop > start
        ]
    missing = [label for label in wanted if label != EVERY and label not in {e.label for e in entries}]
    if not entries or missing:
        known = [label for label, _ in others.most_common()]
        raise DataError(
            f"{path} has no annotation {missing[0]!r}" if missing else f"{path} has no annotations",
            f"annotations such as {listed([*map(repr, known)], _SHOWN)}" if known else "some",
            near_miss(missing[0] if missing else "", known) or "Name others in source.annotations.",
        )
    findings = []
    if others:
        named = listed([f"{label!r} ({count:,})" for label, count in others.most_common()], _SHOWN)
        findings.append(f"annotations that source.annotations does not name: {named}")
    if outside:
        findings.append(f"annotations left out, as they reach beyond their recording: {outside:,}")
    if clipped:
        findings.append(f"annotations that end with their recording, and last longer: {clipped:,}")
    return entries, findings


def has_annotations(path: str, annotator: str) -> bool:
    """Whether a path is a recording, or a folder with recordings in it, that may have annotations, by their headers."""
    root = Path(path)
    if not path or not root.exists():
        return False
    files = [root] if root.is_file() else [file for file in files_in(root) if file.is_file()]
    for file in files:
        suffix = file.suffix.lower()
        if suffix == WFDB_SUFFIX and file.with_suffix(f".{annotator}").is_file():
            return True
        if suffix in EDF_SUFFIXES:
            with open_input(file) as stream:
                if stream.read(_RESERVED.stop)[_RESERVED].startswith((b"EDF+", b"BDF+")):
                    return True
    return False


def _recording_of(file: Path, recordings: Sequence[Path]) -> Path:
    """Return the recording that a file of annotations is of: the one in its folder whose name begins most alike."""
    near = [one for one in recordings if one.parent == file.parent]
    alike = [_alike(one.name, file.name) for one in near]
    most = max(alike, default=0)
    if alike.count(most) != 1 or (most < _LEAST_ALIKE and len(near) > 1):
        raise DataError(
            f"{file} has annotations alone, and it is not clear of which recording",
            "one recording in its folder whose name begins alike",
            "Name it after its recording, such as NAME-PSG.edf and NAME-Hypnogram.edf.",
        )
    return near[alike.index(most)]


def _alike(one: str, other: str) -> int:
    """Return how many of their first characters two names share."""
    return next(
        (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
