"""What all sources of recorded sound share."""

from __future__ import annotations

import functools
import hashlib
import struct
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..data import Audio, Sample
from ..errors import CapabilityError, UsageError
from .checked_files import Checked, CheckedFiles
from .labelled_files import Fault, Recording

SUFFIXES = (".wav", ".flac", ".sph", ".aif", ".aiff", ".ogg")


@dataclass(frozen=True)
class Sounds(CheckedFiles[tuple[int, int]]):
    """Base of the readers of sound; a sample's signal is `Audio` in ±1. Of a file its length and rate are kept.

    Parameters
    ----------
    rate
        Rate in Hz to which all are resampled (`scipy.signal.resample_poly`; overshoots are kept); 0: their own, which
        must then be one.
    channel
        Which channel of files that have several, from 0; −1: all must be mono.
    """

    endings: ClassVar[str] = " ".join(SUFFIXES)
    own_rate: ClassVar[int] = 0  # Hz, of a corpus that has one

    rate: int = 0
    channel: int = -1

    def __post_init__(self) -> None:
        if not (isinstance(self.rate, int) and self.rate >= 0 and isinstance(self.channel, int)):
            raise UsageError(
                f"{self.name}: got rate {self.rate!r}, channel {self.channel!r}",
                "whole Hz (0: the files' own), and a channel's number (-1: all files are mono)",
            )

    def _unlike(self, checked: Sequence[Checked[tuple[int, int]]]) -> Sequence[Fault]:
        """Say which files are of another rate, unless all are resampled."""
        if self.rate or not checked:
            return ()
        common = self.own_rate or Counter(rate for _, rate in (c.facts for c in checked)).most_common(1)[0][0]
        hint = f"set source.rate={common}, which resamples"
        other = [(c.id, c.facts[1]) for c in checked if c.facts[1] != common]
        return [Fault(where, f"has {rate} Hz, not {common}", hint) for where, rate in other]

    def _look(self, recording: Recording) -> tuple[str, tuple[int, int]]:
        data = recording.file.read_bytes()
        audio = self._load(recording, data)
        if not audio.samples.any():
            raise Fault(recording.id, "is silent from end to end", "remove it")
        return hashlib.sha256(data).hexdigest(), (audio.samples.size, int(audio.rate))

    def _load(self, recording: Recording, data: bytes | None = None) -> Audio:
        """Return a recording as it is; raises `Fault`."""
        soundfile = _soundfile()
        where = recording.id
        if data is not None:
            _check_whole(where, data)
        try:
            with soundfile.SoundFile(recording.file) as file:
                samples, rate, promised = (
                    file.read(dtype="float64", always_2d=True),
                    file.samplerate,
                    file.frames,
                )
        except soundfile.LibsndfileError as error:
            raise _explained(recording, error.error_string) from error
        if len(samples) < promised:
            raise Fault(where, f"is cut short: {len(samples)} samples of {promised}", "copy it again")
        if not len(samples):
            raise Fault(where, "holds no samples", "remove it, or copy it again")
        channels = samples.shape[1]
        if self.channel < 0 < channels - 1 or self.channel >= channels:
            raise Fault(
                where,
                f"has {channels} channels"
                + (f", none of number {self.channel}" if self.channel >= 0 else ""),
                f"choose one, from 0 to {channels - 1}, with source.channel=0",
            )
        chosen = np.ascontiguousarray(samples[:, max(self.channel, 0)])
        if not np.isfinite(chosen).all():
            raise Fault(where, "holds NaN or infinite samples", "convert it again from its original")
        return Audio(chosen, rate)

    def read(self, split: str, index: int) -> Sample:
        """Return one recording; its id is its path inside the source."""
        recording = self._at(split, index)
        try:
            audio = self._load(recording)
        except Fault as fault:  # it has changed since it was checked
            raise self._refusal([fault]) from fault
        if self.rate and audio.rate != self.rate:
            audio = Audio(resample(audio.samples, int(audio.rate), self.rate), self.rate)
        return Sample(audio, recording.label, recording.id)

    def outline(self, split: str, index: int) -> Audio:
        """Return silence of a recording's length and rate, without reading it."""
        length, own = self._at(split, index).facts
        rate = self.rate or own
        return Audio(np.broadcast_to(0.0, -(-length * rate // own)), rate)


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
    """Return what `scipy.signal.resample_poly` does, with the filter of a pair of rates designed once."""
    from scipy.signal import resample_poly

    ratio = Fraction(to, rate)
    up, down = ratio.numerator, ratio.denominator
    return np.asarray(resample_poly(samples, up, down, window=_filter(up, down)))


@functools.lru_cache(32)
def _filter(up: int, down: int) -> NDArray[np.float64]:
    from scipy.signal import firwin

    largest = max(up, down)
    return np.asarray(firwin(20 * largest + 1, 1 / largest, window=("kaiser", 5.0)))


def _explained(recording: Recording, error: str) -> Fault:
    """Return why libsndfile cannot read a file."""
    try:
        with recording.file.open("rb") as file:
            start = file.read(1024)
    except OSError:
        start = b""
    if start.startswith(b"NIST_1A") and b"shorten" in start:
        return Fault(
            recording.id,
            "is SPHERE compressed with shorten, which libsndfile does not read",
            "decompress it: sph2pipe -f wav IN.sph OUT.wav",
        )
    return Fault(recording.id, f"is no audio ({error.rstrip('. ')})", "replace or remove it")


def _check_whole(where: str, data: bytes) -> None:
    """Raise `Fault` where a file is empty, or shorter than its header says (libsndfile reads what is there)."""
    if not data:
        raise Fault(where, "is empty", "remove it, or copy it again")
    promised = here = 0
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        at = 12
        while at + 8 <= len(data):
            kind, size = struct.unpack_from("<4sI", data, at)
            if kind == b"data":
                # a size of 0 or of all ones is that of a stream which was never finished: there is no promise
                promised, here = (0 if size == 0xFFFFFFFF else size), len(data) - at - 8
                break
            at += 8 + size + size % 2
    elif data.startswith(b"NIST_1A"):
        header = (
            int(data[8:16].split()[0]) if data[8:16].split()[:1] and data[8:16].split()[0].isdigit() else 1024
        )
        fields = dict(_sphere_fields(data[:header]))
        if "shorten" not in fields.get("sample_coding", ""):
            try:
                size = [int(fields[key]) for key in ("sample_count", "channel_count", "sample_n_bytes")]
                promised, here = size[0] * size[1] * size[2], len(data) - header
            except (KeyError, ValueError):
                pass  # libsndfile knows what to say of such a header
    if here < promised:
        raise Fault(
            where, f"is cut short: {here:,} bytes of sound, the header promises {promised:,}", "copy it again"
        )


def _sphere_fields(header: bytes) -> Iterable[tuple[str, str]]:
    for line in header.decode("latin-1").splitlines()[2:]:
        words = line.split(None, 2)
        if len(words) == 3:
            yield words[0], words[2].strip()
