"""Mutated images: an error of ours, or an image."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from spikeprep.sources.images import ImageFolder

from .fuzzing import Target, both_lengths, check

_WAYS: dict[str, list[dict[str, object]]] = {
    "PNG": [{}, {"mode": "P"}, {"mode": "RGBA"}],
    "JPEG": [{}, {"progressive": True}],
    "GIF": [{}],
    "BMP": [{}, {"mode": "P"}],
    "TIFF": [{}, {"compression": "tiff_lzw"}, {"compression": "tiff_adobe_deflate"}],
    "WEBP": [{}, {"lossless": True}],
    "PPM": [{}],
}


def _written(form: str, ways: list[dict[str, object]]):
    def seeds() -> list[bytes]:
        image = pytest.importorskip("PIL.Image")
        out = []
        for n, way in enumerate([*ways, {"mode": "L"}]):
            settings = dict(way)
            pixels = np.random.default_rng(n).integers(0, 256, (13, 17, 3), np.uint8)
            stream = io.BytesIO()
            image.fromarray(pixels).convert(settings.pop("mode", "RGB")).save(stream, form, **settings)
            out.append(stream.getvalue())
        return out

    return seeds


def _read(data: bytes, folder: Path) -> object:
    path = folder / "a.png"  # content decides, not the name
    path.write_bytes(data)
    table = folder / "a.csv"
    table.write_text("path,label\na.png,one\n")
    mode, size = ("grey", "rgb")[len(data) % 2], ((), (8, 9))[len(data) // 2 % 2]
    source = ImageFolder(path=str(table), test_share=0, mode=mode, size=size)
    image = source.read("train", 0).signal
    assert image.dtype == np.uint8
    assert image.ndim == (3 if mode == "rgb" else 2)
    assert source.outline("train", 0).shape == image.shape
    return image.shape


TARGETS = [Target(form, _written(form, ways), _read) for form, ways in _WAYS.items()]


@both_lengths(TARGETS)
def test_mutated_images(target, count):
    check(target, count)
