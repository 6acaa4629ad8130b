"""Test splits of whole groups that a setting names: speakers, subjects."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from ..errors import DataError, near_miss
from ..text import listed
from .class_names import sorted_classes
from .labelled_files import Recording


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
