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
from spikeprep.errors import DataError, RunError, SignalError, StoreError, UsageError

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


def test_a_csv_file_of_another_kind_stays(images, tmp_path):
    store = spikeprep.open_run(images).config.store
    file = tmp_path / "labels.csv"
    file.write_text("file,label\na.png,1\n")
    for arguments in (("predict", images, store, "--csv"), ("evaluate", images, store, "--predictions")):
        done = shell(*arguments, file)
        assert (done.exit_code, "has other columns" in done.stderr, "--overwrite" in done.stderr) == (
            2,
            True,
            True,
        )
        assert file.read_text() == "file,label\na.png,1\n"
    with pytest.raises(UsageError, match="remove the file"):
        spikeprep.train(store, run=tmp_path / "run", csv=file, progress=False)
    assert not (tmp_path / "run").exists()
    assert shell("predict", images, store, "--csv", file, "--overwrite").exit_code == 0
    assert file.read_text().startswith("sample,predicted,spikes_cat,spikes_dog\n")
    assert shell("predict", images, store, "--csv", file).exit_code == 0  # its own
    assert shell("evaluate", images, store, "--predictions", file).exit_code == 2
    found = spikeprep.predict(images, store, progress=False)
    for content in (b"\xff\xfe\x00", b'"', b"sample,predicted,mine\n"):
        file.write_bytes(content)
        with pytest.raises(UsageError, match="other columns"):
            found.write_csv(file)
    file.write_bytes(b"")
    found.write_csv(file)
    link = tmp_path / "link.csv"
    link.symlink_to(tmp_path / "nothing")
    with pytest.raises(UsageError, match="other columns"):
        found.write_csv(link)


def test_a_store_of_another_encoding_and_splits_that_there_are_not(images, folder, tmp_path):
    file = folder / "photos" / "cat" / "0.png"
    settings = {"poisson.steps": 50, "poisson.rate_max": 0.5, "source.test_share": 0.4}
    other = spikeprep.encode(
        "images", tmp_path / "o.zarr", source=folder / "photos", settings=settings, progress=False
    )
    done = shell("predict", images, file, "--store", other.path)
    assert (done.exit_code, "poisson.steps" in done.stderr, "--other-encoding" in done.stderr) == (
        4,
        True,
        True,
    )
    assert shell("predict", images, file, "--store", other.path, "--other-encoding").exit_code == 0
    assert shell("predict", images, other.path, "--other-encoding").exit_code == 0
    for kind in ("confusion", "layers", "misclassified"):
        with pytest.raises(RunError, match="encoded otherwise"):
            spikeprep.draw(images, kind=kind, store=other)
        spikeprep.draw(images, kind=kind, store=other, other_encoding=True)
    for signals in (file, np.zeros((6, 5))):
        with pytest.raises(UsageError, match=r"split = 'trian'.*Did you mean 'train'"):
            spikeprep.predict(images, signals, split="trian", progress=False)
    own = spikeprep.predict(images, file, progress=False)
    train = spikeprep.predict(images, file, split="train", progress=False)
    assert (own.counts != train.counts).any()


def test_a_split_and_iterators(images, folder):
    store = spikeprep.open_store(spikeprep.open_run(images).config.store)
    for name in store:
        found = spikeprep.predict(images, store[name], progress=False)
        expected = spikeprep.predict(images, store, split=name, progress=False)
        np.testing.assert_array_equal(found.counts, expected.counts)
        assert found.samples == expected.samples
    with pytest.raises(UsageError, match="Leave split out"):
        spikeprep.predict(images, store["test"], split="train", progress=False)
    files = sorted((folder / "photos" / "cat").iterdir())
    assert spikeprep.predict(images, iter(files), progress=False).samples == tuple(map(str, files))
    assert len(spikeprep.predict(images, (np.zeros((6, 5)) for _ in range(3)), progress=False)) == 3


def test_what_predict_takes_is_said(images, folder):
    file = folder / "photos" / "cat" / "0.png"
    with Image.open(file) as image:
        cases = [
            (b"0.png", UsageError, "paths of files, signals"),
            ([file, np.zeros((6, 5))], UsageError, "paths alone"),
            (image, UsageError, r"numpy\.asarray"),
            ([object()], SignalError, "Pass paths of files, signals"),
        ]
        for signals, kind, words in cases:
            with pytest.raises(kind, match=words):
                spikeprep.predict(images, signals, progress=False)


def test_progress_counts_the_samples_of_archives(archives, images, folder):
    shown: list[tuple[int, int]] = []
    file = folder / "idx" / "t10k-images-idx3-ubyte.gz"
    photo = folder / "photos" / "cat" / "0.png"  # of another size
    spikeprep.predict(archives, [file, photo], progress=lambda *pair: shown.append(pair))
    assert (shown[0], shown[-1]) == ((0, 2), (8, 8))
    assert (7, 8) in shown


def test_scikit_learns_digits_take_idx_files(tmp_path):
    settings = {"poisson.steps": 40, "poisson.rate_max": 0.5}
    store = spikeprep.encode("digits", tmp_path / "d.zarr", settings=settings, limit=20, progress=False)
    training = {
        "validation": 0,
        "thresholds": [2.0, 2.0],
        "loss.target": 4,
        "loss.off_target": 0,
        "loss.margin": 1,
    }
    spikeprep.train(store, run=tmp_path / "run", settings=training, **QUICK)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8), dtype=np.uint8)
    write_idx(tmp_path / "idx", pixels, np.arange(3), split="test", gz=True)
    file = tmp_path / "idx" / "test-images-idx3-ubyte.gz"
    found = spikeprep.predict(tmp_path / "run", file, progress=False)
    expected = spikeprep.predict(tmp_path / "run", pixels, progress=False)
    np.testing.assert_array_equal(found.counts, expected.counts)
    Image.fromarray(pixels[0]).save(tmp_path / "0.png")
    single = spikeprep.predict(tmp_path / "run", tmp_path / "0.png", progress=False)
    np.testing.assert_array_equal(single.counts, expected.counts[:1])


def test_options_of_draw_that_do_not_fit(images, tmp_path):
    store = spikeprep.open_store(spikeprep.open_run(images).config.store)
    cases = [
        (store, {"store": store}, "store = .* does not use it"),
        (store, {"other_encoding": True}, "does not use it"),
        (store, {"sample": "3"}, "sample = '3'"),
        (store, {"sample": 2.0}, "sample = 2.0"),
        (store, {"kind": "encoders", "vary": ["poisson.steps"]}, "vary = "),
        (store, {"kind": "encoders", "vary": {"poisson.steps": 3}}, "vary = "),
        (store, {"split": 3}, "split = 3"),
        (store["test"], {}, "Pass the store, and use split=test"),
        (3, {}, "got int to draw"),
    ]
    for what, options, words in cases:
        with pytest.raises(UsageError, match=words):
            spikeprep.draw(what, **options)
    (tmp_path / "folder.png").mkdir()
    for place, words in (("folder.png", "is a folder"), ("no/o.png", "does not exist")):
        done = shell("plot", store.path, "--out", tmp_path / place)
        assert (done.exit_code, words in done.stderr, "overwrite" in done.stderr) == (2, True, False)
    assert "example: --vary bsa.theta=0.4,0.8" in shell("plot", "s", "--out", "a.png", "--vary", "=3").stderr


def test_sounds_and_recordings_have_no_variants(sounds, recordings):
    for run, words in ((sounds, "is of sounds"), (recordings, "is of recordings")):
        with pytest.raises(UsageError, match=words):
            spikeprep.draw(spikeprep.open_run(run).config.store, kind="variants", variants=2)
