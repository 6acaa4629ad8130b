"""Mutated images: an error of ours, or an image."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from spikeprep.sources.images import ImageFolder

from .fuzzing import Target, both_lengths, check

_WAYS = {
    "PNG": {"format": "PNG"},
    "PNG, palette": {"format": "PNG", "mode": "P"},
    "JPEG": {"format": "JPEG"},
    "JPEG, progressive": {"format": "JPEG", "progressive": True},
    "GIF": {"format": "GIF"},
    "BMP": {"format": "BMP"},
    "TIFF": {"format": "TIFF"},
    "TIFF, LZW": {"format": "TIFF", "compression": "tiff_lzw"},
    "TIFF, deflate": {"format": "TIFF", "compression": "tiff_adobe_deflate"},
    "WebP": {"format": "WEBP"},
    "WebP, lossless": {"format": "WEBP", "lossless": True},
    "PPM": {"format": "PPM"},
}


def _written(mode: str = "RGB", **settings: object):
    def seeds() -> list[bytes]:
        image = pytest.importorskip("PIL.Image")
        out = []
        for n, chosen in enumerate((mode, "L")):
            pixels = np.random.default_rng(n).integers(0, 256, (13, 17, 3), np.uint8)
            stream = io.BytesIO()
            image.fromarray(pixels).convert(chosen).save(stream, **settings)
            out.append(stream.getvalue())
        return out

    return seeds


def _read(data: bytes, folder: Path) -> object:
    path = folder / "class" / "a.png"  # content decides, not the name
    path.parent.mkdir()
    path.write_bytes(data)
    mode, size = ("grey", "rgb")[len(data) % 2], ((), (8, 9))[len(data) // 2 % 2]
    source = ImageFolder(path=str(folder), test_share=0, mode=mode, size=size)
    image = source.read("train", 0).signal
    assert image.dtype == np.uint8
    assert image.ndim == (3 if mode == "rgb" else 2)
    assert source.outline("train", 0).shape == image.shape
    return image.shape


TARGETS = [Target(name, _written(**ways), _read) for name, ways in _WAYS.items()]


@both_lengths(TARGETS)
def test_mutated_images(target, count):
    check(target, count)
