import dataclasses

import numpy as np
import pytest

from spikeprep.data import EVENT, Events, NeuronParams, PackedBatch, Sample, SpikeTrain


def test_a_spike_train_fits_its_steps():
    train = SpikeTrain(np.zeros((3, 2), np.uint8), 9)
    assert train.steps == 9


@pytest.mark.parametrize(
    ("bits", "steps"),
    [
        (np.zeros((3, 1), np.uint8), 9),  # a byte too few
        (np.zeros((3, 3), np.uint8), 9),  # a byte too many
        (np.zeros((3, 2), np.int64), 9),
        (np.zeros(2, np.uint8), 9),
    ],
)
def test_bits_of_another_shape_are_refused_with_the_right_one(bits, steps):
    with pytest.raises(ValueError, match=r"expected uint8 \(unit, 2\)"):
        SpikeTrain(bits, steps)


def test_a_batch_is_as_long_as_its_labels():
    n = 4
    batch = PackedBatch(
        np.zeros((n, 3, 2), np.uint8), np.full(n, 9, np.uint32), np.arange(n, dtype=np.int32), np.arange(n)
    )
    assert len(batch) == n


def test_samples_and_parameters_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Sample(np.zeros((2, 2)), 0, "0").label = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        NeuronParams(20.0).threshold = 1.0


def test_neuron_defaults_are_the_published_ones():
    neuron = NeuronParams(threshold=20)
    assert (neuron.tau_m, neuron.tau_s, neuron.refractory, neuron.slack) == (64, 8, 2, 1e-6)


@pytest.mark.parametrize(
    "wrong",
    [{"threshold": 0}, {"threshold": -1}, {"threshold": 1, "tau_m": 1}, {"threshold": 1, "tau_s": 0.5},
     {"threshold": 1, "tau_m": 8, "tau_s": 8}],
)  # fmt: skip
def test_impossible_neuron_parameters_are_refused(wrong):
    with pytest.raises(ValueError, match=r"expected threshold > 0"):
        NeuronParams(**wrong)


def test_a_neuron_without_refractory_period_is_refused():
    with pytest.raises(ValueError, match="refractory 0; expected at least 1"):
        NeuronParams(1.0, refractory=0)


@pytest.mark.parametrize("cuts", [(), (0,), (2,), (1, 1, 3)])
def test_a_recording_in_pieces_equals_the_recording_in_one_array(cuts):
    events = np.zeros(4, EVENT)
    events["x"], events["t"], events["p"] = [3, 1, 2, 0], [0, 5, 5, 9], [1, 0, 1, 1]
    recording = Events(tuple(np.split(events, cuts)), (4, 1))
    assert recording.array.dtype == EVENT
    assert recording.array.tolist() == events.tolist()


def test_a_recording_without_events_has_an_empty_array():
    assert Events((), (4, 1)).array.shape == (0,)
    assert Events.of(np.empty(0, EVENT), (4, 1)).array.dtype == EVENT
