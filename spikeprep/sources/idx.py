"""Images and labels in IDX files: MNIST, Fashion-MNIST, KMNIST, QMNIST, EMNIST and data sets modelled on them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..config import NonNegative
from ..data import Sample
from ..errors import DataError, UsageError
from ..input_files import read_input
from .base import LimitedFiles, Size, sample_digest
from .class_names import read_class_names
from .idx_folder import find_idx_files, has_label_rows, is_part
from .idx_format import IMAGES, LABEL_ROWS, LABELS, IdxFile, read_idx
from .labelled_files import files_under
from .levels import Groups
from .pixel_range import PixelRanges, bulk_level
from .published_digits import EMNIST, Labels, PublishedSet, emnist_findings, mapped_labels, published_set
from .repeated_images import repeated_images

_SAMPLED = 100  # images that tell whether all are worth a look
_TURNED, _UNTURNED = "images were transposed to stand upright", "images are as in the files"
_UPRIGHT = ("1", "Ii", "I", "l")  # classes whose strokes are vertical


@dataclass(frozen=True)
class _Split:
    images: NDArray[np.uint8]
    labels: NDArray[np.integer[Any]]  # as in the file
    paths: tuple[Path, Path]
    files: tuple[IdxFile, IdxFile]


@dataclass(frozen=True)
class Idx(LimitedFiles):
    """Images and labels in IDX files, at any depth in the folder `path`.

    Their names are those of MNIST and EMNIST: ``[PREFIX-]train-images-idx3-ubyte[.gz]`` with
    ``…-labels-idx1-ubyte[.gz]``, and ``test`` or ``t10k`` for the test split; a part of a split may have its
    rows in the name (``emnist-balanced-train-103680-112799-images-…``). Labels may be rows of integers, of which the
    first is the class, as QMNIST's are (``…-labels-idx2-int``). Content says whether a file is gzipped. Copies of a
    file count as one where their content is the same, and are refused where it is not.

    The files of MNIST, Fashion-MNIST and KMNIST are known by their digests: those of one are refused under the class
    names of another.

    Parameters
    ----------
    path
        Folder that holds the files.
    prefix
        What their names begin with; EMNIST's is the variant, e.g. ``"emnist-balanced"``.
    class_names
        Name of each class, or a file in `path` with one name per line. Where empty, the names come from
        ``PREFIX-mapping.txt`` (label, then character codes), or are those of the EMNIST variant or of the known data
        set, or else the numbers up to the largest label. Labels may be counted from 1: where the mapping is, as that of
        EMNIST Letters, or where they are 1 to the number of names.
    shape
        (row, column) that every image must have, in pixels; any where empty.
    transpose
        Whether to exchange rows and columns. NIST publishes EMNIST transposed, and some copies are upright;
        ``"auto"`` decides by the images of a class whose strokes are vertical when upright, ``1`` or ``I``, and
        records the decision in the store's provenance.
    white
        The value of a pixel that is white, which becomes 255; 0: 255. Where all pixels are far below, as in files of 0
        and 1, it must be given.
    licence
        Licence note kept with the store.
    """

    name: ClassVar[str] = "idx"
    later_settings: ClassVar[tuple[str, ...]] = ("white",)
    choice_settings: ClassVar[tuple[str, ...]] = ("prefix", "class_names", "shape")
    file_source: ClassVar[str] = "images"

    path: str = ""
    prefix: str = ""
    class_names: str | tuple[str | int, ...] = ()
    shape: Size = ()
    transpose: bool | Literal["auto"] = False
    white: NonNegative = 0
    licence: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.shape) == 1:
            raise UsageError(f"got idx.shape = {list(self.shape)}", "[rows, columns] in pixels")
        if isinstance(self.class_names, tuple) and len(set(self.class_names)) < len(self.class_names):
            raise UsageError(
                f"got idx.class_names = {list(self.class_names)}", "a different name for each class"
            )
        if self.white > 255:
            raise UsageError(f"got idx.white = {self.white:g}", "at most 255: pixels are bytes")

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return read_class_names(self.class_names, Path(self.path), self.limits)

    @cached_property
    def _paths(self) -> dict[str, dict[str, Path]]:
        return find_idx_files(self.path, self.prefix)

    @cached_property
    def _data(self) -> dict[str, _Split]:
        data = {split: self._load(files["images"], files["labels"]) for split, files in self._paths.items()}
        (first, one), *others = data.items()
        size = one.images.shape[1:]
        for split, other in others:
            if other.images.shape[1:] != size:
                sizes = [" × ".join(map(str, part.images.shape[1:])) for part in (other, one)]
                raise DataError(
                    f"{other.paths[0]} has images of {sizes[0]} pixels, and {one.paths[0].name} of {sizes[1]}",
                    f"{split} images of the size of the {first} images",
                    "Give the folder of one data set as source=FOLDER, or bring all images to one size.",
                )
        if self.shape and size != self.shape:
            raise DataError(
                f"{one.paths[0]} has images of {size}",
                f"{self.shape}",
                f"If that is intended, use source.shape={list(size)}.",
            )
        return data

    @cached_property
    def _findings(self) -> list[str]:
        """What deserves attention; raises `DataError` where images are nearly black."""
        data = self._data
        sizes = [len(split.labels) for split in data.values()]
        ends = np.cumsum([0, *sizes])
        brightest = np.concatenate([s.images.max(axis=(1, 2)) for s in data.values()]).astype(np.float64)
        groups = Groups(
            "images",
            np.zeros(ends[-1], np.intp),
            np.repeat(np.arange(len(data)), sizes),
            np.concatenate([s.labels for s in data.values()]).astype(np.intp) - self._labels.first,
            ("8-bit",),
            tuple(data),
            self.classes,
        )

        def image_id(n: int) -> str:
            split = int(np.searchsorted(ends, n, side="right")) - 1
            return f"image {n - ends[split]:,} of {groups.splits[split]}"

        white = np.full(ends[-1], 255.0)  # as they are scaled
        bulk = np.concatenate([_bulk_levels(s.images) for s in data.values()])
        ranges = PixelRanges(self.path, groups, brightest, white, self.white > 0, bulk, image_id, _brighter)
        # a part whose name says so is no surprise
        sizes_by_split = {split: len(d.labels) for split, d in data.items() if not is_part(d.paths[0])}
        repeated = (
            []
            if self._published
            else repeated_images({name: (s.images, s.labels) for name, s in data.items()})
        )
        return [*emnist_findings(self.prefix, sizes_by_split), *ranges.findings(), *repeated]

    def _load(self, images_path: Path, labels_path: Path) -> _Split:
        images_file = read_idx(images_path, IMAGES, self.limits)
        rows = has_label_rows(labels_path)
        labels_file = read_idx(labels_path, LABEL_ROWS if rows else LABELS, self.limits)
        images, labels = images_file.array, labels_file.array
        if rows and labels.shape[1]:
            labels = labels[:, 0]
        if len(images) != len(labels):
            raise DataError(
                f"{images_path.name} has {len(images)} images and {labels_path.name} {len(labels)} labels",
                "equal numbers",
                "Fetch both files of one data set again.",
            )
        if not images.size or not labels.size:
            raise DataError(f"{images_path} has no images", "at least one", "Fetch the file again.")
        if self.white:
            images = _scaled(images, self.white, images_path)
        return _Split(images, labels, (images_path, labels_path), (images_file, labels_file))

    @cached_property
    def _mapping(self) -> tuple[Path, bytes] | None:
        """The mapping file and its content, where the class names come from it."""
        name = f"{self.prefix}-mapping.txt" if self.prefix else "mapping.txt"
        if self.class_names:
            return None
        files = files_under(Path(self.path), (name.lower(),))
        file = next((file for file in files if file.name.lower() == name.lower()), None)
        return (file, read_input(file, self.limits).data) if file else None

    @cached_property
    def _published(self) -> PublishedSet | None:
        files = {
            (split, kind): (path, file)
            for split, data in self._data.items()
            for kind, path, file in zip(("images", "labels"), data.paths, data.files, strict=True)
        }
        return published_set(files, self._names)

    @cached_property
    def _labels(self) -> Labels:
        """The names of the classes and the label of the first; raises `DataError` where a label is of none."""
        smallest = min(int(split.labels.min()) for split in self._data.values())
        largest = max(int(split.labels.max()) for split in self._data.values())
        published = self._published
        if self._mapping:
            labels = mapped_labels(*self._mapping)
        elif self._names:
            count = len(self._names)
            from_1 = count > 1 and (smallest, largest) == (1, count)
            labels = Labels(self._names, int(from_1))
        elif published:
            labels = Labels(published.classes)
        else:
            numbers = Labels(tuple(str(label) for label in range(largest + 1)))
            labels = EMNIST.get(self.prefix.lower(), numbers)
        stop = labels.first + len(labels.names)
        for split, data in self._data.items():
            outside = np.flatnonzero((data.labels < labels.first) | (data.labels >= stop))
            if outside.size:
                n = outside[0]
                raise DataError(
                    f"{data.paths[1]} has label {data.labels[n]} for {split} sample {n}",
                    f"a label below {stop}" + (f", from {labels.first}" if labels.first else ""),
                    "Check that the labels belong to this data set, or name every class in "
                    "source.class_names.",
                )
        return labels

    @property
    def classes(self) -> tuple[str, ...]:
        """Name of each class, in label order."""
        return self._labels.names

    @cached_property
    def _transposed(self) -> bool:
        if self.transpose != "auto":
            return bool(self.transpose)
        names, first = self._labels
        upright = next((name for name in _UPRIGHT if name in names), None)
        label = names.index(upright) + first if upright else None
        heights = [
            _excess_height(data.images[data.labels == label][:200])
            for data in self._data.values()
            if (data.labels == label).any()
        ]
        if not heights:
            raise DataError(
                "no images of a class named 1 or I, which decide the orientation",
                "some",
                "For NIST's own EMNIST files use source.transpose=true, for upright ones source.transpose=false.",
            )
        return float(np.mean(heights)) < 0

    def splits(self) -> Mapping[str, int]:
        """Return split name → number of samples: ``train``, then ``test``, those that exist."""
        self._findings  # noqa: B018 — refuses what is nearly black
        return {split: len(data.images) for split, data in self._data.items()}

    def read(self, split: str, index: int) -> Sample:
        """Return one image, uint8 (row, column)."""
        data = self._data[split]
        image = data.images[index]
        label = int(data.labels[index]) - self._labels.first
        return Sample(image.T if self._transposed else image, label, str(index))

    @property
    def file_endings(self) -> Sequence[str]:
        """Endings of the names of files of images."""
        return tuple(f"images{sign}idx3-ubyte{gz}" for sign in "-." for gz in ("", ".gz"))

    def takes(self, head: bytes) -> bool:
        """Whether a file may be IDX, plain or gzipped."""
        return head[:2] in (b"\0\0", b"\x1f\x8b")

    def signals_of(self, file: Path, note: str) -> Sequence[Any]:
        """See `Source.signals_of`: every image of a file of images, uint8 (row, column)."""
        transposed = bool(self.transpose)
        if self.transpose == "auto":
            if not (_TURNED in note or _UNTURNED in note):
                raise UsageError(
                    "got transpose = auto for images without labels, which do not show their orientation",
                    "the store, which has what was decided from the images of a class",
                    "Name the run's store: store=….",
                )
            transposed = _TURNED in note
        images = read_idx(file, IMAGES, self.limits).array
        if not images.size:
            raise DataError(f"{file} has no images", "at least one", "Fetch the file again.")
        if self.white:
            images = _scaled(images, self.white, file)
        return list(images.transpose(0, 2, 1) if transposed else images)

    def digest(self, split: str, index: int) -> bytes:
        """Return a digest of all files of the source."""
        return self._digest

    @cached_property
    def _digest(self) -> bytes:
        return sample_digest(*self.provenance()["files"].values())

    def provenance(self) -> dict[str, Any]:
        """Return the licence note, each file's sha256, and what was decided."""
        files = {
            path.name: file.sha256
            for data in self._data.values()
            for path, file in zip(data.paths, data.files, strict=True)
        }
        if self._mapping:
            mapping, content = self._mapping
            files[mapping.name] = hashlib.sha256(content).hexdigest()
        facts: dict[str, Any] = {"licence": self.licence, "files": files}
        names, first = self._labels
        notes = [f"labels are counted from {first}: label {first} is class {names[0]}"] if first else []
        if self.transpose == "auto":
            notes.append(_TURNED if self._transposed else _UNTURNED)
        if notes:
            facts["note"] = "; ".join(notes)
        if self._findings:
            facts["findings"] = self._findings
        return facts


def _scaled(images: NDArray[np.uint8], white: float, path: Path) -> NDArray[np.uint8]:
    """Return images in which `white` has become 255; raises `DataError` where a pixel is above it."""
    if (largest := int(images.max())) > white:
        raise DataError(
            f"{path} has a pixel of {largest}",
            f"at most {white:g}, which source.white says is white",
            f"Use source.white={largest}, or leave source.white out.",
        )
    levels = np.minimum(np.rint(np.arange(256) * (255 / white)), 255).astype(np.uint8)
    return np.asarray(levels[images])


def _bulk_levels(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the `bulk_level` of each image, or white where a sample of them has none that is dark."""
    if all(bulk_level(image) == 255 for image in images[:: -(-len(images) // _SAMPLED)]):
        return np.full(len(images), 255.0)
    return np.array([bulk_level(image) for image in images], np.float64)


def _brighter(factor: float) -> str:
    return f"multiply their pixels by {factor:.6g}, up to 255, and write the file again"


def _excess_height(images: NDArray[np.uint8]) -> float:
    """Return how many more rows than columns have ink, on average over images (sample, row, column)."""
    rows, columns = (images > 127).any(axis=2).sum(axis=1), (images > 127).any(axis=1).sum(axis=1)
    return float((rows - columns).mean())
