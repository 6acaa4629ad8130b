"""Images of the user: a folder per class, or a table of files and labels."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..config import Share
from ..data import Sample
from ..errors import CapabilityError, DataError, UsageError
from ..input_files import read_input
from .base import FileSource, LimitedFiles, Size, sample_digest
from .labelled_files import (
    LabelledFiles,
    Recording,
    SeenFiles,
    bad_files_error,
    by_split,
    files_digest,
    find_labelled_files,
)

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
_MODES = {"grey": "L", "rgb": "RGB"}

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
"""What Pillow may decode: it knows others that run programs, such as Ghostscript for EPS, or that few people test."""

_BYTES_PER_PIXEL = 12  # of an image, its conversion and its array


@dataclass(frozen=True)
class ImageFolder(FileSource, LimitedFiles):
    """Images in a folder per class, or named in a CSV file.

    They are PNG, JPEG, GIF, BMP, TIFF, WebP or PPM; content decides, not the name. The folder holds ``CLASS/…`` or
    ``train/CLASS/…`` and ``test/CLASS/…``. A CSV file has the columns ``path``, ``label`` and, where the data have a
    split, ``split``. Without a split, a share of each class is test, chosen by a seeded hash of the path, so that the
    choice is the same on every machine. Samples are in the order of such a hash too, so that any range of them mixes
    the classes.

    Parameters
    ----------
    path
        The folder, or the CSV file.
    size
        (row, column) in pixels to which every image is resized (bilinear, with Pillow). Where empty, all must
        have one size.
    mode
        ``"grey"``: (row, column), or ``"rgb"``: (row, column, 3).
    test_share
        Share of each class that is test where the data have no split; may be 0.
    split_seed
        Seed of that choice and of the order.
    licence
        Licence note kept with the store.
    outside
        Whether a CSV file may name files that are not below its own folder, links resolved.
    """

    name: ClassVar[str] = "images"

    path: str = ""
    size: Size = ()
    mode: Literal["grey", "rgb"] = "grey"
    test_share: Share = 0.2
    split_seed: int = 0
    licence: str = ""
    outside: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.size) == 1:
            raise UsageError(f"got images.size = {list(self.size)}", "[rows, columns] in pixels")

    @cached_property
    def _labelled(self) -> LabelledFiles:
        return find_labelled_files(self.path, "images", _SUFFIXES, self.outside, self.limits)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the class folders, or the labels, sorted."""
        return self._labelled.classes

    @cached_property
    def _files(self) -> dict[str, list[Recording]]:
        if self._labelled.bad:
            raise bad_files_error(self.path, self._labelled.bad)
        return by_split(self._labelled.recordings(self.test_share, self.split_seed), self.limit)

    def splits(self) -> Mapping[str, int]:
        """Return split name → number of images: ``train``, then ``test`` unless it is empty."""
        return {split: len(files) for split, files in self._files.items()}

    def read(self, split: str, index: int) -> Sample:
        """Return one image, uint8 (row, column) or (row, column, 3); its id is its path inside the folder."""
        recording = self._files[split][index]
        image = self._decode(recording)
        if not self.size and image.shape != self._shape:
            raise DataError(
                f"{recording.file} has shape {image.shape}",
                f"{self._shape}, like the first image",
                "To resize all images use source.size=[rows,columns], or remove this one.",
            )
        return Sample(image, recording.label, recording.id)

    def outline(self, split: str, index: int) -> NDArray[np.uint8]:
        """Return a black image of the shape of all; decodes one file at most."""
        return np.broadcast_to(np.uint8(0), self._shape)

    @cached_property
    def _shape(self) -> tuple[int, ...]:
        if self.size:
            return (*self.size, 3) if self.mode == "rgb" else self.size
        return self._decode(next(iter(self._files.values()))[0]).shape

    @cached_property
    def _seen(self) -> SeenFiles:
        return SeenFiles()

    def digest(self, split: str, index: int) -> bytes:
        """Return a digest of what a sample was read from."""
        recording = self._files[split][index]
        sha256 = self._seen.get(recording)
        return sample_digest(sha256, recording.label, recording.id) if sha256 else b""

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
            fix = "Convert it to one of them, or remove the file."
            raise DataError(f"cannot read {file}", f"an image: {', '.join(FORMATS)}", fix) from error
        except Exception as error:  # Pillow's decoders raise whatever damaged bytes lead to
            raise DataError(
                f"cannot read {file} ({error})", "an image", "Replace or remove the file."
            ) from error
        self._seen.check(recording, sha256)
        return array

    def provenance(self) -> dict[str, Any]:
        """Return the licence note and one sha256 over the sha256 and path of every file."""
        recordings = (recording for files in self._files.values() for recording in files)
        return {"licence": self.licence, "sha256": files_digest(recordings, self._seen)}
