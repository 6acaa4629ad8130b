"""Sounds in memory → samples, by libsndfile: only whole files of known formats, and only samples in ±1."""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..data import LOUDEST
from ..errors import CapabilityError, DataError
from .other_files import other_kind
from .sound_ends import check_end, check_one_flac
from .sound_formats import check_format, without_padding
from .sound_headers import sound_sizes, with_size
from .sound_streams import check_ogg, complete_mp3, is_mp3

READ = (
    ".wav", ".wave", ".rf64", ".w64", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".flac", ".mp3", ".mp2",
    ".ogg", ".oga", ".opus", ".sph", ".nist", ".voc",
)  # fmt: skip
"""Endings of sound files that libsndfile reads; the content decides."""

SUFFIXES = (
    *READ,
    ".8svx", ".aac", ".ac3", ".amr", ".ape", ".awb", ".dff", ".dsf", ".gsm", ".htk", ".m4a", ".m4b", ".mka", ".mpc",
    ".pcm", ".ra", ".raw", ".rm", ".shn", ".spx", ".tta", ".vox", ".weba", ".webm", ".wma", ".wv",
)  # fmt: skip
"""Endings of all sound files: those that libsndfile does not read are refused, never passed over."""

LOWEST_RATE, HIGHEST_RATE = 1000, 768_000
"""Plausible rates in Hz: below the lower one no vowel could be told, and no audio hardware goes beyond the upper one.

A header that states another one is damaged: a sound of 1 Hz would last for hours of time steps.
"""

Channel = int | Literal["mean"]
"""A channel's number from 0; −1: the only one; "mean": the average of all."""

_SIGNATURES = (
    b"RIFF", b"RIFX", b"RF64", b"riff\x2e\x91\xcf\x11", b"FORM", b"caff", b".snd", b"dns.", b"fLaC", b"OggS",
    b"NIST_1A", b"Creative Voice File\x1a",
)  # fmt: skip
_OTHERS = (  # offset, bytes, name
    (4, b"ftyp", "MPEG-4 audio"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media audio"),
    (0, b"\xff\xf1", "AAC"),
    (0, b"\xff\xf9", "AAC"),
    (0, b"ADIF", "AAC"),
    (0, b"#!AMR", "AMR"),
    (0, b"\x0b\x77", "AC-3"),
    (0, b"wvpk", "WavPack"),
    (0, b"MAC ", "Monkey's Audio"),
    (0, b"TTA1", "True Audio"),
    (0, b"MPCK", "Musepack"),
    (0, b"MP+", "Musepack"),
    (0, b"DSD ", "DSD"),
    (0, b"FRM8", "DSD"),
    (0, b"\x1a\x45\xdf\xa3", "Matroska or WebM"),
    (0, b".RMF", "RealAudio"),
    (0, b"ajkg", "Shorten"),
    (0, b"MThd", "MIDI"),
)
_VALUES = 1 << 20  # that are decoded at a time, of all channels
_CANCELLED = 1 / 16  # of the average magnitude of the channels: an average that is lower has lost the sound
_UNKNOWN = (1 << 63) - 1  # frames that libsndfile states where a file does not
_PCM = ("PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "ALAW", "ULAW")  # never NaN, never beyond ±1
_IN_BLOCKS = ("GSM610", "IMA_ADPCM", "MS_ADPCM")
_KINDS = {
    "PCM_S8": "8-bit", "PCM_U8": "8-bit", "PCM_16": "16-bit", "PCM_24": "24-bit", "PCM_32": "32-bit",
    "FLOAT": "floating-point", "DOUBLE": "floating-point",
}  # fmt: skip


class Sound(NamedTuple):
    """One channel of a sound file, float64 (time,) in ±1, its rate in Hz, and the kind of its samples."""

    samples: NDArray[np.float64]
    rate: int
    kind: str


def decode(
    data: bytes,
    channel: Channel,
    full_scale: float,
    check_memory: Callable[[int], None] = lambda samples: None,
) -> Sound:
    """Return a channel of a sound file at the file's own rate.

    Parameters
    ----------
    data
        The whole file.
    channel
        Which channel, see `Channel`.
    full_scale
        The value of floating-point samples that is 1.
    check_memory
        Called with the number of samples before they are decoded; raises where they are too many.

    Raises
    ------
    DataError
        The file is no sound that libsndfile reads, or truncated; it has no such channel; or its samples are not finite
        or far from ±1. The message begins with a verb: the caller puts the file's name ahead of it.
    """
    soundfile = _soundfile()
    if not data:
        raise DataError("is empty", "", "remove it, or copy it again")
    content = _complete(data)
    try:
        with _in_memory(content) as stream, _sequential()(stream, closefd=False) as file:
            rate, stated, subtype = file.samplerate, file.frames, file.subtype
            if not LOWEST_RATE <= rate <= HIGHEST_RATE:
                fix = "correct its header, for example: sox -r RATE IN.wav OUT.wav"
                what = f"has a rate of {rate} Hz (expected {LOWEST_RATE} to {HIGHEST_RATE})"
                raise DataError(what, "", fix)
            _check_channel(channel, file.channels)
            samples = _samples(file, channel, check_memory)
    except soundfile.LibsndfileError as error:
        raise _undecodable(data, error.error_string) from error
    except RuntimeError as error:  # soundfile's other errors
        raise _undecodable(data, str(error)) from error
    if len(samples) < stated < _UNKNOWN:
        raise DataError(f"is truncated: {len(samples)} samples of {stated}", "", "copy it again")
    if not len(samples):
        raise DataError("has no samples", "", "remove it, or copy it again")
    if subtype in _IN_BLOCKS:
        samples = samples[: without_padding(data, len(samples))]
    if subtype not in _PCM:
        samples = _scaled(samples, full_scale if subtype in ("FLOAT", "DOUBLE") else 1.0)
    return Sound(samples, rate, _KINDS.get(subtype, "compressed"))


def _complete(data: bytes) -> bytes:
    """Return a file that states how long it is; raises `DataError` for a truncated one, and for no sound."""
    if data.startswith(_SIGNATURES):
        sizes = sound_sizes(data)
        if sizes is not None and sizes.streamed:
            check_format(data, sizes)
            return with_size(data, sizes)
        if sizes is not None and sizes.available < sizes.stated:
            what = f"is truncated: {sizes.available:,} bytes of sound, the header states {sizes.stated:,}"
            raise DataError(what, "", "copy it again")
        if data.startswith(b"OggS"):
            check_ogg(data)
        if data.startswith(b"fLaC"):
            check_one_flac(data)
        if sizes is None:
            return data
        check_end(data, sizes.end, sizes.chunks)
        check_format(data, sizes)
        return data[: sizes.end] if sizes.reads_on else data
    if is_mp3(data):
        return complete_mp3(data)
    for at, magic, name in _OTHERS:
        if data.startswith(magic, at):
            fix = "convert it, for example: ffmpeg -i IN OUT.flac"
            raise DataError(f"is {name}, which libsndfile does not read", "", fix)
    if kind := other_kind(data, "sound"):
        raise DataError(f"is {kind.name} (expected a sound)", "", kind.fix)
    raise DataError(
        "is no audio: it is no WAV, FLAC, MP3, SPHERE, AIFF, AU, CAF, W64, VOC or Ogg",
        "",
        "replace or remove it; samples without a header need one, for example: "
        "sox -t raw -r RATE -e signed -b 16 -c 1 IN OUT.wav",
    )


def _check_channel(channel: Channel, channels: int) -> None:
    if channel == "mean" or (channels == 1 and channel < 0) or 0 <= channel < channels:
        return
    if channels == 1:
        raise DataError(
            f"is mono, and has no channel {channel}",
            "",
            "average the channels of all files, which leaves mono ones as they are: use source.channel=mean; "
            "or take the first channel of all: use source.channel=0",
        )
    missing = f", none of number {channel}" if channel >= 0 else ""
    fix = f"choose one, from 0 to {channels - 1}: use source.channel=0"
    average = ", or average them: use source.channel=mean"
    raise DataError(f"has {channels} channels{missing}", "", fix + average)


def _samples(file: Any, channel: Channel, check_memory: Callable[[int], None]) -> NDArray[np.float64]:
    """Return the samples of the chosen channel, a few at a time where they are many."""
    pieces, length, together, apart = [], 0, 0.0, 0.0
    each = max(_VALUES // file.channels, 1)
    while True:
        # compressed files may state any length, and none: memory is counted as they are read
        check_memory(length)
        values = file.read(min(each, max(file.frames - length, 1)), dtype="float64", always_2d=True)
        chosen = values.mean(axis=1) if channel == "mean" else values[:, max(channel, 0)]
        if channel == "mean" and len(values):
            peak = peak_of(chosen)
            is_low = peak < _CANCELLED * peak_of(values)
            together, apart = (
                max(together, peak),
                max(apart, peak_of(np.abs(values).mean(axis=1)) if is_low else peak),
            )
        pieces.append(np.ascontiguousarray(chosen))
        length += len(values)
        if not len(values) or length >= file.frames:
            break
    if together < _CANCELLED * apart:
        what = f"has channels that cancel each other: their average has no sample above {together:.2g}"
        raise DataError(what, "", "take one of them: use source.channel=0")
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def peak_of(values: NDArray[np.float64]) -> float:
    """Return the largest magnitude of values, at least one."""
    return max(float(values.max()), -float(values.min()))


def _scaled(samples: NDArray[np.float64], full_scale: float) -> NDArray[np.float64]:
    """Return floating-point samples in ±1; raises `DataError` where their scale is another one."""
    least, most = float(samples.min()), float(samples.max())  # NaN where one is
    peak = max(-least, most)
    if not (np.isfinite(least) and np.isfinite(most)):
        raise DataError("holds NaN or infinite samples", "", "convert it again from its original")
    if full_scale == 1:
        if peak > LOUDEST or (peak > 1 and not (samples % 1).any()):
            bits = next((n for n in (16, 24, 32) if peak <= 1 << n - 1), 0)
            guess = f": use source.full_scale={1 << bits - 1}, if they are {bits}-bit numbers" if bits else ""
            raise DataError(
                f"holds floating-point samples from {least:g} to {most:g} (expected ±1)",
                "",
                f"state the value that is full scale{guess or ': use source.full_scale=VALUE'}",
            )
        return samples
    if peak > LOUDEST * full_scale:
        what = f"holds samples from {least:g} to {most:g}, far beyond source.full_scale = {full_scale:g}"
        raise DataError(what, "", "state the value that is full scale")
    if 0 < peak <= 1 < full_scale and (samples % 1).any():
        what = f"holds samples from {least:g} to {most:g}: they are in ±1, not in ±{full_scale:g}"
        raise DataError(what, "", "give files of one scale at a time")
    return samples / full_scale


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
        return super().seek(at) if 0 <= at < 1 << 63 else self.tell()


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


@functools.cache
def _sequential() -> type[Any]:
    """Return the class of files that are read from their beginning to their end.

    soundfile seeks after it reads, which fails in FLAC without a length, and goes by the stated length.
    """

    class Sequential(_soundfile().SoundFile):  # type: ignore[misc]
        """A sound file that is only read forwards."""

        def seekable(self) -> bool:
            """Return False."""
            return False

    return Sequential


def _undecodable(data: bytes, error: str) -> DataError:
    """Return why libsndfile cannot decode a file."""
    start, reason = data[:1024], error.rstrip(". ")
    if start.startswith(b"NIST_1A") and b"shorten" in start:
        return DataError(
            "is SPHERE compressed with shorten, which libsndfile does not read",
            "",
            "decompress it: sph2pipe -f wav IN.sph OUT.wav",
        )
    if is_mp3(start) and "MP3" not in _soundfile().available_formats():
        fix = "update it: python -m pip install -U soundfile"
        return DataError("is MP3, which needs libsndfile 1.1 or newer", "", fix)
    if start.startswith(b"fLaC") and "lost sync" in reason:
        return DataError(f"is truncated or damaged ({reason})", "", "copy it again")
    if "SF_INFO" in reason:  # libsndfile's words for a rate or a number of channels of 0
        fix = "state them in its header, for example: sox -r RATE -c CHANNELS IN.wav OUT.wav"
        return DataError("has a rate of 0 Hz, or no channels, as its header says", "", fix)
    return DataError(f"is no audio that can be read ({reason})", "", "replace or remove it")
