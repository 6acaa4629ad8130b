"""Mutated animations: an error of ours, or frames and the events of them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from spikeprep.data import EVENT
from spikeprep.sources.videos import VideoFolder
from spikeprep.transforms import VideoToEvents

from .fuzzing import Target, both_lengths, check

_WAYS: dict[str, list[dict[str, object]]] = {
    "GIF": [{"duration": 30}, {"duration": [0, 10, 20], "mode": "P"}, {"disposal": 2, "mode": "RGBA"}],
    "PNG": [{"duration": 30}, {"default_image": True, "mode": "RGB"}],
    "WEBP": [{"lossless": True, "duration": 40}],
    "TIFF": [{}, {"compression": "tiff_lzw"}],
}


def _written(form: str, ways: list[dict[str, object]]):
    def seeds() -> list[bytes]:
        image = pytest.importorskip("PIL.Image")
        out = []
        for n, way in enumerate(ways):
            settings = dict(way)
            mode = settings.pop("mode", "L")
            pixels = np.random.default_rng(n).integers(0, 256, (3, 9, 8, 3), np.uint8)
            frames = [image.fromarray(p).convert(mode) for p in pixels]
            stream = io.BytesIO()
            frames[0].save(stream, form, save_all=True, append_images=frames[1:], **settings)
            out.append(stream.getvalue())
        return out

    return seeds


def _read(data: bytes, folder: Path) -> object:
    path = folder / "a.gif"  # content decides, not the name
    path.write_bytes(data)
    table = folder / "a.csv"
    table.write_text("path,label\na.gif,one\n")
    size, rate = ((), (5, 6))[len(data) % 2], (0, 25)[len(data) // 2 % 2]
    source = VideoFolder(path=str(table), test_share=0, size=size, rate=rate, alpha="black")
    video = source.read("train", 0).signal
    frames = video.array
    assert frames.dtype == np.uint8
    assert frames.shape == (len(video.times), *video.size[::-1])
    if frames.size > 1 << 22:
        return frames.shape
    events = VideoToEvents()(video)
    assert events.array.dtype == EVENT
    assert (np.diff(events.array["t"]) >= 0).all()
    assert not len(events.array) or events.array["t"][-1] < video.duration
    return frames.shape


TARGETS = [Target(f"animated {form}", _written(form, ways), _read) for form, ways in _WAYS.items()]


@both_lengths(TARGETS)
def test_mutated_animations(target, count):
    check(target, count)
