"""Gammatone and Butterworth banks against published formulas, SciPy, the package `gammatone`, and a reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from spikeprep.data import Audio, Frames
from spikeprep.encoders import Latency
from spikeprep.errors import DataError, UsageError
from spikeprep.transforms import Butterworth, Gammatone, Mel
from spikeprep.transforms.audio.frequency_scales import erb_bandwidth
from spikeprep.transforms.audio.section_filters import block_sums, block_sums_reference, response

BANKS = [Gammatone, Butterworth]
RATE = 16_000


def noise(samples, seed=0, rate=RATE, dtype=np.float64):
    return Audio(np.random.default_rng(seed).normal(0, 0.1, samples).astype(dtype), rate)


def tone(hertz, seconds=0.5, rate=RATE, amplitude=1.0):
    return Audio(amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate), rate)


def magnitude(sections, hertz, rate=RATE):
    """|H| of every channel at all frequencies, (frequency, channel)."""
    return np.abs(response(sections, np.asarray(hertz)[:, None], rate))


# ---------------------------------------------------------------- gammatone


def test_bandwidths_of_glasberg_and_moore():
    """ERB = 24.7 (4.37 F + 1), F in kHz: 132.6 Hz at 1 kHz, and the table of the paper's appendix."""
    for hertz, expected in ((100, 35.5), (500, 78.7), (1000, 132.6), (4000, 456.5), (10_000, 1104.1)):
        assert erb_bandwidth(hertz) == pytest.approx(expected, abs=0.1)
        assert erb_bandwidth(hertz) == pytest.approx(24.7 * (4.37e-3 * hertz + 1), rel=1e-4)


def test_centres_are_even_in_erb_rate():
    """The number of ERBs below f is 21.4 log₁₀(4.37 f / 1000 + 1) (Glasberg & Moore 1990, equation 4)."""
    bank = Gammatone(channels=32, low=100, high=6000)
    centres = bank.centres(RATE)
    rates = 21.4 * np.log10(4.37e-3 * centres + 1)
    steps = np.diff(rates)
    np.testing.assert_allclose(steps, steps[0], rtol=1e-4)
    assert centres[-1] == pytest.approx(100)
    assert 21.4 * np.log10(4.37e-3 * 6000 + 1) - rates[0] == pytest.approx(-steps[0], rel=1e-4)
    assert Gammatone().centres(RATE)[0] < RATE / 2  # high = 0


def test_the_impulse_response_is_the_gammatone():
    bank = Gammatone(channels=6, low=200, high=5000)
    sections = bank.sections(RATE)
    time = np.arange(2000) / RATE
    impulse = np.zeros(2000)
    impulse[0] = 1
    for channel, centre in enumerate(bank.centres(RATE)):
        b = 1.019 * 24.7 * (4.37e-3 * centre + 1)
        expected = time**3 * np.exp(-2 * np.pi * b * time) * np.cos(2 * np.pi * centre * time)
        expected /= np.abs(
            np.sum(expected * np.exp(-2j * np.pi * centre * time))
        )  # a gain of 1 at the centre
        found = impulse
        for b0, b1, b2, a1, a2 in sections[:, :, channel]:
            found = signal.lfilter([b0, b1, b2], [1, a1, a2], found)
        # the sections' sum of residues starts a sample earlier than t³, whose first value is 0
        shifted = found[1:] / np.abs(found).max()
        assert np.abs(np.abs(np.fft.rfft(found)) - np.abs(np.fft.rfft(expected))).max() < 2e-3
        assert abs(int(np.abs(shifted).argmax()) - int(np.abs(expected).argmax())) <= RATE / centre


def test_the_frequency_response_of_scipy():
    for hertz in (300.0, 1000.0, 3000.0):
        bank = Gammatone(channels=1, low=hertz, high=7000)
        assert bank.centres(RATE) == pytest.approx([hertz])
        width = erb_bandwidth(hertz)
        places = np.linspace(max(hertz - 4 * width, 20), hertz + 4 * width, 81)
        b, a = signal.gammatone(hertz, "iir", fs=RATE)
        _, expected = signal.freqz(b, a, places, fs=RATE)
        np.testing.assert_allclose(magnitude(bank.sections(RATE), places)[:, 0], np.abs(expected), rtol=2e-3)


def test_the_equivalent_rectangular_bandwidth():
    """∫ |H|² df over positive frequencies, divided by |H|² at the centre, is one ERB."""
    bank = Gammatone(channels=8, low=300, high=4000)
    hertz = np.arange(0, RATE / 2, 0.5)
    power = magnitude(bank.sections(RATE), hertz) ** 2
    at_centre = np.abs(response(bank.sections(RATE), bank.centres(RATE), RATE))
    np.testing.assert_allclose(at_centre, 1, rtol=1e-9)
    np.testing.assert_allclose(power.sum(axis=0) * 0.5, erb_bandwidth(bank.centres(RATE)), rtol=0.03)


@pytest.mark.parametrize(("rate", "channels", "low"), [(16_000, 64, 50), (12_500, 20, 100), (8000, 33, 80)])
def test_the_package_gammatone(rate, channels, low):
    gtgram = pytest.importorskip("gammatone.gtgram").gtgram
    sound = noise(5000, rate=rate)
    found = Gammatone(channels=channels, low=low, compression="square_root")(sound).values
    expected = gtgram(sound.samples, rate, 0.032, 0.016, channels, low)[::-1].T
    assert found.shape == expected.shape
    assert np.abs(found / np.sqrt(2) - expected).max() < 1e-10 * expected.max()


# ---------------------------------------------------------------- Butterworth


def test_bands_meet_at_3_db():
    bank = Butterworth(channels=12, low=100, high=6000, order=3)
    edges = bank.edges(RATE)
    assert (edges[-1], edges[0]) == (pytest.approx(100), pytest.approx(6000))
    gain = magnitude(bank.sections(RATE), edges)
    for channel in range(12):
        np.testing.assert_allclose(gain[channel : channel + 2, channel], np.sqrt(0.5), rtol=1e-6)
    assert (np.abs(response(bank.sections(RATE), bank.centres(RATE), RATE)) > 0.99).all()


def test_the_slope_of_a_band():
    """Far above a band the gain falls by 6 dB per octave and order; the bilinear transform makes it steeper."""
    bank = Butterworth(channels=1, low=100, high=110, order=2, scale="octaves")
    gain = 20 * np.log10(magnitude(bank.sections(48_000), [400, 800], 48_000)[:, 0])
    assert gain[0] - gain[1] == pytest.approx(12, abs=1)


def test_bands_of_octaves():
    edges = Butterworth(channels=4, low=125, high=2000, scale="octaves").edges(RATE)
    np.testing.assert_allclose(edges, [2000, 1000, 500, 250, 125])


# ---------------------------------------------------------------- both


@pytest.mark.parametrize("cls", BANKS)
def test_a_sine_of_full_scale_has_power_1_in_its_channel(cls):
    bank = cls(channels=16, low=100, high=7000, compression="none")
    for channel in (2, 8, 14):
        sound = tone(bank.centres(RATE)[channel])
        values = bank(sound).values
        np.testing.assert_allclose(values[10:-5, channel], 1, rtol=0.06)
        assert int(values[10:].mean(axis=0).argmax()) == channel
        rectified = cls(channels=16, low=100, high=7000, compression="none", envelope="rectified")
        # a frame holds no whole number of periods: only their mean is that of the sine
        assert rectified(sound).values[10:-5, channel].mean() == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("cls", BANKS)
def test_compressions(cls):
    sound = noise(4000)
    power = cls(compression="none")(sound).values
    for compression, expected in {
        "square_root": np.sqrt(power),
        "cube_root": power ** (1 / 3),
        "log": np.log(np.maximum(power, 1e-5)),
        "decibels": np.maximum(1 + 10 * np.log10(power) / 50, 0),
    }.items():
        values = cls(compression=compression, range_db=50)(sound).values
        np.testing.assert_allclose(values, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("cls", [*BANKS, Mel])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_decibels_of_the_loudest_sounds_end_at_1(cls, precision):
    """A sine of full scale at a centre, a square wave and noise of ±1 reach full scale; no channel exceeds it."""
    settings = {"channels": 16, "low": 100, "high": 7000} | (
        {"precision": precision}
        if cls is Mel
        else {"envelope": "rectified" if precision == "float32" else "power"}
    )
    bank, plain = cls(**settings), cls(**settings, compression="none")
    sine = tone(bank.centres(RATE)[8])
    chance = np.random.default_rng(1).choice([-1.0, 1.0], 8000)
    for samples in (sine.samples, np.sign(sine.samples), chance):
        values = bank(Audio(samples, RATE)).values
        assert values.min() >= 0
        assert values.max() <= 1
        Latency()(Frames(values, 62.5))
    if cls is Mel:  # a wide channel sums harmonics
        assert plain(sine).values.max() > 1
    power = plain(Audio(np.sign(sine.samples), RATE)).values
    values = bank(Audio(np.sign(sine.samples), RATE)).values
    assert power.max() > 1.2  # the fundamental of a square wave has (4 / π)² = 1.62
    assert (values[power > 1.001] == 1).all()
    assert values.max() == 1


def test_mel_of_a_sine_of_full_scale():
    """A periodic Hann window puts 1, ¼ and ¼ of the power of a sine in its bin and those beside it: 1 to 1.5."""
    mel = Mel(compression="none", channels=16)
    for channel in range(16):
        value = mel(tone(mel.centres(RATE)[channel])).values[5, channel]
        assert 0.7 < value < 1.5
    bins = 512 / RATE
    alone = Mel(compression="none", channels=4, window=bins, low=0, high=8000)
    centre = round(alone.centres(RATE)[1] * bins) / bins  # of a wide band, exactly in a bin
    assert alone(tone(centre)).values[5, 1] == pytest.approx(1.5, rel=0.02)


def test_mel_that_is_not_relative_to_full_scale_has_no_limit():
    sound = noise(4000)
    power = Mel(compression="none", full_scale=False)(sound).values
    values = Mel(full_scale=False)(sound).values
    np.testing.assert_allclose(values, np.maximum(1 + 10 * np.log10(power) / 60, 0))
    assert values.max() > 1
    summed = Mel(running_sum=True)(tone(1000, 1.0)).values
    assert summed[-1].max() > 1.1


@pytest.mark.parametrize("cls", [*BANKS, Mel])
def test_silence(cls):
    """No NaN, nothing slow, and the end of the range."""
    silence = Audio(np.zeros(30_000), RATE)
    assert not cls()(silence).values.any()
    assert (cls(compression="none")(silence).values < 1e-100).all()
    np.testing.assert_allclose(cls(compression="log", range_db=80)(silence).values, np.log(1e-8))
    after = Audio(np.concatenate([noise(500).samples, np.zeros(60_000)]), RATE)
    tail = cls(compression="none")(after).values[-5:]
    assert ((tail == 0) | (tail > np.finfo(np.float64).tiny)).all()


@pytest.mark.parametrize("cls", [*BANKS, Mel])
def test_frames(cls):
    """Frame k summarises [k hop, k hop + window): what comes later does not change it."""
    bank = cls(hop=0.01, window=0.025)
    sound = noise(8000)
    frames = bank(sound)
    assert frames.rate == 100
    assert frames.values.shape == (1 + (8000 - 400) // 160, bank.channels)
    assert bank(Audio(sound.samples[:399], RATE)).values.shape == (0, bank.channels)
    assert bank(Audio(sound.samples[:400], RATE)).values.shape == (1, bank.channels)
    assert bank(Audio(np.zeros(0), RATE)).values.shape == (0, bank.channels)
    part = bank(Audio(sound.samples[:2000], RATE)).values
    np.testing.assert_array_equal(part, frames.values[: len(part)])
    again = bank(Audio(sound.samples.astype(np.float32), RATE)).values
    np.testing.assert_allclose(again, frames.values, rtol=1e-4, atol=1e-4)
    spaced = np.zeros((8000, 2))
    spaced[:, 1] = sound.samples
    np.testing.assert_array_equal(bank(Audio(spaced[:, 1], RATE)).values, frames.values)


@pytest.mark.parametrize("cls", BANKS)
@pytest.mark.parametrize(
    ("hop", "window"),
    [(0.016, 0.032), (0.01, 0.025), (0.01, 0.01), (0.02, 0.007), (0.0101, 0.0263), (0.05, 0.06)],
)
def test_frames_are_means_over_the_window(cls, hop, window):
    bank = cls(channels=5, hop=hop, window=window, compression="none")
    sound = noise(3000)
    one = block_sums_reference(sound.samples, bank.sections(RATE), (1, 1), True)
    step, width = round(hop * RATE), round(window * RATE)
    found = bank(sound).values
    for k, values in enumerate(found):
        np.testing.assert_allclose(values, 2 * one[k * step : k * step + width].mean(axis=0), rtol=1e-9)


@settings(max_examples=25, deadline=None)
@given(
    samples=st.integers(0, 700),
    channels=st.integers(1, 19),
    number=st.integers(1, 5),
    lengths=st.tuples(st.integers(1, 90), st.integers(1, 300)),
    squared=st.booleans(),
    seed=st.integers(0, 9),
)
def test_the_kernel(samples, channels, number, lengths, squared, seed):
    """Numbers of channels below, at and above a vector's, and odd numbers of sections."""
    rng = np.random.default_rng(seed)
    sections = rng.normal(0, 1, (number, 5, channels))
    radius, angle = rng.uniform(0, 0.99, (number, channels)), rng.uniform(0, np.pi, (number, channels))
    sections[:, 3], sections[:, 4] = -2 * radius * np.cos(angle), radius**2
    sound = rng.normal(0, 0.1, samples)
    found = block_sums(sound, sections, lengths, squared)
    expected = block_sums_reference(sound, sections, lengths, squared)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * expected.max(initial=0))


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("cls", [*BANKS, Mel])
@pytest.mark.parametrize(
    ("sound", "words"),
    [
        (np.zeros(100), "a signal of type ndarray"),
        (Audio(np.zeros(100, np.int16), RATE), "int16.*32768"),
        (Audio(np.zeros((100, 2)), RATE), r"\(100, 2\)"),
        (Audio(np.full(1000, np.nan), RATE), "NaN or infinite"),
        (Audio(np.full(1000, 3000.0), RATE), "32768"),
        (Audio(np.zeros(1000), float("nan")), "a rate above 0"),
    ],
)
def test_signals_that_are_refused(cls, sound, words):
    with pytest.raises(DataError, match=f"(?s){cls.name}: got .*{words}"):
        cls()(sound)


@pytest.mark.parametrize("cls", [*BANKS, Mel])
def test_bands_that_do_not_fit_the_rate(cls):
    with pytest.raises(UsageError, match=rf"{cls.name}\.high = 7000 Hz for audio of 12500 Hz.*6250"):
        cls(high=7000)(noise(1000, rate=12_500))
    with pytest.raises(UsageError, match=rf"{cls.name}\.low = 50 Hz for audio of 90 Hz"):
        cls(low=50)(noise(1000, rate=90))
    with pytest.raises(UsageError, match="low below high"):
        cls(low=500, high=400)


@pytest.mark.parametrize(
    ("cls", "chosen"),
    [(Gammatone, {"channels": 0}), (Gammatone, {"hop": 0}), (Gammatone, {"envelope": "x"}),
     (Butterworth, {"order": 0}), (Butterworth, {"low": 0}), (Gammatone, {"range_db": 0}),
     (Mel, {"fft": 500}), (Mel, {"scale": "bark"}), (Mel, {"window": float("nan")})],
)  # fmt: skip
def test_settings_that_do_not_fit(cls, chosen):
    with pytest.raises(UsageError, match=rf"{cls.name}\.{next(iter(chosen))} = "):
        cls(**chosen)


def test_sounds_that_would_take_too_much_memory_are_refused():
    hour = Audio(np.broadcast_to(0.0, 3600 * RATE), RATE)
    with pytest.raises(
        UsageError, match=r"got 3600 s of sound, which makes 57,600,000 frames of 64 channels"
    ):
        Gammatone(hop=1e-6, window=1e-6).outline(hour)
    with pytest.raises(UsageError, match="at most 1,073,741,824 values"):
        Gammatone(hop=1e-6, window=1e-6)(hour)


@pytest.mark.parametrize("cls", BANKS)
def test_settings_at_their_bounds_give_finite_values(cls):
    for chosen in ({"low": 0.5}, {"channels": 300}, {"window": 1e-9, "hop": 1e-9}, {"range_db": 300}):
        values = cls(**chosen)(noise(900)).values
        assert np.isfinite(values).all()
        assert values.any()


def test_a_long_range_of_decibels_does_not_overflow():
    loud = Audio(9.9 * np.sin(np.arange(40_000) * 0.3), RATE)
    settings = {"range_db": 300, "full_scale": False, "window": 0.5, "low": 100}
    single, double = (
        Mel(precision=precision, **settings)(loud).values for precision in ("float32", "float64")
    )
    assert single.dtype == np.float32
    assert double.max() * 30 - 30 > 8  # dB / 10 above 1: |X|² over 1e8, 1e38 and more in the kernel's units
    loudest = double.argmax(axis=1)[:, None]  # quiet channels are float32's rounding of loud ones
    got, want = (np.take_along_axis(values, loudest, axis=1) for values in (single, double))
    np.testing.assert_allclose(got, want, rtol=1e-6)
