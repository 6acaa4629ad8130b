"""NumPy's .npy and .npz: a structured array, an array (event, column), or an archive of arrays.

An archive has the four arrays x, y, t and p, or xy (event, 2), t and p, or pos and neg, each (event, 3) of x, y and t,
as ES-ImageNet has them (Lin et al. 2021, Frontiers in Neuroscience 15:726582).
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import IO, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..array_files.npy import MAX_HEADER, NpyHeader, ObjectsError
from ..array_files.npy import SIGNATURE as _NPY
from ..array_files.npz import SIGNATURE as _NPZ
from ..array_files.npz import Npz
from ..array_files.slices import row_slices
from ..input_files import InputFile
from .base import Decoder
from .columns import ColumnDecoder, ColumnFormat, Columns, check_row, stated_by_name
from .numpy_columns import BY_POLARITY, Keys, event_columns, is_by_polarity, key_parts, part_files, turned

_SKIP = 1 << 20  # bytes that are read at a time to skip them
_COPIES = 4  # of the arrays of one polarity each, while they are merged


class _Npy(ColumnDecoder):
    """A .npy file, or the files of a recording in several, see `part_files`; read some rows at a time."""

    def __init__(self, file: InputFile, form: NumpyFile) -> None:
        self.file, self.path = file, file.path
        files = {"": file}
        arrays = {"": _array_of(file)}
        if arrays[""].is_column and (parts := part_files(file.path)):
            files = {"t": file} | {name: file.beside(path) for name, path in parts.items()}
            arrays = {name: arrays[""] if name == "t" else _array_of(other) for name, other in files.items()}
        names, keys = event_columns(file.path, form, "", arrays)
        if len(names) == 1:
            self._keys = dict.fromkeys(names, keys)
        else:
            places = {column: key_parts(key) for column, key in keys.items()}
            self._keys = {
                name: {c: number for c, (of, number) in places.items() if of == name} for name in names
            }
        self._arrays = {name: (files[name], arrays[name].of_events(self._keys[name])) for name in names}
        self._row_bytes = sum(array.row for _, array in self._arrays.values())
        check_row(file.path, self._row_bytes)
        if "" in self._arrays and not (array := self._arrays[""][1]).by_column:
            self.first_row, self.stride = array.begin, array.row
        super().__init__(file, form, *stated_by_name(keys["t"]))

    def _length(self) -> int:
        return next(iter(self._arrays.values()))[1].shape[0]

    def _columns(self, rows: slice) -> Columns:
        columns: dict[str, NDArray[Any]] = {}
        for name, (file, array) in self._arrays.items():
            count, size = rows.stop - rows.start, array.dtype.itemsize
            if not array.by_column:
                raw = _bytes(file, array.begin + rows.start * array.row, count * array.row)
                columns |= _pick(array.rows(raw), self._keys[name])
                continue
            for column, key in self._keys[name].items():
                at = array.begin + (int(key) * self._length() + rows.start) * size
                columns[column] = np.frombuffer(_bytes(file, at, count * size), array.dtype)
        return columns

    def _slices(self, first: int = 0) -> Iterator[Columns]:
        return map(self._columns, row_slices(self._length(), row_bytes=self._row_bytes, first=first))

    def _row(self, index: int) -> Columns:
        return self._columns(slice(index, index + 1))


def _array_of(file: InputFile) -> _Rows:
    return _Rows.of(NpyHeader.read(f"{file.path}", file.head(MAX_HEADER), file.length()))


def _bytes(file: InputFile, at: int, size: int) -> bytes:
    file.stream.seek(at)
    return file.stream.read(size)


@dataclass(frozen=True)
class _Rows:
    """The rows of an array, one per event: their shape and where they begin in the .npy file."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    by_column: bool
    begin: int

    @classmethod
    def of(cls, header: NpyHeader) -> _Rows:
        """Return the rows of an array; a column as (event, 1) or (1, event) is one of values."""
        shape = header.shape
        if len(shape) == 2 and 1 in shape and 4 not in shape:
            shape = (math.prod(shape),)
        return cls(shape, header.dtype, header.fortran and len(shape) > 1, header.begin)

    def of_events(self, keys: Keys) -> _Rows:
        """Return an array (column, event) as (event, column), which is the same bytes in the other order."""
        if turned(self.shape, len(keys)) and all(isinstance(key, int) for key in keys.values()):
            return replace(self, shape=self.shape[::-1], by_column=not self.by_column)
        return self

    @property
    def is_column(self) -> bool:
        """Whether it has one number for each event."""
        return len(self.shape) == 1 and not self.dtype.names

    @property
    def row(self) -> int:
        """Bytes of a row."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    @property
    def size(self) -> int:
        """Bytes of all rows."""
        return math.prod(self.shape) * self.dtype.itemsize

    def rows(self, raw: bytes) -> NDArray[Any]:
        """Return bytes as rows (row, …)."""
        return np.frombuffer(raw, self.dtype).reshape(-1, *self.shape[1:])


class _Reader:
    """The rows of an array of an archive, or one column of it, read sequentially, as it may be compressed."""

    def __init__(self, stream: IO[bytes], header: _Rows, column: int | None) -> None:
        self._stream, self._header = stream, header
        self._row = header.dtype.itemsize if column is not None else header.row
        skip = header.begin + (column or 0) * header.shape[0] * header.dtype.itemsize
        while skip:
            skipped = len(stream.read(min(skip, _SKIP)))
            if not skipped:
                raise EOFError("the array is truncated")
            skip -= skipped

    def skip(self, count: int) -> None:
        """Go past `count` rows, or values of the column."""
        self._stream.seek(count * self._row, io.SEEK_CUR)

    def read(self, count: int) -> NDArray[Any]:
        """Return the next `count` rows, or values of the column."""
        size = count * self._row
        raw = self._stream.read(size)
        if len(raw) < size:
            raise EOFError(f"{len(raw)} of {size} bytes")
        return (
            np.frombuffer(raw, self._header.dtype)
            if self._row != self._header.row
            else self._header.rows(raw)
        )


class _Npz(ColumnDecoder):
    """A .npz file, read some rows of each array at a time."""

    def __init__(self, file: InputFile, form: NumpyFile) -> None:
        self.file, self.path = file, file.path
        self._npz = Npz(file)
        arrays: dict[str, _Rows] = {}
        objects: list[str] = []  # never read, but others may be
        for name in self._npz.names:
            try:
                arrays[name] = _Rows.of(self._npz.header(name))
            except ObjectsError:
                objects.append(name)
        self._by_polarity = not form.columns and not form.group and is_by_polarity(arrays)
        if self._by_polarity:
            self._names, self._keys = list(BY_POLARITY), {"t": ""}
        else:
            self._names, self._keys = event_columns(file.path, form, form.group, arrays, objects)
        self._headers: dict[str, _Rows] = {name: arrays[name] for name in self._names}
        if len(self._names) == 1:
            self._headers = {name: h.of_events(self._keys) for name, h in self._headers.items()}
        lengths = [header.shape[0] for header in self._headers.values()]
        self._count = sum(lengths) if self._by_polarity else lengths[0]
        self._row_bytes = max(header.row for header in self._headers.values())
        check_row(file.path, self._row_bytes)
        super().__init__(file, form, *stated_by_name(self._keys["t"]))

    def _reader(self, stack: ExitStack, name: str, column: int | None = None) -> _Reader:
        def opened() -> _Reader:
            return _Reader(stack.enter_context(self._npz.open(name)), self._headers[name], column)

        return self._npz.safely(opened)

    def _length(self) -> int:
        return self._count

    def _slices(self, first: int = 0) -> Iterator[Columns]:
        if self._by_polarity:
            columns = self._merged()
            for rows in row_slices(self._count, row_bytes=self._row_bytes, first=first):
                yield {column: values[rows] for column, values in columns.items()}
            return
        name, fields = self._names[0], dict[str, int | None]()
        with ExitStack() as stack:
            if len(self._names) > 1 or self._headers[name].by_column:
                readers = {}
                for column, key in self._keys.items():
                    place = (name, key) if len(self._names) == 1 else key_parts(key)
                    readers[column], fields[column] = self._column(stack, *place)
            else:
                readers = {"": self._reader(stack, name)}
            for rows in row_slices(self._count, row_bytes=self._row_bytes, first=first):
                if rows.start and first:
                    for reader in readers.values():
                        self._npz.safely(partial(reader.skip, rows.start))
                    first = 0
                count = rows.stop - rows.start
                arrays = {
                    column: self._npz.safely(partial(reader.read, count))
                    for column, reader in readers.items()
                }
                if "" in arrays:
                    yield _pick(arrays[""], self._keys)
                    continue
                yield {c: a if fields[c] is None else a[:, fields[c]] for c, a in arrays.items()}

    def _merged(self) -> Columns:
        """Return all events of two arrays in order of time; where one of them is not in order, one after the other."""
        size = sum(header.size for header in self._headers.values())
        self.file.limits.check_bytes(f"{self.path}", _COPIES * size)
        parts: dict[str, list[NDArray[Any]]] = {"x": [], "y": [], "t": []}
        for name in self._names:
            for number, column in enumerate(parts):
                with ExitStack() as stack:
                    reader, field = self._column(stack, name, number)
                    values = self._npz.safely(partial(reader.read, self._headers[name].shape[0]))
                    parts[column].append(values if field is None else values[:, field])
        columns = {column: np.concatenate(values) for column, values in parts.items()}
        columns["p"] = np.repeat([1, 0], [len(t) for t in parts["t"]])  # `BY_POLARITY`
        if all((t[1:] >= t[:-1]).all() for t in parts["t"]):
            order = np.argsort(columns["t"], kind="stable")
            columns = {column: values[order] for column, values in columns.items()}
        return columns

    def _column(self, stack: ExitStack, name: str, number: int | None) -> tuple[_Reader, int | None]:
        """Return a reader of an array, and which column of its rows is meant; None where it reads that one alone.

        Of an array in whose memory a column lies behind the other, it does.
        """
        if number is not None and self._headers[name].by_column:
            return self._reader(stack, name, number), None
        return self._reader(stack, name), number

    def _row(self, index: int) -> None:
        return None

    def close(self) -> None:
        self._remaining = iter(())  # closes the arrays that are open
        self._npz.close()
        super().close()


def _pick(array: NDArray[Any], keys: Keys) -> Columns:
    """Return column → its values in rows, by its field or its number, or all of them where that is None."""
    return {
        column: array if key is None else array[key] if isinstance(key, str) else array[:, key]
        for column, key in keys.items()
    }


@dataclass(frozen=True)
class NumpyFile(ColumnFormat):
    """NumPy's .npy and .npz without objects; the sensor's size has to be given.

    ``…_t.npy`` stands for the files of a recording that has its columns in several, with ``…_xy.npy`` and ``…_p.npy``
    beside it, as EVIMO2 has them (Burner et al. 2022, arXiv:2205.03467).

    Parameters
    ----------
    group
        Array of a .npz that holds the events; detected where it is the only one.
    """

    name: ClassVar[str] = "numpy"
    title: ClassVar[str] = "NumPy"
    extensions: ClassVar[tuple[str, ...]] = (".npy", ".npz")
    begins: ClassVar[tuple[bytes, ...]] = (_NPY, _NPZ)

    group: str = ""

    @classmethod
    def matches(cls, head: bytes) -> bool:
        """Return whether the file begins with the signature of .npy or .npz."""
        if head.startswith(_NPZ):  # other archives are ZIP too: the name of the first member tells
            return head[30 : 30 + int.from_bytes(head[26:28], "little")].endswith(b".npy")
        return head.startswith(_NPY)

    def decoder(self, file: InputFile) -> Decoder:
        """Find the columns; see `EventFormat.decoder`."""
        return _Npz(file, self) if file.head(4) == _NPZ else _Npy(file, self)
