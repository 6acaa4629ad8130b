"""Encoders of single values: latency, rank order, phase, burst, Gaussian receptive fields."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from spikeprep.data import Audio, Frames
from spikeprep.encoders import Burst, Description, GaussianReceptiveFields, Latency, Phase, RankOrder
from spikeprep.encoders.burst import burst_reference
from spikeprep.encoders.gaussian_receptive_fields import _decay, receptive_fields_reference
from spikeprep.encoders.latency import latency_reference
from spikeprep.encoders.phase import phase_reference
from spikeprep.encoders.rank_order import rank_order_reference
from spikeprep.errors import DataError, UsageError
from spikeprep.random import SampleKey
from spikeprep.testing import check_encoder

KEY = SampleKey(5, "train", 3)
BYTES = np.arange(256, dtype=np.uint8)
VALUES = np.concatenate([np.linspace(0, 1, 41), np.random.default_rng(0).random(160)])
FIELDS = [GaussianReceptiveFields(21, 5, code=code) for code in ("latency", "regular", "random")]
CODES = [
    Latency(),
    Latency(code="log", threshold=0.02),
    Latency(code="lif", threshold=0.2),
    Phase(5, 3),
    Burst(),
    RankOrder(),
]


def times(spikes):
    """Steps of each unit's spikes, of spikes (time, unit)."""
    return [np.flatnonzero(unit).tolist() for unit in np.asarray(spikes).T]


def text(spikes):
    return ["".join(".|"[int(s)] for s in unit) for unit in np.asarray(spikes).T]


# ------------------------------------------------------------ golden values, worked out by hand


@pytest.mark.parametrize(
    ("encoder", "expected"),
    [
        # (T − 1) (1 − x) = 10 (1 − x) = 10, 9, 7.5 → 8 (even), 5, 2.5 → 2 (even), 0
        (Latency(11, threshold=0), [[10], [9], [8], [5], [2], [0]]),
        (Latency(11, threshold=0.2), [[], [], [8], [5], [2], [0]]),
        # 4 ln(1 / x): 9.2, 5.5, 2.8, 1.15, 0
        (Latency(9, "log", 0.1, tau=4), [[], [], [6], [3], [1], [0]]),
        # τ = 10 / ln 10 = 4.343: the threshold's own spike is in the last step; 6.02, 3.01, 1.25
        (Latency(11, "log", 0.1), [[], [10], [6], [3], [1], [0]]),
        # 5 ln(x / (x − 0.2)): 8.05, 2.55, 1.55, 1.12
        (Latency(20, "lif", 0.2, tau=5), [[], [], [8], [3], [2], [1]]),
        (Latency(8, "lif", 0.2, tau=5), [[], [], [], [3], [2], [1]]),
        # n = 5 of 6 are above 0: ranks 4, 3, 2, 1, 0 of 5, times 10 / 5
        (RankOrder(10), [[], [8], [6], [4], [2], [0]]),
        (RankOrder(3), [[], [2], [1], [1], [0], [0]]),
        (RankOrder(4, 0.25), [[], [], [], [2], [1], [0]]),
    ],
)
def test_times(encoder, expected):
    assert times(encoder(np.array([0, 0.1, 0.25, 0.5, 0.75, 1]))) == expected


def test_the_table_of_kim_2018():
    """192, 1, 128 and 255 of 256, as published, and every pixel of bytes as its own bits."""
    spikes = Phase(8, 1)(np.array([192, 1, 128, 255]) / 256)
    assert text(spikes) == ["||......", ".......|", "|.......", "||||||||"]
    own = np.unpackbits(BYTES[:, None], axis=1).T
    np.testing.assert_array_equal(Phase(8, 2)(BYTES), np.concatenate([own, own]))
    assert text(Phase(3, 2)(np.array([0, 0.49, 0.5, 1]))) == ["......", ".||.||", "|..|..", "||||||"]


def test_bursts():
    # ⌈4 x⌉ spikes, intervals ⌈6 − 4 x⌉
    x = np.array([0, 0.01, 0.25, 0.3, 0.5, 0.75, 1])
    assert times(Burst(16, 4, 2, 6)(x)) == [[], [0], [0], [0, 5], [0, 4], [0, 3, 6], [0, 2, 4, 6]]


def test_equal_values_share_a_step():
    for image in (np.array([3, 7, 7, 0, 1], np.uint8), np.array([0.3, 0.7, 0.7, 0, 0.1])):
        assert times(RankOrder(8)(image)) == [[4], [0], [0], [], [6]]


def test_only_the_order_counts():
    image = np.random.default_rng(1).uniform(0.1, 1, 60)
    np.testing.assert_array_equal(RankOrder()(image), RankOrder()(1e5 * image**3))
    signed = RankOrder(threshold=-2)(Frames(np.array([[-1.0, 2, -3]]), 10.0))
    assert times(signed) == [[50], [0], []]


def test_receptive_fields():
    # 4 fields on [0, 1]: distance 1/2, centres −1/4, 1/4, 3/4, 5/4, σ = 1/2
    encoder = GaussianReceptiveFields(11, 4, beta=1.0)
    np.testing.assert_allclose(encoder.centres, [-0.25, 0.25, 0.75, 1.25])
    a = encoder.activations(np.array([0.25, 0.5]))
    np.testing.assert_allclose(a, np.exp([[-0.5, 0, -0.5, -2], [-1.125, -0.125, -0.125, -1.125]]), rtol=1e-12)
    # 10 (1 − a) = 3.9, 0, 3.9, 8.6 and 6.8, 1.2, 1.2, 6.8
    assert times(encoder(np.array([0.25, 0.5]))) == [[4], [0], [4], [9], [7], [1], [1], [7]]
    few = GaussianReceptiveFields(11, 4, beta=1.0, threshold=0.14)
    assert times(few(np.array([0.25]))) == [[4], [0], [4], []]
    # sums of 0.6065 reach multiples of 1 in steps 1, 3, 4, 6, …; those of 0.1353 in steps 7 and 14
    regular = GaussianReceptiveFields(15, 4, beta=1.0, code="regular", charge=1.0)
    assert text(regular(np.array([0.25]))) == [
        ".|.||.|.||.|.||",
        "|||||||||||||||",
        ".|.||.|.||.|.||",
        ".......|......|",
    ]


@pytest.mark.parametrize(("steps", "threshold"), [(100, 0.01), (20, 0.2), (50, 0.9), (1000, 1e-4)])
def test_lif_fills_the_window(steps, threshold):
    """Without tau, 2 θ / (1 + θ) spikes in the last step: of the defaults τ = 99 / ln(2 / 0.99)."""
    encoder = Latency(steps, "lif", threshold)
    lowest = 2 * threshold / (1 + threshold)
    assert times(encoder(np.array([lowest * (1 + 1e-9)]))) == [[steps - 1]]
    assert times(encoder(np.array([threshold * (1 + 1e-6)]))) == [[]]
    assert times(encoder(np.array([1.0])))[0][0] < steps - 1
    if steps == 100:
        assert encoder.time_constant == pytest.approx(140.78, abs=0.01)
        # 140.78 ln(x / (x − 0.01)) of 0.02, 0.05, 0.1, 0.5 and 1: 97.58, 31.41, 14.83, 2.84, 1.41
        found = times(encoder(np.array([0.02, 0.05, 0.1, 0.5, 1])))
        assert found == [[98], [31], [15], [3], [1]]
        distinct = {t for unit in times(encoder(np.arange(2, 101) / 100)) for t in unit}
        assert len(distinct) >= 18


@given(st.floats(0, 700))
def test_decay_is_the_exponential_function(y):
    assert _decay(y) == pytest.approx(np.exp(-y), rel=1e-12)


# ------------------------------------------------------------ the definitions


@pytest.mark.parametrize("signal", [BYTES, VALUES, VALUES.astype(np.float32)], ids=["uint8", "f8", "f4"])
@pytest.mark.parametrize("encoder", CODES, ids=lambda e: f"{e.name}-{getattr(e, 'code', '')}")
def test_compiled_and_reference_give_the_same_bits(encoder, signal):
    x = signal / 255 if signal.dtype == np.uint8 else signal.astype(float)
    if isinstance(encoder, Latency):
        settings = (encoder.steps, encoder.code, encoder.threshold, encoder.time_constant)
        expected = [[t] if t >= 0 else [] for t in (latency_reference(v, *settings) for v in x.tolist())]
    elif isinstance(encoder, Phase):
        expected = times(np.array([phase_reference(v, 5) * 3 for v in x.tolist()]).T)
    elif isinstance(encoder, Burst):
        expected = times(np.array([burst_reference(v, 32, 5, 2, 20) for v in x.tolist()]).T)
    else:
        expected = [[t] if t >= 0 else [] for t in rank_order_reference(x, 100, 0.0)]
    assert times(encoder(signal)) == expected


@pytest.mark.parametrize("encoder", FIELDS, ids=lambda e: e.code)
def test_fields_are_as_the_reference_says(encoder):
    signal = BYTES[::16] if encoder.code == "latency" else VALUES[:40]
    x = signal / 255 if signal.dtype == np.uint8 else signal
    expected = [receptive_fields_reference(encoder, v, KEY, 5 * n) for n, v in enumerate(x)]
    np.testing.assert_array_equal(encoder(signal, rng=KEY), np.concatenate(expected, axis=1))


@pytest.mark.parametrize("encoder", [*CODES, *FIELDS], ids=lambda e: f"{e.name}-{getattr(e, 'code', '')}")
def test_series(encoder):
    """A frame is a window, as an image of its channels is; windows need not be whole bytes."""
    if encoder.name != "phase" and not isinstance(encoder, GaussianReceptiveFields):
        encoder = type(encoder)(**{**vars(encoder), "steps": 37})
    series = [Frames(np.random.default_rng(n).random((n, 7)), 50.0) for n in (4, 6)]
    check_encoder(encoder, series)
    if getattr(encoder, "code", "") == "random":
        return  # other draws in other frames
    spikes = encoder(series[0])
    for n, frame in enumerate(series[0].values):
        window = spikes[n * encoder.window : (n + 1) * encoder.window]
        np.testing.assert_array_equal(window, encoder(frame))


def test_random_fields_spike_as_often_as_they_are_active():
    encoder = GaussianReceptiveFields(4000, 5, code="random")
    for signal in (np.array([0.3]), Frames(np.full((3, 1), 0.3), 10.0)):
        counts, a = encoder(signal, rng=KEY).sum(axis=0), encoder.activations(np.array([0.3]))[0]
        steps = encoder.describe(signal).steps
        assert all(stats.binomtest(int(c), steps, p).pvalue > 1e-4 for c, p in zip(counts, a, strict=True))
    frames = encoder(Frames(np.full((2, 1), 0.3), 10.0), rng=KEY)
    assert (frames[:4000] != frames[4000:]).any(axis=0).all()


# ------------------------------------------------------------ decoding


@pytest.mark.parametrize(
    ("encoder", "error"),
    [
        (Latency(51, threshold=0), 0.5 / 50),
        (Latency(101, "log", 0.09), 0.0125),  # of the value: exp(½ ln(1 / 0.09) / 100) − 1
        (Phase(6, 2), 2**-6),
        (Burst(), 0.1),
        (GaussianReceptiveFields(100), 0.002),
        (GaussianReceptiveFields(100, code="regular"), 0.005),
        (GaussianReceptiveFields(1000, code="random"), 0.02),
    ],
    ids=lambda e: f"{e.name}-{getattr(e, 'code', '')}" if hasattr(e, "name") else "",
)
@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 5)])
def test_decode(encoder, error, low, high):
    encoder = type(encoder)(**{**vars(encoder), "low": low, "high": high})
    x = np.linspace(0.1, 1, 28).reshape(4, 7)
    signal = Frames(low + (high - low) * x, 1.0)
    decoded = encoder.decode(encoder(signal, rng=KEY))
    assert decoded.shape == (4, 7)
    assert np.abs(decoded - signal.values).max() <= error * (high - low) * (1 + 1e-9)


def test_decode_of_silence():
    for encoder in (Latency(5), Latency(5, "log"), Latency(5, "lif"), Phase(3, 2), Burst()):
        np.testing.assert_array_equal(encoder.decode(np.zeros((encoder.window, 2), bool)), np.zeros((1, 2)))
    fields = GaussianReceptiveFields(10, 4, low=2, high=4)
    np.testing.assert_array_equal(fields.decode(np.zeros((20, 8))), np.full((2, 2), 3.0))
    with pytest.raises(UsageError, match=r"\(19, 8\).*a multiple of 10 steps and of 4 units"):
        fields.decode(np.zeros((19, 8)))


@pytest.mark.parametrize(
    "encoder", [Latency(), Phase(), Burst(), GaussianReceptiveFields()], ids=lambda e: e.name
)
def test_candidates_fit_the_signals(encoder):
    """Every combination encodes and decodes them; the range is that of series beyond 0 to 1, and left alone else."""
    signals = [Frames(np.array([[0.5, -2.0], [3.0, 1.0]]), 10.0), Frames(np.ones((1, 2)), 10.0)]
    for sample, ranges in ((signals, {"low": [-2.0], "high": [3.0], "clip": [True]}), ([BYTES], {})):
        found = encoder.candidates(sample)
        assert {name: found[name] for name in ("low", "high", "clip") if name in found} == ranges
        for values in itertools.product(*found.values()):
            tried = encoder.override(dict(zip(found, values, strict=True)))
            decoded = tried.decode(tried(sample[0], rng=KEY))
            assert tried.low <= decoded.min() <= decoded.max() <= tried.high


# ------------------------------------------------------------ descriptions, batches, bad input


def test_units_and_steps():
    image, series = np.zeros((4, 5, 3), np.uint8), Frames(np.zeros((6, 7)), 20.0)
    assert Latency(30, dt=0.002).describe(image) == Description((4, 5, 3), 30, 0.002)
    assert Phase(4, 5).describe(series) == Description((7,), 120, 1 / 400, ragged=True)
    assert GaussianReceptiveFields(30, 9).describe(image) == Description((4, 5, 3, 9), 30, 0.001)
    assert GaussianReceptiveFields(30, 9).describe(series).unit_shape == (7, 9)


@pytest.mark.parametrize("encoder", [*CODES, *FIELDS], ids=lambda e: f"{e.name}-{getattr(e, 'code', '')}")
def test_a_batch_may_mix_types(encoder):
    images = [BYTES[:6], BYTES[250:], BYTES[:6] / 255, np.arange(6) > 2, np.full(6, 0.25, np.float32)]
    keys = [SampleKey(0, "a", n) for n in range(5)]
    for train, image, key in zip(encoder.encode_batch(images, rngs=keys), images, keys, strict=True):
        np.testing.assert_array_equal(train.bits, encoder.encode(image, rng=key).bits)


ENCODERS = [Latency(), Phase(), Burst(), GaussianReceptiveFields(), RankOrder()]
BAD = [
    (np.array([0.5, np.nan]), "NaN"),
    (np.array([np.nan, np.inf]), "NaN"),
    (np.array([np.inf]), "inf"),
    (np.array([1, 2]), "an image of int64; expected uint8"),
    (np.array(["a"]), "uint8, bool, or floating point"),
    (np.array([1j]), "uint8, bool, or floating point"),
    (Audio(np.zeros(9), 8000.0), "a signal of type Audio; expected an image"),
    (3.0, "a signal of type float"),
    (None, "a signal of type NoneType"),
    (Frames(np.zeros(5), 10.0), r"Frames of float64 \(5,\)"),
    (Frames(np.array([["a"]]), 10.0), "Frames of <U1"),
    (Frames(np.zeros((3, 0)), 10.0), "Frames of 0 channels at 10 Hz; expected at least one channel"),
    (Frames(np.zeros((3, 1)), 0.0), "Frames of 1 channels at 0 Hz; .*a rate above 0"),
    (np.zeros((0, 5)), r"an image \(0, 5\); expected at least one value"),
]


@pytest.mark.parametrize(
    ("encoder", "bad"), [*itertools.product(ENCODERS, BAD)], ids=lambda v: getattr(v, "name", "")
)
def test_other_signals_are_refused(encoder, bad):
    signal, words = bad
    with pytest.raises(DataError, match=f"{encoder.name}: got .*{words}"):
        encoder.encode(signal, rng=KEY)


@pytest.mark.parametrize("encoder", ENCODERS[:4], ids=lambda e: e.name)
def test_values_out_of_range(encoder):
    signal = np.array([-0.5, 0.5, 3.0])
    with pytest.raises(
        DataError, match=rf"from -0.5 to 3; expected 0 to 1. Set {encoder.name}.low and .*clip=true"
    ):
        encoder(signal)
    with pytest.raises(DataError, match=r"from 0 to 1; expected 0\.25 to 2"):
        type(encoder)(low=0.25, high=2)(BYTES)
    clipped = type(encoder)(clip=True)
    np.testing.assert_array_equal(clipped(signal), clipped(np.array([0, 0.5, 1])))
    np.testing.assert_array_equal(type(encoder)(low=-2, high=4)(signal), encoder((signal + 2) / 6))


def test_signals_of_another_size():
    out = np.zeros((2, 6, 13), np.uint8)
    with pytest.raises(DataError, match="latency: got a signal of 5 values; expected 6, like the first one"):
        Latency().encode_into([np.zeros(6), np.zeros(5)], out, rngs=[KEY, KEY])
    with pytest.raises(DataError, match="latency: got a series of 2 frames; expected at most 1"):
        Latency().encode_into([Frames(np.zeros((2, 6)), 1.0)], out, rngs=[KEY])


def test_randomness_must_be_named():
    with pytest.raises(UsageError, match="gaussian_receptive_fields: got no random numbers"):
        FIELDS[2].encode(np.zeros(3))


@pytest.mark.parametrize(
    ("cls", "settings", "words"),
    [
        (Latency, {"steps": 1}, "latency.steps = 1"),
        (Latency, {"code": "fast"}, "latency.code = 'fast'"),
        (Latency, {"threshold": 1}, "latency.threshold = 1"),
        (Latency, {"threshold": 0, "code": "lif"}, "threshold = 0 .*a threshold above 0. It is the neuron's"),
        (Latency, {"threshold": 0, "code": "log"}, "threshold = 0 .*a threshold above 0. Its logarithm"),
        (Latency, {"tau": 0}, "latency.tau = 0"),
        (Latency, {"low": 1}, "latency.low = 1 and high = 1; expected low below high"),
        (Phase, {"phases": 17}, "phase.phases = 17"),
        (Phase, {"high": float("nan")}, "phase.high = nan"),
        (Burst, {"steps": 30}, "burst.steps = 30; expected at least 31, the longest burst"),
        (Burst, {"shortest": 30}, "burst.shortest = 30 and burst.longest = 20"),
        (GaussianReceptiveFields, {"fields": 2}, "fields = 2"),
        (GaussianReceptiveFields, {"high": 5e-324}, "fields of a finite width above 0"),
        (GaussianReceptiveFields, {"low": -1.7e308, "high": 1.7e308}, "fields of a finite width above 0"),
        (RankOrder, {"threshold": float("inf")}, "rank_order.threshold = inf"),
    ],
)
def test_settings_that_do_not_fit_are_refused(cls, settings, words):
    with pytest.raises(UsageError, match=words):
        cls.from_config(settings)


def test_the_longest_burst_fits():
    for spikes, shortest, longest in itertools.product((1, 2, 3, 5, 7), (1, 2, 5), (5, 6, 11)):
        least = max(1, *(n * longest for n in range(spikes))) + 1  # surely enough
        encoder = Burst(least, spikes, shortest, longest)
        steps = encoder._longest_burst()
        spiking = encoder(np.linspace(0, 1, 2001)).any(axis=1)
        assert np.flatnonzero(spiking)[-1] == steps - 1


# ------------------------------------------------------------ other libraries


@pytest.mark.slow
def test_spikingjelly_agrees():
    torch = pytest.importorskip("torch")
    encoding = pytest.importorskip("spikingjelly.activation_based.encoding")
    floats = np.random.default_rng(0).random(3000, np.float32)
    for values in (np.arange(256, dtype=np.float32) / np.float32(255), floats):
        linear = encoding.LatencyEncoder(100, "linear").single_step_encode(torch.from_numpy(values))
        np.testing.assert_array_equal(Latency(threshold=0)(values), linear.numpy() > 0)
        log = encoding.LatencyEncoder(40, "log").single_step_encode(torch.from_numpy(values[1:]))
        np.testing.assert_array_equal(Latency(40, "log", 0, tau=1)(values[1:]), log.numpy() > 0)
        phase = encoding.WeightedPhaseEncoder(8).single_step_encode(
            torch.from_numpy(values).clamp(max=1 - 2**-8)
        )
        np.testing.assert_array_equal(Phase(8, 1)(values), phase.numpy() > 0)
    encoder = GaussianReceptiveFields(50, 8, code="regular")
    ends = (encoder.centres[0], encoder.centres[-1])
    theirs = encoding.PopSpikeEncoderDeterministic(1, 8, 50, ends, encoder.sigma)
    spikes = theirs(torch.from_numpy(floats[:500, None])).detach().numpy().reshape(50, -1)
    assert (encoder(floats[:500]) != (spikes > 0)).mean() < 1e-4  # theirs adds in float32


@pytest.mark.slow
def test_snntorch_agrees():
    torch = pytest.importorskip("torch")
    spikegen = pytest.importorskip("snntorch.spikegen")
    values = torch.arange(256) / 255
    lif = spikegen.latency(values, num_steps=100, threshold=0.2, tau=20, clip=True, bypass=True)
    np.testing.assert_array_equal(Latency(100, "lif", 0.2, tau=20)(BYTES), lif.numpy() > 0)
    linear = spikegen.latency(values, num_steps=100, threshold=0.2, linear=True, normalize=True, clip=True)
    np.testing.assert_array_equal(Latency(100, "linear", 0.2)(BYTES), linear.numpy() > 0)
