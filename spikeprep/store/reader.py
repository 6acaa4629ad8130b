"""Read one split of a spike store: arrays with one value per sample, and packed spikes."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..config import Count, excerpt, fitted
from ..data import Bits, PackedBatch
from ..errors import StoreError, UsageError
from ..packing import popcount, unpack
from ..system import cores
from .layout import SPIKES, SplitLayout, metadata_key, sample_array_key, shard_key
from .root import READ_HINT, Root, changed_file
from .sample_arrays import decode_sample_array
from .shards import Compression, DamageError, decode_index, index_bytes, is_absent, largest_encoded
from .storage import open_storage
from .storage_contract import Storage
from .zarr_metadata import parse_split

_FEW_CHUNKS = 4  # are read from a disk before threads have started
_LARGEST_FILE = 1 << 62  # bytes


class DamagedSamples(StoreError):
    """Samples of a store that cannot be read; `what` says what is missing or damaged."""

    def __init__(self, where: str, what: str = "") -> None:
        # without `what`, `where` is a message: PyTorch makes such an error of one that a worker process raised
        self.what = what
        super().__init__(f"{where} cannot be read: {what}" if what else where, "", READ_HINT if what else "")

    def __reduce__(self) -> Any:
        return DamagedSamples, (self.got.removesuffix(f" cannot be read: {self.what}"), self.what)


class SplitReader:
    """The samples of one split. Thread-safe.

    Where the store has a manifest, what is read is compared with it: metadata and arrays with one value per sample by
    digest, shards by size and, on a local disk, one chunk's spike counts when they are first used. `verify` compares
    the digests of shards too.

    It pickles as (path or URL, split), and what identifies the store; a copy opens the split again when it is first
    used, and raises `StoreError` where another store is at this place by then.

    Attributes
    ----------
    split
        Its name.
    units, unit_shape
        Number of units of a sample, and the shape they form in C order.
    dt, classes
        Seconds per time step; name of each class.
    max_steps
        Time steps of the longest sample of the store; every unit has ceil(max_steps / 8) bytes.
    chunk_samples, shard_samples
        Samples that are decompressed together, and samples in one shard.
    sample_bytes, chunk_bytes
        Packed bytes of a sample, and of a chunk.
    requests
        Number of chunks to read at the same time when nothing else keeps the processor busy.
    """

    def __init__(
        self,
        storage: Storage,
        split: str,
        root: Root | None = None,
        get: Callable[..., bytes | None] | None = None,
    ) -> None:
        self._storage, self.split, self.requests = storage, split, storage.requests
        self._root, self._get = root or Root(storage), get or storage.get
        self._indexes: dict[int, NDArray[np.uint64]] = {}
        self._compared: set[int] = set()  # shards of which a chunk was compared with the spike counts
        self._buffers: list[Bits] = []  # of a chunk each, lent to one thread at a time

    @classmethod
    def _reopen(cls, path: str, split: str, expected: str | None = None) -> Self:
        storage = open_storage(path)
        return cls(storage, split, Root(storage, expected=expected))

    def __reduce__(self) -> Any:
        return type(self)._reopen, (self._storage.absolute_path(), self.split, self._root.identity)

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The ``"spikeprep"`` attributes of the store."""
        return self._root.attributes

    @cached_property
    def _metadata(self) -> tuple[SplitLayout, Compression]:
        spikes, groups = metadata_key(self.split, SPIKES), metadata_key(self.split, "groups")
        named = [k for k in self._root.files if k.startswith(f"{self.split}/") and k.endswith("/zarr.json")]
        keys = named or [spikes, groups]
        with ThreadPoolExecutor(self.requests) as pool:
            each = pool.map if self.requests > 1 else map
            documents = dict(zip(keys, each(self._get, keys), strict=True))
        self._root.check()
        for key in named:
            if (data := documents[key]) is None:
                raise StoreError(
                    f"{self._storage.path}/{key} is missing", "the metadata of the array", READ_HINT
                )
            if not self._root.covers(key, data):
                raise changed_file(self._storage, key)
        has_groups = documents.get(groups) is not None
        return parse_split(
            self._storage.path, self.split, documents.get(spikes), self.attributes, groups=has_groups
        )

    @cached_property
    def layout(self) -> SplitLayout:
        """The split's chunk layout; raises `StoreError` where its metadata is damaged."""
        return self._metadata[0]

    @cached_property
    def _compression(self) -> Compression:
        return self._metadata[1]

    @cached_property
    def unit_shape(self) -> tuple[int, ...]:
        """Shape of a sample's units."""
        return tuple(self.attributes["unit_shape"])

    @cached_property
    def dt(self) -> float:
        """Seconds per time step."""
        return float(self.attributes["dt"])

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Name of each class."""
        return tuple(self.attributes["classes"])

    @cached_property
    def units(self) -> int:
        """Number of units of a sample."""
        return self.layout.units

    @cached_property
    def max_steps(self) -> int:
        """Time steps of the longest sample of the store."""
        return self.layout.max_steps

    @cached_property
    def chunk_samples(self) -> int:
        """Samples that are decompressed together."""
        return self.layout.chunk_samples

    @cached_property
    def shard_samples(self) -> int:
        """Samples in one shard."""
        return self.layout.shard_samples

    @cached_property
    def sample_bytes(self) -> int:
        """Packed bytes of a sample."""
        return self.units * self.layout.unit_bytes

    @cached_property
    def chunk_bytes(self) -> int:
        """Packed bytes of a chunk."""
        return self.chunk_samples * self.sample_bytes

    def __len__(self) -> int:
        return self.layout.samples

    def __repr__(self) -> str:
        return (
            f"<SplitReader {self._storage.path}/{self.split}: {len(self)} samples, units {self.unit_shape}, "
            f"up to {self.max_steps} steps>"
        )

    @cached_property
    def steps(self) -> NDArray[np.uint32]:
        """Each sample's own length in time steps, uint32 (sample,)."""
        steps = np.array(self._sample_array("steps"), np.uint32)
        self._require(steps <= self.max_steps, "steps", steps, f"at most {self.max_steps}")
        return steps

    @cached_property
    def labels(self) -> NDArray[np.int32]:
        """Each sample's class, int32 (sample,)."""
        labels, classes = np.array(self._sample_array("labels"), np.int32), len(self.classes)
        self._require((labels >= 0) & (labels < classes), "labels", labels, f"0 to {classes - 1}")
        return labels

    @cached_property
    def counts(self) -> NDArray[np.uint32]:
        """Each sample's number of spikes, uint32 (sample,)."""
        return np.array(self._sample_array("counts"), np.uint32)

    @cached_property
    def groups(self) -> NDArray[np.int32] | None:
        """Each sample's group (speaker, subject, source image), int32 (sample,); None where the split has none."""
        return np.array(self._sample_array("groups"), np.int32) if self.layout.groups else None

    @cached_property
    def ids(self) -> NDArray[np.str_]:
        """Where each sample came from, str (sample,)."""
        return np.array(self._sample_array("ids"), np.str_)

    def _require(self, valid: NDArray[np.bool_], array: str, values: NDArray[Any], expected: str) -> None:
        if not valid.all():
            sample = int(np.argmin(valid))
            raise StoreError(
                f"{self._storage.path}/{self.split}/{array}: sample {sample} has {values[sample]}",
                expected,
                READ_HINT,
            )

    def _sample_array(self, array: str) -> list[Any]:
        shards = range(self.layout.shards)
        values = [value for shard in shards for value in self.read_sample_array(array, shard)]
        self._root.check()
        return values

    def read_sample_array(self, array: str, shard: int) -> list[Any]:
        """Return an array's values for one shard's samples: `steps`, `labels`, `counts`, `groups` or `ids`.

        Raises
        ------
        StoreError
            They are missing or damaged.
        """
        start, stop = self.layout.sample_range(shard)
        key = sample_array_key(self.split, array, shard)
        data = self._get(key)
        if data is None:
            raise self._damage(key, start, stop, f"the {array} of shard {shard} are missing")
        if not self._root.covers(key, data):
            what = f"the {array} of shard {shard} are not those that the manifest names"
            raise self._damage(key, start, stop, what)
        try:
            return decode_sample_array(array, data, stop - start, self.shard_samples, self._compression)
        except DamageError as error:
            raise self._damage(key, start, stop, f"the chunk of {array} of shard {shard} {error}") from error

    def __getitem__(self, sample: int) -> NDArray[np.bool_]:
        """Return the spikes of one sample, bool (time, unit), of its own length."""
        n, sample = (
            len(self),
            one_sample(sample, "Use packed(index) for several: their bits, uint8 (sample, unit, byte)."),
        )
        if not -n <= sample < n:
            raise IndexError(f"got sample {sample} of {n}")
        batch = self.packed(np.array([sample % n]))
        return unpack(batch.bits[0], int(batch.steps[0]))

    def packed(
        self, index: slice | NDArray[np.integer[Any]], *, out: Bits | None = None, threads: int | None = None
    ) -> PackedBatch:
        """Return samples as stored: packed, contiguous, in the order of `index`.

        Parameters
        ----------
        index
            A slice, or sample numbers (sample,), which may repeat.
        out
            uint8 (sample, unit, byte) to fill and return instead of a new array.
        threads
            How many chunks are read at the same time; None: one per core, or as many requests as a remote store takes.
            1 suits a caller that has processes or threads of its own.

        Raises
        ------
        IndexError
            There is no such sample; numbers count from 0, and not from the end.
        UsageError
            The index is neither a slice nor numbers; of a mask give ``numpy.flatnonzero``.
        StoreError
            A shard is missing or a chunk damaged; the message names the samples.

        Notes
        -----
        A chunk of which a slice takes every sample is decompressed straight into its place. Any other is decompressed
        once per call and its samples copied out, so many numbers in one call are cheaper than one at a time.
        """
        if isinstance(index, slice):
            index = np.arange(*index.indices(len(self)))
        numbers = sample_numbers(index, len(self))
        local = self._storage.local
        threads = fitted(threads, Count | None, "threads") or (cores() if local else self.requests)
        chunks = len(np.unique(numbers // self.chunk_samples))
        if threads == 1 or chunks <= (_FEW_CHUNKS if local else 1):
            bits = self.bits(numbers, out=out)
        else:
            with ThreadPoolExecutor(min(threads, chunks)) as pool:
                bits = self.bits(numbers, out=out, each=pool.map)
        return PackedBatch(bits, self.steps[numbers], self.labels[numbers], numbers)

    def bits(
        self,
        numbers: NDArray[np.int64],
        *,
        out: Bits | None = None,
        each: Callable[..., Iterable[None]] = map,
    ) -> Bits:
        """Return the spikes alone, uint8 (sample, unit, byte), of samples given by number; see `packed`.

        `each` maps a function over chunks: `map` reads one at a time, an executor's `map` several.
        """
        shape = (len(numbers), self.units, self.layout.unit_bytes)
        if out is None:
            out = np.empty(shape, np.uint8)
        elif out.shape != shape or out.dtype != np.uint8 or not out.flags.c_contiguous:
            raise UsageError(f"got out {out.dtype} {out.shape}", f"contiguous uint8 {shape}")
        chunk_of = numbers // self.chunk_samples
        order = np.argsort(chunk_of, kind="stable")
        rows_of = dict(_rows_by_chunk(chunk_of, order))
        size, whole = self.chunk_samples, np.arange(self.chunk_samples)
        # which of a shard's chunks is compared with the spike counts does not depend on threads: the first one
        first = {chunk * size // self.shard_samples: chunk for chunk in reversed(rows_of)}

        def read(chunk: int) -> None:
            rows = rows_of[chunk]
            compare = first[chunk * size // self.shard_samples] == chunk
            inside = numbers[rows] - chunk * size
            adjacent = len(rows) == size and rows[-1] - rows[0] == size - 1  # rows ascend
            if adjacent and bool((inside == whole).all()):
                self._read_chunk(chunk, out[rows[0] : rows[0] + size], compare)
                return
            with self._buffer() as buffer:
                self._read_chunk(chunk, buffer, compare)
                out[rows] = buffer[inside]

        for _ in each(read, rows_of):
            pass
        return out

    @contextmanager
    def _buffer(self) -> Iterator[Bits]:
        """Lend a chunk's memory, kept between calls: the pages of a new array cost more than the decompression."""
        try:
            buffer = self._buffers.pop()
        except IndexError:
            buffer = np.empty((self.chunk_samples, self.units, self.layout.unit_bytes), np.uint8)
        try:
            yield buffer
        finally:
            self._buffers.append(buffer)

    def read_chunk(self, chunk: int, out: Bits) -> None:
        """Decompress a chunk into `out`, contiguous uint8 (chunk_samples, unit, byte); the last one ends in zeros.

        Raises
        ------
        StoreError
            The shard is missing or the chunk damaged; the message names the samples.
        """
        self._read_chunk(chunk, out, compare=True)

    def _read_chunk(self, chunk: int, out: Bits, compare: bool) -> None:
        if self.layout.unit_chunks == 1:
            self._decode(chunk, 0, out, compare)
            return
        chunk_units = self.layout.chunk_shape[1]
        for n, bits in enumerate(self.chunk_by_units(chunk)):
            out[:, n * chunk_units : n * chunk_units + bits.shape[1]] = bits

    def chunk_by_units(self, chunk: int) -> Iterator[Bits]:
        """Yield a chunk's samples one range of units at a time, uint8 (sample, unit, byte): large ones are never held.

        Raises
        ------
        StoreError
            The shard is missing or the chunk damaged; the message names the samples.
        """
        chunk_units = self.layout.chunk_shape[1]
        for n in range(self.layout.unit_chunks):
            bits = np.empty(self.layout.chunk_shape, np.uint8)
            self._decode(chunk, n, bits, compare=self.layout.unit_chunks == 1)
            yield bits[:, : self.units - n * chunk_units]

    def sample_by_units(self, sample: int) -> Iterator[Bits]:
        """Yield one sample's spikes one range of units at a time, uint8 (unit, byte): a large one is never held."""
        chunk, row = divmod(sample, self.chunk_samples)
        for bits in self.chunk_by_units(chunk):
            yield bits[row]

    def _decode(self, chunk: int, unit_chunk: int, out: Bits, compare: bool) -> None:
        shard, place = divmod(chunk * self.layout.unit_chunks + unit_chunk, self.layout.chunks_per_shard)
        start = chunk * self.chunk_samples
        stop = min(start + self.chunk_samples, len(self))
        entry, key = self.shard_index(shard)[place], shard_key(self.split, shard)
        if is_absent(entry):
            raise self._damage(key, start, stop, f"chunk {place} of shard {shard} is missing")
        first, length = int(entry[0]), int(entry[1])
        if length > largest_encoded(out.nbytes) or first >= _LARGEST_FILE:
            raise self._damage(key, start, stop, f"shard {shard} has an index that cannot be")
        data = self._get(key, first, first + length)
        self._root.check_where_cheap()
        try:
            if data is None or len(data) != length:
                raise DamageError("is cut short")
            self._compression.decode_into(data, out)
        except DamageError as error:
            raise self._damage(key, start, stop, f"chunk {place} of shard {shard} {error}") from error
        if compare and shard not in self._compared:
            self._compare(shard, start, out[: stop - start])
            self._compared.add(shard)

    def _compare(self, shard: int, first: int, bits: Bits) -> None:
        """Compare a chunk of a shard with the spike counts: another shard may have the same size.

        Not over a network, where it would take a request more for each shard.
        """
        if not self._root.files or not self._storage.local:
            return
        start, stop = self.layout.sample_range(shard)
        counts = self.read_sample_array("counts", shard)[first - start : first - start + len(bits)]
        if (popcount(bits.reshape(len(bits), -1)) != counts).any():
            what = f"the spikes of shard {shard} are not those that were counted"
            raise self._damage(shard_key(self.split, shard), start, stop, what)

    def shard_index(self, shard: int) -> NDArray[np.uint64]:
        """Return (offset, length) of each of a shard's chunks, uint64 (chunk, 2).

        Raises
        ------
        StoreError
            The shard is missing, has another size than the manifest says, or its index is damaged.
        """
        if shard not in self._indexes:
            start, stop = self.layout.sample_range(shard)
            key, size = shard_key(self.split, shard), index_bytes(self.layout.chunks_per_shard)
            if file := self._root.files.get(key):
                # read from where the manifest says that the shard ends: no request more. A file that is longer shows
                # where a byte behind the end costs nothing; elsewhere that byte is never read.
                tail = self._get(key, max(file.size - size, 0), file.size + self._storage.local)
            else:
                tail = self._get(key, -size)
            self._root.check()
            if tail is None:
                raise self._damage(key, start, stop, f"shard {shard} is missing")
            if file and len(tail) != size:
                raise self._damage(key, start, stop, f"shard {shard} does not have its {file.size:,} bytes")
            try:
                self._indexes[shard] = decode_index(tail, self.layout.chunks_per_shard)
            except DamageError as error:
                raise self._damage(key, start, stop, f"shard {shard} {error}") from error
        return self._indexes[shard]

    def _damage(self, key: str, start: int, stop: int, what: str) -> StoreError:
        self._root.check()  # another store's files are no damage
        return DamagedSamples(f"{self._storage.path}/{key}: {self.split} samples {start} to {stop - 1}", what)


class NotOneSample(UsageError, TypeError):
    """A slice, a list or a fraction where the number of one sample is expected."""


def one_sample(sample: Any, hint: str) -> int:
    """Return the number of one sample as an int; raises `NotOneSample`, with what to use for several as its hint."""
    try:
        return operator.index(sample)
    except TypeError:
        got = f"got {excerpt(sample, 40)} as the number of a sample"
        raise NotOneSample(got, "an integer: samples differ in length", hint) from None


def sample_numbers(index: Any, samples: float) -> NDArray[np.int64]:
    """Return an index as int64 (sample,).

    Raises
    ------
    UsageError
        It is not numbers on one axis.
    IndexError
        One of them is not between 0 and `samples` − 1.
    """
    numbers = np.asarray(index)
    if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
        mask = numbers.dtype == np.bool_
        raise UsageError(
            f"got an index of {numbers.dtype} {numbers.shape}",
            "whole numbers of samples, (sample,)",
            "Give numpy.flatnonzero(mask)." if mask else "A single sample is split[number].",
        )
    if numbers.size and not (numbers.min() >= 0 and numbers.max() < samples):
        raise IndexError(f"got samples {numbers.min()} to {numbers.max()} of {samples}")
    return numbers.astype(np.int64)


def _rows_by_chunk(
    chunk_of: NDArray[np.integer[Any]], order: NDArray[np.intp]
) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Yield each chunk with the rows of the result that take samples of it."""
    if order.size:
        cuts = np.flatnonzero(np.diff(chunk_of[order])) + 1
        for rows in np.split(order, cuts):
            yield int(chunk_of[rows[0]]), rows
