"""Training through the CUDA backend, on a GPU or emulated: by every tier, and by several ranks, the same."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from spikeprep.cuda.backend import CudaBackend
from spikeprep.encoding.run import encode
from spikeprep.feed.batches import BatchStream
from spikeprep.feed.device import Feeder
from spikeprep.recipes import load_recipe
from spikeprep.store import SpikeStore
from spikeprep.train.checkpoint import load_checkpoint
from spikeprep.train.run_folder import RunFolder
from spikeprep.train.trainer import Trainer

from ..backends.backends import cuda_runtime
from ..distributed.test_shared_memory import together
from ..train.test_trainer import SETTINGS
from .emulator import EmulatedRuntime

TIERS = ("resident", "pinned", "streamed")
SMALL = replace(
    SETTINGS, arch="5", epochs=2, batch=6, thresholds=(3.0, 2.0), test_every=0, validation=0.0, boost=True
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("cuda") / "digits.zarr"
    encode(load_recipe("digits").override({"poisson.steps": "60"}), str(path), limit=16)
    return SpikeStore.open(path)


def runtime():
    """The GPU that the tests are given, or one that does everything but computing as late as it may."""
    given = cuda_runtime()
    return EmulatedRuntime(lazy=True) if isinstance(given, EmulatedRuntime) else given


def train(store, folder, ops, ranks=None, settings=SMALL):
    Trainer(store, RunFolder(folder), settings, ops, ranks=ranks).run()


class OnHost:
    """Ranks that add up in host memory, which is where an emulated device's arrays really lie."""

    def __init__(self, ranks):
        self.ranks = ranks

    def __getattr__(self, name):
        return getattr(self.ranks, name)

    def all_reduce(self, arrays):
        self.ranks.all_reduce([array.host for array in arrays])


def kept(folder):
    arrays, record = load_checkpoint(folder / "last.npz")
    return arrays, record["history"]


def test_results_do_not_depend_on_the_tier(store, tmp_path):
    for tier in TIERS:
        train(store, tmp_path / tier, CudaBackend(runtime(), feed=tier))
    runs = {tier: kept(tmp_path / tier) for tier in TIERS}
    want = {name: array.tobytes() for name, array in runs["streamed"][0].items()}
    assert any(np.frombuffer(want["moment_0"], np.float32))
    for tier, (arrays, history) in runs.items():
        assert {name: array.tobytes() for name, array in arrays.items()} == want
        assert [r["feed"] for r in history] == [tier, tier]


@pytest.mark.skipif(bool(os.environ.get("SPIKEPREP_TEST_GPU")), reason="ranks here add up in host memory")
def test_ranks_train_what_one_trains(store, tmp_path):
    settings = replace(SMALL, precision="float64", epochs=1)
    train(store, tmp_path / "one", CudaBackend(runtime(), np.float64), settings=settings)

    def work(ranks):
        train(store, tmp_path / "two", CudaBackend(runtime(), np.float64), OnHost(ranks), settings)

    together(2, work)
    (one, _), (two, _) = kept(tmp_path / "one"), kept(tmp_path / "two")
    for name, array in one.items():
        np.testing.assert_allclose(two[name], array, rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("tier", TIERS)
def test_every_tier_gives_the_host_s_batches(store, tier):
    given = runtime()
    feeder = Feeder(given, tier, 2)
    reader = store["train"]
    stream, host = (
        BatchStream(reader, 5, epochs=3, window_bytes=reader.chunk_bytes, share=(1, 2)) for _ in range(2)
    )
    for _ in range(3):
        for got, want in zip(feeder.feed(stream), host.batches(), strict=True):
            np.testing.assert_array_equal(given.to_host(got.bits), want.bits)
            np.testing.assert_array_equal(got.index, want.index)
    assert stream.get_state() == host.get_state()
