"""The CUDA backend: what `spikeprep.backend` asks for, as launches of the kernels beside this file (docs/cuda.md).

A kind of layer has a room of its own (`dense`); what all of them share is in `base`. Work goes by samples in slabs
whose events, gates and drives fit in a workspace, which bounds the memory of a step whatever the batch. Sums are taken
in an order that depends on shapes alone: equal inputs give bit-equal results, on any device and under any workspace.
"""

from __future__ import annotations

from typing import ClassVar

from .dense import DenseLayers


class CudaBackend(DenseLayers):
    """HM2-BP on a GPU.

    Parameters
    ----------
    runtime
        The device.
    dtype
        float32 (default) or float64.
    workspace
        Bytes for what a slab of samples needs beside spikes and weights; results over events do not depend on it.
    products
        How a layer's sums over its input are taken: over "events", as products of a "matrix" (float32 only, and where
        the error is not sent further back), or "auto": by the density of the first batch that a layer sees.
    feed
        How samples reach the device: "auto", or a tier's name; see `feed.Feeder`. Results do not depend on it.
    """

    name: ClassVar[str] = "cuda"
