import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from spikeprep.data import Frames
from spikeprep.encoders import Description, Poisson
from spikeprep.encoders.bernoulli import to_fractions
from spikeprep.encoders.poisson import poisson_reference
from spikeprep.errors import DataError, UsageError
from spikeprep.packing import pack
from spikeprep.random import SampleKey

GOLDEN = json.loads((Path(__file__).parents[1] / "fixtures/poisson_stats.json").read_text())["cases"]
ROWS = [(case, row) for case in GOLDEN for row in case["rows"]]
UNITS = 4096


def draw(case, row):
    """Spikes (time, unit) of many units of one golden level, as the data have it: uint8, or sixteenths."""
    encoder = Poisson(case["steps"], case["rate_max"])
    image = np.full(UNITS, row["intensity"])
    if case["levels"] == 255:
        image = np.full(UNITS, row["level"], np.uint8)
    return encoder(image, rng=SampleKey(11, "golden", row["level"]))


@pytest.mark.parametrize(("case", "row"), ROWS, ids=[f"{c['steps']}-{r['level']}" for c, r in ROWS])
def test_counts_and_gaps_are_those_of_the_golden_file(case, row):
    spikes = draw(case, row)
    counts = spikes.sum(axis=0)
    assert abs(counts.mean() - row["mean"]) <= 4.5 * row["sd"] / np.sqrt(UNITS)
    if row["variance"] > 0:
        # counts of many independent units: the sample variance is within 5 of its own standard errors
        kurtosis = stats.binom.stats(case["draws"], row["p"], moments="k")
        error = row["variance"] * np.sqrt((kurtosis + 2) / UNITS)
        assert abs(counts.var(ddof=1) - row["variance"]) <= 5 * error
    if row["p"] > 0.02:
        # the gap to the next spike, from early spikes only: a late one's is cut off by the end
        early = np.argwhere(spikes[: len(spikes) // 3].T)
        gaps = [
            after[0] + 1 for unit, t in early[:4000] if (after := np.flatnonzero(spikes[t + 1 :, unit])).size
        ]
        lost = len(early[:4000]) - len(gaps)
        tail = len(early[:4000]) * (1 - row["p"]) ** (len(spikes) * 2 // 3 - 1)
        assert lost <= 10 + 2 * tail
        if tail < 1:
            assert abs(np.mean(gaps) - row["mean_gap"]) <= 5 * np.sqrt(row["gap_variance"] / len(gaps)) + 1e-9


@pytest.mark.parametrize(("case", "row"), [(c, r) for c, r in ROWS if 0 < r["p"] < 1])
def test_counts_are_binomial(case, row):
    """Chi-square of the counts' whole distribution, bins of at least 20 expected units."""
    counts = draw(case, row).sum(axis=0)
    edges = np.unique(stats.binom.ppf(np.linspace(0, 1, 12)[1:-1], case["draws"], row["p"]))
    share = np.diff(np.concatenate([[0], stats.binom.cdf(edges, case["draws"], row["p"]), [1]]))
    found = np.bincount(np.searchsorted(edges, counts), minlength=len(share))
    kept = share * UNITS >= 20
    share, found = np.append(share[kept], share[~kept].sum()), np.append(found[kept], found[~kept].sum())
    if share[-1] == 0:
        share, found = share[:-1], found[:-1]
    if len(share) > 1:
        assert stats.chisquare(found, share / share.sum() * found.sum()).pvalue > 1e-5


@pytest.mark.parametrize("rate_max", [0.5, 1 / 5.5, 2**-9])
def test_steps_and_neighbours_are_independent(rate_max):
    """Chi-square of the 2 × 2 tables of steps (t, t + lag), of neighbouring units, and of samples."""
    encoder, image = Poisson(513, rate_max), np.ones(512)
    one, other = (encoder(image, rng=SampleKey(3, "a", n))[1:] for n in (0, 1))
    pairs = [(one[:-lag], one[lag:]) for lag in (1, 2, 8, 32, 64, 128)]
    pairs += [(one[:, :-1], one[:, 1:]), (one[:, :-8], one[:, 8:]), (one, other)]
    for a, b in pairs:
        table = np.bincount((2 * a + b).ravel().astype(int), minlength=4).reshape(2, 2)
        assert stats.chi2_contingency(table).pvalue > 1e-5


def test_spikes_are_spread_evenly_over_steps():
    spikes = Poisson(400, 0.25)(np.ones(20_000), rng=SampleKey(1, "a", 0))
    assert stats.chisquare(spikes[1:].sum(axis=1)).pvalue > 1e-5


@given(st.integers(1, 200), st.sampled_from([0.0, 0.3, 1.0]), st.integers(0, 2**64 - 1))
def test_step_0_is_silent(steps, intensity, seed):
    assert not Poisson(steps, 1.0)(np.full((2, 3), intensity), rng=SampleKey(seed, "a", 0))[0].any()


def test_certain_and_impossible_pixels():
    spikes = Poisson(130, 1.0)(np.array([0.0, 1.0, np.nextafter(0, 1)]), rng=SampleKey(0, "a", 0))
    np.testing.assert_array_equal(spikes.sum(axis=0), [0, 129, 0])


probability = st.one_of(
    st.sampled_from([0.0, 1.0, 0.5, 0.25, 2.0**-11, 2.0**-30, np.nextafter(1, 0), np.nextafter(0, 1), 1e-9]),
    st.floats(0, 1),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(probability, min_size=1, max_size=9),
    st.one_of(st.integers(1, 140), st.sampled_from([399, 400, 512, 513, 1030])),
    st.integers(0, 2**64 - 1),
)
def test_compiled_and_reference_give_the_same_bits(p, steps, seed):
    key = SampleKey(seed, "train", seed % 1000)
    train = Poisson(steps, 1.0).encode(np.array(p), rng=key)
    assert train.steps == steps
    np.testing.assert_array_equal(train.bits, pack(poisson_reference(np.array(p), steps, key)))


def test_compiled_and_reference_agree_on_every_level_of_an_image():
    encoder, key = Poisson(), SampleKey(0, "train", 5)
    image = np.arange(256, dtype=np.uint8).reshape(8, 32)
    p = encoder.probabilities(image).ravel()
    np.testing.assert_array_equal(encoder(image, rng=key), poisson_reference(p, 400, key))


@given(probability)
def test_fractions_are_exact_where_promised(p):
    fraction = int(to_fractions(np.array([p]))[0])
    if p == 1:
        assert fraction == 2**64 - 1  # stands for 1
    else:
        assert fraction == Fraction(p) * 2**64 // 1
        if p == 0 or p >= 2**-11:
            assert fraction == Fraction(p) * 2**64


def test_a_longer_train_begins_with_the_shorter_one():
    image, key = np.linspace(0, 1, 30), SampleKey(0, "a", 3)
    np.testing.assert_array_equal(Poisson(600)(image, rng=key)[:77], Poisson(77)(image, rng=key))


def test_a_unit_is_drawn_alike_in_any_image():
    key = SampleKey(0, "a", 3)
    alone = Poisson()(np.array([0, 0, 0.5]), rng=key)
    np.testing.assert_array_equal(alone[:, 2], Poisson()(np.array([0.9, 0.1, 0.5, 1]), rng=key)[:, 2])


@given(st.permutations(range(6)), st.integers(1, 6))
def test_bits_do_not_depend_on_the_batch(order, size):
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 5), dtype=np.uint8)
    keys = [SampleKey(9, "train", n) for n in range(6)]
    encoder = Poisson(70)
    alone = [encoder.encode(image, rng=key).bits for image, key in zip(images, keys, strict=True)]
    chosen = order[:size]
    batch = encoder.encode_batch([images[n] for n in chosen], rngs=[keys[n] for n in chosen])
    for train, n in zip(batch, chosen, strict=True):
        np.testing.assert_array_equal(train.bits, alone[n])


def test_a_batch_may_mix_shapes_and_types():
    images = [np.full((2, 2), 128, np.uint8), np.full(3, 0.5), np.full(3, 0.5, np.float32)]
    keys = [SampleKey(0, "a", n) for n in range(3)]
    trains = Poisson(40).encode_batch(images, rngs=keys)
    for image, key, train in zip(images, keys, trains, strict=True):
        np.testing.assert_array_equal(train.bits, Poisson(40).encode(image, rng=key).bits)
    assert Poisson().encode_batch([], rngs=[]) == []


def test_uint8_and_its_fraction_are_the_same():
    image = np.array([0, 1, 77, 255], np.uint8)
    key = SampleKey(0, "a", 0)
    np.testing.assert_array_equal(Poisson()(image, rng=key), Poisson()(image / 255, rng=key))


def test_bool_is_black_and_white():
    image, key = np.array([False, True, True, False]), SampleKey(0, "a", 0)
    expected = Poisson()(np.array([0, 255, 255, 0], np.uint8), rng=key)
    np.testing.assert_array_equal(Poisson()(image, rng=key), expected)
    assert expected.any()


def test_bits_are_pinned():
    """Every stored data set hangs on these bits."""
    bits = Poisson(20, 0.5).encode(np.array([1, 0.5, 0.1]), rng=SampleKey(42, "train", 7)).bits
    assert bits.tolist() == [[72, 215, 12], [194, 1, 1], [128, 0, 0]]


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.array([0.5, np.nan]), "nan"),
        (np.array([0.5, 1.1]), r"\[0, 1\]"),
        (np.array([-0.1, 0.5]), r"\[0, 1\]"),
        (np.array([np.inf]), "inf"),
        (np.array([1, 2]), "int64"),
        (np.array(["a"]), "uint8, bool, or floating point"),
    ],
)
def test_other_signals_than_images_are_refused(image, words):
    with pytest.raises(DataError, match=words):
        Poisson().encode(image, rng=SampleKey(0, "a", 0))


@pytest.mark.parametrize(
    "setting",
    [
        {"steps": 0},
        {"steps": 1.5},
        {"steps": "many"},
        {"steps": 2**32},
        {"rate_max": 0},
        {"rate_max": 1.01},
        {"rate_max": "x"},
        {"rate_max": float("nan")},
        {"dt": 0},
        {"dt": float("inf")},
    ],
)
def test_settings_that_do_not_fit_are_refused(setting):
    with pytest.raises(UsageError, match="poisson"):
        Poisson.from_config(setting)


def test_randomness_must_be_named():
    with pytest.raises(UsageError, match="SampleKey"):
        Poisson().encode(np.zeros(3))


def test_decode_estimates_the_intensity():
    encoder, image = Poisson(20_000), np.linspace(0, 1, 40)
    estimate = encoder.decode(encoder(image, rng=SampleKey(0, "a", 0)))
    p = encoder.probabilities(image)
    error = np.sqrt(p * (1 - p) / 19_999) / encoder.rate_max
    assert (np.abs(estimate - image) <= 4.5 * error).all()


def test_a_unit_is_a_pixel():
    image = np.zeros((4, 5, 3), np.uint8)
    assert Poisson(70, dt=0.002).describe(image) == Description((4, 5, 3), 70, 0.002)


def test_a_batch_is_written_in_place():
    """The kernel fills the array that it is given, which may have more bytes than the steps need."""
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 6), dtype=np.uint8)
    keys = [SampleKey(2, "train", n) for n in range(5)]
    out = np.zeros((5, 24, 12), np.uint8)
    assert Poisson(70).encode_into(iter(images), out, rngs=keys).tolist() == [70] * 5
    for n in range(5):
        np.testing.assert_array_equal(out[n, :, :9], Poisson(70).encode(images[n], rng=keys[n]).bits)
    assert not out[:, :, 9:].any()
    with pytest.raises(DataError, match="25 pixels; expected 24"):
        Poisson(70).encode_into([np.zeros(25)], out[:1], rngs=keys[:1])


@pytest.mark.parametrize("signal", [Frames(np.ones((3, 4)), 10.0), 3.0, None, np.float64(0.5)])
def test_signals_that_are_no_images(signal):
    with pytest.raises(DataError, match="poisson: got a signal of type"):
        Poisson().describe(signal)
