"""The JSON documents of a run, each with one schema that is checked where the document is read.

A schema is a mapping of key → annotated type, in the notation of settings (`spikeprep.config`). Keys that it does not
name are left as they are, so that a newer run can still be read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from ..config import Count, Meta, Natural, NonNegative, Real, check_plain, excerpt, fitted
from ..errors import RunError, UsageError
from ..strict_json import parse_strict_json

Schema = Mapping[str, Any]

_Accuracy = Annotated[float, Meta(ge=0, le=1)]
_Rates = list[NonNegative]

EPOCH: Schema = {
    "epoch": Count,
    "train_accuracy": _Accuracy,
    "validation_accuracy": _Accuracy | None,
    "test_accuracy": _Accuracy | None,
    "loss": Real,
    "seconds": NonNegative,
    "samples_per_second": NonNegative,
    "stall_fraction": NonNegative,
    "learning_rate": NonNegative,
    "rates": _Rates,
    "feed": str,
}
"""The record of an epoch, in the journal and in checkpoints."""

STREAM: Schema = {"epoch": Natural, "position": Natural, "samples": Count, "batch": Count}
"""Where the stream of batches is."""

STATS: Schema = {
    "seen": Natural,
    "correct": Natural,
    "batches": Natural,
    "loss": Real,
    "seconds": NonNegative,
    "waited": NonNegative,
    "rates": _Rates,
}
"""Sums over the batches of an unfinished epoch."""

CHECKPOINT: Schema = {
    "stream": dict[str, Any],
    "step": Natural,
    "stats": dict[str, Any],
    "history": list[dict[str, Any]],
    "journal": Natural,
}
"""The record of a checkpoint to resume from."""


def parse_json(data: bytes | str, name: str, hint: str = "") -> Any:
    """Return the value of a JSON document.

    Raises
    ------
    RunError
        It is not JSON (NaN and infinities are not); the message calls it `name`.
    """
    try:
        value = parse_strict_json(data)
        check_plain(value, "JSON")
    except (
        ValueError,
        RecursionError,
        UsageError,
    ) as error:  # UnicodeDecodeError, JSONDecodeError: ValueErrors
        raise RunError(f"{name} is damaged ({error})", "JSON", hint) from error
    return value


def check_record(
    value: Any,
    schema: Schema,
    name: str,
    *,
    optional: frozenset[str] = frozenset(),
    exact: bool = False,
    hint: str = "",
) -> dict[str, Any]:
    """Return a JSON object whose keys have the types of a schema; with `exact` without any others.

    Raises
    ------
    RunError
        It is no object, lacks a key that is not in `optional`, or a value is of another type or out of range; the
        message calls the document `name`.
    """
    if not isinstance(value, dict):
        raise RunError(f"{name} is {excerpt(value, 60)}", "a JSON object", hint)
    record = {key: value[key] for key in schema if key in value} if exact else dict(value)
    for key, kind in schema.items():
        if key not in value:
            if key in optional:
                continue
            raise RunError(f"{name} lacks {key!r}", "it", hint)
        try:
            record[key] = fitted(value[key], kind, key)
        except UsageError as error:
            raise RunError(f"{name}: {key} is {excerpt(value[key], 60)}", error.expected, hint) from error
    return record


def best_epoch(history: Sequence[Mapping[str, Any]]) -> int:
    """Return the epoch whose network is the one to use: the last of those with the best validation accuracy.

    0 where there is none; the last one without validation samples.
    """
    return max(
        range(1, len(history) + 1), key=lambda n: (history[n - 1]["validation_accuracy"] or 0.0, n), default=0
    )


def check_history(value: Any, name: str, layers: int, hint: str = "") -> list[dict[str, Any]]:
    """Return the records of epochs 1, 2, …, each checked, with a rate for each of `layers` layers."""
    records = [
        check_record(record, EPOCH, f"{name}, epoch {n}", hint=hint)
        for n, record in enumerate(value if isinstance(value, list) else [value], 1)
    ]
    for n, record in enumerate(records, 1):
        if record["epoch"] != n:
            raise RunError(f"{name} has epoch {record['epoch']} as number {n}", "epochs 1, 2, …", hint)
        if len(record["rates"]) != layers:
            raise RunError(f"{name} has {len(record['rates'])} rates in epoch {n}", f"{layers}", hint)
    return records
