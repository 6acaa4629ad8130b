"""Spike stores, format version 1: Zarr v3 groups of bit-packed spikes.

`layout` has the arrays and the chunk layout, `attributes` the metadata. `SpikeWriter` writes a store, `SpikeStore` and
its `SplitReader` read one, `verify` checks every byte of one.
"""

from .attributes import FORMAT, StoreAttributes
from .layout import SplitLayout
from .reader import SplitReader
from .shard_writer import Shard, ShardWriter
from .shards import Compression
from .spike_store import SpikeStore
from .verify import Problem, VerifyReport, verify
from .writer import SpikeWriter

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
    "StoreAttributes",
    "VerifyReport",
    "verify",
]
