"""Mel spectrograms against librosa, torchaudio, formulas and a reference; Speech2Spikes against its package."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeprep.data import Audio
from spikeprep.errors import UsageError
from spikeprep.recipes import load_recipe
from spikeprep.transforms import Mel
from spikeprep.transforms.audio.frequency_scales import from_mel, to_mel
from spikeprep.transforms.audio.mel import triangles
from spikeprep.transforms.audio.mel_kernel import mel_power, mel_power_reference, tables


def noise(samples, seed=0, rate=16_000):
    return Audio(np.random.default_rng(seed).normal(0, 0.1, samples), rate)


def library(name):
    """An installed library; one whose compiled part does not load is as good as none."""
    try:
        return __import__(name)
    except (ImportError, OSError) as error:
        pytest.skip(f"{name} is not usable here: {error}")


# ---------------------------------------------------------------- scales and weights


def test_the_scale_of_htk():
    """1000 Hz are 1000 mel within 0.02; the two ends and a value worked out by hand."""
    assert to_mel(1000, "htk") == pytest.approx(999.99, abs=0.01)
    assert to_mel(700, "htk") == pytest.approx(2595 * np.log10(2))
    assert to_mel(0, "htk") == 0


def test_the_scale_of_slaney():
    """40 bands of the Auditory Toolbox: 13 of 66.67 Hz up to 1 kHz, then a factor of 1.0711703."""
    assert to_mel(1000, "slaney") == pytest.approx(15)
    assert to_mel(200, "slaney") == pytest.approx(3)
    assert from_mel(16, "slaney") / from_mel(15, "slaney") == pytest.approx(1.0711703, rel=1e-7)
    assert to_mel(6400, "slaney") == pytest.approx(42)


@pytest.mark.parametrize("scale", ["htk", "slaney"])
def test_scales_have_an_inverse(scale):
    hertz = np.linspace(0, 20_000, 301)
    np.testing.assert_allclose(from_mel(to_mel(hertz, scale), scale), hertz, atol=1e-8)


@pytest.mark.parametrize("scale", ["htk", "slaney"])
@pytest.mark.parametrize("norm", ["none", "slaney"])
@pytest.mark.parametrize(
    ("rate", "fft", "low", "high", "channels"), [(16_000, 512, 20, 4000, 20), (12_500, 1024, 0, 6250, 64)]
)
def test_the_weights_of_librosa(scale, norm, rate, fft, low, high, channels):
    librosa = library("librosa")
    expected = librosa.filters.mel(
        sr=rate, n_fft=fft, n_mels=channels, fmin=low, fmax=high, htk=scale == "htk",
        norm=None if norm == "none" else norm, dtype=np.float64,
    )  # fmt: skip
    np.testing.assert_allclose(triangles(rate, fft, low, high, channels, scale, norm), expected, atol=1e-12)


@pytest.mark.parametrize("scale", ["htk", "slaney"])
@pytest.mark.parametrize("norm", ["none", "slaney"])
def test_the_weights_of_torchaudio(scale, norm):
    functional = library("torchaudio").functional
    expected = functional.melscale_fbanks(
        257, 20.0, 4000.0, 20, 16_000, None if norm == "none" else norm, scale
    )
    found = triangles(16_000, 512, 20, 4000, 20, scale, norm).T
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5 * found.max() + 1e-6)


# ---------------------------------------------------------------- spectrograms


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize(
    ("rate", "hop", "window", "fft", "channels"),
    [(16_000, 0.005, 0.032, 0, 20), (12_500, 0.016, 0.032, 512, 40), (8000, 0.01, 0.025, 1024, 30)],
)
def test_the_spectrogram_of_librosa(precision, rate, hop, window, fft, channels):
    librosa = library("librosa")
    sound = noise(5432, rate=rate)
    mel = Mel(
        hop=hop, window=window, fft=fft, channels=channels, low=30, scale="slaney", norm="slaney", padding="zeros",
        full_scale=False, compression="none", precision=precision,
    )  # fmt: skip
    expected = librosa.feature.melspectrogram(
        y=sound.samples, sr=rate, n_fft=mel.fft_samples(rate), win_length=mel.window_samples(rate),
        hop_length=mel.hop_samples(rate), n_mels=channels, fmin=30, dtype=np.float64,
    )[::-1].T  # fmt: skip
    found = mel(sound).values
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-6 * expected.max()  # librosa's window is float32


@pytest.mark.parametrize(("hop", "window", "low"), [(0.005, 0.032, 0), (0.016, 0.025, 20)])
def test_the_spectrogram_of_torchaudio(hop, window, low):
    torchaudio, torch = library("torchaudio"), library("torch")
    sound = noise(4321)
    mel = Mel(hop=hop, window=window, low=low, padding="reflect", full_scale=False, compression="none")
    theirs = torchaudio.transforms.MelSpectrogram(
        16_000, n_fft=512, win_length=mel.window_samples(16_000), hop_length=mel.hop_samples(16_000),
        f_min=low, n_mels=40,
    )  # fmt: skip
    expected = theirs(torch.from_numpy(sound.samples).float()).numpy()[::-1].T
    found = mel(sound).values
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-5 * expected.max()


@settings(max_examples=60, deadline=None)
@given(
    size=st.sampled_from([4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048]),
    frames=st.integers(0, 37),
    hop=st.integers(1, 300),
    used=st.integers(1, 2048),
    beyond=st.tuples(st.integers(0, 99), st.integers(0, 99)),
    mirrored=st.booleans(),
    types=st.tuples(*2 * [st.sampled_from(["float64", "float32"])]),
    seed=st.integers(0, 9),
)
def test_the_kernel(size, frames, hop, used, beyond, mirrored, types, seed):
    """Transforms of all radices, groups of frames filled and not, windows and padding of any length, sparse bands."""
    rng, dtype, used = np.random.default_rng(seed), np.dtype(types[0]), min(used, size)
    window = np.zeros(size)
    window[:used] = rng.uniform(0.1, 1, used)
    bands = rng.uniform(0, 1, (5, size // 2 + 1)) * (rng.uniform(0, 1, (5, size // 2 + 1)) < 0.5)
    length = max((frames - 1) * hop + used - sum(beyond), 100)  # frames reach as far beyond each end at most
    sound = rng.normal(0, 0.1, length).astype(types[1])
    found = mel_power(sound, frames, hop, used, tables(window, bands, dtype), -beyond[0], mirrored)
    padded = np.pad(sound, (beyond[0], size + 100), "constant")
    if mirrored:
        padded = np.concatenate([np.pad(sound, (beyond[0], 99), "reflect"), np.zeros(size)])
    expected = mel_power_reference(padded, frames, hop, window, bands)
    assert found.shape == expected.shape
    largest = 1e-9 + expected.max(initial=0)
    np.testing.assert_allclose(
        found / largest, expected / largest, atol=1e-13 if dtype == np.float64 else 1e-5
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("hop", [3, 100])
def test_short_sounds_leave_nothing_to_the_next_one(dtype, hop):
    """Lanes without a frame had the bins of the bins before them: infinite after a few sounds."""
    window = np.concatenate([np.ones(25), np.zeros(39)])
    sound, bands = noise(400).samples.astype(dtype), tables(window, np.ones((2, 33)), np.dtype(dtype))
    first, *others = (mel_power(sound, 3, hop, 25, bands) for _ in range(40))
    np.testing.assert_allclose(
        first[:, 0], mel_power_reference(sound, 3, hop, window, np.ones((1, 33)))[:, 0], rtol=1e-4
    )
    for other in others:
        np.testing.assert_array_equal(other, first)


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("padding", ["none", "reflect", "zeros"])
def test_a_frame_depends_on_its_own_samples_alone(precision, padding):
    """Bit for bit: whichever lane it is in, whatever was computed before, and wherever the sound lies in memory."""
    mel, sound = Mel(precision=precision, padding=padding), noise(20_000)
    whole = mel(sound).values
    for hops in (1, 3, 16):
        later = mel(Audio(sound.samples[hops * 256 :], 16_000)).values
        inner = slice(1, -1) if padding != "none" else slice(None)
        np.testing.assert_array_equal(later[inner], whole[hops:][inner])
    strided = np.repeat(sound.samples, 2)[::2]
    assert not strided.flags.c_contiguous
    packed = np.zeros(20_000, [("pad", "u1"), ("sample", "f8")])
    packed["sample"] = sound.samples
    unaligned = np.frombuffer(b"\0" + sound.samples.tobytes(), "u1")[1:].view("f8")
    assert not unaligned.flags.aligned
    wider, swapped = sound.samples.astype(np.longdouble), sound.samples.astype(">f8")
    for samples in (strided, sound.samples[::-1].copy()[::-1], packed["sample"], unaligned, wider, swapped):
        np.testing.assert_array_equal(mel(Audio(samples, 16_000)).values, whole)


def test_a_sine_of_full_scale_is_0_db():
    """In the middle of a band, which is wide enough for the window's main lobe: 1.5 times its power, 1.8 dB."""
    mel = Mel(channels=12, compression="none")
    centre = mel.centres(16_000)[3]
    sine = Audio(np.sin(2 * np.pi * centre * np.arange(16_000) / 16_000), 16_000)
    values = mel(sine).values
    assert (values.argmax(axis=1) == 3).all()
    assert values[:, 3] == pytest.approx(1.5 * 0.92, rel=0.1)  # the triangle takes some off the lobe's sides
    doubled = Mel(channels=12, compression="none")(Audio(sine.samples / 2, 16_000)).values
    np.testing.assert_allclose(doubled, values / 4, rtol=1e-9)


def test_the_running_sum():
    sound = noise(3000)
    plain = Mel(compression="none")(sound).values
    both = Mel(compression="none", running_sum=True)(sound).values
    np.testing.assert_allclose(both, np.concatenate([np.cumsum(plain, axis=0), plain], axis=1))
    assert Mel(running_sum=True).outline(sound).values.shape == both.shape


@pytest.mark.parametrize(("padding", "least"), [("reflect", 257), ("zeros", 1)])
def test_sounds_too_short_for_a_frame(padding, least):
    mel = Mel(padding=padding)
    assert len(mel(noise(least - 1)).values) == 0
    assert len(mel(noise(least)).values) == 1 + least // 256
    assert mel.outline(noise(least - 1)).values.shape == (0, 40)


def test_bands_between_two_bins_are_refused():
    with pytest.raises(
        UsageError, match=r"128 channels from 20 to 8000 Hz, \d+ of them between two bins of 31.25 Hz"
    ):
        Mel(channels=128)(noise(1000))
    assert Mel(channels=128, fft=4096)(noise(1000)).values.shape == (1 + (1000 - 512) // 256, 128)


def test_windows_that_do_not_fit_the_transform():
    with pytest.raises(UsageError, match=r"512 samples at 16000 Hz; expected at most mel\.fft = 256"):
        Mel(fft=256)(noise(1000))
    with pytest.raises(UsageError, match="at most 65536"):
        Mel(window=10)(noise(1000))


# ---------------------------------------------------------------- Speech2Spikes


def definition(power, threshold=1.0):
    """Delta modulation of the logarithm of power (time, channel), as Stewart et al. 2023 describe it: +1, 0 and −1."""
    log = np.log(power)
    level, spikes = np.rint(log[0]), np.zeros(log.shape, int)
    for t, values in enumerate(log):
        spikes[t] = (values - level > threshold).astype(int) - (values - level < -threshold)
        level = level + spikes[t] * threshold
    return spikes


def signed(spikes):
    return spikes[:, 0::2].astype(int) - spikes[:, 1::2]


@pytest.mark.parametrize("running_sum", [False, True])
def test_the_recipe_has_the_published_spikes(running_sum):
    swell = np.sin(np.linspace(0, 6, 16_000)) ** 2
    sound = Audio(swell * noise(16_000).samples + 1e-4 * noise(16_000, 1).samples, 16_000)
    chain = load_recipe("speech2spikes").override({"mel.running_sum": running_sum}).build_chain()
    power = Mel(
        channels=20, low=20, high=4000, hop=0.005, window=0.032, compression="none", padding="reflect", full_scale=False
    )(sound).values  # fmt: skip
    power = np.concatenate([np.cumsum(power, axis=0), power], axis=1) if running_sum else power
    found = signed(chain.encoder(chain.prepare(sound)))
    np.testing.assert_array_equal(found, definition(power))
    assert found.any(axis=0).all()


@pytest.mark.parametrize("running_sum", [False, True])
def test_the_package_speech2spikes(running_sum):
    torch, package = library("torch"), library("speech2spikes")
    chain = load_recipe("speech2spikes").override({"mel.running_sum": running_sum}).build_chain()
    sound = noise(16_000)
    theirs, _ = package.S2S(cumsum=running_sum)(
        [(torch.from_numpy(sound.samples).float()[None], torch.tensor(0))]
    )
    theirs = theirs[0, 0].numpy().T
    halves = np.split(theirs, 2, axis=1) if running_sum else [theirs]  # the sums, then the powers
    expected = np.concatenate([half[:, ::-1] for half in halves], axis=1)
    found = signed(chain.encoder(chain.prepare(sound)))
    assert found.shape == expected.shape
    assert np.mean(found != expected) < 1e-3  # it computes in float32
