"""Image files → arrays of bytes: orientation, transparency and range, each as the file states it, or refused."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import CapabilityError, DataError, UsageError
from ..input_files import Limits
from .labelled_files import BadFile
from .other_files import other_kind
from .pixel_range import OWN_WHITE, bulk_level, likely_white

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
"""What Pillow may decode: it knows others that run programs, such as Ghostscript for EPS, or that few people test."""

Mode = Literal["grey", "rgb"]
Alpha = Literal["auto", "ignore", "only", "black", "white"]

_MODES = {"grey": "L", "rgb": "RGB"}
_BYTES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV")
_KINDS = {"1": "1-bit", "P": "palette", "PA": "palette"}  # by mode
_BYTES_PER_PIXEL = 12  # of an image, its conversion and its array
_ORIENTATION = 0x0112  # the EXIF tag
_UPRIGHT = (None, None, "FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE", "ROTATE_270",
            "TRANSVERSE", "ROTATE_90")  # what each orientation needs  # fmt: skip
_GREY_NOISE = 16  # differences between the channels of a grey image that a JPEG encoder leaves
_ROUNDING = 1 + 1e-5  # of a white that is given as a message shows it, in six digits
_ONE_COLOUR = 2  # of 255: differences between visible pixels of one colour that rounding leaves


@dataclass(frozen=True)
class ImageReading:
    """How image files become arrays; see `spikeprep.sources.images.ImageFolder` for the settings.

    Attributes
    ----------
    mode, size, white, alpha, limits
        As there.
    """

    mode: Mode
    size: tuple[int, ...]
    white: float
    alpha: Alpha
    limits: Limits


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded image, and what was decided about it.

    Attributes
    ----------
    shape
        (row, column) or (row, column, 3).
    array
        The pixels, uint8; None where they are not kept.
    kind
        What its pixels are: ``"8-bit"``, ``"16-bit"``, ``"32-bit"``, ``"floating-point"``, or one of
        `spikeprep.sources.pixel_range.OWN_WHITE`.
    brightest, white
        The largest value of the file's pixels, and the value that stands for white; 0: not of interest.
    bulk
        As `brightest`, but without a few white pixels; see `spikeprep.sources.pixel_range.bulk_level`.
    colour
        Whether colours became grey levels.
    turned
        Whether it was turned or mirrored, as its EXIF orientation says.
    transparency
        ``"opaque"``; ``"picture"``: the alpha channel is the picture; ``""``: neither.
    """

    shape: tuple[int, ...]
    array: NDArray[np.uint8] | None
    kind: str = "8-bit"
    brightest: float = 0
    white: float = 0
    bulk: float = 0
    colour: bool = False
    turned: bool = False
    transparency: str = "opaque"

    def without_pixels(self) -> Picture:
        """Return the facts alone."""
        return replace(self, array=None)


def decode_image(id_: str, data: bytes, reading: ImageReading) -> Picture:
    """Decode the bytes of a file.

    Parameters
    ----------
    id_
        The file's name in messages.
    data
        Its content.
    reading
        The settings.

    Raises
    ------
    BadFile
        It is no image, damaged, has several frames, or what its pixels mean is not stated.
    DataError
        It takes more memory than allowed.
    CapabilityError
        Pillow is not installed.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise CapabilityError(
            "reading images needs Pillow, which is not installed", "", "Run: pip install 'spikeprep[images]'."
        ) from error
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            reading.limits.check_bytes(id_, len(data) + _BYTES_PER_PIXEL * math.prod(image.size))
            # the first picture of an MPO file, as cameras write, is the photo; others are views or previews of it
            if getattr(image, "is_animated", False) and image.format != "MPO":
                fix = "encode it with the recipe video, or keep one of them: magick 'IN[0]' OUT.png"
                raise BadFile(id_, "has several frames (expected one picture)", fix)
            return picture_of(id_, image, reading)
    except (BadFile, DataError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        if kind := other_kind(data, "image"):
            raise BadFile(id_, f"is {kind.name} (expected {', '.join(FORMATS)})", kind.fix) from error
        fix = "convert it to one of them, or remove it"
        raise BadFile(id_, f"is no image (expected {', '.join(FORMATS)})", fix) from error
    except Exception as error:  # Pillow's decoders raise whatever damaged bytes lead to
        raise BadFile(id_, f"cannot be read as an image ({error})", "replace or remove it") from error


def picture_of(id_: str, image: Image, reading: ImageReading) -> Picture:
    """Decode an image, or the frame of it that was chosen; raises `BadFile` where its pixels' meaning is not stated."""
    deep = any(";16" in str(tile[3]) for tile in getattr(image, "tile", ())) and image.mode in _BYTES
    image, turned = _upright(image)
    grey = reading.mode == "grey"
    transparency = "opaque"
    kind = _KINDS.get(image.mode, "8-bit")
    if image.mode.startswith(("I", "F")):
        kind = _large_kind(image)
        image, brightest, white, bulk = _from_large_values(id_, image, kind, reading)
    elif deep and reading.white not in (0, 255, 65_535):
        factor = (255 if reading.white <= 255 else 65_535) / reading.white
        raise BadFile(
            id_,
            "has colours or transparency in 16 bits, of which the upper 8 are read (expected 65535 as white)",
            f"use source.white=0, and {brighter(factor)}",
        )
    elif image.mode not in _BYTES:
        raise BadFile(
            id_, f"has the colour space {image.mode} (expected grey, RGB or CMYK)", "convert it to RGB"
        )
    else:
        brightest, white, bulk = 0.0, 255.0, 0.0
        image, transparency = _opaque(id_, image, reading)
        kind = "alpha" if transparency == "picture" else kind
        # whatever their bytes, others are black and white, or colours of a palette
        if 0 < reading.white <= 255 and kind == "8-bit":
            image, brightest, white, bulk = _scaled(id_, np.asarray(_byte_image(image)), reading.white)
    colour = grey and image.mode != "L" and _has_colour(image)
    if colour and not brightest:  # the grey level of a pure colour is low
        brightest = max(np.ravel(_byte_image(image).getextrema()).tolist())
    image = image.convert(_MODES[reading.mode])
    if not brightest:
        brightest = max(np.ravel(image.getextrema()).tolist())
    if not bulk:
        bulk = float(brightest if kind in OWN_WHITE else min(bulk_level(np.asarray(image)), brightest))
    if reading.size:
        rows, columns = reading.size
        image = image.resize((columns, rows), _resampling())
    array = np.asarray(image, np.uint8)
    array.flags.writeable = False
    return Picture(array.shape, array, kind, brightest, white, bulk, colour, turned, transparency)


def _resampling() -> Any:
    from PIL import Image

    return Image.Resampling.BILINEAR


def _upright(image: Image) -> tuple[Image, bool]:
    """Return an image as its EXIF orientation wants it seen, and whether that changed it."""
    from PIL import Image as pillow

    before = _orientation(image) if image.format == "TIFF" else 1  # such a file's is applied as it is loaded
    image.load()
    way = _UPRIGHT[_orientation(image)]
    return (image.transpose(pillow.Transpose[way]) if way else image), bool(way) or before > 1


def _orientation(image: Image) -> int:
    """Return the EXIF orientation, 1 to 8: 1, upright, where none is stated, or none that can be read."""
    with suppress(Exception):  # damaged EXIF data
        value = int(image.getexif().get(_ORIENTATION, 1))
        return value if 1 < value < len(_UPRIGHT) else 1
    return 1


def _large_kind(image: Image) -> str:
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        return "16-bit"
    return "floating-point" if image.mode == "F" else "32-bit"


def _from_large_values(
    id_: str, image: Image, kind: str, reading: ImageReading
) -> tuple[Image, float, float, float]:
    """Scale pixels of more than 8 bits; their white is stated by the format, or else must be by the user."""
    if not reading.white and kind != "16-bit":
        raise BadFile(
            id_,
            f"has {kind} pixels, and does not state which value is white",
            "state it: use source.white=VALUE",
        )
    return _scaled(id_, np.asarray(image), reading.white or 65_535)


def _scaled(id_: str, values: NDArray[Any], white: float) -> tuple[Image, float, float, float]:
    """Return an image whose 255 is the value `white`, and its `Picture.brightest`, `white` and `bulk`."""
    from PIL import Image

    brightest, darkest = float(values.max()), float(values.min())
    if not (darkest >= 0 and brightest <= white * _ROUNDING):  # NaN is neither
        fix = "convert it to values of at least 0"
        if np.isfinite(brightest) and darkest >= 0:
            largest = likely_white(brightest) if values.dtype.kind in "iub" else brightest
            fix = (
                f"state the largest value that is white: use source.white={largest:g}; "
                f"if white is {white:g} in other images, {brighter(largest / white)} there"
            )
        raise BadFile(id_, f"has pixels from {darkest:g} to {brightest:g} (expected 0 to {white:g})", fix)
    pixels = np.rint(values * (255 / white)).astype(np.uint8)
    level = bulk_level(pixels)
    bulk = brightest if level == 255 else float(values[pixels <= level].max())
    return Image.fromarray(pixels), brightest, float(white), bulk


def brighter(factor: float) -> str:
    """Return how a user makes the pixels of image files so many times brighter."""
    return f"multiply the pixels, for example: magick IN.png -evaluate multiply {factor:.6g} OUT.png"


def _byte_image(image: Image) -> Image:
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _has_colour(image: Image) -> bool:
    from PIL import ImageChops

    red, green, blue = image.convert("RGB").split()
    differences = (ImageChops.difference(red, green), ImageChops.difference(green, blue))
    return any(np.max(difference.getextrema()) > _GREY_NOISE for difference in differences)


# ---------------------------------------------------------------- transparency


def _opaque(id_: str, image: Image, reading: ImageReading) -> tuple[Image, str]:
    """Return an image without transparency, and what its alpha channel was; see `Picture.transparency`."""
    from PIL import Image as pillow

    transparent = image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
    layers = image.convert("RGBA") if transparent else None
    alpha = layers.getchannel("A") if layers else None
    if layers is None or alpha is None or alpha.getextrema() == (255, 255):
        if reading.alpha == "only":
            raise BadFile(id_, "is opaque (expected a picture in the alpha channel)", "set source.alpha=auto")
        return image, "opaque"
    match reading.alpha:
        case "ignore":
            return image.convert("RGB"), ""
        case "only":
            return alpha, "picture"
        case "black" | "white" as ground:
            return pillow.alpha_composite(pillow.new("RGBA", layers.size, ground), layers), ""
    values = np.asarray(layers)
    colours, visibility = values[..., :3].astype(np.int32), values[..., 3]
    drawn = colours.reshape(-1, 3)[np.argmax(visibility)]
    hidden = not visibility.any()
    weight = np.where(hidden, 255, visibility)  # of a wholly transparent image, what is hidden counts
    if (np.abs(colours - drawn).max(axis=2) * weight > _ONE_COLOUR * 255).any():
        raise BadFile(
            id_,
            "is transparent, though it has a picture" if hidden else "is transparent in part",
            "state how that is meant: use source.alpha=white or source.alpha=black for what is behind it, "
            "source.alpha=only where the alpha channel is the picture, or source.alpha=ignore",
        )
    if reading.mode == "rgb" and not hidden:
        raise BadFile(
            id_,
            "is of one colour, with its picture in the alpha channel",
            "use source.mode=grey, or state what is behind it: use source.alpha=white or source.alpha=black",
        )
    return alpha, "" if hidden else "picture"


def check_size(size: Sequence[int], owner: str) -> None:
    """Raise `UsageError` where the setting `size` of a source is neither empty nor (row, column)."""
    if len(size) == 1:
        raise UsageError(f"got {owner}.size = {list(size)}", "[rows, columns] in pixels")
