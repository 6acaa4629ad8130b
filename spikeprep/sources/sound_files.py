"""Base of the sources of sound recordings in files."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..config import Meta, Positive
from ..data import Audio, Sample
from ..errors import DataError, UsageError
from ..input_files import read_input
from .checked_files import CheckedFile, CheckedFiles
from .labelled_files import BadFile, Recording
from .levels import Groups
from .sound_decoder import HIGHEST_RATE, LOWEST_RATE, READ, SUFFIXES, Sound, decode, peak_of

_QUIET = 2**-8  # of full scale, −48 dB, at most: the peak of 16-bit numbers in files of 24 bits
_FEW = 3  # sounds: smaller parts may be quiet by accident, unless their kind is another one
_COPIES = 4  # of a sound's samples, at most, while it is read and resampled

Rate = Annotated[int, Meta(ge=0, le=HIGHEST_RATE)]
Channel = Annotated[int, Meta(ge=-1, le=1023)] | Literal["mean"]  # libsndfile has at most 1024


class SoundFacts(NamedTuple):
    """A sound's length in samples, rate in Hz, largest magnitude, and the kind of its samples."""

    length: int
    rate: int
    peak: float
    kind: str


@dataclass(frozen=True)
class SoundFiles(CheckedFiles[SoundFacts]):
    """Base of the sources of sound; a sample's signal is `Audio` in ±1.

    Parameters
    ----------
    rate
        Rate in Hz to which all files are resampled (`scipy.signal.resample_poly`; overshoots are kept); 0: the files'
        own rate, which must then be the same in all.
    channel
        Which channel to read of files that have several, from 0; −1: all files must be mono; "mean": the average of
        all channels.
    full_scale
        The value that is 1 in files of floating-point samples; 32768 where these are 16-bit numbers. Samples far from
        ±`full_scale` are refused. Files of other kinds of samples state their scale.
    """

    endings: ClassVar[str] = " ".join(READ)
    native_rate: ClassVar[int] = 0  # Hz, of a corpus that has one

    rate: Rate = 0
    channel: Channel = -1
    full_scale: Positive = 1.0

    later_settings: ClassVar[tuple[str, ...]] = ("full_scale",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if 0 < self.rate < LOWEST_RATE:
            raise UsageError(
                f"got {self.name}.rate = {self.rate}", f"0, or {LOWEST_RATE} to {HIGHEST_RATE} Hz"
            )

    @property
    def file_endings(self) -> Sequence[str]:
        """Endings of the names of sound files."""
        return SUFFIXES

    def _find_outliers(self, files: Sequence[CheckedFile[SoundFacts]]) -> Sequence[BadFile]:
        """Return the files of another rate, unless all are resampled."""
        if self.rate or not files:
            return ()
        rates = Counter(file.facts.rate for file in files)
        common = self.native_rate or rates.most_common(1)[0][0]
        fix = f"use source.rate={common}, which resamples"
        others = [(file.id, file.facts.rate) for file in files if file.facts.rate != common]
        return [BadFile(id_, f"has {rate} Hz, not {common}", fix) for id_, rate in others]

    def _findings(self, files: Sequence[CheckedFile[SoundFacts]]) -> Sequence[str]:
        """Return texts on sounds of another rate than their corpus', and on those that are far too quiet."""
        return [*super()._findings(files), *self._rate_findings(files), *self._quiet_findings(files)]

    def _rate_findings(self, files: Sequence[CheckedFile[SoundFacts]]) -> Iterator[str]:
        others = [file for file in files if file.facts.rate != self.native_rate]
        if others and self.native_rate:
            yield (
                f"of another rate than the corpus' {self.native_rate:,} Hz, and resampled: {len(others):,} of "
                f"{len(files):,} sounds, such as {others[0].id} of {others[0].facts.rate:,} Hz"
            )

    def _quiet_findings(self, files: Sequence[CheckedFile[SoundFacts]]) -> Iterator[str]:
        """Yield a text on each part of the sounds that is as quiet as numbers of fewer bits are."""
        peaks = np.array([file.facts.peak for file in files])
        kinds, splits = [file.facts.kind for file in files], [file.split for file in files]
        groups = Groups.of("sounds", kinds, splits, [file.label for file in files], self.classes)
        for part in groups.low(peaks, _QUIET, _FEW, few_of_kind=1):
            most = float(peaks[part.members].max())
            unlike = "" if part.all else ", unlike the others"
            bits = 8 if most > _QUIET**2 else 16
            yield (
                f"the {part.name} have no sample above {most:.2g} of full scale{unlike}, such as "
                f"{files[part.members[0]].id}: if they hold numbers of {bits} bits less, make them {1 << bits} times "
                f"louder, for example: sox -v {1 << bits} IN.wav OUT.wav"
            )

    def _check_file(self, recording: Recording) -> tuple[str, SoundFacts]:
        data, sha256 = read_input(recording.file, self.limits)
        samples, rate, kind = self._decode(recording, data)
        peak = peak_of(samples)
        if not peak:
            raise BadFile(recording.id, "is silent from end to end", "remove it")
        self._check_memory(data, samples.size * (self.rate or rate) // rate)
        return sha256, SoundFacts(samples.size, rate, peak, kind)

    def _check_memory(self, data: bytes, samples: int) -> None:
        self.limits.check_bytes("the sound", len(data) + _COPIES * 8 * samples)

    def _decode(self, recording: Recording, data: bytes) -> Sound:
        """Return the chosen channel at the file's own rate; raises `BadFile`."""
        try:
            return decode(data, self.channel, self.full_scale, functools.partial(self._check_memory, data))
        except DataError as error:
            raise BadFile.of(recording, error) from error

    def read(self, split: str, index: int) -> Sample:
        """Return one recording; its id is its path inside the source."""
        recording = self._recording(split, index)
        checked = recording.sha256 if isinstance(recording, CheckedFile) else ""
        data, sha256 = read_input(recording.file, self.limits, checked)
        if not checked:
            self._seen.check(recording, sha256)
        try:
            samples, rate, _ = self._decode(recording, data)
        except BadFile as bad:  # in another process, which did not check it
            raise self._refusal([bad]) from bad
        if self.rate and rate != self.rate:
            samples, rate = resample(samples, rate, self.rate), self.rate
        return Sample(Audio(samples, rate), recording.label, recording.id)

    def outline(self, split: str, index: int) -> Audio:
        """Return silence of a recording's length and rate, from the check of the file."""
        length, file_rate, *_ = self._file(split, index).facts
        rate = self.rate or file_rate
        return Audio(np.broadcast_to(0.0, -(-length * rate // file_rate)), rate)


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
