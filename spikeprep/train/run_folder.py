"""A run folder: config.json, journal.jsonl, last.npz (to resume from) and best.npz (to use)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

from ..config import Count, fitted
from ..errors import RunError, UsageError
from ..store import SpikeStore
from .checkpoint import write_atomic
from .journal import Journal
from .layers import LayerKind, build_layers
from .settings import TrainSettings

FORMAT = 2
"""Format of config.json. Format 1 had no `rule`, `unit_shape` and `encoding`, and still opens: its rule was hm2bp."""


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
        return build_layers(self.settings.arch, self.unit_shape, len(self.classes))

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
        """Build from what `to_json` returned; raises `KeyError` and `UsageError` for what does not fit."""
        new = value["format"] > 1
        config = cls(
            fitted(value["store"], str, "store"),
            fitted(value["fingerprint"], str, "fingerprint"),
            TrainSettings.from_json(value["settings"]),
            fitted(value["unit_shape"] if new else [value["units"]], tuple[Count, ...], "unit_shape"),
            fitted(value["classes"], tuple[str, ...], "classes"),
            fitted(value["encoding"], dict[str, Any], "encoding") if new else {},
            fitted(value["limit"], Count | None, "limit"),
            fitted(value["version"], str, "version"),
        )
        if fitted(value["units"], Count, "units") != config.units:
            raise UsageError(f"got units = {value['units']}", f"{config.units}, the product of unit_shape")
        config.settings.rule.check_resolved()
        return config


class RunFolder:
    """The files of one run."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.config_path = self.path / "config.json"
        self.last, self.best = self.path / "last.npz", self.path / "best.npz"
        self.journal = Journal(self.path / "journal.jsonl")

    def exists(self) -> bool:
        """Whether a run has been started here."""
        return self.config_path.exists()

    def create(self, config: RunConfig) -> None:
        """Start a run here; raises `RunError` where there is one, or anything else, already."""
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            what = "a run" if self.exists() else "not empty"
            raise RunError(
                f"{self.path} is {what} already",
                "a new or empty folder",
                "Pass resume=True to continue it, or another run=….",
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(
                f"{self.path} cannot be created ({error.strerror})", "a folder", "Name another run folder."
            ) from error
        write_atomic(self.config_path, (json.dumps(config.to_json(), indent=2) + "\n").encode())

    def config(self) -> RunConfig:
        """Read the configuration; raises `RunError` where it is missing, damaged or of a newer format."""
        try:
            value = json.loads(self.config_path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise RunError(
                f"{self.path} has no config.json",
                "a run folder",
                "Name a folder that training has written: run=….",
            ) from error
        except ValueError as error:
            raise RunError(f"{self.config_path} is damaged ({error})", "JSON") from error
        number = value.get("format") if isinstance(value, dict) else None
        if type(number) is not int or not 1 <= number <= FORMAT:
            raise RunError(
                f"{self.path} is a run of format {number}",
                f"format 1 to {FORMAT}",
                "Install a newer spikeprep to open it.",
            )
        try:
            return RunConfig.from_json(value)
        except KeyError as error:
            raise RunError(f"{self.config_path} lacks {error}", "the configuration of a run") from error
        except (UsageError, TypeError, AttributeError) as error:
            raise RunError(
                f"{self.config_path} cannot be used: {str(error).rstrip('.')}",
                "",
                "Restore the file, or install the plugin that it names.",
            ) from error

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
