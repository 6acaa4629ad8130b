"""The delta rule (Widrow & Hoff 1960) on spike counts, carried back through layers by the transposed connections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from spikeprep.backend import ErrorSignal
from spikeprep.config import Count, Positive
from spikeprep.data import NeuronParams
from spikeprep.train.rules import LearningRule, OutputError


@dataclass(frozen=True)
class DeltaRule(LearningRule):
    """∂E/∂w_ij ≈ (o_i − y_i) o_j.

    Attributes
    ----------
    threshold
        ν of all neurons.
    wanted
        Spikes wanted of the label neuron; of the others none.
    """

    name: ClassVar[str] = "delta"

    threshold: Positive = 3.0
    wanted: Count = 10

    def constants(self, layer: int, layers: int) -> NeuronParams:
        """See `LearningRule.constants`."""
        return NeuronParams(self.threshold)

    def forward(self, backend: Any, connection: Any, pre: Any, constants: NeuronParams) -> Any:
        """See `LearningRule.forward`."""
        return backend.simulate(connection.drive(pre), pre.steps, constants)

    def output_error(self, backend: Any, output: Any, labels: Any, constants: NeuronParams) -> OutputError:
        """See `LearningRule.output_error`."""
        xp = backend.xp
        error = backend.counts(output).astype(backend.dtype)
        error[xp.arange(len(labels)), xp.asarray(labels)] -= self.wanted
        return OutputError(0.5 * (error**2).sum(axis=1), output, ErrorSignal(error))

    def backward(
        self, backend: Any, connection: Any, pre: Any, post: Any, signal: Any, constants: Any, send: bool
    ) -> Any:
        """See `LearningRule.backward`."""
        counts = backend.counts(pre).astype(backend.dtype)
        if connection.is_trained:
            connection.correlate(signal.error, counts)
        return connection.transpose(signal.error) * (counts > 0) if send else None
