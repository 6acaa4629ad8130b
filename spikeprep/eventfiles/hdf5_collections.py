"""HDF5 files of many recordings with their labels.

torchneuromorphic
    ``data/KEY/{times, addrs, labels}``; ``extra/{train_keys, test_keys}`` are the splits, ``extra/label_order`` the
    names of the classes, and the attribute ``meta_info`` of a recording may name its subject.
aertb
    ``CLASS/NAME``, a compound data set of x, y, ts and p each.
Others
    ``CLASS/NAME`` or ``SPLIT/CLASS/NAME``, a group or a data set that `Hdf5` reads; or any names, where each recording
    states its label, as an attribute or as a data set ``label`` in its group.

Sources: `create_hdf5.py` of github.com/nmi-lab/torchneuromorphic; `file_loader.py` of github.com/rfma23/aertb. aertb's
times are seconds in 32 bits, its polarities 0 and 1, or −1 and 1.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..array_files.hdf5 import StoredArray, damaged, open_hdf5, texts
from ..errors import DataError, SpikeprepError, printable
from ..input_files import InputFile
from .base import Decoder, as_words
from .checks import Invalid
from .columns import ColumnFormat
from .hdf5_columns import columns_of, hdf5_decoder
from .reading import RecordingFile, Scan, ignore_changes, scanned

_LABELS = ("label", "labels", "target", "targets", "class")
_SPLITS = ("split", "subset")
_GROUPS = ("group", "subject", "user", "speaker")
_KEYS = {"train": "train_keys", "validation": "valid_keys", "test": "test_keys"}
_LONGEST = 4096  # characters of a description
_DEPTH = 4  # groups around a recording


class Member(NamedTuple):
    """A recording in a file: the path of its group or data set, and what the file says of it, empty if nothing."""

    name: str
    label: str = ""
    split: str = ""
    group: str = ""

    @property
    def above(self) -> Sequence[str]:
        """Names of the groups around it."""
        return self.name.split("/")[:-1]


class Hdf5Recordings:
    """An open HDF5 file of event recordings, which are read one by one, from any thread: h5py has a lock.

    Parameters
    ----------
    file
        The file; its bytes are checked as they are read, see `InputFile`.
    form
        The format with its options; its group is the one that all recordings are in.

    Attributes
    ----------
    members
        The recordings, in the file's order.
    others
        Names of data sets that are no events, and belong to no recording.

    Raises
    ------
    DataError
        It is no HDF5 file, damaged, or leads to other files.
    CapabilityError
        h5py is not installed.
    """

    def __init__(self, file: InputFile, form: ColumnFormat, group: str = "") -> None:
        self.file, self._form = file, form
        self._hdf5 = open_hdf5(file)
        self.others: list[str] = []
        try:
            if group and group not in self._hdf5:
                raise DataError(f"{file.path} has no {group!r}", "", "Name another group.")
            root = self._hdf5[group] if group else self._hdf5
            if columns_of(file.path, root, form):  # the only recording
                self.members = [Member(root.name.strip("/"))]
            else:
                self.members = self._of_keys(root) if _has_keys(root) else list(self._walk(root, ()))
        except BaseException as error:
            self.close()
            if isinstance(error, SpikeprepError) or not isinstance(error, Exception):
                raise
            raise damaged(file, error, "an undamaged HDF5 file") from error
        if not form.columns and (order := self._address_order()):
            self._form = replace(form, columns=order)

    def close(self) -> None:
        """Close the file."""
        self._hdf5.close()
        self.file.close()

    def _walk(self, group: Any, above: tuple[str, ...]) -> Iterator[Member]:
        """Yield the recordings in a group, and in the groups in it."""
        import h5py

        for name in group if hasattr(group, "keys") else ():
            node = group.get(name)
            path = (*above, name)
            if not isinstance(node, h5py.Group | h5py.Dataset):
                continue
            if columns_of(self.file.path, node, self._form):
                facts = [_fact(self.file, node, names) for names in (_LABELS, _SPLITS, _GROUPS)]
                yield Member(node.name.strip("/"), *facts)
            elif isinstance(node, h5py.Dataset):
                self.others.append(node.name.strip("/"))
            elif len(path) < _DEPTH:
                yield from self._walk(node, path)

    def _of_keys(self, root: Any) -> list[Member]:
        """Return the recordings of torchneuromorphic's layout."""
        extra = root["extra"]
        splits: dict[str, str] = {}
        for split, name in _KEYS.items():
            for key in self._values(extra[name]) if name in extra else ():
                if splits.setdefault(str(key), split) != split:
                    raise DataError(
                        f"{self.file.path} has the recording {key} in two splits",
                        "one",
                        "Correct extra/train_keys and extra/test_keys.",
                    )
        names = [str(name) for name in self._values(extra["label_order"])] if "label_order" in extra else []
        members = []
        for key, node in root["data"].items():
            label = _fact(self.file, node, _LABELS)
            if not label:
                raise DataError(
                    f"{self.file.path} has the recording {node.name} without a class",
                    "one number labels beside its times and addrs",
                    "Write the file again.",
                )
            if names and label.isdecimal() and int(label) < len(names):
                label = printable(names[int(label)])
            members.append(Member(node.name.strip("/"), label, splits.pop(key, ""), _subject(node)))
        if splits:
            raise DataError(
                f"{self.file.path} has no recording {next(iter(splits))!r}, which {_KEYS['train']} or others list",
                f"one of the {len(members):,} in data",
                "Write the file again.",
            )
        return members

    def _values(self, data: Any) -> list[Any]:
        values: list[Any] = StoredArray(self.file, data).all().reshape(-1).tolist()
        return values

    def _address_order(self) -> str:
        """Return the order of times and addresses, of all recordings alike, as the first one that is clear has it."""
        unclear: DataError | None = None
        for member in self.members:
            node = self._hdf5[member.name]
            if not (hasattr(node, "keys") and "addrs" in node):
                return ""
            try:
                found = columns_of(self.file.path, node, self._form)
            except DataError as error:
                unclear = unclear or error
                continue
            if found is None or found.columns["x"].data != node["addrs"]:
                return ""
            columns = found.columns
            return "t" + "".join(sorted("xyp", key=lambda c: columns[c].key))
        if unclear:
            raise unclear
        return ""

    def decoder(self, name: str) -> Decoder:
        """Return the decoder of a recording, which leaves the file open."""
        return hdf5_decoder(self.file, self._form, self._hdf5, name, self.path_of(name))

    def path_of(self, name: str) -> Path:
        """Return what stands for a recording in messages: the file, and the path in it."""
        return Path(f"{self.file.path}/{name}")

    def scan(self, name: str, size: tuple[int, int] | None, invalid: Invalid) -> Scan:
        """Decode and check every event of a recording; its digest is of them. Raises `DataError`."""
        recording = MemberFile(
            self.path_of(name), self._form, size, invalid, ignore_changes, limits=self.file.limits,
            recordings=self, name=name,
        )  # fmt: skip
        digest = hashlib.sha256()
        with recording.begin() as decoder:
            found = scanned(recording, decoder, lambda events: digest.update(as_words(events).tobytes()))
        return replace(found, sha256=digest.hexdigest())


@dataclass(frozen=True, slots=True)
class MemberFile(RecordingFile):
    """A recording in an open file of many."""

    recordings: Hdf5Recordings = field(kw_only=True)
    name: str = field(kw_only=True)

    def begin(self, file: InputFile | None = None) -> Decoder:
        """Return a decoder positioned before the first event."""
        return self.begun(self.recordings.decoder(self.name))


def _has_keys(root: Any) -> bool:
    return hasattr(root, "keys") and all(hasattr(root.get(name), "keys") for name in ("data", "extra"))


def _fact(file: InputFile, node: Any, names: Sequence[str]) -> str:
    """Return what one of the names stands for, an attribute or a data set of one value, as a text; else empty."""
    for holder in (node.attrs, node) if hasattr(node, "keys") else (node.attrs,):
        for name in names:
            fact = holder.get(name)
            if fact is None or hasattr(fact, "keys") or np.size(fact) != 1:
                continue
            if hasattr(fact, "chunks"):  # a data set; of one number alone there is nothing to check
                plain = fact.chunks is None and fact.dtype.kind in "iuf"
                fact = fact[()] if plain else StoredArray(file, fact).all()
            value = np.asarray(fact).reshape(-1)
            return printable(str(texts(value)[0] if value.dtype.kind in "SO" else value[0]).strip())
    return ""


def _subject(node: Any) -> str:
    """Return the subject that torchneuromorphic's description of a recording names, a dictionary in Python's words."""
    described = node.attrs.get("meta_info", "")
    with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
        facts = (
            ast.literal_eval(described) if isinstance(described, str) and len(described) < _LONGEST else None
        )
        if isinstance(facts, dict) and isinstance(subject := facts.get("subject"), str):
            return printable(subject)
    return ""
