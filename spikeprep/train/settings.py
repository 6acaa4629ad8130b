"""Everything that decides what a training run computes, in one value that round-trips through JSON."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, Literal, Self

from ..data import NeuronParams, PspParams
from ..errors import UsageError, near_miss
from .layers.notation import parse_arch
from .optimiser import OptimParams
from .rules.hm2bp import LossParams


@dataclass(frozen=True)
class NeuronRules:
    """What all neurons share; see `NeuronParams`."""

    tau_m: float = 64.0
    tau_s: float = 8.0
    refractory: int = 2
    slack: float = 1e-6

    def at(self, threshold: float) -> NeuronParams:
        """Return the neuron with this threshold."""
        return NeuronParams(threshold, self.tau_m, self.tau_s, self.refractory, self.slack)


@dataclass(frozen=True)
class TrainSettings:
    """Settings of a run. Defaults are the published ones, but for those found by runs: see benchmarks/RESULTS.md.

    Attributes
    ----------
    arch
        Hidden layers, e.g. ``"800-800"``.
    epochs, batch
        Passes over the training samples; samples an update.
    seed
        Of the initial weights, the order and the validation share.
    thresholds
        ν of each hidden layer, then of the output; or "auto": calibrated on the first batches, see `calibrate`.
    lateral
        Strength of the lateral inhibition among output neurons.
    init
        Weights start uniform in [−init, init].
    boost
        Raise the weight of samples that were wrong, after every epoch (docs/hm2bp.md section 7).
    validation
        Share of the training split that chooses the best epoch and is not trained on; 0: the last epoch is the best.
    test_every
        Epochs between looks at the test split, which is reported and never chosen by; 0: only at the end.
    precision
        "float32" or "float64".
    """

    arch: str = "800"
    epochs: int = 15
    batch: int = 32
    seed: int = 0
    thresholds: tuple[float, ...] | Literal["auto"] = "auto"
    lateral: float = 1.0
    init: float = 1.0
    boost: bool = False
    validation: float = 0.05
    test_every: int = 1
    precision: Literal["float32", "float64"] = "float32"
    neuron: NeuronRules = field(default_factory=NeuronRules)
    psp: PspParams = field(default_factory=PspParams)
    loss: LossParams = field(default_factory=LossParams)
    optim: OptimParams = field(default_factory=OptimParams)

    def __post_init__(self) -> None:
        layers = len(parse_arch(self.arch)) + 1
        if self.thresholds != "auto" and len(self.thresholds) != layers:
            raise UsageError(
                f"got thresholds {list(self.thresholds)} for --arch {self.arch}",
                f"{layers}: one a hidden layer, then the output's",
                "Give as many, or thresholds=auto.",
            )
        for name, least in (("epochs", 1), ("batch", 1), ("test_every", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"got {name} {getattr(self, name)}", f"at least {least}")
        try:
            for nu in (1.0,) if self.thresholds == "auto" else self.thresholds:
                self.neuron.at(nu)
        except ValueError as error:
            raise UsageError(str(error).rstrip(".")) from error
        if not 0 <= self.validation < 1:
            raise UsageError(f"got validation {self.validation}", "a share, 0 ≤ validation < 1")

    def to_json(self) -> dict[str, Any]:
        """Return the settings, JSON-ready."""
        tree: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))  # tuples → lists
        return tree

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Build from what `to_json` gave, or any part of it; raises `UsageError` with the near miss."""
        made: Self = _build(cls, value, "")
        return made

    def override(self, settings: Mapping[str, Any]) -> Self:
        """Return the settings with some changed: dotted name → value, or nested mappings, as a recipe has them."""
        tree = self.to_json()
        for dotted, value in _leaves(settings).items():
            *path, leaf = dotted.split(".")
            node: Any = tree
            for part in path:
                node = node.get(part) if isinstance(node, dict) else None
            if not isinstance(node, dict) or leaf not in node or isinstance(node[leaf], dict):
                raise UsageError(
                    f"training has no setting {dotted!r}", "", near_miss(dotted, _leaves(self.to_json()))
                )
            node[leaf] = value
        return self.from_json(tree)


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return dotted name → value of everything in nested mappings."""
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        leaves |= _leaves(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return leaves


def _build(cls: Any, value: Mapping[str, Any], prefix: str) -> Any:
    """Build a dataclass from a mapping, its fields' own types deciding what fits."""
    kinds = typing.get_type_hints(cls)
    for key in value:
        if key not in kinds:
            raise UsageError(f"training has no setting {prefix + key!r}", "", near_miss(key, kinds))
    return cls(**{key: _fit(kinds[key], item, prefix + key) for key, item in value.items()})


def _fit(kind: Any, value: Any, name: str) -> Any:
    """Return `value` as a field of type `kind` holds it."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind) and isinstance(value, Mapping):
        return _build(kind, value, f"{name}.")
    if origin in (typing.Union, UnionType):
        for option in args:
            try:
                return _fit(option, value, name)
            except UsageError:
                continue
    elif origin is Literal:
        if value in args:
            return value
    elif origin is tuple:
        if isinstance(value, (list, tuple)):
            return tuple(_fit(args[0], item, name) for item in value)
    elif kind is float:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
    elif kind is str:
        return str(value)
    elif kind is type(None):
        if value is None or value == "none":
            return None
    elif isinstance(value, kind) and isinstance(value, bool) == (kind is bool):
        return value
    raise UsageError(f"got {name} = {value!r}", _describe(kind))


def _describe(kind: Any) -> str:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, UnionType):
        return " or ".join(_describe(option) for option in args)
    if origin is Literal:
        return " or ".join(repr(option) for option in args)
    if origin is tuple:
        return f"a list of {_describe(args[0])}s"
    names = {
        float: "a number",
        int: "a whole number",
        bool: "true or false",
        type(None): '"none"',
        str: "text",
    }
    return names.get(kind, str(kind))
