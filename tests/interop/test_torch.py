"""PyTorch's adaptors: spikes, labels and lengths are the store's, in any layout, dtype and order."""

from __future__ import annotations

import json
import pickle
import shutil

import numpy as np
import pytest

import spikeprep
from spikeprep.errors import CapabilityError, RunError, StoreError, UsageError

torch = pytest.importorskip("torch")
from torch.utils.data import ConcatDataset, DataLoader, Subset  # noqa: E402

from spikeprep.interop.encoded import EncodedSplit  # noqa: E402
from spikeprep.interop.torch import ShuffledBatches, SpikeDataset, SpikeLoader  # noqa: E402
from tests.interop.conftest import samples, write  # noqa: E402

DTYPES = (torch.float32, torch.bool, torch.uint8, torch.int64, torch.bfloat16, torch.float16, torch.float64)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("packed", [False, True])
def test_a_batch_has_the_spikes_of_the_store(images, dtype, packed):
    store, spikes = images
    data = SpikeDataset(store["train"], layout="TBCHW", dtype=dtype, packed=packed)
    (batch,) = DataLoader(data, batch_size=40)
    if packed:
        assert batch.spikes.shape == (40, 30, 3)
        assert batch.spikes.dtype == torch.uint8
        batch = data.dense(batch)
    assert batch.spikes.dtype == dtype
    assert torch.equal(batch.spikes, torch.from_numpy(spikes).to(dtype).permute(1, 0, 2, 3, 4))
    assert batch.labels.tolist() == (np.arange(40) % 3).tolist()
    assert batch.lengths.tolist() == [20] * 40


@pytest.mark.parametrize("layout", ["BTN", "TBN", "BNT", "TBCHW", "BCHWT", "BTHWC"])
def test_another_device_unpacks_the_same_spikes(images, layout):
    store, _ = images
    data = SpikeDataset(store["train"], layout=layout, packed=True, steps=27)
    packed = data.collate(data.__getitems__([3, 1, 39]))
    # the operations of any device, run on this one
    unpacker = data._unpacker
    assert torch.equal(unpacker._on_device(packed.spikes, 27), unpacker._on_cpu(packed.spikes, 27))
    assert unpacker._on_device(packed.spikes, 27).sum() > 0


def test_a_sample_has_its_own_length_and_a_batch_that_of_its_longest(ragged):
    store, spikes = ragged
    data = SpikeDataset(store["train"], layout="TBN")
    for n in (0, 1, 2, -1):
        sample = data[n]
        assert torch.equal(sample.spikes, torch.from_numpy(spikes[n]).float())
        assert (sample.label, sample.length) == (n % 23 % 3, len(spikes[n]))
    batch = next(iter(DataLoader(data, batch_size=2)))
    assert batch.spikes.shape == (17, 2, 6)
    assert torch.equal(batch.spikes[:9, 0], torch.from_numpy(spikes[0]).float())
    assert not batch.spikes[9:, 0].any()
    assert batch.lengths.tolist() == [9, 17]


def test_a_number_of_steps_cuts_and_pads(ragged):
    store, spikes = ragged
    for packed in (False, True):
        data = SpikeDataset(store["train"], steps=12, packed=packed)
        batch = data.collate(data.__getitems__([0, 2]))
        batch = data.dense(batch) if packed else batch
        assert batch.spikes.shape == (2, 12, 6)
        assert batch.lengths.tolist() == [9, 12]
        assert not batch.spikes[0, 9:].any()
        assert torch.equal(batch.spikes[1], torch.from_numpy(spikes[2][:12]).float())
    assert SpikeDataset(store["train"], steps=40)[0].spikes.shape == (40, 6)


def test_data_sets_of_pytorch_around_it(ragged):
    store, spikes = ragged
    data = SpikeDataset(store["train"])
    batch = next(iter(DataLoader(Subset(data, [2, 5]), batch_size=2)))
    assert torch.equal(batch.spikes, torch.from_numpy(np.stack([spikes[2], spikes[5]])).float())
    both = ConcatDataset([data, data])
    batch = next(iter(DataLoader(both, batch_size=2, collate_fn=data.collate)))
    assert batch.spikes.shape == (2, 17, 6)
    assert torch.equal(batch.spikes[1], torch.from_numpy(spikes[1]).float())
    with pytest.raises(UsageError, match=r"samples of one length.*collate_fn=data.collate"):
        next(iter(DataLoader(both, batch_size=2)))
    same = next(iter(DataLoader(ConcatDataset([Subset(data, [0, 3])]), batch_size=2)))
    assert same.spikes.shape == (2, 9, 6)


def test_samples_that_do_not_exist(images):
    data = SpikeDataset(images[0]["train"])
    for number in (40, -41):
        with pytest.raises(IndexError, match=f"samples {number if number > 0 else -1} to"):
            data[number]
    assert data.collate(data.__getitems__([])).spikes.shape == (0, 1, 30)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layout": "BT"}, "an order of B"),
        ({"dtype": "float32"}, "a real dtype of PyTorch"),
        ({"dtype": torch.complex64}, "a real dtype of PyTorch"),
        ({"steps": 0}, "steps"),
        ({"steps": 1.5}, "steps"),
    ],
)
@pytest.mark.parametrize("kind", [SpikeDataset, SpikeLoader])
def test_arguments_that_are_refused(images, kind, arguments, message):
    more = {"batch": 4} if kind is SpikeLoader else {}
    with pytest.raises(UsageError, match=message):
        kind(images[0]["train"], **more, **arguments)


def test_it_pickles_small_and_reads_the_same(ragged):
    data = SpikeDataset(ragged[0]["train"], layout="TBN", dtype=torch.uint8)
    _ = data[0]
    text = pickle.dumps(data)
    assert len(text) < 2000
    copy = pickle.loads(text)
    assert all(torch.equal(copy[n].spikes, data[n].spikes) for n in range(len(data)))


def test_a_damaged_store_is_named(ragged, tmp_path):
    path = tmp_path / "damaged.zarr"
    shutil.copytree(ragged[0].path, path)
    shard = path / "train/spikes/c/0/0/0"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(bytes(data))
    with pytest.raises(StoreError, match=r"damaged.zarr.*train samples 0 to 22"):
        SpikeDataset(spikeprep.open_store(path)["train"])[0]


def test_few_chunks_stay_in_memory(images):
    from spikeprep.interop.samples import CachedSplit

    split = images[0]["train"]
    cached = CachedSplit(split, size=1)
    everything = cached.packed(np.arange(40))
    assert (everything.bits == split.packed(slice(None)).bits).all()
    assert len(cached._chunks) == 1


# ------------------------------------------------------------ orders


def test_shuffled_batches_have_every_sample_once_in_another_order_each_epoch(ragged):
    split = ragged[0]["train"]
    sampler = ShuffledBatches(split, 5, seed=3)
    epochs = [list(sampler) for _ in range(2)]
    assert len(sampler) == 5
    for batches in epochs:
        assert sorted(n for batch in batches for n in batch) == list(range(23))
        assert [len(batch) for batch in batches] == [5, 5, 5, 5, 3]
    assert epochs[0] != epochs[1]
    assert list(ShuffledBatches(split, 5, seed=3)) == epochs[0]
    assert list(ShuffledBatches(split, 5, seed=4)) != epochs[0]
    for wrong in ({"batch": 0}, {"batch": 2, "seed": -1}, {"batch": 2, "fresh": True}):
        with pytest.raises(UsageError):
            ShuffledBatches(split, **wrong)


def test_the_loader_has_the_order_of_training_and_resumes(ragged):
    from spikeprep.feed.batches import BatchStream

    store, spikes = ragged
    split = store["train"]
    loader, stream = SpikeLoader(split, 4, layout="TBN", seed=5), BatchStream(split, 4, seed=5)
    states, epochs = [], []
    for _ in range(2):
        batches = []
        for got, expected in zip(loader, stream.batches(), strict=True):
            assert got.labels.tolist() == expected.labels.tolist()
            for column, n in enumerate(expected.index):
                sample = torch.from_numpy(spikes[n]).float()
                assert torch.equal(got.spikes[: len(sample), column], sample)
            batches.append(got)
            states.append(json.loads(json.dumps(loader.state_dict())))
        epochs.append(batches)
    assert len(loader) == len(epochs[0]) == 6
    again = SpikeLoader(split, 4, layout="TBN", seed=5)
    again.load_state_dict(states[8])
    rest = list(again)
    assert len(rest) == 3
    assert all(torch.equal(a.spikes, b.spikes) for a, b in zip(rest, epochs[1][3:], strict=True))
    with pytest.raises(RunError, match="of 23 samples"):
        SpikeLoader(split, 3, seed=5).load_state_dict(states[0])
    for other in ({"seed": 6}, {"seed": 5, "shuffle": False}):
        with pytest.raises(RunError, match=r"got the state of a loader with seed = 5, shuffle = 1"):
            SpikeLoader(split, 4, **other).load_state_dict(states[0])
    for state in ({}, None, "x"):
        with pytest.raises(RunError, match="the keys"):
            again.load_state_dict(state)


def test_an_iteration_that_is_left_is_over(ragged):
    split = ragged[0]["train"]
    whole = SpikeLoader(split, 4)
    epochs = [[batch.labels.tolist() for batch in whole] for _ in range(2)]
    loader = SpikeLoader(split, 4)
    assert next(iter(loader)).labels.tolist() == epochs[0][0]
    assert [batch.labels.tolist() for batch in loader] == epochs[1]
    first, second = iter(loader), iter(loader)
    next(first), next(second)
    with pytest.raises(UsageError, match="one at a time"):
        next(first)


def test_the_last_batch_of_the_loader(ragged):
    split = ragged[0]["train"]
    assert [len(batch.labels) for batch in SpikeLoader(split, 10, shuffle=False)] == [10, 10, 3]
    loader = SpikeLoader(split, 10, drop_last=True)
    assert [len(batch.labels) for batch in loader] == [10, 10]
    assert len(loader) == 2
    assert [len(batch.labels) for batch in loader] == [10, 10]  # the next epoch


# ------------------------------------------------------------ encoded when read


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    pytest.importorskip("sklearn")
    path = tmp_path_factory.mktemp("digits") / "digits.zarr"
    settings = {"shift.pixels": 1, "copies": 3, "poisson.steps": 20}
    spikeprep.encode("digits", path, settings=settings, limit=20, seed=4)
    return spikeprep.open_store(path), settings


@pytest.mark.parametrize("split", ["train", "test"])
def test_samples_encoded_when_read_are_those_of_a_store(digits, split):
    store, settings = digits
    encoded = pickle.loads(pickle.dumps(EncodedSplit("digits", split, settings=settings, limit=20, seed=4)))
    assert len(encoded) == 20
    assert (encoded.dt, encoded.classes) == (store[split].dt, store[split].classes)
    numbers = np.array([3, 19, 0] if split == "test" else [3, 19, 23, 59, 0])
    stored, fresh = store[split].packed(numbers), encoded.packed(numbers)
    for name in ("bits", "steps", "labels", "index"):
        assert (getattr(stored, name) == getattr(fresh, name)).all(), name
    data = SpikeDataset(encoded, layout="TBN")
    assert torch.equal(data[3].spikes, torch.from_numpy(store[split][3]).float())
    with pytest.raises(IndexError):
        SpikeDataset(EncodedSplit("digits", "test", limit=20))[20]


def test_fresh_batches_have_another_copy_in_each_epoch(digits):
    store, settings = digits
    encoded = EncodedSplit("digits", settings=settings, limit=20, seed=4)
    sampler = ShuffledBatches(encoded, 8, fresh=True)
    for epoch in range(3):
        numbers = np.concatenate([np.array(batch) for batch in sampler])
        assert sorted(numbers) == list(range(20 * epoch, 20 * epoch + 20))
        (batch,) = DataLoader(SpikeDataset(encoded, packed=True), batch_sampler=[numbers.tolist()])
        assert (batch.spikes.numpy() == store["train"].packed(numbers).bits).all()


def test_a_split_that_the_data_set_has_not():
    with pytest.raises(UsageError, match=r"'tset'.*Did you mean 'test'"):
        EncodedSplit("digits", "tset")


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8, torch.bool])
def test_what_dense_does_not_take(images, ragged, dtype):
    data = SpikeDataset(ragged[0]["train"], dtype=dtype)
    batch = next(iter(DataLoader(data, batch_size=4)))
    with pytest.raises(UsageError, match="packed = True"):
        data.dense(batch)
    packed = SpikeDataset(ragged[0]["train"], dtype=dtype, packed=True)
    of_images = next(iter(DataLoader(SpikeDataset(images[0]["train"], packed=True), batch_size=4)))
    for other in (batch, of_images, of_images._replace(spikes=of_images.spikes[0])):
        with pytest.raises(UsageError, match=r"packed ones, uint8 \(sample, 6 units, byte\)"):
            packed.dense(other)


def test_what_is_no_split(images):
    store = images[0]
    with pytest.raises(UsageError, match=r"got str for the samples.*open_store"):
        SpikeDataset(store.path)
    with pytest.raises(UsageError, match=r"for the samples; expected a split of a store\. "):
        SpikeLoader(store, 4)
    with pytest.raises(UsageError, match="or an EncodedSplit"):
        ShuffledBatches(store, 4)
    for sample in (slice(3), [1], 1.5):
        with pytest.raises(TypeError):
            SpikeDataset(store["train"])[sample]


def test_a_pickle_of_a_store_that_was_replaced(tmp_path):
    spikes, labels = samples(12, (6,), (9, 17))
    write(tmp_path / "a.zarr", spikes, labels)
    data = pickle.dumps(SpikeDataset(spikeprep.open_store(tmp_path / "a.zarr")["train"]))
    assert len(pickle.loads(data)[3].spikes) == 17
    shutil.rmtree(tmp_path / "a.zarr")
    spikes, labels = samples(12, (7,), (9, 17))
    write(tmp_path / "a.zarr", spikes, labels)
    with pytest.raises(StoreError, match="was replaced since it was opened"):
        pickle.loads(data)[3]


@pytest.mark.parametrize(
    ("device", "error", "words"),
    [
        ("gpu", UsageError, "got device = 'gpu'; expected a device of PyTorch"),
        (
            "xla",
            CapabilityError,
            r"got device = 'xla', but PyTorch cannot use it here \(.*\)\. Use device='cpu'",
        ),
    ],
)
def test_a_device_that_cannot_be_used(images, device, error, words):
    with pytest.raises(error, match=words):
        SpikeLoader(images[0]["train"], 4, device=device)


@pytest.mark.parametrize("index", [slice(0, 3), [1, 2], 1.5])
def test_an_index_that_is_no_number(images, index):
    with pytest.raises(
        UsageError, match=r"as the number of a sample; expected an integer.*DataLoader"
    ) as caught:
        SpikeDataset(images[0]["train"])[index]
    assert isinstance(caught.value, TypeError)
