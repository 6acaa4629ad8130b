"""Files that change between the moment they are hashed and the moment they are decoded: the encoding fails."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path

import numpy as np
import pytest
from spikeprep_cli.main import main

from spikeprep.encoding import run
from spikeprep.encoding.run import encode
from spikeprep.errors import DataError, StoreError
from spikeprep.recipes import Recipe
from spikeprep.sources import event_recordings, images, series_files, videos
from spikeprep.sources.audio import AudioFiles
from spikeprep.sources.events import EventFolder
from spikeprep.store import SpikeStore

from .idx_files import pictures, write_idx
from .sound_files import spoken, wav
from .test_contract import FOLDERS, MORE

DVS = [{"name": "dvs", "bin_us": 1000}]
CHAINS = {
    "audio": [{"name": "lyon"}, {"name": "bsa"}],
    "events": DVS,
    "fsdd": [{"name": "lyon"}, {"name": "bsa"}],
    "idx": [{"name": "poisson", "steps": 8}],
    "images": [{"name": "poisson", "steps": 8}],
    "nmnist": DVS,
    "series": [{"name": "step_forward"}],
    "spikes": DVS,
    "ti46": [{"name": "lyon"}, {"name": "bsa"}],
    "tonic": DVS,
    "video": [{"name": "video_to_events"}, *DVS],
}


def recipe_of(name: str) -> Recipe:
    if name == "tonic":
        pytest.importorskip("tonic")
    settings = {**MORE.get(name, {}), **({"size": [80, 80]} if name == "tonic" else {})}
    return Recipe(name="test", title="", citation="", source={"name": name, **settings}, chain=CHAINS[name])


def reversed_content(data: bytes) -> bytes:
    """Keep a header, and turn the rest around: a sound or an image of the same size, which still decodes."""
    return data[:44] + data[:43:-1]


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "reversed": reversed_content,
    "cut": lambda data: data[: len(data) // 2],
    "longer": lambda data: data + data[-8:],
    "one bit": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "inverted": lambda data: data[:44] + bytes(255 - byte for byte in data[44:]),
}


def changing(monkeypatch: pytest.MonkeyPatch, folder: Path, change: Callable[[bytes], bytes]) -> None:
    """Change every file once the store is opened: what it records of the data is then decided."""
    opened = run.SpikeWriter.open

    def then_changed(*arguments, **options):
        writer = opened(*arguments, **options)
        for file in folder.rglob("*"):
            if file.is_file() and not file.name.endswith((".csv", ".gz")):
                file.write_bytes(change(file.read_bytes()))
        return writer

    monkeypatch.setattr(run.SpikeWriter, "open", then_changed)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", [name for name in FOLDERS if name not in ("idx", "spikes")])
def test_files_that_change_fail_the_encoding(tmp_path, monkeypatch, name, change):
    monkeypatch.setattr(images, "_KEPT_BYTES", 0)
    monkeypatch.setattr(videos, "_KEPT_BYTES", 0)
    monkeypatch.setattr(series_files, "_HELD_BYTES", 0)
    data = FOLDERS[name](tmp_path / "data")
    recipe = recipe_of(name)
    changing(monkeypatch, tmp_path / "data", CHANGES[change])
    with pytest.raises(DataError, match="has changed while it was read") as error:
        encode(recipe, tmp_path / "store.zarr", source_path=data, workers=1)
    assert str(tmp_path / "data") in str(error.value)
    with pytest.raises(StoreError):
        SpikeStore.open(tmp_path / "store.zarr")


def test_the_exit_code_is_that_of_bad_data(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(images, "_KEPT_BYTES", 0)
    data = FOLDERS["images"](tmp_path / "data")
    changing(monkeypatch, data, CHANGES["inverted"])
    with pytest.raises(SystemExit) as exit_:
        main(["encode", "images", "--source", str(data), "--out", str(tmp_path / "store.zarr")])
    assert exit_.value.code == 3
    assert "has changed while it was read" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["idx", "images", "series", "spikes", "video"])
def test_what_is_kept_in_memory_does_not_change(tmp_path, monkeypatch, name):
    data, recipe = FOLDERS[name](tmp_path / "data"), recipe_of(name)
    encode(recipe, tmp_path / "before.zarr", source_path=data)
    changing(monkeypatch, data, CHANGES["inverted"])
    encode(recipe, tmp_path / "after.zarr", source_path=data)
    before, after = (SpikeStore.open(tmp_path / f"{name}.zarr") for name in ("before", "after"))
    assert before.attributes == after.attributes
    for n in range(len(before["train"])):
        np.testing.assert_array_equal(before["train"][n], after["train"][n])


class Elsewhere(Executor):
    """Runs tasks as another process would: from their pickles, which open the source again."""

    def submit(self, function, /, *arguments, **options):
        future = Future()
        try:
            function, arguments = pickle.loads(pickle.dumps((function, arguments)))
            future.set_result(function(*arguments, **options))
        except Exception as error:
            future.set_exception(error)
        return future


def test_files_that_do_not_change_pass_in_other_processes(tmp_path):
    data, recipe = FOLDERS["audio"](tmp_path / "data"), recipe_of("audio")
    encode(recipe, tmp_path / "store.zarr", source_path=data, executor=Elsewhere())
    encode(recipe, tmp_path / "here.zarr", source_path=data)
    stores = [SpikeStore.open(tmp_path / f"{name}.zarr")["train"] for name in ("store", "here")]
    for n in range(len(stores[0])):
        np.testing.assert_array_equal(stores[0][n], stores[1][n])


def _changed_sounds(data: Path) -> None:
    for file in data.rglob("*.wav"):
        file.write_bytes(reversed_content(file.read_bytes()))


def _changed_digits(data: Path) -> None:
    images, labels = pictures(20)
    write_idx(data, 255 - images, labels)


def _changed_labels(data: Path) -> None:
    table = data / "table.csv"
    table.write_text(
        table.read_text().replace(",no", ",maybe").replace(",yes", ",no").replace(",maybe", ",yes")
    )


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("audio", _changed_sounds),
        ("idx", _changed_digits),
        ("images", None),
        ("nmnist", None),
        ("audio", _changed_labels),
    ],
)
def test_files_that_change_fail_the_workers_in_other_processes(tmp_path, monkeypatch, name, change):
    """Such workers did not hash the files themselves: they compare with what the planning process read."""
    data, recipe = FOLDERS[name](tmp_path / "data"), recipe_of(name)
    source = data
    if change is _changed_labels:
        source = data / "table.csv"
        files = sorted(data.rglob("*.wav"))
        source.write_text("path,label\n" + "".join(f"{f.relative_to(data)},{f.parent.name}\n" for f in files))
    opened = run.SpikeWriter.open

    def then_changed(*arguments, **options):
        writer = opened(*arguments, **options)
        if change:
            change(data)
        else:
            for file in data.rglob("*.*"):
                file.write_bytes(CHANGES["one bit"](file.read_bytes()))
        return writer

    monkeypatch.setattr(run.SpikeWriter, "open", then_changed)
    with pytest.raises(DataError, match=r"has changed|cannot be used|cannot read"):
        encode(recipe, tmp_path / "store.zarr", source_path=source, executor=Elsewhere())
    with pytest.raises(StoreError):
        SpikeStore.open(tmp_path / "store.zarr")


def test_a_recording_that_is_streamed_is_checked_in_every_pass(tmp_path, monkeypatch):
    monkeypatch.setattr(event_recordings, "IN_MEMORY_EVENTS", 50)
    data = FOLDERS["events"](tmp_path / "data")
    source = EventFolder(path=str(data), test_share=0)
    sample = source.read("train", 0)
    assert len(sample.signal.array) == 400
    file = data / sample.id
    file.write_bytes(CHANGES["one bit"](file.read_bytes()))
    with pytest.raises(DataError, match="has changed while it was read"):
        list(sample.signal.pieces)


def test_a_file_that_is_cut_while_it_is_decoded_is_no_crash(tmp_path):
    """A mapped file would end the process here."""
    rows = np.zeros(200_000, [("x", "<u2"), ("y", "<u2"), ("t", "<i8"), ("p", "?")])
    rows["t"] = np.arange(len(rows))
    (tmp_path / "class").mkdir()
    np.save(tmp_path / "class" / "a.npy", rows)
    source = EventFolder(path=str(tmp_path), test_share=0, size=(9, 9), options={"unit": "us"})
    pieces = iter(source.read("train", 0).signal.pieces) if source.splits() else iter(())
    next(pieces)
    with (tmp_path / "class" / "a.npy").open("r+b") as file:
        file.truncate(100)
    with pytest.raises(DataError, match="has changed while it was read"):
        list(source.read("train", 0).signal.pieces)


def test_a_table_names_files_below_its_folder(tmp_path):
    inside, outside = tmp_path / "data", tmp_path / "other"
    for folder in (inside / "a", outside):
        folder.mkdir(parents=True)
        (folder / "one.wav").write_bytes(wav(spoken(1)))
    (inside / "link.wav").symlink_to(outside / "one.wav")
    (inside / "linked").symlink_to(outside)
    table = inside / "table.csv"
    table.write_text("path,label\na/one.wav,x\na/../a/../a/two.wav,x\n")
    assert len(AudioFiles(path=str(table))._files.entries) == 2
    for path in (
        "../other/one.wav",
        str(outside / "one.wav"),
        "link.wav",
        "linked/one.wav",
        "a/../../other/one.wav",
    ):
        table.write_text(f"path,label\na/one.wav,x\n{path},y\n")
        with pytest.raises(DataError, match=r"line 3 names .*, which is not below .*source\.outside=true"):
            AudioFiles(path=str(table)).splits()
        assert AudioFiles(path=str(table), outside=True, test_share=0).splits() == {"train": 2}
    table.write_text(f"path,label\n{inside / 'a' / 'one.wav'},x\n")
    assert AudioFiles(path=str(table), test_share=0).splits() == {"train": 1}
