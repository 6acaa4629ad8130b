"""Names → plugin classes, from the built-ins and from entry points, loaded only when asked for.

A plugin is a frozen dataclass whose fields are its whole configuration. To add one from another package, name
its class in the entry-point group ``spikeprep.encoders``, ``spikeprep.transforms``, ``spikeprep.sources``  or
``spikeprep.event_formats``::

    [project.entry-points."spikeprep.encoders"]
    latency = "my_package.latency:Latency"
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar, Self

from .errors import CapabilityError, UsageError, near_miss


@dataclasses.dataclass(frozen=True)
class Plugin:
    """A named class whose configuration is its fields, and round-trips through JSON."""

    name: ClassVar[str]

    def to_config(self) -> dict[str, Any]:
        """Return ``{"name": …, field: value, …}``, JSON-ready and complete."""
        return {"name": self.name} | dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Build from fields (a ``name`` is passed over); an unknown field raises `UsageError` with the near miss."""
        known = {f.name for f in dataclasses.fields(cls) if f.init}
        fields = {k: v for k, v in config.items() if k != "name"}
        for key in fields:
            if key not in known:
                raise UsageError(f"{cls.name} has no setting {key!r}", "", near_miss(key, known))
        try:
            return cls(**fields)
        except (TypeError, ValueError) as error:
            raise UsageError(f"{cls.name}: {error}") from error


class Registry:
    """Look plugins of one kind up by name.

    Parameters
    ----------
    kind
        What one entry is called in messages, e.g. ``"encoder"``.
    group
        The entry-point group that other packages use.
    builtin
        Name → ``"module:Class"``; nothing is imported until it is asked for.
    """

    def __init__(self, kind: str, group: str, builtin: Mapping[str, str]) -> None:
        self.kind, self.group, self._builtin = kind, group, dict(builtin)

    def _entry_points(self) -> dict[str, EntryPoint]:
        return {e.name: e for e in entry_points(group=self.group)}

    def names(self) -> list[str]:
        """Return every known name, sorted; imports nothing."""
        return sorted(set(self._builtin) | set(self._entry_points()))

    def get(self, name: str) -> type[Any]:
        """Return the class called `name`.

        Raises
        ------
        UsageError
            The name is unknown; the message has the near miss.
        CapabilityError
            The plugin of another package could not be imported.
        """
        if target := self._builtin.get(name):
            module, _, attribute = target.partition(":")
            return getattr(importlib.import_module(module), attribute)  # type: ignore[no-any-return]
        entry = self._entry_points().get(name)
        if entry is None:
            raise UsageError(f"unknown {self.kind} {name!r}", "", near_miss(name, self.names()))
        try:
            return entry.load()  # type: ignore[no-any-return]
        except ImportError as error:
            owner = entry.dist.name if entry.dist else "another package"
            raise CapabilityError(
                f"{self.kind} {name!r} of {owner} could not be imported ({error})",
                "",
                f"Repair or reinstall {owner}.",
            ) from error

    def build(self, config: Mapping[str, Any]) -> Any:
        """Build the plugin that `config["name"]` names from the other entries of `config`."""
        return self.get(config["name"]).from_config(config)


ENCODERS = Registry(
    "encoder",
    "spikeprep.encoders",
    {
        "bsa": "spikeprep.encoders.bsa:BSA",
        "dvs": "spikeprep.encoders.dvs:DVS",
        "poisson": "spikeprep.encoders.poisson:Poisson",
    },
)
TRANSFORMS = Registry(
    "transform",
    "spikeprep.transforms",
    {
        "background_filter": "spikeprep.transforms.events.background_filter:BackgroundFilter",
        "drop_events": "spikeprep.transforms.events.drop_events:DropEvents",
        "event_crop": "spikeprep.transforms.events.crop:EventCrop",
        "event_downsample": "spikeprep.transforms.events.downsample:EventDownsample",
        "event_time_downsample": "spikeprep.transforms.events.time_downsample:EventTimeDownsample",
        "hot_pixels": "spikeprep.transforms.events.hot_pixels:HotPixels",
        "lyon": "spikeprep.transforms.audio.lyon:Lyon",
        "merge_polarity": "spikeprep.transforms.events.merge_polarity:MergePolarity",
        "refractory_filter": "spikeprep.transforms.events.refractory_filter:RefractoryFilter",
        "stabilise_saccades": "spikeprep.transforms.events.stabilise_saccades:StabiliseSaccades",
        "time_jitter": "spikeprep.transforms.events.time_jitter:TimeJitter",
    },
)
SOURCES = Registry(
    "source",
    "spikeprep.sources",
    {
        "audio": "spikeprep.sources.audio:AudioFiles",
        "digits": "spikeprep.sources.digits:Digits",
        "events": "spikeprep.sources.events:EventFolder",
        "fsdd": "spikeprep.sources.fsdd:Fsdd",
        "idx": "spikeprep.sources.idx:Idx",
        "images": "spikeprep.sources.images:ImageFolder",
        "nmnist": "spikeprep.sources.nmnist:Nmnist",
        "ti46": "spikeprep.sources.ti46:Ti46",
        "tonic": "spikeprep.sources.tonic:TonicData",
    },
)
EVENT_FORMATS = Registry(
    "event format",
    "spikeprep.event_formats",
    {
        "aedat2": "spikeprep.eventfiles.aedat2:Aedat2",
        "aedat3": "spikeprep.eventfiles.aedat3:Aedat3",
        "aedat4": "spikeprep.eventfiles.aedat4:Aedat4",
        "dat": "spikeprep.eventfiles.dat:Dat",
        "es": "spikeprep.eventfiles.es:EventStream",
        "evt2": "spikeprep.eventfiles.evt2:Evt2",
        "evt3": "spikeprep.eventfiles.evt3:Evt3",
        "hdf5": "spikeprep.eventfiles.hdf5:Hdf5",
        "ncaltech101": "spikeprep.eventfiles.nmnist:NCaltech101",
        "nmnist": "spikeprep.eventfiles.nmnist:Nmnist",
        "numpy": "spikeprep.eventfiles.numpy_files:NumpyFile",
    },
)
