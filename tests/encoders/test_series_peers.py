"""Encoders of series against other libraries, where these follow the same definition."""

import numpy as np
import pytest

from spikeprep.encoders import BSA, HSA, LIF, Delta, MovingWindow, StepForward, ZeroCrossingStepForward

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def signal():
    rng = np.random.default_rng(4)
    walk = rng.normal(size=(600, 3)).cumsum(axis=0)
    return (walk - walk.mean(axis=0)) / walk.std()


def moves(encoder, signal):
    pairs = encoder(signal).astype(int).reshape(*signal.shape, 2)
    return pairs[..., 0] - pairs[..., 1]


def spikify(kind, name, signal, **settings):
    module = pytest.importorskip(f"spikify.encoders.temporal.{kind}")
    return getattr(module, name)(signal, **settings)[0]


def test_snntorch(signal):
    torch, spikegen = pytest.importorskip("torch"), pytest.importorskip("snntorch.spikegen")
    for padding, start in ((True, None), (False, 0.0)):
        expected = spikegen.delta(torch.from_numpy(signal), threshold=0.1, padding=padding, off_spike=True)
        np.testing.assert_array_equal(moves(Delta(start=start), signal), expected)


def test_norse(signal):
    torch, lif = pytest.importorskip("torch"), pytest.importorskip("norse.torch.functional.lif")
    v, parameters = torch.zeros(3, dtype=torch.float64), lif.LIFParameters(v_th=torch.as_tensor(0.25))
    expected = []
    for current in torch.from_numpy(signal):
        z, v = lif.lif_current_encoder(current, v, parameters)  # τ = 10 steps of 1 ms
        expected.append(z.numpy())
    np.testing.assert_array_equal(LIF(threshold=0.25)(signal)[:, ::2], np.array(expected, bool))


def test_spikify_of_changes(signal):
    for encoder, name, more in (
        (StepForward(), "step_forward", {}),
        (MovingWindow(), "moving_window", {"window_length": 5}),
    ):
        expected = spikify("contrast", name, signal, threshold=0.1, **more)
        np.testing.assert_array_equal(moves(encoder, signal), expected)
    expected = spikify("contrast", "zero_cross_step_forward", signal, threshold=0.1)
    np.testing.assert_array_equal(ZeroCrossingStepForward()(signal)[:, ::2], expected)


def test_spikify_of_filters_but_for_the_end(signal):
    from scipy.signal import firwin

    h = firwin(24, 0.1, window="hann")
    positive = (signal - signal.min()) / np.ptp(signal)
    filtered = {"window_length": 24, "cutoff": 0.1}
    theta = 0.1 * np.abs(h).sum()
    for encoder, name, more in (
        (HSA(filter=h), "hough_spiker", {}),
        (HSA(filter=h, tolerance=0.1), "modified_hough_spiker", {"threshold": theta}),
    ):
        expected = spikify("deconvolution", name, positive, **filtered, **more)
        np.testing.assert_array_equal(encoder(positive)[:576], expected[:576], err_msg=name)
        assert expected[:576].any()
    ours = BSA(filter=h, scale=1.0, hold=1, delay=0, theta=0.6)(positive)
    expected = spikify("deconvolution", "bens_spiker", positive, **filtered, threshold=0.6 * h.sum())
    assert (ours[:576] == expected[:576]).mean() > 0.99
