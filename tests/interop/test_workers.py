"""Workers of a DataLoader, started in every way, on a store on disk and on S3."""

from __future__ import annotations

from multiprocessing import forkserver

import pytest

import spikeprep

torch = pytest.importorskip("torch")
from torch.utils.data import DataLoader  # noqa: E402

from spikeprep.interop.torch import ShuffledBatches, SpikeDataset  # noqa: E402
from tests.interop.conftest import samples, write  # noqa: E402
from tests.store.servers import s3_server  # noqa: E402

# a server's threads, and PyTorch's, do no harm to what a forked worker does here
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning", "ignore:.*fork:RuntimeWarning")


def check(path, way):
    """Read all samples twice by one worker that is started in a `way`, and compare them with the store's."""
    split = spikeprep.open_store(path)["train"]
    data = SpikeDataset(split, packed=True, layout="TBN", dtype=torch.uint8)
    sampler = ShuffledBatches(split, 8)
    expected = [[split[n] for n in batch] for batch in ShuffledBatches(split, 8)]
    loader = DataLoader(data, batch_sampler=sampler, num_workers=1, multiprocessing_context=way)
    count = 0
    for batch, spikes in zip(loader, expected, strict=True):
        dense = data.dense(batch).spikes.numpy()
        for column, sample in enumerate(spikes):
            assert (dense[: len(sample), column] == sample).all()
            count += 1
    assert count == 23


@pytest.mark.parametrize("way", ["fork", "spawn", pytest.param("forkserver", marks=pytest.mark.slow)])
def test_workers_read_a_store_on_disk(ragged, way):
    check(ragged[0].path, way)


@pytest.mark.parametrize(
    "way", ["fork", *(pytest.param(way, marks=pytest.mark.slow) for way in ("spawn", "forkserver"))]
)
def test_workers_read_a_store_on_s3(way):
    with s3_server() as (bucket, _):
        forkserver._forkserver._stop()  # one of an earlier test has other credentials in its environment
        spikes, labels = samples(23, (6,), (9, 17, 30))
        write(f"{bucket}/ragged.zarr", spikes, labels)
        check(f"{bucket}/ragged.zarr", way)


def test_a_worker_hands_on_what_is_wrong_with_a_store(tmp_path):
    spikes, labels = samples(23, (6,), (9, 17, 30))
    write(tmp_path / "a.zarr", spikes, labels)
    data = SpikeDataset(spikeprep.open_store(tmp_path / "a.zarr")["train"])
    (tmp_path / "a.zarr/train/spikes/c/0/0/0").unlink()
    with pytest.raises(spikeprep.errors.StoreError, match="shard 0 is missing"):
        next(iter(DataLoader(data, num_workers=1, multiprocessing_context="fork")))
