"""A run folder: config.json, journal.jsonl, last.npz (to resume from), the one before it, and best.npz (to use).

While a process trains, lease.json names it, so that no second one writes to the folder. A folder is a run once it has
config.json, which is written last, after the first checkpoint: a process that is killed before leaves a folder that
the same command starts again in.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from ..config import Count, Meta, Natural
from ..errors import RunError, SpikeprepError, UsageError
from ..lease import Holder, Lease
from ..store import SpikeStore
from ..store.partial_files import is_partial
from .checkpoint import ArrayLayout, CheckpointLayout, load_checkpoint, save_checkpoint, state_layouts
from .documents import check_record, parse_json
from .files import FolderKeys, read_regular, remove_abandoned, write_bytes_atomic, write_errors
from .journal import Journal
from .layers import LayerKind, build_layers
from .settings import TrainSettings

FORMAT = 2
"""Format of config.json. Format 1 had no `rule`, `unit_shape` and `encoding`, and still opens: its rule was hm2bp."""

_CONFIG_BYTES = 1 << 26
_RECORD_BYTES = 1 << 20  # of a checkpoint's record, and for each epoch so many more:
_EPOCH_BYTES = 1 << 10
_LAYER_BYTES = 64
_LEASE = "lease.json"
_RESTORE = "Restore the file, or train again into another run folder."

_CONFIG = {
    "store": str,
    "fingerprint": str,
    "settings": dict[str, Any],
    "units": Count,
    "classes": Annotated[tuple[str, ...], Meta(min_length=1)],
    "limit": Count | None,
    "version": str,
}
_CONFIG_2 = {"unit_shape": Annotated[tuple[Count, ...], Meta(min_length=1)], "encoding": dict[str, Any]}
_STEP = {"name": str}
_ENCODING = {"chain": list[dict[str, Any]], "seed": Natural}


@dataclass(frozen=True)
class RunConfig:
    """What a run is of.

    Attributes
    ----------
    store, fingerprint
        Path or URL of the store, and what tells its data and encoding from others.
    settings
        Settings with thresholds resolved.
    unit_shape
        Shape of the input units.
    classes
        Name of each class.
    encoding
        Of the store: ``chain`` (configurations of transforms and encoder) and ``seed``, so that raw signals can be
        encoded alike. Empty in runs of format 1.
    limit
        Train and test on the first samples only.
    version
        Of the package that wrote it.
    """

    store: str
    fingerprint: str
    settings: TrainSettings
    unit_shape: tuple[int, ...]
    classes: tuple[str, ...]
    encoding: dict[str, Any]
    limit: int | None
    version: str

    @property
    def units(self) -> int:
        """Number of input units."""
        return prod(self.unit_shape)

    def layers(self) -> tuple[LayerKind, ...]:
        """Return the network's layers, input side first."""
        return build_layers(self.settings.arch, self.unit_shape, len(self.classes), self.settings.channels)

    def to_json(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return {
            "format": FORMAT,
            "version": self.version,
            "store": self.store,
            "fingerprint": self.fingerprint,
            "units": self.units,
            "unit_shape": list(self.unit_shape),
            "classes": list(self.classes),
            "encoding": self.encoding,
            "limit": self.limit,
            "settings": self.settings.to_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> RunConfig:
        """Build from what `to_json` returned; raises `RunError` and `UsageError` for what does not fit."""
        name, new = "the configuration", value["format"] > 1
        record = check_record(value, _CONFIG | (_CONFIG_2 if new else {}), name)
        unit_shape = record["unit_shape"] if new else (record["units"],)
        encoding = record["encoding"] if new else {}
        if encoding:
            encoding = check_record(encoding, _ENCODING, "encoding")
            for step in encoding["chain"]:
                check_record(step, _STEP, "a step of encoding.chain")
        config = cls(
            record["store"],
            record["fingerprint"],
            TrainSettings.from_json(record["settings"]),
            unit_shape,
            record["classes"],
            encoding,
            record["limit"],
            record["version"],
        )
        if record["units"] != config.units:
            raise UsageError(f"got units = {record['units']}", f"{config.units}, the product of unit_shape")
        config.settings.rule.check_resolved()
        config.layers()  # fit behind each other
        return config

    def last_layout(self, samples: int) -> CheckpointLayout:
        """Return what last.npz holds after training on a split of so many samples."""
        weights = {
            "sample_weight": ArrayLayout(np.dtype(np.float64), (samples,), least=0),
            "predicted": ArrayLayout(np.dtype(np.int64), (samples,)),
        }
        return self._layout(weights, moments=True)

    def best_layout(self) -> CheckpointLayout:
        """Return what best.npz holds."""
        return self._layout({}, moments=False)

    def _layout(self, more: dict[str, ArrayLayout], moments: bool) -> CheckpointLayout:
        layers = self.layers()
        arrays = state_layouts(layers, np.dtype(self.settings.precision), moments)
        record = _RECORD_BYTES + self.settings.epochs * (_EPOCH_BYTES + _LAYER_BYTES * len(layers))
        return CheckpointLayout(arrays | more, record)


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
        """Whether a run has been started here."""
        return self.config_path.exists()

    # ------------------------------------------------------------ the right to write

    def acquire(self, *, new: bool, note: Callable[[str], None] = lambda message: None) -> None:
        """Become the only process that writes here, until `release`; a new run's folder is created.

        `note` is called with a message before another host's process is watched for a sign of life.

        Raises
        ------
        RunError
            Another process trains here; there is a run, or something else, already, or there is no run to resume.
        CapabilityError
            The disk is full, or a permission is missing.
        """
        if new:
            self._refuse_content()
        elif not self.exists():
            raise self._no_run()
        with write_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        self._lease = Lease.acquire(
            FolderKeys(self.path),
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
            names = set(os.listdir(self.path))
        except FileNotFoundError:
            return
        except NotADirectoryError as error:
            raise RunError(
                f"{self.path} cannot be created (there is a file)", "a folder", "Name another run folder."
            ) from error
        except OSError as error:
            with write_errors(self.path):
                raise error
        ours = set()
        if _LEASE in names and Holder.parse(FolderKeys(self.path).get(_LEASE)):
            # it is created in an empty folder only, and removed after the others
            ours = {_LEASE, f"{_LEASE}.takeover", self.last.name, self.journal.path.name}
        others = sorted(name for name in names - ours if not is_partial(name))
        if others:
            what = "a run" if self.exists() else f"not empty (it has {', '.join(others[:3])})"
            raise RunError(
                f"{self.path} is {what} already",
                "a new or empty folder",
                "Pass resume=True to continue it, or another run=….",
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

    def load_last(self, layout: CheckpointLayout) -> tuple[dict[str, NDArray[Any]], dict[str, Any], str]:
        """Return arrays and record of the last checkpoint, and a warning, empty where it is the newest one.

        Where the newest one is damaged or missing the one before it is loaded.

        Raises
        ------
        RunError
            Both are damaged or missing.
        """
        try:
            return *load_checkpoint(self.last, layout), ""
        except RunError as error:
            try:
                arrays, record = load_checkpoint(self.previous, layout)
            except RunError:
                raise error from None
            self._last_is_sound = False
            return arrays, record, error.got

    def config(self) -> RunConfig:
        """Read the configuration; raises `RunError` where it is missing, damaged or of a newer format."""
        try:
            value = parse_json(read_regular(self.config_path, _CONFIG_BYTES), str(self.config_path), _RESTORE)
        except FileNotFoundError as error:
            raise self._no_run() from error
        number = value.get("format") if isinstance(value, dict) else None
        if type(number) is not int or not 1 <= number <= FORMAT:
            raise RunError(
                f"{self.path} is a run of format {number!r:.60}",
                f"format 1 to {FORMAT}",
                "Install a newer spikeprep to open it.",
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
        return config

    def check_sizes(self, store: SpikeStore) -> RunConfig:
        """Return the configuration; raises `RunError` where `store` has not the network's units and classes."""
        config = self.config()
        units, classes = prod(store.attributes["unit_shape"]), tuple(store.attributes["classes"])
        if (units, classes) != (config.units, config.classes):
            raise RunError(
                f"{store.path} has {units} units and the classes {', '.join(classes)}",
                f"the network's {config.units} units and its classes {', '.join(config.classes)}",
                "Give a store encoded like the one it was trained on.",
            )
        return config

    def resumed_settings(
        self, store: SpikeStore, changes: Mapping[str, Any], limit: int | None
    ) -> TrainSettings:
        """Return the settings to resume with: the run's own, with `epochs` from `changes`, which may change no other.

        Raises
        ------
        RunError
            The run is of another store, or of other settings.
        """
        config = self.check_store(store)
        settings = config.settings.override(changes)
        same = replace(settings, epochs=config.settings.epochs) == config.settings
        if not same or limit not in (None, config.limit):
            raise RunError(
                f"{self.path} has other settings than those given",
                "the run's own, of which only epochs may change",
                "Leave the others out, or start a run in another folder: run=….",
            )
        return settings
