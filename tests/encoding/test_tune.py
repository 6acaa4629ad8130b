import itertools
import math

import numpy as np
import pytest

import spikeprep
from spikeprep.encoders import Delta, Encoder, PulseWidth, SigmaDelta, StepForward
from spikeprep.encoding.tuning import tune_encoder
from spikeprep.errors import PluginError, UsageError
from spikeprep.random import SampleKey, generator
from spikeprep.recipes import load_recipe
from spikeprep.registry import ENCODERS

from ..sources.sound_files import ti46_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return ti46_corpus(tmp_path_factory.mktemp("speech"))


def test_a_trial_agrees_with_encoding_and_decoding(corpus):
    recipe = load_recipe("ti46")
    search = {"bsa.theta": (0.5, 0.7), "bsa.scale": (2000.0, 6000.0)}
    trials = tune_encoder(recipe, corpus, samples=99, search=search)
    assert sorted(tuple(t.settings.values()) for t in trials) == [
        (0.5, 2000),
        (0.5, 6000),
        (0.7, 2000),
        (0.7, 6000),
    ]
    assert [t.snr_db for t in trials] == sorted((t.snr_db for t in trials), reverse=True)
    trial = trials[0]
    changed = recipe.override(trial.settings)
    source, chain = changed.build_source(corpus), changed.build_chain()
    signals = [chain.prepare(source.read("train", n).signal) for n in range(24)]
    held = np.concatenate([chain.encoder.target(s) for s in signals])
    spikes = [chain.encoder(s) for s in signals]
    error = held - np.concatenate([chain.encoder.decode(s) for s in spikes])
    assert trial.snr_db == pytest.approx(10 * math.log10((held**2).sum() / (error**2).sum()))
    assert trial.mse == pytest.approx((error**2).mean())
    assert trial.density == pytest.approx(np.concatenate(spikes).mean())
    assert trial.rate == pytest.approx(trial.density * 625)


def test_which_trials_are_efficient(corpus):
    trials = spikeprep.tune("ti46", "step_forward", source=corpus, samples=3)
    assert len(trials) == 9
    for trial in trials:
        better = [
            o
            for o in trials
            if (o.snr_db, -o.density) != (trial.snr_db, -trial.density)
            and o.snr_db >= trial.snr_db
            and o.density <= trial.density
        ]
        assert trial.efficient == (not better)
    assert trials[0].snr_db > 10


def test_few_samples_are_drawn_by_the_seed(corpus):
    def snr(seed, samples):
        (trial,) = spikeprep.tune(
            "ti46", source=corpus, samples=samples, search={"bsa.theta": [0.6]}, seed=seed
        )
        return trial.snr_db

    assert snr(1, 3) == snr(1, 3)
    assert len({snr(seed, 3) for seed in range(4)}) > 1
    assert snr(0, 24) == snr(1, 24)


def test_images_and_random_encoders():
    search = {"poisson.steps": [400, 50], "poisson.rate_max": [1.0]}
    long, short = spikeprep.tune("digits", samples=5, search=search)
    assert (long.settings["poisson.steps"], short.settings["poisson.steps"]) == (400, 50)
    assert long.snr_db == pytest.approx(
        short.snr_db + 10 * math.log10(399 / 49), abs=1
    )  # the variance is p (1 − p) / n
    assert spikeprep.tune("digits", samples=5, search=search)[0] == long


def test_settings_and_an_encoder_of_ones_own(corpus):
    (trial,) = spikeprep.tune(
        "ti46", Delta(threshold=3e-5), source=corpus, samples=1, settings={"lyon.decimation": 100},
        search={"delta.start": [0.0]},
    )  # fmt: skip
    recipe = load_recipe("ti46").with_encoder("delta").override({"lyon.decimation": 100})
    key = SampleKey(0, "train", 5)
    chosen = int(generator(0, "tune").permutation(24)[0])
    signal = recipe.build_chain().prepare(recipe.build_source(corpus).read("train", chosen).signal, rng=key)
    quality = Delta(threshold=3e-5, start=0.0).quality(signal)
    assert (trial.snr_db, trial.mse, trial.density) == pytest.approx(
        (quality.snr_db, quality.mse, quality.density)
    )


def test_candidates_suit_the_scale_of_the_data():
    signal = np.array([[0.0], [3.0], [-1.0]])
    rms = math.sqrt((9 + 16) / 2)
    assert StepForward().candidates([signal])["threshold"][2] == pytest.approx(rms, rel=1e-2)
    assert StepForward().candidates([np.zeros((3, 1))])["threshold"][2] == 1
    assert StepForward().candidates([np.full((2, 1), 1e300) * [[1], [-1]]])["threshold"][2] == 2e300
    for most in (1 / 3, 0.9999, 7.0, 1e-9):
        assert SigmaDelta().candidates([np.array([[-most]])])["threshold"][0] == pytest.approx(
            1.25 * most, rel=1e-2
        )
        assert PulseWidth().candidates([np.array([[-most]])])["low"] == pytest.approx(
            [-1.25 * most], rel=1e-2
        )
    assert PulseWidth().candidates([np.array([[0.0], [0.001]])])["high"] == [0.00125]
    assert "high" not in PulseWidth().candidates([np.array([[0.1], [0.9]])])
    assert "high" not in PulseWidth().candidates([np.zeros((5, 1))])


def test_wrong_arguments(corpus):
    with pytest.raises(UsageError, match=r"zero_crossing_step_forward, which has no decode"):
        spikeprep.tune("ti46", "zero_crossing_step_forward", source=corpus)
    with pytest.raises(UsageError, match="at least 1"):
        spikeprep.tune("ti46", source=corpus, samples=0)
    with pytest.raises(UsageError, match=r"Did you mean 'bsa\.theta'"):
        spikeprep.tune("ti46", source=corpus, search={"bsa.teta": [0.5]})
    for values in ("0.5", 0.5, []):
        with pytest.raises(UsageError, match=r"got bsa\.theta = .* to search; expected a list of values"):
            spikeprep.tune("ti46", source=corpus, search={"bsa.theta": values})
    with pytest.raises(UsageError, match="10,000 combinations"):
        spikeprep.tune("ti46", source=corpus, samples=1, search={"bsa.theta": [0.5] * 10_001})


def test_a_decoder_of_another_shape_is_an_error(monkeypatch):
    monkeypatch.setattr(Delta, "decode", lambda self, spikes: np.zeros((2, 2)))
    with pytest.raises(PluginError, match=r"delta decodes values \(2, 2\); expected \(5, 1\)"):
        Delta().quality(np.arange(5.0))


@pytest.mark.parametrize("name", ENCODERS.names())
def test_every_encoder_with_a_decoder_suggests_settings(name):
    encoder = ENCODERS.get(name)()
    if not hasattr(encoder, "decode") or name == "dvs":  # whose inverse are events
        assert type(encoder).candidates is Encoder.candidates
        return
    signals = [np.abs(np.random.default_rng(0).normal(size=(30, 2))).clip(0, 1)]
    candidates = encoder.candidates(signals)
    assert candidates
    for values in itertools.product(*candidates.values()):
        type(encoder).from_config(encoder.to_config() | dict(zip(candidates, values, strict=True)))
