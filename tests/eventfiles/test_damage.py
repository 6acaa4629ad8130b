"""Files with bytes changed, lost or cut off: an error of ours, or valid events, the same in pieces of any size."""

from __future__ import annotations

import numpy as np
import pytest

from spikeprep.errors import SpikeprepError
from spikeprep.eventfiles import Changes, open_events, outline, read

from .test_formats import FORMS, recording


def damaged(raw: bytes, rng: np.random.Generator) -> bytes:
    """Return the bytes of a file after up to five changes, half of them in its header."""
    data = bytearray(raw)
    for _ in range(rng.integers(1, 6)):
        at = int(rng.integers(0, len(data) if rng.random() < 0.5 else min(len(data), 300)))
        change = rng.integers(0, 4)
        if change == 0:
            data[at] = int(rng.integers(0, 256))
        elif change == 1:
            data[at : at + 4] = rng.bytes(4)
        elif change == 2:
            del data[at : at + int(rng.integers(1, 9))]
        else:
            del data[max(at, 1) :]
        data = data or bytearray(b"x")
    return bytes(data)


@pytest.mark.parametrize("name", FORMS)
def test_damage_is_reported_or_repaired(tmp_path, name):
    form = FORMS[name]
    path = form.put(tmp_path, recording(form, 200))
    raw = path.read_bytes()
    rng = np.random.default_rng(len(raw))
    refusals: list[str] = []
    for _ in range(30):
        path.write_bytes(damaged(raw, rng))
        for invalid in ("fail", "clip", "drop"):
            changes: list[Changes] = []
            settings = form.settings(invalid=invalid, report=changes.append)
            try:
                events = read(path, **settings)
            except SpikeprepError as error:
                refusals.append(str(error))
                continue
            array, (width, height) = events.array, events.size
            assert (np.diff(array["t"], prepend=0) >= 0).all()
            assert (array["x"] < width).all()
            assert (array["y"] < height).all()
            assert (array["p"] < 2).all()
            np.testing.assert_array_equal(open_events(path, piece_events=7, **settings).array, array)
            np.testing.assert_array_equal(outline(path, **form.settings(invalid=invalid)).array, array[-1:])
    assert refusals
    assert all(path.name in text for text in refusals)
