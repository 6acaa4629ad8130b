"""Recordings of event cameras from one format into another: single files, and folders with all that is in them."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .config import build, leaves
from .data import Events
from .errors import CapabilityError, DataError, UsageError, near_miss, printable
from .eventfiles import EventWriter, Invalid, write
from .eventfiles.checks import NoEvents
from .eventfiles.detect import formats
from .eventfiles.reading import open_recording
from .eventfiles.writing import find_writer, writer_class
from .input_files import LIMITS, Limits
from .interruption import Interrupted
from .output_files import check_new_file
from .recipes import parse_value
from .registry import EVENT_FORMATS
from .sources.event_recordings import event_suffixes
from .sources.labelled_files import files_under
from .store.outputs import check_output
from .text import format_bytes, format_duration, listed
from .urls import local_path, redacted

_PIECE = 1 << 18  # events
_LINES = 20  # files that are listed one by one
_ARGUMENT = re.compile(r"(?<![.\w])(?!(?:format|size|invalid)=)([a-z_]+)=('[^']*'|-?[\w…]+)")  # of `read`
_OPTIONS = ("read", "write")
_LEAVE_OUT = "Leave the recording out."
READING_LIMITS = ("max_bytes", "max_ratio")
"""Settings below ``read`` that are no options of a format: those of `Limits`."""

Shown = Callable[[int, int], None]


@dataclass(frozen=True)
class Converted:
    """A recording that was converted.

    Attributes
    ----------
    source, path
        The file that was read, and the one that was written.
    source_format, format
        Names of their formats.
    events
        Number of events.
    bytes
        Size of the file that was written.
    size
        (width, height) of the sensor in pixels.
    start
        Time of the recording's own clock at t = 0, in µs.
    duration
        How long it lasted, in µs.
    changes
        What was changed in its events, by `invalid`; else empty.
    notes
        What was decided from the data, what deserves attention, and what the format cannot hold of the start.
    """

    source: str
    path: str
    source_format: str
    format: str
    events: int
    bytes: int
    size: tuple[int, int]
    start: int
    duration: int
    changes: str = ""
    notes: tuple[str, ...] = ()

    def line(self) -> str:
        """Return it for a person."""
        width, height = self.size
        return (
            f"{self.path}: {self.format}, {self.events:,} events in {self.duration / 1e6:.6g} s, {width} × {height}, "
            f"{format_bytes(self.bytes)}"
        )


@dataclass(frozen=True)
class Conversion:
    """What `spikeprep.convert` returns.

    Attributes
    ----------
    files
        The recordings that were converted.
    failures
        Path → what is wrong, of each recording that could not be.
    kept
        Files that were there already and stayed.
    seconds
        How long it took.
    """

    files: tuple[Converted, ...]
    failures: tuple[tuple[str, DataError], ...] = ()
    kept: int = 0
    seconds: float = 0.0

    def error(self) -> DataError | None:
        """Return one error with a line for each recording that could not be converted; None where all could."""
        if len(self.failures) < 2:
            return self.failures[0][1] if self.failures else None
        lines = "".join(f"\n{error}" for _, error in self.failures)
        total = len(self.files) + len(self.failures) + self.kept
        got = f"{len(self.failures):,} of {total:,} recordings could not be converted"
        return ConversionError(got, hint=lines, result=self)

    def notes(self) -> list[str]:
        """Return what was changed, decided, and deserves attention, each with its files."""
        by_text: dict[str, list[str]] = {}
        for file in self.files:
            for text in (*file.notes, file.changes):
                if text:
                    by_text.setdefault(text, []).append(file.source)
        return [f"{listed(files, 3)}: {text}" for text, files in by_text.items()]

    def lines(self) -> list[str]:
        """Return it as lines for a person."""
        lines = [file.line() for file in self.files[:_LINES]]
        if (more := len(self.files) - _LINES) > 0:
            lines.append(f"… and {more:,} more")
        if len(self.files) + self.kept > 1:
            events, size = sum(file.events for file in self.files), sum(file.bytes for file in self.files)
            kept = f"; {self.kept:,} were there already" if self.kept else ""
            lines.append(
                f"converted {len(self.files):,} recordings, {events:,} events, {format_bytes(size)}, in "
                f"{format_duration(self.seconds)}{kept}"
            )
        return lines

    def to_json(self) -> dict[str, Any]:
        """Return what ``spikeprep convert --json`` prints."""
        return {
            "files": [
                {name: getattr(file, name) for name in file.__dataclass_fields__} for file in self.files
            ],
            "failures": [
                {"file": printable(file), "got": e.got, "expected": e.expected, "hint": e.hint}
                for file, e in self.failures
            ],
            "kept": self.kept,
            "seconds": round(self.seconds, 3),
        }

    def __str__(self) -> str:
        return "\n".join(self.lines())


class ConversionError(DataError):
    """Several recordings that could not be converted; `result` has them, and those that were."""

    def __init__(
        self, got: str, expected: str = "", hint: str = "", result: Conversion | None = None
    ) -> None:
        super().__init__(got, expected, hint)
        self.result = result


class Task(NamedTuple):
    """A recording, and where it is written to."""

    source: Path
    target: Path


@dataclass(frozen=True)
class Reading:
    """How recordings are read; see `spikeprep.eventfiles.read`."""

    format: str = ""
    size: tuple[int, int] | None = None
    invalid: Invalid = "fail"
    options: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = LIMITS

    @classmethod
    def of(
        cls, format: str, size: tuple[int, int] | None, invalid: Invalid, options: Mapping[str, Any]
    ) -> Reading:
        """Return how recordings are read with the settings below ``read``: options of the format, and limits."""
        limits = {name: value for name, value in options.items() if name in READING_LIMITS}
        others = {name: value for name, value in options.items() if name not in limits}
        return cls(format, size, invalid, others, build(Limits, limits | {"owner": "read."}))


def split_settings(settings: Mapping[str, Any] | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options of the format that is read and of the one that is written, from ``read.…`` and ``write.…``."""
    options: dict[str, dict[str, Any]] = {name: {} for name in _OPTIONS}
    for key, value in leaves(settings or {}).items():
        kind, dot, name = key.partition(".")
        if kind not in options or not dot:
            known = [f"{kind}.{key}" for kind in _OPTIONS]
            hint = (
                f"Write {' or '.join(known)}."
                if kind not in options and not dot
                else near_miss(kind, options)
            )
            raise UsageError(f"there is no setting {key!r}", "read.NAME, or write.NAME", hint)
        options[kind][name] = parse_value(value) if isinstance(value, str) else value
    return options["read"], options["write"]


def plan_tasks(
    recordings: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str], to: str, format: str
) -> list[Task]:
    """Return which file becomes which.

    Raises
    ------
    UsageError
        The output is a URL, in a store or where recordings are read from, two recordings would become one file, or the
        format to write is not known.
    DataError
        A recording does not exist, or a folder has none.
    """
    paths = [_local(path, "recordings") for path in recordings]
    if not paths:
        raise UsageError("got no recordings", "at least one file or folder")
    target = check_output(out)
    if target is None:
        raise UsageError(f"got out = {redacted(out)!r}", "a path", "Copy what is converted there afterwards.")
    folder = len(paths) > 1 or paths[0].is_dir() or target.is_dir() or os.fspath(out).endswith(("/", os.sep))
    if not folder:
        return [Task(paths[0], target)]
    if not to:
        raise UsageError(
            f"got the folder {target} as out, and no format", "a format", "Name it, for example to=aedat4."
        )
    ending = writer_class(to).extensions[0]
    if target.exists() and not target.is_dir():
        raise UsageError(
            f"{target} is a file", "a folder, as several recordings are converted", "Choose another."
        )
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder {target.parent}", "a folder that exists", "Make it first.")
    tasks = []
    for path in paths:
        base = target / path.name if len(paths) > 1 else target
        if path.is_dir():
            _refuse_inside(target, path)
            files = _recordings_in(path, format)
            tasks += [Task(file, _renamed(base / file.relative_to(path), ending)) for file in files]
        else:
            tasks.append(Task(path, _renamed(target / path.name, ending)))
    sources: dict[Path, Path] = {}
    for task in tasks:
        if (other := sources.setdefault(task.target, task.source)) != task.source:
            raise UsageError(
                f"{other} and {task.source} would both become {task.target}",
                "recordings of different names",
                "Convert them one after the other, into different folders.",
            )
    return tasks


def _local(path: str | os.PathLike[str], what: str) -> Path:
    local = local_path(path)
    if local is None:
        raise UsageError(f"got {what} = {redacted(path)!r}", "a path of this machine", "Fetch it first.")
    return local


def _refuse_inside(target: Path, source: Path) -> None:
    inside, outside = Path(os.path.realpath(target)), Path(os.path.realpath(source))
    if inside == outside or outside in inside.parents:
        raise UsageError(
            f"{target} is in the folder of the recordings, {source}",
            "a folder outside of it",
            "The next conversion would take what this one writes for recordings: choose another folder.",
        )


def _recordings_in(folder: Path, format: str) -> list[Path]:
    """Return the recordings in a folder, at any depth."""
    endings = EVENT_FORMATS.get(format).extensions if format else event_suffixes()
    files = files_under(folder, endings)
    if not files:
        raise DataError(
            f"the folder {folder} has no recordings",
            f"files ending in {' '.join(endings)}",
            "Name the files, or their format: format=NAME, as text files are taken only where they are named.",
        )
    return files


def _renamed(path: Path, ending: str) -> Path:
    """Return a path with another ending; of two, as ``.csv.gz`` has, both are replaced."""
    known = [known for form in formats() for known in form.extensions if path.name.lower().endswith(known)]
    old = max(known, key=len, default=path.suffix)
    return path.with_name((path.name[: -len(old)] if old else path.name) + ending)


def convert_files(
    tasks: Sequence[Task],
    reading: Reading,
    to: str,
    options: Mapping[str, Any],
    *,
    overwrite: bool,
    resume: bool,
    show: Shown,
) -> Conversion:
    """Convert recordings, one after the other; those that cannot be are `Conversion.failures`.

    Raises
    ------
    UsageError
        No format can be written to a file of such a name, an option is unknown or not allowed, or a file is there
        already.
    DataError
        There is one recording only, and it cannot be converted; or none could.
    CapabilityError
        A library is not installed, the disk is full or a permission is missing.
    """
    if overwrite and resume:
        raise UsageError("got overwrite = True and resume = True", "one of them")
    writers = [_writer(task, to, options) for task in tasks]  # all are checked before anything is written
    kept = [resume and task.target.is_file() for task in tasks]
    for task, keep in zip(tasks, kept, strict=True):
        if not keep:
            check_new_file(task.target, overwrite)
    began = time.monotonic()
    converted: list[Converted] = []
    failures: list[tuple[str, DataError]] = []
    try:
        for number, (task, writer, keep) in enumerate(zip(tasks, writers, kept, strict=True)):
            show(number, len(tasks))
            if keep:
                continue
            try:
                with _folder_for(task.target):
                    converted.append(_convert(task, reading, writer, overwrite))
            except DataError as error:
                failures.append((os.fspath(task.source), error))
            except CapabilityError as error:
                if not converted and not any(kept):
                    raise
                hint = f"{error.hint} To keep what is converted by then: resume=True.".lstrip()
                raise CapabilityError(error.got, error.expected, hint) from error
        show(len(tasks), len(tasks))
    except KeyboardInterrupt:
        if len(tasks) == 1:
            raise
        done = len(converted) + sum(kept)
        message = f"Interrupted after {done:,} of {len(tasks):,} recordings"
        raise Interrupted(message, {"resume": True}) from None
    result = Conversion(tuple(converted), tuple(failures), sum(kept), time.monotonic() - began)
    if not converted and not result.kept and (nothing := result.error()):
        raise nothing
    return result


def _writer(task: Task, to: str, options: Mapping[str, Any]) -> EventWriter:
    try:
        return find_writer(task.target, to, options)
    except UsageError as error:
        raise UsageError(error.got, error.expected, _of_writing(error.hint)) from error


@contextmanager
def _folder_for(file: Path) -> Iterator[None]:
    """Make the folders of a file; those that are made are removed again where it is not written: none is empty."""
    missing = [folder for folder in file.parents if not folder.exists()]
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # another process has written something there
            for folder in missing:
                folder.rmdir()
        raise


class _Unreadable(DataError):
    """What is wrong with a recording that is read, not with what is written of it."""


def _convert(task: Task, reading: Reading, writer: EventWriter, overwrite: bool) -> Converted:
    """Convert one recording in one pass over it, in pieces."""
    try:
        recording, decoder = open_recording(
            task.source,
            reading.format,
            reading.size,
            reading.invalid,
            reading.options,
            reading.limits,
            piece_events=_PIECE,
        )
    except DataError as error:
        raise DataError(error.got, error.expected, _of_reading(error.hint)) from error
    with decoder:
        changes = recording.new_changes()
        size, start = recording.size_of(decoder), recording.start_of(decoder)
        last = 0

        def pieces() -> Iterator[NDArray[np.void]]:
            nonlocal last
            try:
                for piece in recording.walk(decoder, changes):
                    yield piece
                    last = int(piece["t"][-1])
            except NoEvents as error:
                raise _Unreadable(
                    error.got, "at least one, as no file is written without", _LEAVE_OUT
                ) from error
            except DataError as error:
                raise _Unreadable(error.got, error.expected, _of_reading(error.hint)) from error

        try:
            written = write(
                task.target, Events(pieces(), size, start=start), format=writer, overwrite=overwrite
            )
        except _Unreadable as error:
            raise DataError(error.got, error.expected, error.hint) from error
        except DataError as error:
            got = error.got if str(task.source) in error.got else f"{task.source}: {error.got}"
            raise DataError(got, error.expected, _of_writing(error.hint)) from error
        return Converted(
            os.fspath(task.source),
            os.fspath(task.target),
            recording.format.name,
            written.format,
            written.events,
            written.bytes,
            size,
            start,
            last + 1,
            str(changes).removeprefix(printable(f"{task.source}: ")) if changes else "",
            (*(_of_reading(text) for text in (*decoder.notes, *decoder.findings)), *written.notes),
        )


def _of_reading(hint: str) -> str:
    """Return a hint with the options of `spikeprep.eventfiles.read` as settings of `convert`."""
    return _ARGUMENT.sub(lambda match: "read.{}={}".format(match[1], match[2].strip("'")), hint)


def _of_writing(hint: str) -> str:
    """Return a hint with the arguments of `spikeprep.eventfiles.write` as those of `convert`."""
    hint = re.sub(r"\bformat=", "to=", hint).replace("give its format", "give the format: to=NAME")
    hint = hint.replace("origin='stored'", "read.origin=stored")
    return re.sub(r"(?<![.\w])(compression|columns|names)=", r"write.\1=", hint)
