"""Every registered plugin passes the checks, and every plugin that is written is registered."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import numpy as np
import pytest

import spikeprep.encoders
import spikeprep.sources
import spikeprep.transforms
from spikeprep.data import EVENT, Audio, Events, Frames
from spikeprep.encoders import Encoder, Transform
from spikeprep.errors import UsageError
from spikeprep.registry import ENCODERS, SOURCES, Plugin
from spikeprep.sources.base import Source
from spikeprep.transforms import EventTransform

from .conformance import check_encoder, check_reader, check_transform
from .sources.event_folders import class_folder, nmnist_folder, poker_folder
from .sources.idx_files import pictures, write_idx
from .sources.sound_files import put, spoken, ti46_corpus, wav


def image_folder(path):
    Image = pytest.importorskip("PIL.Image")
    images, _ = pictures(9)
    for n, image in enumerate(images):
        (path / f"class {n % 3}").mkdir(exist_ok=True)
        Image.fromarray(image).save(path / f"class {n % 3}/{n}.png")
    return {"path": str(path)}


def idx_folder(path):
    write_idx(path, *pictures(9))
    write_idx(path, *pictures(4), split="t10k", gz=True)
    return {"path": str(path)}


def audio_folder(path):
    for n in range(9):
        put(path / f"class {n % 3}/{n}.wav", wav(spoken(n % 3, n, 900 + 50 * n)))
    return {"path": str(path)}


def fsdd_folder(path):
    for n in range(9):
        put(path / f"recordings/{n % 3}_theo_{n}.wav", wav(spoken(n % 3, n, 900 + 50 * n), 8000))
    return {"path": str(path)}


def ti46_folder(path):
    return {"path": str(ti46_corpus(path))}


def event_files(path):
    return {"path": str(class_folder(path, each=3))}


def nmnist_files(path):
    return {"path": str(nmnist_folder(path, train=20, test=10))}


def tonic_files(path):
    pytest.importorskip("tonic")
    return {"path": str(poker_folder(path)), "dataset": "POKERDVS"}


def none_needed(path):
    pytest.importorskip("sklearn")
    return {}


IMAGES = [np.arange(20, dtype=np.uint8).reshape(4, 5) * 12, np.linspace(0, 1, 20).reshape(4, 5)]
SOUNDS = [Audio(np.random.default_rng(n).uniform(-0.5, 0.5, n), 8000) for n in (1700, 2345)]
CHANNELS = [Frames(np.random.default_rng(n).uniform(0, 1e-3, (n, 9)), 100.0) for n in (8, 13)]


def recordings() -> list[Events]:
    """Two recordings of unlike sensors, one of them streamed, in which all transforms find something to do."""
    found = []
    for n, (width, height) in ((400, (9, 6)), (300, (5, 8))):
        rng = np.random.default_rng(n)
        events = np.zeros(n, EVENT)
        events["x"], events["y"] = rng.integers(0, width, n), rng.integers(0, height, n)
        events["t"], events["p"] = np.sort(rng.integers(0, 40_000, n)), rng.integers(0, 2, n)
        found.append(Events.of(events, (width, height)))
    return [found[0], Events([found[1].array[:100], found[1].array[100:]], found[1].size)]


EVENTS = recordings()
SIGNALS = {"bsa": CHANNELS, "lyon": SOUNDS, "poisson": IMAGES}
FOLDERS = {
    "audio": audio_folder,
    "digits": none_needed,
    "events": event_files,
    "fsdd": fsdd_folder,
    "idx": idx_folder,
    "images": image_folder,
    "nmnist": nmnist_files,
    "ti46": ti46_folder,
    "tonic": tonic_files,
}


def written(package, *kinds: type) -> Iterator[type[Plugin]]:
    """Every finished plugin class of a package's modules."""
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        for found in vars(importlib.import_module(module.name)).values():
            if inspect.isclass(found) and issubclass(found, kinds) and not inspect.isabstract(found):
                yield found


@pytest.mark.parametrize("name", ENCODERS.names())
def test_encoder(name):
    plugin = ENCODERS.get(name)()
    signals = EVENTS if name == "dvs" or isinstance(plugin, EventTransform) else SIGNALS[name]
    (check_transform if isinstance(plugin, Transform) else check_encoder)(plugin, signals)


@pytest.mark.parametrize("name", SOURCES.names())
def test_reader(name, tmp_path):
    check_reader(SOURCES.get(name)(**FOLDERS[name](tmp_path)))


def test_every_plugin_that_is_written_is_registered():
    rooms = (spikeprep.encoders, spikeprep.transforms)
    plugins = {found.name: found for room in rooms for found in written(room, Encoder, Transform)}
    assert {"dvs", "event_crop"} <= set(plugins)
    assert {name: ENCODERS.get(name) for name in plugins} == plugins
    readers = {found.name: found for found in written(spikeprep.sources, Source) if hasattr(found, "name")}
    assert readers
    assert {name: SOURCES.get(name) for name in readers} == readers


def test_the_public_names_are_the_plugins():
    for name in ENCODERS.names():
        found = ENCODERS.get(name)
        room = spikeprep.transforms if issubclass(found, EventTransform) else spikeprep.encoders
        assert getattr(room, found.__name__) is found
        assert found.__name__ in room.__all__


@pytest.mark.parametrize(
    ("registry", "name", "near"), [(ENCODERS, "poison", "poisson"), (SOURCES, "digit", "digits")]
)
def test_an_unknown_name_has_its_near_miss(registry, name, near):
    with pytest.raises(UsageError, match=f"Did you mean '{near}'"):
        registry.get(name)
