"""Animations and folders of frames for tests."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray


def moving_bar(n: int, frames: int = 5, rows: int = 6, columns: int = 7) -> NDArray[np.uint8]:
    """A bright bar that moves right by a column a frame, from column n on; uint8 (frame, row, column)."""
    video = np.full((frames, rows, columns), 40 + n, np.uint8)
    for k in range(frames):
        video[k, :, (n + k) % columns] = 250
    return video


def animation(frames: NDArray[np.uint8] | Sequence[Any], form: str = "GIF", **settings: Any) -> bytes:
    """Return the bytes of an animated file."""
    image = pytest.importorskip("PIL.Image")
    pictures = [image.fromarray(f) if isinstance(f, np.ndarray) else f for f in frames]
    stream = io.BytesIO()
    pictures[0].save(stream, form, save_all=True, append_images=pictures[1:], **settings)
    return stream.getvalue()


def put_frames(folder: Path, frames: NDArray[np.uint8], name: str = "{}.png", numbers: Any = None) -> Path:
    """Write numbered pictures into a folder."""
    image = pytest.importorskip("PIL.Image")
    folder.mkdir(parents=True, exist_ok=True)
    for n, frame in zip(numbers or range(len(frames)), frames, strict=False):
        image.fromarray(frame).save(folder / name.format(n))
    return folder


def video_folder(root: Path) -> Path:
    """Two classes of five videos each: animations in ``left``, folders of twelve numbered frames among ``right``."""
    for n in range(5):
        (root / "left").mkdir(parents=True, exist_ok=True)
        (root / "left" / f"{n}.gif").write_bytes(animation(moving_bar(n), duration=40))
        put_frames(root / "right" / f"clip{n}", moving_bar(n, 12)[::-1])
    return root
