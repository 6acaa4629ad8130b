"""Every kernel against its readable reference, on random words: incomplete states, wraps, unknown types."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikeprep.data import EVENT
from spikeprep.eventfiles import aedat2, dat, es, evt2, evt3, evt4, evt21, read
from spikeprep.eventfiles.base import LATEST
from spikeprep.eventfiles.cameras import CAMERAS
from spikeprep.eventfiles.kernels import all_valid, onward
from spikeprep.registry import EVENT_FORMATS

from .test_formats import FORMS, recording
from .writing import events_of

ANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SEEDS = given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 500))


def decoded(tmp_path, name: str, suffix: str, raw: bytes, **options) -> tuple[np.ndarray, int]:
    """Decode bytes without checks, twice, into buffers of two lengths; return events and how many are undated."""
    path = tmp_path / f"any{suffix}"
    path.write_bytes(raw)
    with EVENT_FORMATS.get(name)(**options).open(path) as decoder:
        passes = []
        for out in (np.empty(37, EVENT), np.empty(1 << 16, EVENT)):
            parts = [np.empty(0, EVENT)]
            while count := decoder.fill(out):
                parts.append(out[:count].copy())
            passes.append(np.concatenate(parts))
            decoder.rewind()
        same(*passes)
        return passes[0], decoder.undated


def same(got: np.ndarray, expected: np.ndarray) -> None:
    for field in "xytp":
        np.testing.assert_array_equal(got[field], expected[field])


@ANY
@SEEDS
def test_evt2(tmp_path, seed, count):
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 2**32, count, np.uint32)
    kinds = rng.choice([0, 1, 8, 10, 14, 15, 3], count, p=[0.3, 0.3, 0.25, 0.05, 0.04, 0.04, 0.02])
    words = (words & 0xFFFFFFF) | kinds.astype(np.uint32) << 28
    got, undated = decoded(tmp_path, "evt2", ".raw", b"% evt 2.0\n% end\n" + words.tobytes())
    same(got, evt2.decode_reference(words))
    early = int((kinds[: np.argmax(kinds == 8)] < 2).sum()) if (kinds == 8).any() else int((kinds < 2).sum())
    assert undated == early


@ANY
@SEEDS
@pytest.mark.parametrize("upper_first", [False, True])
def test_evt21(tmp_path, seed, count, upper_first):
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 2**60, count, np.uint64)
    kinds = rng.choice([0, 1, 8, 10, 14, 3], count, p=[0.3, 0.3, 0.3, 0.05, 0.03, 0.02])
    words[kinds == 8] &= ~np.uint64(0xFFFFFFFF)
    words |= kinds.astype(np.uint64) << np.uint64(60)
    raw = words.view("<u4").reshape(-1, 2)[:, ::-1] if upper_first else words
    header = b"% evt 2.1\n% endianness legacy\n% end\n" if upper_first else b"% evt 2.1\n% end\n"
    got, undated = decoded(tmp_path, "evt21", ".raw", header + raw.tobytes())
    same(got, evt21.decode_reference(words))
    early = words[: int(np.argmax(kinds == 8)) if (kinds == 8).any() else count]
    assert undated == np.bitwise_count(early[early >> np.uint64(60) < 2] & np.uint64(0xFFFFFFFF)).sum()


@ANY
@SEEDS
def test_evt4(tmp_path, seed, count):
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 2**28, count, np.uint32)
    kinds = rng.choice(
        [10, 11, 12, 13, 14, 15, 9, 6, 7, 1], count, p=[0.2, 0.2, 0.1, 0.1, 0.3, 0.02, 0.02, 0.02, 0.02, 0.02]
    )
    words |= kinds.astype(np.uint32) << np.uint32(28)
    got, undated = decoded(tmp_path, "evt4", ".raw", b"% evt 4.0\n% end\n" + words.tobytes())
    same(got, evt4.decode_reference(words))
    dated = np.concatenate([[0xE << 28], words]).astype(np.uint32)  # as if time were known from the start
    assert undated == len(evt4.decode_reference(dated)) - len(got)


_SHARES = [0.15, 0.2, 0.15, 0.15, 0.1, 0.1, 0.1, 0.02, 0.02, 0.01]


@ANY
@SEEDS
def test_evt3(tmp_path, seed, count):
    rng = np.random.default_rng(seed)
    kinds = rng.choice(
        [0, 2, 3, 4, 5, 6, 8, 7, 10, 15], count, p=[0.15, 0.2, 0.15, 0.15, 0.1, 0.1, 0.1, 0.02, 0.02, 0.01]
    )
    words = rng.integers(0, 4096, count).astype(np.uint16) | kinds.astype(np.uint16) << np.uint16(12)
    got, _ = decoded(tmp_path, "evt3", ".raw", b"% evt 3.0\n% end\n" + words.tobytes())
    same(got, evt3.decode_reference(words))


@ANY
@SEEDS
@pytest.mark.parametrize("camera", ["DVS128", "DAVIS240"])
def test_aedat2(tmp_path, camera, seed, count):
    raw = np.random.default_rng(seed).integers(0, 256, 8 * count, np.uint8)
    header = b"#!AER-DAT2.0\r\n#End Of ASCII Header\r\n"
    layout = aedat2.ADDRESSES[CAMERAS[camera][0]]
    raw.view(">u4")[::2] &= np.uint32(~layout.unused & 0xFFFFFFFF)  # set in most, they mean another camera
    got, _ = decoded(tmp_path, "aedat2", ".aedat", header + raw.tobytes(), camera=camera)
    same(got, aedat2.decode_reference(raw, layout))


@ANY
@SEEDS
@pytest.mark.parametrize("version", [1, 2])
def test_dat(tmp_path, version, seed, count):
    raw = np.random.default_rng(seed).integers(0, 256, 8 * count, np.uint8)
    header = f"% Data file\n% Version {version}\n".encode() + bytes([0, 8])
    got, _ = decoded(tmp_path, "dat", ".dat", header + raw.tobytes())
    same(got, dat.decode_reference(raw, version))


@ANY
@SEEDS
def test_es(tmp_path, seed, count):
    raw = np.random.default_rng(seed).integers(0, 256, count, np.uint8)
    raw[np.random.default_rng(seed + 1).random(count) < 0.1] = 0xFF
    header = b"Event Stream" + bytes([2, 0, 0, 1, 255, 255, 255, 255])
    got, _ = decoded(tmp_path, "es", ".es", header + raw.tobytes())
    same(got, es.decode_reference(raw.tobytes()))


@given(st.integers(0, 2**24), st.integers(-(2**23), 2**23 - 1))
def test_a_clock_moves_by_up_to_half_its_range_either_way(before, step):
    assert onward((before + step) % 2**24, before % 2**24, 24) == step


@given(st.data())
def test_the_check_fails_for_each_invalid_field(data):
    count = data.draw(st.integers(1, 40))
    width, height = data.draw(st.integers(1, 65535)), data.draw(st.integers(1, 65535))
    events = events_of(width - 1, height - 1, 7 + np.arange(count) // 2, 1)
    assert all_valid(events.view(np.uint64).reshape(-1, 2), width, height, 7, LATEST)
    n = data.draw(st.integers(0, count - 1))
    what = data.draw(st.sampled_from("xytp"))
    events[what][n] = {
        "x": data.draw(st.integers(width, 65535)),
        "y": data.draw(st.integers(height, 65535)),
        "p": data.draw(st.integers(2, 255)),
        "t": events["t"][n] - n // 2 - 1
        if n == 0
        else events["t"][n - 1] - data.draw(st.integers(1, 10**15)),
    }[what]
    assert not all_valid(events.view(np.uint64).reshape(-1, 2), width, height, 7, LATEST)


# ---------------------------------------------------------------- other libraries, where they are right


@pytest.mark.parametrize("name", ["evt2", "dat"])
def test_expelliarmus_agrees(tmp_path, name):
    expelliarmus = pytest.importorskip("expelliarmus")
    form = FORMS["dat 2" if name == "dat" else name]
    path = form.put(tmp_path, from_zero(form))
    ours, theirs = read(path).array, expelliarmus.Wizard(encoding=name).read(str(path))
    for field in "xytp":
        np.testing.assert_array_equal(theirs[field], ours[field])


def test_tonic_agrees_on_n_mnist(tmp_path):
    io = pytest.importorskip("tonic").io
    path = FORMS["nmnist"].put(tmp_path, from_zero(FORMS["nmnist"]))
    ours, theirs = read(path).array, io.read_mnist_file(str(path), io.events_struct)
    for field in "xytp":
        np.testing.assert_array_equal(theirs[field], ours[field])


def test_tonic_agrees_on_aedat3(tmp_path):
    io = pytest.importorskip("tonic").io
    path = FORMS["aedat3"].put(tmp_path, from_zero(FORMS["aedat3"]))
    raw = path.read_bytes()
    at = raw.index(b"#!END-HEADER\r\n") + 14
    path.write_bytes(raw[:at] + raw[at + 36 :])  # tonic takes every packet for pixel events
    theirs = io.get_aer_events_from_file(str(path), 3.1, at)
    ours, word = read(path).array, theirs["address"]
    found = {"x": word >> 17, "y": word >> 2 & 0x1FFF, "p": word >> 1 & 1, "t": theirs["timeStamp"]}
    for field, values in found.items():
        np.testing.assert_array_equal(values, ours[field])


def from_zero(form) -> np.ndarray:
    """A recording whose clock does not wrap, which other libraries do not handle."""
    events = recording(form, 1000)
    events["t"] -= events["t"][0]
    return events
