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

from .class_measures import accuracies_by, balanced_accuracy, precisions, recalls
from .csv_files import OUTPUT_COLUMNS, write_csv
from .encoding.findings import store_findings
from .errors import DataError, SpikeprepError, printable
from .store import SpikeStore
from .text import format_bytes, html_table, listed, samples_by_split
from .train.metrics import confusion_of, predict
from .train.network_counts import NetworkCounts
from .train.run_config import RunConfig
from .train.run_folder import RunFolder

MOST_CLASSES = 30
"""A table by class is shown for so many classes at most."""


EVALUATED_COLUMNS = ("sample", "split", "true", "predicted")
PREDICTED_COLUMNS = ("sample", "predicted")
"""Columns of the CSV files of `EvaluateResult` and `Predictions`, those of groups and of output counts aside."""

_LARGEST = 3  # counts that are shown of a sample
_SHOWN = 5  # files in one message


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
    stopped_early
        Whether validation ended the run before its last epoch, see the setting `patience`.
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
    stopped_early: bool = False
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
    labels
        True class of each sample, int64 (sample,), as the network numbers classes.
    counts
        Spikes of each output neuron, int64 (sample, class).
    classes
        Name of each class of the network.
    split
        Name of the split, or "all".
    parts
        Split → number of its samples, in the order of the samples.
    ids
        Id of each sample.
    groups
        Group of each sample (a speaker, a subject, the original of a copy), int32 (sample,); None where no split that
        was evaluated has groups, −1 where a sample's split has none.
    differences
        A text for every setting in which the store's encoding is another than that of the run's store.
    network_counts
        Synaptic operations, sparsity and footprint of every layer, where they were asked for.
    """

    labels: NDArray[np.int64]
    counts: NDArray[np.int64]
    classes: tuple[str, ...]
    split: str
    parts: Mapping[str, int]
    ids: Sequence[str]
    groups: NDArray[np.int32] | None = None
    differences: tuple[str, ...] = ()
    network_counts: NetworkCounts | None = None

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """Predicted class of each sample, int64 (sample,)."""
        return predict(self.counts)

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """Numbers of samples, int64 (true class, predicted class)."""
        return confusion_of(self.labels, self.predicted, len(self.classes))

    @property
    def samples(self) -> int:
        """Number of samples."""
        return len(self.labels)

    @property
    def accuracy(self) -> float:
        """Share of the samples predicted right, in [0, 1]."""
        return float(np.trace(self.confusion)) / max(self.samples, 1)

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall of the classes that have samples, in [0, 1]."""
        return balanced_accuracy(self.confusion)

    def by_class(self) -> list[dict[str, Any]]:
        """Return each class's `name`, `samples`, `recall` and `precision`, None where these have no samples."""
        columns = self.confusion.sum(axis=1), recalls(self.confusion), precisions(self.confusion)
        return [
            {"name": name, "samples": samples, "recall": _known(recall), "precision": _known(precision)}
            for name, samples, recall, precision in zip(
                self.classes, *(column.tolist() for column in columns), strict=True
            )
        ]

    def by_split(self) -> dict[str, dict[str, Any]]:
        """Return split → `samples`, `accuracy` and `balanced_accuracy`."""
        measures, first = {}, 0
        for split, samples in self.parts.items():
            part = slice(first, first + samples)
            confusion = confusion_of(self.labels[part], self.predicted[part], len(self.classes))
            measures[split] = {
                "samples": samples,
                "accuracy": float(np.trace(confusion)) / max(samples, 1),
                "balanced_accuracy": balanced_accuracy(confusion),
            }
            first += samples
        return measures

    def by_group(self) -> list[dict[str, Any]] | None:
        """Return each group's `group` (its number in the store), `samples` and `accuracy`; None without groups."""
        if self.groups is None:
            return None
        known = self.groups >= 0
        correct = (self.labels == self.predicted)[known]
        names = ("group", "samples", "accuracy")
        return [dict(zip(names, row, strict=True)) for row in accuracies_by(self.groups[known], correct)]

    def to_json(self) -> dict[str, Any]:
        """Return what ``spikeprep evaluate --json`` prints."""
        return {
            "accuracy": self.accuracy,
            "balanced_accuracy": self.balanced_accuracy,
            "samples": self.samples,
            "split": self.split,
            "confusion": self.confusion.tolist(),
            "by_class": self.by_class(),
            "by_split": self.by_split(),
            "by_group": self.by_group(),
            "differences": list(self.differences),
            "network_counts": self.network_counts.to_json() if self.network_counts else None,
        }

    def rows(self) -> list[tuple[str, ...]]:
        """Return the confusion as rows of text: a head, one row per true class with its recall, and the precisions."""
        head = ("true \\ predicted", *self.classes, "recall")
        measures = self.by_class()
        numbers = zip(measures, self.confusion.tolist(), strict=True)
        body = [(m["name"], *map(str, row), _percent(m["recall"])) for m, row in numbers]
        return [head, *body, ("precision", *(_percent(m["precision"]) for m in measures), "")]

    def split_rows(self) -> list[tuple[str, ...]]:
        """Return the accuracy of each split as rows of text, the head first."""
        return [
            ("split", "samples", "accuracy", "balanced"),
            *(
                (name, f"{m['samples']:,}", _percent(m["accuracy"]), _percent(m["balanced_accuracy"]))
                for name, m in self.by_split().items()
            ),
        ]

    def group_rows(self) -> list[tuple[str, ...]]:
        """Return the accuracy of each group as rows of text, the head first; of many the lowest ones."""
        groups = self.by_group() or []
        if len(groups) > MOST_CLASSES:
            groups = sorted(groups, key=lambda g: (g["accuracy"], g["group"]))[:MOST_CLASSES]
        return [
            ("group", "samples", "accuracy"),
            *((str(g["group"]), f"{g['samples']:,}", _percent(g["accuracy"])) for g in groups),
        ]

    def write_csv(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write a CSV file: each sample's id, split, group, true and predicted class, and spikes of each output neuron.

        A file with such columns is replaced, with `overwrite` any other one too. See `spikeprep.csv_files.write_csv`
        for the errors.
        """
        grouped = ("group",) if self.groups is not None else ()
        sample, name, *classes = EVALUATED_COLUMNS
        head = (sample, name, *grouped, *classes, *count_columns(self.classes))
        splits = np.repeat(list(self.parts), list(self.parts.values())).tolist()
        groups = [()] * self.samples if self.groups is None else [(g,) for g in self.groups.tolist()]
        write_csv(
            path,
            head,
            (
                (id_, split, *group, self.classes[true], self.classes[predicted], *counts)
                for id_, split, group, true, predicted, counts in zip(
                    self.ids,
                    splits,
                    groups,
                    self.labels.tolist(),
                    self.predicted.tolist(),
                    self.counts.tolist(),
                    strict=True,
                )
            ),
            overwrite=overwrite,
        )

    def __str__(self) -> str:
        return f"{self.split}: accuracy {self.accuracy:.2%} ({self.samples:,} samples)"

    def __repr__(self) -> str:
        return f"EvaluateResult({self})"

    def _repr_html_(self) -> str:
        return html_table(self.rows(), str(self)) if len(self.classes) <= MOST_CLASSES else f"<p>{self}</p>"


def count_columns(classes: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the columns of output counts in CSV files."""
    return tuple(f"{OUTPUT_COLUMNS}{name}" for name in classes)


def _known(share: float) -> float | None:
    return None if np.isnan(share) else share


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.2%}"


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
    samples
        Name of each sample: of files their path, and behind a colon the sample's number where a file has several; of
        stored samples their id. Empty for signals and spikes.
    failures
        Path → what is wrong, of each file that could not be predicted.
    """

    labels: NDArray[np.int64]
    counts: NDArray[np.int64]
    classes: tuple[str, ...]
    samples: tuple[str, ...] = ()
    failures: tuple[tuple[str, DataError], ...] = ()

    @property
    def names(self) -> list[str]:
        """Predicted class of each sample, by name."""
        return [self.classes[label] for label in self.labels.tolist()]

    def error(self) -> DataError | None:
        """Return one error for all files that could not be predicted; None where there are none."""
        if len(self.failures) < 2:
            return self.failures[0][1] if self.failures else None
        shown = listed([str(error) for _, error in self.failures], _SHOWN, " ", "files")
        total = len({name.rpartition(":")[0] or name for name in self.samples}) + len(self.failures)
        return DataError(f"{len(self.failures):,} of {total:,} files could not be predicted: {shown}")

    def to_json(self) -> dict[str, Any]:
        """Return what ``spikeprep predict --json`` prints."""
        numbered = zip(self.sample_names, self.names, self.counts.tolist(), strict=True)
        return {
            "classes": list(self.classes),
            "predictions": [
                {"sample": sample, "predicted": name, "counts": counts} for sample, name, counts in numbered
            ],
            "failures": [
                {"file": printable(file), "got": e.got, "expected": e.expected, "hint": e.hint}
                for file, e in self.failures
            ],
        }

    @property
    def sample_names(self) -> Sequence[str]:
        """Name of each sample; its number where it has none."""
        return self.samples or tuple(map(str, range(len(self))))

    def rows(self) -> list[tuple[str, ...]]:
        """Return the predictions as rows of text: a head, then one row per sample, with the largest counts."""
        head = ("sample", "predicted", "output spikes")
        named = zip(self.sample_names, self.names, map(self._largest, self.counts), strict=True)
        return [head, *named]

    def _largest(self, counts: NDArray[np.int64]) -> str:
        if not counts.any():
            return "none"
        first = np.argsort(-counts, kind="stable")[:_LARGEST]
        more = ", …" if len(first) < len(counts) else ""
        return ", ".join(f"{self.classes[n]}: {counts[n]:,}" for n in first.tolist()) + more

    def write_csv(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write a CSV file: the name of each sample, its predicted class, and the spikes of each output neuron.

        A file with such columns is replaced, with `overwrite` any other one too. See `spikeprep.csv_files.write_csv`
        for the errors.
        """
        head = (*PREDICTED_COLUMNS, *count_columns(self.classes))
        rows = zip(self.sample_names, self.names, self.counts.tolist(), strict=True)
        write_csv(path, head, ((sample, name, *counts) for sample, name, counts in rows), overwrite=overwrite)

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        few = ", ".join(self.names[:10]) + (", …" if len(self) > 10 else "")
        return f"Predictions({len(self):,} samples: {few})"

    def _repr_html_(self) -> str:
        rows = self.rows()[: MOST_CLASSES + 1]
        more = f", the first {len(rows) - 1}" if len(rows) <= len(self) else ""
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
