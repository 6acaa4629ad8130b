"""Images of the user: a folder per class, or a table of files and labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..config import NonNegative
from ..data import Sample
from ..input_files import read_input
from .base import Size
from .checked_files import CheckedFile, CheckedFiles
from .image_files import Alpha, ImageReading, Mode, Picture, check_size, decode_image
from .kept_pixels import Room, range_findings
from .labelled_files import BadFile, Recording
from .labelled_source import LabelledSource

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
_KEPT_BYTES = 256 << 20  # of decoded images, so that most data sets are read and decoded once


@dataclass(frozen=True)
class ImageFiles(CheckedFiles[Picture]):
    """Base of the sources of images in files.

    Images are turned as their EXIF orientation says. Pixels of 1, 8 and 16 bits are scaled so that the format's white
    is 255. Files of several frames are refused.

    Parameters
    ----------
    size
        (row, column) in pixels to which every image is resized (bilinear, with Pillow). Where empty, all must
        have one size.
    mode
        ``"grey"``: (row, column), or ``"rgb"``: (row, column, 3).
    white
        The value of a pixel that is white, which becomes 255; 0: what the format says, 255 or 65,535. Files that do
        not say (floating point, 32 bits), or whose pixels are all far below (values of 0 and 1, 12 of 16 bits),
        need it. Where it is above 255, it is that of the files of more than 8 bits; 255 is white in the others.
    alpha
        What transparency means. ``"auto"``: opaque images are as they are; where every visible pixel has one colour,
        and the mode is grey, the alpha channel is the picture (strokes are bright, the ground is black); others are
        refused. ``"white"`` or ``"black"``: what is behind the image. ``"only"``: the alpha channel is the picture.
        ``"ignore"``: colours are taken as they are, whether they can be seen or not.
    """

    endings: ClassVar[str] = " ".join(_SUFFIXES)
    later_settings: ClassVar[tuple[str, ...]] = ("skip_bad", "white", "alpha")

    size: Size = ()
    mode: Mode = "grey"
    white: NonNegative = 0
    alpha: Alpha = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_size(self.size, self.name)

    @property
    def file_endings(self) -> Sequence[str]:
        """Endings of the names of image files."""
        return _SUFFIXES

    @cached_property
    def _reading(self) -> ImageReading:
        return ImageReading(self.mode, self.size, self.white, self.alpha, self.limits)

    @cached_property
    def _room(self) -> Room:
        return Room(_KEPT_BYTES)

    def _check_file(self, recording: Recording) -> tuple[str, Picture]:
        data, sha256 = read_input(recording.file, self.limits)
        picture = decode_image(recording.id, data, self._reading)
        kept = picture.array is not None and self._room.take(picture.array.nbytes)
        return sha256, picture if kept else picture.without_pixels()

    def _find_outliers(self, files: Sequence[CheckedFile[Picture]]) -> Sequence[BadFile]:
        """Return the files of another size, unless all are resized, and those of another kind of transparency."""
        outliers: list[BadFile] = []
        if not self.size and files:
            common = Counter(file.facts.shape for file in files).most_common(1)[0][0]
            fix = f"resize all images: use source.size=[{common[0]},{common[1]}]"
            outliers += [
                _of_other_size(file.id, file.facts.shape, common, fix)
                for file in files
                if file.facts.shape != common
            ]
        drawn = [file for file in files if file.facts.transparency == "picture"]
        opaque = [file for file in files if file.facts.transparency == "opaque"]
        if drawn and opaque and self.alpha == "auto":
            fix = "state what is behind all of them: use source.alpha=white or source.alpha=black"
            if len(drawn) < len(opaque):
                what = (
                    f"has its picture in the alpha channel, unlike {len(opaque):,} others, which are opaque"
                )
                outliers += [BadFile(file.id, what, fix) for file in drawn]
            else:
                what = f"is opaque, unlike {len(drawn):,} others, whose picture is in the alpha channel"
                outliers += [BadFile(file.id, what, fix) for file in opaque]
        return outliers

    def _findings(self, files: Sequence[CheckedFile[Picture]]) -> Sequence[str]:
        """Return what deserves attention; raises `DataError` where images are nearly black."""
        ranges = range_findings(self, "images", files, [file.facts for file in files], self.white > 0)
        return [*super()._findings(files), *ranges]

    def _notes(self, files: Sequence[CheckedFile[Picture]]) -> Sequence[str]:
        """Return what was decided for a part of the images."""
        pictures = [file.facts for file in files]
        texts = {
            "turned as the EXIF orientation says": [picture.turned for picture in pictures],
            "in colour, of which the grey levels are encoded; source.mode=rgb keeps the colours": [
                picture.colour for picture in pictures
            ],
            "read from the alpha channel, which has the picture": [
                picture.transparency == "picture" and self.alpha == "auto" for picture in pictures
            ],
        }
        return [
            f"{sum(which):,} of {len(pictures):,} images {'is' if sum(which) == 1 else 'are'} {text}"
            for text, which in texts.items()
            if any(which)
        ]

    def read(self, split: str, index: int) -> Sample:
        """Return one image, uint8 (row, column) or (row, column, 3); its id is its path inside the folder."""
        recording = self._recording(split, index)
        checked = recording if isinstance(recording, CheckedFile) else None
        array = checked.facts.array if checked else None
        if array is None:
            array = self._decode(recording, checked.sha256 if checked else self._seen.get(recording))
        return Sample(array, recording.label, recording.id)

    def _decode(self, recording: Recording, expected: str) -> NDArray[np.uint8]:
        """Read an image again, or, in another process, which did not check it, for the first time."""
        data, sha256 = read_input(recording.file, self.limits, expected)
        try:
            picture = decode_image(recording.id, data, self._reading)
            if not self.size and picture.shape != (shape := self._shape):
                raise _of_other_size(
                    recording.id, picture.shape, shape, "resize all images: use source.size=[rows,columns]"
                )
        except BadFile as bad:
            raise self._refusal([bad]) from bad
        self._seen.check(recording, sha256)
        assert picture.array is not None
        return picture.array

    def outline(self, split: str, index: int) -> NDArray[np.uint8]:
        """Return a black image of the shape of all."""
        return np.broadcast_to(np.uint8(0), self._shape)

    @cached_property
    def _shape(self) -> tuple[int, ...]:
        if self.size:
            return (*self.size, 3) if self.mode == "rgb" else self.size
        first = next(iter(self._scan.files if "_scan" in vars(self) else self._listed))
        return self._file(first, 0).facts.shape


@dataclass(frozen=True)
class ImageFolder(LabelledSource, ImageFiles):
    """Images in a folder per class, or named in a CSV file.

    They are PNG, JPEG, GIF, BMP, TIFF, WebP or PPM; content decides, not the name. The folder holds ``CLASS/…``, or
    ``train/CLASS/…``, ``validation/CLASS/…`` and ``test/CLASS/…``, under the names that data sets give these splits
    (``training``, ``val``, ``TEST`` …). A CSV file has the columns ``path``, ``label`` and, where the data have a
    split, ``split``. Without a split, a share of each class is test, chosen by a seeded hash of the path, so that the
    choice is the same on every machine. Samples are in the order of such a hash too, so that any range of them mixes
    the classes.
    """

    name: ClassVar[str] = "images"
    files_are: ClassVar[str] = "images"
    later_settings: ClassVar[tuple[str, ...]] = ("test_list",)

    @property
    def suffixes(self) -> Sequence[str]:
        """Endings of the names of image files."""
        return _SUFFIXES


def _of_other_size(id_: str, shape: tuple[int, ...], common: tuple[int, ...], fix: str) -> BadFile:
    return BadFile(id_, f"has {shape[0]} × {shape[1]} pixels, not {common[0]} × {common[1]}", fix)
