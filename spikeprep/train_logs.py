"""Logs of a training run for other programs: a CSV file, and TensorBoard's event files.

The journal in the run folder is what counts; these are made from its records of epochs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from .csv_files import OUTPUT_COLUMNS, check_csv, write_csv
from .errors import CapabilityError, SpikeprepError, UsageError, lacks_space_or_permission
from .store.outputs import check_output
from .urls import redacted

Record = Mapping[str, Any]

_COLUMNS = ("epoch", "train_accuracy", "validation_accuracy", "test_accuracy", "loss", "learning_rate", "seconds",
            "samples_per_second", "stall_fraction")  # fmt: skip
_TAGS = {
    "train_accuracy": "accuracy/train",
    "validation_accuracy": "accuracy/validation",
    "test_accuracy": "accuracy/test",
    "loss": "loss/train",
    "learning_rate": "learning_rate",
    "samples_per_second": "speed/samples_per_second",
    "stall_fraction": "speed/stall_fraction",
}


class EpochLog(Protocol):
    """Where epochs are logged."""

    @property
    def path(self) -> str | os.PathLike[str]:
        """The file or folder."""

    def start(self, before: Sequence[Record]) -> None:
        """Begin; `before` are the epochs of a resumed run."""

    def add(self, record: Record) -> None:
        """Log an epoch."""

    def close(self) -> None:
        """End: everything is written."""


class CsvLog:
    """A CSV file with a row per epoch, written anew after each: at every moment it is whole.

    Its columns are those of the journal: accuracies in [0, 1], the mean loss, seconds, and as ``spikes_LAYER`` each
    layer's mean spikes per neuron and sample. The epochs of a resumed run are all there. A log of before is replaced, a
    file with other columns is not.

    Raises
    ------
    UsageError
        See `spikeprep.csv_files.check_csv`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        check_csv(path, _COLUMNS, overwrite=None)
        self.path = path
        self._epochs: dict[int, Record] = {}

    def start(self, before: Sequence[Record]) -> None:
        """See `EpochLog.start`."""
        self._epochs = {record["epoch"]: record for record in before}

    def add(self, record: Record) -> None:
        """See `EpochLog.add`."""
        self._epochs[record["epoch"]] = record
        self._write()

    def close(self) -> None:
        """See `EpochLog.close`."""
        self._write()

    def _write(self) -> None:
        records = [self._epochs[number] for number in sorted(self._epochs)]
        layers = max((len(record["rates"]) for record in records), default=0)
        head = (*_COLUMNS, *(f"{OUTPUT_COLUMNS}{n}" for n in range(1, layers + 1)))
        rows = ([*(_text(record.get(key)) for key in _COLUMNS), *record["rates"]] for record in records)
        write_csv(self.path, head, rows)


class TensorBoardLog:
    """Event files of TensorBoard in a folder: scalars by epoch, written by tensorboardX.

    A resumed run adds a file, which tells TensorBoard to forget epochs that are trained again.

    Raises
    ------
    CapabilityError
        tensorboardX is not installed, or the folder cannot be written.
    UsageError
        The path leads to a file, or into a store.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise CapabilityError(
                "logs for TensorBoard need tensorboardX, which is not installed",
                "",
                "Run: pip install 'spikeprep[tensorboard]'.",
            ) from error
        path = check_output(folder)
        if path is None or (path.exists() and not path.is_dir()):
            what = "a URL" if path is None else "a file"
            raise UsageError(
                f"got tensorboard = {redacted(folder)!r}, {what}", "a folder", "Name another folder."
            )
        self._class, self.path = SummaryWriter, path
        self._writer: Any = None

    def start(self, before: Sequence[Record]) -> None:
        """See `EpochLog.start`."""
        _make_folder(self.path)
        first = before[-1]["epoch"] + 1 if before else 1
        # files are named by the second and sorted by their names
        self._writer = self._class(
            logdir=os.fspath(self.path),
            purge_step=first if before else None,
            filename_suffix=f".{first:07}",
        )

    def add(self, record: Record) -> None:
        """See `EpochLog.add`."""
        epoch = record["epoch"]
        for key, tag in _TAGS.items():
            if record.get(key) is not None:
                self._writer.add_scalar(tag, record[key], epoch)
        for layer, rate in enumerate(record["rates"], 1):
            self._writer.add_scalar(f"spikes_per_neuron/layer_{layer}", rate, epoch)
        self._writer.flush()

    def close(self) -> None:
        """See `EpochLog.close`."""
        if self._writer is not None:
            self._writer.close()


class EpochLogs:
    """Gives the records of a run to several logs; one that cannot be written is given up, and training goes on.

    Parameters
    ----------
    logs
        The logs.
    before
        The finished epochs of a resumed run.
    note
        Called with a warning where a log is given up.
    """

    def __init__(
        self, logs: Sequence[EpochLog], before: Sequence[Record], note: Callable[[str], None]
    ) -> None:
        self._logs, self._before, self._note, self._started = list(logs), before, note, False

    def __call__(self, record: Record) -> None:
        """Log a record of the trainer, if it is of an epoch."""
        if record["event"] not in ("epoch", "finished"):
            return
        if not self._started:  # nothing is written before there is an epoch
            self._started = True
            first = record["epoch"] if record["event"] == "epoch" else len(self._before) + 1
            before = [known for known in self._before if known["epoch"] < first]
            self._each(lambda log: log.start(before))
        if record["event"] == "epoch":
            self._each(lambda log: log.add(record))

    def close(self) -> None:
        """End all of them."""
        if self._started:
            self._each(lambda log: log.close())

    def _each(self, do: Callable[[EpochLog], None]) -> None:
        for log in list(self._logs):
            try:
                do(log)
            except (SpikeprepError, OSError) as error:
                self._logs.remove(log)
                self._note(f"warning: the log {log.path} is given up, and training goes on: {error}")


def _text(value: object) -> object:
    return "" if value is None else value


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        kind = CapabilityError if lacks_space_or_permission(error) else UsageError
        raise kind(
            f"the folder {folder} cannot be created ({error.strerror})", "", "Name another one."
        ) from error
