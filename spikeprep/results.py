"""What the functions of `spikeprep` return: plain values that describe themselves in a notebook."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .encoding.findings import store_findings
from .errors import SpikeprepError
from .store import SpikeStore
from .text import format_bytes, html_table, samples_by_split
from .train.run_config import RunConfig
from .train.run_folder import RunFolder

MOST_CLASSES = 30
"""A table by class is shown for so many classes at most."""


@dataclass(frozen=True, repr=False)
class TrainResult:
    """What `spikeprep.train` reached.

    Attributes
    ----------
    run
        Path of the run folder.
    epochs
        Epochs trained, earlier calls included.
    batch, arch, rule
        Samples per update, hidden layers, and name of the learning rule.
    thresholds
        Firing threshold of each layer, the output last; None if the learning rule has no such setting.
    device, ranks, feed
        Name of the backend, number of processes, and how samples reached the device.
    train_accuracy, validation_accuracy, test_accuracy
        Of the last epoch, in [0, 1]; None where there are no such samples.
    best_epoch, best_test_accuracy
        The epoch that the validation samples chose, and its test accuracy.
    seconds_per_epoch, samples_per_second, stall_fraction
        Mean duration of an epoch, training speed, and the share of the time spent waiting for data, without the time
        in which kernels are compiled.
    warnings
        What a person should know of the run, earlier calls included: one text each, with the setting to change.
    history
        One record per epoch, as in the run's journal.
    leads
        False in the processes of `mpirun` that do not write the run folder.
    """

    run: str
    epochs: int
    batch: int
    arch: str
    rule: str
    device: str
    ranks: int
    feed: str | None
    train_accuracy: float
    validation_accuracy: float | None
    test_accuracy: float | None
    best_epoch: int
    best_test_accuracy: float | None
    seconds_per_epoch: float
    samples_per_second: float
    stall_fraction: float
    thresholds: list[float] | None = None
    warnings: list[str] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    leads: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return what ``spikeprep train --json`` prints: everything but the history."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("history", "leads")}

    def __repr__(self) -> str:
        test = f", test {self.test_accuracy:.2%}" if self.test_accuracy is not None else ""
        return f"TrainResult({self.run!r}: {self.arch}, {self.epochs} epochs, train {self.train_accuracy:.2%}{test})"

    def _repr_html_(self) -> str:
        return html_table(
            epoch_rows(self.history), f"{self.run}: {self.arch}, batch {self.batch}, {self.device}"
        )


@dataclass(frozen=True, repr=False, eq=False)
class EvaluateResult:
    """What `spikeprep.evaluate` measured.

    Attributes
    ----------
    accuracy
        Share of the samples predicted right, in [0, 1].
    samples
        How many there were.
    confusion
        int64 (true class, predicted class): numbers of samples.
    classes
        Name of each class.
    split
        Name of the split.
    differences
        A text for every setting in which the store's encoding is another than that of the run's store.
    """

    accuracy: float
    samples: int
    confusion: NDArray[np.int64]
    classes: tuple[str, ...]
    split: str
    differences: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return what ``spikeprep evaluate --json`` prints."""
        return {
            "accuracy": self.accuracy,
            "samples": self.samples,
            "confusion": self.confusion.tolist(),
            "differences": list(self.differences),
        }

    def rows(self) -> list[tuple[str, ...]]:
        """Return the confusion as rows of text: a head, then one row per true class."""
        head = ("true \\ predicted", *self.classes)
        counts = zip(self.classes, self.confusion.tolist(), strict=True)
        return [head, *((name, *map(str, row)) for name, row in counts)]

    def __str__(self) -> str:
        return f"{self.split}: accuracy {self.accuracy:.2%} ({self.samples:,} samples)"

    def __repr__(self) -> str:
        return f"EvaluateResult({self})"

    def _repr_html_(self) -> str:
        return html_table(self.rows(), str(self)) if len(self.classes) <= MOST_CLASSES else f"<p>{self}</p>"


@dataclass(frozen=True, repr=False, eq=False)
class Predictions:
    """What `spikeprep.predict` returns.

    Attributes
    ----------
    labels
        Predicted class of each sample, int64 (sample,).
    counts
        Spikes of each output neuron, int64 (sample, class); the largest count decides, the first of equals.
    classes
        Name of each class.
    """

    labels: NDArray[np.int64]
    counts: NDArray[np.int64]
    classes: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """Predicted class of each sample, by name."""
        return [self.classes[label] for label in self.labels.tolist()]

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        few = ", ".join(self.names[:10]) + (", …" if len(self) > 10 else "")
        return f"Predictions({len(self):,} samples: {few})"

    def _repr_html_(self) -> str:
        few = list(zip(self.names, self.counts.tolist(), strict=True))[:MOST_CLASSES]
        rows = [
            ("sample", "predicted", "spikes"),
            *((str(n), name, str(c)) for n, (name, c) in enumerate(few)),
        ]
        more = f", the first {len(few)}" if len(few) < len(self) else ""
        return html_table(rows, f"{len(self):,} predictions{more}")


class Store(SpikeStore):
    """A spike store, opened for reading: a mapping of split name → `SplitReader`, see `SpikeStore`."""

    def describe(self) -> dict[str, Any]:
        """Return the attributes, the digest, what each split contains, and what deserves attention; JSON-ready.

        Under ``splits`` each split, of an incomplete store `samples`, `steps`, `units` and `bytes` alone; under
        ``findings`` one text each, see `spikeprep.encoding.findings`.
        """
        splits = {split: self._describe_split(split) for split in self.splits}
        findings = store_findings(self) if self.complete else []
        return self.attributes | {"digest": self.digest(), "splits": splits, "findings": findings}

    def _describe_split(self, name: str) -> dict[str, Any]:
        split, stored = self[name], self.stored_bytes(name)
        known = {"samples": len(split), "steps": split.max_steps, "units": split.units, "bytes": stored}
        if not self.complete:
            return known
        slots = split.units * int(split.steps.sum(dtype=np.int64))
        numbers = np.bincount(split.labels, minlength=len(self.attributes["classes"]))
        return known | {
            "steps_min": int(split.steps.min(initial=split.max_steps)),
            "density": int(split.counts.sum(dtype=np.int64)) / slots if slots else 0.0,
            "bytes_per_sample": stored / len(split) if len(split) else 0.0,
            "class_counts": dict(zip(self.attributes["classes"], numbers.tolist(), strict=True)),
        }

    @cached_property
    def _rows(self) -> list[tuple[str, ...]]:
        return split_rows(self.describe()["splits"])

    def __repr__(self) -> str:
        samples = samples_by_split(self.attributes["samples"])
        state = "" if self.complete else ", not complete"
        return f"Store({self.path!r}: {self.attributes['recipe']}, {samples}{state})"

    def _repr_html_(self) -> str:
        try:
            return html_table(self._rows, f"{self.path}: {self.attributes['recipe']}")
        except SpikeprepError as error:  # a damaged store must not break a notebook's display
            return f"<p>{self!r}: {error}</p>"


class Run:
    """A run folder, opened for reading.

    Attributes
    ----------
    path
        Where it is.
    config
        The store it was trained on, the settings, and the sizes of the network.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.folder = RunFolder(path)
        self.path: Path = self.folder.path
        self.config: RunConfig = self.folder.config()

    @property
    def history(self) -> list[dict[str, Any]]:
        """One record per finished epoch, of the last checkpoint."""
        return self.folder.history()

    @property
    def layers(self) -> str:
        """The network's layers in one word, input and output included: ``"64-200-10"``."""
        return f"{self.config.units}-{self.config.settings.arch}-{len(self.config.classes)}"

    def describe(self) -> dict[str, Any]:
        """Return path, configuration and epochs, JSON-ready."""
        return {"run": str(self.path), "config": self.config.to_json(), "epochs": self.history}

    def __str__(self) -> str:
        return f"{self.layers} on {self.config.store}, {len(self.history)} epochs finished"

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}: {self})"

    def _repr_html_(self) -> str:
        return html_table(epoch_rows(self.history), f"{self.path}: {self}")


def split_rows(splits: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return `Store.describe`'s splits as rows of text, the head first."""
    head = ("split", "samples", "steps", "units", "density", "bytes", "per sample")
    return [head, *(_split_row(name, split) for name, split in splits.items())]


def _split_row(name: str, split: Mapping[str, Any]) -> tuple[str, ...]:
    shortest, longest = split.get("steps_min", split["steps"]), split["steps"]
    return (
        name,
        f"{split['samples']:,}",
        f"{longest}" if shortest == longest else f"{shortest} to {longest}",
        f"{split['units']:,}",
        f"{split['density']:.2%}" if "density" in split else "",
        format_bytes(split["bytes"]),
        f"{split['bytes_per_sample']:,.0f} B" if "bytes_per_sample" in split else "",
    )


def epoch_rows(records: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return the epochs of a run as rows of text, the head first."""
    columns = {
        "epoch": "{}",
        "train_accuracy": "{:.2%}",
        "validation_accuracy": "{:.2%}",
        "test_accuracy": "{:.2%}",
        "loss": "{:.4g}",
        "seconds": "{:.1f}",
    }
    head = ("epoch", "train", "validation", "test", "loss", "seconds")
    return [
        head,
        *(
            tuple(
                "" if record.get(key) is None else form.format(record[key]) for key, form in columns.items()
            )
            for record in records
        ),
    ]
