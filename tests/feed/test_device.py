"""Feeding a device: every tier gives the same batches in the same order, and no data in use is overwritten."""

from __future__ import annotations

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeprep.errors import CapabilityError, StoreError
from spikeprep.feed import device as feed
from spikeprep.feed.batches import BatchStream
from spikeprep.feed.device import Feeder, streamed_bound
from spikeprep.store import SpikeStore

from ..cuda.lazy import GARBAGE, LazyRuntime
from ..store.stores import content, make

TIERS = ("resident", "pinned", "streamed")
HASTES = ("late", "copies", "compute", "random")
WINDOWS = st.sampled_from([1, 2 * 2 * 6 * 3, 1 << 20])  # one chunk (2 samples), two, all


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    path = tmp_path_factory.mktemp("feed") / "s.zarr"
    make(path)
    return SpikeStore.open(path)["train"]


class RecordingReader:
    """A reader that records which chunks are read, each after `before(chunk)`."""

    def __init__(self, reader, before=lambda chunk: None):
        self.reader, self.before, self.read = reader, before, []

    def __getattr__(self, name):
        return getattr(self.reader, name)

    def __len__(self):
        return len(self.reader)

    def read_chunk(self, chunk, out):
        self.before(chunk)
        self.reader.read_chunk(chunk, out)
        self.read.append(chunk)


def fed(runtime, feeder, stream, most=None):
    """Return batches as a device reads them: their bits when the computing stream reaches them, not before."""
    batches = []

    def read(batch):
        runtime.computing.give(lambda: batches.append(replace(batch, bits=batch.bits.copy())))

    for n, batch in enumerate(feeder.feed(stream), 1):
        read(batch)
        if n == most:
            break
    runtime.synchronize()
    return batches


def assert_content(batches):
    """Every batch has the bits, steps and labels of its samples."""
    bits, steps, labels, _ = content("train")
    for batch in batches:
        np.testing.assert_array_equal(batch.bits, bits[batch.index])
        np.testing.assert_array_equal(batch.steps, steps[batch.index])
        np.testing.assert_array_equal(batch.labels, labels[batch.index])


def indices(batches):
    return [batch.index.tolist() for batch in batches]


def places(batches):
    """Where in the run each batch is, and its samples over all ranks."""
    return [(batch.epoch, batch.position, batch.batch_index.tolist()) for batch in batches]


def flat(lists):
    return list(itertools.chain.from_iterable(lists))


@settings(deadline=None, max_examples=120)
@given(
    tier=st.sampled_from(TIERS),
    haste=st.sampled_from(HASTES),
    batch=st.integers(1, 11),
    window=WINDOWS,
    shuffle=st.booleans(),
    chosen=st.sets(st.integers(0, 9), min_size=1),
    epochs=st.sampled_from([None, 2]),
    share=st.sampled_from([(0, 1), (0, 2), (1, 2), (2, 3), (3, 4)]),
    threads=st.integers(1, 3),
    seed=st.integers(0, 9),
)
def test_every_tier_gives_the_host_s_batches(
    reader, tier, haste, batch, window, shuffle, chosen, epochs, share, threads, seed
):
    options = {
        "samples": np.array(sorted(chosen)),
        "shuffle": shuffle,
        "window_bytes": window,
        "seed": seed,
        "share": share,
        "epochs": epochs,
    }
    runtime = LazyRuntime(haste, seed)
    feeder = Feeder(runtime, tier, threads)
    stream, host = BatchStream(reader, batch, **options), BatchStream(reader, batch, **options)
    for epoch in (1, 2):
        got, want = fed(runtime, feeder, stream), list(host.batches())
        assert_content(got)
        assert indices(got) == indices(want)
        assert places(got) == places(want)
        assert stream.get_state() == host.get_state()
        assert stream.epoch == epoch
    assert stream.tier.name == tier


@settings(deadline=None, max_examples=60)
@given(
    tier=st.sampled_from(TIERS),
    haste=st.sampled_from(HASTES),
    batch=st.integers(1, 7),
    stop=st.integers(1, 12),
    window=WINDOWS,
    same=st.booleans(),
)
def test_resuming_anywhere_equals_never_stopping(reader, tier, haste, batch, stop, window, same):
    uninterrupted = BatchStream(reader, batch, seed=5, window_bytes=window)
    want = [flat(indices(uninterrupted.batches())) for _ in range(3)]
    runtime = LazyRuntime(haste)
    feeder = Feeder(runtime, tier, 2)
    stream = BatchStream(reader, batch, seed=5, window_bytes=window, epochs=3)
    got = fed(runtime, feeder, stream, most=stop)
    state = stream.get_state()
    if same:  # the stream itself goes elsewhere and comes back
        stream.set_state(state | {"epoch": 2, "position": 0})
        assert indices(fed(runtime, feeder, stream, most=1)) == [want[2][:batch]]
    else:
        stream = BatchStream(reader, batch, seed=5, window_bytes=window, epochs=3)
    stream.set_state(state)
    for _ in range(3 - state["epoch"]):
        got += fed(runtime, feeder, stream)
    assert_content(got)
    assert flat(indices(got)) == flat(want)


@pytest.mark.parametrize("tier", ["resident", "pinned"])
def test_cached_chunks_are_read_once(reader, tier):
    counted = RecordingReader(reader)
    runtime = LazyRuntime("random")
    feeder = Feeder(runtime, tier, 2)
    train = BatchStream(counted, 4, samples=np.array([0, 1, 2, 4, 5, 7, 8]), epochs=3)
    for _ in range(3):
        assert_content(fed(runtime, feeder, train))
        validation = BatchStream(counted, 4, samples=np.array([3, 6]), shuffle=False)
        assert_content(fed(runtime, feeder, validation))
    assert sorted(counted.read) == [0, 1, 2, 3, 4]
    # a sample past those chunks needs a new, larger cache
    got = fed(runtime, feeder, BatchStream(counted, 4, shuffle=False))
    assert_content(got)
    assert flat(indices(got)) == list(range(10))


def test_a_streamed_run_reads_ahead_over_the_epoch_s_end_and_not_past_the_last(reader):
    counted = RecordingReader(reader)
    runtime = LazyRuntime("copies")
    feeder = Feeder(runtime, "streamed", 2)
    stream = BatchStream(counted, 3, window_bytes=2 * reader.chunk_bytes, epochs=2)
    fed(runtime, feeder, stream)
    until = time.monotonic() + 10
    while len(counted.read) < 9 and time.monotonic() < until:
        time.sleep(0.01)
    assert len(counted.read) == 5 + 4  # two windows of the next epoch
    fed(runtime, feeder, stream)
    time.sleep(0.05)
    assert len(counted.read) == 10


@pytest.mark.parametrize("tier", TIERS)
def test_a_reader_s_error_arrives_at_its_batch(tmp_path, tier):
    make(tmp_path / "s.zarr")
    damaged = tmp_path / "s.zarr/train/spikes/c/2/0/0"
    damaged.unlink()
    reader = SpikeStore.open(tmp_path / "s.zarr")["train"]
    runtime = LazyRuntime("random")
    feeder = Feeder(runtime, tier, 2)
    stream = BatchStream(reader, 2, shuffle=False, window_bytes=1)
    got = []

    def consume():
        for batch in feeder.feed(stream):
            got.append(batch.index.tolist())

    with pytest.raises(StoreError, match="shard 2 is missing"):
        consume()
    assert got == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert stream.position == 8
    with pytest.raises(StoreError, match="shard 2 is missing"):
        consume()


def delayed(reader, delayed_chunk):
    """Return a reader whose `delayed_chunk` is read, the first time, only long after the chunks requested next."""
    later = threading.Event()

    def wait(chunk):
        if chunk == delayed_chunk and not later.is_set():
            later.wait(0.3)
            later.set()
        elif len(recording.read) >= 2:
            later.set()

    recording = RecordingReader(reader, wait)
    return recording


def test_a_late_window_of_another_rank_overwrites_nothing(reader):
    runtime = LazyRuntime("copies")
    stream = BatchStream(
        delayed(reader, 0), 4, samples=np.arange(8), shuffle=False, window_bytes=1, share=(1, 2)
    )
    got = fed(runtime, Feeder(runtime, "streamed", 2), stream)
    assert indices(got) == [[2, 3], [6, 7]]
    assert_content(got)


def test_a_late_window_of_an_abandoned_position_overwrites_nothing(reader):
    runtime = LazyRuntime("copies")
    feeder = Feeder(runtime, "streamed", 2)
    stream = BatchStream(delayed(reader, 1), 2, shuffle=False, window_bytes=1)
    assert indices(fed(runtime, feeder, stream, most=1)) == [[0, 1]]  # chunk 1 is being loaded
    stream.set_state(stream.get_state() | {"position": 4})
    got = fed(runtime, feeder, stream)
    assert indices(got) == [[4, 5], [6, 7], [8, 9]]
    assert_content(got)


@pytest.mark.parametrize("epochs", [None, 4])
@pytest.mark.parametrize("tier", ["pinned", "streamed"])
def test_device_memory_stays_within_the_bound(reader, tier, epochs):
    runtime = LazyRuntime("random")
    feeder = Feeder(runtime, tier, 3)
    stream = BatchStream(reader, 3, window_bytes=reader.chunk_bytes, epochs=epochs)
    for _ in range(4):
        fed(runtime, feeder, stream)
    assert runtime.allocated == 2 * reader.chunk_bytes + 3 * reader.sample_bytes
    assert runtime.allocated < stream.tier.device_bytes == streamed_bound(stream)
    slots = 2 * 3 * reader.chunk_bytes
    all_chunks = 5 * reader.chunk_bytes
    assert runtime.pinned_bytes == slots + (all_chunks if tier == "pinned" else 0)


def test_the_tier_is_what_fits(reader, monkeypatch):
    size = 5 * reader.chunk_bytes

    def chosen(free, available, tier="auto"):
        monkeypatch.setattr(feed, "available_memory", lambda: available)
        stream = BatchStream(reader, 4)
        next(iter(Feeder(LazyRuntime(free=free), tier).feed(stream)))
        return stream.tier.name

    assert chosen(2 * size, 4 * size) == "resident"
    assert chosen(2 * size - 1, 4 * size) == "pinned"
    assert chosen(2 * size - 1, 4 * size - 1) == "streamed"
    assert chosen(size, 0, "resident") == "resident"
    for tier, free, available in (("resident", size - 1, 1 << 40), ("pinned", 1 << 40, size - 1)):
        with pytest.raises(CapabilityError, match=f"got feed = {tier} for 0.0 GB"):
            chosen(free, available, tier)


@pytest.mark.parametrize(("haste", "waited"), [("all", 5.0), ("copies", 0.0)])  # an idle device, a busy one
@pytest.mark.parametrize("tier", TIERS)
def test_only_an_idle_device_waits_for_data(reader, tier, haste, waited):
    clock, begun, gate = [0.0], threading.Event(), threading.Event()

    def slow(chunk):
        begun.set()
        gate.wait()

    runtime = LazyRuntime(haste)
    runtime.clock = lambda: clock[0]
    stream = BatchStream(RecordingReader(reader, slow), 2, samples=np.array([0, 1]), epochs=2)
    batches = Feeder(runtime, tier, 1).feed(stream)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(next, batches)
        begun.wait()
        while len(runtime.computing.work) < 2:  # the event of new memory, and the one before the wait
            time.sleep(0.001)
        clock[0] = 5.0  # when the data arrives, and a busy device has finished its earlier work
        gate.set()
        assert first.result().waited == waited
    assert list(batches) == []
    assert stream.waited == 0


@settings(deadline=None, max_examples=60)
@given(
    tier=st.sampled_from(TIERS),
    haste=st.sampled_from((*HASTES, "all")),
    batch=st.integers(1, 7),
    window=WINDOWS,
    stop=st.integers(0, 4),
    seed=st.integers(0, 9),
)
def test_batches_carry_every_wait_of_their_epoch_once(reader, tier, haste, batch, window, stop, seed):
    """The sum of `waited` is the time between the events around each wait; an abandoned epoch's waits are dropped."""
    runtime = LazyRuntime(haste, seed)
    clock = itertools.count()
    runtime.clock = lambda: float(next(clock))  # every event has a time of its own
    waits, record = [], runtime.computing.record

    def recorded(timed=False):
        event = record(timed)
        if timed:
            waits.append(event)
        return event

    runtime.computing.record = recorded
    feeder, stream = Feeder(runtime, tier, 2), BatchStream(reader, batch, window_bytes=window, epochs=3)
    if stop:
        fed(runtime, feeder, stream, most=stop)
        stream.set_state(stream.get_state() | {"epoch": 1, "position": 0})
        waits.clear()
    for _ in range(2):
        total = sum(part.waited for part in fed(runtime, feeder, stream))
        assert stream.waited == 0
        assert total == sum(b.time - a.time for a, b in zip(waits[::2], waits[1::2], strict=True))
        waits.clear()
    assert stream.epoch == (3 if stop else 2)


def test_the_lazy_device_reveals_missing_order():
    for haste, wrong in (("late", True), ("copies", False)):
        runtime = LazyRuntime(haste)
        stream, slot, device = runtime.stream(), runtime.pinned((4,), np.uint8), runtime.empty((2, 4), "u1")
        slot[:] = 1
        with stream:
            runtime.copy_in(slot, device[0])
        slot[:] = 2  # too early if the copy has not been done
        stream.synchronize()
        assert (device[0] == 2).all() == wrong
    for haste, wrong in (("copies", True), ("late", False)):
        runtime = LazyRuntime(haste)
        stream, ring, out = runtime.stream(), runtime.empty((2, 4), "u1"), runtime.empty((1, 4), "u1")
        runtime.take(ring, np.array([0]), axis=0, out=out)
        with stream:
            runtime.copy_in(np.zeros(4, np.uint8), ring[0])  # does not wait for the gather
        runtime.synchronize()
        assert (out != GARBAGE).all() == wrong
