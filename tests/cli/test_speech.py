"""From the sound files of a small TI46 to an evaluated network, on the command line."""

from __future__ import annotations

import json
import math
import os

import numpy as np
import pytest

from spikeprep.encoding.tuning import Trial
from spikeprep.store import SpikeStore

from ..assets import asset
from ..sources.sound_files import put, spoken, ti46_corpus, wav


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return ti46_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def encoded(corpus, tmp_path_factory, spikeprep):
    out = tmp_path_factory.mktemp("speech") / "ti46.zarr"
    done = spikeprep("encode", "ti46", "--source", corpus, "--out", out)
    assert done.exit_code == 0, done.output
    assert "note: 24 of 4,142 train" in done.stderr
    return out


def test_encode_train_evaluate(spikeprep, encoded, tmp_path):
    described = json.loads(spikeprep("inspect", encoded, "--json").stdout)
    assert described["dt"] == 0.0016
    assert described["splits"]["train"]["steps_min"] < described["splits"]["train"]["steps"]
    run = tmp_path / "run"
    done = spikeprep(
        "train", encoded, "--run", run, "--arch", "40", "--epochs", "8", "--batch", "4", "--json",
        "--set", "loss.target=20", "--set", "loss.off_target=3", "--set", "loss.margin=3", "--set", "optim.rate=0.02",
        "--set", "optim.regularisation.strength=0.0", "--set", "validation=0.0",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    document = json.loads(spikeprep("evaluate", run, encoded, "--json").stdout)
    assert document["samples"] == 12
    assert document["accuracy"] >= 0.75  # three letters of clearly different pitch; chance is a third


def test_bad_files_are_errors_or_skipped_with_a_setting(spikeprep, corpus, tmp_path):
    put(tmp_path / "raw/0af1set0.wav", b"\1no sound")
    put(tmp_path / "raw/0bf1set0.wav", (corpus / "ti_alpha/train/f1/0bf1set0.wav").read_bytes())
    args = ("encode", "ti46", "--source", tmp_path / "raw", "--out", tmp_path / "s.zarr")
    refused = spikeprep(*args)
    assert refused.exit_code == 3
    assert "0af1set0.wav is no audio" in refused.stderr
    assert "--set source.skip_bad=true" in refused.stderr
    done = spikeprep(*args, "--set", "source.skip_bad=true")
    assert done.exit_code == 0, done.output
    assert "left out: 0af1set0.wav is no audio" in done.stderr
    assert SpikeStore.open(tmp_path / "s.zarr")["train"].ids.tolist() == ["0bf1set0.wav"]


@pytest.mark.parametrize("of_store", [False, True])
def test_tune(spikeprep, corpus, encoded, of_store, tmp_path):
    args = ("tune", "bsa", encoded if of_store else "ti46", "--source", corpus, "--samples", "2")
    done = spikeprep(*args, "--search", "bsa.theta=0.5,0.7", "--search", "bsa.scale=[500.0]", "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["encoder"] == "bsa"
    best, other = document["trials"]
    assert best["snr_db"] > other["snr_db"]
    assert {t["settings"]["bsa.theta"] for t in (best, other)} == {0.5, 0.7}
    text = spikeprep(*args, "--search", "bsa.theta=0.5,0.7").stdout
    rows = [line.split() for line in text.splitlines()]
    assert rows[0][:4] == ["theta", "SNR", "MSE", "spikes"]
    assert rows[1][:3] == [str(best["settings"]["bsa.theta"]), *rows[1][1:3]]
    command = document["command"]
    assert command == (
        f"spikeprep encode ti46 --source {corpus} --encoder bsa --set bsa.theta={best['settings']['bsa.theta']} "
        "--set bsa.scale=500.0 --out STORE.zarr"
    )
    words = command.replace("STORE.zarr", str(tmp_path / "tuned.zarr")).split()[1:]
    assert spikeprep(*words, "--limit", "2").exit_code == 0
    chain = SpikeStore.open(tmp_path / "tuned.zarr").attributes["chain"]
    assert chain[-1]["scale"] == 500.0


def test_the_command_of_a_store_keeps_its_settings(spikeprep, corpus, tmp_path):
    store = tmp_path / "coarse.zarr"
    args = ("encode", "ti46", "--source", corpus, "--out", store, "--limit", "2")
    assert spikeprep(*args, "--set", "lyon.decimation=128").exit_code == 0
    text = spikeprep("tune", "step_forward", store, "--source", corpus, "--samples", "1").stdout
    command = text.splitlines()[-1].strip()
    assert command.startswith(
        f"spikeprep encode ti46 --source {corpus} --encoder step_forward --set lyon.decimation=128 "
        "--set step_forward.threshold="
    )


@pytest.mark.parametrize(
    ("front_end", "encoder", "units"),
    [("gammatone", "bsa", 64), ("butterworth", "bsa", 64), ("mel", "bsa", 40), ("gammatone", "step_forward", 128),
     ("mel", "delta", 80), ("mel", "latency", 40), ("mel", "gaussian_receptive_fields", 320)],
)  # fmt: skip
def test_another_front_end_by_one_option(spikeprep, corpus, tmp_path, front_end, encoder, units):
    """Encoders follow any front end at their defaults: its values are in 0 … 1."""
    out = tmp_path / "s.zarr"
    args = ("--source", corpus, "--out", out, "--front-end", front_end, "--encoder", encoder)
    done = spikeprep("encode", "ti46", *args)
    assert done.exit_code == 0, done.output
    store = SpikeStore.open(out)
    chain = store.attributes["chain"]
    assert [step["name"] for step in chain] == [front_end, encoder]
    assert store["train"].units == units
    spikes = store["train"][0]
    assert 0.001 < spikes.mean() < 0.5
    picture = tmp_path / "a.png"
    assert spikeprep("plot", out, "--source", corpus, "--out", picture).exit_code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_front_ends_that_cannot_be(spikeprep, corpus, tmp_path):
    args = ("--out", tmp_path / "s.zarr", "--front-end")
    done = spikeprep("encode", "ti46", "--source", corpus, *args, "mels")
    assert done.exit_code == 2
    assert "got the front end 'mels'; expected one of butterworth, gammatone, lyon, mel." in done.stderr
    done = spikeprep("encode", "digits", *args, "mel")
    assert done.exit_code == 2
    assert "recipe digits has none to replace" in done.stderr
    done = spikeprep("encode", "ti46", "--source", corpus, *args, "mel", "--set", "mel.high=8000")
    assert done.exit_code == 2
    assert (
        "got mel.high = 8000 Hz for audio of 12500 Hz; expected at most half the rate, 6250 Hz" in done.stderr
    )


def test_tune_with_another_front_end(spikeprep, corpus, tmp_path):
    args = ("tune", "bsa", "ti46", "--source", corpus, "--samples", "2", "--search", "bsa.theta=0.6")
    command = spikeprep(*args, "--front-end", "mel").stdout.splitlines()[-1].strip()
    assert command.startswith(f"spikeprep encode ti46 --source {corpus} --front-end mel --encoder bsa --set")
    store = tmp_path / "s.zarr"
    words = command.replace("STORE.zarr", str(store)).split()[1:]
    assert spikeprep(*words, "--limit", "2", "--set", "mel.hop=0.01").exit_code == 0
    text = spikeprep("tune", "delta", store, "--source", corpus, "--samples", "1").stdout
    command = text.splitlines()[-1].strip()
    assert f"ti46 --source {corpus} --front-end mel --encoder delta --set mel.hop=0.01 " in command


def test_copies_of_sounds(spikeprep, corpus, tmp_path):
    """Copy 0 is the original; copies differ, in length too; other splits have no copies."""
    plain, out = tmp_path / "plain.zarr", tmp_path / "copies.zarr"
    assert spikeprep("encode", "ti46", "--source", corpus, "--out", plain).exit_code == 0
    settings = (
        "speed.use=true",
        "sound_noise.snr_db=[20,30]",
        "gain.use=true",
        "time_shift.use=true",
        "copies=3",
    )
    options = [word for setting in settings for word in ("--set", setting)]
    done = spikeprep("encode", "ti46", "--source", corpus, "--out", out, *options)
    assert done.exit_code == 0, done.output
    originals, varied = SpikeStore.open(plain), SpikeStore.open(out)
    assert varied["test"].steps.tolist() == originals["test"].steps.tolist()
    number = len(originals["train"])
    assert len(varied["train"]) == 3 * number
    np.testing.assert_array_equal(varied["train"][0], originals["train"][0])
    lengths = varied["train"].steps.reshape(3, number)
    assert (lengths[0] == originals["train"].steps).all()
    assert (lengths[1:] != lengths[0]).any()
    verified = spikeprep("verify", out, "--reencode", "20", "--source", corpus)
    assert verified.exit_code == 0, verified.output


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["bsa", "ti46"], 3, "LDC93S9"),
        (["basa", "ti46"], 2, "Did you mean 'bsa'?"),
        (["zero_crossing_step_forward", "digits"], 2, "no decode"),
        (["dvs", "digits"], 2, "suggests none"),
        (["bsa", "no-such-recipe"], 2, "unknown recipe"),
        (["bsa", "."], 4, "no store at"),
        (["delta", "digits", "--search", "threshold=1"], 2, "Did you mean 'delta.threshold'?"),
        (["delta", "digits", "--search", "delta.threshold"], 2, "got --search 'delta.threshold'"),
        (["delta", "digits", "--search", "delta.threshold=0.1,x"], 2, "got delta.threshold = 'x'"),
        (["sigma_delta", "digits", "--search", "sigma_delta.threshold=0.1"], 3, "Raise the threshold"),
    ],
)
def test_tune_refuses(spikeprep, tmp_path, monkeypatch, args, code, words):
    monkeypatch.chdir(tmp_path)
    done = spikeprep("tune", *args)
    assert done.exit_code == code
    assert words in done.stderr


def test_tune_where_nothing_is_rebuilt(spikeprep):
    """BSA takes rows of digits for time, and its scale for sound overdrives them: no command is recommended."""
    args = ("tune", "bsa", "digits", "--samples", "3", "--search", "bsa.theta=0.5,0.9")
    done = spikeprep(*args)
    assert done.exit_code == 0, done.output
    assert "No row rebuilds the signal" in done.stdout
    assert "spikeprep encode" not in done.stdout
    assert "note: bsa is an encoder of series: it takes the rows of an image for time steps" in done.stderr
    document = json.loads(spikeprep(*args, "--json").stdout)
    assert document["command"] is None
    assert document["note"].startswith("bsa is an encoder of series")
    assert all(trial["snr_db"] < 0.1 for trial in document["trials"])
    rebuilt = spikeprep("tune", "poisson", "digits", "--samples", "3", "--search", "poisson.steps=100")
    assert "To encode with the first row:\n  spikeprep encode digits" in rebuilt.stdout
    assert "note:" not in rebuilt.stderr
    for snr, rebuilds in ((math.inf, True), (0.1, True), (0.0, False), (-3.0, False), (math.nan, False)):
        assert Trial({}, snr, 0.0, 0.0, 0.0).rebuilds is rebuilds


def test_plot_a_sound(spikeprep, corpus, encoded, tmp_path):
    done = spikeprep("plot", encoded, "--source", corpus, "--sample", "3", "--out", tmp_path / "a.png")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    put(tmp_path / "other/0cm3s1t0.wav", (corpus / "ti_alpha/train/f1/0bf1set0.wav").read_bytes())
    other = spikeprep(
        "plot", encoded, "--source", tmp_path / "other", "--sample", "3", "--out", tmp_path / "b.png"
    )
    assert other.exit_code == 3
    assert "as in the store" in other.stderr
    assert not (tmp_path / "b.png").exists()


def test_the_case_of_one_sample(spikeprep, tmp_path):
    source = asset("cases/images_and_sound/aud_short1")
    args = ("encode", "audio", "--source", source, "--out", tmp_path / "s.zarr", "--set", "source.rate=8000")
    refused = spikeprep(*args)
    assert refused.exit_code == 3
    assert "one sample has no time step, being too short: lo/s.wav; expected at least 1." in refused.stderr
    assert "--set fix_length.seconds=1" in refused.stderr


def test_names_that_are_not_utf8(spikeprep, tmp_path):
    folder = os.fsencode(tmp_path / "data" / "caf") + b"\xe9"
    os.makedirs(folder)
    for n in range(3):
        with open(os.path.join(folder, b"\xe9%d.wav" % n), "wb") as file:
            file.write(wav(spoken(1, n, 900), 8000) if n else b"\1no sound")
    args = (
        "encode",
        "audio",
        "--source",
        tmp_path / "data",
        "--out",
        tmp_path / "s.zarr",
        "--set",
        "source.test_share=0",
    )
    refused = spikeprep(*args)
    assert refused.exit_code == 3
    assert r"caf\xe9/\xe90.wav is no audio" in refused.stderr
    done = spikeprep(*args, "--set", "source.skip_bad=true", "--set", "lyon.precision=float32")
    assert done.exit_code == 0, done.output
    store = SpikeStore.open(tmp_path / "s.zarr")
    assert sorted(store["train"].ids.tolist()) == [r"caf\xe9/\xe91.wav", r"caf\xe9/\xe92.wav"]
    assert store.attributes["classes"] == [r"caf\xe9"]
