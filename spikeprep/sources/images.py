"""A folder of images per class."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..data import Sample
from ..errors import CapabilityError, DataError, UsageError
from .base import Source, file_sha256

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
_MODES = {"grey": "L", "rgb": "RGB"}
_LAYOUT = "CLASS/IMAGE.png, or train/CLASS/IMAGE.png and test/CLASS/IMAGE.png"


@dataclass(frozen=True)
class ImageFolder(Source):
    """Images (PNG, JPEG and others that Pillow reads) in a folder per class.

    The folder holds ``CLASS/…`` or ``train/CLASS/…`` and ``test/CLASS/…``. Without ``train`` and ``test`` a
    share of each class is test, chosen by a seeded hash of the path, so that the choice is the same on every
    machine. Samples are in the order of such a hash too: any run of them mixes the classes.

    Parameters
    ----------
    path
        The folder.
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
        if not 0 <= self.test_share < 1:
            raise UsageError(f"images: got test_share {self.test_share}", "a share in [0, 1)")

    @cached_property
    def _folders(self) -> dict[str, Path]:
        root = Path(self.path)
        if not self.path or not root.is_dir():
            raise DataError(f"no folder {self.path!r}", _LAYOUT, "Give the folder of the images as --source.")
        own = {split: root / split for split in ("train", "test") if (root / split).is_dir()}
        return own if "train" in own else {"": root}

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Names of the class folders, sorted."""
        names = {
            folder.name
            for root in self._folders.values()
            for folder in root.iterdir()
            if folder.is_dir() and not folder.name.startswith(".")
        }
        if not names:
            raise DataError(
                f"{self.path} has no class folders", _LAYOUT, "Put each class's images in a folder."
            )
        return tuple(sorted(names))

    def _hash(self, purpose: str, name: str) -> bytes:
        return hashlib.blake2b(f"{self.split_seed}/{purpose}/{name}".encode(), digest_size=16).digest()

    @cached_property
    def _files(self) -> dict[str, list[tuple[Path, int]]]:
        root = Path(self.path)
        found: dict[str, list[tuple[Path, int]]] = {}
        for split, folder in self._folders.items():
            for label, name in enumerate(self.classes):
                files = [
                    f for f in (folder / name).rglob("*") if f.suffix.lower() in _SUFFIXES and f.is_file()
                ]
                if not files and split != "test":
                    raise DataError(
                        f"{folder / name} has no images", f"files ending in {' '.join(_SUFFIXES)}",
                        "Put the images of the class there, or remove the folder.",
                    )  # fmt: skip
                files.sort(key=lambda f: self._hash("split", f.relative_to(root).as_posix()))
                test = round(self.test_share * len(files)) if not split else 0
                if test:
                    found.setdefault("test", []).extend((f, label) for f in files[:test])
                found.setdefault(split or "train", []).extend((f, label) for f in files[test:])
        for files_of_split in found.values():
            files_of_split.sort(key=lambda entry: self._hash("order", entry[0].relative_to(root).as_posix()))
        return {split: found[split] for split in ("train", "test") if found.get(split)}

    def splits(self) -> Mapping[str, int]:
        """Return split name → number of images: ``train``, then ``test`` unless it is empty."""
        return {split: len(files) for split, files in self._files.items()}

    def read(self, split: str, index: int) -> Sample:
        """Return one image, uint8 (row, column) or (row, column, 3); its id is its path inside the folder."""
        file, label = self._files[split][index]
        image = self._decode(file)
        if not self.size and image.shape != self._shape:
            raise DataError(
                f"{file} has shape {image.shape}",
                f"{self._shape}, like the first image",
                "Set source.size=[rows, columns] to resize all images, or remove this one.",
            )
        return Sample(image, label, file.relative_to(self.path).as_posix())

    @cached_property
    def _shape(self) -> tuple[int, ...]:
        return self._decode(self._files["train"][0][0]).shape

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
        digest = hashlib.sha256()
        for file in sorted(file for files in self._files.values() for file, _ in files):
            digest.update(f"{file_sha256(file)}  {file.relative_to(self.path).as_posix()}\n".encode())
        return {"licence": self.licence, "sha256": digest.hexdigest()}
