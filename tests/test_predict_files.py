"""`predict` on raw files: the spikes of the store's samples, and what cannot be used."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from spikeprep_cli.main import main

import spikeprep
from spikeprep.encoders.poisson import Poisson
from spikeprep.encoding.raw_files import RawFiles, StoredEncoding
from spikeprep.errors import DataError, StoreError, UsageError

from .sources.event_folders import class_folder, moving_bar
from .sources.idx_files import pictures, write_idx
from .sources.sound_files import spoken, wav

QUICK = {"epochs": 1, "arch": "8", "device": "cpu", "progress": False}


def shell(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


def trained(folder: Path, recipe: str, source: Path, **settings) -> Path:
    """Encode a store and train a small network on it; return the run."""
    store = spikeprep.encode(
        recipe, folder / f"{recipe}.zarr", source=source, settings=settings, progress=False
    )
    run = folder / f"run-{recipe}"
    train = {"validation": 0, "init": 4.0, "thresholds": [2.0, 2.0], "loss.target": 4, "loss.off_target": 0,
             "loss.margin": 1}  # fmt: skip
    spikeprep.train(store, run=run, settings=train, **QUICK)
    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("predict")


@pytest.fixture(scope="module")
def images(folder):
    """PNG files, a store of them, and a run."""
    rng = np.random.default_rng(0)
    for label, name in enumerate(("cat", "dog")):
        (folder / "photos" / name).mkdir(parents=True)
        for n in range(5):
            pixels = rng.integers(60 * label, 120 * label + 130, (6, 5), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "photos" / name / f"{n}.png")
    settings = {"poisson.steps": 40, "poisson.rate_max": 0.5, "source.test_share": 0.4}
    return trained(folder, "images", folder / "photos", **settings)


@pytest.fixture(scope="module")
def archives(folder):
    """IDX files, a store of them without MNIST's checks of size, and a run."""
    for split, n in (("train", 12), ("t10k", 7)):
        write_idx(folder / "idx", *pictures(n, seed=n), split=split, gz=split == "t10k")
    settings = {"source.shape": [], "source.class_names": [], "poisson.steps": 30, "poisson.rate_max": 0.5}
    return trained(folder, "mnist", folder / "idx", **settings)


@pytest.fixture(scope="module")
def sounds(folder):
    for label, name in enumerate(("low", "high")):
        (folder / "words" / name).mkdir(parents=True)
        for n in range(4):
            sound = wav(spoken(label, n, 1000 + 90 * n))
            (folder / "words" / name / f"{n}.wav").write_bytes(sound)
    return trained(folder, "audio", folder / "words", **{"source.rate": 0})


@pytest.fixture(scope="module")
def recordings(folder):
    class_folder(folder / "events", each=4)
    return trained(folder, "events", folder / "events", **{"dvs.bin_us": 3000})


def stored_counts(run: Path, split: str = "test") -> dict[str, np.ndarray]:
    """Return id → output counts of the samples of a run's store."""
    stored = spikeprep.predict(run, spikeprep.open_run(run).config.store, split=split, progress=False)
    assert stored.counts.any()
    return dict(zip(stored.samples, stored.counts, strict=True))


@pytest.mark.parametrize(("name", "raw"), [("sounds", "words"), ("recordings", "events")])
def test_files_give_the_spikes_of_the_store(name, raw, folder, request):
    run = request.getfixturevalue(name)
    stored = stored_counts(run, "train")
    files = [folder / raw / id_ for id_ in stored]
    predictions = spikeprep.predict(run, files, batch=4, progress=False)
    assert predictions.samples == tuple(map(str, files))
    np.testing.assert_array_equal(predictions.counts, list(stored.values()))


def test_a_folder_is_its_files(images, folder):
    predictions = spikeprep.predict(images, folder / "photos", progress=False)
    assert predictions.samples == tuple(
        str(folder / "photos" / name / f"{n}.png") for name in ("cat", "dog") for n in range(5)
    )


def test_sample_n_of_an_archive_has_the_random_numbers_of_sample_n(archives, folder):
    file = folder / "idx" / "t10k-images-idx3-ubyte.gz"
    predictions = spikeprep.predict(archives, file, batch=3, progress=False)
    assert predictions.samples == tuple(f"{file}:{n}" for n in range(7))
    np.testing.assert_array_equal(predictions.counts, list(stored_counts(archives).values()))
    train = spikeprep.predict(
        archives, folder / "idx" / "train-images-idx3-ubyte", split="train", progress=False
    )
    np.testing.assert_array_equal(train.counts, list(stored_counts(archives, "train").values()))
    both = spikeprep.predict(archives, folder / "idx", progress=False)
    assert len(both) == 19


def test_the_images_of_an_archive_as_single_files(archives, folder, tmp_path):
    pixels, _ = pictures(7, seed=7)
    Image.fromarray(pixels[0]).save(tmp_path / "0.png")
    Image.fromarray(pixels[1]).save(tmp_path / "1.png")
    found = spikeprep.predict(archives, [tmp_path / "0.png", tmp_path / "1.png"], progress=False)
    expected = spikeprep.predict(archives, pixels[:1], progress=False)
    np.testing.assert_array_equal(found.counts[0], expected.counts[0])
    # a single file is sample 0, wherever it stands
    turned = spikeprep.predict(archives, [tmp_path / "1.png", tmp_path / "0.png"], progress=False)
    np.testing.assert_array_equal(turned.counts[::-1], found.counts)


def test_the_orientation_that_was_decided_for_a_store_holds_for_archives(folder, tmp_path):
    rng = np.random.default_rng(0)
    images = np.zeros((40, 12, 12), np.uint8)
    images[:, 5:7, 1:11] = rng.integers(200, 255, (40, 2, 10))  # lying strokes: transposed ones
    images[::2, 3:9, 3:9] = 255
    write_idx(tmp_path / "raw", images, np.arange(40) % 2)
    write_idx(tmp_path / "raw", images[:6], np.arange(6) % 2, split="test")
    settings = {"source.class_names": [], "source.shape": [], "source.transpose": "auto", "poisson.steps": 20,
                "poisson.rate_max": 0.6}  # fmt: skip
    run = trained(tmp_path, "mnist", tmp_path / "raw", **settings)
    assert "transposed" in spikeprep.open_run(run).config.encoding["note"]
    found = spikeprep.predict(run, tmp_path / "raw" / "test-images-idx3-ubyte", progress=False)
    np.testing.assert_array_equal(found.counts, list(stored_counts(run).values()))
    # a run of before the note was kept needs the store
    old = shutil.copytree(run, tmp_path / "old")
    own = spikeprep.open_run(old).config
    encoding = StoredEncoding("s", own.encoding["chain"], 0, own.unit_shape, None, own.encoding["reader"])
    with pytest.raises(UsageError, match=r"transpose = auto.*Name the run's store"):
        RawFiles(encoding, "test").signals(tmp_path / "raw" / "test-images-idx3-ubyte")


def test_others_are_predicted_where_a_file_cannot_be_used(images, folder, tmp_path):
    Image.new("L", (6, 6), 99).save(tmp_path / "square.png")
    (tmp_path / "note.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    good = folder / "photos" / "cat" / "0.png"
    files = [tmp_path / "square.png", good, tmp_path / "note.txt", tmp_path / "no.png", tmp_path / "empty"]
    done = shell("predict", images, *files, "--json", "--csv", tmp_path / "out.csv")
    assert done.exit_code == 3
    found = json.loads(done.stdout)
    assert [p["sample"] for p in found["predictions"]] == [str(good)]
    assert found["classes"] == ["cat", "dog"]
    assert {Path(f["file"]).name for f in found["failures"]} == {"square.png", "note.txt", "no.png", "empty"}
    for words in ("4 of 5 files", "units 6 × 6; expected 6 × 5", "is no image", "cannot be read", "no files"):
        assert words in done.stderr
    expected = spikeprep.predict(images, good, progress=False)
    assert found["predictions"][0]["counts"] == expected.counts[0].tolist()
    (row,) = csv.DictReader((tmp_path / "out.csv").read_text().splitlines())
    assert row == {
        "sample": str(good),
        "predicted": expected.names[0],
        "spikes_cat": str(expected.counts[0, 0]),
        "spikes_dog": str(expected.counts[0, 1]),
    }


def test_nothing_is_predicted_where_no_file_can_be_used(images, tmp_path):
    with pytest.raises(DataError, match=r"no\.png cannot be read"):
        spikeprep.predict(images, tmp_path / "no.png", progress=False)
    done = shell("predict", images, tmp_path / "no.png", "--json")
    assert (done.exit_code, json.loads(done.stdout)["error"]["exit_code"]) == (3, 3)


def test_what_does_not_fit_a_store_is_named(sounds, recordings, images, tmp_path):
    for name, rate in (("fast", 16000), ("near", 12520)):
        (tmp_path / f"{name}.wav").write_bytes(wav(spoken(0), rate=rate))
    (tmp_path / "short.wav").write_bytes(wav(spoken(0, 1, 40)[10:30]))
    large = moving_bar(0, 0, size=(64, 64))
    np.savez(tmp_path / "large.npz", **{name: large[name] for name in "xytp"}, width=64, height=64)
    cases = [
        (sounds, "fast.wav", r"units 86; expected 78"),
        (sounds, "near.wav", r"steps are of .* the rate is another"),
        (sounds, "short.wav", "too short"),
        (sounds, "large.npz", "an archive of NumPy"),
        (recordings, "large.npz", "size of its sensor"),
        (images, "fast.wav", r"fast\.wav is a WAV sound"),
    ]
    for run, name, words in cases:
        with pytest.raises(DataError, match=words) as caught:
            spikeprep.predict(run, tmp_path / name, progress=False)
        assert "source." not in str(caught.value)
        assert "recipe" not in str(caught.value)


def test_a_store_of_arrays_reads_no_files(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.random((6, 3, 3))
    store = spikeprep.write_store(tmp_path / "a.zarr", images, np.arange(6) % 2, encoder=Poisson(steps=40))
    settings = {"thresholds": [2.0, 2.0], "validation": 0, "loss.loss": "softmax"}
    spikeprep.train(store, run=tmp_path / "run", settings=settings, **QUICK)
    Image.new("L", (3, 3)).save(tmp_path / "a.png")
    with pytest.raises(UsageError, match=r"arrays.*reads no files"):
        spikeprep.predict(tmp_path / "run", tmp_path / "a.png", progress=False)


def test_the_command_takes_stores_and_refuses_places_of_files(images, tmp_path):
    store = spikeprep.open_run(images).config.store
    done = shell("predict", images, store, "--json")
    ids = [p["sample"] for p in json.loads(done.stdout)["predictions"]]
    assert ids == spikeprep.open_store(store)["test"].ids.tolist()
    text = shell("predict", images, store)
    assert (text.exit_code, ids[0] in text.stdout, "output spikes" in text.stdout) == (0, True, True)
    with pytest.raises(StoreError, match="no store"):
        spikeprep.predict(images, tmp_path / "no.zarr", progress=False)
    for place in (tmp_path / "a.txt", tmp_path / "no" / "a.csv", Path(store) / "a.csv", tmp_path):
        assert shell("predict", images, store, "--csv", place).exit_code == 2
