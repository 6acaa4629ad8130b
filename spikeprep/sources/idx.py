"""IDX files: the format of MNIST and of data sets modelled on it (LeCun, Cortes & Burges 1998)."""

from __future__ import annotations

import hashlib
import io
import itertools
import math
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..data import Sample
from ..errors import DataError, UsageError, printable
from ..file_kinds import HEAD
from ..input_files import LIMITS, Limits, open_input, read_input
from .base import LimitedFiles, Size, sample_digest
from .labelled_files import files_under
from .other_files import other_kind
from .split_names import SPLITS, split_named

_IMAGES, _LABELS = 0x00000803, 0x00000801  # unsigned bytes in three dimensions, and in one
# …-train-images-idx3-ubyte, t10k-images.idx3-ubyte.gz, emnist-balanced-train-0-999-images-idx3-ubyte.gz, …
_NAME = re.compile(
    r"(?:(?P<prefix>.+)-)?(?P<split>train|training|val|valid|validation|dev|test|testing|t10k)(?P<part>-\d+-\d+)?"
    r"-(?P<kind>images|labels)[-.]idx[13]-ubyte(?P<gz>\.gz)?$"
)
_PIECE = 1 << 20  # bytes that are read, or expanded, at a time
_GZIP = 31  # zlib's number for gzip's header and checksum


def read_idx(path: Path, magic: int, limits: Limits = LIMITS) -> tuple[NDArray[np.uint8], str]:
    """Read one IDX file of unsigned bytes, plain or gzipped; return uint8 of the dimensions it states, and its sha256.

    Raises
    ------
    DataError
        The file is not IDX of this `magic`, is truncated or too long, does not decompress, or goes beyond the limits.
    """
    again = "Fetch the file again from its publisher."
    digest = hashlib.sha256()
    try:
        with open_input(path) as file:
            stored = os.fstat(file.fileno()).st_size
            pieces = _raw_pieces(file, digest)
            if path.suffix == ".gz":
                pieces = _inflated_pieces(pieces)
            return _decode(path, pieces, magic, limits, stored), digest.hexdigest()
    except (OSError, EOFError, zlib.error) as error:
        with open_input(path) as file:
            kind = other_kind(file.read(HEAD) or b"", "")
        if kind and "gzip" not in kind.name:
            expected = "an IDX file, gzipped if its name ends in .gz"
            raise DataError(f"{path} is {kind.name}", expected, f"{kind.fix}.") from error
        raise DataError(
            f"cannot read {path} ({error})", "an IDX file, gzipped if its name ends in .gz", again
        ) from error


def _raw_pieces(file: io.FileIO, digest: Any) -> Iterator[bytes]:
    """Yield the bytes of a file, and digest them."""
    while piece := file.read(_PIECE):
        digest.update(piece)
        yield piece


def _inflated_pieces(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the content of gzipped bytes, whatever they expand to no more than `_PIECE` bytes at a time."""
    inflater = zlib.decompressobj(_GZIP)
    begun = False  # whether a member of the file has begun
    for raw in pieces:
        while raw:
            if not begun and not (
                raw := raw.lstrip(b"\0")
            ):  # padding between members and behind the last one
                break
            begun = True
            piece = inflater.decompress(raw, _PIECE)
            yield piece
            raw = inflater.unconsumed_tail
            while len(piece) == _PIECE and not raw and not inflater.eof:
                piece = inflater.decompress(b"", _PIECE)  # what the inflater still holds
                yield piece
            if inflater.eof:
                raw, inflater, begun = inflater.unused_data, zlib.decompressobj(_GZIP), False
    if begun:
        raise EOFError("the compressed data end too early")


def _decode(
    path: Path, pieces: Iterator[bytes], magic: int, limits: Limits, stored: int
) -> NDArray[np.uint8]:
    """Return the array of an IDX file's content, allocated once its header has passed the limits."""
    rank = magic & 0xFF
    header, data = 4 + 4 * rank, b""
    while len(data) < header and (piece := next(pieces, None)) is not None:
        data += piece
    actual = int.from_bytes(data[:4], "big")
    if len(data) < 4 or actual != magic:
        kinds = {_IMAGES: "images", _LABELS: "labels"}
        if actual not in kinds and (other := other_kind(data, "")):
            raise DataError(f"{path} is {other.name}", f"an IDX file of {kinds[magic]}", f"{other.fix}.")
        kind = f" (the magic of {kinds[actual]})" if actual in kinds else ""
        raise DataError(
            f"{path} begins with {data[:4].hex() or 'nothing'}{kind}",
            f"the IDX magic {magic:08x} of {kinds[magic]}",
            "Check that images and labels are not interchanged, and that the file is not compressed otherwise.",
        )
    shape = tuple(int(n) for n in np.frombuffer(data[4:header].ljust(4 * rank, b"\0"), ">u4"))
    size = math.prod(shape)
    limits.check_ratio(f"{path}", size, stored)
    limits.check_bytes(f"{path}", size)
    array, count = np.empty(size, np.uint8), 0
    for piece in itertools.chain((data[header:],), pieces):
        end = min(count + len(piece), size + 1)
        if end <= size:
            array[count:end] = np.frombuffer(piece, np.uint8)
        count = end
        if count > size:
            break
    if count != size or len(data) < header:
        what = "is longer than its header states" if count > size else "is truncated"
        length = f"more than {header + size}" if count > size else f"{min(len(data), header) + count}"
        raise DataError(
            f"{path} {what}: {length} bytes",
            f"{header + size} bytes for {' × '.join(map(str, shape))}",
            "Fetch the file again from its publisher.",
        )
    return array.reshape(shape)


@dataclass(frozen=True)
class _Split:
    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    files: tuple[Path, Path]
    sha256: dict[str, str]  # of each file, by name


@dataclass(frozen=True)
class Idx(LimitedFiles):
    """Images and labels in IDX files, at any depth in the folder `path`.

    Their names are those of MNIST and EMNIST: ``[PREFIX-]train-images-idx3-ubyte[.gz]`` with
    ``…-labels-idx1-ubyte[.gz]``, and ``test`` or ``t10k`` for the test split; a part of a split may have its
    rows in the name (``emnist-balanced-train-103680-112799-images-…``).

    Parameters
    ----------
    path
        Folder that holds the files.
    prefix
        What their names begin with; EMNIST's is the variant, e.g. ``"emnist-balanced"``.
    class_names
        Name of each class. Where empty, the names come from ``PREFIX-mapping.txt`` (label, then character
        codes), or else are the numbers up to the largest label.
    shape
        (row, column) that every image must have, in pixels; any where empty.
    transpose
        Whether to exchange rows and columns. NIST publishes EMNIST transposed, and some copies are upright;
        ``"auto"`` decides by the images of the class named ``1``, whose strokes are vertical when upright, and
        records the decision in the store's provenance.
    licence
        Licence note kept with the store.
    """

    name: ClassVar[str] = "idx"

    path: str = ""
    prefix: str = ""
    class_names: tuple[str, ...] = ()
    shape: Size = ()
    transpose: bool | Literal["auto"] = False
    licence: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.shape) == 1:
            raise UsageError(f"got idx.shape = {list(self.shape)}", "[rows, columns] in pixels")
        if len(set(self.class_names)) < len(self.class_names):
            raise UsageError(
                f"got idx.class_names = {list(self.class_names)}", "a different name for each class"
            )

    @property
    def _layout(self) -> str:
        stem = f"{self.prefix}-" if self.prefix else ""
        names = f"{stem}train-images-idx3-ubyte and {stem}train-labels-idx1-ubyte"
        return f"{names} (plain or .gz), and the same for test"

    @cached_property
    def _paths(self) -> dict[str, dict[str, Path]]:
        """Split → kind ("images" or "labels") → file."""
        root = Path(self.path)
        if not self.path or not root.is_dir():
            raise DataError(
                f"no folder {self.path!r}", self._layout, "Give the folder of the files as source=FOLDER."
            )
        candidates: dict[str, dict[str, list[Path]]] = {}
        for file in files_under(root, ("-ubyte", "-ubyte.gz")):
            match = _NAME.match(file.name)
            if match and (match["prefix"] or "") == self.prefix:
                split = split_named(match["split"]) or "test"  # t10k
                files = candidates.setdefault(split, {}).setdefault(match["kind"], [])
                uncompressed = [other for other in files if f"{other}.gz" == str(file)]
                if not uncompressed:  # a file and its .gz beside it count as one
                    files.append(file)
        if not candidates:
            raise DataError(f"no IDX files in {root}", self._layout, "Give their folder as source=FOLDER.")
        chosen: dict[str, dict[str, Path]] = {}
        for split in SPLITS:
            for kind in ("images", "labels"):
                files = candidates.get(split, {}).get(kind, [])
                if len(files) > 1:
                    names = ", ".join(str(file) for file in files)
                    raise DataError(
                        f"{root} has {len(files)} files of {split} {kind}: {names}",
                        "one",
                        "Give the folder of one data set as source=FOLDER.",
                    )
                if split in candidates and not files:
                    raise DataError(f"{root} has no {split} {kind}", self._layout, "Fetch the missing file.")
                if files:
                    chosen.setdefault(split, {})[kind] = files[0]
        return chosen

    @cached_property
    def _data(self) -> dict[str, _Split]:
        return {split: self._load(files["images"], files["labels"]) for split, files in self._paths.items()}

    def _load(self, images_path: Path, labels_path: Path) -> _Split:
        images, images_sha256 = read_idx(images_path, _IMAGES, self.limits)
        labels, labels_sha256 = read_idx(labels_path, _LABELS, self.limits)
        if len(images) != len(labels):
            raise DataError(
                f"{images_path.name} has {len(images)} images and {labels_path.name} {len(labels)} labels",
                "equal numbers",
                "Fetch both files of one data set again.",
            )
        if not len(images):
            raise DataError(f"{images_path} has no images", "at least one", "Fetch the file again.")
        if self.shape and images.shape[1:] != self.shape:
            raise DataError(
                f"{images_path} has images of {images.shape[1:]}",
                f"{self.shape}",
                f"If that is intended, use source.shape={list(images.shape[1:])}.",
            )
        sha256 = {images_path.name: images_sha256, labels_path.name: labels_sha256}
        return _Split(images, labels, (images_path, labels_path), sha256)

    @cached_property
    def _mapping(self) -> tuple[Path, bytes] | None:
        """The mapping file and its content, where the class names come from it."""
        name = f"{self.prefix}-mapping.txt" if self.prefix else "mapping.txt"
        if self.class_names:
            return None
        file = next((file for file in files_under(Path(self.path), (name,)) if file.name == name), None)
        return (file, read_input(file, self.limits).data) if file else None

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Name of each class, in label order."""
        names = self.class_names
        if self._mapping:
            names = _class_names(*self._mapping)
        largest = max(int(split.labels.max()) for split in self._data.values())
        if not names:
            return tuple(str(label) for label in range(largest + 1))
        if largest >= len(names):
            for split, data in self._data.items():
                outside = np.flatnonzero(data.labels >= len(names))
                if outside.size:
                    n = outside[0]
                    raise DataError(
                        f"{data.files[1]} has label {data.labels[n]} for {split} sample {n}",
                        f"a label below {len(names)}",
                        "Check that the labels belong to this data set, or name every class in "
                        "source.class_names.",
                    )
        return names

    @cached_property
    def _transposed(self) -> bool:
        if self.transpose != "auto":
            return bool(self.transpose)
        heights = [
            _excess_height(data.images[data.labels == self.classes.index("1")][:200])
            for data in self._data.values()
            if "1" in self.classes and (data.labels == self.classes.index("1")).any()
        ]
        if not heights:
            raise DataError(
                "no images of a class named 1, which decide the orientation",
                "some",
                "For NIST's own EMNIST files use source.transpose=true, for upright ones source.transpose=false.",
            )
        return float(np.mean(heights)) < 0

    def splits(self) -> Mapping[str, int]:
        """Return split name → number of samples, those of `SPLITS` that exist."""
        return {split: len(data.images) for split, data in self._data.items()}

    def read(self, split: str, index: int) -> Sample:
        """Return one image, uint8 (row, column)."""
        data = self._data[split]
        image = data.images[index]
        return Sample(image.T if self._transposed else image, int(data.labels[index]), str(index))

    def digest(self, split: str, index: int) -> bytes:
        """Return a digest of all files of the source."""
        return self._digest

    @cached_property
    def _digest(self) -> bytes:
        return sample_digest(*self.provenance()["files"].values())

    def provenance(self) -> dict[str, Any]:
        """Return the licence note, each file's sha256, and whether images were transposed."""
        files = {name: digest for data in self._data.values() for name, digest in data.sha256.items()}
        if self._mapping:
            file, content = self._mapping
            files[file.name] = hashlib.sha256(content).hexdigest()
        facts: dict[str, Any] = {"licence": self.licence, "files": files}
        if self.transpose == "auto":
            facts["note"] = (
                "images were transposed to stand upright"
                if self._transposed
                else "images are as in the files"
            )
        return facts


def _class_names(path: Path, content: bytes) -> tuple[str, ...]:
    """Return the class names of a mapping file: lines of a label and its character codes."""
    try:
        rows = [
            [int(word) for word in line.split()] for line in content.decode().splitlines() if line.strip()
        ]
        if sorted(row[0] for row in rows) != list(range(len(rows))):
            raise ValueError("labels are not 0, 1, 2, …")
        names = tuple(printable("".join(chr(code) for code in row[1:])) for row in sorted(rows))
        if len(set(names)) < len(names) or "" in names:
            raise ValueError("two labels have one name, or one has none")
        return names
    except (ValueError, IndexError, OverflowError) as error:
        raise DataError(
            f"cannot read {path} ({error})",
            "lines of a label and its character code",
            "Fetch the file again.",
        ) from error


def _excess_height(images: NDArray[np.uint8]) -> float:
    """Return how many more rows than columns have ink, on average over images (sample, row, column)."""
    rows, columns = (images > 127).any(axis=2).sum(axis=1), (images > 127).any(axis=1).sum(axis=1)
    return float((rows - columns).mean())
