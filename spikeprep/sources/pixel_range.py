"""Which value of a pixel is white: where a data set leaves that open it is refused, not encoded as near silence."""

from __future__ import annotations

from ..errors import DataError

_DARK = 15  # times the brightest pixel is white at least, in images whose range is in doubt


def check_range(what: str, brightest: float, white: float) -> None:
    """Raise `DataError` where the brightest pixel of all images is nearly black: values of 0 and 1, 12 of 16 bits.

    Parameters
    ----------
    what
        Names the images.
    brightest
        The largest value of their pixels.
    white
        The value that the format calls white.
    """
    if not brightest:
        raise DataError(
            f"{what} are black", "pixels above 0", "Check that these are the files that you mean to encode."
        )
    if _DARK * brightest <= white:
        bits = (int(brightest) - 1).bit_length()
        likely = 1 << bits if brightest == 1 << bits else (1 << int(brightest).bit_length()) - 1
        raise DataError(
            f"{what} have no pixel above {brightest:g}, where {white:g} is white",
            "images that use their range",
            f"If {likely} is white, use source.white={likely}; if they are so dark, use source.white={white:g}.",
        )
