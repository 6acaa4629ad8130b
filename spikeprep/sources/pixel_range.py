"""Which value of a pixel is white: where a data set leaves that open it is refused, not encoded as near silence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .levels import Groups, Part

_BLACK = 1 / 15  # of white, at most: the brightest pixel of images that look black
_DARK = 1 / 4  # of white, at most: the brightest pixel of images that may be of 2 bits less than their format
_BROKEN = 1e-4  # of the pixels, at most, are broken
_FEW = 3  # images: parts of fewer are judged image by image
_SHARE = 1 / 5  # of the images that are nearly black: too many for an accident

FIRST_LIGHT = np.uint8(18)
"""The first byte above a fifteenth of white."""

OWN_WHITE = ("1-bit", "palette", "alpha")
"""Kinds of images whose white is never in doubt, and that a user's white does not change."""


@dataclass(frozen=True)
class PixelRanges:
    """The range of the pixels of each image.

    Attributes
    ----------
    path
        Of the data set, for messages.
    groups
        What each image belongs to.
    brightest, white
        The largest value of its pixels, and the value that stands for white: the format's, or the user's.
    stated
        Whether the user stated which value is white.
    bulk
        As `brightest`, but without a few white pixels; see `bulk_level`.
    image_id
        Number of an image → its name.
    brighter
        A factor → how a user makes pixels so many times brighter.
    """

    path: str
    groups: Groups
    brightest: NDArray[np.float64]
    white: NDArray[np.float64]
    stated: bool
    bulk: NDArray[np.float64]
    image_id: Callable[[int], str]
    brighter: Callable[[float], str]

    def findings(self) -> list[str]:
        """Return a text on each part of the images, and on single images, that may have another white than assumed.

        Raises
        ------
        DataError
            All images are black; or no pixel of all images, of those with one type of pixels (8 or 16 bits …) or of
            those of one split is above a fifteenth of white, and the user did not state which value is white.
        """
        level = self.brightest / self.white
        if not level.any():
            hint = "Check that these are the files that you mean to encode."
            raise DataError(f"the images of {self.path} are black", "pixels above 0", hint)
        black = self.groups.low(level, _BLACK, _FEW, _FEW)
        if self.stated:  # such a data set is as dark as the user says
            black = [part for part in black if not part.all or self._have_own_white(part.members)]
        else:
            for part in black:
                if " of class " not in part.name:
                    raise self._refusal(part)
        reported = np.zeros(len(level), bool)
        texts = []
        for part in [*black, *self.groups.low(level, _DARK, _FEW, _FEW)]:
            if not reported[part.members].any() and not (self.stated and part.all):
                reported[part.members] = True
                texts.append(self._text(part))
        odd = self._odd_images(np.flatnonzero((level > 0) & (level <= _BLACK) & ~reported))
        return [*texts, *odd, *self._bulk_texts(reported)]

    def _refusal(self, part: Part) -> DataError:
        brightest, white, likely = self._values(part.members)
        return DataError(
            f"the {part.name} of {self.path} have no pixel above {brightest:g}, where {white:g} is white",
            "images that use their range" if part.all else "the range of the other images",
            f"If {likely:g} is white, {self._fix(part.members)}; "
            f"if they are so dark, use source.white={self.white.max():g}.",
        )

    def _text(self, part: Part) -> str:
        brightest, white, likely = self._values(part.members)
        unlike = "" if part.all else ", unlike the others"
        return (
            f"the {part.name} have no pixel above {brightest:g}, where {white:g} is white{unlike}: if {likely:g} is "
            f"white, {self._fix(part.members)}"
        )

    def _bulk_texts(self, reported: NDArray[np.bool_]) -> Iterator[str]:
        """Yield a text on each part whose images are nearly black but for a few white pixels.

        These are broken pixels of a camera, or a mark for no value, as 255 in maps of labels.
        """
        for part in self.groups.low(self.bulk / self.white, _BLACK, _FEW, _FEW):
            if not reported[part.members].any() and not (self.stated and part.all):
                reported[part.members] = True
                bulk, white = float(self.bulk[part.members].max()), float(self.white[part.members].max())
                likely = likely_white(bulk)
                yield (
                    f"the {part.name} have no pixel above {bulk:g} but for a few of about {white:g}, which is white: "
                    f"if {likely:g} is white, {self.brighter(white / likely)}; "
                    f"if they are so dark, use source.white={white:g}"
                )

    def _odd_images(self, black: NDArray[np.intp]) -> Iterator[str]:
        """Yield a text on images that look black one by one, where they are more likely on another scale.

        A dark image may be among others. Masks of 0 and 1 are not, nor are several images that end at one power of 2.
        """
        values, numbers = np.unique(self.brightest[black], return_counts=True)
        if not values.size:
            return
        most, number = values[np.argmax(numbers)], int(numbers.max())
        likely = likely_white(float(most))
        if values[0] == 1:
            odd = black[self.brightest[black] == 1]
        elif most == likely and number > 1 and 2 * number >= len(black):
            odd = black[self.brightest[black] == most]
        elif len(black) >= max(_FEW, _SHARE * len(self.white)):
            odd = black
        else:
            return
        brightest, white, likely = self._values(odd)
        have = "images have" if len(odd) > 1 else "image has"
        yield (
            f"{len(odd):,} {have} no pixel above {brightest:g}, where {white:g} is white, unlike the others, such as "
            f"{self.image_id(int(odd[0]))}: if {likely:g} is white there, {self._fix(odd)}"
        )

    def _values(self, members: NDArray[np.intp]) -> tuple[float, float, float]:
        """Return the largest value of the pixels of images, their white, and the value that is likely to be white."""
        brightest = float(self.brightest[members].max())
        return brightest, float(self.white[members].max()), likely_white(brightest)

    def _have_own_white(self, members: NDArray[np.intp]) -> bool:
        return all(self.groups.kinds[kind] in OWN_WHITE for kind in np.unique(self.groups.kind[members]))

    def _fix(self, members: NDArray[np.intp]) -> str:
        """Return how images get the likely white: by the setting, where that changes no other image."""
        _, white, likely = self._values(members)
        own = np.isin(self.groups.kind, [n for n, kind in enumerate(self.groups.kinds) if kind in OWN_WHITE])
        fits = own | (self.brightest <= np.minimum(self.white, likely))
        if fits.all() and not own[members].any() and not self.stated:
            return f"use source.white={likely:g}"
        return self.brighter(white / likely)


def dark_arrays(brightest: int) -> list[str]:
    """Return a text on arrays of bytes that are nearly black, by their largest value, as a list of none or one."""
    if not 0 < brightest <= 255 * _BLACK:
        return []
    likely = likely_white(brightest)
    return [
        f"the images have no pixel above {brightest}, where 255 is white: if {likely:g} is white, "
        f"multiply them by {255 / likely:.6g}, or give bool, or floats up to 1"
    ]


def bulk_level(image: NDArray[np.uint8]) -> int:
    """Return the largest value of an image's pixels without few white ones that stand alone; else 255.

    They stand alone where nothing is between them and a fifteenth of white, and more than twice as many pixels above 0
    are below that. On a ground of one value other than 0 they are the picture.
    """
    between = np.count_nonzero(image - FIRST_LIGHT < 255 - FIRST_LIGHT)  # bytes: what is darker wraps around
    if between > max(1, image.size * _BROKEN):
        return 255
    counts = np.bincount(image.ravel(), minlength=256)
    dark, light = counts[:FIRST_LIGHT], int(counts[FIRST_LIGHT:].sum())
    values, lit = np.flatnonzero(dark[1:]) + 1, int(dark[1:].sum())
    if not light or 2 * light >= lit or (len(values) == 1 and dark[0] < lit):
        return 255
    return int(values[-1])


def likely_white(brightest: float) -> float:
    """Return the white of images of which this is the largest value: 2^n − 1, or 2^n where it is that.

    Below 1, as of floating-point images that use a part of their range, it is the value itself.
    """
    if brightest < 1:
        return brightest
    bits = (int(brightest) - 1).bit_length()
    return 1 << bits if brightest == 1 << bits else (1 << int(brightest).bit_length()) - 1
