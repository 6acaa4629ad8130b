"""What HM2-BP makes of the output, fused: loss, error, γ and the trains that the gradient sees, in one launch."""

from __future__ import annotations

import numpy as np

from ..backend import Array, ErrorSignal, OutputError
from ..data import Hm2bpConstants
from .base import LANES, CudaBase
from .constants import output_constants
from .spikes import CudaSpikes


def hm2bp_output(
    backend: CudaBase,
    output: CudaSpikes,
    labels: Array,
    sample_weight: Array | None,
    constants: Hm2bpConstants,
) -> OutputError:
    """See `spikeprep.train.rules.hm2bp.Hm2bp.output_error`."""
    xp, dtype, loss_settings = backend.xp, backend.dtype, constants.loss
    assert loss_settings is not None
    samples, units = len(output), output.units
    labels = xp.asarray(labels, np.int32)
    error, loss = xp.empty((samples, units), dtype), xp.empty(samples, dtype)
    weight = loss if sample_weight is None else xp.asarray(sample_weight, dtype)
    e = gamma = error
    if constants.lateral:
        e = backend.psp(output, output, constants.neuron, constants.psp)
        gamma = xp.empty((samples, units), dtype)
    filled, filled_counts = output.by_unit, output.counts()
    if loss_settings.fill:
        filled, filled_counts = xp.empty_like(filled), xp.empty_like(filled_counts)
    backend.module("hm2bp_output.cu").launch(
        "hm2bp_output", samples, LANES * min(8, -(-units // LANES)), output.counts(), e, labels, output.lengths,
        weight, output.by_unit, output_constants(constants, sample_weight is not None, dtype), error, gamma, loss,
        filled, filled_counts, np.int32(samples), np.int32(units), np.int32(output.words),
    )  # fmt: skip
    trains = output
    if loss_settings.fill:
        trains = CudaSpikes(
            backend.runtime, units, output.steps, output.lengths, filled, counts=filled_counts
        )
    return OutputError(loss, trains, ErrorSignal(error, gamma if constants.lateral else None))
