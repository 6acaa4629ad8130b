"""Training on the CUDA backend, on a GPU or emulated: equal results for every tier and number of ranks."""

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
from spikeprep.train.optimiser import OptimiserSettings, RegularisationSettings
from spikeprep.train.rules.hm2bp import Hm2bp
from spikeprep.train.rules.loss import LossSettings
from spikeprep.train.run_folder import RunFolder
from spikeprep.train.settings import TrainSettings
from spikeprep.train.trainer import Trainer

from ..backends.backends import cuda_runtime
from ..distributed.test_shared_memory import together
from .emulator import EmulatedRuntime

TIERS = ("resident", "pinned", "streamed")
SMALL = TrainSettings(
    arch="5",
    epochs=2,
    batch=6,
    boost=True,
    validation=0.0,
    test_every=0,
    optim=OptimiserSettings(rate=0.03, regularisation=RegularisationSettings(strength=0.0)),
    rule=Hm2bp(thresholds=(3.0, 2.0), loss=LossSettings(target=15, off_target=2, margin=2)),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("cuda") / "digits.zarr"
    encode(load_recipe("digits").override({"poisson.steps": "60"}), str(path), limit=16)
    return SpikeStore.open(path)


def runtime():
    """Return the GPU of the tests, or an emulated one that does everything but computing as late as allowed."""
    device = cuda_runtime()
    return EmulatedRuntime(lazy=True) if isinstance(device, EmulatedRuntime) else device


def train(store, folder, ops, ranks=None, settings=SMALL):
    Trainer(store, RunFolder(folder), settings, ops, ranks=ranks).run()


class OnHost:
    """Ranks that sum in host memory, where the arrays of an emulated device are."""

    def __init__(self, ranks):
        self.ranks = ranks

    def __getattr__(self, name):
        return getattr(self.ranks, name)

    def all_reduce(self, arrays):
        self.ranks.all_reduce([array.host for array in arrays])


def checkpoint(folder):
    arrays, record = load_checkpoint(folder / "last.npz")
    return arrays, record["history"]


def test_results_do_not_depend_on_the_tier(store, tmp_path):
    for tier in TIERS:
        train(store, tmp_path / tier, CudaBackend(runtime(), feed=tier))
    runs = {tier: checkpoint(tmp_path / tier) for tier in TIERS}
    want = {name: array.tobytes() for name, array in runs["streamed"][0].items()}
    assert any(np.frombuffer(want["layer0.weight.moment"], np.float32))
    for tier, (arrays, history) in runs.items():
        assert {name: array.tobytes() for name, array in arrays.items()} == want
        assert [r["feed"] for r in history] == [tier, tier]


@pytest.mark.skipif(bool(os.environ.get("SPIKEPREP_TEST_GPU")), reason="these ranks sum in host memory")
def test_two_ranks_train_as_one(store, tmp_path):
    settings = replace(SMALL, precision="float64", epochs=1)
    train(store, tmp_path / "one", CudaBackend(runtime(), np.float64), settings=settings)

    def work(ranks):
        train(store, tmp_path / "two", CudaBackend(runtime(), np.float64), OnHost(ranks), settings)

    together(2, work)
    (one, _), (two, _) = checkpoint(tmp_path / "one"), checkpoint(tmp_path / "two")
    for name, array in one.items():
        np.testing.assert_allclose(two[name], array, rtol=1e-9, atol=1e-12, err_msg=name)


def test_batches_of_another_source_come_through_the_host(store):
    class Memory:
        def batches(self):
            yield from BatchStream(store["train"], 5, shuffle=False).batches()

    backend = CudaBackend(runtime(), np.float64)
    for got in backend.feed(Memory()):
        assert isinstance(got.bits, np.ndarray)
        expected = store["train"].packed(got.index)
        longest = expected.steps.max()
        dense = np.unpackbits(expected.bits, axis=2, bitorder="little")[:, :, :longest].transpose(0, 2, 1)
        np.testing.assert_array_equal(backend.unpack(backend.upload(got)), dense)
    assert got.index[-1] == len(store["train"]) - 1


@pytest.mark.parametrize("tier", TIERS)
def test_every_tier_gives_the_host_s_batches(store, tier):
    device = runtime()
    feeder = Feeder(device, tier, 2)
    reader = store["train"]
    stream, host = (
        BatchStream(reader, 5, epochs=3, window_bytes=reader.chunk_bytes, share=(1, 2)) for _ in range(2)
    )
    for _ in range(3):
        for got, want in zip(feeder.feed(stream), host.batches(), strict=True):
            np.testing.assert_array_equal(device.to_host(got.bits), want.bits)
            for name in ("steps", "labels", "index", "batch_index"):
                np.testing.assert_array_equal(getattr(got, name), getattr(want, name))
            assert (got.epoch, got.position) == (want.epoch, want.position)
    assert stream.get_state() == host.get_state()
