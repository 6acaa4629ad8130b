"""What all sources of recorded sound share: every file is read once and checked before anything is encoded."""

from __future__ import annotations

import functools
import hashlib
import struct
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..data import Audio, Sample
from ..errors import DataError, UsageError
from ..machine import cores
from ._labelled import SPLITS, Fault, Recording, digest_of, left_out, refusal
from .base import Source

SUFFIXES = (".wav", ".flac", ".sph", ".aif", ".aiff", ".ogg")


@dataclass(frozen=True)
class Listing:
    """What a source found: its recordings, what is wrong with names, and what a person should know."""

    recordings: Sequence[Recording]
    faults: Sequence[Fault] = ()
    note: str = ""


@dataclass(frozen=True)
class _Checked:
    """A recording that can be read: its length in samples, rate and sha256."""

    recording: Recording
    length: int
    rate: int
    sha256: str


@dataclass(frozen=True)
class Recordings(Source):
    """Base of the readers of sound; a sample's signal is `Audio` in ±1.

    Parameters
    ----------
    path
        Where the files are.
    rate
        Rate in Hz to which all are resampled (`scipy.signal.resample_poly`; overshoots are kept); 0: their own, which
        must then be one.
    channel
        Which channel of files that have several, from 0; −1: all must be mono.
    skip_bad
        Whether to go on without files that cannot be used, and to record them, instead of refusing.
    licence
        Note kept with the store.
    """

    own_rate: ClassVar[int] = 0  # Hz, of a corpus that has one

    path: str = ""
    rate: int = 0
    channel: int = -1
    skip_bad: bool = False
    licence: str = ""

    def __post_init__(self) -> None:
        if not (isinstance(self.rate, int) and self.rate >= 0 and isinstance(self.channel, int)):
            raise UsageError(
                f"{self.name}: got rate {self.rate!r}, channel {self.channel!r}",
                "whole Hz (0: the files' own), and a channel's number (-1: all files are mono)",
            )

    @abstractmethod
    def listing(self) -> Listing:
        """Find the files of `path`; raises `DataError` where there is nothing to find."""

    @cached_property
    def _scan(self) -> tuple[dict[str, list[_Checked]], list[Fault], str]:
        """Read every file once; raises `DataError` for all faults together unless `skip_bad`."""
        listing = self.listing()
        with ThreadPoolExecutor(cores()) as pool:
            results = list(pool.map(self._check, listing.recordings, chunksize=16))
        good = [result for result in results if isinstance(result, _Checked)]
        faults = [*listing.faults, *(result for result in results if isinstance(result, Fault))]
        if good and not self.rate:
            common = self.own_rate or Counter(checked.rate for checked in good).most_common(1)[0][0]
            faults += [
                Fault(
                    c.recording.id,
                    f"has {c.rate} Hz, not {common}",
                    f"set source.rate={common}, which resamples",
                )
                for c in good
                if c.rate != common
            ]
            good = [checked for checked in good if checked.rate == common]
        if faults and not self.skip_bad:
            raise self._refusal(faults)
        found: dict[str, list[_Checked]] = {}
        for checked in good:
            found.setdefault(checked.recording.split, []).append(checked)
        if not found:
            raise (
                self._refusal(faults)
                if faults
                else DataError(
                    f"{self.path} has no recordings",
                    f"files ending in {' '.join(SUFFIXES)}",
                    "Give their folder.",
                )
            )
        return {split: found[split] for split in SPLITS if split in found}, faults, listing.note

    def _refusal(self, faults: Sequence[Fault]) -> DataError:
        mend = "Or go on without, keeping a record of what is left out: --set source.skip_bad=true."
        return refusal(self.path, faults, mend)

    def _check(self, recording: Recording) -> _Checked | Fault:
        try:
            data = recording.file.read_bytes()
            audio = self._load(recording, data)
        except Fault as fault:
            return fault
        except OSError as error:
            return Fault(
                recording.id, f"cannot be read ({error.strerror})", "check the disk and the permissions"
            )
        if not audio.samples.any():
            return Fault(recording.id, "is silent from end to end", "remove it")
        return _Checked(recording, audio.samples.size, int(audio.rate), hashlib.sha256(data).hexdigest())

    def _load(self, recording: Recording, data: bytes | None = None) -> Audio:
        """Return a recording as it is; raises `Fault`."""
        import soundfile

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

    def splits(self) -> Mapping[str, int]:
        """Return split name → number of recordings."""
        return {split: len(recordings) for split, recordings in self._scan[0].items()}

    def read(self, split: str, index: int) -> Sample:
        """Return one recording; its id is its path inside the source."""
        recording = self._scan[0][split][index].recording
        try:
            audio = self._load(recording)
        except Fault as fault:  # it has changed since it was checked
            raise self._refusal([fault]) from fault
        if self.rate and audio.rate != self.rate:
            audio = Audio(resample(audio.samples, int(audio.rate), self.rate), self.rate)
        return Sample(audio, recording.label, recording.id)

    def outline(self, split: str, index: int) -> Audio:
        """Return silence of a recording's length and rate, without reading it."""
        checked = self._scan[0][split][index]
        rate = self.rate or checked.rate
        length = -(-checked.length * rate // checked.rate)
        return Audio(np.broadcast_to(0.0, length), rate)

    def provenance(self) -> dict[str, Any]:
        """Return the licence note, one sha256 over the sha256 and id of every file, and what was left out."""
        found, faults, note = self._scan
        lines = (f"{c.sha256}  {c.recording.id}\n" for checked in found.values() for c in checked)
        note = "; ".join(filter(None, [note, left_out(faults)]))
        facts = {"licence": self.licence, "sha256": digest_of(lines)}
        more = {"left_out": [str(fault) for fault in faults]} if faults else {}
        return facts | ({"note": note} if note else {}) | more


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
