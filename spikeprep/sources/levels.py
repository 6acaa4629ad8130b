"""Parts of a data set whose values stay far below what their format allows, as values on another scale do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Part(NamedTuple):
    """A part of a data set: its name, such as ``16-bit test images``, its samples, and whether it is all of them."""

    name: str
    members: NDArray[np.intp]
    all: bool = False


@dataclass(frozen=True)
class Groups:
    """What each sample belongs to, as the number of a name: its kind of file, its split and its class.

    Attributes
    ----------
    noun
        What the samples are: ``images``.
    kind, split, label
        Number of each sample's kind, split and class.
    kinds, splits, classes
        Their names.
    """

    noun: str
    kind: NDArray[np.intp]
    split: NDArray[np.intp]
    label: NDArray[np.intp]
    kinds: Sequence[str]
    splits: Sequence[str]
    classes: Sequence[str]

    @classmethod
    def of(
        cls,
        noun: str,
        kinds: Sequence[str],
        splits: Sequence[str],
        labels: Sequence[int],
        classes: Sequence[str],
    ) -> Groups:
        """Return the groups of samples, of which each has the name of its kind and of its split."""
        numbers = [{name: n for n, name in enumerate(dict.fromkeys(names))} for names in (kinds, splits)]
        return cls(
            noun,
            np.array([numbers[0][kind] for kind in kinds], np.intp),
            np.array([numbers[1][split] for split in splits], np.intp),
            np.array(labels, np.intp),
            tuple(numbers[0]),
            tuple(numbers[1]),
            classes,
        )

    def low(self, level: NDArray[np.float64], most: float, few: int, few_of_kind: int) -> list[Part]:
        """Return the parts without a sample of a higher level than `most`, but not all at 0.

        It is all samples, or parts of them, none of which is within another: `few_of_kind` or more, all of one kind, or
        `few` or more, all of one kind and split, or of one kind and class.
        """
        if level.max() <= most:
            return [Part(self.noun, np.arange(len(level)), True)] if level.any() else []
        low: list[Part] = []
        covered = np.zeros(len(level), bool)
        for name, members, of_kind in self._parts():
            enough = len(members) >= (few_of_kind if of_kind else few)
            if enough and 0 < level[members].max() <= most and not covered[members].all():
                covered[members] = True
                low.append(Part(name, members))
        return low

    def _parts(self) -> Iterator[tuple[str, NDArray[np.intp], bool]]:
        kind_names = [f"{kind} " if len(self.kinds) > 1 else "" for kind in self.kinds]
        if len(self.kinds) > 1:
            for number, members in _members(self.kind):
                yield f"{kind_names[number]}{self.noun}", members, True
        for names, numbers, form in (
            (self.splits, self.split, "{kind}{name} {noun}"),
            (self.classes, self.label, "{kind}{noun} of class {name}"),
        ):
            if len(names) > 1:
                for number, members in _members(self.kind * len(names) + numbers):
                    kind, name = kind_names[number // len(names)], names[number % len(names)]
                    yield form.format(kind=kind, name=name, noun=self.noun), members, False


def _members(numbers: NDArray[np.intp]) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Yield each number that occurs, and where."""
    order = np.argsort(numbers, kind="stable")
    starts = np.flatnonzero(np.diff(numbers[order], prepend=-1))
    for start, members in zip(starts, np.split(order, starts[1:]), strict=True):
        yield int(numbers[order[start]]), members
