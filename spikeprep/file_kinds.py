"""What a file is that is none of the expected ones, by its first bytes, and what helps then.

Only signatures that chance does not produce are known here: they also tell other files from formats that have no
signature of their own, such as N-MNIST's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

HEAD = 4096
"""Bytes of a file that are enough to recognise it."""

_AGAIN = "Fetch the file itself again"
_UNPACK = "Unpack it, and give the folder of its files"
_RECIPE = "Encode it with the recipe {}, or leave it out"
_FRAMES = (
    "Extract its frames into a folder, for example with ffmpeg -i IN FOLDER/%06d.png, and encode them with the recipe "
    "video; or its sound as WAV"
)
_SOUND = "Convert it to WAV or FLAC, for example with ffmpeg"
_PNG = "Convert it to PNG"
_LFS = "Run git lfs pull in its repository, which fetches the file itself"
_BAG = "Convert it to a ROS 1 bag, for example with rosbags-convert, which pip install rosbags brings"
_ARRAYS = "Load it in Python if you trust it, and save its arrays with numpy.savez"
_TABLE = "Save its columns as CSV, NumPy or HDF5"
_BELONG = "Leave it out, or check which recipe it belongs to"


@dataclass(frozen=True)
class FileKind:
    """A kind of file.

    Attributes
    ----------
    name
        What it is, with an article.
    fix
        What to do where another kind was expected, without a full stop.
    group
        ``"image"``, ``"sound"`` or ``"events"`` where a source reads such files, or some of them; else empty.
    """

    name: str
    fix: str
    group: str = ""


TEXT = FileKind("a text file", _BELONG)
"""Any text without a signature."""

UTF16 = FileKind("a text file in UTF-16", "Save it in UTF-8")
"""Text that states that it is in UTF-16."""

_EMPTY = FileKind("empty (0 bytes)", "Fetch it again, or leave it out")
_ZEROS = FileKind("nothing but zeros at its beginning", "Fetch it again: it was reserved, but never written")
_WEB_PAGE = FileKind(
    "a web page (HTML) in place of the file",
    "Read it: it may ask to sign in, or report an error. Then fetch the file itself",
)
_XML = FileKind(
    "an XML document", "Read it: it may report an error of the server. Then fetch the file itself"
)
_JSON = FileKind("a JSON text", "Read it: it may report an error of the server. Then fetch the file itself")
_SVG = FileKind("an SVG drawing", _PNG)
_BMP = FileKind("a BMP image", _RECIPE.format("images"), "image")
_PICKLED = FileKind("a pickle of Python", _ARRAYS)
_OFFICE = FileKind("a document of Microsoft Office", _TABLE)
_NPZ = FileKind("an archive of NumPy (.npz)", _BELONG, "events")
_TORCH = FileKind("a file of PyTorch (torch.save)", _ARRAYS)
_ZIP = FileKind("a ZIP archive", _UNPACK)
_MATLAB_4 = FileKind("a MATLAB file (version 4)", "Save it again in MATLAB: save('events.mat', '-v7')")


def _signatures(fix: str, names: Mapping[bytes, str], group: str = "") -> dict[bytes, FileKind]:
    return {signature: FileKind(name, fix, group) for signature, name in names.items()}


# what the first bytes of a file are
_SIGNATURES = {
    **_signatures(
        _LFS,
        {
            b"version https://git-lfs": "a pointer of Git LFS, not the file itself",
            b"version https://hawser": "a pointer of Git LFS, not the file itself",
        },
    ),
    **_signatures(
        "Run git annex get for it", {b"/annex/objects/": "a pointer of git-annex, not the file itself"}
    ),
    **_signatures(
        _BAG,
        {
            b"\x89MCAP0\r\n": "a ROS bag (MCAP)",
            b"SQLite format 3\0": "an SQLite database, as ROS 2 bags are",
        },
    ),
    **_signatures(
        _UNPACK,
        {
            b"\x1f\x8b\x08": "a gzip archive",
            b"BZh": "a bzip2 archive",
            b"\xfd7zXZ\0": "an xz archive",
            b"\x28\xb5\x2f\xfd": "a Zstandard archive",
            b"7z\xbc\xaf\x27\x1c": "a 7z archive",
            b"Rar!\x1a\x07": "a RAR archive",
        },
    ),
    **_signatures(
        _AGAIN,
        {
            b"%PDF-": "a PDF document",
            b"%!PS": "a PostScript document",
            b"PK\x05\x06": "an empty ZIP archive",
        },
    ),
    **_signatures(
        _TABLE,
        {
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": _OFFICE.name,
            b"PAR1": "a Parquet table",
            b"ARROW1\0\0": "an Arrow table",
            b"FEA1": "a Feather table",
        },
    ),
    **_signatures(
        _RECIPE.format("images"),
        {
            b"\x89PNG\r\n\x1a\n": "a PNG image",
            b"\xff\xd8\xff": "a JPEG image",
            b"GIF87a": "a GIF image",
            b"GIF89a": "a GIF image",
            b"II*\0": "a TIFF image",
            b"MM\0*": "a TIFF image",
        },
        "image",
    ),
    **_signatures(_PNG, {b"8BPS\0\1": "a Photoshop image", b"\0\0\0\x0cjP  ": "a JPEG 2000 image"}),
    **_signatures(_SOUND, {b"#!AMR": "an AMR sound"}),
    **_signatures(
        _FRAMES,
        {
            b"\x1a\x45\xdf\xa3": "a Matroska or WebM video",
            b"\0\0\1\xba": "an MPEG video",
            b"FLV\1": "a Flash video",
            b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": "a Windows Media file",
        },
    ),
    **_signatures(
        _RECIPE.format("audio"),
        {
            b"fLaC": "a FLAC sound",
            b"OggS": "an Ogg sound",
            b"NIST_1A\n": "a SPHERE sound",
            b"ID3": "an MP3 sound",
        },
        "sound",
    ),
    **_signatures(_RECIPE.format("events"), {b"#ROSBAG V2.0\n": "a ROS bag"}, "events"),
    **_signatures("Convert it with rosbag fix of ROS 1", {b"#ROSBAG V": "a ROS bag of an old version"}),
    **_signatures("Open it in jAER and log it again, which writes AEDAT 2.0", {b"#!AER-DAT1.0": "AEDAT 1.0"}),
    **_signatures(
        _RECIPE.format("events"),
        {
            b"#!AER-DAT": "an event recording (AEDAT)",
            b"Event Stream": "an event recording (Event Stream)",
            b"% evt ": "an event recording (Prophesee .raw)",
            b"\x93NUMPY": "an array of NumPy (.npy)",
            b"\x89HDF\r\n\x1a\n": "an HDF5 file",
            b"MATLAB 5.0 MAT-file": "a MATLAB file (version 5)",
            b"MATLAB 7.3 MAT-file": "a MATLAB file (version 7.3)",
        },
        "events",
    ),
    **_signatures(
        _RECIPE.format("mnist"),
        {b"\0\0\x08\1": "labels in an IDX file", b"\0\0\x08\3": "images in an IDX file"},
    ),
}
# of the kinds of RIFF and IFF, by their bytes 8 to 11
_CHUNKED = {
    **_signatures(
        _RECIPE.format("audio"),
        {b"WAVE": "a WAV sound", b"AIFF": "an AIFF sound", b"AIFC": "an AIFF sound"},
        "sound",
    ),
    **_signatures(_RECIPE.format("images"), {b"WEBP": "a WebP image"}, "image"),
    **_signatures(_FRAMES, {b"AVI ": "an AVI video"}),
}
# of those of MPEG-4, by their bytes 8 to 11
_MPEG4 = {
    **_signatures(_PNG, {b"heic": "a HEIC image", b"mif1": "a HEIC image", b"avif": "an AVIF image"}),
    **_signatures(_SOUND, {b"M4A ": "a sound in MPEG-4 (M4A)"}),
}
_VIDEO = FileKind("an MPEG-4 video", _FRAMES)
_TAR = FileKind("a tar archive", _UNPACK)

_AT_START: dict[int, list[tuple[bytes, FileKind]]] = {}  # first byte → signatures, in their order, and kinds
for _signature, _kind in _SIGNATURES.items():
    _AT_START.setdefault(_signature[0], []).append((_signature, _kind))

_PICKLE_OPCODES = b"\x95}](cKXU\x8a\x80"  # what the first values of files begin with
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\f\r")) + b"\x7f"


def kind_of(head: bytes) -> FileKind | None:
    """Return what a file is that begins with `head`, at most `HEAD` bytes of it; None where that is unknown."""
    if not head:
        return _EMPTY
    for signature, kind in _AT_START.get(head[0], ()):
        if head.startswith(signature):
            return kind
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"FORM") and head[8:12] in _CHUNKED:
        return _CHUNKED[head[8:12]]
    if head[4:8] == b"ftyp":
        return _MPEG4.get(head[8:12], _VIDEO)
    if head[257:262] == b"ustar":
        return _TAR
    if head.startswith(b"PK\x03\x04"):
        return _zip_kind(head)
    if head[0] == 0x80 and head[1:2] in (b"\2", b"\3", b"\4", b"\5") and head[2:3] in _PICKLE_OPCODES:
        return _PICKLED
    if (
        head.startswith(b"BM")
        and head[6:10] == bytes(4)
        and head[14:18] in (b"\x28\0\0\0", b"\x6c\0\0\0", b"\x7c\0\0\0")
    ):
        return _BMP
    if not head[0] and len(head) >= 64 and not any(head):
        return _ZEROS
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) and _is_utf16(head):
        return UTF16
    if _is_matlab_4(head):
        return _MATLAB_4
    return _text_kind(head) if is_text(head) else None


def is_text(head: bytes) -> bool:
    """Return whether a file's first bytes are text: UTF-8 without control characters, eight bytes at least."""
    if len(head) < 8 or head[0] in _CONTROLS or head.translate(None, _CONTROLS) != head:
        return False
    try:
        # a character may be cut off at the end
        head[: len(head) - 3].decode("utf-8-sig") if len(head) == HEAD else head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return len(head) == HEAD and error.start >= len(head) - 6
    return True


def _is_utf16(head: bytes) -> bool:
    """Return whether bytes are text in UTF-16, by the order of bytes at their beginning."""
    try:
        text = head[: len(head) // 2 * 2].decode("utf-16")
    except UnicodeDecodeError:
        return False
    return len(text) > 3 and text.isascii() and all(c.isprintable() or c in "\t\n\r" for c in text)


def _is_matlab_4(head: bytes) -> bool:
    """Return whether bytes begin with a matrix of MATLAB 4: five numbers, and a name that ends with a zero.

    Source: MathWorks, MAT-File Format, version 4 (type, rows, columns, whether it is complex, length of the name).
    """
    if len(head) < 22:
        return False
    kind, rows, columns, is_complex, length = (
        int.from_bytes(head[n : n + 4], "little") for n in range(0, 20, 4)
    )
    name = head[20 : 20 + length]
    return (
        kind in (0, 10, 20, 30, 40, 50)
        and is_complex in (0, 1)
        and 0 < rows < 1 << 31
        and 0 < columns < 1 << 31
        and 2 <= length <= 64
        and len(name) == length
        and name[-1] == 0
        and name[:-1].replace(b"_", b"a").isalnum()
        and name[:1].isalpha()
    )


def _text_kind(head: bytes) -> FileKind:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<script", b"<body")):
        return _WEB_PAGE
    if start.startswith(b"<svg") or (start.startswith(b"<?xml") and b"<svg" in start):
        return _SVG
    if start.startswith((b"<?xml", b"<error")):
        return _WEB_PAGE if b"<html" in start else _XML
    return _JSON if start.startswith((b'{"', b"[{", b"{\n", b"{\r\n")) else TEXT


def _zip_kind(head: bytes) -> FileKind:
    """Return what an archive is by the name of its first member."""
    name = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    if name.endswith(b".npy"):
        return _NPZ
    if name.endswith((b"/data.pkl", b"/version", b"/byteorder")):
        return _TORCH
    return _OFFICE if name.startswith((b"[Content_Types]", b"_rels/", b"docProps/")) else _ZIP
