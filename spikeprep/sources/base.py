"""What a source of samples is, and the checked form in which the pipeline uses one."""

from __future__ import annotations

import copy
import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from ..config import Count, Meta
from ..data import Sample
from ..errors import DataError, PluginError, SpikeprepError, UsageError, broken_plugin
from ..input_files import LIMITS, Limits, open_input
from ..registry import Plugin

Side = Annotated[int, Meta(ge=1, le=65535)]
"""Pixels of a side of an image or a sensor."""

Size = Annotated[tuple[Side, ...], Meta(max_length=2)]
"""Two sides in pixels, or empty; a class that has one refuses a length of 1."""

_INT32 = 1 << 31

NOT_STORED = ("path", "licence", "max_bytes", "max_ratio", "outside")
"""Settings that a store does not keep with its source's configuration: the same samples are read whatever they are."""


@dataclass(frozen=True)
class Source(Plugin, ABC):
    """Reads the samples of a data set or of a file layout.

    Its fields are its configuration; a field `path`, if it has one, is where the raw files are. Opening is lazy:
    nothing is read before `splits`, and samples are read one at a time, from any thread. What a source has read is
    kept in cached properties, which are not pickled: a copy in another process has the path and the settings, and
    reads again what it needs. A ``~`` at the beginning of `path` is the user's home folder.

    Files are opened by `spikeprep.input_files`, and what is decoded is what the digests of `provenance` are of: a file
    that has changed in between is a `DataError` from `read`.
    """

    later_settings: ClassVar[tuple[str, ...]] = ()
    """Settings that a later version added, of this class; its bases name theirs. A store keeps them only where they
    differ from their defaults, so that older stores are of the same configuration."""

    choice_settings: ClassVar[tuple[str, ...]] = ()
    """Settings that choose samples, splits and classes and leave signals as they are, of this class; its bases name
    theirs. The others are compared where a network meets another store than its own."""

    def __post_init__(self) -> None:
        super().__post_init__()
        path = getattr(self, "path", None)
        if isinstance(path, str):
            object.__setattr__(self, "path", os.path.expanduser(path))

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...]:
        """Name of each class, in label order."""

    @abstractmethod
    def splits(self) -> Mapping[str, int]:
        """Return split name → number of samples, in the order in which they are stored."""

    @abstractmethod
    def read(self, split: str, index: int) -> Sample:
        """Return one sample; raises `DataError` with the file and the fix where it is damaged."""

    def outline(self, split: str, index: int) -> Any:
        """Return a signal of the shape of a sample's; overridden where that costs less than reading the sample."""
        return self.read(split, index).signal

    def digest(self, split: str, index: int) -> bytes:
        """Return a digest of what a sample was read from, after `read`; empty where the source does not know.

        Copies in other processes are compared by it: they read the same files, labels and ids.
        """
        return b""

    def group(self, split: str, index: int) -> int | None:
        """Return the number of a sample's group (a speaker, a subject), of 32 bits; None where a split has no groups.

        Stores keep it, and the validation share of training cuts through no group. The file is not read for it.
        """
        return None

    def limited(self, samples: int) -> Source:
        """Return a source that offers only the first `samples` samples of each split, with the same configuration.

        Sources that list files override this, so that the other files are never opened.
        """
        return CheckedSource(self, samples)

    def signal_settings(self) -> dict[str, Any]:
        """Return the settings that signals depend on, JSON-ready, see `choice_settings`."""
        other = {"name", *NOT_STORED, *self._named_by_classes("choice_settings")}
        return {key: _plain(value) for key, value in self.to_config().items() if key not in other}

    def _named_by_classes(self, attribute: str) -> set[str]:
        """Return the settings that a class variable of this class and of its bases names."""
        return {name for cls in type(self).__mro__ for name in vars(cls).get(attribute, ())}

    file_source: ClassVar[str] = ""
    """Name of the source that reads single files of this one's kind of signal, where its own files are archives, or it
    has none; that one may name a further one."""

    @property
    def file_endings(self) -> Sequence[str]:
        """Endings of the names of files that `signals_of` takes, in lower case; empty: any."""
        return ()

    def samples_among(self, folder: Path, files: Sequence[Path]) -> Sequence[Path]:
        """Return what `signals_of` takes of the files below a folder: they, or folders that are one sample."""
        return files

    def takes(self, head: bytes) -> bool:
        """Whether a file that begins with `head`, of a few kilobytes, is one for `signals_of`.

        Asked of a source with a `file_source`: that one gets the other files.
        """
        return True

    def signals_of(self, file: Path, note: str) -> Sequence[Any]:
        """Return the signals of a file without labels, each as that of a sample that is read with these settings.

        `path` and the other files of a data set play no part. Overridden by sources whose files can be read one by one.

        Parameters
        ----------
        file
            The file.
        note
            Of the `provenance` of the data set that the settings are from: what was decided from its samples.

        Raises
        ------
        UsageError
            The source reads no single files.
        DataError
            The file is missing, damaged or of another kind.
        """
        raise UsageError(
            f"the source {self.name} reads data sets, and no single files",
            "a source of images, sounds or event recordings in files",
            "Read the file in Python, and pass its signal.",
        )

    @abstractmethod
    def provenance(self) -> dict[str, Any]:
        """Return ``{"licence", "files": {name: sha256}}``, or one ``"sha256"`` digest over many files.

        A ``"note"`` is added where a person should know what was decided from the data, and ``"findings"``, a list of
        texts, where something deserves attention: files left out, events dropped and why.
        """

    def __getstate__(self) -> dict[str, Any]:
        cls = type(self)
        return {k: v for k, v in vars(self).items() if not isinstance(getattr(cls, k, None), cached_property)}


@dataclass(frozen=True)
class FileSource(Source):
    """Base of sources that list files before opening any: `limited` drops files from the list.

    Subclasses offer at most `limit` samples of each split where it is not None.
    """

    limit: ClassVar[int | None] = (
        None  # set on the copies that `limited` returns; not part of the configuration
    )

    def limited(self, samples: int) -> Self:
        """Return a source that lists only the first `samples` files of each split, and opens no other."""
        if samples < 1:
            raise UsageError(f"got a limit of {samples} samples", "at least 1 per split")
        limited = copy.copy(self)  # without caches
        object.__setattr__(limited, "limit", min(samples, self.limit or samples))
        return limited


@dataclass(frozen=True)
class LimitedFiles(Source):
    """Base of sources whose files are read within limits that a user can raise.

    Parameters
    ----------
    max_bytes
        Most bytes of memory that reading one file may take, where its reader needs it, or a part of it, as a whole.
    max_ratio
        How many times larger than a file its content may be, where that is more than 64 MiB.
    """

    max_bytes: Count = field(default=LIMITS.max_bytes, kw_only=True)
    max_ratio: Count = field(default=LIMITS.max_ratio, kw_only=True)

    @cached_property
    def limits(self) -> Limits:
        """The limits, which name these settings in messages."""
        return Limits(self.max_bytes, self.max_ratio, "source.")


@dataclass(frozen=True)
class CheckedSource(Source):
    """A source whose answers are checked, so that a plugin that breaks its contract is named where it does.

    Parameters
    ----------
    source
        The source; configuration, provenance and samples are its own.
    samples
        Offer only so many of each split, the first ones; None: all.

    Raises
    ------
    PluginError
        From every method: the source returned what the contract does not allow, or another package's source raised an
        exception that is not a `SpikeprepError`. The message has the source, the split and the sample's index.
    DataError
        From `splits`: there are no samples.
    """

    source: Source
    samples: Count | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "name", self.source.name)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Name of each class, in label order."""
        with self._errors():
            classes = self.source.classes
        if not _are_texts(classes) or len(set(classes)) < len(classes):
            raise self._broken(f"has the classes {classes!r}", "different texts, at least one")
        return tuple(classes)

    def splits(self) -> Mapping[str, int]:
        """Return split name → number of samples offered."""
        with self._errors():
            splits = self.source.splits()
        if not (isinstance(splits, Mapping) and all(_is_text(split) for split in splits)):
            raise self._broken(f"returned {splits!r} as splits", "split name → number of samples")
        for split, size in splits.items():
            if type(size) is not int or size < 0:
                raise self._broken(f"returned {size!r} as the size of the split {split!r}", "an int")
        empty = [f" in the split {split!r}" for split, size in splits.items() if not size]
        if empty or not splits:
            raise DataError(f"the source {self.name} has no samples{''.join(empty[:1])}", "at least 1")
        return {split: min(size, self.samples or size) for split, size in splits.items()}

    def read(self, split: str, index: int) -> Sample:
        """Return one sample."""
        where = f"sample {index} of {split}: "
        with self._errors(where):
            sample = self.source.read(split, index)
        if not isinstance(sample, Sample):
            raise self._broken(f"returned {type(sample).__name__}", "a Sample", where)
        if type(sample.label) is not int or not 0 <= sample.label < len(self.classes):
            expected = f"an int from 0 to {len(self.classes) - 1}, one of its classes"
            raise self._broken(f"returned the label {sample.label!r}", expected, where)
        if not _is_text(sample.id):
            raise self._broken(f"returned the id {sample.id!r}", "a text", where)
        return sample

    def outline(self, split: str, index: int) -> Any:
        """Return a signal of the shape of a sample's."""
        with self._errors(f"sample {index} of {split}: "):
            return self.source.outline(split, index)

    def digest(self, split: str, index: int) -> bytes:
        """Return a digest of what a sample was read from."""
        with self._errors(f"sample {index} of {split}: "):
            return self.source.digest(split, index)

    def group(self, split: str, index: int) -> int | None:
        """Return the number of a sample's group, or None."""
        where = f"sample {index} of {split}: "
        with self._errors(where):
            group = self.source.group(split, index)
        if group is not None and not (type(group) is int and -_INT32 <= group < _INT32):
            raise self._broken(f"returned the group {group!r}", "an int of 32 bits, or None", where)
        return group

    def limited(self, samples: int) -> CheckedSource:
        """Return a checked source that offers only the first `samples` samples of each split."""
        limited = self.source.limited(min(samples, self.samples or samples))
        return limited if isinstance(limited, CheckedSource) else CheckedSource(limited)

    def provenance(self) -> dict[str, Any]:
        """Return where the data come from."""
        with self._errors():
            facts = self.source.provenance()
            json.dumps(facts)
        if not (isinstance(facts, Mapping) and "licence" in facts):
            raise self._broken(f"returned {facts!r} as provenance", 'a mapping with "licence"')
        return dict(facts)

    def to_config(self) -> dict[str, Any]:
        """Return the configuration of the source."""
        return self.source.to_config()

    def stored_config(self) -> dict[str, Any]:
        """Return the configuration as a store keeps it, without `NOT_STORED` and without later settings' defaults."""
        later = self.source._named_by_classes("later_settings")
        defaults = {
            f.name: f.default if f.default_factory is MISSING else f.default_factory()
            for f in fields(self.source)
            if f.name in later
        }
        return {
            key: value
            for key, value in self.to_config().items()
            if key not in NOT_STORED and not (key in defaults and _plain(defaults[key]) == _plain(value))
        }

    def _broken(self, got: str, expected: str = "", where: str = "") -> PluginError:
        return broken_plugin(type(self.source), f"{where}the source {self.name} {got}", expected)

    @contextmanager
    def _errors(self, where: str = "") -> Iterator[None]:
        try:
            yield
        except (SpikeprepError, MemoryError):
            raise
        except Exception as error:
            if type(self.source).__module__.startswith("spikeprep."):
                raise  # a bug of ours, or an error of the operating system
            raise self._broken(f"raised {type(error).__name__}: {error}", where=where) from error


def _plain(value: Any) -> Any:
    """Return a setting's value as a configuration has it: tuples as lists."""
    return list(value) if isinstance(value, tuple) else value


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _are_texts(values: Any) -> bool:
    return isinstance(values, tuple | list) and bool(values) and all(map(_is_text, values))


def file_sha256(path: Path) -> str:
    """Return a file's sha256 in hexadecimal; raises `DataError` where it cannot be read."""
    with open_input(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sample_digest(*parts: object) -> bytes:
    """Return a digest of 16 bytes over what identifies a sample: its file's sha256, its label, its id."""
    return hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=16).digest()
