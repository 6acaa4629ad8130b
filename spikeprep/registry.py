"""Names → plugin classes: built in, from entry points of other packages, or registered in this process.

A plugin is a frozen dataclass whose fields are its settings. Another package offers one by naming its class in an
entry-point group, the `group` of a registry below::

    [project.entry-points."spikeprep.encoders"]
    first_spike = "my_package.first_spike:FirstSpike"

In a notebook, ``spikeprep.register(FirstSpike)`` does the same for the running process. Nothing is imported until it is
asked for by name.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar, Self, TypeVar, cast

from . import config
from .errors import CapabilityError, PluginError, UsageError, near_miss

Class = TypeVar("Class", bound=type[Any])


@dataclass(frozen=True)
class Plugin(config.Settings):
    """A named class whose configuration is its fields, and round-trips through JSON."""

    name: ClassVar[str]

    def to_config(self) -> dict[str, Any]:
        """Return ``{"name": …, field: value, …}``, JSON-ready and complete."""
        return {"name": self.name} | dataclasses.asdict(self)

    @classmethod
    def from_config(cls, settings: Mapping[str, Any]) -> Self:
        """Build from settings by name (a ``name`` among them is ignored).

        Raises
        ------
        UsageError
            A setting is unknown (the hint names the nearest one) or its value is not allowed.
        """
        return cast(Self, config.build(cls, {key: value for key, value in settings.items() if key != "name"}))

    @classmethod
    def check_class(cls, what: str) -> None:
        """Raise `PluginError` where the class lacks what its kind needs beyond a name and methods; `what` names it."""


def check_attributes(cls: type[Any], base: type[Any], what: str) -> None:
    """Raise `PluginError` where a class lacks class attributes that its base class declares without a value."""
    declared = (
        name
        for ancestor in base.__mro__
        for name, annotation in inspect.get_annotations(ancestor).items()
        if "ClassVar" in str(annotation)
    )
    if missing := sorted(name for name in set(declared) if not hasattr(cls, name)):
        raise PluginError(
            f"{what} lacks {', '.join(missing)}",
            "every class attribute that its base class declares without a value",
            f"Set {'it' if len(missing) == 1 else 'them'} in {cls.__module__}.{cls.__qualname__}.",
        )


class Registry:
    """Plugins of one kind by name.

    Parameters
    ----------
    kind
        What one entry is called in messages, e.g. ``"encoder"``.
    group
        The entry-point group that other packages use.
    base
        ``"module:Class"`` of the class that every entry inherits from; `base_name` keeps it.
    builtin
        Name → ``"module:Class"``.
    """

    def __init__(self, kind: str, group: str, base: str, builtin: Mapping[str, str]) -> None:
        self.kind, self.group, self.base_name, self._builtin = kind, group, base, dict(builtin)
        self._registered: dict[str, type[Any]] = {}

    def _entry_points(self) -> dict[str, list[EntryPoint]]:
        return _entry_points(self.group, tuple(sys.path))

    @property
    def base(self) -> type[Any]:
        """The class that every entry inherits from."""
        return _load(self.base_name)

    @property
    def registered(self) -> tuple[type[Any], ...]:
        """The classes that were registered in this process."""
        return tuple(self._registered.values())

    def names(self) -> list[str]:
        """Return every known name, sorted; imports nothing."""
        return sorted({*self._builtin, *self._registered, *self._entry_points()})

    def get(self, name: str) -> type[Any]:
        """Return the class called `name`.

        Raises
        ------
        UsageError
            The name is unknown (the hint names the nearest one), two packages offer it, or the class is no plugin.
        CapabilityError
            Another package's plugin could not be imported.
        PluginError
            It lacks attributes that its base class needs.
        """
        offers = self._entry_points().get(name, [])
        owners = [f"spikeprep ({self._builtin[name]})"] if name in self._builtin else []
        owners += [f"{_distribution(entry)} ({entry.value})" for entry in offers]
        if len(owners) > 1:
            raise UsageError(
                f"{len(owners)} packages offer the {self.kind} {name!r}: {', '.join(owners)}",
                "one",
                "Uninstall one of them, or rename its entry point.",
            )
        if name in self._registered:
            return self._registered[name]
        if name in self._builtin:
            return _load(self._builtin[name])
        if not offers:
            raise UsageError(f"unknown {self.kind} {name!r}", "", near_miss(name, self.names()))
        owner = _distribution(offers[0])
        try:
            cls = offers[0].load()
        except (Exception, SystemExit) as error:  # another package's module may raise anything
            raise CapabilityError(
                f"the {self.kind} {name!r} of {owner} could not be imported ({type(error).__name__}: {error})",
                "",
                f"Repair or reinstall {owner}.",
            ) from error
        self.check(cls, name, f"of {owner}")
        return cast(type[Any], cls)

    def build(self, settings: Mapping[str, Any]) -> Any:
        """Build the plugin that ``settings["name"]`` names from the other entries; raises `UsageError`."""
        if not isinstance(settings.get("name"), str):
            raise UsageError(
                f"got {dict(settings)!r} for the {self.kind}",
                'its name and settings, e.g. {"name": "' + self.names()[0] + '"}',
            )
        return self.get(settings["name"]).from_config(settings)

    def register(self, cls: type[Any]) -> None:
        """Make a class known by its `name` in this process; registering a name again replaces the class.

        Raises
        ------
        UsageError
            The class is no plugin of this kind, or the name belongs to a built-in or installed one.
        PluginError
            It lacks attributes that its base class needs.
        """
        name = getattr(cls, "name", None)
        name = name if isinstance(name, str) else ""
        self.check(cls, name, "to register")
        if name in self._builtin or name in self._entry_points():
            raise UsageError(
                f"got {cls.__qualname__} with the name {name!r}",
                f"a name that no {self.kind} has",
                f"Change {cls.__qualname__}.name.",
            )
        self._registered[name] = cls

    def check(self, cls: Any, name: str, which: str) -> None:
        """Raise `UsageError` unless `cls` is a plugin of this kind called `name`; `which` tells its origin.

        Raises `PluginError` where it lacks attributes that its base class needs.
        """
        what = f"the {self.kind} {name!r} {which}" if name else f"the class {which}"
        if not inspect.isclass(cls) or not issubclass(cls, self.base):
            raise UsageError(
                f"{what} is {cls!r}", f"a class that inherits from {self.base_name.replace(':', '.')}"
            )
        if getattr(cls, "name", None) != name or not name:
            raise UsageError(
                f"{what} has name = {getattr(cls, 'name', None)!r}",
                f"the name it is known by: {name!r}" if name else "a text",
                f'Write name: ClassVar[str] = "{name or "my_plugin"}" in the class.',
            )
        if missing := sorted(getattr(cls, "__abstractmethods__", ())):
            raise UsageError(
                f"{what} lacks {', '.join(missing)}", "every method of its base class", "Define them."
            )
        if not issubclass(cls, Plugin):
            return
        if "__dataclass_params__" not in vars(cls) or not vars(cls)["__dataclass_params__"].frozen:
            raise UsageError(
                f"{what} is not a frozen dataclass", "one", "Decorate it with @dataclass(frozen=True)."
            )
        check_attributes(cls, self.base, what)
        cls.check_class(what)


@functools.lru_cache(8)
def _all_entry_points(path: tuple[str, ...]) -> Any:
    """Return those of all groups; read once for each `path`, since reading all metadata takes 10 ms."""
    return entry_points()


@functools.lru_cache(64)
def _entry_points(group: str, path: tuple[str, ...]) -> dict[str, list[EntryPoint]]:
    """Return a group's entry points by name."""
    by_name: dict[str, list[EntryPoint]] = {}
    for entry in _all_entry_points(path).select(group=group):
        same = by_name.setdefault(entry.name, [])
        if all(entry.value != other.value for other in same):  # one distribution may be listed twice
            same.append(entry)
    return by_name


def _load(target: str) -> type[Any]:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)  # type: ignore[no-any-return]


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else "another package"


ENCODERS = Registry(
    "encoder",
    "spikeprep.encoders",
    "spikeprep.encoders.base:Encoder",
    {
        "bsa": "spikeprep.encoders.bsa:BSA",
        "burst": "spikeprep.encoders.burst:Burst",
        "delta": "spikeprep.encoders.delta:Delta",
        "dvs": "spikeprep.encoders.dvs:DVS",
        "gaussian_receptive_fields": "spikeprep.encoders.gaussian_receptive_fields:GaussianReceptiveFields",
        "hsa": "spikeprep.encoders.hsa:HSA",
        "latency": "spikeprep.encoders.latency:Latency",
        "lif": "spikeprep.encoders.lif:LIF",
        "moving_window": "spikeprep.encoders.moving_window:MovingWindow",
        "phase": "spikeprep.encoders.phase:Phase",
        "poisson": "spikeprep.encoders.poisson:Poisson",
        "pulse_width": "spikeprep.encoders.pulse_width:PulseWidth",
        "rank_order": "spikeprep.encoders.rank_order:RankOrder",
        "sigma_delta": "spikeprep.encoders.sigma_delta:SigmaDelta",
        "step_forward": "spikeprep.encoders.step_forward:StepForward",
        "zero_crossing_step_forward": "spikeprep.encoders.zero_crossing_step_forward:ZeroCrossingStepForward",
    },
)
TRANSFORMS = Registry(
    "transform",
    "spikeprep.transforms",
    "spikeprep.encoders.base:Transform",
    {
        "background_filter": "spikeprep.transforms.events.background_filter:BackgroundFilter",
        "butterworth": "spikeprep.transforms.audio.butterworth:Butterworth",
        "crop": "spikeprep.transforms.images.crop:Crop",
        "deltas": "spikeprep.transforms.series.deltas:Deltas",
        "drop_events": "spikeprep.transforms.events.drop_events:DropEvents",
        "elastic": "spikeprep.transforms.images.elastic:Elastic",
        "event_crop": "spikeprep.transforms.events.crop:EventCrop",
        "event_downsample": "spikeprep.transforms.events.downsample:EventDownsample",
        "event_flip": "spikeprep.transforms.events.flip:EventFlip",
        "event_jitter": "spikeprep.transforms.events.jitter:EventJitter",
        "event_noise": "spikeprep.transforms.events.noise:EventNoise",
        "event_random_crop": "spikeprep.transforms.events.random_crop:EventRandomCrop",
        "event_time_downsample": "spikeprep.transforms.events.time_downsample:EventTimeDownsample",
        "fix_length": "spikeprep.transforms.audio.fix_length:FixLength",
        "flip": "spikeprep.transforms.images.flip:Flip",
        "gain": "spikeprep.transforms.audio.gain:Gain",
        "gammatone": "spikeprep.transforms.audio.gammatone:Gammatone",
        "hot_pixels": "spikeprep.transforms.events.hot_pixels:HotPixels",
        "invert": "spikeprep.transforms.images.invert:Invert",
        "lyon": "spikeprep.transforms.audio.lyon:Lyon",
        "mel": "spikeprep.transforms.audio.mel:Mel",
        "merge_polarity": "spikeprep.transforms.events.merge_polarity:MergePolarity",
        "noise": "spikeprep.transforms.images.noise:Noise",
        "rectify": "spikeprep.transforms.series.rectify:Rectify",
        "refractory_filter": "spikeprep.transforms.events.refractory_filter:RefractoryFilter",
        "resample": "spikeprep.transforms.series.resample:Resample",
        "rotation": "spikeprep.transforms.images.rotation:Rotation",
        "saccades": "spikeprep.transforms.videos.saccades:Saccades",
        "scale": "spikeprep.transforms.images.scale:Scale",
        "shift": "spikeprep.transforms.images.shift:Shift",
        "sound_noise": "spikeprep.transforms.audio.noise:SoundNoise",
        "speed": "spikeprep.transforms.audio.speed:Speed",
        "stabilise_saccades": "spikeprep.transforms.events.stabilise_saccades:StabiliseSaccades",
        "standardise": "spikeprep.transforms.series.standardise:Standardise",
        "time_jitter": "spikeprep.transforms.events.time_jitter:TimeJitter",
        "time_shift": "spikeprep.transforms.audio.time_shift:TimeShift",
        "video_to_events": "spikeprep.transforms.videos.video_to_events:VideoToEvents",
    },
)
SOURCES = Registry(
    "source",
    "spikeprep.sources",
    "spikeprep.sources.base:Source",
    {
        "audio": "spikeprep.sources.audio:AudioFiles",
        "digits": "spikeprep.sources.digits:Digits",
        "events": "spikeprep.sources.events:EventFolder",
        "fsdd": "spikeprep.sources.fsdd:Fsdd",
        "idx": "spikeprep.sources.idx:Idx",
        "images": "spikeprep.sources.images:ImageFolder",
        "nmnist": "spikeprep.sources.nmnist:Nmnist",
        "series": "spikeprep.sources.series:SeriesSource",
        "spikes": "spikeprep.sources.spikes:Spikes",
        "ti46": "spikeprep.sources.ti46:Ti46",
        "tonic": "spikeprep.sources.tonic:TonicData",
        "video": "spikeprep.sources.videos:VideoFolder",
    },
)
EVENT_FORMATS = Registry(
    "event format",
    "spikeprep.event_formats",
    "spikeprep.eventfiles.base:EventFormat",
    {
        "aedat2": "spikeprep.eventfiles.aedat2:Aedat2",
        "aedat3": "spikeprep.eventfiles.aedat3:Aedat3",
        "aedat4": "spikeprep.eventfiles.aedat4:Aedat4",
        "dat": "spikeprep.eventfiles.dat:Dat",
        "es": "spikeprep.eventfiles.es:EventStream",
        "evt2": "spikeprep.eventfiles.evt2:Evt2",
        "evt21": "spikeprep.eventfiles.evt21:Evt21",
        "evt3": "spikeprep.eventfiles.evt3:Evt3",
        "evt4": "spikeprep.eventfiles.evt4:Evt4",
        "hdf5": "spikeprep.eventfiles.hdf5:Hdf5",
        "ncaltech101": "spikeprep.eventfiles.nmnist:NCaltech101",
        "nmnist": "spikeprep.eventfiles.nmnist:Nmnist",
        "mat": "spikeprep.eventfiles.mat:Mat",
        "numpy": "spikeprep.eventfiles.numpy_files:NumpyFile",
        "rosbag": "spikeprep.eventfiles.rosbag:RosBag",
        "text": "spikeprep.eventfiles.text:TextFile",
    },
)
LAYERS = Registry(
    "layer kind",
    "spikeprep.layers",
    "spikeprep.train.layers.base:LayerKind",
    {
        "conv": "spikeprep.train.layers.conv:Conv",
        "dense": "spikeprep.train.layers.dense:Dense",
        "pool": "spikeprep.train.layers.pool:Pool",
    },
)
RULES = Registry(
    "learning rule",
    "spikeprep.rules",
    "spikeprep.train.rules.base:LearningRule",
    {"hm2bp": "spikeprep.train.rules.hm2bp:Hm2bp", "lee2016": "spikeprep.train.rules.lee2016:Lee2016"},
)
BACKENDS = Registry(
    "backend",
    "spikeprep.backends",
    "spikeprep.backend:Backend",
    {
        "cpu": "spikeprep.cpu.backend:CpuBackend",
        "cuda": "spikeprep.cuda.backend:CudaBackend",
        "reference": "spikeprep.reference.backend:ReferenceBackend",
    },
)
REGISTRIES = (ENCODERS, TRANSFORMS, SOURCES, EVENT_FORMATS, LAYERS, RULES, BACKENDS)


def registry_of(cls: type[Any]) -> Registry | None:
    """Return the registry of the kind of plugin that a class is; None where it inherits from no plugin's base."""
    # compared by name: a class that inherits from a base has imported it, so the other bases need not be imported
    ancestors = {f"{base.__module__}:{base.__qualname__}" for base in getattr(cls, "__mro__", ())}
    return next((registry for registry in REGISTRIES if registry.base_name in ancestors), None)


def register(cls: Class) -> Class:
    """Make a plugin class known by its `name` in this process; usable as a decorator.

    Its base class decides the kind: `Encoder`, `Transform`, `Source`, `EventFormat`, `LayerKind`, `LearningRule` or
    `Backend`. Registering a name again, as a notebook cell does, replaces the class.

    Raises
    ------
    UsageError
        The class inherits from none of these, is no frozen dataclass, lacks methods, or its name is taken.
    PluginError
        It lacks attributes that its base class needs.
    """
    if registry := registry_of(cls):
        registry.register(cls)
        return cls
    bases = ", ".join(registry.base_name.partition(":")[2] for registry in REGISTRIES)
    raise UsageError(f"got {cls!r} to register", f"a class that inherits from one of {bases}")
