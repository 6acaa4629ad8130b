"""The Python API: what it returns, that it equals the command line, and what it refuses."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from spikeprep_cli.main import main

import spikeprep
from spikeprep.api import run_settings
from spikeprep.errors import DataError, RunError, StoreError, UsageError
from spikeprep.interruption import Interrupted, delayed_interrupt
from spikeprep.recipes import load_recipe
from spikeprep.train.checkpoint import load_checkpoint
from spikeprep.train.other_stores import fit
from spikeprep.train.settings import TrainSettings


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("api")


@pytest.fixture(scope="module")
def encoded(folder):
    """The result of encoding 60 + 60 real digits."""
    return spikeprep.encode("digits", folder / "digits.zarr", limit=60, progress=False)


@pytest.fixture(scope="module")
def trained(encoded, folder):
    """The result of two epochs with the settings that the recipe suggests."""
    return spikeprep.train(encoded, epochs=2, run=folder / "run", progress=False)


@pytest.fixture(scope="module")
def images():
    """The first 60 test images of the digits, float64 (sample, row, column)."""
    source = load_recipe("digits").build_source()
    return np.array([source.read("test", n).signal for n in range(60)])


def command_line(*args):
    done = CliRunner().invoke(main, [str(arg) for arg in args])
    assert done.exit_code == 0, done.output
    return done


def digest(path):
    files = sorted(p for p in path.rglob("*") if p.is_file())
    return {str(p.relative_to(path)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


# the package


def test_the_functions_are_loaded_when_they_are_used():
    code = (
        "import sys, spikeprep\n"
        "assert not {'numpy', 'zarr', 'numba', 'click', 'spikeprep.api'} & set(sys.modules), sys.modules\n"
        "assert set(spikeprep.__all__) <= set(dir(spikeprep))\n"
        "assert 'numpy' not in sys.modules\n"
        "spikeprep.encode\n"
        "assert 'spikeprep.api' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_train_is_a_function_and_a_package_in_whatever_order():
    firsts = (
        "spikeprep.train",
        "import spikeprep.train.trainer",
        "import spikeprep.train.trainer as trainer",
        "from spikeprep.train import trainer",
        "from spikeprep import train",
    )
    code = (
        "import inspect, spikeprep\n{first}\nfrom spikeprep.api import train as function\n"
        "assert list(inspect.signature(spikeprep.train).parameters)[:2] == ['store', 'arch']\n"
        "import spikeprep.train.trainer as trainer\nassert spikeprep.train.trainer is trainer\n"
        "from spikeprep import train\n"
        "for f in (spikeprep.train, train):\n"
        "    try:\n        f('nothing.zarr')\n"
        "    except spikeprep.errors.StoreError: pass\n"
        "    else: raise SystemExit('no error')\n"
    )
    script = (  # each in a package that is imported anew; the libraries that it imports stay
        "import sys\n"
        f"for first in {firsts!r}:\n"
        "    for name in [name for name in sys.modules if name.partition('.')[0] == 'spikeprep']:\n"
        "        del sys.modules[name]\n"
        f"    exec(compile({code!r}.replace('{{first}}', first), first, 'exec'), {{}})\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_an_attribute_that_does_not_exist():
    with pytest.raises(AttributeError, match="'spikeprep' has no attribute 'enocde'"):
        spikeprep.enocde  # noqa: B018


@pytest.mark.parametrize("name", ["encode", "train", "evaluate", "export", "convert"])
def test_the_command_line_has_the_same_arguments_and_defaults(name):
    function = inspect.signature(getattr(spikeprep, name)).parameters
    only_python = {"encode": {"executor", "progress"}}.get(name, {"progress"})
    words = {
        "encode": ["digits", "--out", "a.zarr"],
        "train": ["a.zarr"],
        "evaluate": ["run", "a.zarr"],
        "export": ["run", "--to", "nir", "--out", "a.nir"],
        "convert": ["a.raw", "--out", "a.dat"],
    }[name]
    parsed = main.get_command(None, name).make_context(name, words).params
    options = {key: value for key, value in parsed.items() if key not in ("as_json", "dry_run")}
    assert set(options) == set(function) - only_python
    for key, value in options.items():
        if key != "settings" and function[key].default is not inspect.Parameter.empty:
            assert value == function[key].default, key


# encode, train: as the command line does


def test_encode_writes_what_the_command_line_writes(encoded, folder):
    command_line("encode", "digits", "--out", folder / "shell.zarr", "--limit", "60")
    assert digest(folder / "shell.zarr") == digest(folder / "digits.zarr")
    assert (encoded.samples, encoded.encoded) == ({"train": 60, "test": 60}, 120)
    again = spikeprep.encode("digits", folder / "digits.zarr", limit=60, progress=False)
    assert again.encoded == 0


def test_settings_of_any_type_reach_the_chain(tmp_path):
    settings = {"poisson.steps": 30, "poisson": {"rate_max": 0.5}}
    spikeprep.encode(
        "digits", tmp_path / "a.zarr", settings=settings, limit=2, seed=7, workers=1, progress=False
    )
    attributes = spikeprep.open_store(tmp_path / "a.zarr").attributes
    assert (attributes["chain"][0]["steps"], attributes["chain"][0]["rate_max"]) == (30, 0.5)
    recipe = load_recipe("digits").override({"poisson.steps": "30", "poisson.rate_max": "0.5"})
    spikeprep.encode(recipe, tmp_path / "b.zarr", limit=2, seed=7, progress=False)
    assert digest(tmp_path / "a.zarr") == digest(tmp_path / "b.zarr")


def test_plan_writes_nothing(tmp_path):
    plan = spikeprep.plan("digits", tmp_path / "a.zarr", settings={"poisson.steps": 30}, limit=9)
    assert (plan.samples, plan.unit_shape, plan.steps) == ({"train": 9, "test": 9}, (8, 8), 30)
    assert list(tmp_path.iterdir()) == []


def test_a_summary_that_is_used_as_an_open_store(encoded):
    message = r"of what `encode` returned; .* Use spikeprep\.open_store\('.*'\)\['train'\]"
    with pytest.raises(TypeError, match=message) as caught:
        encoded["train"]
    assert isinstance(caught.value, UsageError)
    with pytest.raises(TypeError, match="not iterable"):
        list(encoded)
    assert len(spikeprep.open_store(encoded)["train"]) == encoded.samples["train"]


@pytest.mark.parametrize(
    "arguments", [{}, {"arch": "20"}, {"arch": "20", "batch": 7, "seed": 3, "settings": {"optim.rate": 0.02}}]
)
def test_python_and_the_command_line_train_the_same_network(encoded, folder, tmp_path, arguments):
    result = spikeprep.train(encoded.path, epochs=1, run=tmp_path / "python", progress=False, **arguments)
    options = [word for k, v in arguments.items() if k != "settings" for word in (f"--{k}", v)]
    options += [w for k, v in arguments.get("settings", {}).items() for w in ("--set", f"{k}={v}")]
    done = command_line("train", encoded.path, "--epochs", 1, "--run", tmp_path / "shell", "--json", *options)
    for name in ("last.npz", "best.npz"):
        (ours, _), (theirs, _) = (load_checkpoint(tmp_path / run / name) for run in ("python", "shell"))
        assert {k: v.tobytes() for k, v in ours.items()} == {k: v.tobytes() for k, v in theirs.items()}
    configs = [json.loads((tmp_path / run / "config.json").read_text()) for run in ("python", "shell")]
    assert configs[0].pop("run_id") != configs[1].pop("run_id")
    assert configs[0] == configs[1]
    assert set(json.loads(done.stdout)) == set(result.to_json())


def test_the_store_s_recipe_suggests_the_settings(trained):
    suggested = load_recipe("digits").train
    settings = spikeprep.open_run(trained).config.settings.to_json()
    assert settings["arch"] == suggested["arch"] == trained.arch
    assert settings["loss"]["target"] == suggested["loss"]["target"]


def test_another_recipe_suggests_other_settings(encoded, tmp_path):
    for recipe in ("mnist", load_recipe("mnist")):
        run = tmp_path / type(recipe).__name__
        result = spikeprep.train(encoded, recipe=recipe, arch="9", epochs=1, run=run, progress=False)
        settings = spikeprep.open_run(result).config.settings.to_json()
        assert settings["loss"]["target"] != load_recipe("digits").train["loss"]["target"]
        assert settings["thresholds"] != [20, 8]  # they are of the recipe's own layers
        again = spikeprep.train(
            encoded, recipe=recipe, arch="9", run=run, resume=True, epochs=1, progress=False
        )
        assert again.to_json() == result.to_json()
        with pytest.raises(
            RunError, match=r"got loss.margin = 3 by recipe, for the run in .*; expected 5, as it st"
        ):
            spikeprep.train(encoded, recipe="digits", arch="9", run=run, resume=True, progress=False)


def test_resuming_continues_the_run(encoded, tmp_path):
    run = tmp_path / "run"
    spikeprep.train(encoded, arch="9", epochs=1, run=run, progress=False)
    with pytest.raises(RunError, match="run already"):
        spikeprep.train(encoded, arch="9", epochs=1, run=run, progress=False)
    longer = spikeprep.train(encoded, epochs=3, run=run, resume=True, progress=False)
    assert (longer.epochs, [r["epoch"] for r in longer.history]) == (3, [1, 2, 3])
    same = spikeprep.train(encoded, run=run, resume=True, progress=False)
    assert same.to_json() == longer.to_json()


def test_progress_is_reported(encoded, tmp_path, capsys):
    calls = []
    spikeprep.train(
        encoded, arch="9", epochs=2, run=tmp_path / "a", progress=lambda *numbers: calls.append(numbers)
    )
    assert calls[-1][0] == calls[-1][1]
    assert capsys.readouterr() == ("", "")
    spikeprep.train(encoded, arch="9", epochs=2, run=tmp_path / "b")
    assert "epoch 2/2: train " in capsys.readouterr().err


# results


def test_results_describe_themselves(encoded, trained, folder):
    store, run = spikeprep.open_store(encoded), spikeprep.open_run(trained)
    evaluation = spikeprep.evaluate(trained, encoded, progress=False)
    predictions = spikeprep.predict(trained, encoded, progress=False)
    for value, words in (
        (encoded, ["digits.zarr", "60 train + 60 test samples"]),
        (store, ["digits.zarr", "60 train + 60 test samples"]),
        (trained, ["run", "200", "2 epochs"]),
        (run, ["64-200-10", "digits.zarr", "2 epochs"]),
        (evaluation, ["test: accuracy", "60 samples"]),
        (predictions, ["60 samples"]),
    ):
        text = repr(value)
        assert "\n" not in text
        assert len(text) < 250
        assert all(word in text for word in words), text
        page = value._repr_html_()
        assert page.startswith("<table>")
        assert page.count("<tr>") >= 2
    assert f"{trained.history[0]['train_accuracy']:.2%}" in run._repr_html_()
    assert "density" in store._repr_html_()
    assert "60 samples" in repr(store["train"])


def test_a_damaged_store_can_still_be_shown(encoded, tmp_path):
    path = shutil.copytree(encoded.path, tmp_path / "a.zarr")
    shutil.rmtree(path / "test" / "counts" / "c")
    assert "counts" in spikeprep.open_store(path)._repr_html_()


def test_open_what_is_not_there(tmp_path):
    with pytest.raises(StoreError, match="no store"):
        spikeprep.open_store(tmp_path / "a.zarr")
    with pytest.raises(RunError, match=r"no config\.json"):
        spikeprep.open_run(tmp_path)


# evaluate, predict


def test_evaluate_measures_what_training_measured(encoded, trained):
    result = spikeprep.evaluate(trained, encoded, progress=False)
    assert (result.accuracy, result.samples) == (trained.best_test_accuracy, 60)
    assert result.confusion.sum() == 60
    shell = command_line("evaluate", trained.run, encoded.path, "--json")
    assert json.loads(shell.stdout) == result.to_json()
    assert spikeprep.evaluate(trained.run, spikeprep.open_store(encoded.path), split="train").samples == 60


def test_evaluate_compares_encodings(encoded, trained, tmp_path):
    shorter = {"poisson.steps": 50}
    other = spikeprep.encode("digits", tmp_path / "a.zarr", limit=20, settings=shorter, progress=False)
    difference = "poisson.steps: 50 in the store, 200 in the run"
    for refuses in (spikeprep.evaluate, spikeprep.predict):
        with pytest.raises(RunError, match=f"otherwise than .*digits.zarr.*{difference}"):
            refuses(trained, other.path if refuses is spikeprep.predict else other)
    assert spikeprep.evaluate(trained, other, other_encoding=True).differences == (difference,)
    assert len(spikeprep.predict(trained, other.path, other_encoding=True)) == 20
    refused = CliRunner().invoke(main, ["evaluate", str(trained.run), other.path])
    assert (refused.exit_code, "use --other-encoding" in refused.stderr) == (4, True)
    shown = command_line("evaluate", trained.run, other.path, "--other-encoding")
    assert f"note: another encoding: {difference}" in shown.stderr
    same = {"seed": 1, "limit": 20, "progress": False}
    seeded = spikeprep.encode("digits", tmp_path / "b.zarr", **same)  # another seed is no other encoding
    assert spikeprep.evaluate(trained, seeded).differences == ()


def test_evaluate_finds_classes_by_name(images, encoded, trained, tmp_path):
    labels = spikeprep.open_store(encoded.path)["test"].labels
    for n in np.flatnonzero(np.isin(labels, [2, 7])):
        file = tmp_path / "raw" / str(labels[n]) / f"{n}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.round(images[n] * 255).astype(np.uint8)).save(file)
    poisson = {f"poisson.{k}": v for k, v in encoded_chain(encoded)[0].items() if k != "name"}
    chosen = {"settings": {**poisson, "source.test_share": 0}, "progress": False}
    few = spikeprep.encode("images", tmp_path / "few.zarr", source=tmp_path / "raw", **chosen)
    result = spikeprep.evaluate(trained, few, split="train")
    counts = np.bincount(labels, minlength=10) * np.isin(range(10), [2, 7])
    assert result.confusion.sum(axis=1).tolist() == counts.tolist()
    assert result.classes == tuple("0123456789")
    (tmp_path / "raw/7").rename(tmp_path / "raw/seven")
    other = spikeprep.encode("images", tmp_path / "other.zarr", source=tmp_path / "raw", **chosen)
    with pytest.raises(RunError, match="classes that the network does not know: seven"):
        spikeprep.evaluate(trained, other, split="train")


READERS = [
    (
        {"name": "images", "white": 100, "test_share": 0.5, "class_names": ["2"], "skip_bad": True},
        ("source.white: 0 in the store, 100 in the run",),
    ),
    (
        {"name": "images", "size": [8, 8], "alpha": "white"},
        (
            "source.size: [] in the store, [8, 8] in the run",
            "source.alpha: 'auto' in the store, 'white' in the run",
        ),
    ),
    ({"name": "idx", "white": 100}, ()),
    ({"name": "arrays"}, ()),
]


def test_evaluate_compares_what_signals_depend_on(images, trained, tmp_path):
    for n in range(2):
        file = tmp_path / "raw" / str(n) / "1.png"
        file.parent.mkdir(parents=True)
        Image.fromarray(np.round(images[n] * 255).astype(np.uint8)).save(file)
    settings = {"poisson.steps": 200, "source.test_share": 0, "source.class_names": "[0,1]"}
    store = spikeprep.encode(
        "images", tmp_path / "a.zarr", source=tmp_path / "raw", settings=settings, progress=False
    )
    config = spikeprep.open_run(trained.run).config
    assert config.encoding["reader"]["name"] == "digits"
    chain = encoded_chain(store)
    for reader, differ in READERS:
        other = replace(config, encoding=config.encoding | {"reader": reader, "chain": chain})
        assert fit(other, spikeprep.open_store(store)).differences == differ
    assert fit(replace(config, encoding={"chain": chain}), spikeprep.open_store(store)).differences == ()


def encoded_chain(encoded):
    return spikeprep.open_store(encoded.path).attributes["chain"]


def test_predictions_of_a_split_are_those_that_evaluate_counts(encoded, trained):
    predictions = spikeprep.predict(trained, encoded, progress=False)
    labels = spikeprep.open_store(encoded)["test"].labels
    confusion = np.zeros((10, 10), int)
    np.add.at(confusion, (labels, predictions.labels), 1)
    np.testing.assert_array_equal(confusion, spikeprep.evaluate(trained, encoded).confusion)
    np.testing.assert_array_equal(predictions.labels, predictions.counts.argmax(axis=1))
    assert predictions.names == [str(label) for label in predictions.labels]


def test_raw_signals_are_encoded_like_the_store(encoded, trained, images):
    stored = spikeprep.predict(trained, encoded.path, progress=False)
    assert stored.counts.any()
    for signals, batch in ((images, 64), (images, 7), (list(images), 64), (tuple(images), 11)):
        predictions = spikeprep.predict(trained, signals, batch=batch, progress=False)
        np.testing.assert_array_equal(predictions.counts, stored.counts)
    one = spikeprep.predict(trained, images[0], progress=False)
    np.testing.assert_array_equal(one.counts, stored.counts[:1])
    other = spikeprep.predict(trained, images, split="train", progress=False)
    assert (other.counts != stored.counts).any()  # other random numbers
    assert len(spikeprep.predict(trained, [], progress=False)) == 0


def test_spikes_can_be_predicted(encoded, trained):
    stored = spikeprep.predict(trained, encoded, progress=False)
    split = spikeprep.open_store(encoded)["test"]
    dense = [split[n] for n in range(60)]
    for spikes in (np.array(dense), dense):
        predictions = spikeprep.predict(trained, spikes, batch=13, progress=False)
        np.testing.assert_array_equal(predictions.counts, stored.counts)
    # a sample's result does not depend on the lengths of the others
    cut = [dense[0], dense[1][:50], dense[2][:123]]
    together = spikeprep.predict(trained, cut, progress=False)
    for n, spikes in enumerate(cut):
        alone = spikeprep.predict(trained, spikes, progress=False)
        np.testing.assert_array_equal(alone.counts[0], together.counts[n])


def test_predicting_needs_no_store(encoded, trained, images, tmp_path):
    store = Path(shutil.copytree(encoded.path, tmp_path / "moved.zarr"))
    settings = spikeprep.open_run(trained).config.settings.to_json()
    spikeprep.train(store, run=tmp_path / "run", epochs=1, settings=settings, progress=False, device="cpu")
    expected = spikeprep.predict(tmp_path / "run", images, store=encoded, progress=False).counts
    store.rename(tmp_path / "gone.zarr")
    found = spikeprep.predict(tmp_path / "run", images, progress=False).counts
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("signals", "error", "words"),
    [
        (np.zeros((3, 9, 9)), DataError, r"\(3, 9, 9\).*units \(8, 8\)"),
        ([np.zeros((9, 9))], DataError, "81 units.*64"),
        (np.zeros((5, 63), bool), DataError, "63 units.*64"),
        ([np.zeros((5, 64), bool), np.zeros(64, bool)], DataError, "as sample 1"),
        ("nothing.zarr", StoreError, "no store"),
    ],
)
def test_predict_refuses(trained, signals, error, words):
    with pytest.raises(error, match=words):
        spikeprep.predict(trained, signals, progress=False)


def test_predict_of_an_unknown_split(trained, encoded):
    with pytest.raises(UsageError, match="Did you mean 'test'"):
        spikeprep.predict(trained, encoded, split="tset", progress=False)


# interruption


def test_the_first_signal_is_recorded_and_the_second_one_interrupts():
    before = signal.getsignal(signal.SIGINT)
    with delayed_interrupt() as received:
        signal.raise_signal(signal.SIGINT)
        assert received == [signal.SIGINT]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    results = []

    def in_a_thread():
        with delayed_interrupt() as received:
            results.append(received)

    thread = threading.Thread(target=in_a_thread)
    thread.start()
    thread.join()
    assert results == [[]]


def test_ctrl_c_while_training_leaves_a_run_that_resumes_to_the_same_weights(encoded, tmp_path):
    settings = {"arch": "9", "epochs": 3, "batch": 4, "progress": False}
    seen = 0

    def interrupt(done, total):
        nonlocal seen
        seen += 1
        if seen == 20:  # in the second epoch
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted, match="resume=True") as caught:
        spikeprep.train(encoded, run=tmp_path / "a", **settings | {"progress": interrupt})
    assert caught.value.arguments == {"resume": True}
    resumed = spikeprep.train(encoded, run=tmp_path / "a", resume=True, **settings)
    whole = spikeprep.train(encoded, run=tmp_path / "b", **settings)
    assert resumed.train_accuracy == whole.train_accuracy
    (ours, _), (theirs, _) = (load_checkpoint(tmp_path / run / "last.npz") for run in ("a", "b"))
    assert {k: v.tobytes() for k, v in ours.items()} == {k: v.tobytes() for k, v in theirs.items()}


def test_ctrl_c_while_encoding_leaves_a_store_that_the_same_call_finishes(encoded, tmp_path):
    def interrupt(done, total):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="Call it again to resume"):
        spikeprep.encode("digits", tmp_path / "a.zarr", limit=60, workers=1, progress=interrupt)
    spikeprep.encode("digits", tmp_path / "a.zarr", limit=60, progress=False)
    assert digest(tmp_path / "a.zarr") == digest(Path(encoded.path))


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_in_a_process_of_its_own(encoded, tmp_path):
    code = (
        "import spikeprep, sys\n"
        f"spikeprep.train({encoded.path!r}, arch='9', epochs=100000, run={str(tmp_path / 'run')!r})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while not (tmp_path / "run" / "best.npz").exists() and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, text = process.communicate(timeout=60)
    assert "Interrupted: interrupted; the checkpoint is in" in text
    assert load_checkpoint(tmp_path / "run" / "last.npz")[1]["step"] >= 1


# plugins, other learning rules, executors, stores of arrays


def test_another_learning_rule_takes_no_setting_that_a_recipe_suggests_for_its_own(
    encoded, tmp_path, monkeypatch
):
    from spikeprep.registry import RULES

    from .toy_package.toy_plugins.delta_rule import DeltaRule

    monkeypatch.setattr(RULES, "_registered", {})
    spikeprep.register(DeltaRule)
    result = spikeprep.train(
        encoded, rule="delta", epochs=1, settings={"wanted": 7}, run=tmp_path / "a", progress=False
    )
    assert (result.rule, result.arch, result.thresholds) == (
        "delta",
        load_recipe("digits").train["arch"],
        None,
    )
    settings = spikeprep.open_run(result).config.settings.to_json()
    assert (settings["rule"], settings["wanted"]) == ("delta", 7)
    assert settings["optim"]["rate"] == TrainSettings().optim.rate
    with pytest.raises(UsageError, match=r"loss\.target"):
        spikeprep.train(
            encoded, rule="delta", settings={"loss.target": 7}, run=tmp_path / "b", progress=False
        )
    assert spikeprep.predict(result, encoded, progress=False).counts.shape == (60, 10)


def test_suggestions_for_each_layer_hold_for_the_suggested_layers():
    suggested = {"arch": "800-800", "init": [1, 2, 3], "epochs": 7}
    assert run_settings(suggested, {}).init == (1, 2, 3)
    assert run_settings(suggested, {"arch": "800-800"}).init == (1, 2, 3)
    other = run_settings(suggested, {"arch": "20"})
    assert (other.init, other.epochs, other.arch) == (TrainSettings().init, 7, "20")


def test_unknown_names(encoded, tmp_path):
    for arguments, words in (
        ({"rule": "hm2pb"}, "Did you mean 'hm2bp'"),
        ({"settings": {"optim.rat": 1}}, "Did you mean 'optim.rate'"),
        ({"recipe": "mnits"}, "Did you mean 'mnist'"),
        ({"device": "gpu"}, "got device = 'gpu'"),
        ({"ranks": 0}, "got ranks = 0"),
    ):
        with pytest.raises(UsageError, match=words):
            spikeprep.train(encoded, run=tmp_path / "run", progress=False, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_an_executor_of_the_caller_s_encodes_the_same_bytes(encoded, tmp_path):
    with ThreadPoolExecutor(2) as executor:
        spikeprep.encode("digits", tmp_path / "a.zarr", limit=60, executor=executor, progress=False)
    assert digest(tmp_path / "a.zarr") == digest(Path(encoded.path))


def test_a_store_of_arrays_trains_and_its_spikes_are_predicted(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    spikes = rng.random((40, 50, 12)) < 0.05 + 0.3 * (labels[:, None, None] == np.arange(12) % 2)
    summary = spikeprep.write_store(tmp_path / "a.zarr", spikes, labels, dt=0.001)
    assert "40 train samples" in repr(summary)
    assert summary._repr_html_().startswith("<table>")
    result = spikeprep.train(
        summary, arch="8", epochs=3, batch=4, run=tmp_path / "run", progress=False,
        settings={"loss.target": 10, "loss.off_target": 1, "loss.margin": 1, "validation": 0},
    )  # fmt: skip
    predictions = spikeprep.predict(result, spikes, progress=False)
    assert (predictions.labels == labels).mean() > 0.9
    with pytest.raises(UsageError, match="without an encoder"):
        spikeprep.predict(result, rng.random((3, 12)), progress=False)


def test_a_convolution_over_units_along_one_axis(tmp_path):
    """Frequencies, as of speech: rows of one column."""
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    bands = np.where(labels[:, None] == 0, np.arange(20) < 8, np.arange(20) >= 12)
    spikes = rng.random((40, 60, 20)) < 0.02 + 0.3 * bands[:, None]
    store = spikeprep.write_store(tmp_path / "a.zarr", spikes, labels, dt=0.001)
    settings = {
        "loss.target": 10,
        "loss.off_target": 1,
        "loss.margin": 1,
        "validation": 0,
        "thresholds": "auto",
    }
    result = spikeprep.train(
        store, arch="6C5x1-P2x1-8", epochs=6, batch=4, run=tmp_path / "run", settings=settings, progress=False
    )
    assert (spikeprep.predict(result, spikes, progress=False).labels == labels).mean() > 0.9
    assert spikeprep.evaluate(result, store, split="train", progress=False).accuracy > 0.9
    with pytest.raises(UsageError, match=r"5 × 5 on 20 × 1 units.*windows of one column, such as 15C5x1"):
        spikeprep.plan_training(store, arch="6C5", settings=settings)


def test_a_store_of_encoded_arrays_predicts_signals(tmp_path):
    from spikeprep.encoders import Poisson

    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (20, 4, 4), dtype=np.uint8), np.arange(20) % 2
    summary = spikeprep.write_store(
        tmp_path / "a.zarr", images, labels, encoder=Poisson(steps=60), split=["train"] * 10 + ["test"] * 10
    )
    result = spikeprep.train(
        summary, arch="8", epochs=1, run=tmp_path / "run", settings={"loss.target": 10}, progress=False
    )
    stored = spikeprep.predict(result, summary, progress=False)
    raw = spikeprep.predict(result, images[10:], progress=False)
    np.testing.assert_array_equal(raw.counts, stored.counts)


def test_an_encoder_may_be_given_or_named(tmp_path):
    from spikeprep.encoders import Poisson

    given = spikeprep.encode(
        "digits", tmp_path / "given.zarr", encoder=Poisson(steps=30), limit=4, progress=False
    )
    attributes = spikeprep.open_store(given).attributes
    assert attributes["chain"] == [Poisson(steps=30).to_config()]
    images = np.zeros((4, 3, 3), np.uint8)
    named = spikeprep.write_store(tmp_path / "named.zarr", images, [0, 1, 0, 1], encoder="poisson")
    assert spikeprep.open_store(named).attributes["chain"] == [Poisson().to_config()]


def test_one_threshold_for_all_layers(encoded, tmp_path, capsys):
    run = spikeprep.train(encoded, arch="8", epochs=1, settings={"thresholds": 5}, run=tmp_path / "run")
    assert "thresholds 5\n" in capsys.readouterr().err
    assert spikeprep.open_run(run).config.settings.rule.thresholds == 5


@pytest.mark.parametrize(
    "arguments",
    [{"limit": -1}, {"threads": 0}, {"feed": "x"}, {"ranks": 1.5}, {"ranks": 0}, {"device": None}],
)
def test_arguments_of_train_that_cannot_work(encoded, tmp_path, arguments):
    with pytest.raises(UsageError, match=next(iter(arguments))):
        spikeprep.train(encoded, run=tmp_path / "run", progress=False, **arguments)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "arguments", [{"seed": -1}, {"seed": 2**64}, {"seed": "x"}, {"seed": 1.5}, {"workers": 0}, {"limit": 0}]
)
def test_arguments_of_encode_that_cannot_work(tmp_path, arguments):
    with pytest.raises(UsageError, match=next(iter(arguments))):
        spikeprep.encode("digits", tmp_path / "store.zarr", progress=False, **arguments)
    assert not (tmp_path / "store.zarr").exists()
