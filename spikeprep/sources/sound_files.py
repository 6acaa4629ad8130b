"""Base of the sources of sound recordings in files."""

from __future__ import annotations

import functools
import io
import os
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..config import Meta
from ..data import Audio, Sample
from ..errors import CapabilityError, UsageError
from ..input_files import read_input
from .checked_files import CheckedFile, CheckedFiles
from .labelled_files import BadFile, Recording
from .other_files import other_kind

_SIGNATURES = (
    b"RIFF",
    b"RIFX",
    b"RF64",
    b"fLaC",
    b"NIST_1A",
    b"FORM",
    b"OggS",
)  # libsndfile reads others, too
_VALUES = 1 << 20  # that are decoded at a time, of all channels
_COPIES = 4  # of a sound's samples, at most, while it is read and resampled
SUFFIXES = (".wav", ".flac", ".sph", ".aif", ".aiff", ".ogg")

LOWEST_RATE, HIGHEST_RATE = 1000, 768_000
"""Plausible rates in Hz: below the lower one no vowel could be told, and no audio hardware goes beyond the upper one.

A header that states another one is damaged: a sound of 1 Hz would last for hours of time steps.
"""

Rate = Annotated[int, Meta(ge=0, le=HIGHEST_RATE)]
Channel = Annotated[int, Meta(ge=-1, le=1023)]  # libsndfile has at most 1024


@dataclass(frozen=True)
class SoundFiles(CheckedFiles[tuple[int, int]]):
    """Base of the sources of sound; a sample's signal is `Audio` in ±1. The facts of a file are its length and rate.

    Parameters
    ----------
    rate
        Rate in Hz to which all files are resampled (`scipy.signal.resample_poly`; overshoots are kept); 0: the files'
        own rate, which must then be the same in all.
    channel
        Which channel to read of files that have several, from 0; −1: all files must be mono.
    """

    endings: ClassVar[str] = " ".join(SUFFIXES)
    native_rate: ClassVar[int] = 0  # Hz, of a corpus that has one

    rate: Rate = 0
    channel: Channel = -1

    def __post_init__(self) -> None:
        super().__post_init__()
        if 0 < self.rate < LOWEST_RATE:
            raise UsageError(
                f"got {self.name}.rate = {self.rate}", f"0, or {LOWEST_RATE} to {HIGHEST_RATE} Hz"
            )

    def _find_outliers(self, files: Sequence[CheckedFile[tuple[int, int]]]) -> Sequence[BadFile]:
        """Return the files of another rate, unless all are resampled."""
        if self.rate or not files:
            return ()
        rates = Counter(rate for _, rate in (file.facts for file in files))
        common = self.native_rate or rates.most_common(1)[0][0]
        fix = f"use source.rate={common}, which resamples"
        others = [(file.id, file.facts[1]) for file in files if file.facts[1] != common]
        return [BadFile(id_, f"has {rate} Hz, not {common}", fix) for id_, rate in others]

    def _check_file(self, recording: Recording) -> tuple[str, tuple[int, int]]:
        data, sha256 = read_input(recording.file, self.limits)
        _check_length(recording.id, data)
        audio = self._decode(recording, data)
        if not audio.samples.any():
            raise BadFile(recording.id, "is silent from end to end", "remove it")
        length, rate = audio.samples.size, int(audio.rate)
        self._check_memory(data, length * (self.rate or rate) // rate)
        return sha256, (length, rate)

    def _check_memory(self, data: bytes, samples: int) -> None:
        self.limits.check_bytes("the sound", len(data) + _COPIES * 8 * samples)

    def _decode(self, recording: Recording, data: bytes) -> Audio:
        """Return the chosen channel at the file's own rate; raises `BadFile`."""
        soundfile, id_ = _soundfile(), recording.id
        if not data.startswith(_SIGNATURES):
            if kind := other_kind(data, "sound"):
                raise BadFile(id_, f"is {kind.name} (expected WAV, FLAC, SPHERE, AIFF or Ogg)", kind.fix)
            raise BadFile(id_, "is no audio: it is no WAV, FLAC, SPHERE, AIFF or Ogg", "replace or remove it")
        try:
            with _in_memory(data) as content, soundfile.SoundFile(content, closefd=False) as file:
                rate, stated, channels = file.samplerate, file.frames, file.channels
                if not LOWEST_RATE <= rate <= HIGHEST_RATE:
                    fix = "correct its header, for example: sox -r RATE IN.wav OUT.wav"
                    what = f"has a rate of {rate} Hz (expected {LOWEST_RATE} to {HIGHEST_RATE})"
                    raise BadFile(id_, what, fix)
                if self.channel < 0 < channels - 1 or self.channel >= channels:
                    missing = f", none of number {self.channel}" if self.channel >= 0 else ""
                    fix = f"choose one, from 0 to {channels - 1}: use source.channel=0"
                    raise BadFile(id_, f"has {channels} channels{missing}", fix)
                chosen = self._channel(file, data)
        except soundfile.LibsndfileError as error:
            raise _undecodable(id_, data, error.error_string) from error
        except RuntimeError as error:  # soundfile's other errors
            raise _undecodable(id_, data, str(error)) from error
        if len(chosen) < stated:
            raise BadFile(id_, f"is truncated: {len(chosen)} samples of {stated}", "copy it again")
        if not len(chosen):
            raise BadFile(id_, "has no samples", "remove it, or copy it again")
        if not np.isfinite(chosen).all():
            raise BadFile(id_, "holds NaN or infinite samples", "convert it again from its original")
        return Audio(chosen, rate)

    def _channel(self, file: Any, data: bytes) -> NDArray[np.float64]:
        """Return the samples of the chosen channel, float64 (time,), a few at a time where they are many."""
        pieces, length = [], 0
        each = max(_VALUES // file.channels, 1)
        while True:
            # compressed files may state any length, and none: memory is counted as they are read
            self._check_memory(data, length)
            values = file.read(min(each, max(file.frames - length, 1)), dtype="float64", always_2d=True)
            pieces.append(np.ascontiguousarray(values[:, max(self.channel, 0)]))
            length += len(values)
            if not len(values) or length >= file.frames:
                return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def read(self, split: str, index: int) -> Sample:
        """Return one recording; its id is its path inside the source."""
        recording = self._recording(split, index)
        checked = recording.sha256 if isinstance(recording, CheckedFile) else ""
        data, sha256 = read_input(recording.file, self.limits, checked)
        if not checked:
            self._seen.check(recording, sha256)
        try:
            audio = self._decode(recording, data)
        except BadFile as bad:  # in another process, which did not check it
            raise self._refusal([bad]) from bad
        if self.rate and audio.rate != self.rate:
            audio = Audio(resample(audio.samples, int(audio.rate), self.rate), self.rate)
        return Sample(audio, recording.label, recording.id)

    def outline(self, split: str, index: int) -> Audio:
        """Return silence of a recording's length and rate, from the check of the file."""
        length, file_rate = self._file(split, index).facts
        rate = self.rate or file_rate
        return Audio(np.broadcast_to(0.0, -(-length * rate // file_rate)), rate)


@contextmanager
def _in_memory(data: bytes) -> Iterator[int | _Stream]:
    """Give libsndfile the bytes of a file: a descriptor where the system has files in memory, else a stream.

    Of a stream, libsndfile reads by calls of Python, which wait for each other where several threads decode.
    """
    try:
        descriptor = os.memfd_create("sound", os.MFD_CLOEXEC)
    except (AttributeError, OSError):  # another system, or one that forbids it
        yield _Stream(data)
        return
    try:
        with open(descriptor, "wb", buffering=0, closefd=False) as file:
            left = memoryview(data)
            while left:
                left = left[file.write(left) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


class _Stream(io.BytesIO):
    """A file in memory, in which libsndfile may look for places that it does not have."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move, or stay where the place is before the beginning; return the position."""
        at = offset + (0, self.tell(), len(self.getbuffer()))[whence]
        return super().seek(at) if at >= 0 else self.tell()


def _soundfile() -> Any:
    """Return the library soundfile; raises `CapabilityError` where it is not installed."""
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: it finds no libsndfile
        raise CapabilityError(
            f"reading sound files needs soundfile, which cannot be imported ({error})",
            "",
            "Run: python -m pip install 'spikeprep[audio]'.",
        ) from error
    return soundfile


def resample(samples: NDArray[np.floating[Any]], rate: int, to: int) -> NDArray[np.float64]:
    """Return `scipy.signal.resample_poly` of a sound, with the filter of each pair of rates (Hz) designed once."""
    from scipy.signal import resample_poly

    ratio = Fraction(to, rate)
    up, down = ratio.numerator, ratio.denominator
    return np.asarray(resample_poly(samples, up, down, window=_filter(up, down)))


def _filter(up: int, down: int) -> NDArray[np.float64]:
    # filters of usual rates are small; one between rates without a common factor may take 100 MB
    return (_kept_filter if max(up, down) < 1 << 16 else _new_filter)(max(up, down))


def _new_filter(largest: int) -> NDArray[np.float64]:
    from scipy.signal import firwin

    return np.asarray(firwin(20 * largest + 1, 1 / largest, window=("kaiser", 5.0)))


_kept_filter = functools.lru_cache(32)(_new_filter)


def _undecodable(id_: str, data: bytes, error: str) -> BadFile:
    """Return why libsndfile cannot decode a file."""
    start = data[:1024]
    if start.startswith(b"NIST_1A") and b"shorten" in start:
        return BadFile(
            id_,
            "is SPHERE compressed with shorten, which libsndfile does not read",
            "decompress it: sph2pipe -f wav IN.sph OUT.wav",
        )
    return BadFile(id_, f"is no audio ({error.rstrip('. ')})", "replace or remove it")


def _check_length(id_: str, data: bytes) -> None:
    """Raise `BadFile` where a file is empty, or shorter than its header states, which libsndfile does not report."""
    if not data:
        raise BadFile(id_, "is empty", "remove it, or copy it again")
    stated = actual = 0  # bytes of sound
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        at = 12
        while at + 8 <= len(data):
            kind, size = struct.unpack_from("<4sI", data, at)
            if kind == b"data":
                # a size of 0 or of all ones is that of a stream that was never finished: its length is not known
                stated, actual = (0 if size == 0xFFFFFFFF else size), len(data) - at - 8
                break
            at += 8 + size + size % 2
    elif data.startswith(b"NIST_1A"):
        words = data[8:16].split()
        header = int(words[0]) if words and words[0].isdigit() else 1024
        fields = dict(_sphere_fields(data[:header]))
        if "shorten" not in fields.get("sample_coding", ""):
            try:
                size = [int(fields[key]) for key in ("sample_count", "channel_count", "sample_n_bytes")]
                stated, actual = size[0] * size[1] * size[2], len(data) - header
            except (KeyError, ValueError):
                pass  # libsndfile reports what is wrong with such a header
    if actual < stated:
        what = f"is truncated: {actual:,} bytes of sound, the header states {stated:,}"
        raise BadFile(id_, what, "copy it again")


def _sphere_fields(header: bytes) -> Iterable[tuple[str, str]]:
    for line in header.decode("latin-1").splitlines()[2:]:
        words = line.split(None, 2)
        if len(words) == 3:
            yield words[0], words[2].strip()
