"""The CUDA backend: what `spikeprep.backend` requires, as launches of the kernels in this folder (docs/cuda.md).

`base` has what all layers use, and one file per layer kind (`dense`, `conv`, `pool`) its fused layers. A step computes
slices of its samples, as many at a time as events, gates and drives fit in a workspace: memory is bounded for any batch
size. The order of every sum depends on shapes alone, so equal inputs give bit-equal results, on any device and with any
workspace.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ..backend import FusedLayer, FusedOutput, Pass
from .base import CudaBase
from .conv import Hm2bpConv
from .dense import Hm2bpDense
from .hm2bp_output import hm2bp_output
from .pool import Hm2bpPool
from .replay import Replay


class CudaBackend(CudaBase):
    """Spiking networks on a GPU.

    Parameters
    ----------
    runtime
        The device.
    dtype
        float32 (default) or float64.
    workspace
        Bytes for what the samples computed at a time need beside spikes and weights, unless a single sample needs more;
        None: a sixteenth of the memory that is free, at least 256 MiB. Results over events do not depend on it.
    products
        How a fully connected layer sums over its input: over "events"; as products of a "matrix"; "active": over
        events, but gradients as products of the units that fire, while gates fit in shared memory; or "auto": events or
        a matrix, by the density of the first batch that the layer gets. Products need float32. Gradients are products
        only in layers that send no error back.
    feed
        How samples reach the device: "auto" or a tier's name, see `spikeprep.feed.device.Feeder`. Results do not depend
        on it.
    """

    fused: ClassVar[Mapping[tuple[str, str], FusedLayer]] = {
        ("hm2bp", "dense"): Hm2bpDense,
        ("hm2bp", "conv"): Hm2bpConv,
        ("hm2bp", "pool"): Hm2bpPool,
    }
    fused_outputs: ClassVar[Mapping[str, FusedOutput]] = {"hm2bp": hm2bp_output}

    def replayed(self, work: Pass) -> Pass:
        """See `Backend.replayed`: passes of a shape that comes again are recorded."""
        return Replay(self, work)
