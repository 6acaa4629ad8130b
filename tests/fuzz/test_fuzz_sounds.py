"""Mutated sound files: an error of ours, or sound."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from spikeprep.sources.audio import AudioFiles

from ..sources.sound_files import sphere, spoken, wav
from .fuzzing import Target, both_lengths, check


def _written(form: str, subtype: str):
    def seeds() -> list[bytes]:
        soundfile = pytest.importorskip("soundfile")
        out = []
        for channels in (1, 2):
            stream = io.BytesIO()
            sound = spoken(1, channels, 700)[:, None].repeat(channels, 1)
            soundfile.write(stream, sound, 12500 if form != "OGG" else 16000, format=form, subtype=subtype)
            out.append(stream.getvalue())
        return out

    return seeds


def _read(suffix: str, rate: int = 0):
    def read(data: bytes, folder: Path) -> object:
        path = folder / "class" / f"a{suffix}"
        path.parent.mkdir()
        path.write_bytes(data)
        source = AudioFiles(path=str(folder), test_share=0, channel=0, rate=rate)
        assert source.splits() == {"train": 1}
        audio, outline = source.read("train", 0).signal, source.outline("train", 0)
        assert audio.samples.shape == outline.samples.shape
        assert audio.rate == outline.rate
        assert np.isfinite(audio.samples).all()
        return audio.samples.shape

    return read


TARGETS = [
    Target("WAV", lambda: [wav(spoken(n, n, 900)) for n in range(3)], _read(".wav")),
    Target("WAV, resampled", lambda: [wav(spoken(n, n, 300)) for n in range(3)], _read(".wav", 16000)),
    Target("WAV, float", _written("WAV", "FLOAT"), _read(".wav")),
    Target("WAV, A-law", _written("WAV", "ALAW"), _read(".wav")),
    Target("WAV, IMA ADPCM", _written("WAV", "IMA_ADPCM"), _read(".wav")),
    Target("SPHERE", lambda: [sphere(spoken(n, n, 900), order=o) for n, o in ((1, "01"), (2, "10"))], _read(".sph")),
    Target("AIFF", _written("AIFF", "PCM_16"), _read(".aif")),
    Target("FLAC", _written("FLAC", "PCM_16"), _read(".flac")),
    Target("Ogg", _written("OGG", "VORBIS"), _read(".ogg")),
]


@both_lengths(TARGETS)
def test_mutated_sounds(target, count):
    check(target, count)
