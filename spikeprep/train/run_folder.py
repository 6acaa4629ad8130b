"""A run folder: config.json, journal.jsonl, last.npz (to resume from), the one before it, and best.npz (to use).

While a process trains, lease.json names it, so that no second one writes to the folder. A folder is a run once it has
config.json, which is written last, after the first checkpoint: a process that is killed before leaves a folder that
the same command starts again in.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..errors import CapabilityError, RunError, SpikeprepError, UsageError
from ..lease import Holder, Lease
from ..partial_files import is_partial
from ..store import SpikeStore
from ..store.local_storage import LocalStorage
from ..store.outputs import check_output
from .checkpoint import (
    CheckpointLayout,
    load_checkpoint,
    load_record,
    save_checkpoint,
)
from .documents import best_epoch, check_history, parse_json
from .files import read_regular, remove_abandoned, write_bytes_atomic
from .journal import Journal
from .run_config import FORMAT, RunConfig
from .settings import TrainSettings

_CONFIG_BYTES = 1 << 26
_LEASE = "lease.json"
_LOST = "Restore the file, or resume training: a better epoch writes it again."
_RESTORE = "Restore the file, or train again into another run folder."
_ARRAYS = ("best.npz", "last.npz", "last.previous.npz")
_DOCUMENTS = ("config.json", "journal.jsonl", _LEASE, f"{_LEASE}.takeover")


def refuse_run_file(path: Path) -> None:
    """Raise `UsageError` where a path is that of one of a run's own files, which no other output may replace."""
    if path.name not in _ARRAYS + _DOCUMENTS:
        return
    # one document and a file beside it: a folder of other files may have a config.json, or exported arrays
    documents = [name for name in _DOCUMENTS if os.path.lexists(path.with_name(name))]
    if documents and (set(documents) | {n for n in _ARRAYS if os.path.lexists(path.with_name(n))}) - {
        path.name
    }:
        raise UsageError(
            f"{path} is a file of the run {path.parent}",
            "a path that is none of a run's own files",
            "Choose another name.",
        )


class RunFolder:
    """The files of one run.

    Parameters
    ----------
    path
        Where it is; ``~`` is the user's home.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(os.path.expanduser(path))
        self.config_path = self.path / "config.json"
        self.last, self.best = self.path / "last.npz", self.path / "best.npz"
        self.previous = self.path / "last.previous.npz"
        self.journal = Journal(self.path / "journal.jsonl")
        self._lease: Lease | None = None
        self._last_is_sound = True
        self._is_starting = False  # between `acquire` of a new run and `create`

    def exists(self) -> bool:
        """Whether there is a run: of a training that has come to its first checkpoint."""
        return self.config_path.exists()

    def is_begun(self) -> bool:
        """Whether there is a run, or the start of one."""
        return self.exists() or self._is_start()

    # ------------------------------------------------------------ the right to write

    def acquire(self, *, new: bool, note: Callable[[str], None] = lambda message: None) -> None:
        """Become the only process that writes here, until `release`; a new run's folder is created.

        `note` is called with a message before another host's process is watched for a sign of life.

        Raises
        ------
        RunError
            Another process trains here; there is a run, or something else, already, or there is no run to resume.
        UsageError
            The path leads to a file.
        CapabilityError
            The folder cannot be made: the disk is full, a permission is missing, or the file system has no folders.
        """
        if new:
            check_output(self.path)
            self._refuse_content()
        elif not self.exists():
            raise self._no_run()
        self._make()
        self._lease = Lease.acquire(
            LocalStorage(self.path),
            _LEASE,
            what=f"the run folder {self.path}",
            place=str(self.path / _LEASE),
            error=RunError,
            note=note,
        )
        try:
            if new and self.exists():  # started by another process since
                self._refuse_content()
            remove_abandoned(self.path)
            if new:
                self._remove_unfinished()
                self._is_starting = True
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Let other processes write here; what a start that has not finished has written is removed."""
        if self._lease is None:
            return
        lease, self._lease = self._lease, None
        unfinished, self._is_starting = self._is_starting, False
        with suppress(OSError, SpikeprepError):
            if unfinished:
                lease.check()
                self._remove_unfinished()
        lease.release()
        with suppress(OSError):  # not empty
            if unfinished:
                self.path.rmdir()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold the lease for one write, where it is not held already; raises `RunError` where it was lost."""
        if self._lease is not None:
            self._lease.check()
            yield
            return
        self.acquire(new=not self.exists())
        try:
            yield
        finally:
            self.release()

    def _refuse_content(self) -> None:
        """Raise `RunError` where there is a run, or anything that is not what a killed start of one leaves."""
        try:
            others = self._names() - self._names_of_a_start()
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._unusable(error) from error
        if others:
            if self.exists():
                what, hint = "a run", "Pass resume=True to continue it, or another run=…."
            else:
                what = f"not empty (it has {', '.join(sorted(others)[:3])})"
                hint = "Name another folder: run=…."
            raise RunError(f"{self.path} is {what} already", "a new or empty folder", hint)

    def _names(self) -> set[str]:
        return {name for name in os.listdir(self.path) if not is_partial(name)}

    def _names_of_a_start(self) -> set[str]:
        """Return the names of what a start has written here, up to its first checkpoint; none without its lease."""
        # the lease is created in an empty folder only, and removed after the others
        if not (self.path / _LEASE).is_file() or Holder.parse(LocalStorage(self.path).get(_LEASE)) is None:
            return set()
        return {_LEASE, f"{_LEASE}.takeover", self.last.name, self.journal.path.name}

    def _is_start(self) -> bool:
        started = self._names_of_a_start()
        return bool(started) and self._names() <= started

    def _make(self) -> None:
        """Create the folder where it is not there."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> UsageError | CapabilityError:
        """Return what is wrong with the path of a new run: it leads to a file, or a folder cannot be made there."""
        if isinstance(error, NotADirectoryError | FileExistsError):
            return UsageError(
                f"the run folder {self.path} cannot be created (there is a file in its place)",
                "a folder",
                "Name another run folder: run=….",
            )
        return CapabilityError(
            f"the run folder {self.path} cannot be created ({error.strerror or error})",
            "a place where folders can be made",
            "Name another run folder: run=…, or free some space or change the permissions there.",
        )

    def _remove_unfinished(self) -> None:
        """Remove what a start that has not finished has written; the lease is held."""
        for path in (self.journal.path, self.last):
            path.unlink(missing_ok=True)

    # ------------------------------------------------------------ writing

    def create(self, config: RunConfig) -> None:
        """Write the configuration, which makes the folder a run: of a trainer after the first checkpoint.

        Raises
        ------
        RunError
            There is a run, or anything else, already.
        """
        if self._lease is None:
            self._refuse_content()
        self.update(config)
        self._is_starting = False

    def update(self, config: RunConfig) -> None:
        """Write the configuration of a run that goes on with other epochs."""
        with self._writing():
            write_bytes_atomic(self.config_path, (json.dumps(config.to_json(), indent=2) + "\n").encode())

    def record(self, record: dict[str, Any]) -> None:
        """Append a record to the journal."""
        with self._writing():
            self.journal.append(record)

    def save_last(self, arrays: Mapping[str, NDArray[Any]], record: Mapping[str, Any]) -> None:
        """Save the checkpoint to resume from; the one before is kept."""
        with self._writing():
            save_checkpoint(self.last, arrays, record, self.previous if self._last_is_sound else None)
            self._last_is_sound = True

    def save_best(self, arrays: Mapping[str, NDArray[Any]], record: Mapping[str, Any]) -> None:
        """Save the network to use."""
        with self._writing():
            save_checkpoint(self.best, arrays, record)

    # ------------------------------------------------------------ reading

    def load_last(self, config: RunConfig) -> tuple[dict[str, NDArray[Any]], dict[str, Any], str]:
        """Return arrays and record of the last checkpoint, and a warning, empty where it is the newest one.

        Where the newest one is damaged or missing the one before it is loaded; one of another run is never passed over.

        Raises
        ------
        RunError
            Both are damaged or missing, or one is of another run than `config`.
        """
        try:
            return *self._load(self.last, config), ""
        except RunError as error:
            self._bound_record(self.last, config)
            try:
                arrays, record = self._load(self.previous, config)
            except RunError:
                self._bound_record(self.previous, config)
                raise error from None
            self._last_is_sound = False
            return arrays, record, error.got

    def load_best(self, config: RunConfig) -> dict[str, NDArray[Any]]:
        """Return the arrays of the best epoch's network.

        Raises
        ------
        RunError
            The file is damaged, of another run, or not of the epoch that the last checkpoint says is the best one; or
            the journal is, see `history`.
        """
        _, last = self._epochs(config)
        if last is not None and last[0] and not os.path.lexists(self.best):
            raise RunError(
                f"{self.best} does not exist",
                f"the network after epoch {best_epoch(last[0])}, the best one",
                _LOST,
            )
        self._bound_record(self.best, config)
        try:
            arrays, record = load_checkpoint(self.best, self._layout(self.best, config))
        except RunError as error:
            if last is None or not last[0]:
                raise
            raise RunError(error.got, error.expected, _LOST) from error
        config.check_bound(self.best, record)
        found = self._history(self.best, record, config)
        if last is not None:
            known = last[0]
            # a run that was killed between its two files has a best network that is one epoch ahead
            best = known[: best_epoch(known)] if len(found) <= len(known) else [*known, *found[len(known) :]]
            if found != best:
                raise RunError(
                    f"{self.best} has the network after epoch {len(found)} of another course of this run",
                    f"that after epoch {len(best)}, as in {last[1]}",
                    "Restore the file that was exchanged.",
                )
        return arrays

    def _layout(self, path: Path, config: RunConfig) -> CheckpointLayout:
        return config.best_layout() if path == self.best else config.last_layout()

    def _load(self, path: Path, config: RunConfig) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        self._bound_record(path, config)  # first: what was exchanged or edited is named by what differs
        arrays, record = load_checkpoint(path, self._layout(path, config))
        config.check_bound(path, record)
        return arrays, record

    def _bound_record(self, path: Path, config: RunConfig) -> dict[str, Any] | None:
        """Return the record of a checkpoint, None where it is damaged or missing.

        Raises
        ------
        RunError
            It is of another run than `config`.
        """
        layout = self._layout(path, config)
        with suppress(OSError):
            if stat.S_ISREG((status := path.stat()).st_mode) and status.st_size > layout.most_bytes:
                raise RunError(
                    f"{path} has {status.st_size:,} bytes",
                    f"at most {layout.most_bytes:,} for the network of config.json",
                    "Restore the one of the two that was edited or exchanged.",
                )
        try:
            record = load_record(path, layout)
        except RunError:
            return None
        config.check_bound(path, record)
        return record

    def history(self) -> list[dict[str, Any]]:
        """Return the record of every finished epoch: of the last checkpoint, else of the journal.

        Raises
        ------
        RunError
            The journal is damaged, of another run, or contradicts the checkpoint.
        """
        config = self.config()
        epochs, last = self._epochs(config)
        return epochs if last is None else last[0]

    def _epochs(
        self, config: RunConfig
    ) -> tuple[list[dict[str, Any]], tuple[list[dict[str, Any]], Path] | None]:
        """Return the epochs of the journal, and those of the newest sound checkpoint with its file: they agree."""
        epochs = self.journal.epochs(
            config.run_id
        )  # first: while a process trains, the checkpoint is newer at most
        last = self._last_history(config)
        if last is not None:
            known, path = last
            self.journal.compare(epochs, known, path)
            # killed before it saves, a run leaves one epoch more; with the newest checkpoint damaged there may be two
            self.journal.check_later(epochs, len(known), path, 1 if path == self.last else 2)
        return epochs, last

    def _last_history(self, config: RunConfig) -> tuple[list[dict[str, Any]], Path] | None:
        """Return the epochs of the newest sound checkpoint, and its file; None where both are damaged or missing."""
        for path in (self.last, self.previous):
            record = self._bound_record(path, config)
            if record is not None:
                return self._history(path, record, config), path
        return None

    @staticmethod
    def _history(path: Path, record: Mapping[str, Any], config: RunConfig) -> list[dict[str, Any]]:
        return check_history(record.get("history"), f"the record of {path}", len(config.layers()))

    def config(self) -> RunConfig:
        """Read the configuration, and compare it with the copies that the checkpoints have.

        Raises
        ------
        RunError
            It is missing, damaged, edited or of another format, or a checkpoint belongs to another run.
        """
        config = self._read_config()
        for path in (self.last, self.previous, self.best):
            self._bound_record(path, config)
        return config

    def _read_config(self) -> RunConfig:
        try:
            value = parse_json(read_regular(self.config_path, _CONFIG_BYTES), str(self.config_path), _RESTORE)
        except FileNotFoundError as error:
            raise self._no_run() from error
        number = value.get("format") if isinstance(value, dict) else None
        if type(number) is not int or number != FORMAT:
            is_newer = type(number) is int and number > FORMAT
            raise RunError(
                f"{self.path} is a run of format {number!r:.60}",
                f"format {FORMAT}",
                "Install a newer spikeprep to open it." if is_newer else _RESTORE,
            )
        try:
            return RunConfig.from_json(value)
        except (RunError, UsageError) as error:
            raise RunError(
                f"{self.config_path} cannot be used: {str(error).rstrip('.')}",
                "",
                "Restore the file, or install the plugin that it names.",
            ) from error

    def _no_run(self) -> RunError:
        if self._is_start():
            return RunError(
                f"{self.path} has the start of a run, and no checkpoint yet",
                "a run folder",
                "Wait until it trains, or, where it has been killed, start it again without resume=True.",
            )
        if not os.path.lexists(self.path):
            return RunError(
                f"there is no folder {self.path}",
                "a run folder",
                "Name one that training has written: run=…. To start a run there, leave out resume=True.",
            )
        return RunError(
            f"{self.path} has no config.json",
            "a run folder",
            "Name a folder that training has written: run=….",
        )

    def check_store(self, store: SpikeStore) -> RunConfig:
        """Return the configuration; raises `RunError` where `store` has not the run's data and encoding."""
        config = self.config()
        if config.fingerprint != store.fingerprint():
            raise RunError(
                f"{self.path} was trained on {config.store}, and {store.path} has other data or another encoding",
                "the run's own store",
                "Give that store, or one encoded the same way.",
            )
        contents = store.attributes.get("contents")
        if config.contents != contents:
            raise RunError(
                f"{self.path} was trained on {config.store}, whose spikes and labels had the digest "
                f"{config.contents}, and {store.path} has {contents}",
                "the run's own store",
                "Give that store, or train on this one into another run folder.",
            )
        return config

    def resumed_settings(
        self,
        store: SpikeStore,
        changes: Mapping[str, Any],
        limit: int | None,
        suggested: TrainSettings | None = None,
    ) -> TrainSettings:
        """Return the settings to resume with: the run's own, with `epochs` from `changes`, which may change no other.

        `suggested` are those of a new run by a recipe that is named for this one, which may differ in `epochs` alone.

        Raises
        ------
        RunError
            The run is of another store, or of other settings; the message names one, and both values.
        """
        config = self.check_store(store)
        settings = config.resumed_settings(self.path, changes, limit)
        if suggested is not None:
            config.check_settings(self.path, suggested, "recipe")
        return settings
