"""Files of series: read by their content, kept in memory, and found in folders of data sets."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from ..array_files.arrays import is_array_file
from ..errors import DataError
from ..input_files import LIMITS, Digests, InputFile, Limits, open_input
from ..text import listed
from .labelled_files import file_id, files_in, files_under, is_hidden
from .series_arrays import read_arrays
from .series_channels import MixedRates, with_channels
from .series_csv import is_number, read_csv
from .series_data import SeriesFile
from .series_edf import SUFFIXES as EDF_SUFFIXES
from .series_edf import read_edf
from .series_pairs import SplitFile, find_pairs, read_pair
from .series_table_columns import Form, TableSettings, is_unknown, unclear
from .series_tables import form_of, read_series_table
from .series_text import TextColumns
from .series_ts import read_ts
from .series_wfdb import SUFFIX as WFDB_SUFFIX
from .series_wfdb import read_wfdb
from .split_names import KNOWN_NAMES, split_named
from .table_columns import role_of

TEXTS = (".csv", ".tsv", ".txt")
"""Endings of text files: of one series, or of many in a table."""

SUFFIXES = (".npy", ".npz", *TEXTS, ".h5", ".hdf5", ".hdf", *EDF_SUFFIXES, WFDB_SUFFIX)
"""Endings of files of one series."""

COLLECTIONS = (".ts", ".npz", ".h5", ".hdf5", ".hdf")
"""Endings of files that may have many series with their labels."""

_HELD_BYTES = 512 << 20  # of series that were read last
_HEAD_BYTES = 4 << 20  # of a text file, that tell what it is
_NAME = re.compile(r"(?P<problem>.*?)[_\-. ]*(?P<split>[A-Za-z]+)")  # PROBLEM_TRAIN


@dataclass(frozen=True)
class ReadingSettings:
    """What a user says of files of series.

    Attributes
    ----------
    arrays
        What an array of a file means → its name, see `spikeprep.sources.series_arrays.ROLES`.
    time_axis
        ``"first"`` or ``"last"`` axis of a series in an array.
    tables
        Of text files of many series.
    channels
        Names or numbers of the channels to take, in this order; empty: all.
    mixed_rates
        What happens to channels of several rates, see `spikeprep.sources.series_channels.aligned`.
    annotator
        Ending of the annotations beside WFDB records; empty: they are not read.
    limits
        What reading a file may take.
    """

    arrays: Mapping[str, str] = field(default_factory=dict)
    time_axis: str = "first"
    tables: TableSettings = field(default_factory=TableSettings)
    channels: Sequence[str | int] = ()
    mixed_rates: MixedRates = "refuse"
    annotator: str = ""
    limits: Limits = LIMITS


class SeriesReader:
    """Reads files of series, and holds those that were read last.

    Parameters
    ----------
    settings
        What the user says of them.
    collections
        The files that have many series, and those that belong to them.
    """

    def __init__(self, settings: ReadingSettings, collections: Sequence[SplitFile] = ()) -> None:
        self._settings = settings
        self._collections = {file.path: file for file in collections}
        self._held: OrderedDict[Path, SeriesFile] = OrderedDict()
        self._digests: dict[Path, Digests] = {}
        self._lock = Lock()

    def read(self, path: Path) -> SeriesFile:
        """Return the series of a file; raises `DataError` where it cannot be read, or has changed since then."""
        with self._lock:
            if path in self._held:
                self._held.move_to_end(path)
                return self._held[path]
            file = self._held[path] = with_channels(path, *self._decode(path))
            while sum(held.nbytes for held in self._held.values()) > _HELD_BYTES and len(self._held) > 1:
                self._held.popitem(last=False)
            return file

    @contextmanager
    def _opened(self, path: Path) -> Iterator[InputFile]:
        """Open a file, whose bytes are the same each time."""
        file = InputFile(path, self._settings.limits, self._digests.get(path))
        try:
            file.limits.check_bytes(f"{path}", file.length())
            yield file
            self._digests[path] = file.digests()
        finally:
            file.close()

    def _bytes(self, path: Path) -> bytes:
        with self._opened(path) as file:
            return file.stream.read()

    def _decode(self, path: Path) -> tuple[SeriesFile, Sequence[str | int]]:
        """Return the series of a file, and the channels that are still to be chosen."""
        settings, collection = self._settings, self._collections.get(path)
        if collection and (collection.beside or collection.channels):
            pair = read_pair(collection, self._bytes, settings.tables, settings.time_axis, settings.limits)
            return pair, settings.channels
        suffix = path.suffix.lower()
        if suffix in EDF_SUFFIXES:
            content = self._bytes(path)
            return read_edf(path, content, settings.channels, settings.mixed_rates, settings.limits), ()
        if suffix == WFDB_SUFFIX:
            rules = (settings.channels, settings.mixed_rates, settings.limits, settings.annotator)
            return read_wfdb(path, self._bytes(path), self._bytes, *rules), ()
        with self._opened(path) as file:
            return self._decode_file(file), settings.channels

    def _decode_file(self, file: InputFile) -> SeriesFile:
        path, settings = file.path, self._settings
        if is_array_file(file.head()):
            return read_arrays(file, settings.arrays, settings.time_axis)
        if path.suffix.lower() in (".npy", ".npz", ".h5", ".hdf5", ".hdf"):
            raise DataError(
                f"{path} is no {path.suffix.lower()} file by its first bytes", "what its name says",
                "Fetch or save it again.",
            )  # fmt: skip
        file.stream.seek(0)
        content = file.stream.read()
        if path.suffix.lower() == ".ts":
            return read_ts(path, content)
        if path in self._collections or settings.tables.form in ("long", "wide"):
            file.limits.check_bytes(f"{path}", 2 * len(content))
            return read_series_table(path, content, settings.tables)
        return read_csv(path, content, settings.tables.columns)


def find_collections(path: str, problem: str, tables: TableSettings) -> list[SplitFile]:
    """Return the files of many series that a path means: itself, or ``PROBLEM_TRAIN.ts`` and ``PROBLEM_TEST.ts``.

    In a folder, ``.ts`` files at any depth are of a data set and a split by their names, and archives (``train.npz``,
    ``gait_test.h5``) and text files of tables (``mitbih_train.csv``) directly in it; or values and labels are in files
    of their own, see `find_pairs`. None of them: an empty list.

    Parameters
    ----------
    path
        The file or folder.
    problem
        Name of the data set; empty: the only one that is there.
    tables
        What the user says of text files.

    Raises
    ------
    DataError
        The folder has several data sets, or not the one that is named; or two files of one split.
    """
    root = Path(path)
    if path and root.is_file():
        many = root.suffix.lower() in COLLECTIONS or form_of_file(root, tables, alone=True) in (
            "long",
            "wide",
        )
        return [SplitFile("", root)] if many else []
    if not path or not root.is_dir():
        return []
    if not problem and (pairs := find_pairs(root)):
        return pairs
    archives = [file for file in files_in(root) if file.suffix.lower() in COLLECTIONS[1:] and file.is_file()]
    problems = _problems((*files_under(root, COLLECTIONS[:1]), *archives))
    if not problems:
        texts = [
            f for f in files_in(root) if f.suffix.lower() in TEXTS and f.is_file() and not is_hidden(f.name)
        ]
        named = [file for files in _problems(texts).values() for file in files]
        problems = _problems([f.path for f in named if form_of_file(f.path, tables) in ("long", "wide")])
    if problem and problem not in problems:
        raise DataError(
            f"{root} has no data set {problem!r}{_there(problems)}",
            f"{problem}_TRAIN.ts and {problem}_TEST.ts, at any depth",
            "Give the folder that has them as source=FOLDER.",
        )
    if not problem and len(problems) > 1:
        first = next(iter(problems))
        raise DataError(
            f"{root} has the data sets {listed([*map(repr, problems)])}",
            "one",
            f"Use source.problem={first}.",
        )
    chosen = problems[problem] if problem else next(iter(problems.values()), [])
    for n, file in enumerate(chosen):
        if same := next((other for other in chosen[:n] if other.split == file.split), None):
            raise DataError(
                f"{file_id(file.path, root)} and {file_id(same.path, root)} are both of the split {file.split}",
                f"one file per split ({KNOWN_NAMES})",
                "Give the folder of one of them as source=FOLDER.",
            )
    return chosen


def _problems(files: Sequence[Path]) -> dict[str, list[SplitFile]]:
    """Return data set → its files, of those whose names end in a split."""
    problems: dict[str, list[SplitFile]] = {}
    for file in files:
        name = _NAME.fullmatch(file.stem)
        if name and (split := split_named(name["split"])):
            problems.setdefault(name["problem"], []).append(SplitFile(split, file))
    return problems


def form_of_file(path: Path, tables: TableSettings, alone: bool = False) -> Form:
    """Return what a text file is, by its first lines; empty where it is no table of series.

    One that is given `alone`, and has no column whose meaning is known, is an error.
    """
    if tables.form:
        return tables.form if path.suffix.lower() in TEXTS else ""
    if path.suffix.lower() not in TEXTS:
        return ""
    with open_input(path) as stream:
        head = stream.read(_HEAD_BYTES)
    if len(head) == _HEAD_BYTES:
        head = head[: head.rfind(b"\n") + 1]
    try:
        columns = TextColumns.of(path, head)
    except DataError:
        return ""
    if alone and not columns.header and _is_names(columns):
        got = f"{path} is empty: it has names of columns and no rows"
        raise DataError(got, "rows of values", "Give the file that has them.")
    form = form_of(columns, tables)
    if not form and alone and is_unknown(columns):
        raise unclear(columns)
    return form


def _is_names(columns: TextColumns) -> bool:
    """Whether a file has one line, of names; but for those of a table of files."""
    if columns.width < 2 or columns.text.strip().count("\n"):
        return False
    names = columns.first
    return not any(is_number(name, columns.decimal) or role_of(name) == "path" for name in names)


def _there(problems: Sequence[str] | Mapping[str, object]) -> str:
    return f", but {listed([*map(repr, problems)])}" if problems else ""
