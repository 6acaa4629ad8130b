"""Your own images: a folder per class, or a table of files and labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..data import Sample
from ..errors import CapabilityError, DataError, UsageError
from .base import Source
from .labelled_files import Found, Recording, by_split, check_share, digest, find, refusal

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
_MODES = {"grey": "L", "rgb": "RGB"}


@dataclass(frozen=True)
class ImageFolder(Source):
    """Images (PNG, JPEG and others that Pillow reads) in a folder per class.

    The folder holds ``CLASS/…`` or ``train/CLASS/…`` and ``test/CLASS/…``; or a CSV file has the columns ``path``,
    ``label`` and, where the data has its own split, ``split``. Without one a share of each class is test, chosen by a
    seeded hash of the path, so that the choice is the same on every machine. Samples are in the order of such a hash
    too: any run of them mixes the classes.

    Parameters
    ----------
    path
        The folder, or the CSV file.
    size
        (row, column) to which every image is resized (bilinear, with Pillow). Where empty all must be of one
        size.
    mode
        ``"grey"``: (row, column), or ``"rgb"``: (row, column, 3).
    test_share
        Share of each class that is test where the folder has no split of its own; may be 0.
    split_seed
        Another number gives another choice.
    licence
        Note kept with the store.
    """

    name: ClassVar[str] = "images"

    path: str = ""
    size: tuple[int, ...] = ()
    mode: str = "grey"
    test_share: float = 0.2
    split_seed: int = 0
    licence: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", tuple(self.size))
        if self.mode not in _MODES:
            raise UsageError(f"images: got mode {self.mode!r}", '"grey" or "rgb"')
        if self.size and (len(self.size) != 2 or min(self.size) < 1):
            raise UsageError(f"images: got size {list(self.size)}", "[rows, columns]")
        check_share(self.name, self.test_share)

    @cached_property
    def _found(self) -> Found:
        return find(self.path, "images", _SUFFIXES)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the class folders, or the labels, sorted."""
        return self._found.classes

    @cached_property
    def _files(self) -> dict[str, list[Recording]]:
        if self._found.faults:
            raise refusal(self.path, self._found.faults)
        return by_split(self._found.divided(self.test_share, self.split_seed))

    def splits(self) -> Mapping[str, int]:
        """Return split name → number of images: ``train``, then ``test`` unless it is empty."""
        return {split: len(files) for split, files in self._files.items()}

    def read(self, split: str, index: int) -> Sample:
        """Return one image, uint8 (row, column) or (row, column, 3); its id is its path inside the folder."""
        found = self._files[split][index]
        file = found.file
        image = self._decode(file)
        if not self.size and image.shape != self._shape:
            raise DataError(
                f"{file} has shape {image.shape}",
                f"{self._shape}, like the first image",
                "Set source.size=[rows, columns] to resize all images, or remove this one.",
            )
        return Sample(image, found.label, found.id)

    @cached_property
    def _shape(self) -> tuple[int, ...]:
        return self._decode(next(iter(self._files.values()))[0].file).shape

    def _decode(self, file: Path) -> NDArray[np.uint8]:
        try:
            from PIL import Image
        except ImportError as error:
            raise CapabilityError(
                "reading images needs Pillow, which is not installed",
                "",
                "Run: pip install 'spikeprep[images]'.",
            ) from error
        try:
            with Image.open(file) as opened:
                if opened.mode.startswith(("I", "F")):
                    raise DataError(
                        f"{file} has more than 8 bits a pixel (mode {opened.mode})",
                        "8 bits",
                        "Convert it to 8 bits.",
                    )
                image = opened.convert(_MODES[self.mode])
                if self.size:
                    image = image.resize((self.size[1], self.size[0]), Image.Resampling.BILINEAR)
                return np.asarray(image, np.uint8)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise DataError(
                f"cannot read {file} ({error})", "an image", "Replace or remove the file."
            ) from error

    def provenance(self) -> dict[str, Any]:
        """Return the licence note and one sha256 over the sha256 and path of every file."""
        every = (found for files in self._files.values() for found in files)
        return {"licence": self.licence, "sha256": digest(every)}
