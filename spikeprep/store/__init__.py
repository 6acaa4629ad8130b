"""Spike stores, format version 1: Zarr v3 groups of bit-packed spikes.

What is on disk is described in `layout`. `SpikeWriter` makes a store, `SpikeStore` and its `SplitReader` read
one, `verify` checks every byte of one.
"""

from .layout import FORMAT, SplitLayout
from .reader import SpikeStore, SplitReader
from .shards import Compression
from .verify import Problem, VerifyReport, verify
from .writer import Shard, ShardWriter, SpikeWriter

__all__ = [
    "FORMAT",
    "Compression",
    "Problem",
    "Shard",
    "ShardWriter",
    "SpikeStore",
    "SpikeWriter",
    "SplitLayout",
    "SplitReader",
    "VerifyReport",
    "verify",
]
