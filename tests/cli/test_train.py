"""train and evaluate from the command line, on real digits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from spikeprep.system import cuda_device
from spikeprep.train.checkpoint import load_checkpoint
from spikeprep.train.run_folder import RunFolder
from spikeprep.train.trainer import Trainer

LOSS = ("--set", "loss.target=15", "--set", "loss.off_target=2", "--set", "loss.margin=2")
SUMMARY = {
    "run", "epochs", "batch", "arch", "device", "train_accuracy", "test_accuracy", "best_test_accuracy", "best_epoch",
    "seconds_per_epoch", "samples_per_second", "stall_fraction", "ranks", "feed", "rule",
}  # fmt: skip


@pytest.fixture
def trained(spikeprep, store, tmp_path):
    """A run of two epochs on `store`."""
    done = spikeprep(
        "train", store, "--arch", "20", "--epochs", "2", "--batch", "8", "--run", tmp_path / "run", *LOSS
    )
    assert done.exit_code == 0, done.output
    return tmp_path / "run"


def test_train_as_text(spikeprep, store, tmp_path):
    run = tmp_path / "run"
    done = spikeprep("train", store, "--arch", "20-10", "--epochs", "2", "--run", run, *LOSS)
    assert done.exit_code == 0, done.output
    assert "64-20-10-10, thresholds" in done.stderr
    assert "epoch 2/2: train" in done.stderr
    assert "test accuracy" in done.stdout
    files = {"config.json", "journal.jsonl", "last.npz", "last.previous.npz", "best.npz"}
    assert {p.name for p in run.iterdir()} == files


def test_train_and_evaluate_as_json(spikeprep, store, tmp_path):
    run = tmp_path / "run"
    done = spikeprep("train", store, "--arch", "20", "--epochs", "1", "--run", run, "--json", *LOSS)
    summary = json.loads(done.stdout)
    assert set(summary) >= SUMMARY
    assert summary["warnings"][0].startswith("this run makes 1 update (1 epoch of 1 batch); ")
    result = json.loads(spikeprep("evaluate", run, store, "--json").stdout)
    assert set(result) >= {"accuracy", "samples", "confusion", "differences"}
    assert (result["accuracy"], result["samples"]) == (summary["best_test_accuracy"], 30)
    on_train = json.loads(spikeprep("evaluate", run, store, "--split", "train", "--json").stdout)
    assert sum(map(sum, on_train["confusion"])) == 30


def test_evaluate_as_text(spikeprep, store, trained):
    done = spikeprep("evaluate", trained, store)
    assert done.exit_code == 0
    assert done.stdout.splitlines()[0].endswith("% (30 samples)")
    assert len(done.stdout.splitlines()) == 14  # balanced accuracy, confusion, precisions


def test_resume_adds_epochs(spikeprep, store, trained):
    done = spikeprep("train", store, "--run", trained, "--resume", "--epochs", "3", "--json")
    assert json.loads(done.stdout)["epochs"] == 3


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--rule", "lee2016", "--set", "rule=hm2bp"), "got --rule lee2016 and --set rule=hm2bp"),
        (("--arch", "20", "--set", "arch=30"), "got --arch 20 and --set arch=30"),
        (("--rule", "lee2016", "--recipe", "mnist-800"), "got --rule lee2016 with a recipe for hm2bp"),
    ],
)
def test_words_that_contradict_each_other(spikeprep, store, tmp_path, words, says):
    done = spikeprep("train", store, *words, "--run", tmp_path / "run", *LOSS)
    assert done.exit_code == 2
    assert says in done.stderr
    assert not (tmp_path / "run").exists()


def test_resuming_a_finished_run_prints_its_summary(spikeprep, store, trained):
    before = {path.name: path.read_bytes() for path in trained.iterdir()}
    done = spikeprep("train", store, "--run", trained, "--resume", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["epochs"] == 2
    again = spikeprep("train", store, "--run", trained, "--resume")
    assert "after epoch 2" in again.stdout
    assert "nothing is left to train: all 2 epochs are done; with more epochs the run goes on" in again.stderr
    fewer = spikeprep("train", store, "--run", trained, "--resume", "--epochs", "1")
    assert fewer.exit_code == 2
    assert "got --epochs 1 for a run of 2 epochs; expected at least 2" in fewer.stderr
    assert before == {path.name: path.read_bytes() for path in trained.iterdir()}


def test_a_run_that_is_cut_after_epochs_were_added_keeps_them(spikeprep, store, trained):
    """The configuration has the raised number: --resume alone trains to it."""
    spikeprep("train", store, "--run", trained, "--resume", "--epochs", "3")
    (trained / "last.npz").unlink()  # as after a kill before the last checkpoint
    done = spikeprep("train", store, "--run", trained, "--resume", "--json")
    assert json.loads(done.stdout)["epochs"] == 3
    assert "after epoch 2: 1 epoch is trained again" in done.stderr


def test_the_user_s_home_is_written_with_a_tilde(spikeprep, store, trained, monkeypatch):
    monkeypatch.setenv("HOME", str(store.parent))
    words = ("~/digits.zarr", "--run", "~/home", "--arch", "5", "--epochs", "1", *LOSS)
    assert spikeprep("train", *words).exit_code == 0
    assert (store.parent / "home" / "config.json").exists()
    assert spikeprep("evaluate", "~/home", "~/digits.zarr").exit_code == 0


def test_a_second_trainer_is_refused(spikeprep, store, trained):
    folder = RunFolder(trained)
    folder.acquire(new=False)
    done = spikeprep("train", store, "--run", trained, "--resume")
    folder.release()
    assert done.exit_code == 4
    assert f"in use by process {os.getpid()}" in done.stderr
    assert "delete" in done.stderr


def test_the_store_s_recipe_suggests(spikeprep, store, tmp_path):
    done = spikeprep("train", store, "--epochs", "1", "--run", tmp_path / "run", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["arch"] == "200"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--arch", "abc"), 2, "got 'abc' in arch 'abc'"),
        (("--arch", "15Q5"), 2, "15C5 (conv), 800 (dense), P2 (pool)"),
        (("--arch", "15C5-P2-9C3"), 2, "'9C3' in arch '15C5-P2-9C3': got a window of 3 × 3 on 2 × 2 units"),
        (("--arch", "200-15C5"), 2, "got units of shape (200,), which have no rows and columns"),
        (("--arch", "15C5-P2", "--set", "thresholds=[1, 2]"), 2, "expected one value for all layers, or 3"),
        (("--arch", "90000C5-90000"), 5, "a network of 129,"),
        (("--set", "optim.rat=1"), 2, "Did you mean 'optim.rate'?"),
        (("--set", "batch=many"), 2, "a whole number"),
        (("--recipe", "digts"), 2, "Did you mean 'digits'?"),
        pytest.param(
            ("--device", "cuda"),
            5,
            "--device auto",
            marks=pytest.mark.skipif(cuda_device().available, reason="there is a GPU"),
        ),
        (("--device", "gpu"), 2, "got --device gpu; expected auto, cpu, cuda, reference, or a GPU by number"),
        (
            ("--ranks", "2", "--device", "cuda:1"),
            2,
            "for 2 ranks; expected a GPU for each. Use --device cuda.",
        ),
        (("--limit", "0"), 2, "--limit"),
        (("--run", ""), 2, "got an empty path"),
        (("--resume",), 4, "there is no folder"),
        (
            ("--set", "loss.target=400"),
            2,
            "Use --set loss.target=33, --set loss.off_target=5 and --set loss.margin=5, or encode more steps.",
        ),
        (
            ("--rule", "lee2016", "--set", "thresholds=[1,2]"),
            2,
            "thresholds belongs to the rule hm2bp, and this run uses lee2016; expected settings of training and of "
            "lee2016. Leave thresholds out, or use --rule hm2bp.",
        ),
    ],
)
def test_errors(spikeprep, store, tmp_path, words, code, says):
    done = spikeprep("train", store, "--run", tmp_path / "run", *words)
    assert done.exit_code == code, done.output
    assert says in done.stderr
    assert "Traceback" not in done.output
    assert not (tmp_path / "run").exists()


def test_a_run_of_another_store(spikeprep, store, trained, tmp_path):
    other = tmp_path / "other.zarr"
    spikeprep("encode", "digits", "--out", other, "--limit", "30", "--seed", "1")
    done = spikeprep("train", other, "--run", trained, "--resume")
    assert done.exit_code == 4
    assert "has other data or another encoding" in done.stderr
    again = spikeprep("train", store, "--arch", "20", "--run", trained)
    assert again.exit_code == 4
    assert "--resume" in again.stderr


def _edit(change):
    def edit(store):
        root = json.loads((store / "zarr.json").read_text())
        change(root["attributes"]["spikeprep"])
        (store / "zarr.json").write_text(json.dumps(root, indent=2, ensure_ascii=False))

    return edit


def _exchange(key):
    def exchange(store):
        train, test = store / "train" / key, store / "test" / key
        a, b = train.read_bytes(), test.read_bytes()
        assert a != b
        train.write_bytes(b)
        test.write_bytes(a)

    return exchange


def _space(store):
    for path in store.glob("*/spikes/zarr.json"):
        path.write_text(path.read_text() + " ")


def _cut(store):
    for split in ("train", "test"):
        shard = store / split / "spikes/c/0/0/0"
        shard.write_bytes(shard.read_bytes()[:-1])


EDITS = {
    "seed": (_edit(lambda a: a.update(seed=1)), "zarr.json"),
    "dt": (_edit(lambda a: a.update(dt=0.002)), "zarr.json"),
    "classes": (_edit(lambda a: a["classes"].reverse()), "zarr.json"),
    "labels": (_exchange("labels/c/0"), "labels/c/0"),
    "metadata": (_space, "spikes/zarr.json"),
    "shards": (_exchange("spikes/c/0/0/0"), "spikes/c/0/0/0"),
    "truncated": (_cut, "spikes/c/0/0/0"),
    "manifest": (lambda store: (store / "manifest.json").unlink(), "manifest.json"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_store_that_was_edited_is_not_used(spikeprep, trained, store, tmp_path, edit):
    change, file = EDITS[edit]
    change(store)
    for command in (
        ("train", store, "--arch", "5", "--epochs", "1", "--run", tmp_path / "new"),
        ("evaluate", trained, store),
    ):
        done = spikeprep(*command)
        assert done.exit_code == 4, done.stderr
        assert file in done.stderr
        assert "--repair" in done.stderr
    assert not (tmp_path / "new/config.json").exists()


def test_evaluate_a_store_that_does_not_fit(spikeprep, trained, tmp_path):
    from PIL import Image

    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for n in range(4):
            Image.new("L", (4, 4), 40 * n + 20).save(tmp_path / "photos" / name / f"{n}.png")
    other = tmp_path / "photos.zarr"
    done = spikeprep(
        "encode", "images", "--source", tmp_path / "photos", "--out", other, "--set", "poisson.steps=80"
    )
    assert done.exit_code == 0, done.output
    done = spikeprep("evaluate", trained, other)
    assert done.exit_code == 4
    assert "has units 4 × 4; expected the network's units 8 × 8" in done.stderr


def test_a_damaged_store_while_training(spikeprep, store, tmp_path):
    (shard,) = (store / "train" / "spikes" / "c").rglob("0/0/0")
    data = bytearray(shard.read_bytes())
    data[10] ^= 1
    shard.write_bytes(data)
    done = spikeprep("train", store, "--arch", "20", "--run", tmp_path / "run", *LOSS)
    assert done.exit_code == 4, done.output
    assert "train samples 0 to" in done.stderr


def test_an_unusable_gpu_is_mentioned(spikeprep, store, tmp_path, monkeypatch):
    from spikeprep import devices as device
    from spikeprep import system as machine

    lacks = machine.Device("cuda", False, "H100 (CUDA 13.0), but CuPy is not installed", "Install it.", 1)
    monkeypatch.setattr(device, "cuda_device", lambda: lacks)
    monkeypatch.setattr(machine, "cuda_device", lambda: lacks)
    words = ("train", store, "--arch", "20", "--epochs", "1", *LOSS)
    done = spikeprep(*words, "--run", tmp_path / "auto")
    assert "the GPU is not used: H100 (CUDA 13.0), but CuPy is not installed. Install it." in done.stderr
    done = spikeprep(*words, "--run", tmp_path / "cpu", "--device", "cpu")
    assert "GPU" not in done.stderr


def test_two_ranks_train_what_one_trains(spikeprep, store, tmp_path, monkeypatch):
    words = ("--arch", "20", "--epochs", "2", "--batch", "8", "--device", "cpu", "--json", *LOSS)
    one = json.loads(spikeprep("train", store, "--run", tmp_path / "one", *words).stdout)
    monkeypatch.setattr("spikeprep.train_session.cores", lambda: 1)
    done = spikeprep("train", store, "--run", tmp_path / "two", *words, "--ranks", "2")
    assert done.exit_code == 0, done.output
    two = json.loads(done.stdout)
    assert "on cpu × 2, samples streamed" in done.stderr
    assert "starting 2 processes on 1 cores: 1 would be faster" in done.stderr
    assert (one["ranks"], two["ranks"]) == (1, 2)
    same = ("epochs", "arch", "thresholds", "train_accuracy", "test_accuracy", "best_epoch")
    assert {k: one[k] for k in same} == {k: two[k] for k in same}
    (a, _), (b, _) = (load_checkpoint(tmp_path / name / "last.npz") for name in ("one", "two"))
    for name in a:
        np.testing.assert_allclose(a[name], b[name], rtol=1e-3, atol=1e-4)


def test_more_ranks_than_are_of_use(spikeprep, store, tmp_path):
    words = ("--arch", "5", "--epochs", "1", "--device", "cpu", "--batch", "4", *LOSS)
    done = spikeprep("train", store, "--run", tmp_path / "run", *words, "--ranks", "5")
    assert done.exit_code == 2
    assert "got --ranks 5 for batches of 4 samples" in done.stderr


def test_a_lateral_inhibition_that_no_threshold_suits(spikeprep, store, tmp_path):
    words = ("--arch", "5", "--epochs", "1", "--device", "cpu", "--set", "lateral=1e6", *LOSS)
    done = spikeprep("train", store, "--run", tmp_path / "run", *words)
    assert done.exit_code == 2
    assert "with which 10 neurons need a threshold of" in done.stderr
    assert "Lower lateral, or give thresholds." in done.stderr
    assert not (tmp_path / "run").exists()


def test_an_edited_run_is_a_finding_of_every_command(spikeprep, store, trained, tmp_path):
    path = trained / "config.json"
    config = json.loads(path.read_text())
    config["settings"]["arch"] = "1000000"
    path.write_text(json.dumps(config))
    for words in (
        ("inspect", trained),
        ("evaluate", trained, store),
        ("plot", trained, "--out", tmp_path / "a.png"),
        ("train", store, "--run", trained, "--resume"),
    ):
        done = spikeprep(*words)
        assert done.exit_code == 4, words
        assert "settings.arch is '1000000' in config.json; expected '" in done.stderr


def test_an_error_of_all_ranks_is_printed_once(spikeprep, store, trained):
    done = spikeprep("train", store, "--run", trained, "--ranks", "2", "--arch", "20", "--device", "cpu")
    assert done.exit_code == 4
    assert done.stderr.count("is a run already") == 1
    assert "Traceback" not in done.output


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_reaches_every_rank(spikeprep, store, tmp_path):
    run = tmp_path / "run"
    words = [
        "train",
        str(store),
        "--arch",
        "20",
        "--epochs",
        "4000",
        "--ranks",
        "2",
        "--device",
        "cpu",
        *LOSS,
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "spikeprep_cli", *words, "--run", str(run)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        until = time.monotonic() + 120
        while not (run / "best.npz").exists() and time.monotonic() < until:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, text = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, text
    assert "starting 2 processes" in text
    assert "Traceback" not in text
    assert f"To resume: spikeprep train {store}" in text
    assert "--ranks 2" in text
    events = [r["event"] for r in RunFolder(run).journal.records()]
    assert events[-1] == "interrupted"
    assert load_checkpoint(run / "last.npz")[1]["step"] > 1


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_and_on_with_the_same_bits(spikeprep, store, tmp_path: Path, monkeypatch):
    words = ["train", str(store), "--arch", "20", "--epochs", "400", "--batch", "4", "--threads", "1", *LOSS]
    run = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-m", "spikeprep_cli", *words, "--run", str(run)], stderr=subprocess.PIPE, text=True
    )
    try:
        until = time.monotonic() + 120
        while not (run / "best.npz").exists() and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, text = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, text
    assert f"To resume: spikeprep train {store}" in text
    assert "--resume" in text
    _, record = load_checkpoint(run / "last.npz")
    done = len(record["history"])
    assert 1 <= done < 400
    more = done + 2
    whole = tmp_path / "whole"
    after_epoch = Trainer._after_epoch

    def stop(self):
        after_epoch(self)
        if self.stream.epoch == more:
            sys.exit(7)

    monkeypatch.setattr(Trainer, "_after_epoch", stop)
    # the schedule knows the number of epochs: both runs are of 400, and both are looked at after the same one
    for folder, extra in ((run, ["--resume"]), (whole, words[2:])):
        assert spikeprep("train", store, "--run", folder, *extra).exit_code == 7
    a, b = (load_checkpoint(folder / "last.npz")[0] for folder in (run, whole))
    assert {k: v.tobytes() for k, v in a.items()} == {k: v.tobytes() for k, v in b.items()}


def test_raw_data_are_named_for_augmentation_alone(spikeprep, store, tmp_path):
    done = spikeprep("train", store, "--run", tmp_path / "run", "--source", tmp_path)
    assert done.exit_code == 2
    assert "Use --set augment=true, or leave source out" in done.stderr.replace("\n", " ")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--set", "class_weights=[1.,.5]"), "got class_weights of 2 values; expected 10"),
        (("--arch", "4C3-P2-20", "--set", "dropout=0.2"), "Use --set dropout=[0.2,0,0.2,0.2]."),
        (
            ("--limit", "3", "--set", "patience=2", "--set", "validation=0.1"),
            "no validation samples are left",
        ),
    ],
)
def test_a_dry_run_refuses_what_training_refuses(spikeprep, store, tmp_path, words, says):
    for dry in (("--dry-run",), ()):
        done = spikeprep("train", store, "--run", tmp_path / "run", *words, *dry)
        assert done.exit_code == 2, done.output
        assert says in done.stderr.replace("\n", " ")
    assert not (tmp_path / "run").exists()
