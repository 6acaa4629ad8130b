"""What image files hold beside plain grey or colour: transparency, orientation, ranges, frames."""

from __future__ import annotations

import io
import re
import struct
import zlib

import numpy as np
import pytest

from spikeprep.errors import DataError
from spikeprep.sources.images import ImageFolder

from ..assets import asset
from .sound_files import put

Image = pytest.importorskip("PIL.Image")

STROKE = np.zeros((6, 5), np.uint8)
STROKE[1:5, 2] = (255, 200, 120, 255)
SHADES = np.arange(0, 240, 8, np.uint8).reshape(6, 5)  # a grey picture that fills its range


def file_bytes(image, form="PNG", **settings) -> bytes:
    stream = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(stream, form, **settings)
    return stream.getvalue()


def one(tmp_path, *contents: bytes, **settings) -> ImageFolder:
    """Return a source of files a/0.png, a/1.png, …, all of them training images."""
    for n, content in enumerate(contents):
        put(tmp_path / "a" / f"{n}.png", content)
    return ImageFolder(path=str(tmp_path), test_share=0, **settings)


def signal(tmp_path, content: bytes, **settings):
    source = one(tmp_path, content, **settings)
    source.splits()
    return source.read("train", 0).signal


def refusal(tmp_path, *contents: bytes, **settings) -> str:
    with pytest.raises(DataError) as caught:
        one(tmp_path, *contents, **settings).splits()
    return str(caught.value)


# ---------------------------------------------------------------- transparency


def inked(alpha, ink):
    return np.dstack([*(np.full_like(alpha, value) for value in ink), alpha])


def palette_image(alpha):
    """A palette of one colour, black, with a transparency for each entry."""
    levels = np.unique(alpha)
    image = Image.fromarray(np.searchsorted(levels, alpha).astype(np.uint8), "P")
    image.putpalette([0, 0, 0] * len(levels))
    return image, levels.tobytes()


@pytest.mark.parametrize("kind", ["black RGBA", "white RGBA", "red RGBA", "LA", "palette", "TIFF", "WEBP"])
def test_where_all_that_is_seen_has_one_colour_the_alpha_channel_is_the_picture(tmp_path, kind):
    match kind:
        case "LA":
            content = file_bytes(Image.fromarray(np.dstack([STROKE * 0, STROKE]), "LA"))
        case "palette":
            image, levels = palette_image(STROKE)
            content = file_bytes(image, transparency=levels)
        case "TIFF":
            content = file_bytes(inked(STROKE, (0, 0, 0)), "TIFF")
        case "WEBP":
            content = file_bytes(inked(STROKE, (0, 0, 0)), "WEBP", lossless=True)
        case _:
            ink = {"black": (0, 0, 0), "white": (255, 255, 255), "red": (200, 30, 30)}[kind.split()[0]]
            content = file_bytes(inked(STROKE, ink))
    source = one(tmp_path, content)
    assert source.splits() == {"train": 1}
    np.testing.assert_array_equal(source.read("train", 0).signal, STROKE)
    assert "alpha channel" in source.provenance()["note"]


def test_a_colour_that_stands_for_transparency_in_a_grey_png(tmp_path):
    pixels = np.where(STROKE > 0, 0, 255).astype(np.uint8)
    content = file_bytes(Image.fromarray(pixels), transparency=255)
    np.testing.assert_array_equal(signal(tmp_path, content), np.where(STROKE > 0, 255, 0))


def test_an_opaque_image_with_an_alpha_channel_is_as_without(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    opaque = np.dstack([rgb, np.full((6, 5), 255, np.uint8)])
    expected = np.asarray(Image.fromarray(rgb).convert("L"))
    np.testing.assert_array_equal(signal(tmp_path, file_bytes(opaque)), expected)
    np.testing.assert_array_equal(signal(tmp_path, file_bytes(opaque), mode="rgb"), rgb)


def test_a_picture_that_is_transparent_in_part_needs_a_ground(tmp_path):
    content = file_bytes(np.dstack([SHADES, SHADES, SHADES, STROKE]))
    text = refusal(tmp_path, content)
    assert "a/0.png is transparent in part" in text
    assert "source.alpha=white or source.alpha=black" in text
    weight = STROKE / 255
    for alpha, expected in {
        "black": SHADES * weight,
        "white": SHADES * weight + 255 * (1 - weight),
        "only": STROKE,
        "ignore": SHADES,
    }.items():
        np.testing.assert_allclose(signal(tmp_path, content, alpha=alpha), expected, atol=1)


def test_transparency_that_hides_a_picture_or_nothing(tmp_path):
    nothing = np.zeros_like(STROKE)
    hidden = file_bytes(np.dstack([SHADES, SHADES, SHADES, nothing]))
    assert "a/0.png is transparent, though it has a picture" in refusal(tmp_path, hidden)
    blank, drawn = file_bytes(inked(nothing, (0, 0, 0))), file_bytes(inked(STROKE, (0, 0, 0)))
    source = one(tmp_path, blank, drawn)
    assert source.splits() == {"train": 2}
    assert sorted(int(source.read("train", n).signal.max()) for n in range(2)) == [0, 255]


def test_opaque_images_among_strokes_in_alpha_are_refused(tmp_path):
    strokes = file_bytes(inked(STROKE, (0, 0, 0)))
    text = refusal(tmp_path, strokes, strokes, file_bytes(SHADES))
    assert "a/2.png is opaque, unlike 2 others" in text
    assert "source.alpha=white" in text
    assert one(tmp_path, alpha="white").splits() == {"train": 3}


def test_strokes_in_alpha_have_no_colour(tmp_path):
    content = file_bytes(inked(STROKE, (0, 0, 0)))
    assert "source.mode=grey" in refusal(tmp_path, content, mode="rgb")
    white = signal(tmp_path, content, mode="rgb", alpha="white")
    np.testing.assert_array_equal(white, np.dstack([255 - STROKE] * 3))


def test_an_opaque_image_has_no_alpha_to_take(tmp_path):
    assert "a/0.png is opaque" in refusal(tmp_path, file_bytes(SHADES), alpha="only")


# ---------------------------------------------------------------- orientation

WAYS = {
    1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: np.transpose,
    6: lambda a: np.rot90(a, -1), 7: lambda a: np.rot90(a.T, 2), 8: np.rot90, 9: lambda a: a,
}  # fmt: skip


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", WAYS)
def test_the_exif_orientation_is_applied(tmp_path, form, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    settings = {"quality": 100} if form == "JPEG" else {"lossless": True} if form == "WEBP" else {}
    stored = SHADES.repeat(8, 0).repeat(8, 1)  # in blocks, which a JPEG keeps
    source = one(tmp_path, file_bytes(stored, form, exif=exif.tobytes(), **settings))
    source.splits()
    np.testing.assert_allclose(source.read("train", 0).signal, WAYS[orientation](stored), atol=3)
    assert ("note" in source.provenance()) == (orientation in range(2, 9))


def test_damaged_exif_data_leave_an_image_as_it_is(tmp_path):
    content = file_bytes(SHADES.repeat(8, 0), "JPEG", exif=b"Exif\0\0not a TIFF header", quality=100)
    np.testing.assert_allclose(signal(tmp_path, content), SHADES.repeat(8, 0), atol=3)


# ---------------------------------------------------------------- ranges


@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM"])
def test_16_bits_are_scaled(tmp_path, form):
    wide = (SHADES.astype(np.uint16) * 257) + 100
    np.testing.assert_array_equal(signal(tmp_path, file_bytes(wide, form)), SHADES)


def test_12_of_16_bits_are_refused_until_white_is_stated(tmp_path):
    content = file_bytes((SHADES.astype(np.uint16) * 17), "TIFF")  # up to 3 944
    text = refusal(tmp_path, content)
    assert "no pixel above 3944, where 65535 is white" in text
    assert "If 4095 is white, use source.white=4095" in text
    np.testing.assert_allclose(signal(tmp_path, content, white=4095), SHADES * (17 * 255 / 4095), atol=0.5)
    assert signal(tmp_path, content, white=65_535).max() == 15


@pytest.mark.parametrize(("most", "likely"), [(1, 1), (2, 2), (7, 7), (12, 15), (16, 16)])
def test_masks_of_small_numbers_are_refused_until_white_is_stated(tmp_path, most, likely):
    mask = np.where(STROKE > 0, most, 0).astype(np.uint8)
    assert f"use source.white={likely};" in refusal(tmp_path, file_bytes(mask))
    expected = np.where(STROKE > 0, round(255 * most / likely), 0)
    np.testing.assert_array_equal(signal(tmp_path, file_bytes(mask), white=likely), expected)


def test_black_and_white_files_of_1_bit(tmp_path):
    image = Image.fromarray(STROKE > 0)
    assert image.mode == "1"
    for form in ("PNG", "TIFF", "BMP", "PPM"):
        np.testing.assert_array_equal(signal(tmp_path, file_bytes(image, form)), np.where(STROKE > 0, 255, 0))


def test_floats_need_a_white(tmp_path):
    content = file_bytes(SHADES.astype(np.float32) / 232, "TIFF")
    assert "floating-point pixels" in refusal(tmp_path, content)
    np.testing.assert_allclose(signal(tmp_path, content, white=1), SHADES * (255 / 232), atol=0.5)
    assert "expected 0 to 0.5" in refusal(tmp_path, content, white=0.5)
    for wrong in (-1, np.nan):
        pixels = SHADES.astype(np.float32)
        pixels[0, 0] = wrong
        assert "(expected 0 to 255)" in refusal(tmp_path, file_bytes(pixels, "TIFF"), white=255)


def test_black_images_are_refused(tmp_path):
    assert "are black" in refusal(tmp_path, file_bytes(np.zeros_like(STROKE)))


# ---------------------------------------------------------------- images of several ranges


def images(root, *parts):
    """Write ten images for each part: a class, a split, the value of white in it, and a type of pixels."""
    for name, split, white, kind in parts:
        for n in range(10):
            pixels = np.rint(SHADES / 232 * white * (1 - n / 100)).astype(kind)
            put(root / split / name / f"{kind}-{white}-{n}.png", file_bytes(pixels))
    return str(root)


def found(path, **settings):
    """Return the findings on ranges; some of the files are the same."""
    findings = ImageFolder(path=path, **settings).provenance().get("findings", [])
    return [text for text in findings if "the bytes of files" not in text]


FULL, WIDE = ("a", "train", 255, "uint8"), ("b", "train", 65_535, "uint16")


@pytest.mark.parametrize("parts", [(FULL,), (WIDE,), (FULL, WIDE), (FULL, ("a", "test", 200, "uint8"))])
def test_images_that_use_their_range(tmp_path, parts):
    assert found(images(tmp_path, *parts)) == []


def test_dark_images_among_bright_ones(tmp_path):
    path = images(tmp_path, FULL, ("b", "train", 255, "uint8"))
    for n, most in enumerate((2, 5, 9, 17)):
        put(tmp_path / "train" / "ab"[n % 2] / f"dark{n}.png", file_bytes(np.full((6, 5), most, np.uint8)))
    assert found(path) == []


def test_pure_colours_are_not_dark(tmp_path):
    for n in range(4):
        blue = np.zeros((6, 5, 3), np.uint8)
        blue[1:, n, 2] = 255  # a grey level of 29
        put(tmp_path / "train/a" / f"{n}.png", file_bytes(blue))
    assert found(str(tmp_path)) == []


@pytest.mark.parametrize(
    ("parts", "text", "white"),
    [
        ((FULL, ("b", "train", 4095, "uint16")), "the 16-bit images of .* above 4095, where 65535 is white", 4095),
        ((FULL, ("b", "train", 255, "uint16")), "the 16-bit images of .* above 255, where 65535 is white", 255),
        ((WIDE, ("a", "train", 1, "uint8")), "the 8-bit images of .* above 1, where 255 is white", 0),
        ((FULL, ("a", "test", 1, "uint8")), "the test images of .* above 1, where 255 is white", 0),
        ((FULL, WIDE, ("a", "test", 255, "uint8"), ("b", "test", 4095, "uint16")),
         "the 16-bit test images of .* above 4095, where 65535 is white", 0),
    ],
)  # fmt: skip
def test_a_kind_or_a_split_of_another_white_is_refused(tmp_path, parts, text, white):
    path = images(tmp_path, *parts)
    with pytest.raises(DataError, match=text) as caught:
        found(path)
    hint = caught.value.hint
    largest = max(65_535 if kind == "uint16" else 255 for *_, kind in parts)
    assert f"if they are so dark, use source.white={largest}." in hint
    (finding,) = found(path, white=largest)  # as the user says: but it is shown
    assert "unlike the others" in finding
    assert (f"use source.white={white};" if white else "magick IN.png -evaluate multiply") in hint
    if white:
        source = ImageFolder(path=path, white=white)
        assert source.provenance().get("findings") is None
        tops = [source.read("train", n).signal.max() for n in range(source.splits()["train"])]
        assert min(tops) >= 230


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ((WIDE, ("a", "train", 4095, "uint16")),
         "the images of class a have no pixel above 4095, where 65535 is white, unlike the others: if 4095 is white, "
         "multiply the pixels, for example: magick IN.png -evaluate multiply 16.0037 OUT.png"),
        ((("a", "train", 16_383, "uint16"), ("a", "test", 16_383, "uint16")),
         "the images have no pixel above 16383, where 65535 is white: if 16383 is white, use source.white=16383"),
        ((("a", "train", 63, "uint8"),),
         "the images have no pixel above 63, where 255 is white: if 63 is white, use source.white=63"),
        ((FULL, ("a", "train", 1, "uint8")),
         "10 images have no pixel above 1, where 255 is white, unlike the others, such as train/a/uint8-1-"),
        ((WIDE, ("b", "train", 4095, "uint16")),
         "10 images have no pixel above 4095, where 65535 is white, unlike the others, such as train/b/uint16-4095-"),
    ],
)  # fmt: skip
def test_images_that_may_have_another_white_are_a_finding(tmp_path, parts, text):
    (finding,) = found(images(tmp_path, *parts))
    assert finding.startswith(text)


MARKED = np.zeros((16, 16), np.uint16)
MARKED[2:9, 3:12] = np.arange(63).reshape(7, 9)
MARKED[9, 4:12] = 1


@pytest.mark.parametrize(
    ("scale", "broken", "dtype", "text"),
    [
        (16, 2, np.uint16, "have no pixel above 992 but for a few of about 65535, which is white: if 1023 is white, "
                           "multiply the pixels, for example: magick IN.png -evaluate multiply 64.0616 OUT.png; "
                           "if they are so dark, use source.white=65535"),
        (1 / 20, 20, np.uint8, "have no pixel above 3 but for a few of about 255, which is white: if 3 is white, "),
    ],
)  # fmt: skip
def test_few_white_pixels_do_not_make_dark_images_bright(tmp_path, scale, broken, dtype, text):
    pixels = (MARKED * scale).astype(dtype)
    pixels[0, :broken] = np.iinfo(dtype).max
    for n in range(4):
        put(tmp_path / "train" / "ab"[n % 2] / f"{n}.png", file_bytes(np.roll(pixels, n, 1)))
    (finding,) = [text for text in found(str(tmp_path)) if "repeat" not in text]
    assert finding.startswith(f"the images {text}")
    assert found(str(tmp_path), white=np.iinfo(dtype).max) == []


@pytest.mark.parametrize("ground", [0, 3])
@pytest.mark.parametrize("halo", [0, 90])
def test_few_white_strokes_are_no_finding(tmp_path, ground, halo):
    for n in range(4):
        pixels = np.full((16, 16), ground, np.uint8)
        pixels[n + 3, 4:7] = 255
        pixels[n + 4, 4:7] = halo
        put(tmp_path / "train" / "ab"[n % 2] / f"{n}.png", file_bytes(pixels))
    assert found(str(tmp_path)) == []


def test_floats_that_use_a_part_of_their_range(tmp_path):
    for n in range(6):
        pixels = SHADES.astype(np.float32) / (232 if n % 2 else 1160)
        put(tmp_path / "train" / "ab"[n % 2] / f"{n}.tif", file_bytes(pixels, "TIFF"))
    (finding,) = found(str(tmp_path), white=1)
    assert (
        "class a have no pixel above 0.2, where 1 is white, unlike the others: if 0.2 is white, mult"
        in finding
    )


def test_a_white_that_a_message_shows_can_be_used(tmp_path):
    for n in range(4):
        pixels = SHADES.astype(np.float32) / np.float32(192.7 + n % 2)
        put(tmp_path / "train" / "ab"[n % 2] / f"{n}.tif", file_bytes(pixels, "TIFF"))
    with pytest.raises(DataError) as error:
        found(str(tmp_path), white=1)
    white = max(re.findall(r"source\.white=([\d.]+);", str(error.value)))
    source = ImageFolder(path=str(tmp_path), white=float(white))
    assert float(white) < SHADES.max() / np.float32(192.7)
    assert max(source.read("train", n).signal.max() for n in range(4)) == 255


def test_an_image_above_the_stated_white(tmp_path):
    path = images(tmp_path, FULL, ("a", "train", 1, "uint8"))
    with pytest.raises(
        DataError, match=r"expected 0 to 1\).*use source\.white=255; if white is 1 in other images, mult"
    ):
        found(path, white=1)


# ---------------------------------------------------------------- colours and frames


@pytest.mark.parametrize("mode", ["CMYK", "RGB", "YCbCr"])
def test_colours_of_jpeg_files(tmp_path, mode):
    red = Image.new("RGB", (16, 16), (255, 0, 0)).convert(mode)
    pixels = signal(tmp_path, file_bytes(red, "JPEG", quality=95), mode="rgb")
    np.testing.assert_allclose(pixels, np.broadcast_to((255, 0, 0), (16, 16, 3)), atol=3)


def rgb16(grey) -> bytes:
    """Return a PNG file of 16-bit RGB, which Pillow cannot write."""
    rows, columns = grey.shape
    lines = np.repeat(grey.astype(">u2"), 3, axis=1)
    content = b"".join(b"\0" + line.tobytes() for line in lines)
    header = struct.pack(">IIBBBBB", columns, rows, 16, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(content)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def test_16_bit_colours_have_the_white_of_their_format(tmp_path):
    np.testing.assert_array_equal(signal(tmp_path, rgb16(SHADES * np.uint16(257))), SHADES)
    dark = rgb16(SHADES * np.uint16(17))
    assert "no pixel above 15, where 255 is white" in refusal(tmp_path, dark)
    for white, factor in ((15, "17"), (4095, "16.0037")):
        text = refusal(tmp_path, dark, white=white)
        assert "has colours or transparency in 16 bits, of which the upper 8 are read" in text
        assert "use source.white=0, and multiply the pixels" in text
        assert f"magick IN.png -evaluate multiply {factor} OUT.png" in text


def test_lab_colours_are_refused(tmp_path):
    lab = Image.fromarray(np.dstack([SHADES] * 3), "RGB").convert("RGB")
    lab = Image.merge("LAB", lab.split())
    assert "has the colour space LAB" in refusal(tmp_path, file_bytes(lab, "TIFF"))


def test_grey_levels_of_colours_are_noted(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    grey = np.dstack([SHADES] * 3)
    note = one(tmp_path, file_bytes(rgb), file_bytes(grey)).provenance()["note"]
    assert (
        note
        == "1 of 2 images is in colour, of which the grey levels are encoded; source.mode=rgb keeps the colours"
    )
    assert "note" not in one(tmp_path, mode="rgb").provenance()


@pytest.mark.parametrize("form", ["GIF", "TIFF", "PNG", "WEBP"])
def test_files_of_several_frames_are_refused(tmp_path, form):
    frames = [Image.fromarray(SHADES), Image.fromarray(SHADES.T.reshape(6, 5).copy())]
    content = file_bytes(frames[0], form, save_all=True, append_images=frames[1:])
    text = refusal(tmp_path, content, file_bytes(SHADES))
    assert "a/0.png has several frames" in text
    assert one(tmp_path, skip_bad=True).splits() == {"train": 1}


# ---------------------------------------------------------------- what users reported


def case(name, **settings):
    return ImageFolder(path=str(asset(f"cases/images_and_sound/{name}")), test_share=0, **settings)


def test_reported_strokes_in_alpha():
    source = case("img_alpha_strokes")
    assert source.splits() == {"train": 12}
    for n in range(12):
        sample = source.read("train", n)
        with Image.open(f"{source.path}/{sample.id}") as image:
            np.testing.assert_array_equal(sample.signal, np.asarray(image)[..., 3])
        assert sample.signal.max() == 255


def test_reported_orientation():
    source = case("img_exif_rotated")
    source.splits()
    assert source.provenance()["note"] == "6 of 12 images are turned as the EXIF orientation says"
    for sample in (source.read("train", n) for n in range(12)):
        with Image.open(f"{source.path}/{sample.id}") as image:
            lying = np.asarray(image.convert("L"))
        odd = int(sample.id[2]) % 2
        np.testing.assert_array_equal(sample.signal, np.rot90(lying, -1) if odd else lying)


def test_reported_bad_files():
    with pytest.raises(DataError, match="3 of the files cannot be used") as caught:
        case("img_three_bad_of_60").splits()
    assert all(name in str(caught.value) for name in ("Cat/6.jpg", "Cat/12.jpg", "Dog/11.jpg"))
    assert case("img_three_bad_of_60", skip_bad=True).splits() == {"train": 57}
