"""The stream: every sample once an epoch, in an order of (seed, epoch) alone, resumable at every batch."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeprep.data import Bits
from spikeprep.errors import RunError, StoreError
from spikeprep.feed.batches import BatchStream
from spikeprep.store import SpikeStore, SplitReader

from ..store.stores import content, make


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> SplitReader:
    path = tmp_path_factory.mktemp("stream") / "s.zarr"
    make(path)
    return SpikeStore.open(path)["train"]


ONE_CHUNK, TWO_CHUNKS = 1, 2 * 2 * 6 * 3  # a window of 2 or of 4 samples


def order(stream: BatchStream) -> list[int]:
    return [int(n) for batch in stream.batches() for n in batch.index]


@settings(deadline=None, max_examples=40)
@given(
    batch=st.integers(1, 11),
    window=st.sampled_from([ONE_CHUNK, TWO_CHUNKS, 1 << 20]),
    shuffle=st.booleans(),
    chosen=st.sets(st.integers(0, 9), min_size=1),
)
def test_every_sample_once_with_its_own_data(
    reader: SplitReader, batch: int, window: int, shuffle: bool, chosen: set[int]
) -> None:
    bits, steps, labels, _ = content("train")
    samples = np.array(sorted(chosen))
    stream = BatchStream(reader, batch, samples=samples, shuffle=shuffle, window_bytes=window)
    seen = []
    for part in stream.batches():
        np.testing.assert_array_equal(part.bits, bits[part.index])
        np.testing.assert_array_equal(part.steps, steps[part.index])
        np.testing.assert_array_equal(part.labels, labels[part.index])
        seen.append(part.index.copy())
    assert [len(s) for s in seen[:-1]] == [batch] * (len(stream) - 1)
    flat = np.concatenate(seen)
    assert sorted(flat) == sorted(chosen)
    if not shuffle:
        assert flat.tolist() == sorted(chosen)
    assert (stream.epoch, stream.position) == (1, 0)


@settings(deadline=None, max_examples=30)
@given(
    batch=st.integers(1, 7), stop=st.integers(0, 12), window=st.sampled_from([ONE_CHUNK, TWO_CHUNKS, 1 << 20])
)
def test_resuming_anywhere_equals_never_stopping(
    reader: SplitReader, batch: int, stop: int, window: int
) -> None:
    whole = BatchStream(reader, batch, seed=5, window_bytes=window)
    want = order(whole) + order(whole)
    first = BatchStream(reader, batch, seed=5, window_bytes=window)
    got: list[int] = []
    state = first.get_state()
    for part in first.batches():
        if len(got) // batch >= stop:
            break
        got += part.index.tolist()
        state = first.get_state()
    second = BatchStream(reader, batch, seed=5, window_bytes=window)
    second.set_state(state)
    while len(got) < len(want):
        got += order(second)
    assert got == want


def test_samples_of_like_length_share_a_batch(reader: SplitReader) -> None:
    stream = BatchStream(
        reader, 3
    )  # lengths 13 (four samples) and 21 (six): no more than one batch need be mixed
    mixed = sum(len(set(part.steps.tolist())) > 1 for part in stream.batches() if len(part) == 3)
    assert mixed <= 1


def test_epochs_and_seeds_differ_and_are_reproducible(reader: SplitReader) -> None:
    a, b, c = (BatchStream(reader, 4, seed=s) for s in (1, 1, 2))
    first, again, other = order(a), order(b), order(c)
    assert first == again != other
    assert order(a) == order(b) != first


def test_a_reader_s_error_arrives_at_its_batch(tmp_path: Path) -> None:
    make(tmp_path / "s.zarr")
    (tmp_path / "s.zarr/train/spikes/c/2/0/0").unlink()
    stream = BatchStream(
        SpikeStore.open(tmp_path / "s.zarr")["train"], 2, shuffle=False, window_bytes=ONE_CHUNK
    )
    got = []

    def consume() -> None:
        for part in stream.batches():
            got.append(part.index.tolist())

    with pytest.raises(StoreError, match="shard 2 is missing"):
        consume()
    assert got == [[0, 1], [2, 3], [4, 5], [6, 7]]


@pytest.mark.parametrize(
    ("key", "named"),
    [
        ("labels/c/0", "the labels of shard 0"),
        ("steps/c/0", "steps of shard 0"),
        ("spikes/c/0/0/0", "shard 0"),
    ],
)
def test_files_of_another_split_are_not_trained_on(tmp_path: Path, key: str, named: str) -> None:
    """They are sound in themselves; of the shard the size is the same too."""
    make(tmp_path / "s.zarr")
    data = (tmp_path / "s.zarr/test" / key).read_bytes()
    if key != "spikes/c/0/0/0":
        data = (tmp_path / "s.zarr/train" / key.replace("c/0", "c/1")).read_bytes()
    assert data != (tmp_path / "s.zarr/train" / key).read_bytes()
    (tmp_path / "s.zarr/train" / key).write_bytes(data)
    with pytest.raises(StoreError, match=rf"train/{key}: .*{named}.*spikeprep verify.*repair=True"):
        order(BatchStream(SpikeStore.open(tmp_path / "s.zarr")["train"], 2, shuffle=False))


def test_an_object_store_is_read_many_chunks_at_a_time(
    reader: SplitReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("fsspec")
    make("memory://stream-test/s.zarr")
    remote = SpikeStore.open("memory://stream-test/s.zarr")["train"]
    whole, met, plain = BatchStream(remote, 5, shuffle=False), threading.Barrier(5), remote.read_chunk

    def together(chunk: int, out: Bits) -> None:
        met.wait(timeout=20)  # breaks, were they read one after another
        plain(chunk, out)

    monkeypatch.setattr(remote, "read_chunk", together)
    parts = [part.bits.copy() for part in whole.batches()]
    np.testing.assert_array_equal(np.concatenate(parts), content("train")[0])
    assert reader.requests == 1 < remote.requests


def test_each_rank_draws_its_part_of_every_batch(reader: SplitReader) -> None:
    bits, *_ = content("train")
    whole = [part.index.tolist() for part in BatchStream(reader, 4, seed=3).batches()]
    parts: list[list[list[int]]] = []
    for rank in range(3):
        stream = BatchStream(reader, 4, seed=3, share=(rank, 3))
        parts.append([])
        for part in stream.batches():
            np.testing.assert_array_equal(part.bits, bits[part.index])
            assert part.batch_index.tolist() == whole[len(parts[-1])]
            assert (part.epoch, part.position) == (0, 4 * len(parts[-1]))
            parts[-1].append(part.index.tolist())
        assert stream.get_state() == {"epoch": 1, "position": 0, "samples": 10, "batch": 4}
    assert [a + b + c for a, b, c in zip(*parts, strict=True)] == whole


def test_a_foreign_state_is_refused(reader: SplitReader) -> None:
    stream = BatchStream(reader, 4)
    with pytest.raises(RunError, match="10 samples in batches of 4"):
        stream.set_state({"epoch": 0, "position": 0, "samples": 10, "batch": 5})
