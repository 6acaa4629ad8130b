"""The configuration of a run: what config.json and every checkpoint hold, and what binds one to the other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from ..config import Count, Meta, Natural, Positive, excerpt, leaves
from ..errors import RunError, UsageError
from .checkpoint import ArrayLayout, CheckpointLayout, state_layouts
from .documents import check_record
from .layers import LayerKind, build_layers
from .settings import TrainSettings

FORMAT = 3
"""Format of config.json. Formats 1 and 2, of before the first release, did not bind checkpoints to their run."""

_RECORD_BYTES = 1 << 20  # of a checkpoint's record beside the configuration, and for each epoch so many more:
_EPOCH_BYTES = 1 << 10
_LEAST_EPOCHS = 10_000  # it has room for so many in any case: epochs may be lowered
_LAYER_BYTES = 64
_OF_ANOTHER_RUN = "Restore the file of this run, or name the run that it belongs to."

_CONFIG = {
    "run_id": Annotated[str, Meta(pattern="^[0-9a-f]{32}$")],
    "store": str,
    "fingerprint": str,
    "contents": str | None,
    "samples": Count,
    "settings": dict[str, Any],
    "units": Count,
    "unit_shape": Annotated[tuple[Count, ...], Meta(min_length=1)],
    "classes": Annotated[tuple[str, ...], Meta(min_length=1)],
    "encoding": dict[str, Any],
    "limit": Count | None,
    "version": str,
    "source": str | None,
}
_LATER = frozenset({"source", "dt", "reader", "note"})  # runs of before have none
_STEP = {"name": str}
_ENCODING = {
    "chain": list[dict[str, Any]],
    "seed": Natural,
    "dt": Positive,
    "reader": dict[str, Any],
    "note": str,
}


@dataclass(frozen=True)
class RunConfig:
    """What a run is of; every checkpoint has a copy, so that neither can be exchanged or edited unnoticed.

    Attributes
    ----------
    run_id
        32 hexadecimal digits, drawn when the run starts.
    store, fingerprint, contents
        Path or URL of the store, what tells its data and encoding from others, and the digest of its spikes and
        labels; None where the store has none.
    samples
        Size of the training split, validation samples included.
    settings
        Settings with thresholds resolved.
    unit_shape
        Shape of the input units.
    classes
        Name of each class.
    encoding
        Of the store: ``chain`` (configurations of transforms and encoder), ``seed``, ``dt`` in seconds, ``reader``
        (configuration of the source) and ``note`` (what it decided from the samples), so that raw signals and files can
        be encoded alike, and stores be compared.
    limit
        Train and test on the first samples only.
    version
        Of the package that wrote it.
    source
        Path of the raw data, where they are encoded anew in every epoch.
    """

    run_id: str
    store: str
    fingerprint: str
    contents: str | None
    samples: int
    settings: TrainSettings
    unit_shape: tuple[int, ...]
    classes: tuple[str, ...]
    encoding: dict[str, Any]
    limit: int | None
    version: str
    source: str | None = None

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
            "run_id": self.run_id,
            "store": self.store,
            "fingerprint": self.fingerprint,
            "contents": self.contents,
            "samples": self.samples,
            "units": self.units,
            "unit_shape": list(self.unit_shape),
            "classes": list(self.classes),
            "encoding": self.encoding,
            "limit": self.limit,
            "settings": self.settings.to_json(),
            "source": self.source,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> RunConfig:
        """Build from what `to_json` returned; raises `RunError` and `UsageError` for what does not fit."""
        record = check_record(value, _CONFIG, "the configuration", optional=_LATER, exact=True)
        record["encoding"] = check_record(record["encoding"], _ENCODING, "encoding", optional=_LATER)
        for step in record["encoding"]["chain"]:
            check_record(step, _STEP, "a step of encoding.chain")
        units = record.pop("units")
        config = cls(**record | {"settings": TrainSettings.from_json(record["settings"])})
        if units != config.units:
            raise UsageError(f"got units = {units}", f"{config.units}, the product of unit_shape")
        config.settings.rule.check_resolved()
        config.layers()  # fit behind each other
        return config

    def last_layout(self) -> CheckpointLayout:
        """Return what last.npz holds."""
        weights = {
            "sample_weight": ArrayLayout(np.dtype(np.float64), (self.samples,), least=0),
            "predicted": ArrayLayout(np.dtype(np.int64), (self.samples,)),
        }
        return self._layout(weights, moments=True)

    def best_layout(self) -> CheckpointLayout:
        """Return what best.npz holds."""
        return self._layout({}, moments=False)

    def _layout(self, more: dict[str, ArrayLayout], moments: bool) -> CheckpointLayout:
        layers = self.layers()
        arrays = state_layouts(self.settings.rule, layers, np.dtype(self.settings.precision), moments)
        epochs = max(self.settings.epochs, _LEAST_EPOCHS)
        record = _RECORD_BYTES + epochs * (_EPOCH_BYTES + _LAYER_BYTES * len(layers))
        return CheckpointLayout(arrays | more, record + len(json.dumps(self.to_json())))

    def resumed_settings(self, path: Path, changes: Mapping[str, Any], limit: int | None) -> TrainSettings:
        """Return the settings to resume the run at `path` with: its own, with `epochs` from `changes`.

        Raises
        ------
        RunError
            A change or the limit differs from the run's own; the message names it, and both values.
        UsageError
            A change has a name or a value that does not exist.
        """
        flat, own = leaves(changes), self.settings.to_json() | {"limit": self.limit}
        if limit is not None:
            flat["limit"] = limit
        for key in ("rule", "arch", "limit"):  # other settings may not fit another rule or other layers
            if flat.get(key, own[key]) != own[key]:
                raise _other_setting(path, key, flat[key], own[key])
        settings = self.settings.override(changes)
        self.check_settings(path, settings, "")
        return replace(settings, rule=settings.rule.resolved_as(self.settings.rule))

    def check_settings(self, path: Path, settings: TrainSettings, origin: str) -> None:
        """Raise `RunError` where settings of a new run, open ones aside, differ from the run's own in more than epochs.

        `path` is the run's, `origin` what the settings are from, for the message.
        """
        own = self.settings
        if settings.rule.name == own.rule.name:
            settings = replace(settings, rule=settings.rule.resolved_as(own.rule))
        given, expected = leaves(settings.to_json()), leaves(own.to_json())
        keys = sorted({*given, *expected} - {"epochs"}, key=lambda key: (key not in ("rule", "arch"), key))
        for key in keys:
            if given.get(key) != expected.get(key):
                raise _other_setting(path, key, given.get(key), expected.get(key), origin)

    def check_bound(self, path: Path, record: Mapping[str, Any]) -> None:
        """Raise `RunError` where the record of the checkpoint at `path` is of another run, or of other settings.

        Only `epochs` may differ: a run may be resumed with more or fewer.
        """
        try:
            other = RunConfig.from_json(check_record(record.get("config"), {}, "the configuration"))
        except (RunError, UsageError) as error:
            raise RunError(
                f"{path} does not say which run it belongs to: {str(error).rstrip('.')}", "", _OF_ANOTHER_RUN
            ) from error
        if other.run_id != self.run_id:
            got = f"{path} belongs to another run, {other.run_id} on {other.store}"
            raise RunError(got, f"{self.run_id}, as in config.json", _OF_ANOTHER_RUN)
        ours, theirs = leaves(self.to_json()), leaves(other.to_json())
        changed = [
            key
            for key in sorted({*ours, *theirs})
            if key != "settings.epochs" and ours.get(key) != theirs.get(key)
        ]
        if changed:
            key = changed[0]
            more = f", and {len(changed) - 1} more" if len(changed) > 1 else ""
            raise RunError(
                f"config.json was edited, or {path} is of other settings: "
                f"{key} is {excerpt(ours.get(key), 60)} in config.json{more}",
                f"{excerpt(theirs.get(key), 60)}, as in {path.name}",
                "Restore config.json, or train with those settings into another run folder.",
            )


def _other_setting(path: Path, key: str, given: Any, own: Any, origin: str = "") -> RunError:
    return RunError(
        f"got {key} = {excerpt(given, 60)}{f' by {origin},' if origin else ''} for the run in {path}",
        f"{excerpt(own, 60)}, as it started: only epochs may change",
        f"Leave {origin or key} out, or start a run in another folder: run=….",
    )
