"""BSA against stored spikes of the published runs, and a literal reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeprep.data import Frames
from spikeprep.encoders import BSA, Description
from spikeprep.encoders.bsa import PRESETS, bsa_reference
from spikeprep.encoding.arrays import write_store
from spikeprep.errors import DataError, UsageError
from spikeprep.transforms import Rectify

from ..assets import asset

SIGNALS = ("sine", "chirp", "noise")


@pytest.fixture(scope="module")
def golden():
    with np.load(asset("golden/bsa.npz")) as file:
        return dict(file)


def plain(golden, theta):
    return BSA(theta=float(theta), filter=tuple(golden["generic_filter"]), scale=1.0, hold=1, delay=0)


@pytest.mark.parametrize("r", range(6))
def test_golden_preset(golden, r):
    ear, spikes = golden[f"preset_ear_{r}"], golden[f"preset_spikes_{r}"]
    bsa = BSA()
    np.testing.assert_array_equal(bsa(Frames(ear, 62.5)), spikes[:-1])
    assert not spikes[-1].any()  # the natural end loses nothing
    cut = golden[f"preset_spikes_cut_{r}"]
    np.testing.assert_array_equal(bsa(ear)[: len(cut)], cut)
    quality = bsa.quality(Frames(ear, 62.5))
    assert quality.snr_db == pytest.approx(golden["preset_snr_db"][r], abs=1e-9)
    assert quality.density == pytest.approx(spikes[:-1].mean())
    assert quality.rate == pytest.approx(quality.density * 625)


def test_the_preset_is_the_published_filter(golden):
    # the golden file's last digits are those of another processor
    np.testing.assert_allclose(BSA().taps, golden["preset_filter"], rtol=1e-15)


@pytest.mark.parametrize("name", SIGNALS)
def test_golden_signals(golden, name):
    signal = golden[f"{name}_signal"]
    for k, theta in enumerate(golden["generic_theta"]):
        bsa = plain(golden, theta)
        spikes = bsa(signal)
        np.testing.assert_array_equal(spikes[:, 0], golden[f"{name}_spikes"][k])
        np.testing.assert_allclose(bsa.decode(spikes)[:, 0], golden[f"{name}_rebuilt"][k], rtol=0, atol=1e-12)
        assert bsa.quality(signal).snr_db == pytest.approx(golden[f"{name}_snr_db"][k], abs=1e-11)


@pytest.mark.parametrize("name", SIGNALS)
def test_golden_thresholds(golden, name):
    found = [plain(golden, t).quality(golden[f"{name}_signal"]).snr_db for t in golden["generic_theta_grid"]]
    np.testing.assert_allclose(found, golden[f"{name}_snr_grid_db"], rtol=0, atol=1e-11)


@settings(max_examples=60, deadline=None)
@given(
    frames=st.integers(0, 40),
    channels=st.sampled_from([1, 7, 8, 9, 16, 17, 40]),
    taps=st.integers(1, 26),
    theta=st.floats(0.05, 0.95),
    hold=st.integers(1, 4),
    delay=st.integers(0, 3),
    signed=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_reference(frames, channels, taps, theta, hold, delay, signed, seed):
    """Filters with negative taps, signals shorter than the filter and below 0, channels that fill no vector."""
    rng = np.random.default_rng(seed)
    h = rng.uniform(-0.1 if signed else 0, 0.4, taps) + 0.01
    if h.sum() <= 0:
        h = np.abs(h)
    signal = rng.uniform(-0.02, 1, (frames, channels))
    signal[:1] = 1  # below 0 is too little of the power to be refused
    signal *= rng.uniform(0, 1, channels)
    bsa = BSA(filter=tuple(h), theta=theta, scale=1.5, hold=hold, delay=delay)
    decided = bsa_reference(bsa.target(signal) * 1.5, h, theta * h.sum())
    expected = np.zeros_like(decided)
    expected[delay:] = decided[: max(len(decided) - delay, 0)]
    np.testing.assert_array_equal(bsa(signal), expected)


def power_db(signal, decoded):
    return 10 * np.log10((signal**2).sum() / ((signal - decoded) ** 2).sum())


def test_signed_signals_are_refused_and_can_be_rectified():
    time = np.arange(2000) / 1000
    signal = np.stack([np.sin(4 * np.pi * time), 0.5 * np.cos(6 * np.pi * time)], axis=1)
    bsa = BSA(preset="schrauwen2003")
    for signed in (signal, Frames(signal, 1000.0), signal[:, 0] - 0.5, 1e200 * signal):
        with pytest.raises(DataError, match=r"got a signed signal, from -.* of its power below 0.*rectify"):
            bsa(signed)
    with pytest.raises(DataError, match=r"sample 1 of train.*got a signed signal"):
        write_store("memory://signed.zarr", [np.abs(signal), signal], [0, 0], encoder=bsa)
    parts = bsa.decode(bsa(Rectify()(signal)))
    assert power_db(signal, parts[:, :2] - parts[:, 2:]) > 20
    half = BSA(preset="schrauwen2003", scale=0.5)
    shifted = Rectify(keep="positive", offset=1)(Frames(signal, 1000.0))
    assert power_db(signal, half.decode(half(shifted)) - 1) > 12
    overshoots = np.maximum(signal, -0.05)
    assert bsa(overshoots).any()


def test_decoding_inverts_encoding_of_filtered_spikes():
    h = np.array([0.5, 0.3, 0.2])
    spikes = np.zeros((30, 2), bool)
    spikes[[3, 9, 20], 0] = spikes[[1, 2, 15], 1] = True
    bsa = BSA(filter=tuple(h), theta=0.5, scale=1.0, hold=1, delay=0)
    signal = bsa.decode(spikes)
    assert signal[9:12, 0] == pytest.approx(h)
    np.testing.assert_array_equal(bsa(signal), spikes)
    assert bsa.quality(signal).mse < 1e-30


def test_quality_by_channel():
    rng = np.random.default_rng(2)
    signal = np.concatenate([rng.uniform(0, 1, (200, 2)), np.zeros((200, 1))], axis=1)
    bsa = BSA(preset="schrauwen2003", theta=0.6, dt=0.01)
    quality, spikes = bsa.quality(signal), bsa(signal)
    error = (signal - bsa.decode(spikes)) ** 2
    snr = 10 * np.log10((signal**2).sum(axis=0)[:2] / error.sum(axis=0)[:2])
    assert quality.channel_snr_db[:2] == pytest.approx(snr)
    assert np.isnan(quality.channel_snr_db[2])
    assert quality.channel_mse == pytest.approx(error.mean(axis=0))
    assert (quality.unit_density == spikes.mean(axis=0)).all()
    assert quality.unit_rate == pytest.approx(spikes.mean(axis=0) / 0.01)
    assert quality.unit_density[2] == 0


def test_a_step_is_a_held_frame():
    bsa = BSA(dt=0.5)
    assert bsa.describe(Frames(np.zeros((3, 2)), 62.5)).dt == 1 / 625
    assert bsa.describe(np.zeros((3, 2))) == Description((2,), 30, 0.5, ragged=True)


def test_presets_supply_missing_settings():
    bsa = BSA(theta=0.7)
    assert (bsa.theta, bsa.scale, bsa.hold, bsa.delay, len(bsa.filter)) == (0.7, 2000, 10, 1, 24)
    assert BSA.from_config(bsa.to_config()) == bsa
    for name, values in PRESETS.items():
        assert {key: getattr(BSA(preset=name), key) for key in values} == dict(values)
        assert sum(values["filter"]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"preset": "hm2pb"}, 'bsa.preset = .*"hm2bp" or "schrauwen2003"'),
        ({"theta": 1.0}, r"bsa\.theta = 1\.0.*above 0 and below 1"),
        ({"theta": 0.0}, r"bsa\.theta = 0\.0"),
        ({"filter": (0.5, float("nan"))}, r"bsa\.filter = .*a list of: a number"),
        ({"filter": (0.5, -0.5)}, "finite sum above 0"),
        ({"filter": (1e308, 1e308)}, "finite sum above 0"),
        ({"hold": 0}, r"bsa\.hold = 0"),
        ({"hold": True}, r"bsa\.hold = True"),
        ({"delay": -1}, r"bsa\.delay = -1"),
        ({"scale": 0.0}, r"bsa\.scale = 0"),
        ({"scale": float("inf")}, r"bsa\.scale = inf"),
        ({"dt": 0.0}, r"bsa\.dt = 0"),
        ({"dt": float("nan")}, r"bsa\.dt = nan"),
    ],
)
def test_settings_that_do_not_fit(chosen, words):
    with pytest.raises(UsageError, match=words):
        BSA(**chosen)


@pytest.mark.parametrize(
    ("signal", "words"),
    [
        (np.zeros((2, 3, 4)), "lyon"),
        (np.array(["a"]), "lyon"),
        (np.full((3, 2), np.nan), "NaN"),
    ],
)
def test_signals_that_do_not_fit(signal, words):
    with pytest.raises(DataError, match=words):
        BSA()(signal)


def test_a_scale_that_overflows_is_refused():
    with pytest.raises(DataError, match=r"bsa\.scale"):
        BSA(scale=1e308)(np.full((3, 2), 1e3))


def test_a_delay_longer_than_the_signal_leaves_no_spike():
    bsa = BSA(delay=50)
    spikes = bsa(np.ones((3, 2)))
    assert spikes.shape == (30, 2)
    assert not spikes.any()
    assert bsa.decode(spikes).shape == (30, 2)


def test_a_batch_is_written_in_place():
    rng = np.random.default_rng(0)
    signals = [rng.uniform(0, 1e-3, (n, 9)) for n in (8, 13, 1)]
    out = np.zeros((3, 9, 20), np.uint8)
    steps = BSA().encode_into(iter(signals), out, rngs=[None] * 3)
    assert steps.tolist() == [80, 130, 10]
    for bits, n, signal in zip(out, steps.tolist(), signals, strict=True):
        train = BSA().encode(signal)
        np.testing.assert_array_equal(bits[:, : -(-n // 8)], train.bits)
        assert not bits[:, -(-n // 8) :].any()
    with pytest.raises(DataError, match="9 channels of 13 frames"):
        BSA().encode_into([signals[1]], np.zeros((1, 9, 10), np.uint8), rngs=[None])
