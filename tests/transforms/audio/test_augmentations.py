"""Augmentations of sound: measured ratios, exact shifts and lengths, and how copies and training use them."""

import numpy as np
import pytest

from spikeprep.data import Audio
from spikeprep.errors import DataError, UsageError
from spikeprep.random import SampleKey
from spikeprep.transforms import Gain, SoundNoise, Speed, TimeShift

RATE = 8000


def tone(hertz=440.0, seconds=0.5, rate=RATE, dtype=np.float64):
    return Audio(
        (0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(dtype), rate
    )


def copies(transform, sound, number=300):
    """The first variants of a sound."""
    return [transform(sound, rng=SampleKey(3, "train", 7, copy)).samples for copy in range(1, number + 1)]


def assert_uniform(values, low, high):
    """Kolmogorov-Smirnov, at a level of 1e-4."""
    from scipy.stats import kstest

    assert low <= min(values) <= max(values) <= high
    assert kstest((np.array(values) - low) / (high - low), "uniform").pvalue > 1e-4


# ---------------------------------------------------------------- noise


def test_noise_has_the_ratio_that_is_drawn():
    sound = tone()
    ratios = []
    for varied in copies(SoundNoise(snr_db=(-5.0, 20.0)), sound):
        noise = varied - sound.samples
        ratios.append(10 * np.log10((sound.samples**2).mean() / (noise**2).mean()))
    assert_uniform(ratios, -5, 20)


def test_noise_of_one_ratio_is_exact_and_normal():
    from scipy.stats import kstest

    sound = tone(seconds=2)
    noise = copies(SoundNoise(snr_db=(10, 10)), sound, 1)[0] - sound.samples
    assert 10 * np.log10((sound.samples**2).sum() / (noise**2).sum()) == pytest.approx(10, abs=1e-9)
    assert kstest(noise / noise.std(), "norm").pvalue > 1e-4
    spectrum = np.abs(np.fft.rfft(noise)) ** 2  # white: as strong in every quarter of the frequencies
    quarters = [quarter.mean() for quarter in np.array_split(spectrum[1:], 4)]
    assert max(quarters) / min(quarters) < 1.2


def test_silence_stays_silent():
    silence = Audio(np.zeros(100), RATE)
    assert not copies(SoundNoise(), silence, 1)[0].any()
    assert copies(SoundNoise(), Audio(np.zeros(0), RATE), 1)[0].size == 0


# ---------------------------------------------------------------- gain


def test_gain_is_uniform_in_decibels():
    sound = tone()
    gains = []
    for varied in copies(Gain(decibels=(-12.0, 3.0)), sound):
        factor = varied[1] / sound.samples[1]
        np.testing.assert_allclose(varied, factor * sound.samples, rtol=1e-12)
        gains.append(20 * np.log10(factor))
    assert_uniform(gains, -12, 3)


def test_a_gain_of_6_db_doubles():
    assert copies(Gain(decibels=(6.020599913279624,) * 2), tone(), 1)[0] == pytest.approx(2 * tone().samples)


# ---------------------------------------------------------------- time shift


def test_shifts_are_whole_samples_and_all_of_them_occur():
    sound = Audio(np.arange(1.0, 201.0) / 200, 1000)
    seen = set()
    for varied in copies(TimeShift(seconds=0.003), sound):
        by = int(np.argmax(varied == sound.samples[100])) - 100
        expected = [sound.samples[n - by] if 0 <= n - by < 200 else 0 for n in range(200)]
        np.testing.assert_array_equal(varied, expected)
        seen.add(by)
    assert seen == set(range(-3, 4))


def test_a_shift_beyond_the_end_leaves_silence():
    lengths = [np.count_nonzero(v) for v in copies(TimeShift(seconds=1), Audio(np.ones(5), 100), 100)]
    assert min(lengths) == 0
    assert max(lengths) > 0
    assert copies(TimeShift(), Audio(np.zeros(0), RATE), 1)[0].size == 0


# ---------------------------------------------------------------- speed


def test_lengths_and_pitches_follow_the_speed():
    sound = tone(1000, seconds=1)
    seen = set()
    for varied in copies(Speed(percent=(90, 110)), sound, 120):
        spectrum = np.abs(np.fft.rfft(varied * np.hanning(varied.size)))
        percent = round(RATE * int(spectrum.argmax()) / varied.size / 10)
        assert varied.size == -(-RATE * 100 // percent)
        at = RATE / varied.size
        assert abs(int(spectrum.argmax()) * at - 10 * percent) <= at
        seen.add(percent)
    assert len(seen) == 21


def test_speed_is_the_resampling_of_scipy():
    from scipy.signal import resample_poly

    sound = Audio(np.random.default_rng(0).normal(0, 0.1, 1234), RATE)
    np.testing.assert_allclose(
        copies(Speed(percent=(110, 110)), sound, 1)[0], resample_poly(sound.samples, 10, 11), atol=1e-12
    )


def test_the_speed_of_originals_and_a_length_that_is_kept():
    sound = tone()
    np.testing.assert_array_equal(copies(Speed(percent=(100, 100)), sound, 1)[0], sound.samples)
    for percent, silent in ((50, False), (200, True)):
        varied = copies(Speed(percent=(percent, percent), keep_length=True), sound, 1)[0]
        assert varied.size == sound.samples.size
        assert (np.abs(varied[-RATE // 5 :]).max() < 1e-9) == silent


def test_nothing_aliases():
    """Twice as fast, a tone at 0.8 of half the rate would come back at 0.4."""
    varied = copies(Speed(percent=(200, 200)), tone(0.4 * RATE), 1)[0]
    assert np.abs(varied[100:-100]).max() < 0.3 * 10 ** (-40 / 20)


# ---------------------------------------------------------------- all


@pytest.mark.parametrize("transform", [SoundNoise(), Gain(), TimeShift(), Speed()])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_key_and_originals(transform, dtype):
    sound, key = tone(dtype=dtype), SampleKey(0, "train", 1, 2)
    varied = transform(sound, rng=key)
    assert varied.samples.dtype == dtype
    assert varied.rate == RATE
    np.testing.assert_array_equal(transform(sound, rng=key).samples, varied.samples)
    assert not np.array_equal(transform(sound, rng=SampleKey(0, "train", 2, 2)).samples, varied.samples)
    assert transform.apply(sound, SampleKey(0, "train", 1)) is sound
    assert transform.outline(sound, SampleKey(0, "train", 1)).samples.shape == sound.samples.shape
    assert transform.outline(sound, key).samples.shape == varied.samples.shape
    always = type(transform)(originals=True)
    original = SampleKey(0, "test", 1)
    assert always.outline(sound, original).samples.shape == always.apply(sound, original).samples.shape


@pytest.mark.parametrize("transform", [SoundNoise(), Gain(), TimeShift(), Speed()])
def test_what_is_refused(transform):
    with pytest.raises(UsageError, match="no random numbers"):
        transform(tone())
    key = SampleKey(0, "train", 1, 2)
    for signal, words in (
        (np.zeros((4, 4)), f"{transform.name}: got a signal of type ndarray"),
        (Audio(np.zeros(4, np.int16), RATE), "int16"),
        (Audio(np.array([0.0, np.nan]), RATE), "NaN"),
        (Audio(np.array([0.0, 3000.0]), RATE), "32768"),
        (Audio(np.zeros(4), 0), "a rate above 0"),
    ):
        with pytest.raises(DataError, match=words):
            transform(signal, rng=key)


@pytest.mark.parametrize(
    ("transform", "settings"),
    [
        (SoundNoise, {"snr_db": (20, 10)}),
        (SoundNoise, {"snr_db": (10,)}),
        (Gain, {"decibels": (3, 2)}),
        (Gain, {"decibels": (0, 1e9)}),
        (TimeShift, {"seconds": -1}),
        (Speed, {"percent": (0, 100)}),
        (Speed, {"percent": (110, 90)}),
        (Speed, {"percent": (0.9, 1.1)}),
    ],
)
def test_settings_that_do_not_fit(transform, settings):
    with pytest.raises(UsageError, match=rf"{transform.name}\.{next(iter(settings))}"):
        transform(**settings)
