"""Two ranks train what one trains: the same batches, the same run folder, weights within rounding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikeprep.cpu.backend import CpuBackend
from spikeprep.errors import RunError
from spikeprep.train.checkpoint import load_checkpoint
from spikeprep.train.evaluation import evaluate
from spikeprep.train.run_folder import RunFolder
from spikeprep.train.trainer import Trainer, load_network

from ..distributed.test_shared_memory import together
from .test_trainer import SETTINGS

DOUBLE = replace(SETTINGS, boost=True, precision="float64", batch=48)


def train(store, folder, size, settings=DOUBLE, stop_after=None, **more):
    """Train with so many ranks, each a thread with a backend of its own; return rank 0's summary."""

    def work(ranks):
        left = iter(range(stop_after or 10**9))
        # only rank 1 is asked to stop: all do
        stop = (lambda: next(left, None) is None) if ranks.rank == size - 1 else lambda: False
        ops = CpuBackend(settings.precision, threads=1)
        return Trainer(store, RunFolder(folder), settings, ops, ranks=ranks, **more).run(stop)

    return together(size, work)[0]


def kept(folder) -> dict[str, Any]:
    arrays, record = load_checkpoint(folder / "last.npz")
    return {**arrays, **{k: record[k] for k in ("stream", "step")}}


def epochs(folder):
    keys = ("epoch", "train_accuracy", "validation_accuracy", "test_accuracy", "loss", "rates")
    return [{k: r[k] for k in keys} for r in RunFolder(folder).journal.epochs()]


def assert_close(one, other):
    assert one.keys() == other.keys()
    for name in one:
        if isinstance(one[name], np.ndarray):
            np.testing.assert_allclose(one[name], other[name], rtol=1e-9, atol=1e-12, err_msg=name)
        else:
            assert one[name] == other[name]


@pytest.fixture(scope="module")
def alone(digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks") / "alone"
    train(digits, folder, 1)
    return folder


@pytest.mark.parametrize("size", [2, 3])
def test_ranks_train_what_one_trains(digits, alone, tmp_path, size):
    summary = train(digits, tmp_path / "run", size)
    assert summary["ranks"] == size
    assert_close(kept(tmp_path / "run"), kept(alone))
    for one, other in zip(epochs(tmp_path / "run"), epochs(alone), strict=True):
        assert one.pop("loss") == pytest.approx(other.pop("loss"), rel=1e-9)
        assert one.pop("rates") == pytest.approx(other.pop("rates"), rel=1e-9)
        assert one == other
    events = [r["event"] for r in RunFolder(tmp_path / "run").journal.records()]
    assert events == ["start", "warning", "device", "epoch", "epoch"]  # of few updates, once
    if size == 2:  # from run to run to the bit
        train(digits, tmp_path / "again", size)
        one, other = (load_checkpoint(tmp_path / name / "last.npz")[0] for name in ("run", "again"))
        assert {k: v.tobytes() for k, v in one.items()} == {k: v.tobytes() for k, v in other.items()}


def test_a_run_goes_on_with_another_number_of_ranks(digits, alone, tmp_path):
    folder = tmp_path / "run"
    assert train(digits, folder, 2, stop_after=3) is None
    settings = RunFolder(folder).config().settings
    assert load_checkpoint(folder / "last.npz")[1]["step"] == 4
    assert train(digits, folder, 3, settings, stop_after=2, resume=True) is None
    assert train(digits, folder, 1, settings, resume=True) is not None
    assert_close(kept(folder), kept(alone))
    assert [r["train_accuracy"] for r in epochs(folder)] == [r["train_accuracy"] for r in epochs(alone)]
    where = [r["ranks"] for r in RunFolder(folder).journal.records() if r["event"] == "device"]
    assert where == [2, 3, 1]


def test_batches_smaller_than_the_ranks(digits, tmp_path):
    settings = replace(DOUBLE, batch=2, epochs=1, validation=0.0)
    for name, size in (("one", 1), ("three", 3)):
        train(digits, tmp_path / name, size, settings, limit=5)
    assert_close(kept(tmp_path / "three"), kept(tmp_path / "one"))


def test_evaluation_is_split_over_ranks(digits, alone):
    def work(ranks):
        network = load_network(RunFolder(alone), CpuBackend("float64", threads=1))
        few = evaluate(network, digits["test"], 10, ranks=ranks, samples=np.array([4, 9]))
        return evaluate(network, digits["test"], 10, ranks=ranks), few.samples

    (whole, _), *_ = together(1, work)
    for part, few in together(3, work):
        np.testing.assert_array_equal(part.confusion, whole.confusion)
        assert (part.accuracy, part.samples, few) == (whole.accuracy, 300, 2)


def test_ranks_whose_weights_diverge_are_stopped(digits, tmp_path):
    def work(ranks):
        ops = CpuBackend(threads=1)
        made = Trainer(
            digits, RunFolder(tmp_path / "run"), replace(SETTINGS, epochs=1), ops, ranks=ranks, limit=40
        )
        if ranks.rank == 1:
            made.network.devices[0].parameters["weight"].weight[0, 0] += 1e-6
        with pytest.raises(RunError, match="weights diverged across the 2 ranks"):
            made.run()
        return True

    assert together(2, work) == [True, True]
