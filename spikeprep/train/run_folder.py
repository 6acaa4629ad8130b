"""A run folder: config.json, journal.jsonl, last.npz (to go on from) and best.npz (to use)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import RunError
from ..store import SpikeStore
from .checkpoint import write_atomic
from .journal import Journal
from .settings import TrainSettings

FORMAT = 1


@dataclass(frozen=True)
class RunConfig:
    """What a run is of: the store, its settings with thresholds resolved, the network's sizes."""

    store: str
    fingerprint: str
    settings: TrainSettings
    units: int
    classes: tuple[str, ...]
    limit: int | None
    version: str

    def to_json(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return {
            "format": FORMAT,
            "version": self.version,
            "store": self.store,
            "fingerprint": self.fingerprint,
            "units": self.units,
            "classes": list(self.classes),
            "limit": self.limit,
            "settings": self.settings.to_json(),
        }


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
                "Add --resume to go on with it, or name another --run.",
            )
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomic(self.config_path, (json.dumps(config.to_json(), indent=2) + "\n").encode())

    def config(self) -> RunConfig:
        """Read the config; raises `RunError` where it is missing, damaged or of a newer format."""
        try:
            value = json.loads(self.config_path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise RunError(
                f"{self.path} has no config.json", "a run folder", "Name the folder given to train --run."
            ) from error
        except ValueError as error:
            raise RunError(f"{self.config_path} is damaged ({error})", "JSON") from error
        if not isinstance(value, dict) or value.get("format", 0) != FORMAT:
            found = value.get("format") if isinstance(value, dict) else None
            raise RunError(
                f"{self.path} is a run of format {found}", f"format {FORMAT}", "Install a newer spikeprep."
            )
        try:
            return RunConfig(
                value["store"],
                value["fingerprint"],
                TrainSettings.from_json(value["settings"]),
                value["units"],
                tuple(value["classes"]),
                value["limit"],
                value["version"],
            )
        except KeyError as error:
            raise RunError(f"{self.config_path} lacks {error}", "the config of a run") from error

    def check_store(self, store: SpikeStore) -> RunConfig:
        """Return the config; raises `RunError` where `store` is not of the data and encoding that the run is of."""
        config = self.config()
        if config.fingerprint != store.fingerprint():
            raise RunError(
                f"{self.path} was trained on {config.store}, which {store.path} differs from in data or encoding",
                "the run's own store",
                "Give that store, or one encoded the same way.",
            )
        return config

    def check_sizes(self, store: SpikeStore) -> RunConfig:
        """Return the config; raises `RunError` where the network has not the units and classes of `store`."""
        config = self.config()
        units, classes = int(np.prod(store.attributes["unit_shape"])), tuple(store.attributes["classes"])
        if (units, classes) != (config.units, config.classes):
            raise RunError(
                f"{store.path} has {units} units and the classes {', '.join(classes)}",
                f"the network's {config.units} units and its classes {', '.join(config.classes)}",
                "Give a store encoded like the one it was trained on.",
            )
        return config

    def resumed_settings(
        self, store: SpikeStore, chosen: Mapping[str, Any], limit: int | None
    ) -> TrainSettings:
        """Return the settings to go on with: the run's own, with `epochs` from `chosen`, which may ask nothing else.

        Raises
        ------
        RunError
            The run is of another store, or of other settings.
        """
        config = self.check_store(store)
        wanted = config.settings.override(chosen)
        if replace(wanted, epochs=config.settings.epochs) != config.settings or limit not in (
            None,
            config.limit,
        ):
            raise RunError(
                f"{self.path} has other settings than those asked for",
                "the run's own, of which only the epochs may change",
                "Leave the others out, or start a run in another --run.",
            )
        return wanted
