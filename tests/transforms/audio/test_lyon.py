"""Lyon's ear against stored values of the package `lyon`, the package itself, and a reference in NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeprep.data import Audio
from spikeprep.errors import DataError, UsageError
from spikeprep.transforms import Lyon
from spikeprep.transforms.audio.lyon import lyon_reference

from ...assets import asset

VARIANTS = {
    "no_agc": {"agc": False},
    "no_differ": {"differ": False},
    "tau_factor1": {"tau_factor": 1.0},
    "ear_q4": {"ear_q": 4.0},
}


def error(found, expected):
    """Largest difference as a share of the largest value."""
    assert found.shape == expected.shape
    return np.abs(found - expected).max() / np.abs(expected).max()


def sound(samples, seed=0, rate=12500.0, dtype=np.float64):
    """Loud and soft noise with a tone, in ±1."""
    rng = np.random.default_rng(seed)
    swell = np.sin(np.linspace(0, 3, samples)) ** 2
    tone = np.sin(np.arange(samples) * 0.3)
    return Audio((swell * (0.3 * tone + 0.1 * rng.standard_normal(samples))).astype(dtype), rate)


def golden():
    with np.load(asset("golden/lyon.npz")) as file:
        return dict(file)


def cases(stored):
    """(name, audio, settings, expected) of every stored cochleagram."""
    for name in stored:
        kind, *parts = name.split("_")
        if kind == "ear":
            wave = (
                stored[f"wave_{parts[-1]}"] / 32768
                if parts[0] == "8000"
                else stored[f"wave12500_{parts[-1]}"]
            )
            variant = VARIANTS.get("_".join(parts[2:-1]), {})
            audio = Audio(wave[:320] if "head" in parts else wave, int(parts[0]))
            yield name, audio, {"decimation": int(parts[1][1:])} | variant, stored[name]


def test_golden_values():
    checked = 0
    for name, audio, chosen, expected in cases(golden()):
        assert error(Lyon(**chosen)(audio).values, expected) < 1e-11, name
        assert error(Lyon(precision="float32", **chosen)(audio).values, expected) < 5e-4, name
        checked += 1
    assert checked == 33


def test_golden_values_of_the_reference():
    """One recording of each kind: the reference takes its time."""
    for name, audio, chosen, expected in cases(golden()):
        if name.endswith("_1"):
            assert error(lyon_reference(audio, Lyon(**chosen)), expected) < 1e-11, name


@pytest.mark.parametrize(
    ("rate", "chosen"),
    [
        (12500, {}),
        (44100, {"decimation": 300}),
        (16000, {"decimation": 7, "step_factor": 0.4}),
        (8000, {"decimation": 1, "ear_q": 5.5}),
        (11025, {"decimation": 64, "agc": False, "differ": False, "tau_factor": 2.5}),
    ],
)
def test_the_package_lyon(rate, chosen):
    calc = pytest.importorskip("lyon.calc", exc_type=ImportError)
    try:
        ear = calc.LyonCalc()
    except OSError as no_library:  # the wheel's compiled part runs on Linux on x86-64 only
        pytest.skip(f"lyon's library does not load here: {no_library}")
    audio = sound(4000, rate=rate)
    names = {"decimation": "decimation_factor"}
    arguments = {names.get(key, key): value for key, value in ({"decimation": 200} | chosen).items()}
    expected = ear.lyon_passive_ear(audio.samples, rate, **arguments)
    assert error(Lyon(**chosen)(audio).values, expected) < 1e-9


@settings(max_examples=25, deadline=None)
@given(
    samples=st.integers(60, 700),
    rate=st.sampled_from([6000, 7919, 12500, 22050.5]),
    decimation=st.sampled_from([1, 2, 3, 20, 59]),
    ear_q=st.sampled_from([3.0, 8.0, 10.0]),
    step_factor=st.sampled_from([0.0, 0.3, 1.5]),
    agc=st.booleans(),
    differ=st.booleans(),
    tau_factor=st.sampled_from([0.7, 3.0]),
)
def test_the_reference(samples, rate, **chosen):
    """Numbers of channels odd and even, fewer and more than a vector has lanes."""
    lyon, audio = Lyon(**chosen), sound(samples, rate=rate)
    assert error(lyon(audio).values, lyon_reference(audio, lyon)) < 1e-11


@pytest.mark.parametrize(
    ("rate", "channels"),
    [(8000, 64), (11025, 74), (12000, 77), (12500, 78), (16000, 86), (20000, 93), (44100, 118)],
)
def test_channels_and_frames(rate, channels):
    frames = Lyon()(sound(999, rate=rate))
    assert frames.values.shape == (4, channels)  # the tail fills no frame
    assert frames.rate == rate / 200
    centres = Lyon().filters(rate).centres
    assert (np.diff(centres) < 0).all()
    assert (centres[-1] < 200, centres[0] < rate / 2) == (True, True)


def test_a_tone_excites_the_channel_of_its_frequency():
    for hertz in (300, 1000, 3000):
        tone = Audio(0.1 * np.sin(2 * np.pi * hertz / 12500 * np.arange(12500)), 12500)
        loudest = Lyon()(tone).values[-1].argmax()
        assert abs(np.log(Lyon().filters(12500).centres[loudest] / hertz)) < 0.15


def test_the_beginning_does_not_know_the_end():
    audio = sound(3000)
    whole = Lyon(decimation=100)(audio).values
    np.testing.assert_array_equal(Lyon(decimation=100)(Audio(audio.samples[:1234], 12500)).values, whole[:12])


def test_silence_before_and_after():
    """Inaudible noise keeps numbers normal and does not show in the result."""
    audio = sound(2000)
    padded = Audio(np.concatenate([np.zeros(400), audio.samples, np.zeros(20000)]), 12500)
    values = Lyon()(padded).values
    assert values[:2].max() < 1e-100
    np.testing.assert_allclose(values[2:12], Lyon()(audio).values, rtol=1e-12, atol=1e-140)
    states = values[-10:][values[-10:] > 0]
    assert states.min() > np.finfo(np.float64).tiny


def test_float32_audio_and_views_are_welcome():
    audio = sound(1000, dtype=np.float32)
    expected = Lyon()(Audio(audio.samples.astype(np.float64), 12500)).values
    np.testing.assert_array_equal(Lyon()(audio).values, expected)
    spaced = np.zeros((1000, 2))
    spaced[:, 1] = audio.samples
    np.testing.assert_array_equal(Lyon()(Audio(spaced[:, 1], 12500)).values, expected)


def test_too_short_for_a_frame():
    assert Lyon()(sound(199)).values.shape == (0, 78)
    assert Lyon()(sound(0)).values.shape == (0, 78)


@pytest.mark.parametrize(
    "signal",
    [
        np.zeros(100),
        Audio(np.zeros(100, np.int16), 8000),
        Audio(np.zeros((100, 2)), 8000),
    ],
)
def test_other_signals_than_audio_are_refused(signal):
    with pytest.raises(DataError, match="32768"):
        Lyon()(signal)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_refused(value):
    audio = sound(1000)
    audio.samples[500] = value
    with pytest.raises(DataError, match="NaN"):
        Lyon()(audio)


def test_a_rate_without_channels():
    with pytest.raises(UsageError, match=r"60 Hz.*channels.*resample"):
        Lyon()(sound(1000, rate=60))


@pytest.mark.parametrize(
    "chosen",
    [{"decimation": 0}, {"decimation": 2.5}, {"ear_q": 0.5}, {"step_factor": -1}, {"tau_factor": 0},
     {"precision": "float16"}, {"ear_q": float("nan")}, {"tau_factor": float("inf")}, {"agc": 1}],
)  # fmt: skip
def test_settings_that_do_not_fit(chosen):
    with pytest.raises(UsageError, match=rf"lyon\.{next(iter(chosen))} = "):
        Lyon(**chosen)


def test_too_many_channels():
    with pytest.raises(UsageError, match=r"channels; expected 2 to 4096.*Raise lyon\.step_factor"):
        Lyon(step_factor=1e-12)(sound(1000))


@pytest.mark.parametrize(
    "chosen", [{"ear_q": 1000}, {"ear_q": 0.51}, {"tau_factor": 1000}, {"tau_factor": 1e-9}]
)
def test_settings_at_their_bounds_give_finite_values(chosen):
    values = Lyon(**chosen)(sound(3000)).values
    assert np.isfinite(values).all()
    assert values.any()
