"""Videos of the user: animations and folders of frames, in a folder per class or a table of files and labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar

from ..config import Meta, NonNegative
from ..data import Sample, Video
from ..text import listed
from .base import Size
from .checked_files import CheckedFile, CheckedFiles
from .frame_sequences import STILLS, with_sequences
from .image_files import Alpha, ImageReading, check_size
from .kept_pixels import Room, range_findings
from .labelled_files import BadFile, Recording
from .labelled_source import LabelledSource
from .video_files import ANIMATIONS, FILMS, UNSTATED_MS, UNSTATED_RATE, Clip, ClipFrames, read_clip

_KEPT_BYTES = 256 << 20  # of decoded frames, so that most data sets are decoded once
_IN_MEMORY_BYTES = 64 << 20  # of the frames of one video; larger ones are decoded piece by piece
_SHOWN = 3  # files in one note


@dataclass(frozen=True)
class VideoFolder(LabelledSource, CheckedFiles[Clip]):
    """Videos in grey levels: `Video`, of animations (GIF, APNG, animated WebP, TIFF) and folders of numbered frames.

    The folder holds ``CLASS/VIDEO.gif``, ``CLASS/VIDEO/0001.png`` …, or the same below ``train``, ``validation`` and
    ``test``: pictures (PNG, JPEG, TIFF, BMP, WebP, PPM) in a folder below that of a class are the frames of one video,
    in the order of their numbers. A CSV file has the columns ``path``, ``label`` and, where the data have a split,
    ``split``; a path names an animation or a folder of frames. Frames are composed as viewers show them.

    Frames are shown as long as the file states. One that states 0 is shown for 100 ms, as browsers do; those of folders
    and of TIFF for 1 / 30 s. Other containers (MP4, AVI, WebM …) are refused with the command that extracts their
    frames.

    Parameters
    ----------
    rate
        Frames per second, in Hz, ahead of what files state; 0: as they state.
    size
        (row, column) in pixels to which every frame is resized (bilinear, with Pillow). Where empty, all videos must
        have one size.
    white
        The value of a pixel that is white, as in the source `images`; 0: what the format says.
    alpha
        What is behind transparent pixels: ``"white"`` or ``"black"``; ``"auto"``: such videos are refused. ``"only"``:
        the alpha channel is the picture. ``"ignore"``: colours are taken as they are.
    """

    name: ClassVar[str] = "video"
    files_are: ClassVar[str] = "videos"
    sequences: ClassVar[bool] = True
    endings: ClassVar[str] = " ".join(dict.fromkeys((*ANIMATIONS, *STILLS)))

    rate: Annotated[float, Meta(ge=0, le=1e6)] = 0.0
    size: Size = ()
    white: NonNegative = 0
    alpha: Alpha = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_size(self.size, self.name)

    @property
    def suffixes(self) -> Sequence[str]:
        """Endings of animations, of frames, and of videos that are refused by name."""
        return tuple(dict.fromkeys((*ANIMATIONS, *STILLS, *FILMS)))

    @property
    def file_endings(self) -> Sequence[str]:
        """Endings of animations and of frames."""
        return self.suffixes

    def samples_among(self, folder: Path, files: Sequence[Path]) -> Sequence[Path]:
        """Return animations, and folders of frames, which `folder` itself may be."""
        return with_sequences(folder.parent, files)

    @cached_property
    def _reading(self) -> ImageReading:
        return ImageReading("grey", self.size, self.white, self.alpha, self.limits)

    @cached_property
    def _room(self) -> Room:
        return Room(_KEPT_BYTES)

    def _check_file(self, recording: Recording) -> tuple[str, Clip]:
        sha256, clip = read_clip(recording, self._reading, self.rate, _IN_MEMORY_BYTES)
        kept = clip.frames is not None and self._room.take(clip.frames.nbytes)
        return sha256, clip if kept else clip.without_pixels()

    def _find_outliers(self, files: Sequence[CheckedFile[Clip]]) -> Sequence[BadFile]:
        """Return the videos of another size than most, unless all are resized."""
        if self.size or not files:
            return ()
        common = Counter(file.facts.shape for file in files).most_common(1)[0][0]
        fix = f"resize all videos: use source.size=[{common[0]},{common[1]}]"
        return [
            BadFile(file.id, f"has {_pixels(file.facts.shape)}, not {_pixels(common)}", fix)
            for file in files
            if file.facts.shape != common
        ]

    def _notes(self, files: Sequence[CheckedFile[Clip]]) -> Sequence[str]:
        """Return what was decided: grey levels, orientation, and the duration of frames that do not state it."""
        clips = [file.facts for file in files]
        texts = {
            "in colour, of which the grey levels are encoded": [clip.picture.colour for clip in clips],
            "turned as the EXIF orientation says": [clip.picture.turned for clip in clips],
        }
        if not self.rate:
            texts |= {
                f"of pictures without durations, taken as {UNSTATED_RATE:g} frames per second "
                "(source.rate=HZ states it)": [clip.states_times == "never" for clip in clips],
                f"of frames that state no duration, shown for {UNSTATED_MS:g} ms as in browsers (source.rate=HZ "
                "states it)": [clip.states_times in ("none", "some") for clip in clips],
            }
        return [
            f"{sum(which):,} of {len(clips):,} videos {'is' if sum(which) == 1 else 'are'} {text}"
            for text, which in texts.items()
            if any(which)
        ]

    def _findings(self, files: Sequence[CheckedFile[Clip]]) -> Sequence[str]:
        pictures = [file.facts.picture for file in files]
        findings = [
            *super()._findings(files),
            *range_findings(self, "videos", files, pictures, self.white > 0),
        ]
        if gaps := [f"{file.id} {file.facts.finding}" for file in files if file.facts.finding]:
            findings.append(f"frames taken as consecutive: {listed(gaps, _SHOWN, '; ', 'folders')}")
        if still := [file.id for file in files if file.facts.still]:
            findings.append(
                f"videos whose frames are all alike, which give no events: {listed(still, _SHOWN)}"
            )
        return findings

    def read(self, split: str, index: int) -> Sample:
        """Return one video; its id is its path inside the source."""
        file = self._file(split, index)
        clip = file.facts
        pieces: Any = (clip.frames,)
        if clip.frames is None:
            pieces = ClipFrames(file, self._reading, file.sha256, clip.shape, self._refusal)
            if len(clip.times) * clip.shape[0] * clip.shape[1] <= _IN_MEMORY_BYTES:
                pieces = (Video(pieces, clip.shape[::-1], clip.times, clip.end).array,)
        return Sample(Video(pieces, clip.shape[::-1], clip.times, clip.end), file.label, file.id)

    def outline(self, split: str, index: int) -> Video:
        """Return a video without frames, of a sample's size and times, from the check of the file."""
        clip = self._file(split, index).facts
        return Video((), clip.shape[::-1], clip.times, clip.end)


def _pixels(shape: tuple[int, int]) -> str:
    return f"{shape[0]} × {shape[1]} pixels"
