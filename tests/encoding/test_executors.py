"""Tasks of encoding run by executors that are given: the same bytes, small pickles, errors as they were raised."""

import multiprocessing
import os
import pickle
import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from spikeprep.encoding import run as encoding_run
from spikeprep.encoding.run import encode
from spikeprep.errors import CapabilityError, DataError
from spikeprep.recipes import Recipe, load_recipe
from spikeprep.store import SpikeStore, SplitLayout, verify

from ..sources.event_folders import class_folder
from ..sources.idx_files import pictures, write_idx
from ..sources.sound_files import ti46_corpus
from ..store.stores import tree

IMAGES = Recipe(
    name="made-up",
    title="Made-up pictures",
    citation="",
    source={"name": "idx", "licence": "none"},
    chain=[{"name": "poisson", "steps": 50, "rate_max": 0.3}],
)


class Pickling(Executor):
    """Runs each task at once, after a round trip through pickle; keeps the sizes."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def submit(self, function, /, *arguments):
        data = pickle.dumps((function, arguments))
        self.sizes.append(len(data))
        function, arguments = pickle.loads(data)
        future = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    """Chunks of 4 samples, shards of 8; nothing opened by another test."""
    monkeypatch.setattr(SplitLayout, "fit", staticmethod(lambda n, u, t: SplitLayout(n, u, t, 4, 8)))
    encoding_run._opened.cache_clear()
    yield
    encoding_run._opened.cache_clear()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Recipe → its raw data: of one length, ragged, and of large samples."""
    root = tmp_path_factory.mktemp("raw")
    (root / "images").mkdir()
    write_idx(root / "images", *pictures(143))
    write_idx(root / "images", *pictures(10, seed=1), split="test")
    return {
        "images": (IMAGES, root / "images"),
        "speech": (load_recipe("ti46"), ti46_corpus(root / "speech")),
        "events": (
            load_recipe("events").override({"dvs.bin_us": "5000"}),
            class_folder(root / "events", each=4),
        ),
    }


@pytest.fixture(scope="module")
def processes():
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.mark.parametrize("name", ["images", "speech", "events"])
def test_processes_and_threads_write_the_same_bytes(data, name, processes, tmp_path):
    recipe, path = data[name]
    encode(recipe, tmp_path / "own.zarr", source_path=path)
    with ThreadPoolExecutor(3) as threads:
        calls = []
        done = encode(
            recipe, tmp_path / "processes.zarr", source_path=path, executor=processes,
            progress=lambda *call: calls.append(call),
        )  # fmt: skip
        encode(recipe, tmp_path / "threads.zarr", source_path=path, executor=threads)
        assert threads.submit(int).result() == 0  # not shut down
        assert processes.submit(int).result() == 0
    assert done.encoded == sum(done.samples.values()) > 8
    assert calls[0] == (0, done.encoded)
    assert calls[-1] == (done.encoded, done.encoded)
    assert [n for n, _ in calls] == sorted(n for n, _ in calls)
    for other in ("processes", "threads"):
        assert tree(tmp_path / f"{other}.zarr") == tree(tmp_path / "own.zarr")
    assert verify(tmp_path / "processes.zarr").ok


def test_tasks_pickle_small_and_open_the_source_once(data, tmp_path, monkeypatch):
    recipe, path = data["images"]
    opened, open_encoder = [], encoding_run.open_encoder
    monkeypatch.setattr(encoding_run, "open_encoder", lambda *a: opened.append(a) or open_encoder(*a))
    executor = Pickling()
    encode(recipe, tmp_path / "s.zarr", source_path=path, executor=executor)
    assert len(executor.sizes) == 20
    assert max(executor.sizes) < 4096  # the recipe, the store's attributes, and no image
    assert len(opened) == 1
    encode(recipe, tmp_path / "own.zarr", source_path=path)
    assert tree(tmp_path / "s.zarr") == tree(tmp_path / "own.zarr")


def test_each_call_opens_the_source_anew(tmp_path):
    """A process that has read the data of an earlier call does not take them for those of this one."""
    for n, seed in enumerate((1, 2)):
        write_idx(tmp_path, *pictures(9, seed=seed))
        encode(IMAGES, tmp_path / f"{n}.zarr", source_path=tmp_path, executor=Pickling())
        encode(IMAGES, tmp_path / f"own{n}.zarr", source_path=tmp_path)
        assert tree(tmp_path / f"{n}.zarr") == tree(tmp_path / f"own{n}.zarr")


def test_a_limit_reaches_the_tasks(data, tmp_path):
    recipe, path = data["images"]
    encode(recipe, tmp_path / "s.zarr", source_path=path, executor=Pickling(), limit=9, seed=4)
    encode(recipe, tmp_path / "own.zarr", source_path=path, limit=9, seed=4)
    assert tree(tmp_path / "s.zarr") == tree(tmp_path / "own.zarr")


def test_large_samples(data, tmp_path, monkeypatch):
    recipe, path = data["events"]
    monkeypatch.setattr(SplitLayout, "fit", staticmethod(lambda n, u, t: SplitLayout(n, u, t, 1, 1, 500)))
    encode(recipe, tmp_path / "s.zarr", source_path=path, executor=Pickling())
    encode(recipe, tmp_path / "own.zarr", source_path=path)
    assert tree(tmp_path / "s.zarr") == tree(tmp_path / "own.zarr")
    assert SpikeStore.open(tmp_path / "s.zarr")["train"].layout.unit_chunks > 1


def test_an_error_of_a_task_is_raised_as_it_was(data, tmp_path, monkeypatch):
    recipe, path = data["images"]
    read = encoding_run.SampleEncoder.read

    def failing(self, split, index):
        if index == 20:
            raise DataError("sample 20 is damaged", "a sound one", "Copy it again.")
        return read(self, split, index)

    executor = Pickling()
    with monkeypatch.context() as patch:
        patch.setattr(encoding_run.SampleEncoder, "read", failing)
        with pytest.raises(DataError, match=r"sample 20 is damaged; expected a sound one. Copy it again."):
            encode(recipe, tmp_path / "s.zarr", source_path=path, executor=executor)
    assert encode(recipe, tmp_path / "s.zarr", source_path=path).encoded == 8


def test_a_process_that_ends_is_reported_and_encoding_goes_on(data, tmp_path):
    recipe, path = data["images"]
    spawn = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(1, mp_context=spawn, initializer=os._exit, initargs=(3,)) as processes,
        pytest.raises(CapabilityError, match="a worker process of the executor ended"),
    ):
        encode(recipe, tmp_path / "s.zarr", source_path=path, executor=processes)
    encode(recipe, tmp_path / "s.zarr", source_path=path)
    encode(recipe, tmp_path / "own.zarr", source_path=path)
    assert tree(tmp_path / "s.zarr") == tree(tmp_path / "own.zarr")


def test_after_an_interruption_no_task_of_an_executor_writes_on(data, tmp_path, monkeypatch):
    recipe, path = data["images"]
    before = set(threading.enumerate())

    def interrupt(*arguments, **settings):
        monkeypatch.undo()
        raise KeyboardInterrupt

    with ThreadPoolExecutor(2) as threads:
        monkeypatch.setattr(encoding_run, "wait", interrupt)
        with pytest.raises(KeyboardInterrupt):
            encode(recipe, tmp_path / "s.zarr", source_path=path, executor=threads)
        written = tree(tmp_path / "s.zarr")
        threads.submit(int).result()
        assert tree(tmp_path / "s.zarr") == written
    assert set(threading.enumerate()) <= before
