"""What an HDF5 file may contain: nothing that leads to other files, no chunk that expands without a bound.

Heaps that HDF5 would walk for ever are refused as they are read.
"""

from __future__ import annotations

import io
import itertools
import math
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import CapabilityError, DataError
from ..input_files import InputFile
from .dtypes import fix_of_type

_DEFLATE, _SHUFFLE, _FLETCHER32, _LZF = 1, 2, 3, 32000
_ECF = 0x8ECF  # filter number of Prophesee's event codec
_SAME_SIZE = {_SHUFFLE, _FLETCHER32}  # filters that change no size but for a checksum
_UNPACKED = _SAME_SIZE | {5, 6}  # filters that do not expand: also n-bit and scale-offset
_EXPANSION = {_DEFLATE: 1032, _LZF: 88}  # times, at most: of both formats
_CHUNKS_PER_LIMIT = 16  # chunks that fit into the memory of a file: four columns, in several copies
_CHECKSUM = 4  # bytes that a checksum adds to a chunk
_CACHE = 1 << 20  # bytes of a chunk that HDF5 keeps by default

Chunk = tuple[str, tuple[int, ...]]
"""A chunk of a data set: its name, and where the chunk begins."""


def check_contents(path: Path, hdf5: Any) -> None:
    """Raise `DataError` where anything in a file leads out of it, before any of it is followed.

    External links, external storage and virtual data sets would read whatever file their writer named.
    """
    import h5py

    # the visits end with what these return first, unless it is None: h5py does not pass on what they raise
    def outward_link(name: bytes, info: Any) -> tuple[str, bytes] | None:
        inside = info.type in (
            h5py.h5l.TYPE_HARD,
            h5py.h5l.TYPE_SOFT,
        )  # without others, soft links stay inside
        return None if inside else ("an external link", name)

    def outward_data(name: bytes) -> tuple[str, bytes] | None:
        node = h5py.h5o.open(hdf5.id, name)
        if not isinstance(node, h5py.h5d.DatasetID):
            return None
        properties = node.get_create_plist()
        if properties.get_layout() == h5py.h5d.VIRTUAL:
            return "a virtual data set", name
        if properties.get_layout() == h5py.h5d.CONTIGUOUS and properties.get_external_count():
            return "a data set in external files", name
        return None

    outward = hdf5.id.links.visit(outward_link, info=True) or h5py.h5o.visit(hdf5.id, outward_data)
    if outward:
        what, name = outward
        hint = "Copy the data into one file, for example with h5repack, or leave the file out."
        got = f"{path} has {what}: {name.decode(errors='surrogateescape')}"
        raise DataError(got, "a file that refers to no other", hint)


def check_data(file: InputFile, data: Any) -> Any:
    """Return a data set whose numbers can be read.

    Raises
    ------
    DataError
        It has no numbers, or chunks too large for the file's limits.
    CapabilityError
        It is compressed with a filter that is not installed.
    """
    import h5py

    fields = [data.dtype[name] for name in data.dtype.names or ()] or [data.dtype]
    if not all(field.kind in "iufb" for field in fields):
        wrong = next(field for field in fields if field.kind not in "iufb")
        name = data.name.rpartition("/")[2]
        raise DataError(f"{file.path}: {data.name} is {data.dtype}", "numbers", fix_of_type(name, wrong))
    packers = []
    for number, name in filters(data):
        if not h5py.h5z.filter_avail(number):
            with suppress(ImportError):
                import hdf5plugin  # noqa: F401  # importing it registers Blosc, Zstandard, LZ4 …
        if not h5py.h5z.filter_avail(number):
            hint = "Install hdf5plugin, or the filter's own plugin in a folder that HDF5_PLUGIN_PATH names."
            if number == _ECF:
                hint = (
                    "Install Prophesee's plugin (github.com/prophesee-ai/hdf5_ecf, or Metavision's package of it) in a "
                    "folder that HDF5_PLUGIN_PATH names, or convert it to .raw with Metavision's tools."
                )
            raise CapabilityError(
                f"{file.path}: {data.name} is compressed with filter {number} ({name or 'no name'})",
                "a filter that is installed",
                hint,
            )
        packers += [number] if number not in _UNPACKED else []
    if len(packers) > 1:
        raise DataError(
            f"{file.path}: {data.name} is compressed {len(packers)} times", "once", "Save it again."
        )
    if data.chunks:
        what = f"{file.path}: a chunk of {data.name}, {_chunk_bytes(data):,} bytes, as columns in several copies,"
        file.limits.check_bytes(what, _CHUNKS_PER_LIMIT * _chunk_bytes(data))
    return data


def filters(data: Any) -> list[tuple[int, str]]:
    """Return number and name of each filter of a data set."""
    properties = data.id.get_create_plist()
    found = (properties.get_filter(n) for n in range(properties.get_nfilters()))
    return [(number, name.decode(errors="replace")) for number, _, _, name in found]


def _chunk_bytes(data: Any) -> int:
    return int(math.prod(data.chunks)) * int(data.dtype.itemsize)


def with_cache(data: Any) -> Any:
    """Return the data set with a cache for one chunk, so that a large one is not expanded for every slice of it."""
    import h5py

    if not data.chunks or _chunk_bytes(data) <= _CACHE:
        return data
    access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
    access.set_chunk_cache(1, _chunk_bytes(data), 1.0)
    return h5py.Dataset(h5py.h5d.open(data.file.id, data.name.encode(errors="surrogateescape"), access))


def check_chunks(path: Path, data: Any, rows: slice, checked: set[Chunk], axis: int = 0) -> None:
    """Raise `DataError` where a chunk of some rows, along an axis, does not expand to the bytes that it states.

    HDF5 lets zlib write as much as it will, and returns uninitialised memory where a filter, or the file itself, has
    less. Chunks in `checked` are not expanded again; those that pass are added.
    """
    numbers = [number for number, _ in filters(data)]
    place, packer = next(((n, number) for n, number in enumerate(numbers) if number not in _UNPACKED), (0, 0))
    if not data.chunks or (not packer and not _SAME_SIZE.issuperset(numbers)):
        return
    size, length = _chunk_bytes(data), data.chunks[axis]
    starts = [range(0, side, step) for side, step in zip(data.shape, data.chunks, strict=True)]
    starts[axis] = range(rows.start // length * length, rows.stop, length)
    for at in itertools.product(*starts):
        if (data.name, at) in checked:
            continue
        info = data.id.get_chunk_info_by_coord(at)
        expanded = size
        if info.byte_offset is None:
            continue  # never written: it has the fill value
        if not packer or info.filter_mask >> place & 1:  # stored as it is
            expanded = info.size
        elif packer == _DEFLATE:
            raw = data.id.read_direct_chunk(at)[1]
            expanded = len(zlib.decompressobj().decompress(raw, size + _CHECKSUM + 1))
        elif (
            info.size * _EXPANSION.get(packer, 1) > 4 * size + _CACHE
            and info.size > size + size // 8 + _CACHE
        ):
            expanded = size + _CHECKSUM + 1
        if not size <= expanded <= size + _CHECKSUM:
            what = f"more than {size:,}" if expanded > size else f"{expanded:,}"
            raise DataError(
                f"{path}: the chunk of {data.name} at event {at[axis]} expands to {what} bytes",
                f"{size:,}, as it states",
                "The file is damaged there: fetch it again.",
            )
        checked.add((data.name, at))


_HEAP = b"GCOL\1\0\0\0"  # what a heap of version 1 begins with


class CheckedHeaps(io.RawIOBase):
    """A file's stream for h5py that refuses a damaged heap: HDF5 would walk it for ever.

    Values of variable length, of data sets and of attributes, lie in heaps. A heap is a sequence of objects, each with
    its size, the free space the last one of them; HDF5 reads its first bytes, and then all of it, by one call each.
    Source: HDF5 File Format Specification 3.0, III.E, disk format of the global heap.

    Attributes
    ----------
    length_bytes
        Bytes of a length in this file.
    """

    def __init__(self, file: InputFile) -> None:
        super().__init__()
        self._path, self._stream = file.path, file.stream
        self.length_bytes = 8

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move to a position; return it."""
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """Return the position, in bytes."""
        return self._stream.tell()

    def readinto(self, buffer: Any, /) -> int:
        """Read into a buffer; raises `DataError` where that is a damaged heap."""
        begin = self._stream.tell()
        count = self._stream.readinto(buffer)
        if memoryview(buffer)[: len(_HEAP)] == _HEAP:
            try:
                self._check(bytes(buffer[:count]), begin)
            except DataError as error:  # HDF5 may hide it
                self._stream.error = self._stream.error or error
                raise
        return count

    def _check(self, heap: bytes, begin: int) -> None:
        """Raise `DataError` where the objects of a heap, which may be cut off, do not fit into it."""

        def length(at: int) -> int:
            return int.from_bytes(heap[at + 8 : at + 8 + self.length_bytes], "little")

        header = -(-(8 + self.length_bytes) // 8) * 8  # of the heap, and of an object
        end, at = length(0), header
        while min(end, len(heap)) - at >= header:
            size = -(-length(at) // 8) * 8
            size += header if any(heap[at : at + 2]) else 0  # free space counts its header
            if size < header or at + size > end:
                raise DataError(
                    f"{self._path}: an object of {size:,} bytes at byte {begin + at:,} does not fit into its heap",
                    f"{header} to {end - at:,} bytes",
                    "The file is damaged there: fetch it again.",
                )
            at += size
