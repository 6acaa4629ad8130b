"""Whether a run's network can be used on a store: its units, classes and encoding against the run's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..encoders.base import Chain
from ..errors import PluginError, RunError, UsageError
from ..registry import SOURCES
from ..store.attributes import differences
from ..text import listed
from .run_config import RunConfig

_SHOWN = 5  # classes, and settings, in one message


class Encoded(Protocol):
    """A store, or a part of one."""

    @property
    def path(self) -> str:
        """Its name in messages."""

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The ``"spikeprep"`` attributes of the store."""


@dataclass(frozen=True)
class Fit:
    """How a store fits a run.

    Attributes
    ----------
    labels
        The network's class for each class of the store, int64.
    differences
        A text for every setting in which the store's encoding is another than the run's.
    """

    labels: NDArray[np.int64]
    differences: tuple[str, ...]

    def check_encoding(self, config: RunConfig, store: Encoded) -> None:
        """Raise `RunError` where the store is encoded otherwise."""
        if self.differences:
            raise RunError(
                f"{store.path} is encoded otherwise than {config.store}, which the network was trained on: "
                f"{listed(self.differences, _SHOWN, '; ')}",
                "the encoding that the run keeps",
                "Encode the data with these settings of the run, or use other_encoding=True: the network then gets "
                "spikes unlike those that it has learned from.",
            )


def fit(config: RunConfig, store: Encoded) -> Fit:
    """Compare a store with the one that a network was trained on.

    Classes are compared by name, in any order; the store may lack some. A transform that leaves originals as they are
    is no part of the encoding, nor is the seed. Settings of the source are compared where signals depend on them; of
    sources that are not the same, those that they have from a common base.

    Raises
    ------
    RunError
        The store has other units, or classes that the network does not know.
    """
    unit_shape = tuple(store.attributes["unit_shape"])
    if unit_shape != config.unit_shape:
        raise RunError(
            f"{store.path} has units {' × '.join(map(str, unit_shape))}",
            f"the network's units {' × '.join(map(str, config.unit_shape))}",
            "Give a store encoded like the one it was trained on.",
        )
    known = {name: label for label, name in enumerate(config.classes)}
    classes = store.attributes["classes"]
    if unknown := [name for name in classes if name not in known]:
        raise RunError(
            f"{store.path} has classes that the network does not know: {listed(unknown, _SHOWN, '; ')}",
            f"classes of the network: {listed(config.classes, _SHOWN, '; ')}",
            "Leave their samples out, or name the classes alike, and encode again.",
        )
    return Fit(np.array([known[name] for name in classes], np.int64), tuple(_differences(config, store)))


def _differences(config: RunConfig, store: Encoded) -> list[str]:
    stored, own = (_encoding(e) for e in (store.attributes, config.encoding))
    names = [[step["name"] for step in chain] for chain in (stored, own)]
    if names[0] != names[1]:
        shown = [", ".join(part) or "no encoder" for part in names]
        return [f"chain: {shown[0]} in the store, {shown[1]} in the run"]
    lines = [
        line for a, b in zip(stored, own, strict=True) for line in differences(a, b, a["name"], "in the run")
    ]
    dt, trained = store.attributes["dt"], config.encoding.get("dt")
    if not lines and trained is not None and dt != trained:  # of another rate of the source, say
        lines.append(f"dt: {dt} s in the store, {trained} s in the run")
    reader, own_reader = store.attributes["source"].get("reader", {}), config.encoding.get("reader", {})
    return lines + differences(*_signal_settings(reader, own_reader), "source", "in the run")


def _signal_settings(first: dict[str, Any], second: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings of two sources on which signals depend, without those that only one of them has."""
    try:
        sources = [SOURCES.build(config) for config in (first, second)]
    except (UsageError, PluginError):  # no source, or a plugin that is not installed here
        return {}, {}
    bases = set(type(sources[0]).__mro__) & set(type(sources[1]).__mro__)
    common = {field.name for base in bases if is_dataclass(base) for field in fields(base)}
    one, other = (
        {key: value for key, value in source.signal_settings().items() if key in common} for source in sources
    )
    return one, other


def _encoding(attributes: Any) -> list[dict[str, Any]]:
    """Return the configuration of every step that decides a sample's spikes, with all of its settings."""
    try:
        chain = Chain.from_config(attributes["chain"])
    except (UsageError, PluginError):  # no encoder, or a plugin that is not installed here
        return [dict(step) for step in attributes["chain"]]
    idle = chain.augmentations
    return [step.to_config() for step in (*chain.transforms, chain.encoder) if step not in idle]
