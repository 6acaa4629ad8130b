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
            sound = spoken(1, channels, 700)[:, None].repeat(channels, 1) / 32768
            soundfile.write(
                stream, sound, 16000 if form in ("OGG", "MP3") else 12500, format=form, subtype=subtype
            )
            out.append(stream.getvalue())
        return out

    return seeds


def _read(suffix: str, rate: int = 16000):
    def read(data: bytes, folder: Path) -> object:
        path = folder / f"a{suffix}"
        path.write_bytes(data)
        table = folder / "a.csv"
        table.write_text(f"path,label\n{path.name},one\n")
        source = AudioFiles(path=str(table), test_share=0, channel=0, rate=0 if len(data) % 8 else rate)
        # the check of one file, without the threads that check many
        outline, audio = source.outline("train", 0), source.read("train", 0).signal
        assert audio.samples.shape == outline.samples.shape
        assert audio.rate == outline.rate
        assert np.isfinite(audio.samples).all()
        return audio.samples.shape

    return read


def _waves() -> list[bytes]:
    packed = [data for kind in ("FLOAT", "ALAW", "IMA_ADPCM", "PCM_24") for data in _written("WAV", kind)()]
    return [wav(spoken(n, n, 900)) for n in range(3)] + packed


def _containers() -> list[bytes]:
    return [data for form in ("W64", "RF64", "CAF", "AU", "VOC") for data in _written(form, "PCM_16")()]


TARGETS = [
    Target("WAV", _waves, _read(".wav")),
    Target(
        "SPHERE",
        lambda: [sphere(spoken(n, n, 900), order=o) for n, o in ((1, "01"), (2, "10"))],
        _read(".sph"),
    ),
    Target("AIFF", _written("AIFF", "PCM_16"), _read(".aif")),
    Target("FLAC", _written("FLAC", "PCM_16"), _read(".flac")),
    Target("Ogg", _written("OGG", "VORBIS"), _read(".ogg")),
    Target("MP3", _written("MP3", "MPEG_LAYER_III"), _read(".mp3")),
    Target("other containers", _containers, _read(".w64")),
]


@both_lengths(TARGETS)
def test_mutated_sounds(target, count):
    check(target, count)
