"""The error at the output: what a learning rule returns, checked, and multiplied by the weights of the samples."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..backend import Array, Backend, ErrorSignal, OutputError, Spikes
from ..composition import checked
from ..errors import broken_plugin
from .rules import LearningRule


def weighted_output_error(
    rule: LearningRule,
    backend: Backend,
    output: Spikes,
    labels: Array,
    sample_weight: Array | None,
    constants: Any,
) -> OutputError:
    """Return what `rule.output_error` does, with each sample's error times its weight; None: all are 1.

    Raises
    ------
    PluginError
        The rule returned something else, or arrays of other shapes.
    """
    result = rule.output_error(backend, output, labels, constants)
    what = f"output_error of the rule {rule.name} returned"
    if not isinstance(result, OutputError) or not isinstance(result.signal, ErrorSignal):
        raise broken_plugin(type(rule), f"{what} {result!r}", "an OutputError whose signal is an ErrorSignal")
    samples = len(output.steps)
    checked(result.loss, (samples,), f"{what} as loss", rule)
    for name, array in (("error", result.signal.error), ("scale", result.signal.scale)):
        if name == "error" or array is not None:
            checked(array, (samples, output.units), f"{what} as {name}", rule)
    if sample_weight is None:
        return result
    weight = backend.xp.asarray(sample_weight, backend.dtype)[:, None]
    return replace(result, signal=replace(result.signal, error=result.signal.error * weight))
