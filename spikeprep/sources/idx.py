"""IDX files: the format of MNIST and of the data sets made in its image (LeCun, Cortes & Burges 1998)."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..data import Sample
from ..errors import DataError, UsageError
from .base import Source, file_sha256

_IMAGES, _LABELS = 0x00000803, 0x00000801  # unsigned bytes in three dimensions, and in one
# …-train-images-idx3-ubyte, t10k-images.idx3-ubyte.gz, emnist-balanced-train-0-999-images-idx3-ubyte.gz, …
_NAME = re.compile(
    r"(?:(?P<prefix>.+)-)?(?P<split>train|test|t10k)(?P<part>-\d+-\d+)?"
    r"-(?P<kind>images|labels)[-.]idx[13]-ubyte(?P<gz>\.gz)?$"
)
_SPLITS = {"train": "train", "test": "test", "t10k": "test"}


def read_idx(path: Path, magic: int) -> NDArray[np.uint8]:
    """Read one IDX file of unsigned bytes, plain or gzipped, as uint8 of the dimensions it states.

    Raises
    ------
    DataError
        The file is not IDX of this `magic`, truncated, too long, or does not decompress.
    """
    again = "Fetch the file again from its publisher."
    try:
        raw = path.read_bytes()
        data = gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"cannot read {path} ({error})", "an IDX file, gzipped if its name ends in .gz", again
        ) from error
    found = int.from_bytes(data[:4], "big")
    if len(data) < 4 or found != magic:
        kinds = {_IMAGES: "images", _LABELS: "labels"}
        hint = f" (that of {kinds[found]})" if found in kinds else ""
        raise DataError(
            f"{path} begins with {data[:4].hex() or 'nothing'}{hint}",
            f"the IDX magic {magic:08x} of {kinds[magic]}",
            "Check that images and labels are not interchanged, and that the file is not packed otherwise.",
        )
    rank = magic & 0xFF
    header = 4 + 4 * rank
    shape = tuple(int(n) for n in np.frombuffer(data[4:header].ljust(4 * rank, b"\0"), ">u4"))
    size = header + int(np.prod(shape, dtype=np.int64))
    if len(data) != size:
        what = "is truncated" if len(data) < size else "is longer than its header says"
        raise DataError(
            f"{path} {what}: {len(data)} bytes", f"{size} bytes for {' × '.join(map(str, shape))}", again
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


@dataclass(frozen=True)
class _Split:
    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    files: tuple[Path, Path]


@dataclass(frozen=True)
class Idx(Source):
    """Images and labels in IDX files, found by name anywhere in the folder `path`.

    The names are MNIST's and EMNIST's own: ``[PREFIX-]train-images-idx3-ubyte[.gz]`` with
    ``…-labels-idx1-ubyte[.gz]``, and ``test`` or ``t10k`` for the test split; a part of a split may have its
    rows in the name (``emnist-balanced-train-103680-112799-images-…``).

    Parameters
    ----------
    path
        Folder that holds the files.
    prefix
        What their names begin with; EMNIST's is the variant, e.g. ``"emnist-balanced"``.
    class_names
        Name of each class. Where empty, they are taken from ``PREFIX-mapping.txt`` (label, then character
        codes), or else are the numbers up to the largest label.
    shape
        (row, column) that every image must have; any where empty.
    transpose
        Whether to exchange rows and columns. NIST publishes EMNIST transposed, and some copies are upright;
        ``"auto"`` looks at the images of the class named ``1``, whose strokes stand when upright, and says in
        the store's provenance what it did.
    licence
        Note kept with the store.
    """

    name: ClassVar[str] = "idx"

    path: str = ""
    prefix: str = ""
    class_names: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    transpose: bool | Literal["auto"] = False
    licence: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_names", tuple(str(name) for name in self.class_names))
        object.__setattr__(self, "shape", tuple(self.shape))
        if self.transpose not in (True, False, "auto"):
            raise UsageError(f"idx: got transpose {self.transpose!r}", 'true, false or "auto"')

    @property
    def _layout(self) -> str:
        stem = f"{self.prefix}-" if self.prefix else ""
        names = f"{stem}train-images-idx3-ubyte and {stem}train-labels-idx1-ubyte"
        return f"{names} (plain or .gz), and the same for test"

    @cached_property
    def _found(self) -> dict[str, dict[str, Path]]:
        root = Path(self.path)
        if not self.path or not root.is_dir():
            raise DataError(
                f"no folder {self.path!r}", self._layout, "Give the folder of the files as --source."
            )
        found: dict[str, dict[str, list[Path]]] = {}
        for file in sorted(root.rglob("*-ubyte*")):
            match = _NAME.match(file.name)
            if match and (match["prefix"] or "") == self.prefix:
                files = found.setdefault(_SPLITS[match["split"]], {}).setdefault(match["kind"], [])
                plain = [other for other in files if f"{other}.gz" == str(file)]
                if not plain:  # a file and its .gz beside it are one
                    files.append(file)
        if not found:
            raise DataError(f"no IDX files in {root}", self._layout, "Give their folder as --source.")
        chosen: dict[str, dict[str, Path]] = {}
        for split in ("train", "test"):
            for kind in ("images", "labels"):
                files = found.get(split, {}).get(kind, [])
                if len(files) > 1:
                    names = ", ".join(str(file) for file in files)
                    raise DataError(
                        f"{root} has {len(files)} files of {split} {kind}: {names}",
                        "one",
                        "Give the folder of one data set as --source.",
                    )
                if split in found and not files:
                    raise DataError(f"{root} has no {split} {kind}", self._layout, "Fetch the missing file.")
                if files:
                    chosen.setdefault(split, {})[kind] = files[0]
        return chosen

    @cached_property
    def _data(self) -> dict[str, _Split]:
        return {split: self._load(files["images"], files["labels"]) for split, files in self._found.items()}

    def _load(self, images_path: Path, labels_path: Path) -> _Split:
        images, labels = read_idx(images_path, _IMAGES), read_idx(labels_path, _LABELS)
        if len(images) != len(labels):
            raise DataError(
                f"{images_path.name} has {len(images)} images and {labels_path.name} {len(labels)} labels",
                "as many",
                "Fetch both files of one data set again.",
            )
        if not len(images):
            raise DataError(f"{images_path} has no images", "at least one", "Fetch the file again.")
        if self.shape and images.shape[1:] != self.shape:
            raise DataError(
                f"{images_path} has images of {images.shape[1:]}",
                f"{self.shape}",
                f"Set source.shape={list(images.shape[1:])} if that is meant.",
            )
        return _Split(images, labels, (images_path, labels_path))

    @cached_property
    def _mapping(self) -> Path | None:
        name = f"{self.prefix}-mapping.txt" if self.prefix else "mapping.txt"
        return min(Path(self.path).rglob(name), default=None)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Name of each class, in label order."""
        names = self.class_names
        if not names and self._mapping:
            names = self._read_mapping(self._mapping)
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
                        f"a class below {len(names)}",
                        "Check that the labels belong to this data set, or name every class in "
                        "source.class_names.",
                    )
        return names

    def _read_mapping(self, path: Path) -> tuple[str, ...]:
        try:
            rows = [
                [int(word) for word in line.split()] for line in path.read_text().splitlines() if line.strip()
            ]
            if sorted(row[0] for row in rows) != list(range(len(rows))):
                raise ValueError("labels are not 0, 1, 2, …")
            return tuple("".join(chr(code) for code in row[1:]) for row in sorted(rows))
        except (ValueError, IndexError) as error:
            raise DataError(
                f"cannot read {path} ({error})",
                "lines of a label and its character code",
                "Fetch the file again.",
            ) from error

    @cached_property
    def _transposed(self) -> bool:
        if self.transpose != "auto":
            return bool(self.transpose)
        standing = [
            _standing(data.images[data.labels == self.classes.index("1")][:200])
            for data in self._data.values()
            if "1" in self.classes and (data.labels == self.classes.index("1")).any()
        ]
        if not standing:
            raise DataError(
                "no images of a class named 1 to tell the orientation by",
                "some",
                "Set source.transpose=true for NIST's own EMNIST files, or false for upright ones.",
            )
        return float(np.mean(standing)) < 0

    def splits(self) -> Mapping[str, int]:
        """Return split name → number of samples: ``train``, then ``test``, those that are there."""
        return {split: len(data.images) for split, data in self._data.items()}

    def read(self, split: str, index: int) -> Sample:
        """Return one image, uint8 (row, column)."""
        data = self._data[split]
        image = data.images[index]
        return Sample(image.T if self._transposed else image, int(data.labels[index]), str(index))

    def provenance(self) -> dict[str, Any]:
        """Return the licence note, each file's sha256, and whether images were transposed."""
        used = [file for data in self._data.values() for file in data.files]
        if self._mapping and not self.class_names:
            used.append(self._mapping)
        facts: dict[str, Any] = {
            "licence": self.licence,
            "files": {file.name: file_sha256(file) for file in used},
        }
        if self.transpose == "auto":
            facts["note"] = (
                "images were transposed to stand upright"
                if self._transposed
                else "images are as in the files"
            )
        return facts


def _standing(images: NDArray[np.uint8]) -> float:
    """Return by how many pixels ink spreads more over rows than over columns, (sample, row, column)."""
    rows, columns = (images > 127).any(axis=2).sum(axis=1), (images > 127).any(axis=1).sum(axis=1)
    return float((rows - columns).mean())
