"""Encoders of series: published definitions, worked examples, and what their decoders promise."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeprep.data import Frames
from spikeprep.encoders import (
    BSA,
    HSA,
    LIF,
    Delta,
    Description,
    MovingWindow,
    Poisson,
    PulseWidth,
    SigmaDelta,
    StepForward,
    ZeroCrossingStepForward,
)
from spikeprep.encoders.delta import delta_reference
from spikeprep.encoders.dense_encoder import DenseEncoder
from spikeprep.encoders.hsa import hsa_reference
from spikeprep.encoders.lif import lif_reference
from spikeprep.encoders.moving_window import moving_window_reference
from spikeprep.encoders.pulse_width import pulse_width_reference
from spikeprep.encoders.sigma_delta import sigma_delta_reference
from spikeprep.encoders.step_forward import step_forward_reference
from spikeprep.encoders.zero_crossing_step_forward import zero_crossing_reference
from spikeprep.errors import DataError, PluginError, SignalError, UsageError

ENCODERS = (Delta, HSA, LIF, MovingWindow, PulseWidth, SigmaDelta, StepForward, ZeroCrossingStepForward)
TIME = np.arange(2000) / 1000
WAVES = np.stack([np.sin(4 * np.pi * TIME), 0.5 * np.cos(6 * np.pi * TIME)], axis=1)


def moves(encoder, signal):
    """Return up minus down of one channel's spikes, step by step."""
    up, down = encoder(np.array(signal, float)).T.astype(int)
    assert not (up & down).any()
    return (up - down).tolist()


# ------------------------------------------------------------ worked examples, from the publications' definitions


def test_delta():
    # the examples of snnTorch's spikegen.delta
    assert moves(Delta(threshold=1, start=0), [1, 2, 2.9, 3, 3.9]) == [1, 1, 0, 0, 0]
    assert moves(Delta(threshold=1), [1, 2, 0, 2, 2.9]) == [0, 1, -1, 1, 0]
    decoded = Delta(threshold=1, start=0).decode(Delta(threshold=1, start=0)(np.array([1.0, 3, 3, 1])))
    assert decoded[:, 0].tolist() == [1, 2, 2, 1]


def test_step_forward():
    signal = [
        0.1,
        0.3,
        0.4,
        0.2,
        0.5,
        0.6,
    ]  # levels 0.1 0.1 0.3 0.3 0.3 0.5: 0.3 > 0.1 + 0.2 is a tie, which is no spike
    assert moves(StepForward(threshold=0.2), signal) == [0, 0, 1, 0, 0, 1]
    assert moves(StepForward(threshold=1), [5, 7.5, 7.5, 7.5, 2]) == [0, 1, 1, 0, -1]
    assert moves(StepForward(threshold=1, start=0), [5, 7.5, -7.5]) == [1, 1, -1]
    encoder = StepForward(threshold=1)
    decoded = encoder.decode(encoder(np.array([5, 7.5, 7.5, 7.5, 2])))
    assert decoded[:, 0].tolist() == [0, 1, 2, 2, 1]


def test_levels_that_begin_at_a_multiple_of_the_threshold():
    """Speech2Spikes: the first level is the first value rounded, halves to even, in thresholds."""
    rounded = StepForward(threshold=1.0, start="rounded")
    assert moves(rounded, [2.4, 3.2, 3.2, 0.5]) == [0, 1, 0, -1]  # levels 2, 3, 3
    assert moves(rounded, [2.6, 3.2, 4.2, 4.2]) == [0, 0, 1, 0]  # levels 3, 3, 4
    assert moves(StepForward(threshold=0.5, start="rounded"), [0.7, 1.1, 1.4]) == [0, 1, 0]  # 0.5, 1
    assert moves(rounded, [2.5, 3.1]) == [0, 1]
    values = 3 + 2 * np.sin(TIME * 5)[:, None]
    fine = StepForward(threshold=0.05, start="rounded")
    np.testing.assert_allclose(fine.target(values), values - 3.0)
    assert np.abs(fine.decode(fine(values)) - fine.target(values)).max() <= 0.05
    with pytest.raises(UsageError, match=r"step_forward\.start = 'round'"):
        StepForward(start="round")


def test_moving_window():
    # means: 0.2 for the first three steps, then of the three before: 0.2, 1/3, 0.5
    assert moves(MovingWindow(window=3, threshold=0.2), [0.1, 0.3, 0.2, 0.5, 0.8, 1.0]) == [0, 0, 0, 1, 1, 1]
    assert moves(MovingWindow(window=2, threshold=1), [0, 4, 2, -2, 0]) == [-1, 1, 0, -1, 0]
    assert moves(MovingWindow(window=9, threshold=1), [0, 4, 2]) == [-1, 1, 0]  # longer than the signal
    encoder = MovingWindow(window=2, threshold=1)
    assert encoder.decode(encoder(np.array([0.0, 4, 2, -2, 0])))[:, 0].tolist() == [-1, 0, 0, -1, -1]


def test_zero_crossing_step_forward():
    signal = [-0.2, 0.1, 0.5, 0.0, 1.2, 0.3, -0.4, -0.5]
    assert moves(ZeroCrossingStepForward(threshold=0.4), signal) == [0, 0, 1, 0, 1, 0, 0, -1]


def test_sigma_delta():
    # sums: 0.25, 0.5, 0.75 → spike and −0.25, 0, 0.25, 0.5, 0.75 → spike
    assert moves(SigmaDelta(), [0.25] * 8) == [0, 0, 1, 0, 0, 0, 1, 0]
    assert moves(SigmaDelta(), [1.0, 1, 1]) == [1, 1, 1]
    assert moves(SigmaDelta(threshold=2), [-2, -0.5, -0.75, 0]) == [-1, 0, -1, 0]
    assert moves(SigmaDelta(), [0.5, *[0] * 9]) == [0] * 10  # a sum at the threshold stays there


def test_lif():
    # τ = 2: v = 0.5, 0.75, 0.875 > 0.8 → spike and 0; in between 0.8 is not exceeded
    assert moves(LIF(tau=2, threshold=0.8), [1.0] * 6) == [0, 0, 1, 0, 0, 1]
    assert moves(LIF(tau=2, threshold=0.8), [-1.0] * 6) == [0, 0, -1, 0, 0, -1]
    assert (
        moves(LIF(tau=2, threshold=1), [1.0] * 60) == [0] * 60
    )  # a membrane comes near to the current, not above
    # norse's example of constant_current_lif_encode: currents 2, 4, 8, 16, dt/τ = 0.1, threshold 1
    spikes = LIF(tau=10, threshold=1)(np.array([[2.0, 4, 8, 16]] * 2))[:, ::2]
    assert spikes.tolist() == [[False, False, False, True], [False, False, True, True]]


def test_pulse_width():
    # carrier 0.125 0.375 0.625 0.875; 0.5 is below it from place 2 on, and above 1 − it from place 2 on
    spikes = PulseWidth(period=4)(np.array([0.5] * 8))
    assert spikes.T.astype(int).tolist() == [[0, 0, 1, 0] * 2, [0, 0, 1, 0] * 2]
    spikes = PulseWidth(period=4)(np.array([0.2] * 4 + [0.9] * 4))
    assert spikes.T.astype(int).tolist() == [[0, 1, 0, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 0, 0, 0]]
    scaled = PulseWidth(period=4, low=-2, high=6)(np.array([-2 + 8 * 0.2] * 4 + [-2 + 8 * 0.9] * 4))
    np.testing.assert_array_equal(scaled, spikes)
    assert PulseWidth(period=4).decode(spikes)[[1, 4], 0].tolist() == [0.25, 1.0]


def test_hsa():
    h = (0.5, 1.0, 0.5)
    signal = np.array([0.5, 1.5, 1.5, 0.5, 0.0, 0.4, 1.0, 0.5])  # h at 0 and at 1, and then h less 0.1
    assert HSA(filter=h)(signal)[:, 0].astype(int).tolist() == [1, 1, 0, 0, 0, 0, 0, 0]
    modified = HSA(filter=h, tolerance=0.06)
    assert modified(signal)[:, 0].astype(int).tolist() == [1, 1, 0, 0, 0, 1, 0, 0]
    assert modified.decode(modified(signal))[:, 0].tolist() == [0.5, 1.5, 1.5, 0.5, 0.0, 0.5, 1.0, 0.5]
    np.testing.assert_array_equal(HSA(filter=h, scale=2)(signal / 2), HSA(filter=h)(signal))


# ------------------------------------------------------------ the references, on any signal

SIZES = {
    "steps": st.integers(0, 150),
    "channels": st.sampled_from([1, 2, 9]),
    "seed": st.integers(0, 2**32 - 1),
}


@settings(max_examples=25, deadline=None)
@given(
    **SIZES, threshold=st.floats(0.02, 1), window=st.integers(1, 12), start=st.sampled_from([None, 0.0, 0.3])
)
def test_the_references(steps, channels, seed, threshold, window, start):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(steps, channels)).cumsum(axis=0) * 0.2
    level = values[0] if start is None and steps else np.full(channels, start or 0.0)
    most = max(np.abs(values).max(initial=0), 0.1)
    low, high = values.min(initial=0.0), values.max(initial=1.0)
    h, positive = rng.uniform(0.01, 0.3, window), np.abs(values)
    for encoder, signal, expected in (
        (Delta(threshold, start), values, delta_reference(values, threshold, level)),
        (StepForward(threshold, start), values, step_forward_reference(values, threshold, level)),
        (MovingWindow(window, threshold), values, moving_window_reference(values, window, threshold)),
        (SigmaDelta(threshold=most), values, sigma_delta_reference(values, most)),
        (LIF(tau=window, threshold=threshold), values, lif_reference(values, window, threshold)),
        (ZeroCrossingStepForward(threshold), values, zero_crossing_reference(values, threshold)),
        (
            PulseWidth(window + 1, low, high),
            values,
            pulse_width_reference((values - low) / (high - low), window + 1),
        ),
        (HSA(0.0, h), positive, hsa_reference(positive, h)),
        (HSA(threshold / 2, h), positive, hsa_reference(positive, h, threshold / 2 * np.abs(h).sum())),
    ):
        np.testing.assert_array_equal(encoder(signal).reshape(expected.shape), expected, err_msg=encoder.name)
        assert encoder.describe(signal).units == encoder(signal).shape[1]


@pytest.mark.parametrize(
    "encoder", [Delta(), LIF(), SigmaDelta(clip=True), StepForward(), ZeroCrossingStepForward()]
)
@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (9, 7), (70, 8), (133, 12), (520, 17)])
def test_the_signal_is_read_where_it_lies(encoder, shape):
    """It is left as it is, gives the same bits from any layout, and any of its values may be the one that is NaN."""
    values = 2 * np.random.default_rng(0).normal(size=shape)
    kept, spikes = values.copy(), encoder(values)
    for other in (np.asfortranarray(values), np.repeat(values, 2, axis=1)[:, ::2], values.astype(">f8"),
                  values.astype(np.longdouble)):  # fmt: skip
        np.testing.assert_array_equal(encoder(other), spikes)
    values.setflags(write=False)
    np.testing.assert_array_equal(encoder(values), spikes)
    np.testing.assert_array_equal(values, kept)
    for place in {0, values.size // 3, values.size - 1}:
        for wrong in (np.nan, np.inf, -np.inf):
            broken = kept.copy()
            broken.reshape(-1)[place] = wrong
            with pytest.raises(DataError, match=f"1 of {values.size} values that are NaN or infinite"):
                encoder(broken)


# ------------------------------------------------------------ what the decoders promise


def test_step_forward_follows_a_slow_signal_within_a_threshold():
    encoder = StepForward(threshold=0.02)  # WAVES change by less than 0.013 per step
    assert np.abs(encoder.target(WAVES) - encoder.decode(encoder(WAVES))).max() <= 0.02 + 1e-12
    absolute = StepForward(threshold=0.02, start=0.0)
    assert np.abs(WAVES - absolute.decode(absolute(WAVES)))[40:].max() <= 0.02 + 1e-12


@given(st.integers(0, 2**32 - 1), st.floats(1, 3))
def test_sigma_delta_keeps_every_sum(seed, threshold):
    values = np.random.default_rng(seed).uniform(-1, 1, (200, 1))
    spikes = SigmaDelta(threshold=threshold)(values).astype(int)
    gap = np.cumsum(values[:, 0]) - threshold * np.cumsum(spikes[:, 0] - spikes[:, 1])
    assert np.abs(gap).max() <= threshold / 2 + 1e-9


@pytest.mark.parametrize("value", [0.0, 0.04, 0.31, 0.5, 0.77, 1.0])
def test_pulse_width_of_a_steady_value(value):
    encoder = PulseWidth(period=8, low=-1, high=1)
    decoded = encoder.decode(encoder(np.full(40, 2 * value - 1)))
    assert np.abs(decoded - (2 * value - 1)).max() <= 2 / 16 + 1e-12


@pytest.mark.parametrize("value", [0.12, 0.2, 0.4, -0.3])
def test_lif_of_a_steady_value(value):
    encoder = LIF(tau=10, threshold=0.1)
    signal = np.full(200, value)
    decoded = encoder.decode(encoder(signal))[: np.flatnonzero(encoder(signal).any(axis=1))[-1] + 1]
    interval = round(len(decoded) / encoder(signal).sum())
    bounds = [0.1 / (1 - 0.9**n) for n in (interval, interval - 1)]
    assert bounds[0] <= np.abs(decoded).min() <= np.abs(decoded).max() <= bounds[1]
    assert np.sign(decoded).min() == np.sign(decoded).max() == np.sign(value)


def test_hsa_never_rebuilds_more_than_the_signal():
    signal = 0.4 + 0.4 * WAVES
    encoder = HSA()
    assert (encoder.decode(encoder(signal)) <= signal + 1e-12).all()


@pytest.mark.parametrize(
    ("encoder", "least"),  # dB, as measured, less 1
    [
        (StepForward(threshold=0.02), 33.7),
        (SigmaDelta(), 27.7),
        (PulseWidth(low=-1, high=1), 19.4),
        (MovingWindow(window=3, threshold=0.013), 15.0),
        (Delta(threshold=0.01), 1.8),
        (LIF(), 10.0),
    ],
)
def test_quality(encoder, least):
    assert least < encoder.quality(WAVES).snr_db < least + 6


# ------------------------------------------------------------ shapes, and what is refused


@pytest.mark.parametrize("cls", ENCODERS)
def test_a_unit_for_each_direction_of_each_channel(cls):
    encoder, signal = cls(), Frames(np.full((12, 3), 0.5), 50.0)
    shape = (3,) if cls is HSA else (3, 2)
    assert encoder.describe(signal) == Description(shape, 12, 0.02, ragged=True)
    assert cls(dt=0.5).describe(signal.values[:, 0]) == Description((1, *shape[1:]), 12, 0.5, ragged=True)
    # of a channel that moves, its own units alone spike
    values = np.zeros((40, 3))
    values[:, 1] = 1 if cls is HSA else np.sin(np.arange(40) / 2)
    encoder = PulseWidth(period=2, low=-1) if cls is PulseWidth else cls()
    fired = encoder(values).any(axis=0).reshape(3, -1)
    assert fired[1].all()
    if cls is not PulseWidth:
        assert not fired[[0, 2]].any()


@pytest.mark.parametrize("cls", ENCODERS)
def test_signals_of_any_type(cls):
    encoder = cls()
    steps = np.array([[0, 1], [1, 0], [1, 1], [0, 0]] * 8)
    expected = encoder(steps.astype(float))
    for dtype in (np.uint8, np.int16, np.float16, np.float32, np.longdouble):
        np.testing.assert_array_equal(encoder(steps.astype(dtype)), expected)
    np.testing.assert_array_equal(encoder(np.asfortranarray(steps)), expected)
    assert encoder(np.zeros((0, 2))).shape == (0, expected.shape[1])


@pytest.mark.parametrize("cls", ENCODERS)
@pytest.mark.parametrize(
    ("signal", "error", "words"),
    [
        (np.zeros((2, 3, 4)), SignalError, "lyon"),
        (np.array(["a"]), SignalError, "lyon"),
        (np.zeros((3, 2), bool), SignalError, "lyon"),
        (np.zeros((3, 2), complex), SignalError, "lyon"),
        (None, SignalError, "lyon"),
        (
            np.array([[0, 0], [0, np.nan], [np.inf, 0]]),
            DataError,
            "2 of 6 values .* first in channel 1 at step 1",
        ),
        (np.array([[-np.inf]]), DataError, "1 of 1 values"),
    ],
)
def test_signals_that_do_not_fit(cls, signal, error, words):
    with pytest.raises(error, match=rf"{cls.name}: got.*{words}"):
        cls()(signal)


def test_values_out_of_range_are_refused():
    with pytest.raises(DataError, match=r"values of up to 1\.5 either way.*sigma_delta\.threshold = 1"):
        SigmaDelta()(np.array([0.0, -1.5]))
    for signal in ([0.0, -0.5], [0.0, 1.1]):
        with pytest.raises(DataError, match=r"values from .*pulse_width\.low = 0 to pulse_width\.high = 1"):
            PulseWidth()(np.array(signal))
    with pytest.raises(DataError, match=r"hsa: got a signed signal, from -1 to 1, with 50% .*rectify"):
        HSA()(np.array([1.0, -1.0]))


@pytest.mark.parametrize(
    ("encoder", "low"),
    [(SigmaDelta(threshold=0.5, clip=True), -0.5), (PulseWidth(period=4, low=0.2, high=0.5, clip=True), 0.2)],
    ids=["sigma_delta", "pulse_width"],
)
def test_values_out_of_range_are_clipped_by_choice(encoder, low):
    signal = np.random.default_rng(0).normal(0, 0.6, (50, 9))
    before = signal.copy()
    clipped = np.clip(signal, low, 0.5)
    assert (clipped != signal).mean() > 0.3
    np.testing.assert_array_equal(encoder(signal), replace(encoder, clip=False)(clipped))
    np.testing.assert_array_equal(signal, before)
    with pytest.raises(DataError, match="clip=true"):
        replace(encoder, clip=False)(signal)
    for wrong in (np.nan, np.inf):  # no value of the range stands for these
        signal[3, 2] = wrong
        with pytest.raises(DataError, match="the first in channel 2 at step 3"):
            encoder(signal)


@pytest.mark.parametrize(
    ("cls", "chosen", "words"),
    [
        (StepForward, {"threshold": 0.0}, "above 0"),
        (Delta, {"threshold": float("nan")}, "above 0"),
        (Delta, {"start": float("inf")}, r"delta\.start"),
        (MovingWindow, {"window": 0}, "at least 1"),
        (SigmaDelta, {"window": 0}, "at least 1"),
        (SigmaDelta, {"window": 4}, r"sigma_delta\.window = 4; expected an odd number"),
        (LIF, {"tau": 0.5}, "at least 1"),
        (PulseWidth, {"period": 1}, "at least 2"),
        (PulseWidth, {"low": 1.0}, r"pulse_width\.low = 1 and pulse_width\.high = 1; expected low < high"),
        (HSA, {"tolerance": 1.0}, "below 1"),
        (HSA, {"filter": (0.5, -0.5)}, "finite sum above 0"),
        (HSA, {"filter": ()}, "finite sum above 0"),
        (HSA, {"filter": (1e308, 1e308)}, "finite sum above 0"),
    ],
)
def test_settings_that_do_not_fit(cls, chosen, words):
    with pytest.raises(UsageError, match=words):
        cls(**chosen)


def test_a_batch_of_other_channels_is_refused():
    out = np.zeros((2, 4, 1), np.uint8)
    with pytest.raises(DataError, match=r"got 6 units of 5 steps; expected 4 units"):
        Delta().encode_into([np.zeros((5, 2)), np.zeros((5, 3))], out, rngs=[None] * 2)
    with pytest.raises(DataError, match=r"got 4 units of 9 steps"):
        Delta().encode_into([np.zeros((9, 2))], out, rngs=[None])


DECODERS = [BSA, Delta, HSA, LIF, MovingWindow, Poisson, PulseWidth, SigmaDelta, StepForward]


@pytest.mark.parametrize("cls", DECODERS)
def test_spikes_that_cannot_be_decoded(cls):
    encoder = cls()
    units = 1 if cls in (BSA, HSA, Poisson) else 2
    wrong = [np.zeros(100, bool), np.zeros((4, 25, 2), bool), np.zeros((100, 0), bool), np.bool_(True)]
    for spikes in [*wrong, *([np.zeros((100, 3), bool)] if units == 2 else [])]:
        shape = str(spikes.shape).replace("(", r"\(").replace(")", r"\)")
        with pytest.raises(
            UsageError, match=rf"{encoder.name}: got spikes bool {shape} to decode; expected \(time"
        ):
            encoder.decode(spikes)
    with pytest.raises(UsageError, match="to decode"):
        encoder.decode(np.full((5, 2), "x"))


@pytest.mark.parametrize("cls", [cls for cls in DECODERS if cls is not Poisson])
def test_no_steps_decode_to_none(cls):
    encoder = cls()
    channels = 2 if cls in (BSA, HSA) else 1
    assert encoder.decode(np.zeros((0, 2), bool)).shape == (0, channels)


@pytest.mark.parametrize(
    ("each", "result", "message"),
    [
        (2, lambda values: values > 0, r"spikes of shape \(8, 3\); expected .* \(8, 3, 2\): \(time, channel, un"),
        (2, lambda values: np.zeros((3, 2, 8), bool), r"spikes of shape \(3, 2, 8\); expected .* \(8, 3, 2\)"),
        (1, lambda values: np.zeros((8, 3, 2), bool), r"spikes of shape \(8, 3, 2\); expected .* \(8, 3\): \(time, ch"),
        (2, lambda values: None, r"spikes of NoneType; expected an array of shape \(8, 3, 2\)"),
    ],
)  # fmt: skip
def test_a_dense_encoder_with_spikes_of_another_shape(each, result, message):
    @dataclass(frozen=True)
    class Shapeless(DenseEncoder):
        name = "shapeless"
        units_per_channel = each

        def spikes(self, values):
            return result(values)

    with pytest.raises(PluginError, match=message) as caught:
        Shapeless()(np.ones((8, 3)))
    assert "Shapeless, or report" in caught.value.hint
