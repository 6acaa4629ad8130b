"""MATLAB's .mat of version 5, 6 or 7: variables x, y, ts and pol, or a matrix (event, 4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.typing import NDArray

from ..array_files.mat import SIGNATURE, STRUCTURE, MatFile, read_mat
from ..array_files.slices import row_slices
from ..errors import DataError
from ..input_files import InputFile
from .base import Decoder
from .columns import ColumnDecoder, ColumnFormat, Columns, stated_by_name
from .numpy_columns import Keys, event_columns, key_parts, turned


class _Decoder(ColumnDecoder):
    """The columns of a file, in memory."""

    def __init__(self, file: InputFile, form: Mat) -> None:
        self.file, self.path = file, file.path
        found = read_mat(file)
        arrays = _flattened(form, found.arrays)
        names, keys = self._keys(form, found, arrays)
        self._arrays: dict[str, NDArray[Any]] = {}
        for column, key in keys.items():
            name, number = (names[0], key) if isinstance(key, int) else key_parts(key)
            values = arrays[name]
            if isinstance(key, int) and turned(values.shape, len(keys)):
                values = values.T
            self._arrays[column] = values if number is None else values[:, number]
        super().__init__(file, form, *stated_by_name(keys["t"]))

    def _keys(self, form: Mat, found: MatFile, arrays: dict[str, NDArray[Any]]) -> tuple[list[str], Keys]:
        try:
            return event_columns(self.path, form, form.group, arrays)
        except DataError as error:
            others = "; ".join(f"{name} is {what}" for name, what in found.others.items())
            if not others:
                raise
            structure = next((name for name, what in found.others.items() if what == STRUCTURE), "")
            fix = f"In MATLAB, save its fields as variables: save('events.mat', '-struct', '{structure}')."
            raise DataError(
                f"{error.got}; and {others}", error.expected, fix if structure else error.hint
            ) from error

    def _length(self) -> int:
        return len(self._arrays["t"])

    def _columns(self, rows: slice) -> Columns:
        return {column: values[rows] for column, values in self._arrays.items()}

    def _slices(self, first: int = 0) -> Iterator[Columns]:
        return map(self._columns, row_slices(self._length(), first=first))

    def _row(self, index: int) -> Columns:
        return self._columns(slice(index, index + 1))


def _flattened(form: Mat, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return matrices (event, 1) or (1, event), or MATLAB's empty one (0, 0), as (event,); others as they are.

    One of 4 values is a table of one event, unless its name and others' say that they are columns.
    """
    matches = form.matching(arrays)
    named = {name for names in matches.values() for name in names} if all(matches.values()) else set()

    def is_column(name: str, values: NDArray[Any]) -> bool:
        flat = values.ndim == 2 and (1 in values.shape or not values.size)
        return flat and (4 not in values.shape or name in named)

    return {name: v.reshape(-1) if is_column(name, v) else v for name, v in arrays.items()}


@dataclass(frozen=True)
class Mat(ColumnFormat):
    """MATLAB's .mat (version 7.3 is the format `hdf5`); the sensor's size has to be given.

    ASL-DVS has one per recording: x, y, ts in µs and pol, each (event, 1).
    Source: Bi et al. 2019, Graph-based object classification for neuromorphic vision sensing, ICCV.

    Parameters
    ----------
    group
        Variable, a matrix (event, 4), that holds the events; detected where it is the only one.
    """

    name: ClassVar[str] = "mat"
    title: ClassVar[str] = "MATLAB"
    extensions: ClassVar[tuple[str, ...]] = (".mat",)
    begins: ClassVar[tuple[bytes, ...]] = (SIGNATURE,)

    group: str = ""

    @classmethod
    def matches(cls, head: bytes) -> bool:
        """Return whether the file begins as MATLAB's files of version 5 do."""
        return head.startswith(SIGNATURE)

    def decoder(self, file: InputFile) -> Decoder:
        """Read the variables, and find the columns; see `EventFormat.decoder`."""
        return _Decoder(file, self)
