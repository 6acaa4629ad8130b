"""Pictures as files."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..output_files import write_file
from ..store.outputs import check_output
from ..urls import redacted
from .film import Animation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    Picture = Figure | Animation
else:
    Picture = Any
    """A figure or a film."""

_CREATOR = "drawn by spikeprep"  # in the metadata of every picture
_METADATA: dict[str, dict[str, Any]] = {  # ending → arguments of savefig
    "png": {"metadata": {"Software": _CREATOR}},
    "svg": {"metadata": {"Creator": _CREATOR}},
    "pdf": {"metadata": {"Creator": _CREATOR}},
    "eps": {"metadata": {"Creator": _CREATOR}},
    "jpg": {"pil_kwargs": {"comment": _CREATOR}},
    "jpeg": {"pil_kwargs": {"comment": _CREATOR}},
}
_FILM = "gif"
_METADATA_BYTES = 1 << 16  # they are within so many bytes of the file's start or end


def save(
    figure: Picture,
    path: str | os.PathLike[str],
    *,
    dots_per_inch: int | None = None,
    overwrite: bool = False,
) -> None:
    """Write a figure, or a film, to a file; the ending of its name chooses the format.

    Parameters
    ----------
    figure, path
        What is written where; ``~`` is the home folder.
    dots_per_inch
        Resolution of formats made of pixels; by default 150, of a film 100.
    overwrite
        Whether to replace a file that is no picture of spikeprep's; one that is, is replaced in any case.

    Raises
    ------
    UsageError
        The ending is none of .png, .svg, .pdf, .eps and .jpg, of a film .gif, the path is inside a store or in a folder
        that does not exist, or a folder, another file or a link to no file is there.
    CapabilityError
        The disk is full, or a permission is missing. A file that was there before is then unchanged.
    """
    file = check_picture(path, film=isinstance(figure, Animation), overwrite=overwrite)
    if isinstance(figure, Animation):
        content = _with_comment(figure.gif(dots_per_inch or 100))
    else:
        ending = file.suffix.lstrip(".").lower()
        picture = io.BytesIO()  # an error while it is drawn leaves the old file
        figure.savefig(picture, format=ending, dpi=dots_per_inch or 150, **_METADATA[ending])
        content = picture.getvalue()
    write_file(Path(os.path.realpath(file)), lambda opened: opened.write(content), overwrite=True)


def check_picture(path: str | os.PathLike[str], *, film: bool = False, overwrite: bool = False) -> Path:
    """Return the file that `save` would write; raises what `save` raises, before anything is drawn."""
    file = check_output(path)
    if file is None:
        raise UsageError(f"got the picture file {redacted(path)!r}", "a path", "Copy it there afterwards.")
    endings = [_FILM] if film else list(_METADATA)
    if file.suffix.lstrip(".").lower() not in endings:
        raise UsageError(
            f"got the picture file {os.fspath(path)!r}{' for a film' if film else ''}",
            f"one that ends in {', '.join(f'.{e}' for e in endings)}",
            "Use another ending.",
        )
    if file.is_dir() or not file.parent.is_dir():
        what = "is a folder" if file.is_dir() else "is in a folder that does not exist"
        raise UsageError(f"{file} {what}", "a file in a folder that exists", "Use another name.")
    if (file.exists() or file.is_symlink()) and not (overwrite or _is_ours(file)):
        raise UsageError(
            f"{file} is there already and was not drawn by spikeprep",
            "a new file, or a picture of spikeprep's",
            "Choose another name, or use overwrite=True.",
        )
    return file


def _with_comment(gif: bytes) -> bytes:
    """Return a GIF with our comment before its end: an extension 0xFE, its length, its text, 0."""
    text = _CREATOR.encode()
    return gif[:-1] + b"\x21\xfe" + bytes([len(text)]) + text + b"\x00" + gif[-1:]


def _is_ours(file: Path) -> bool:
    """Whether a file is a picture that `save` wrote."""
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        start = opened.read(_METADATA_BYTES)
        opened.seek(max(0, file.stat().st_size - _METADATA_BYTES))
        return any(_CREATOR.encode() in part for part in (start, opened.read()))
