"""Images of the user: a folder per class, or a table of files and labels."""

from __future__ import annotations

import io
import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..data import Sample
from ..errors import CapabilityError, DataError, UsageError
from ..input_files import read_input
from .base import FileSource, LimitedFiles, Size, sample_digest
from .checked_files import Listing
from .class_names import class_findings
from .labelled_files import GroupNumbers, Recording, SeenFiles, bad_files_error, by_split, files_digest
from .labelled_source import LabelledSource
from .other_files import other_kind

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
_MODES = {"grey": "L", "rgb": "RGB"}

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
"""What Pillow may decode: it knows others that run programs, such as Ghostscript for EPS, or that few people test."""

_BYTES_PER_PIXEL = 12  # of an image, its conversion and its array


@dataclass(frozen=True)
class ImageFiles(FileSource, LimitedFiles):
    """Base of the sources of images in files.

    Parameters
    ----------
    path
        Folder of the files.
    size
        (row, column) in pixels to which every image is resized (bilinear, with Pillow). Where empty, all must
        have one size.
    mode
        ``"grey"``: (row, column), or ``"rgb"``: (row, column, 3).
    """

    path: str = ""
    size: Size = ()
    mode: Literal["grey", "rgb"] = "grey"

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.size) == 1:
            raise UsageError(f"got {self.name}.size = {list(self.size)}", "[rows, columns] in pixels")

    @abstractmethod
    def listing(self) -> Listing:
        """List the files of `path` without opening them; raises `DataError` where there are none."""

    @cached_property
    def _listing(self) -> Listing:
        return self.listing()

    @cached_property
    def _images(self) -> dict[str, list[Recording]]:
        if self._listing.bad:
            raise bad_files_error(self.path, self._listing.bad)
        return by_split(self._listing.recordings, self.limit)

    def splits(self) -> Mapping[str, int]:
        """Return split name → number of images: in the order of `SPLITS`, without empty ones."""
        return {split: len(files) for split, files in self._images.items()}

    def read(self, split: str, index: int) -> Sample:
        """Return one image, uint8 (row, column) or (row, column, 3); its id is its path inside the folder."""
        recording = self._images[split][index]
        image = self._decode(recording)
        if not self.size and image.shape != self._shape:
            raise DataError(
                f"{recording.file} has shape {image.shape}",
                f"{self._shape}, like the first image",
                "To resize all images use source.size=[rows,columns], or remove this one.",
            )
        return Sample(image, recording.label, recording.id)

    @cached_property
    def _groups(self) -> GroupNumbers:
        return GroupNumbers(self._listing.recordings)

    def group(self, split: str, index: int) -> int | None:
        """Return the number of a sample's group; None where there are no groups."""
        return self._groups[self._images[split][index]]

    def outline(self, split: str, index: int) -> NDArray[np.uint8]:
        """Return a black image of the shape of all; decodes one file at most."""
        return np.broadcast_to(np.uint8(0), self._shape)

    @cached_property
    def _shape(self) -> tuple[int, ...]:
        if self.size:
            return (*self.size, 3) if self.mode == "rgb" else self.size
        return self._decode(next(iter(self._images.values()))[0]).shape

    @cached_property
    def _seen(self) -> SeenFiles:
        return SeenFiles()

    def digest(self, split: str, index: int) -> bytes:
        """Return a digest of what a sample was read from."""
        recording = self._images[split][index]
        sha256 = self._seen.get(recording)
        return sample_digest(sha256, recording.label, recording.id, recording.group) if sha256 else b""

    def _decode(self, recording: Recording) -> NDArray[np.uint8]:
        try:
            from PIL import Image, UnidentifiedImageError
        except ImportError as error:
            raise CapabilityError(
                "reading images needs Pillow, which is not installed",
                "",
                "Run: pip install 'spikeprep[images]'.",
            ) from error
        file = recording.file
        data, sha256 = read_input(file, self.limits, self._seen.get(recording))
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as original:
                self.limits.check_bytes(f"{file}", len(data) + _BYTES_PER_PIXEL * math.prod(original.size))
                if original.mode.startswith(("I", "F")):
                    raise DataError(
                        f"{file} has more than 8 bits per pixel (mode {original.mode})",
                        "8 bits",
                        "Convert it to 8 bits.",
                    )
                image = original.convert(_MODES[self.mode])
                if self.size:
                    image = image.resize((self.size[1], self.size[0]), Image.Resampling.BILINEAR)
                array = np.asarray(image, np.uint8)
        except (DataError, MemoryError):
            raise
        except UnidentifiedImageError as error:
            expected = f"an image: {', '.join(FORMATS)}"
            if kind := other_kind(data, "image"):
                raise DataError(f"{file} is {kind.name}", expected, f"{kind.fix}.") from error
            fix = "Convert it to one of them, or remove the file."
            raise DataError(f"cannot read {file}", expected, fix) from error
        except Exception as error:  # Pillow's decoders raise whatever damaged bytes lead to
            raise DataError(
                f"cannot read {file} ({error})", "an image", "Replace or remove the file."
            ) from error
        self._seen.check(recording, sha256)
        return array

    def provenance(self) -> dict[str, Any]:
        """Return one sha256 over the sha256 and path of every file, and findings."""
        recordings = [recording for files in self._images.values() for recording in files]
        facts: dict[str, Any] = {"sha256": files_digest(recordings, self._seen)}
        labels = {recording.label for recording in self._listing.recordings}
        if findings := [*self._listing.findings, *class_findings(self.classes, labels)]:
            facts["findings"] = findings
        return facts


@dataclass(frozen=True)
class ImageFolder(LabelledSource, ImageFiles):
    """Images in a folder per class, or named in a CSV file.

    They are PNG, JPEG, GIF, BMP, TIFF, WebP or PPM; content decides, not the name. The folder holds ``CLASS/…``, or
    ``train/CLASS/…``, ``validation/CLASS/…`` and ``test/CLASS/…``, under the names that data sets give these splits
    (``training``, ``val``, ``TEST`` …). A CSV file has the columns ``path``, ``label`` and, where the data have a
    split, ``split``. Without a split, a share of each class is test, chosen by a seeded hash of the path, so that the
    choice is the same on every machine. Samples are in the order of such a hash too, so that any range of them mixes
    the classes.

    Parameters
    ----------
    licence
        Licence note kept with the store.
    """

    name: ClassVar[str] = "images"
    files_are: ClassVar[str] = "images"
    later_settings: ClassVar[tuple[str, ...]] = ("test_list",)

    licence: str = ""

    @property
    def suffixes(self) -> Sequence[str]:
        """Endings of the names of image files."""
        return _SUFFIXES

    def provenance(self) -> dict[str, Any]:
        """Return the licence note, one sha256 over the sha256 and path of every file, and findings."""
        return {"licence": self.licence, **super().provenance()}
