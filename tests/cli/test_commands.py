"""Every command, from the arguments to what is printed and written, on a store of real digits."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from spikeprep_cli.main import COMMANDS

from spikeprep import plot
from spikeprep import system as machine
from spikeprep.store import SpikeStore

from ..sources.sound_files import put, spoken, wav

PNG = b"\x89PNG\r\n\x1a\n"


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def a_shard(store):
    (shard,) = (store / "test" / "spikes" / "c").rglob("0/0/0")
    return shard


def flip(path, position):
    data = bytearray(path.read_bytes())
    data[position] ^= 0x10
    path.write_bytes(data)


# list, doctor


def test_list_shows_a_broken_plugin_and_all_others(spikeprep, tmp_path, monkeypatch):
    info = tmp_path / "other-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[spikeprep.encoders]\nbroken = no_such_module_at_all:X\n")
    monkeypatch.syspath_prepend(tmp_path)
    entries = {e["name"]: e for e in json.loads(spikeprep("list", "encoders", "--json").stdout)["encoders"]}
    assert "Repair or reinstall other" in entries["broken"]["title"]
    assert "poisson" in entries


@pytest.mark.skipif(os.name != "posix", reason="a POSIX shell")
@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_a_caller_may_have_closed_the_output(closed):
    command = f'"{sys.executable}" -m spikeprep list encoders {closed}'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_doctor(spikeprep):
    done = spikeprep("doctor")
    document = json.loads(spikeprep("doctor", "--json").stdout)
    assert done.exit_code == 0
    assert {p["name"] for p in document["packages"]} >= {"numpy", "numba", "zarr", "click"}
    assert next(d for d in document["devices"] if d["name"] == "cpu")["available"]
    assert document["cores"] >= 1
    for extra in document["extras"]:
        assert extra["name"] in done.stdout
        assert extra["installed"] or extra["install"] in done.stdout


def test_doctor_names_what_is_missing_and_the_command_that_installs_it(spikeprep, monkeypatch):
    there = machine._version
    monkeypatch.setattr(
        machine, "_version", lambda name: None if name in ("numba", "matplotlib") else there(name)
    )
    done = spikeprep("doctor")
    assert done.exit_code == 5
    assert "numba is not installed: python -m pip install 'numba" in done.stderr
    assert "python -m pip install 'spikeprep[plot]'" in done.stdout


# encode


def test_encoding_again_changes_nothing_and_reports_it(spikeprep, tmp_path):
    args = ["encode", "digits", "--out", tmp_path / "a.zarr", "--limit", "5"]
    first = spikeprep(*args)
    assert first.exit_code == 0
    assert "5 train + 5 test samples" in first.stdout
    before = files(tmp_path)
    again = spikeprep(*args, "--workers", "1")
    assert again.exit_code == 0
    assert "complete already" in again.stdout
    assert files(tmp_path) == before


def test_encode_json(spikeprep, tmp_path):
    done = spikeprep("encode", "digits", "--out", tmp_path / "a.zarr", "--limit", "5", "--json")
    document = json.loads(done.stdout)
    assert document["samples"] == {"train": 5, "test": 5}
    assert document["encoded"] == 10
    assert document["bytes_per_sample"] == document["stored_bytes"] / 10


def test_encode_settings_reach_the_chain(spikeprep, tmp_path):
    out = tmp_path / "a.zarr"
    done = spikeprep(
        "encode", "digits", "--out", out, "--limit", "2", "--seed", "7", "--set", "poisson.steps=23"
    )
    assert done.exit_code == 0
    store = SpikeStore.open(out)
    assert store["train"].max_steps == 23
    assert (store.attributes["seed"], store.attributes["chain"][-1]["steps"]) == (7, 23)


def test_encode_dry_run_writes_nothing(spikeprep, tmp_path):
    done = spikeprep("encode", "digits", "--out", tmp_path / "a.zarr", "--dry-run")
    assert done.exit_code == 0
    assert "1,442 train + 355 test samples of 10 classes" in done.stdout
    document = json.loads(
        spikeprep("encode", "digits", "--out", tmp_path / "a.zarr", "--dry-run", "--json").stdout
    )
    assert (document["unit_shape"], document["estimated_bytes"] > 0) == ([8, 8], True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["digtis"], 2, ["'digtis'", "Did you mean 'digits'?"]),
        (["digits", "--set", "poisson.stpes=3"], 2, ["'stpes'", "Did you mean 'steps'?"]),
        (["digits", "--set", "posson.steps=3"], 2, ["'posson.steps'", "Did you mean 'poisson.steps'?"]),
        (["digits", "--set", "poisson.steps=0"], 2, ["poisson", "steps"]),
        (["digits", "--set", "poisson.steps=many"], 2, ["poisson", "many"]),
        (["digits", "--set", "elastic.sigma=nan"], 2, ["got --set elastic.sigma=nan; expected a number at"]),
        (["digits", "--set", "copies=inf"], 2, ["got --set copies=inf; expected a whole number"]),
        (["digits", "--set", "train.batch=nan"], 2, ["got --set train.batch=nan; expected finite"]),
        (["digits", "--encoder", "dvs"], 2, ["the chain dvs", "a source of images: dvs: got", "encoders`"]),
        (["digits", "--source", "."], 2, ["needs no raw data"]),
        (["mnist"], 3, ["train-images-idx3-ubyte", "--source"]),
        (["mnist", "--source", "nowhere"], 3, ["nowhere", "--source"]),
        (["images", "--source", "empty"], 3, ["empty"]),
    ],
)
def test_encode_refuses_and_writes_nothing(spikeprep, tmp_path, monkeypatch, args, code, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    done = spikeprep("encode", *args, "--out", "a.zarr")
    assert (done.exit_code, done.stdout) == (code, "")
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["empty"]


def test_encode_never_mixes_configurations(spikeprep, store):
    before = files(store)
    args = ["encode", "digits", "--out", store, "--limit", "30", "--set", "poisson.steps=50"]
    done = spikeprep(*args)
    assert done.exit_code == 4
    assert "200 in the store, 50 requested" in done.stderr
    assert "--overwrite" in done.stderr
    assert files(store) == before
    assert spikeprep(*args, "--overwrite").exit_code == 0
    assert SpikeStore.open(store)["train"].max_steps == 50


def test_encode_never_replaces_other_files(spikeprep, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    done = spikeprep("encode", "digits", "--out", tmp_path, "--overwrite", "--limit", "2")
    assert done.exit_code == 4
    assert files(tmp_path) == {"thesis.txt": b"years of work"}


def test_an_interrupted_encode_resumes_to_the_same_bytes(spikeprep, store, tmp_path, monkeypatch):
    import spikeprep.encoding.run as pipeline

    def interrupt(*_):
        raise KeyboardInterrupt

    args = ["encode", "digits", "--out", tmp_path / "b.zarr", "--limit", "30"]
    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "_encode_shard", interrupt)
        done = spikeprep(*args)
    assert done.exit_code == 130
    assert f"To resume: spikeprep encode digits --out {tmp_path / 'b.zarr'} --limit 30" in done.stderr
    assert spikeprep("inspect", tmp_path / "b.zarr").stdout.count("NOT COMPLETE") == 1
    assert spikeprep("verify", tmp_path / "b.zarr").exit_code == 4
    assert spikeprep(*args).exit_code == 0
    assert files(tmp_path / "b.zarr") == files(store)


# inspect, verify


def test_inspect_json_is_what_is_in_the_store(spikeprep, store):
    done = spikeprep("inspect", store, "--json")
    document = json.loads(done.stdout)
    opened = SpikeStore.open(store)
    assert (done.exit_code, done.stderr) == (0, "")
    assert document.pop("digest") == opened.digest()
    assert document.pop("findings") == []
    assert {k: v for k, v in document.items() if k != "splits"} == opened.attributes
    assert list(document["splits"]) == ["train", "test"]
    for name, split in document["splits"].items():
        reader = opened[name]
        dense = [reader[i] for i in range(len(reader))]
        assert (split["samples"], split["steps"], split["steps_min"], split["units"]) == (30, 200, 200, 64)
        assert split["density"] == pytest.approx(np.mean(dense))
        on_disk = sum(p.stat().st_size for p in (store / name).rglob("*") if p.is_file())
        assert (split["bytes"], split["bytes_per_sample"]) == (on_disk, on_disk / 30)
        assert split["class_counts"] == {str(c): int((reader.labels == c).sum()) for c in range(10)}


def test_inspect_as_text(spikeprep, store):
    text = spikeprep("inspect", store).stdout
    for words in (
        "digits",
        "units 8 × 8, 1 ms per step, seed 0",
        "poisson(steps=200",
        "train",
        "test",
        "density",
    ):
        assert words in text


def test_inspect_a_run(spikeprep, run_folder):
    document = json.loads(spikeprep("inspect", run_folder, "--json").stdout)
    assert document["config"]["settings"]["arch"] == "200"
    assert [(e["epoch"], e["test_accuracy"]) for e in document["epochs"]] == [(1, 0.9), (2, 0.94), (3, 0.95)]
    text = spikeprep("inspect", run_folder).stdout
    for words in ("64-200-10 on digits.zarr, 3 epochs finished", "batch=32", "psp.window=", "94.00%"):
        assert words in text


@pytest.mark.parametrize("command", ["inspect", "plot"])
@pytest.mark.parametrize("damage", ["config.json", "journal.jsonl"])
def test_a_damaged_run_is_exit_code_4(spikeprep, run_folder, tmp_path, command, damage):
    path = run_folder / damage
    path.write_text("}{\n" + path.read_text())
    done = spikeprep(command, run_folder, *(["--out", tmp_path / "p.png"] if command == "plot" else []))
    assert (done.exit_code, done.stdout) == (4, "")
    assert damage in done.stderr
    assert not (tmp_path / "p.png").exists()


def test_verify(spikeprep, store):
    done = spikeprep("verify", store)
    assert (done.exit_code, "OK: 60 samples verified" in done.stdout) == (0, True)
    document = json.loads(spikeprep("verify", store, "--json").stdout)
    assert (document["ok"], document["problems"]) == (True, [])


def test_verify_encodes_again(spikeprep, store, tmp_path):
    assert "5 of them encoded again" in spikeprep("verify", store, "--reencode", "5").stdout
    images = tmp_path / "images"
    for label in "ab":
        (images / label).mkdir(parents=True)
        for n in range(3):
            (images / label / f"{n}.pgm").write_bytes(b"P5 4 4 255\n" + bytes([80 * n]) * 16)
    assert spikeprep("encode", "images", "--source", images, "--out", tmp_path / "i.zarr").exit_code == 0
    done = spikeprep("verify", tmp_path / "i.zarr", "--reencode", "2", "--source", images)
    assert "2 of them encoded again" in done.stdout
    done = spikeprep("verify", tmp_path / "i.zarr", "--reencode", "2")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "needs the raw data that it was encoded from" in done.stderr
    assert "--source FOLDER" in done.stderr


def test_contradicting_flags_and_a_place_that_ends_with_the_command(spikeprep, tmp_path):
    done = spikeprep("encode", "digits", "--out", tmp_path / "s.zarr", "--overwrite", "--repair")
    assert (done.exit_code, "got --overwrite and --repair; expected one of them" in done.stderr) == (2, True)
    done = spikeprep("encode", "digits", "--out", "memory://s.zarr", "--limit", "2")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "got --out memory://s.zarr" in done.stderr


def test_control_characters_of_a_path_are_not_shown(spikeprep, tmp_path):
    out = tmp_path / "a\n\x1b[31m.zarr"
    for command in (("encode", "digits", "--limit", "3", "--out", out), ("verify", out), ("inspect", out)):
        done = spikeprep(*command)
        assert done.exit_code == 0, done.output
        assert r"a\x0a\x1b[31m.zarr" in done.stdout
        assert "\x1b" not in done.output


def test_verify_names_the_damage(spikeprep, store):
    flip(a_shard(store), 40)
    done = spikeprep("verify", store)
    assert done.exit_code == 4
    assert "test, shard 0, samples 0 to 29" in done.stdout
    assert "1 problem." in done.stderr
    again = spikeprep("verify", store, "--json")
    document = json.loads(again.stdout)
    assert (again.exit_code, document["ok"], len(document["problems"])) == (4, False, 1)


@pytest.mark.parametrize("command", ["inspect", "verify", "plot"])
@pytest.mark.parametrize("what", ["missing", "text", "foreign", "newer"])
def test_a_missing_foreign_or_newer_store_is_exit_code_4(spikeprep, store, tmp_path, command, what):
    path = {"missing": tmp_path / "nothing.zarr", "newer": store}.get(what, tmp_path / "it")
    if what == "text":
        path.mkdir()
        (path / "zarr.json").write_text("hello")
    elif what == "foreign":
        path.mkdir()
        (path / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    elif what == "newer":
        root = json.loads((store / "zarr.json").read_text())
        root["attributes"]["spikeprep"]["format"] = 2
        (store / "zarr.json").write_text(json.dumps(root))
    more = ["--out", tmp_path / "p.png"] if command == "plot" else []
    done = spikeprep(command, path, *more)
    listed = command == "verify" and what == "newer"  # its manifest says what it is: the document is damaged
    assert done.exit_code == 4
    assert done.stdout == ("zarr.json: format version 2; expected at most 1\n" if listed else "")
    assert done.stderr.startswith("spikeprep: ")
    assert str(path) in done.stderr
    assert not (tmp_path / "p.png").exists()


# plot


def test_plot_a_store(spikeprep, store, tmp_path):
    done = spikeprep("plot", store, "--out", tmp_path / "p.png", "--split", "train", "--sample", "3")
    assert (done.exit_code, done.stdout) == (0, "")
    assert (tmp_path / "p.png").read_bytes().startswith(PNG)


def test_plot_a_run(spikeprep, run_folder, tmp_path):
    done = spikeprep("plot", run_folder, "--out", tmp_path / "p.png")
    assert done.exit_code == 0
    assert (tmp_path / "p.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--out", "p.docx"], ["p.docx", ".png"]),
        (["--out", "p.png", "--sample", "30"], ["30", "0 to 29"]),
        (["--out", "p.png", "--sample", "-1"], ["-1", "0 to 29"]),
        (["--out", "p.png", "--split", "tset"], ["'tset'", "Did you mean 'test'?"]),
        (["--out", "p.png", "--split", ""], ["''"]),
        (["--out", "p.png", "--variants", "21"], ["got --variants 21; expected 1 to 20"]),
        (
            ["--out", "p.png", "--kind", "confusion"],
            ["got --kind confusion for a store", "a picture of a run"],
        ),
        (["--out", "p.png", "--kind", "variants", "--sample", "0"], ["got --sample 0", "does not use it"]),
        (["--out", "p.png", "--kind", "animation"], [".gif"]),
        (["--out", "p.gif"], [".gif", ".png"]),
        (["--out", "p.png", "--vary", "poisson.steps"], ["--vary", "KEY=VALUE"]),
        (["--out", "p.png", "--kind", "encoders", "--vary", "poisson.stesp=3"], ["Did you mean 'steps'?"]),
        (["--out", "p.png", "--theme", "blue"], ["light", "dark"]),
    ],
)
def test_plot_refuses(spikeprep, store, tmp_path, monkeypatch, args, words):
    monkeypatch.chdir(tmp_path)
    done = spikeprep("plot", store, *args)
    assert done.exit_code == 2
    for word in words:
        assert word in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == [store.name]


@pytest.mark.parametrize("option", ["--split", "--sample", "--source", "--variants", "--device", "--store"])
def test_plot_of_a_run_refuses_what_is_of_stores(spikeprep, run_folder, tmp_path, option):
    value = "0" if option == "--sample" else "1"  # the default given is refused too
    done = spikeprep("plot", run_folder, option, value, "--out", tmp_path / "p.png")
    assert (done.exit_code, (tmp_path / "p.png").exists()) == (2, False)
    assert f"got {option} {value} for the picture training" in done.stderr


@pytest.mark.parametrize(("option", "value"), [("--split", "test"), ("--sample", "0")])
def test_plot_of_variants_refuses_what_chooses_one_sample(spikeprep, store, tmp_path, option, value):
    done = spikeprep("plot", store, "--variants", "2", option, value, "--out", tmp_path / "p.png")
    assert (done.exit_code, (tmp_path / "p.png").exists()) == (2, False)
    assert f"got {option} {value} for the picture variants" in done.stderr


def gif_frames(path):
    from PIL import Image

    with Image.open(path) as image:
        return image.n_frames


def test_plot_a_store_in_every_kind(spikeprep, store, tmp_path, monkeypatch):
    film = plot.animation
    monkeypatch.setattr(plot, "animation", lambda *args: film(*args, frames=3))
    for kind, ending, more in (
        ("sample", "png", ["--sample", "2", "--theme", "dark"]),
        ("animation", "gif", []),
        ("encoders", "svg", ["--vary", "poisson.rate_max=0.1,0.3", "--vary", "poisson.steps=20"]),
    ):
        out = tmp_path / f"{kind}.{ending}"
        done = spikeprep("plot", store, "--kind", kind, "--out", out, *more, "--json")
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout) == {"path": str(out), "bytes": out.stat().st_size}
    drawn = (tmp_path / "encoders.svg").read_text()
    assert all(f"poisson.{text}" in drawn for text in ("rate_max = 0.1", "rate_max = 0.3", "steps = 20"))
    assert gif_frames(tmp_path / "animation.gif") == 3
    other = tmp_path / "other.gif"
    other.write_bytes(b"GIF89a holiday")
    done = spikeprep("plot", store, "--kind", "animation", "--out", other)
    assert (done.exit_code, other.read_bytes()) == (2, b"GIF89a holiday")


def test_plot_a_trained_run_in_every_kind(spikeprep, store, tmp_path):
    run = tmp_path / "run"
    done = spikeprep("train", store, *NETWORK, "--epochs", "1", "--device", "cpu", "--run", run)
    assert done.exit_code == 0, done.output
    for kind in ("training", "weights", "confusion", "layers", "misclassified"):
        done = spikeprep("plot", run, "--kind", kind, "--out", tmp_path / f"{kind}.svg")
        assert done.exit_code == 0, (kind, done.output)
    assert "30 samples" in (tmp_path / "confusion.svg").read_text()
    done = spikeprep("plot", run, "--kind", "layers", "--sample", "99", "--out", tmp_path / "p.png")
    assert (done.exit_code, "0 to 29" in done.stderr) == (2, True)
    store.rename(tmp_path / "moved.zarr")
    done = spikeprep("plot", run, "--kind", "confusion", "--out", tmp_path / "p.png", "--json")
    assert done.exit_code == json.loads(done.stdout)["error"]["exit_code"] == 4
    assert "--store STORE" in done.stderr
    done = spikeprep(
        "plot", run, "--kind", "confusion", "--store", tmp_path / "moved.zarr", "--out", tmp_path / "p.png"
    )
    assert done.exit_code == 0
    assert not list(tmp_path.glob("*.tmp"))


def test_plot_without_matplotlib_names_the_extra(spikeprep, store, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = spikeprep("plot", store, "--out", tmp_path / "p.png")
    assert done.exit_code == 5
    assert "pip install 'spikeprep[plot]'" in done.stderr


def test_plot_a_run_without_a_finished_epoch(spikeprep, run_folder, tmp_path):
    journal = run_folder / "journal.jsonl"
    journal.write_text(journal.read_text().splitlines()[0] + "\n")
    done = spikeprep("plot", run_folder, "--out", tmp_path / "p.png")
    assert done.exit_code == 2
    assert "no finished epoch" in done.stderr


# train, evaluate


# a small network, and a rate that 100 steps have room for
NETWORK = ("--arch", "12", "--set", "loss.target=16")


@pytest.fixture(scope="module")
def trained(spikeprep, tmp_path_factory):
    """A store of real digits, and a run of two epochs on it."""
    folder = tmp_path_factory.mktemp("trained")
    store, run = folder / "digits.zarr", folder / "run"
    assert spikeprep("encode", "digits", "--out", store, "--limit", "60").exit_code == 0
    done = spikeprep("train", store, *NETWORK, "--epochs", "2", "--batch", "16", "--run", run, "--json")
    assert done.exit_code == 0, done.output
    return store, run, done


def test_train_json(trained):
    _, run, done = trained
    summary = json.loads(done.stdout)
    assert set(summary) >= {
        "run", "epochs", "batch", "arch", "device", "train_accuracy", "test_accuracy", "best_test_accuracy",
        "best_epoch", "seconds_per_epoch", "samples_per_second", "stall_fraction",
    }  # fmt: skip
    assert (summary["run"], summary["epochs"], summary["batch"], summary["arch"]) == (str(run), 2, 16, "12")
    assert 0 < summary["train_accuracy"] <= 1
    assert "epoch 2/2: train" in done.stderr


def test_evaluate_counts_every_sample_once(spikeprep, trained):
    store, run, _ = trained
    for split in ("train", "test"):
        document = json.loads(spikeprep("evaluate", run, store, "--split", split, "--json").stdout)
        confusion = np.array(document["confusion"])
        truth = np.bincount(SpikeStore.open(store)[split].labels, minlength=10)
        np.testing.assert_array_equal(confusion.sum(axis=1), truth)
        assert document["samples"] == 60
        assert document["accuracy"] == np.trace(confusion) / 60
    assert "(60 samples)" in spikeprep("evaluate", run, store).stdout


def test_train_resumes(spikeprep, trained, tmp_path):
    store, _, _ = trained
    run = tmp_path / "run"
    args = ["train", store, *NETWORK, "--batch", "16", "--run", run]
    assert spikeprep(*args, "--epochs", "1").exit_code == 0
    again = spikeprep(*args, "--epochs", "1")
    assert (again.exit_code, "--resume" in again.stderr) == (4, True)
    longer = spikeprep(*args, "--epochs", "3", "--resume", "--json")
    assert longer.exit_code == 0, longer.stderr
    assert json.loads(longer.stdout)["epochs"] == 3
    assert len(json.loads(spikeprep("inspect", run, "--json").stdout)["epochs"]) == 3


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["--arch", "abc"], 2, ["abc", "800-800"]),
        (["--arch", "0"], 2, ["0"]),
        (["--arch", "12", "--set", "optim.raet=1"], 2, ["optim.raet", "optim.rate"]),
        (["--arch", "12", "--set", "batch=many"], 2, ["many", "whole number"]),
        (["--arch", "12", "--set", "thresholds=[1]"], 2, ["thresholds", "2"]),
        (["--arch", "12", "--epochs", "0"], 2, ["--epochs"]),
        (["--arch", "12", "--device", "gpu"], 2, ["gpu", "cuda"]),
        (["--arch", "12", "--recipe", "mnits"], 2, ["mnits", "mnist"]),
        (["--arch", "12", "--resume"], 4, ["run"]),
    ],
)
def test_train_refuses_and_writes_nothing(spikeprep, store, tmp_path, args, code, words):
    before = files(tmp_path)
    done = spikeprep("train", store, "--run", tmp_path / "run", *args)
    assert (done.exit_code, done.stdout) == (code, "")
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
    assert files(tmp_path) == before


def test_a_run_of_another_store_is_refused(spikeprep, trained, tmp_path):
    _, run, _ = trained
    other = tmp_path / "other.zarr"
    assert spikeprep("encode", "digits", "--out", other, "--limit", "60", "--seed", "1").exit_code == 0
    done = spikeprep("train", other, *NETWORK, "--run", run, "--resume", "--epochs", "9")
    assert (done.exit_code, "digits.zarr" in done.stderr) == (4, True)


@pytest.mark.parametrize("what", ["run", "store", "split", "checkpoint"])
def test_evaluate_refuses(spikeprep, trained, tmp_path, what):
    store, run, _ = trained
    if what == "checkpoint":
        copy = shutil.copytree(run, tmp_path / "run")
        (copy / "best.npz").write_bytes((copy / "best.npz").read_bytes()[:100])
        run = copy
    done = spikeprep(
        "evaluate",
        tmp_path / "nothing" if what == "run" else run,
        tmp_path / "nothing" if what == "store" else store,
        *(["--split", "tset"] if what == "split" else []),
    )
    assert (done.exit_code, done.stdout) == (2 if what == "split" else 4, "")
    assert {"split": "Did you mean 'test'?", "checkpoint": "best.npz"}.get(what, "nothing") in done.stderr


# what holds for all of them


def test_json_is_the_only_thing_on_standard_output(spikeprep, store, tmp_path):
    run = tmp_path / "run"
    sounds = put(tmp_path / "sounds/tone/a.wav", wav(spoken(2))).parents[1]
    recording = put(tmp_path / "a.csv", b"%geometry:9,9\nx,y,p,t\n1,2,0,0\n3,4,1,5\n")
    arguments = {
        "list": [],
        "recipe": ["digits"],
        "tune": ["bsa", "audio", "--source", sounds],
        "doctor": [],
        "encode": ["digits", "--out", tmp_path / "a.zarr", "--limit", "30"],
        "inspect": [store],
        "verify": [store],
        "train": [store, *NETWORK, "--epochs", "1", "--run", run],
        "evaluate": [run, store],
        "plot": [run, "--out", tmp_path / "p.svg"],
        "predict": [run, store],
        "export": [run, "--to", "npz", "--out", tmp_path / "network.npz"],
        "convert": [recording, "--out", tmp_path / "recording.raw"],
    }
    assert set(arguments) == {name for name in COMMANDS if "--json" in spikeprep(name, "--help").stdout}
    for name, args in arguments.items():
        done = spikeprep(name, *args, "--json")
        assert done.exit_code == 0
        json.loads(done.stdout)


def test_no_escape_sequences_come_from_numba():
    pytest.importorskip("colorama")
    code = (  # what Numba does to colour an error
        "import spikeprep_cli.main, colorama.initialise as c\n"
        "from numba.core.errors import termcolor\n"
        "termcolor().highlight('x'); print(c.atexit_done)"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_DISABLE")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout == "False\n", done.stderr
