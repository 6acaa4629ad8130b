"""From the files of an event camera to an evaluated network, on the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spikeprep.store import SpikeStore

from ..eventfiles.writing import dat_bytes
from ..sources.event_folders import class_folder, moving_bar, nmnist_folder, poker_folder, put


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    return class_folder(tmp_path_factory.mktemp("recordings"), each=20)


@pytest.fixture(scope="module")
def encoded(recordings, tmp_path_factory, spikeprep):
    out = tmp_path_factory.mktemp("events") / "events.zarr"
    done = spikeprep("encode", "events", "--source", recordings, "--out", out, "--set", "dvs.bin_us=3000")
    assert done.exit_code == 0, done.output
    assert done.stdout.count("48 train + 12 test samples") == 1
    return out


def test_encode_train_evaluate(spikeprep, encoded, tmp_path):
    described = json.loads(spikeprep("inspect", encoded, "--json").stdout)
    assert (described["dt"], described["unit_shape"]) == (0.003, [2, 34, 34])
    train = described["splits"]["train"]
    assert train["steps_min"] < train["steps"]  # each as long as its recording
    assert [plugin["name"] for plugin in described["chain"]] == ["dvs"]
    assert json.loads(spikeprep("verify", encoded, "--json").stdout)["ok"]
    run = tmp_path / "run"
    done = spikeprep(
        "train", encoded, "--run", run, "--arch", "40", "--epochs", "6", "--batch", "4", "--json",
        "--set", "loss.target=20", "--set", "loss.off_target=3", "--set", "loss.margin=3", "--set", "optim.rate=0.02",
        "--set", "validation=0.0",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    document = json.loads(spikeprep("evaluate", run, encoded, "--json").stdout)
    assert document["samples"] == 12
    assert document["accuracy"] >= 0.75  # bars in three places; chance is a third


def test_a_dry_run_shows_what_would_be_written(spikeprep, recordings, tmp_path):
    args = ("encode", "events", "--source", recordings, "--out", tmp_path / "s.zarr", "--dry-run")
    text = spikeprep(*args, "--set", "event_downsample.factor=2", "--set", "merge_polarity.use=true").stdout
    assert "48 train + 12 test samples of 3 classes" in text
    assert "1 × 17 × 17 units" in text
    assert "steps of 1 ms" in text
    assert not (tmp_path / "s.zarr").exists()


def test_a_transform_is_in_the_store_where_it_is_used(spikeprep, recordings, tmp_path):
    settings = ("--set", "event_crop.width=20", "--set", "event_crop.height=10", "--set", "dvs.steps=300")
    done = spikeprep(
        "encode", "events", "--source", recordings, "--out", tmp_path / "s.zarr", *settings, "--json"
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["samples"] == {"train": 48, "test": 12}
    store = SpikeStore.open(tmp_path / "s.zarr")
    assert store.attributes["unit_shape"] == [2, 10, 20]
    assert [plugin["name"] for plugin in store.attributes["chain"]] == ["event_crop", "dvs"]
    assert set(store["train"].steps.tolist()) == {300}


def test_nmnist_and_what_the_published_encoding_makes_of_an_event(spikeprep, tmp_path):
    nmnist_folder(tmp_path / "raw", train=20)
    events = moving_bar(0, 0)[:4]
    events["t"] = 0, 1, 600, 601
    events["x"], events["y"], events["p"] = 5, 6, (0, 1, 0, 1)
    put(tmp_path / "raw/Train/0/00001.bin", events)
    done = spikeprep("encode", "nmnist", "--source", tmp_path / "raw", "--out", tmp_path / "s.zarr")
    assert done.exit_code == 0, done.output
    assert "the last 4 of 20 recordings are the test split" in done.stderr
    store = SpikeStore.open(tmp_path / "s.zarr")
    assert (store.attributes["dt"], store.attributes["unit_shape"]) == (0.0006, [2, 34, 34])
    spikes = store["train"][0]
    assert spikes.shape == (540, 2 * 34 * 34)
    off, on = 6 * 34 + 5, 34 * 34 + 6 * 34 + 5
    assert [tuple(place) for place in np.argwhere(spikes)] == [
        (0, off),
        (1, off),
        (1, on),
        (2, on),
    ]  # ceil(t / 600)
    assert store["train"].ids[0] == "Train/0/00001.bin"
    out = tmp_path / "stable.zarr"
    done = spikeprep(
        "encode", "nmnist", "--source", tmp_path / "raw", "--out", out, "--set", "stabilise_saccades.use=true"
    )
    assert done.exit_code == 0, done.output
    assert [p["name"] for p in SpikeStore.open(out).attributes["chain"]] == ["stabilise_saccades", "dvs"]


def test_a_data_set_of_tonics(spikeprep, tmp_path):
    pytest.importorskip("tonic")
    poker_folder(tmp_path)
    args = ("encode", "tonic:POKERDVS", "--source", tmp_path, "--out", tmp_path / "s.zarr")
    done = spikeprep(*args, "--set", 'source.transforms=[{name="Denoise", filter_time=20000}]', "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["samples"] == {"train": 20, "test": 20}
    attributes = SpikeStore.open(tmp_path / "s.zarr").attributes
    assert attributes["recipe"] == "tonic:POKERDVS"
    assert attributes["classes"] == ["cl", "he", "di", "sp"]
    assert attributes["source"]["reader"]["transforms"] == [{"name": "Denoise", "filter_time": 20000}]
    run = spikeprep(
        "train", tmp_path / "s.zarr", "--epochs", "1", "--limit", "8", "--run", tmp_path / "run", "--json"
    )
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout)["arch"] == "800"  # the recipe's
    again = spikeprep("encode", "tonic:NMNIST", "--source", tmp_path, "--out", tmp_path / "s.zarr")
    assert again.exit_code == 3
    assert "tonic does not find NMNIST" in again.stderr


def test_invalid_events_are_errors_or_noted_with_a_setting(spikeprep, recordings, tmp_path):
    class_folder(tmp_path / "raw", each=5)
    events = moving_bar(0, 9)
    events["x"][[3, 4]] = 50
    put(tmp_path / "raw/bar/odd.bin", events)
    args = ("encode", "events", "--source", tmp_path / "raw", "--out", tmp_path / "s.zarr")
    refused = spikeprep(*args)
    assert refused.exit_code == 3
    assert "bar/odd.bin event 3 at byte 15: x 50" in refused.stderr
    assert "--set source.invalid=drop" in refused.stderr
    assert not (tmp_path / "s.zarr").exists()
    done = spikeprep(*args, "--set", "source.invalid=drop")
    assert done.exit_code == 0, done.output
    assert "attention: events dropped: 2 (in bar/odd.bin)" in done.stderr
    assert "events dropped: 2" in SpikeStore.open(tmp_path / "s.zarr").attributes["source"]["findings"][0]
    without = spikeprep(*args[:-1], tmp_path / "other.zarr", "--set", "source.skip_bad=true")
    assert without.exit_code == 0, without.output
    assert "left out: bar/odd.bin" in without.stderr


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["nmnist"], 3, "garrickorchard"),
        (["nmnist", "--source", "nowhere"], 3, "nowhere does not exist"),
        (["nmnist", "--source", "."], 3, "no folder Train"),
        (["events", "--source", "."], 3, "no class folders"),
        (["tonic:DVSGesture"], 3, "save_to"),
        (["tonic", "--source", "."], 2, "no data set is named"),
        (["tonic:DVSGestures", "--source", "."], 2, "Did you mean 'DVSGesture'"),
        (["nmnist", "--set", "dvs.bin_us=0"], 2, "got --set dvs.bin_us=0"),
        (["nmnist", "--set", "stabilise_saccades.use=maybe"], 2, "true or false"),
        (["events", "--set", "source.size=[640]"], 2, "[width, height]"),
    ],
)  # fmt: skip
def test_encode_refuses(spikeprep, tmp_path, monkeypatch, args, code, words):
    monkeypatch.chdir(tmp_path)
    done = spikeprep("encode", *args, "--out", "s.zarr")
    assert done.exit_code == code, done.output
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "s.zarr").exists()


def test_one_sensor_after_another(spikeprep, tmp_path):
    class_folder(tmp_path / "raw", each=3)
    events = moving_bar(0, 1, size=(64, 48))
    (tmp_path / "raw/bar/x.dat").write_bytes(dat_bytes(events, header="% Height 48\n% Width 64\n"))
    done = spikeprep("encode", "events", "--source", tmp_path / "raw", "--out", tmp_path / "s.zarr")
    assert done.exit_code == 3
    assert "(2, 48, 64)" in done.stderr
    assert "(2, 34, 34)" in done.stderr
    one = spikeprep(
        "encode",
        "events",
        "--source",
        tmp_path / "raw",
        "--out",
        tmp_path / "s.zarr",
        "--set",
        "source.size=[64,48]",
    )
    assert one.exit_code == 0, one.output


def test_too_large_samples_are_rejected_before_encoding(spikeprep, recordings, tmp_path):
    args = ("--set", "source.size=[1280,720]", "--set", "dvs.bin_us=1")
    done = spikeprep("encode", "events", "--source", recordings, "--out", tmp_path / "s.zarr", *args)
    assert done.exit_code == 2
    assert "1,843,200 units" in done.stderr
    assert "wider steps" in done.stderr


def test_plot(spikeprep, encoded, tmp_path):
    done = spikeprep("plot", encoded, "--sample", "3", "--split", "train", "--out", tmp_path / "a.png")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    done = spikeprep("plot", encoded, "--sample", "12", "--out", tmp_path / "b.png")
    assert done.exit_code == 2
    assert "0 to 11" in done.stderr


def test_list(spikeprep):
    names = {entry["name"] for entry in json.loads(spikeprep("list", "recipes", "--json").stdout)["recipes"]}
    assert {"nmnist", "events", "tonic:NAME"} <= names
    sources = {
        entry["name"] for entry in json.loads(spikeprep("list", "sources", "--json").stdout)["sources"]
    }
    assert {"nmnist", "events", "tonic"} <= sources
