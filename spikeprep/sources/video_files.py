"""Animations and folders of numbered pictures → frames in grey levels, and how long each is shown."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..data import frame_times
from ..errors import CapabilityError, DataError
from ..input_files import changed, read_input
from .frame_sequences import frame_files
from .gif_blocks import count_frames
from .image_files import FORMATS, ImageReading, Picture, decode_image, picture_of
from .labelled_files import BadFile, Recording
from .other_files import other_kind

if TYPE_CHECKING:
    from PIL.Image import Image

ANIMATIONS = (".gif", ".png", ".apng", ".webp", ".tif", ".tiff")
"""Endings of files that may have several frames."""

FILMS = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".ogv", ".3gp")
"""Endings of files that need a video decoder; they are named with the way to their frames."""

UNSTATED_RATE = 30.0
"""Frames per second of what states no durations, in Hz."""

UNSTATED_MS = 100.0
"""Duration of a frame of an animation that states 0, in ms: what browsers show."""

_ONE = "leave it out, or encode still images: with the recipe images, or mnist-events, which moves them"
_PIECE_BYTES = 16 << 20
_MOST = 1 << 22  # frames, so that times take little memory
_ALPHA = (
    "state what is behind it: use source.alpha=white or source.alpha=black, or take colours as they are: "
    "use source.alpha=ignore"
)


class Frame(NamedTuple):
    """A frame, and how long it is shown, in ms; None where that is not stated."""

    picture: Picture
    milliseconds: float | None


@dataclass(frozen=True, eq=False)
class Clip:
    """A video that was decoded once, and what was found.

    Attributes
    ----------
    shape
        (row, column) of a frame.
    times, end
        When each frame begins and when the last one ends, in µs; int64 (frame,).
    picture
        The facts of all frames together, without pixels; `Picture.brightest` is that of the brightest one.
    frames
        All frames, uint8 (frame, row, column); None where they are not kept.
    still
        Whether all frames are alike.
    states_times
        Whether ``"all"``, ``"some"`` or ``"none"`` of the frames' durations are stated, where the format has them;
        ``"never"``: it has none.
    finding
        What is strange about it; empty: nothing.
    """

    shape: tuple[int, int]
    times: NDArray[np.int64]
    end: int
    picture: Picture
    frames: NDArray[np.uint8] | None
    still: bool
    states_times: str
    finding: str = ""

    def without_pixels(self) -> Clip:
        """Return the facts alone."""
        return replace(self, frames=None)


class VideoReader:
    """Decodes the frames of one video, as often as it is walked.

    Parameters
    ----------
    recording
        The file, or the folder of its frames.
    reading
        How pictures become grey levels.
    sha256
        What its digest was when it was read before; empty: anything.
    """

    def __init__(self, recording: Recording, reading: ImageReading, sha256: str = "") -> None:
        self._recording, self._reading, self._expected = recording, reading, sha256
        self.sha256 = sha256
        self.finding = ""
        self.has_durations = not recording.file.is_dir()

    def frames(self) -> Iterator[Frame]:
        """Yield the frames; raises `BadFile`, `DataError`. After the last one `sha256` is known, and was compared."""
        try:
            yield from self._checked_frames()
        except BadFile as bad:
            if self._expected:  # it could be used before
                raise changed(self._recording.file) from bad
            raise

    def _checked_frames(self) -> Iterator[Frame]:
        shape, count = None, 0
        for frame in self._animation() if self.has_durations else self._sequence():
            shape, count = shape or frame.picture.shape, count + 1
            if frame.picture.shape != shape:
                raise BadFile(
                    self._recording.id,
                    f"has frames of {_pixels(shape)}, and frame {count} of {_pixels(frame.picture.shape)}",
                    f"resize all frames: use source.size=[{shape[0]},{shape[1]}]",
                )
            if frame.picture.transparency != "opaque" and self._reading.alpha == "auto":
                raise BadFile(self._recording.id, f"is transparent in part, in frame {count}", _ALPHA)
            if count > _MOST:
                raise BadFile(self._recording.id, f"has more than {_MOST:,} frames", "cut it into parts")
            yield frame
        if count < 2:
            raise BadFile(self._recording.id, "has one frame (expected at least 2: events are changes)", _ONE)

    def _animation(self) -> Iterator[Frame]:
        id_ = self._recording.id
        data, self.sha256 = read_input(self._recording.file, self._reading.limits, self._expected)
        try:
            from PIL import Image, UnidentifiedImageError
        except ImportError as error:
            raise CapabilityError(
                "reading videos needs Pillow, which is not installed",
                "",
                "Run: pip install 'spikeprep[images]'.",
            ) from error
        total = 0
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                reading = self._reading
                if (
                    image.format == "GIF"
                ):  # of a palette, whose white is not in doubt; frames may be decoded to RGB
                    reading = replace(reading, white=0)
                self.has_durations = image.format != "TIFF"
                number = int(getattr(image, "default_image", False))  # of APNG: a picture for other viewers
                while _seek(image, number):
                    reading.limits.check_bytes("it", len(data) + 12 * image.size[0] * image.size[1])
                    picture = picture_of(id_, image, reading)
                    assert picture.array is not None
                    total += picture.array.nbytes
                    reading.limits.check_ratio("it", total, len(data), so_far=True)
                    stated = image.info.get("duration")
                    yield Frame(picture, float(stated) if stated else None)
                    number += 1
                    if image.format == "MPO" or not hasattr(image, "is_animated"):
                        break
                _check_count(id_, image, data, number)
        except (BadFile, DataError, MemoryError):
            raise
        except UnidentifiedImageError as error:
            expected = "(expected an animation in GIF, PNG, WebP or TIFF)"
            if kind := other_kind(data, "image"):
                raise BadFile(id_, f"is {kind.name} {expected}", kind.fix) from error
            raise BadFile(
                id_, f"is no image {expected}", "convert it to one of them, or remove it"
            ) from error
        except Exception as error:  # Pillow's decoders raise whatever damaged bytes lead to
            raise BadFile(id_, f"is truncated or damaged ({error})", "copy or fetch it again") from error

    def _sequence(self) -> Iterator[Frame]:
        folder = self._recording.file
        files, self.finding = frame_files(folder, self._recording.id)
        digest = hashlib.sha256()
        for file in files:
            data, sha256 = read_input(file, self._reading.limits)
            digest.update(f"{sha256}  {file.name}\n".encode(errors="surrogateescape"))
            try:
                yield Frame(decode_image(f"{self._recording.id}/{file.name}", data, self._reading), None)
            except BadFile as bad:
                fix = bad.fix
                if "several frames" in bad.what:
                    fix = "put animations directly into the folder of the class"
                raise BadFile(self._recording.id, f"has {file.name}, which {bad.what}", fix) from bad
        self.sha256 = digest.hexdigest()
        if self._expected and self.sha256 != self._expected:
            raise changed(folder)


def _check_count(id_: str, image: Image, data: bytes, frames: int) -> None:
    """Raise `BadFile` where fewer frames were decoded than the file states."""
    if image.format in ("GIF", "PNG", "WEBP"):
        stated = count_frames(data) if image.format == "GIF" else getattr(image, "n_frames", frames)
        if stated is None or stated > frames:
            what = (
                "ends early" if stated is None else f"has {frames:,} of the {stated:,} frames that it states"
            )
            raise BadFile(id_, f"is truncated or damaged: it {what}", "copy or fetch it again")


def _seek(image: Image, number: int) -> bool:
    """Go to a frame; return whether there is one."""
    try:
        image.seek(number)
    except EOFError:
        return False
    return True


def read_clip(recording: Recording, reading: ImageReading, rate: float, most_bytes: int) -> tuple[str, Clip]:
    """Decode a video; return its sha256 and the clip.

    Parameters
    ----------
    recording
        The file or folder.
    reading
        How pictures become grey levels.
    rate
        Frames per second, in Hz; 0: as the file states.
    most_bytes
        Frames are kept where they take at most so many bytes.

    Raises
    ------
    BadFile, DataError
        It cannot be used, see `VideoReader.frames`.
    """
    reader = VideoReader(recording, reading)
    kept: list[NDArray[np.uint8]] = []
    durations: list[float | None] = []
    facts: Picture | None = None
    first: NDArray[np.uint8] | None = None
    still, size = True, 0
    for picture, duration in reader.frames():
        assert picture.array is not None
        if facts is None or first is None:
            facts, first = picture.without_pixels(), picture.array
        facts = _together(facts, picture)
        still = still and np.array_equal(picture.array, first)
        durations.append(duration)
        size += picture.array.nbytes
        if size <= most_bytes:
            kept.append(picture.array)
        else:
            kept.clear()
    assert facts is not None
    frames = np.stack(kept) if kept else None
    if frames is not None:
        frames.flags.writeable = False
    times, end, states = _times(durations, rate, reader.has_durations)
    shape = (facts.shape[0], facts.shape[1])
    return reader.sha256, Clip(shape, times, end, facts, frames, still, states, reader.finding)


def _together(facts: Picture, other: Picture) -> Picture:
    """Return the facts of frames and of one more: the brightest pixels, and whether any has colours or was turned."""
    return replace(
        facts,
        brightest=max(facts.brightest, other.brightest),
        bulk=max(facts.bulk, other.bulk),
        colour=facts.colour or other.colour,
        turned=facts.turned or other.turned,
    )


def _times(
    durations: Sequence[float | None], rate: float, has_durations: bool
) -> tuple[NDArray[np.int64], int, str]:
    """Return the times of frames in µs, the end of the last one, and `Clip.states_times`."""
    stated = sum(duration is not None for duration in durations)
    states = "all" if stated == len(durations) else "some" if stated else "none"
    states = states if has_durations else "never"
    if rate or not has_durations:
        return *frame_times(len(durations), rate or UNSTATED_RATE), states
    ends = np.cumsum([0.0, *(UNSTATED_MS if ms is None else ms for ms in durations)])
    whole = np.rint(1000 * ends).astype(np.int64)
    return whole[:-1], int(whole[-1]), states


class ClipFrames:
    """The frames of a video that is too large to be kept, decoded anew on every walk, a few MB at a time.

    Parameters
    ----------
    recording, reading
        As in `read_clip`.
    sha256
        The digest of what was decoded first.
    shape
        (row, column) of a frame.
    refusal
        Makes an error of a file that cannot be used any more.
    """

    def __init__(
        self,
        recording: Recording,
        reading: ImageReading,
        sha256: str,
        shape: tuple[int, int],
        refusal: Callable[[Sequence[BadFile]], DataError],
    ) -> None:
        self._recording, self._reading, self._sha256 = recording, reading, sha256
        self._shape, self._refusal = shape, refusal

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        count = max(_PIECE_BYTES // (self._shape[0] * self._shape[1]), 1)
        piece: list[NDArray[np.uint8]] = []
        try:
            for picture, _ in VideoReader(self._recording, self._reading, self._sha256).frames():
                assert picture.array is not None
                piece.append(picture.array)
                if len(piece) == count:
                    yield np.stack(piece)
                    piece.clear()
        except BadFile as bad:
            raise self._refusal([bad]) from bad
        if piece:
            yield np.stack(piece)


def _pixels(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} × {shape[1]} pixels"
