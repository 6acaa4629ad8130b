import math

import numpy as np
import pytest

from spikeprep.encoding.tune import tune_bsa
from spikeprep.errors import UsageError
from spikeprep.recipes import load_recipe

from ..sources.sound_files import ti46_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return ti46_corpus(tmp_path_factory.mktemp("speech"))


def test_a_trial_agrees_with_encoding_and_decoding(corpus):
    recipe = load_recipe("ti46")
    trials = tune_bsa(recipe, corpus, samples=99, thetas=(0.5, 0.7), gains=(1.0, 3.0))
    assert [(t.theta, t.scale) for t in trials] == [(0.5, 2000), (0.7, 2000), (0.5, 6000), (0.7, 6000)]
    changed = recipe.override({"bsa.theta": "0.7", "bsa.scale": "6000"})
    source, chain = changed.build_source(corpus), changed.build_chain()
    signals = [chain.prepare(source.read("train", n).signal) for n in range(24)]
    held = np.concatenate([chain.encoder.hold_frames(s) for s in signals])
    spikes = [chain.encoder(s) for s in signals]
    error = held - np.concatenate([chain.encoder.decode(s) for s in spikes])
    trial = trials[-1]
    assert trial.snr_db == pytest.approx(10 * math.log10((held**2).sum() / (error**2).sum()))
    assert trial.mse == pytest.approx((error**2).mean())
    assert trial.density == pytest.approx(np.concatenate(spikes).mean())
    assert trial.rate == pytest.approx(trial.density * 625)


def test_few_samples_are_drawn_by_the_seed(corpus):
    def snr(seed, samples):
        (trial,) = tune_bsa(
            load_recipe("ti46"), corpus, samples=samples, thetas=(0.6,), gains=(1.0,), seed=seed
        )
        return trial.snr_db

    assert snr(1, 3) == snr(1, 3)
    assert len({snr(seed, 3) for seed in range(4)}) > 1
    assert snr(0, 24) == snr(1, 24)


def test_wrong_arguments(corpus):
    with pytest.raises(UsageError, match=r"digits ends in poisson.*bsa"):
        tune_bsa(load_recipe("digits"))
    with pytest.raises(UsageError, match="at least 1"):
        tune_bsa(load_recipe("ti46"), corpus, samples=0)
