"""The splits of data, and the names that data sets give them."""

from __future__ import annotations

import re

SPLITS = ("train", "validation", "test")
"""Names of the splits, in the order in which they are stored."""

KNOWN_NAMES = "train or training, val, valid, validation or dev, test or testing"
"""Names of splits that are understood, in any case, for messages."""

_NAMES = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation", "dev": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
_UNCLEAR = {
    "trainval", "trainvalid", "valtest", "devtest", "traintest", "trn", "tst", "eval", "evaluation", "evaluate",
    "holdout", "heldout", "unlabeled", "unlabelled", "trains", "tests", "validate", "validating", "devel",
    "development",
}  # fmt: skip
_NEGATIONS = {
    "not",
    "no",
    "non",
    "un",
    "without",
    "except",
    "excluding",
    "exclude",
    "excluded",
    "minus",
    "pre",
}
_UNCLEAR |= {negation + name for negation in ("not", "non") for name in _NAMES}
_WORDS = re.compile(r"[^\W\d_]+")
_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def split_named(name: str) -> str | None:
    """Return which of `SPLITS` a name means; None where it means none of them, or not clearly one.

    The names are train and training, val, valid, validation and dev, test and testing, in any case, also as one word
    among others: ``n-cars_train``, ``TrainingSet``, ``testdata``, ``val2017``. ``not_test`` means none.
    """
    splits = {_NAMES.get(word) for word in _split_words(name)}
    return splits.pop() if len(splits) == 1 else None


def is_split_like(name: str) -> bool:
    """Whether a name has a word for a split, be it clear which one or not (``train_val``, ``eval``)."""
    return bool(_split_words(name))


def is_split_word(name: str) -> bool:
    """Whether a name is a word for a split and nothing else, be it clear which one or not."""
    return name.lower() in _NAMES or name.lower() in _UNCLEAR


def _split_words(name: str) -> list[str]:
    """Return the words of a name that stand for splits, in lower case."""
    words = [word.lower() for word in _WORDS.findall(_CAPITAL.sub(" ", name.strip()))]
    words = [word.removesuffix("set").removesuffix("data") for word in words]
    return [
        f"{before} {word}" if before in _NEGATIONS else word
        for before, word in zip(["", *words], words, strict=False)
        if word in _NAMES or word in _UNCLEAR
    ]
