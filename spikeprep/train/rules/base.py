"""What a learning rule is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from numpy.typing import NDArray

from ...backend import (
    Array,
    ArraySpec,
    Backend,
    DeviceLayer,
    ErrorSignal,
    LinearMap,
    OptimiserStep,
    OutputError,
    Spikes,
)
from ...composition import Connection
from ...data import PackedBatch
from ...errors import broken_plugin
from ...registry import Plugin


@dataclass(frozen=True)
class LearningRule(Plugin, ABC):
    """How a network is simulated and what it learns from: neurons, error, gradient. Its fields are settings.

    A rule is written once, with a layer's `Connection` (apply, transpose, correlate) and the backend's neurons and
    gates; it knows no layer kind and no backend. Its settings share one namespace with those of training
    (`spikeprep.train.settings`), so a field must not be called like one of them.
    """

    owner: ClassVar[str] = "training"
    defaults: ClassVar[Mapping[str, Any]] = {}
    """Training settings whose defaults are others under this rule: dotted name → value."""
    runaway: ClassVar[str] = "optim.rate or init"
    """Settings to lower where weights grow without bound."""

    @classmethod
    def check_class(cls, what: str) -> None:
        """Raise `PluginError` where `defaults` is no mapping of settings by name."""
        defaults: Any = cls.defaults
        if not isinstance(defaults, Mapping) or not all(isinstance(name, str) for name in defaults):
            expected = 'training settings by dotted name, e.g. {"optim.rate": 0.001}'
            raise broken_plugin(cls, f"{what} has defaults = {defaults!r}", expected)

    def check_layers(self, layers: int) -> None:
        """Raise `UsageError` where settings by layer do not fit that many layers, the output among them."""

    def check_resolved(self) -> None:
        """Raise `UsageError` where settings are still open that `calibrated` finds."""

    def check_steps(self, max_steps: int) -> None:
        """Raise `UsageError` where the settings do not fit samples of at most `max_steps` steps."""

    def calibrated(
        self,
        backend: Backend,
        layers: Sequence[LinearMap],
        devices: Sequence[DeviceLayer],
        batch: PackedBatch,
    ) -> Self:
        """Return the rule with settings that are still open found on a batch; by default the rule itself."""
        return self

    def resolved_as(self, other: Self) -> Self:
        """Return the rule with what is open taken from `other`, which was calibrated; by default the rule itself."""
        return self

    def specs(self, layer: LinearMap) -> Mapping[str, ArraySpec]:
        """Return what the rule trains of a layer beside the connection's arrays, by name; by default nothing.

        In `forward` and `backward` they are `connection.rule_parameters`.
        """
        return {}

    def initial(
        self, layer: LinearMap, number: int, arrays: Mapping[str, NDArray[Any]]
    ) -> dict[str, NDArray[Any]]:
        """Return new arrays of layer `number`, from 0, by name: all of `specs`.

        `arrays` are the connection's, uniform in ±`init`. The result may have others in their place.
        """
        return dict(arrays)

    @abstractmethod
    def constants(self, layer: int, layers: int) -> Any:
        """Return what `forward` and `backward` compute layer number `layer` of `layers` with, from 0."""

    @abstractmethod
    def forward(self, backend: Backend, connection: Connection, pre: Spikes, constants: Any) -> Spikes:
        """Return a layer's spikes from those of the layer before."""

    @abstractmethod
    def output_error(
        self,
        backend: Backend,
        output: Spikes,
        labels: NDArray[Any],
        constants: Any,
    ) -> OutputError:
        """Return loss and error at the output; labels (sample,) are on the host, or an array of `xp`.

        Where samples are weighted (`class_weights`, `boost`), training multiplies the error by the weights; the
        gradient of a sample must be linear in its error.
        """

    @abstractmethod
    def backward(
        self,
        backend: Backend,
        connection: Connection,
        pre: Spikes,
        post: Spikes,
        signal: ErrorSignal,
        constants: Any,
        send: bool,
    ) -> Array | None:
        """Add to the connection's gradients from the error that arrives; return the error at `pre` if `send`."""

    def step(self, layer: LinearMap, array: str, step: OptimiserStep) -> OptimiserStep:
        """Return the optimiser step of one array of a layer; by default the same for all."""
        return step

    def warning(self) -> str:
        """Return a warning of settings that are allowed and unlikely to train, with ones that do; else ""."""
        return ""

    def silent_hint(self, layers: Sequence[LinearMap], layer: int, calibrated: bool) -> str:
        """Return what to change where layer number `layer`, from 0, is the first that hardly fires.

        `calibrated`: what `calibrated` finds was, or may have been, found by it.
        """
        return "Change its initial weights (init)."

    def chance_hint(self, calibrated: bool) -> str:
        """Return what to change where a network guesses after an epoch; see `silent_hint`."""
        return "Lower optim.rate, or change init."
