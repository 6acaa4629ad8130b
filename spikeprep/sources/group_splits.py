"""Groups of samples, such as speakers and subjects: found in names, and chosen for the test split by a setting."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from ..errors import DataError, UsageError, near_miss
from ..text import listed
from .class_names import sorted_classes
from .labelled_files import Entry, Recording


def check_pattern(pattern: str, owner: str) -> None:
    """Raise `UsageError` where the setting `group_pattern` of the source `owner` is no regular expression."""
    try:
        re.compile(pattern)
    except re.error as error:
        got = f"got {owner}.group_pattern = {pattern!r} ({error})"
        raise UsageError(got, "a regular expression, such as user[0-9]+") from error


def with_groups(entries: Iterable[Entry], group_pattern: str) -> list[Entry]:
    """Return samples with the group that a regular expression finds in each id: its first group, or what it matches.

    Raises `DataError` where it finds nothing.
    """
    pattern, grouped = re.compile(group_pattern), []
    for entry in entries:
        match = pattern.search(entry.id)
        group = (match[1] if pattern.groups else match[0]) if match else ""
        if not group:
            raise DataError(
                f"{entry.id} has nothing that source.group_pattern={group_pattern} matches",
                "a group for every file",
                "Correct the pattern, which is searched in a file's path inside the folder, or leave it empty.",
            )
        grouped.append(entry._replace(group=group))
    return grouped


def with_test_groups(entries: Sequence[Entry], names: Sequence[str | int], setting: str) -> list[Entry]:
    """Return samples with the split that a setting gives, see `named_groups`: test or train."""
    chosen = named_groups(names, {entry.group for entry in entries}, setting)
    return [entry._replace(split="test" if entry.group in chosen else "train") for entry in entries]


def named_groups(names: Sequence[str | int], present: Collection[str], setting: str) -> frozenset[str]:
    """Return the groups of the test split, which a setting names.

    Parameters
    ----------
    names
        The groups; numbers stand for their texts.
    present
        Every group of the data; a sample without a group has an empty one.
    setting
        The setting's name, for messages.

    Raises
    ------
    DataError
        The data have no groups, or not one of these, or no others for training.
    """
    groups = sorted_classes(set(present) - {""})
    if not groups:
        raise DataError(
            f"source.{setting} names groups of the test split, and the data have none",
            "a group for each sample",
            "Name them in a column group of the table, or by source.group_pattern.",
        )
    chosen = frozenset(map(str, names))
    if unknown := [name for name in sorted_classes(chosen) if name not in groups]:
        raise DataError(
            f"source.{setting} names {listed(unknown)}, which the data do not have",
            f"some of {listed(groups)}",
            near_miss(unknown[0], groups),
        )
    if chosen >= set(present):
        raise DataError(
            f"source.{setting} names every group: nothing is left for training", "some of them", "Remove one."
        )
    return chosen


def by_speakers(recordings: Iterable[tuple[str, Recording]], test_speakers: Sequence[str]) -> list[Recording]:
    """Return recordings, each given with its speaker, with a test split of some speakers and a group for each.

    Without `test_speakers` they are returned as they are.
    """
    pairs = list(recordings)
    if not test_speakers:
        return [recording for _, recording in pairs]
    names = [name.lower() for name in test_speakers]
    chosen = named_groups(names, {speaker for speaker, _ in pairs}, "test_speakers")
    splits = {True: "test", False: "train"}
    return [
        replace(recording, split=splits[speaker in chosen], group=speaker) for speaker, recording in pairs
    ]
